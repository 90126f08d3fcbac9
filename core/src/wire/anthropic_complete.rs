//! Anthropic's text completions, before messages. They report nothing.
//!
//! <https://docs.anthropic.com/en/api/complete>

use super::dialect::{Ask, Dialect, Reading, Said, Word};
use super::json::Key;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading: Reading::exclusive, overhead: super::PLAIN, generates: true, tells_end: true };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::MaxTokensToSample] => Ask::Cap,
        [Key::Prompt] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Id] => Said::Word(Word::Id),
        [Key::Completion] => Said::Text,
        [Key::StopReason] => Said::Word(Word::Stop),
        [Key::Error] => Said::Error,
        _ => Said::Nothing,
    }
}
