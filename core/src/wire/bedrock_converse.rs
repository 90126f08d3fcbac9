//! Bedrock's Converse: one shape for all makers' models. The model is in the path alone.
//!
//! - <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
//! - <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>: the event
//!   `metadata` comes last and reports.
//! - `inputTokens` leaves cached ones out:
//!   <https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>.

use super::anthropic_messages;
use super::dialect::{Ask, Dialect, Figure, Reading, Said, Split, Word};
use super::json::Key;
use crate::usage::Term;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said,
    reading: Reading::exclusive,
    overhead: anthropic_messages::OVERHEAD,
    generates: true,
    tells_end: true,
};

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::InferenceConfig] => Ask::CapParent,
        [Key::InferenceConfig, Key::MaxTokensCamel] => Ask::Cap,
        [Key::ToolConfig, ..] => Ask::Schema,
        [Key::ServiceTierCamel, Key::Type] => Ask::Term(Term::ServiceTier),
        [Key::Messages | Key::System, rest @ ..] => match rest {
            [.., Key::Source, Key::Bytes] => Ask::MediaData,
            [.., Key::Format] => Ask::MediaType,
            [.., Key::Role | Key::ToolUseId | Key::Signature] => Ask::Skip,
            _ if rest.contains(&Key::Input) || rest.contains(&Key::Json) => Ask::Json,
            _ => Ask::Text,
        },
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::StopReasonCamel] => Said::Word(Word::Stop),
        [Key::Output, Key::Message, Key::Content, Key::Item, Key::Text]
        | [Key::Output, Key::Message, Key::Content, Key::Item, Key::ReasoningContentCamel, .., Key::Text]
        | [Key::Delta, Key::Text]
        | [Key::Delta, Key::ReasoningContentCamel, Key::Text]
        | [Key::Delta, Key::ToolUseCamel, Key::Input] => Said::Text,
        [Key::Output, Key::Message, Key::Content, Key::Item, Key::ToolUseCamel, ..] => Said::Json,
        [Key::ServiceTierCamel, Key::Type] => Said::Word(Word::Tier),
        [Key::Usage, rest @ ..] => usage(rest),
        _ => Said::Nothing,
    }
}

pub(super) fn usage(path: &[Key]) -> Said {
    Said::Figure(match path {
        [Key::InputTokensCamel] => Figure::Input,
        [Key::OutputTokensCamel] => Figure::Output,
        [Key::TotalTokensCamel] => Figure::Total,
        [Key::CacheReadTokensCamel | Key::CacheReadInputTokenCount] => Figure::CacheRead,
        [Key::CacheWriteTokensCamel | Key::CacheWriteInputTokenCount] => Figure::CacheWrite,
        [Key::CacheDetails] => return Said::Split(Split::Lifetime),
        [Key::CacheDetails, Key::Item] | [Key::CacheDetails, Key::Item, Key::InputTokensCamel] => {
            return Said::Part(Split::Lifetime);
        }
        [Key::CacheDetails, Key::Item, Key::Ttl] => return Said::Word(Word::Name),
        _ => return Said::Nothing,
    })
}
