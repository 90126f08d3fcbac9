//! Gemini's embeddings.
//!
//! <https://ai.google.dev/api/embeddings>. Older models report nothing.

use super::dialect::{Ask, Dialect};
use super::gemini_generate;
use super::json::Key;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said: gemini_generate::said,
    reading: gemini_generate::reading,
    overhead: gemini_generate::OVERHEAD,
    generates: false,
    tells_end: false,
};

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Content, rest @ ..] | [Key::Requests, Key::Item, Key::Content, rest @ ..] => {
            gemini_generate::content(rest)
        }
        _ => Ask::Skip,
    }
}
