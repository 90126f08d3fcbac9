//! OpenAI chat completions, and all that speak it.
//!
//! - Answer: <https://platform.openai.com/docs/api-reference/chat/object>; stream:
//!   <https://platform.openai.com/docs/api-reference/chat-streaming/streaming> (read 2026-11-23).
//! - `prompt_tokens` includes cached tokens and cache writes; `completion_tokens` includes reasoning.
//! - A stream reports usage in one more event, with `choices: []`, and only if `stream_options.include_usage` asks.

use super::json::Key;
use super::{Count, Meaning, Path, Reported};
use crate::usage::{Quality, Tokens, Usage};

/// What stands at `path` of an answer or of an event.
#[must_use]
pub fn meaning(path: Path<'_>) -> Meaning {
    match path {
        [Key::Model] => Meaning::Model,
        [Key::Choices, Key::Item, Key::FinishReason] => Meaning::Finish,
        [Key::Choices, Key::Item, Key::Delta | Key::Message, rest @ ..] => match rest {
            [Key::Content | Key::Reasoning | Key::ReasoningContent | Key::Refusal]
            | [Key::Content, Key::Item, Key::Text]
            | [Key::ToolCalls, Key::Item, Key::Function, Key::Name | Key::Arguments] => Meaning::Output,
            _ => Meaning::Nothing,
        },
        [Key::Usage, rest @ ..] => match rest {
            [Key::PromptTokens] => Meaning::Count(Count::Input),
            [Key::CompletionTokens] => Meaning::Count(Count::Output),
            [Key::PromptTokensDetails, Key::CachedTokens] => Meaning::Count(Count::CacheRead),
            [Key::PromptTokensDetails, Key::CacheWriteTokens] => Meaning::Count(Count::CacheWrite),
            [Key::CompletionTokensDetails, Key::ReasoningTokens] => Meaning::Count(Count::Reasoning),
            _ => Meaning::Nothing,
        },
        _ => Meaning::Nothing,
    }
}

/// Makes the reported counts disjoint: cached parts come out of the prompt, and never more than there is.
#[must_use]
pub fn usage(reported: &Reported, quality: Quality) -> Usage {
    let prompt = reported.input.unwrap_or(0);
    let cache_read = reported.cache_read.unwrap_or(0);
    let cache_write_5m = reported.cache_write.unwrap_or(0);
    let output = reported.output.unwrap_or(0);
    let input = prompt.saturating_sub(cache_read).saturating_sub(cache_write_5m);
    let tokens = Tokens { input, cache_read, cache_write_5m, cache_write_1h: 0, output };
    Usage { tokens, reasoning: reported.reasoning.unwrap_or(0).min(output), quality }
}
