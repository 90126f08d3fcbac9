//! OpenAI's completions, before chat, as vLLM, Together and others still serve them.
//!
//! <https://platform.openai.com/docs/api-reference/completions>

use super::dialect::{Ask, Dialect, Said, Word};
use super::json::Key;
use super::openai_chat;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading: openai_chat::reading, overhead: super::PLAIN, generates: true, tells_end: true };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::MaxTokens] => Ask::Cap,
        [Key::N | Key::BestOf] => Ask::Choices,
        [Key::StreamOptions] => Ask::StreamOptions,
        [Key::StreamOptions, Key::IncludeUsage] => Ask::IncludeUsage,
        [Key::Prompt | Key::Suffix] | [Key::Prompt, Key::Item] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Choices, Key::Item, Key::Text] => Said::Text,
        [Key::Choices, Key::Item, Key::FinishReason] => Said::Word(Word::Stop),
        _ => openai_chat::said(path),
    }
}
