//! Mistral's OCR: charged by the page.
//!
//! <https://docs.mistral.ai/api/endpoint/ocr>

use super::dialect::{Ask, Dialect, Figure, Figures, Media, Reading, Said, Word};
use super::json::Key;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Document, Key::DocumentUrl | Key::ImageUrl] => Ask::Media(Media::File),
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Error] => Said::Error,
        [Key::UsageInfo, Key::PagesProcessed] => Said::Figure(Figure::Pages),
        _ => Said::Nothing,
    }
}

fn reading(figures: &Figures) -> Reading {
    Reading::inclusive(figures, 0, [0, 0], 0)
}
