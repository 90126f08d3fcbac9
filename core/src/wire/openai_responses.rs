//! OpenAI's responses.
//!
//! - Request and answer: <https://platform.openai.com/docs/api-reference/responses>
//! - Stream: <https://platform.openai.com/docs/api-reference/responses-streaming>: the last event
//!   repeats the whole answer, usage in it.
//! - In the background the first answer has no usage, and each poll repeats the last:
//!   <https://platform.openai.com/docs/guides/background>.
//!
//! `input_tokens` holds cached ones, `output_tokens` reasoning: also xAI's, whose chat leaves it out.

use super::dialect::{Ask, Dialect, Figure, Figures, Media, Reading, Said, Unit, Word};
use super::json::Key;
use super::openai_chat;
use crate::usage::Term;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: openai_chat::OVERHEAD, generates: true, tells_end: true };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::MaxOutputTokens] => Ask::Cap,
        [Key::Background] => Ask::Background,
        [Key::ServiceTier] => Ask::Term(Term::ServiceTier),
        [Key::Tools, ..] | [Key::Text, Key::Format, ..] => Ask::Schema,
        [Key::Instructions | Key::Input] => Ask::Text,
        [Key::Input, rest @ ..] => match rest {
            [.., Key::ImageUrl] => Ask::Media(Media::Image),
            [.., Key::Role | Key::Type | Key::Id | Key::Status] => Ask::Skip,
            _ => openai_chat::content(rest),
        },
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    let whole = path.strip_prefix(&[Key::Response]).unwrap_or(path);
    match whole {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Id] => Said::Word(Word::Id),
        [Key::Status] => Said::Word(Word::Status),
        [Key::ServiceTier] => Said::Word(Word::Tier),
        [Key::Type] => Said::Word(Word::Type),
        [Key::Error] => Said::Error,
        [Key::Output] => Said::List(Figure::SearchCalls),
        [Key::Output, Key::Item, Key::Type] => Said::Word(Word::Name),
        // What an event brings, or the one body does; the last event's repetition is not counted again.
        [Key::Output, Key::Item, Key::Content, Key::Item, Key::Text | Key::Refusal]
        | [Key::Output, Key::Item, Key::Summary, Key::Item, Key::Text]
        | [Key::Output, Key::Item, Key::Name | Key::Arguments]
            if whole.len() == path.len() =>
        {
            Said::Text
        }
        [Key::Delta] => Said::Text,
        [Key::Usage, rest @ ..] => match usage(rest) {
            Said::Nothing => openai_chat::usage(rest),
            said => said,
        },
        [Key::ToolUse, Key::WebSearch, Key::NumRequests] => Said::Figure(Figure::WebSearches),
        _ => Said::Nothing,
    }
}

/// What stands in a usage report.
pub(super) fn usage(path: &[Key]) -> Said {
    Said::Figure(match path {
        [Key::InputTokens] => Figure::Input,
        [Key::OutputTokens] => Figure::Output,
        [Key::TotalTokens] => Figure::Total,
        [Key::InputTokensDetails | Key::InputTokenDetails, Key::CachedTokens] => Figure::CacheRead,
        [Key::InputTokensDetails | Key::InputTokenDetails, Key::CacheWriteTokens] => Figure::CacheWrite,
        [Key::InputTokensDetails | Key::InputTokenDetails, Key::AudioTokens] => Figure::InputAudio,
        [Key::InputTokensDetails | Key::InputTokenDetails, Key::ImageTokens] => Figure::InputImage,
        [Key::OutputTokensDetails | Key::OutputTokenDetails, Key::ReasoningTokens] => Figure::Reasoning,
        [Key::OutputTokensDetails | Key::OutputTokenDetails, Key::AudioTokens] => Figure::OutputAudio,
        [Key::OutputTokensDetails | Key::OutputTokenDetails, Key::ImageTokens] => Figure::OutputImage,
        [Key::Seconds] => Figure::Seconds,
        [Key::CostInUsdTicks] => return Said::Cost(Unit::Ticks),
        _ => return Said::Nothing,
    })
}

/// Searches are counted by the report of them, else by the calls among the outputs.
pub(super) fn reading(figures: &Figures) -> Reading {
    let writes = [figures.count(Figure::CacheWrite), 0];
    Reading::inclusive(figures, figures.count(Figure::Input), writes, figures.count(Figure::Output))
}
