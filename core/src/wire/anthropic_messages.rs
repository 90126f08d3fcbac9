//! Anthropic's messages: what stands where in its JSON. Also on Vertex and Bedrock, and spoken by Ollama and others.
//!
//! - Request and answer: <https://docs.anthropic.com/en/api/messages> (read 2026-11-23)
//! - Stream: <https://docs.anthropic.com/en/docs/build-with-claude/streaming> (read 2026-11-23). `message_start` holds
//!   the first counts, `message_delta` the last ones; with server tools its input and cache counts are larger than the
//!   first. So the last count that is not null holds, for each by itself.
//! - Caches: <https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching> (read 2026-11-23). `input_tokens`
//!   leaves cached tokens out, both read and written.
//! - `usage.iterations`: what each model did where several were at work (compaction, an adviser, a fallback); the counts
//!   above them leave some out. Seen in recorded traffic of 2026.

use super::dialect::{Ask, Dialect, Figure, Overhead, Reading, Said, Unit, Word};
use super::json::Key;
use crate::usage::Term;

/// Tokens around each message, and those that open the answer, as far as reported counts of short prompts show. With
/// tools comes a system prompt: 159 to 530 tokens with Claude 3
/// (<https://docs.anthropic.com/en/docs/tool-use-pricing-and-tokens>, read 2026-11-24), 346 with Claude 4 as users of it
/// report. An image is about width × height / 750, scaled down to at most 1,600 before Opus 4.7:
/// <https://docs.anthropic.com/en/docs/build-with-claude/vision> (read 2026-11-23).
pub(super) const OVERHEAD: Overhead =
    Overhead { message: 4, priming: 3, tools: 346, name: 0, schema_percent: 100, image: 1_600 };

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading: Reading::exclusive, overhead: OVERHEAD, generates: true, tells_end: true };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::MaxTokens] => Ask::Cap,
        [Key::ServiceTier] => Ask::Term(Term::ServiceTier),
        [Key::Speed] => Ask::Term(Term::Speed),
        [Key::InferenceGeo] => Ask::Term(Term::Geo),
        [Key::Tools | Key::OutputFormat, ..] | [Key::OutputConfig, Key::Format, ..] => Ask::Schema,
        [Key::Messages, Key::Item, Key::Content, Key::Item, Key::Input, ..] => Ask::Json,
        [Key::Messages | Key::System, rest @ ..] => match rest {
            [.., Key::Source, Key::Type] => Ask::SourceType,
            [.., Key::Source, Key::MediaType] => Ask::MediaType,
            [.., Key::Source, Key::Data] => Ask::SourceData,
            [.., Key::Source, Key::Url | Key::FileId] => Ask::Media(super::dialect::Media::Image),
            [.., Key::Role | Key::Type | Key::Id | Key::ToolUseId | Key::Signature | Key::FileId] => Ask::Skip,
            // Thinking that was redacted, not a source's.
            [.., Key::Data] | [.., Key::CacheControl, _] => Ask::Skip,
            _ => Ask::Text,
        },
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    let path = path.strip_prefix(&[Key::Message]).unwrap_or(path);
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Id] => Said::Word(Word::Id),
        [Key::Type] => Said::Word(Word::Type),
        [Key::Error] => Said::Error,
        [Key::StopReason] | [Key::Delta, Key::StopReason] => Said::Word(Word::Stop),
        [Key::Content, Key::Item, Key::Text | Key::Thinking | Key::Name]
        | [Key::ContentBlock, Key::Text | Key::Thinking | Key::Name]
        | [Key::Delta, Key::Text | Key::Thinking | Key::PartialJson] => Said::Text,
        [Key::Content, Key::Item, Key::Input, ..] | [Key::ContentBlock, Key::Input, ..] => Said::Json,
        [Key::Usage, Key::Iterations] => Said::Passes,
        [Key::Usage, Key::Iterations, Key::Item] => Said::Pass,
        [Key::Usage, Key::Iterations, Key::Item, rest @ ..] | [Key::Usage, rest @ ..] => usage(rest),
        _ => Said::Nothing,
    }
}

fn usage(path: &[Key]) -> Said {
    Said::Figure(match path {
        [Key::InputTokens] => Figure::Input,
        [Key::OutputTokens] => Figure::Output,
        [Key::CacheReadInputTokens] => Figure::CacheRead,
        [Key::CacheCreationInputTokens] => Figure::CacheWrite,
        [Key::CacheCreation, Key::Ephemeral5m] => Figure::CacheWrite5m,
        [Key::CacheCreation, Key::Ephemeral1h] => Figure::CacheWrite1h,
        [Key::OutputTokensDetails, Key::ThinkingTokens] => Figure::Reasoning,
        [Key::ServerToolUse, Key::WebSearchRequests] => Figure::WebSearches,
        [Key::ServiceTier] => return Said::Word(Word::Tier),
        [Key::Speed] => return Said::Word(Word::Speed),
        [Key::InferenceGeo] => return Said::Word(Word::Geo),
        // Of a pass.
        [Key::Model] => return Said::Word(Word::Model),
        [Key::Type] => return Said::Word(Word::Name),
        [Key::Cost] => return Said::Cost(Unit::Usd),
        _ => return Said::Nothing,
    })
}
