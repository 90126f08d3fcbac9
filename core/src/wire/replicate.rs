//! Replicate's predictions: charged by the seconds that the hardware ran, which are told once it is done.
//!
//! <https://replicate.com/docs/reference/http#predictions.create>

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Version] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::Input, Key::Prompt] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Status] => Said::Word(Word::Status),
        [Key::Error] => Said::Error,
        [Key::Other, Key::PredictTime] => Said::Figure(Figure::Seconds),
        [Key::Other, Key::InputTokenCount] => Said::Figure(Figure::Input),
        [Key::Other, Key::OutputTokenCount] => Said::Figure(Figure::Output),
        _ => Said::Nothing,
    }
}

/// Language models of Replicate's own are charged by tokens, and tell them; the seconds then cost nothing.
fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    if figures.get(Figure::Output).is_some() {
        figures.clear(Figure::Seconds);
    }
    Reading::inclusive(&figures, figures.count(Figure::Input), [0, 0], figures.count(Figure::Output))
}
