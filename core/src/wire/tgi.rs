//! Hugging Face's Text Generation Inference, also behind SageMaker endpoints.
//!
//! <https://huggingface.github.io/text-generation-inference/>. `details` come if asked for; the prompt's
//! tokens are in the header `x-prompt-tokens`.

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;
use super::{bedrock_invoke, openai_chat};

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: false };

/// Headers that count.
pub(super) const HEADERS: [(&str, Figure); 2] =
    [("x-prompt-tokens", Figure::MetricsInput), ("x-generated-tokens", Figure::MetricsOutput)];

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Inputs] | [Key::Inputs, Key::Item] => Ask::Text,
        [Key::Parameters] => Ask::CapParent,
        [Key::Parameters, Key::MaxNewTokens] => Ask::Cap,
        [Key::Stream] => Ask::Stream,
        // A container that speaks chat; the model is the endpoint.
        [Key::Model] => Ask::Skip,
        _ => openai_chat::ask(path),
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::GeneratedText] | [Key::Token, Key::Text] => Said::Text,
        [Key::Details, Key::GeneratedTokens] => Said::Figure(Figure::Output),
        [Key::Details, Key::FinishReason] => Said::Word(Word::Stop),
        _ => bedrock_invoke::said(path),
    }
}

fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    let (input, output) = (figures.get(Figure::MetricsInput), figures.get(Figure::MetricsOutput));
    figures.fill(Figure::Input, input);
    figures.fill(Figure::Output, output);
    openai_chat::reading(&figures)
}
