//! Cohere's chat of both versions, generate, embed and rerank; also rerank by others.
//!
//! - <https://docs.cohere.com/reference/chat> (v2), <https://docs.cohere.com/v1/reference/chat> (v1, events a line each),
//!   <https://docs.cohere.com/reference/embed>, <https://docs.cohere.com/reference/rerank>
//! - `billed_units` are what is charged; `tokens` count what the model read, with Cohere's own preamble:
//!   <https://docs.cohere.com/docs/how-does-cohere-pricing-work>.

use super::dialect::{Ask, Dialect, Figure, Figures, Media, Overhead, Reading, Said, Word};
use super::json::Key;
use super::openai_chat;

pub(super) const OVERHEAD: Overhead =
    Overhead { message: 4, priming: 3, tools: 0, name: 0, schema_percent: 100, image: 1_600 };

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: OVERHEAD, generates: false, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::MaxTokens] => Ask::Cap,
        [Key::Tools | Key::ResponseFormat, ..] => Ask::Schema,
        [Key::Images, ..] | [.., Key::ImageUrl, Key::Url] => Ask::Media(Media::Image),
        [.., Key::Role | Key::Type | Key::Id] => Ask::Skip,
        [
            Key::Message
            | Key::Messages
            | Key::ChatHistory
            | Key::Documents
            | Key::Texts
            | Key::Query
            | Key::Prompt
            | Key::Inputs
            | Key::ToolResults,
            ..,
        ] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Type] => Said::Word(Word::Type),
        [Key::FinishReason] | [Key::Delta, Key::FinishReason] => Said::Word(Word::Stop),
        [Key::Error] => Said::Error,
        [Key::Text]
        | [Key::Generations, Key::Item, Key::Text]
        | [Key::Message, Key::Content, Key::Item, Key::Text | Key::Thinking]
        | [Key::Delta, Key::Message, Key::Content, Key::Text | Key::Thinking] => Said::Text,
        [Key::Message, Key::ToolCalls, ..] | [Key::Delta, Key::Message, Key::ToolCalls, ..] => Said::Json,
        [Key::Meta | Key::Usage, Key::BilledUnits, unit]
        | [Key::Delta, Key::Usage, Key::BilledUnits, unit]
        | [Key::Response, Key::Meta, Key::BilledUnits, unit] => Said::Figure(match unit {
            Key::InputTokens => Figure::Input,
            Key::OutputTokens => Figure::Output,
            Key::SearchUnits => Figure::SearchUnits,
            Key::ImageTokens => Figure::InputImage,
            Key::Images => Figure::Images,
            _ => return Said::Nothing,
        }),
        // Others' rerank.
        [Key::Usage, Key::PromptTokens | Key::CompletionTokens | Key::TotalTokens] => openai_chat::said(path),
        // Whoever serves chat at this path.
        [Key::Choices, ..] => openai_chat::said(path),
        _ => Said::Nothing,
    }
}

/// Tokens of images stand beside the others.
fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    if figures.get(Figure::Input).is_none() && figures.get(Figure::SearchUnits).is_none() {
        // Voyage's and Jina's rerank report a total alone.
        let total = figures.get(Figure::Total);
        figures.fill(Figure::Input, total);
    }
    let prompt = figures.count(Figure::Input).saturating_add(figures.count(Figure::InputImage));
    Reading::inclusive(&figures, prompt, [0, 0], figures.count(Figure::Output))
}
