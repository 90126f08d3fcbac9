//! Gemini's interactions.
//!
//! <https://ai.google.dev/api/interactions-api>. Cached tokens are inside the input; thoughts and what
//! tools put into the prompt stand beside.

use super::dialect::{Ask, Dialect, Figure, Said, Split, Word};
use super::gemini_generate;
use super::json::Key;
use super::openai_responses;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said,
    reading: gemini_generate::reading,
    overhead: gemini_generate::OVERHEAD,
    generates: false,
    tells_end: true,
};

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::GenerationConfig] => Ask::CapParent,
        [Key::GenerationConfig, Key::MaxOutputTokens | Key::MaxOutputTokensCamel] => Ask::Cap,
        [Key::SystemInstruction, ..] => Ask::Text,
        [Key::Input, .., Key::MimeType] | [Key::Input, .., Key::Data] => Ask::Skip,
        _ => openai_responses::ask(path),
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    let path = path.strip_prefix(&[Key::Interaction]).unwrap_or(path);
    let split = |key: &Key| match key {
        Key::InputTokensByModality => Some(Split::Prompt),
        Key::CachedTokensByModality => Some(Split::Cache),
        Key::OutputTokensByModality => Some(Split::Output),
        Key::GroundingToolCount => Some(Split::Grounding),
        _ => None,
    };
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Id] => Said::Word(Word::Id),
        [Key::Status] => Said::Word(Word::Status),
        [Key::Type] => Said::Word(Word::Type),
        [Key::ServiceTier] => Said::Word(Word::Tier),
        [Key::Error] => Said::Error,
        [Key::Delta, Key::Text] | [.., Key::Content, Key::Item, Key::Text] => Said::Text,
        // An event has its usage in what goes with it.
        [Key::Metadata, Key::Usage | Key::TotalTokens, ..] => Said::Nothing,
        [Key::Usage, rest @ ..] => match rest {
            [Key::TotalInputTokens] => Said::Figure(Figure::Input),
            [Key::TotalOutputTokens] => Said::Figure(Figure::Output),
            [Key::TotalThoughtTokens] => Said::Figure(Figure::Reasoning),
            [Key::TotalToolUseTokens] => Said::Figure(Figure::ToolPrompt),
            [Key::TotalCachedTokens] => Said::Figure(Figure::CacheRead),
            [Key::TotalTokens] => Said::Figure(Figure::Total),
            [list] => split(list).map_or(Said::Nothing, Said::Split),
            [list, Key::Item] => split(list).map_or(Said::Nothing, Said::Part),
            [list, Key::Item, Key::Modality | Key::Type] => {
                split(list).map_or(Said::Nothing, |_| Said::Word(Word::Name))
            }
            [list, Key::Item, Key::Tokens | Key::Count] => split(list).map_or(Said::Nothing, Said::Part),
            _ => Said::Nothing,
        },
        _ => Said::Nothing,
    }
}
