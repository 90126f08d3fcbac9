//! llama.cpp's own completion.
//!
//! <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md>

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: true, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::NPredict] => Ask::Cap,
        [Key::Prompt] | [Key::Prompt, Key::Item] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Content] => Said::Text,
        [Key::Error] => Said::Error,
        [Key::TokensEvaluated] => Said::Figure(Figure::Input),
        [Key::TokensPredicted] => Said::Figure(Figure::Output),
        _ => Said::Nothing,
    }
}

fn reading(figures: &Figures) -> Reading {
    Reading::inclusive(figures, figures.count(Figure::Input), [0, 0], figures.count(Figure::Output))
}
