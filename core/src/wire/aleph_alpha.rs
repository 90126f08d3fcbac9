//! Aleph Alpha's completions.
//!
//! <https://docs.aleph-alpha.com/api/complete/>

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: true, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::MaximumTokens] => Ask::Cap,
        [Key::N | Key::BestOf] => Ask::Choices,
        [Key::Prompt] | [Key::Prompt, Key::Item, Key::Data] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::ModelVersionSnake] => Said::Word(Word::Model),
        [Key::Completions, Key::Item, Key::Completion] => Said::Text,
        [Key::Error] => Said::Error,
        [Key::NumTokensPromptTotal] => Said::Figure(Figure::Input),
        [Key::NumTokensGenerated] => Said::Figure(Figure::Output),
        _ => Said::Nothing,
    }
}

fn reading(figures: &Figures) -> Reading {
    Reading::inclusive(figures, figures.count(Figure::Input), [0, 0], figures.count(Figure::Output))
}
