//! OpenAI's speech: sound comes back, and nothing that reports. It is charged by the characters that were asked for, or by
//! tokens that only an event stream tells.
//!
//! <https://platform.openai.com/docs/api-reference/audio/createSpeech>

use super::dialect::{Ask, Dialect};
use super::json::Key;
use super::openai_transcription;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said: openai_transcription::said,
    reading: openai_transcription::reading,
    overhead: super::PLAIN,
    generates: false,
    tells_end: false,
};

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Input | Key::Instructions] => Ask::Text,
        _ => Ask::Skip,
    }
}
