//! OpenAI's embeddings, and Voyage's, Mistral's, Jina's: numbers, of which only the report at the end or the start counts.
//!
//! <https://platform.openai.com/docs/api-reference/embeddings>. Voyage reports `total_tokens` alone:
//! <https://docs.voyageai.com/reference/embeddings-api>.

use super::dialect::{Ask, Dialect, Media};
use super::json::Key;
use super::openai_chat;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said: openai_chat::said,
    reading: openai_chat::reading,
    overhead: super::PLAIN,
    generates: false,
    tells_end: false,
};

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Input] | [Key::Input, Key::Item] => Ask::Text,
        [Key::Inputs, .., Key::Text] => Ask::Text,
        [Key::Input | Key::Inputs, .., Key::ImageUrl | Key::Image | Key::Url] => Ask::Media(Media::Image),
        _ => Ask::Skip,
    }
}
