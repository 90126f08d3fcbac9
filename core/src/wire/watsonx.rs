//! IBM watsonx.ai's own text API: generation and chat.
//!
//! <https://cloud.ibm.com/apidocs/watsonx-ai>. A stream counts each event's tokens anew, the last holds.

use super::dialect::{Ask, Dialect, Figure, Said, Word};
use super::json::Key;
use super::openai_chat;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said,
    reading: openai_chat::reading,
    overhead: openai_chat::OVERHEAD,
    generates: true,
    tells_end: true,
};

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::ModelId] => Ask::Model,
        [Key::Input] => Ask::Text,
        [Key::Parameters] => Ask::CapParent,
        [Key::Parameters, Key::MaxNewTokens] => Ask::Cap,
        _ => openai_chat::ask(path),
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::ModelId] => Said::Word(Word::Model),
        [Key::Results, Key::Item, Key::GeneratedText] => Said::Text,
        [Key::Results, Key::Item, Key::StopReason] => Said::Word(Word::Stop),
        [Key::Results, Key::Item, Key::InputTokenCount] => Said::Figure(Figure::Input),
        [Key::Results, Key::Item, Key::GeneratedTokenCount] => Said::Figure(Figure::Output),
        [Key::ModelVersion | Key::Model] => Said::Nothing,
        _ => openai_chat::said(path),
    }
}
