//! Anthropic's messages: what stands where in its JSON.
//!
//! - Request and answer: <https://docs.anthropic.com/en/api/messages> (read 2026-11-23)
//! - Stream: <https://docs.anthropic.com/en/docs/build-with-claude/streaming> (read 2026-11-23). `message_start` holds
//!   the first counts, `message_delta` the last ones; with server tools its input and cache counts are larger than the
//!   first. So the last count that is not null holds, for each by itself.
//! - Caches: <https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching> (read 2026-11-23). `input_tokens`
//!   leaves cached tokens out, both read and written.

use super::json::Key;
use super::request::{Media, Part};
use super::response::{Figure, Figures, Said};
use crate::usage::{Kind, Units};

/// Tokens around each message, as far as reported counts of short prompts show.
pub const MESSAGE_TOKENS: u64 = 4;
/// Tokens that open the answer, once; from the same counts.
pub const PRIMING_TOKENS: u64 = 3;
/// Tokens of the system prompt that comes with tools: 159 to 530 with Claude 3
/// (<https://docs.anthropic.com/en/docs/tool-use-pricing-and-tokens>, read 2026-11-24), 346 with Claude 4 as users of it
/// report.
pub const TOOLS_TOKENS: u64 = 346;
/// Per cent of minified JSON's tokens that tool definitions count as.
pub const SCHEMA_PERCENT: u64 = 100;
/// Tokens of an image: about width × height / 750, scaled down to at most this before Opus 4.7.
/// <https://docs.anthropic.com/en/docs/build-with-claude/vision> (read 2026-11-23)
pub const IMAGE_TOKENS: u64 = 1_600;

/// What a string, number or bracket of a request is to the model.
pub(super) fn prompt(path: &[Key]) -> Part {
    match path {
        [Key::Tools | Key::OutputFormat, ..] | [Key::OutputConfig, Key::Format, ..] => Part::Schema,
        [Key::Messages, Key::Item, Key::Content, Key::Item, Key::Input, ..] => Part::Json,
        [Key::Messages | Key::System, rest @ ..] => match rest {
            [.., Key::Source, Key::Type] => Part::SourceType,
            [.., Key::Source, Key::MediaType] => Part::MediaType,
            [.., Key::Source, Key::Data] => Part::SourceData,
            [.., Key::Source, Key::Url | Key::FileId] => Part::Media(Media::Image),
            [.., Key::Role | Key::Type | Key::Id | Key::ToolUseId | Key::Signature | Key::FileId] => Part::Skip,
            // Thinking that was redacted, not a source's.
            [.., Key::Data] | [.., Key::CacheControl, _] => Part::Skip,
            _ => Part::Text,
        },
        _ => Part::Skip,
    }
}

/// Which count stands at `path`.
pub(super) fn figure(path: &[Key]) -> Option<Figure> {
    let path = path.strip_prefix(&[Key::Message]).unwrap_or(path);
    Some(match path.strip_prefix(&[Key::Usage])? {
        [Key::InputTokens] => Figure::Input,
        [Key::OutputTokens] => Figure::Output,
        [Key::CacheReadInputTokens] => Figure::CacheRead,
        [Key::CacheCreationInputTokens] => Figure::CacheWrite,
        [Key::CacheCreation, Key::Ephemeral5m] => Figure::CacheWrite5m,
        [Key::CacheCreation, Key::Ephemeral1h] => Figure::CacheWrite1h,
        [Key::OutputTokensDetails, Key::ThinkingTokens] => Figure::Reasoning,
        _ => return None,
    })
}

/// What an answer says at `path`.
pub(super) fn answer(path: &[Key]) -> Said {
    match path {
        [Key::Model] | [Key::Message, Key::Model] => Said::Model,
        [Key::Type] => Said::Type,
        [Key::StopReason] | [Key::Delta, Key::StopReason] => Said::Stop,
        [Key::Content, Key::Item, Key::Text | Key::Thinking | Key::Name]
        | [Key::ContentBlock, Key::Text | Key::Thinking | Key::Name]
        | [Key::Delta, Key::Text | Key::Thinking | Key::PartialJson] => Said::Text,
        [Key::Content, Key::Item, Key::Input, ..] | [Key::ContentBlock, Key::Input, ..] => Said::Json,
        _ => Said::Nothing,
    }
}

/// Disjoint counts. Writes that the split by lifetime leaves out are five-minute ones: it comes once, early, and the
/// total may grow after it.
pub(super) fn tokens(figures: &Figures) -> Units {
    let count = |figure| figures.get(figure).unwrap_or(0);
    let cache_write_1h = count(Figure::CacheWrite1h);
    let rest = count(Figure::CacheWrite).saturating_sub(cache_write_1h);
    Units::of(&[
        (Kind::Input, count(Figure::Input)),
        (Kind::CacheRead, count(Figure::CacheRead)),
        (Kind::CacheWrite5m, rest.max(count(Figure::CacheWrite5m))),
        (Kind::CacheWrite1h, cache_write_1h),
        (Kind::Output, count(Figure::Output)),
    ])
}
