//! Vertex' `predict` of Google's embedding models, and of Imagen.
//!
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>. Each
//! prediction has its own count.

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Instances, Key::Item, Key::Content | Key::Prompt] => Ask::Text,
        [Key::Parameters, Key::NumberOfImages] => Ask::Choices,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::ModelVersion] => Said::Word(Word::Model),
        [Key::Error] => Said::Error,
        [Key::Predictions] => Said::List(Figure::ImagesMade),
        [Key::Predictions, Key::Item] => Said::Each(Figure::ImagesMade),
        [Key::Predictions, Key::Item, Key::Embeddings, Key::Statistics, Key::TokenCount] => Said::Each(Figure::Input),
        [Key::Metadata, Key::BillableCharacterCount] => Said::Figure(Figure::Characters),
        _ => Said::Nothing,
    }
}

/// Without tokens or characters the predictions are images.
fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    if figures.get(Figure::Input).is_none() && figures.get(Figure::Characters).is_none() {
        figures.set(Figure::Images, figures.count(Figure::ImagesMade));
    }
    Reading::inclusive(&figures, figures.count(Figure::Input), [0, 0], 0)
}
