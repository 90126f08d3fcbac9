//! Gemini's `generateContent`, of AI Studio and of Vertex; a stream comes as events, or as one JSON array.
//!
//! - <https://ai.google.dev/api/generate-content>
//! - <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>
//!
//! `promptTokenCount` holds cached ones; beside it stand what tools put into the prompt, and thoughts beside the
//! candidates' tokens. Each part of a stream reports anew; counts that are 0 are left out.

use super::dialect::{Ask, Dialect, Figure, Figures, Media, Overhead, Reading, Said, Split, Word};
use super::json::Key;
use crate::usage::Term;

/// An image takes 258 tokens, a large one as many for each tile of 768 pixels:
/// <https://ai.google.dev/gemini-api/docs/tokens>; Gemini 3 up to 1,120.
pub(super) const OVERHEAD: Overhead =
    Overhead { message: 1, priming: 0, tools: 0, name: 0, schema_percent: 100, image: 1_120 };

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: OVERHEAD, generates: false, tells_end: true };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::GenerationConfig] => Ask::CapParent,
        [Key::GenerationConfig, Key::MaxOutputTokensCamel | Key::MaxOutputTokens] => Ask::Cap,
        [Key::GenerationConfig, Key::CandidateCount] => Ask::Choices,
        [Key::ServiceTierCamel | Key::ServiceTier] => Ask::Term(Term::ServiceTier),
        [Key::GenerationConfig, Key::ResponseSchema, ..] | [Key::Tools, ..] => Ask::Schema,
        [Key::Contents | Key::SystemInstruction, rest @ ..] => content(rest),
        _ => Ask::Skip,
    }
}

/// What stands in contents.
pub(super) fn content(path: &[Key]) -> Ask {
    match path {
        [.., Key::InlineData, Key::MimeType] | [.., Key::FileData, Key::MimeType] => Ask::MediaType,
        [.., Key::InlineData, Key::Data] => Ask::MediaData,
        [.., Key::FileData, _] => Ask::Media(Media::Image),
        [.., Key::Role | Key::ThoughtSignature | Key::Id] => Ask::Skip,
        _ if path.contains(&Key::FunctionCallCamel) || path.contains(&Key::FunctionResponse) => Ask::Json,
        _ => Ask::Text,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    // An SDK's own wrapping.
    let path = path.strip_prefix(&[Key::Response]).unwrap_or(path);
    match path {
        [Key::ModelVersion] => Said::Word(Word::Model),
        [Key::Error] => Said::Error,
        [Key::Candidates, Key::Item, Key::FinishReasonCamel] => Said::Word(Word::Stop),
        [Key::Candidates, Key::Item, Key::Content, Key::Parts, Key::Item, Key::Text] => Said::Text,
        [Key::Candidates, Key::Item, Key::Content, Key::Parts, Key::Item, Key::FunctionCallCamel, ..] => Said::Json,
        [Key::Candidates, Key::Item, Key::GroundingMetadata, Key::WebSearchQueries] => {
            Said::List(Figure::GroundingQueries)
        }
        [Key::Candidates, Key::Item, Key::GroundingMetadata, Key::WebSearchQueries, Key::Item] => {
            Said::Each(Figure::GroundingQueries)
        }
        [Key::UsageMetadata, rest @ ..] => usage(rest),
        [Key::ServiceTierCamel] => Said::Word(Word::Tier),
        _ => Said::Nothing,
    }
}

pub(super) fn usage(path: &[Key]) -> Said {
    let split = |key: &Key| match key {
        Key::PromptTokensDetailsCamel => Some(Split::Prompt),
        Key::CacheTokensDetails => Some(Split::Cache),
        Key::ToolUsePromptTokensDetails => Some(Split::Tool),
        Key::CandidatesTokensDetails => Some(Split::Output),
        _ => None,
    };
    match path {
        [Key::PromptTokenCount] => Said::Figure(Figure::Input),
        [Key::CandidatesTokenCount] => Said::Figure(Figure::Output),
        [Key::ThoughtsTokenCount] => Said::Figure(Figure::Reasoning),
        [Key::ToolUsePromptTokenCount] => Said::Figure(Figure::ToolPrompt),
        [Key::CachedContentTokenCount] => Said::Figure(Figure::CacheRead),
        [Key::TotalTokenCount] => Said::Figure(Figure::Total),
        [Key::ServiceTierCamel | Key::TrafficType] => Said::Word(Word::Tier),
        [list] => split(list).map_or(Said::Nothing, Said::Split),
        [list, Key::Item] => split(list).map_or(Said::Nothing, Said::Part),
        [list, Key::Item, Key::Modality] => split(list).map_or(Said::Nothing, |_| Said::Word(Word::Name)),
        [list, Key::Item, Key::TokenCountCamel] => split(list).map_or(Said::Nothing, Said::Part),
        _ => Said::Nothing,
    }
}

pub(super) fn reading(figures: &Figures) -> Reading {
    let prompt = figures.count(Figure::Input).saturating_add(figures.count(Figure::ToolPrompt));
    let output = figures.count(Figure::Output).saturating_add(figures.count(Figure::Reasoning));
    Reading::inclusive(figures, prompt, [0, 0], output)
}
