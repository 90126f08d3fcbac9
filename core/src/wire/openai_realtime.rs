//! OpenAI's realtime sessions: JSON events in the frames of a WebSocket.
//!
//! <https://platform.openai.com/docs/api-reference/realtime-server-events/response/done>: each answer of
//! a session reports its own usage, which is summed. `input_tokens` holds cached ones, of text and of sound. Transcripts
//! of what the caller said are another model's, and not counted.

use super::dialect::{Ask, Dialect, Figure, Said, Word};
use super::json::Key;
use super::openai_responses;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said,
    reading: openai_responses::reading,
    overhead: super::PLAIN,
    generates: false,
    tells_end: false,
};

fn ask(_: &[Key]) -> Ask {
    Ask::Skip
}

fn said(path: &[Key]) -> Said {
    match path {
        [Key::Session, Key::Model] => Said::Word(Word::Model),
        [Key::Response, Key::Status] => Said::Word(Word::Status),
        [Key::Response, Key::Usage, rest @ ..] => match rest {
            [Key::InputTokenDetails, Key::CachedTokensDetails, Key::AudioTokens] => {
                Said::Figure(Figure::CacheReadAudio)
            }
            [Key::InputTokenDetails, Key::CachedTokensDetails, Key::ImageTokens] => {
                Said::Figure(Figure::CacheReadImage)
            }
            _ => openai_responses::usage(rest),
        },
        _ => Said::Nothing,
    }
}
