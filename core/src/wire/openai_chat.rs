//! OpenAI's chat completions: what stands where in its JSON.
//!
//! - Request: <https://platform.openai.com/docs/api-reference/chat/create> (read 2026-11-23)
//! - Answer: <https://platform.openai.com/docs/api-reference/chat/object> (read 2026-11-23)
//! - Stream: <https://platform.openai.com/docs/api-reference/chat-streaming> (read 2026-11-23)
//!
//! Also spoken by Azure, Mistral, Groq, `DeepSeek`, `OpenRouter`, vLLM, Ollama and many others. What those add is read
//! where it has one meaning: `x_groq.usage`, other names of cached tokens, content in parts, reasoning text. Not
//! Mistral's `num_cached_tokens`: it may be more than the whole prompt.

use super::json::Key;
use super::request::{Media, Part};
use super::response::{Figure, Figures, Said};
use crate::usage::{Kind, Units};

/// Tokens around each message: three, and one for its role.
/// <https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken> (read 2026-11-23)
pub const MESSAGE_TOKENS: u64 = 4;
/// Tokens that open the answer, once. Same source.
pub const PRIMING_TOKENS: u64 = 3;
/// Tokens for a message's `name`. Same source.
pub const NAME_TOKENS: u64 = 1;
/// Tokens once when there are tools. Same source.
pub const TOOLS_TOKENS: u64 = 12;
/// Per cent of minified JSON's tokens that tool definitions count as: the provider renders them shorter. The source's
/// formula gives 82 in the mean, 90 at the 95th percentile, and leaves out nested schemas.
pub const SCHEMA_PERCENT: u64 = 90;
/// Tokens of an image: the most that `detail: high` takes (six tiles of 170, and 85).
/// <https://platform.openai.com/docs/guides/images-vision#calculating-costs> (read 2026-11-23)
pub const IMAGE_TOKENS: u64 = 1_105;
/// Tokens of an image with `detail: low`. Same source.
pub const LOW_IMAGE_TOKENS: u64 = 85;

/// What a string, number or bracket of a request is to the model.
pub(super) fn prompt(path: &[Key]) -> Part {
    match path {
        [Key::Tools | Key::Functions | Key::ResponseFormat, ..] => Part::Schema,
        [Key::Messages, Key::Item, Key::Name] => Part::Text,
        [Key::Messages, rest @ ..] => match rest {
            [.., Key::Role | Key::Type | Key::Id | Key::ToolCallId | Key::Format | Key::FileId] => Part::Skip,
            // What proves reasoning that is sent back is no text.
            [.., Key::Signature] | [.., Key::Signature, Key::Item] | [.., Key::CacheControl, _] => Part::Skip,
            [.., Key::ImageUrl, Key::Url] => Part::Image,
            [.., Key::ImageUrl | Key::Url | Key::VideoUrl] => Part::Media(Media::Image),
            [.., Key::ImageUrl, Key::Detail] => Part::Detail,
            [.., Key::InputAudio] | [.., Key::InputAudio, Key::Data] => Part::Media(Media::Audio),
            [.., Key::FileData | Key::DocumentUrl] => Part::Media(Media::File),
            _ => Part::Text,
        },
        _ => Part::Skip,
    }
}

/// Which count stands at `path`.
pub(super) fn figure(path: &[Key]) -> Option<Figure> {
    let path = path.strip_prefix(&[Key::XGroq]).unwrap_or(path);
    Some(match path.strip_prefix(&[Key::Usage])? {
        [Key::PromptTokens] => Figure::Input,
        [Key::CompletionTokens] => Figure::Output,
        [Key::PromptTokensDetails, Key::CachedTokens] | [Key::CachedTokens | Key::PromptCacheHitTokens] => {
            Figure::CacheRead
        }
        [Key::PromptTokensDetails, Key::CacheWriteTokens] => Figure::CacheWrite,
        [Key::CompletionTokensDetails, Key::ReasoningTokens] => Figure::Reasoning,
        _ => return None,
    })
}

/// What an answer says at `path`.
pub(super) fn answer(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Model,
        [Key::Choices, Key::Item, Key::FinishReason] => Said::Stop,
        [Key::Choices, Key::Item, Key::Message | Key::Delta, rest @ ..] => match rest {
            [Key::Content | Key::Refusal | Key::Reasoning | Key::ReasoningContent]
            | [Key::Content, Key::Item, Key::Text]
            | [Key::Content, Key::Item, Key::Thinking, Key::Item, Key::Text]
            | [Key::ToolCalls, Key::Item, Key::Function, Key::Name | Key::Arguments]
            | [Key::FunctionCall, Key::Name | Key::Arguments]
            | [Key::Audio, Key::Transcript] => Said::Text,
            [Key::ToolCalls, Key::Item, Key::Function, Key::Arguments, ..] => Said::Json,
            _ => Said::Nothing,
        },
        _ => Said::Nothing,
    }
}

/// Disjoint counts. `prompt_tokens` holds what a cache served or stored; a cache may claim more than there was.
pub(super) fn tokens(figures: &Figures) -> Units {
    let count = |figure| figures.get(figure).unwrap_or(0);
    let (cache_read, cache_write_5m) = (count(Figure::CacheRead), count(Figure::CacheWrite));
    Units::of(&[
        (Kind::Input, count(Figure::Input).saturating_sub(cache_read).saturating_sub(cache_write_5m)),
        (Kind::CacheRead, cache_read),
        (Kind::CacheWrite5m, cache_write_5m),
        (Kind::Output, count(Figure::Output)),
    ])
}
