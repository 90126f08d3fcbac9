//! Anthropic messages.
//!
//! - Answer: <https://docs.anthropic.com/en/api/messages>; stream:
//!   <https://docs.anthropic.com/en/docs/build-with-claude/streaming> (read 2026-11-23).
//! - `input_tokens` leaves cache reads and writes out; `output_tokens` includes thinking.
//! - A stream reports the prompt in `message_start` and the output in `message_delta`, which may say the prompt again,
//!   larger: the last that is not null wins. The split of cache writes is in `message_start` only.
//! - `cache_creation_input_tokens` may be more than its two parts: the rest lives five minutes.

use super::json::Key;
use super::{Count, Meaning, Path, Reported};
use crate::usage::{Quality, Tokens, Usage};

/// What stands at `path` of an answer or of an event.
#[must_use]
pub fn meaning(path: Path<'_>) -> Meaning {
    let path = match path {
        [Key::Message, rest @ ..] => rest,
        _ => path,
    };
    match path {
        [Key::Model] => Meaning::Model,
        [Key::Type] => Meaning::EventType,
        [Key::StopReason] | [Key::Delta, Key::StopReason] => Meaning::Finish,
        [Key::Content, Key::Item, Key::Text | Key::Thinking]
        | [Key::Delta, Key::Text | Key::Thinking | Key::PartialJson] => Meaning::Output,
        [Key::Content, Key::Item, Key::Input, ..] => Meaning::Output,
        [Key::Usage, rest @ ..] => match rest {
            [Key::InputTokens] => Meaning::Count(Count::Input),
            [Key::OutputTokens] => Meaning::Count(Count::Output),
            [Key::CacheReadInputTokens] => Meaning::Count(Count::CacheRead),
            [Key::CacheCreationInputTokens] => Meaning::Count(Count::CacheWrite),
            [Key::CacheCreation, Key::Ephemeral5m] => Meaning::Count(Count::CacheWrite5m),
            [Key::CacheCreation, Key::Ephemeral1h] => Meaning::Count(Count::CacheWrite1h),
            [Key::OutputTokensDetails, Key::ThinkingTokens] => Meaning::Count(Count::Reasoning),
            _ => Meaning::Nothing,
        },
        _ => Meaning::Nothing,
    }
}

/// Puts the reported counts into our kinds.
#[must_use]
pub fn usage(reported: &Reported, quality: Quality) -> Usage {
    let cache_write_1h = reported.cache_write_1h.unwrap_or(0);
    let five_minutes = reported.cache_write_5m.unwrap_or(0);
    let rest = reported.cache_write.unwrap_or(0).saturating_sub(cache_write_1h);
    let output = reported.output.unwrap_or(0);
    let tokens = Tokens {
        input: reported.input.unwrap_or(0),
        cache_read: reported.cache_read.unwrap_or(0),
        cache_write_5m: rest.max(five_minutes),
        cache_write_1h,
        output,
    };
    Usage { tokens, reasoning: reported.reasoning.unwrap_or(0).min(output), quality }
}
