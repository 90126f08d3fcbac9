//! OpenAI's chat completions: what stands where in its JSON.
//!
//! - Request: <https://platform.openai.com/docs/api-reference/chat/create> (read 2026-11-23)
//! - Answer: <https://platform.openai.com/docs/api-reference/chat/object> (read 2026-11-23)
//! - Stream: <https://platform.openai.com/docs/api-reference/chat-streaming> (read 2026-11-23)
//!
//! Also spoken by Azure, Mistral, Groq, `DeepSeek`, xAI, `OpenRouter`, Perplexity, vLLM, Ollama and many others. What
//! those add is read where it has one meaning: `x_groq.usage`, other names of cached tokens, content in parts, reasoning
//! text, what they say it costs. Not Mistral's `num_cached_tokens`: it may be more than the whole prompt.

use super::dialect::{Ask, Dialect, Figure, Figures, Media, Overhead, Reading, Said, Unit, Word};
use super::json::Key;
use crate::usage::Term;

/// Tokens of an image: the most that `detail: high` takes (six tiles of 170, and 85).
/// <https://platform.openai.com/docs/guides/images-vision#calculating-costs> (read 2026-11-23)
const IMAGE_TOKENS: u64 = 1_105;
/// Tokens of an image with `detail: low`. Same source.
pub(super) const LOW_IMAGE_TOKENS: u64 = 85;

/// Around each message three tokens and one for its role, one for a name, three that open the answer, twelve with tools:
/// <https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken> (read 2026-11-23). The provider renders tool
/// definitions shorter than JSON: that formula gives 82 % in the mean, 90 at the 95th percentile, and leaves out nested
/// schemas.
pub(super) const OVERHEAD: Overhead =
    Overhead { message: 4, priming: 3, tools: 12, name: 1, schema_percent: 90, image: IMAGE_TOKENS };

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: OVERHEAD, generates: true, tells_end: true };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::MaxTokens | Key::MaxCompletionTokens] => Ask::Cap,
        [Key::N] => Ask::Choices,
        [Key::ServiceTier] => Ask::Term(Term::ServiceTier),
        [Key::StreamOptions] => Ask::StreamOptions,
        [Key::StreamOptions, Key::IncludeUsage] => Ask::IncludeUsage,
        [Key::Tools | Key::Functions | Key::ResponseFormat, ..] => Ask::Schema,
        // Mistral's code completion.
        [Key::Prompt | Key::Suffix] => Ask::Text,
        [Key::Messages, Key::Item, Key::Name] => Ask::Text,
        [Key::Messages, rest @ ..] => content(rest),
        _ => Ask::Skip,
    }
}

/// What stands in a list of messages.
pub(super) fn content(path: &[Key]) -> Ask {
    match path {
        [.., Key::Role | Key::Type | Key::Id | Key::ToolCallId | Key::Format | Key::FileId] => Ask::Skip,
        // What proves reasoning that is sent back is no text.
        [.., Key::Signature] | [.., Key::Signature, Key::Item] | [.., Key::CacheControl, _] => Ask::Skip,
        [.., Key::ImageUrl, Key::Url] => Ask::Image,
        [.., Key::ImageUrl | Key::Url | Key::VideoUrl] => Ask::Media(Media::Image),
        [.., Key::ImageUrl, Key::Detail] => Ask::Detail,
        [.., Key::InputAudio] | [.., Key::InputAudio, Key::Data] => Ask::Media(Media::Audio),
        [.., Key::FileData | Key::DocumentUrl] => Ask::Media(Media::File),
        _ => Ask::Text,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Id] => Said::Word(Word::Id),
        [Key::ServiceTier] => Said::Word(Word::Tier),
        [Key::Error] => Said::Error,
        [Key::Choices, Key::Item, Key::FinishReason] => Said::Word(Word::Stop),
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
        [Key::XGroq, Key::Usage, rest @ ..] | [Key::Usage, rest @ ..] => usage(rest),
        _ => Said::Nothing,
    }
}

/// What stands in a usage report.
pub(super) fn usage(path: &[Key]) -> Said {
    let figure = match path {
        [Key::PromptTokens] => Figure::Input,
        [Key::CompletionTokens] => Figure::Output,
        [Key::TotalTokens] => Figure::Total,
        [Key::PromptTokensDetails, Key::CachedTokens]
        | [Key::CachedTokens | Key::PromptCacheHitTokens | Key::CacheReadInputTokens] => Figure::CacheRead,
        [Key::PromptTokensDetails, Key::CacheWriteTokens] | [Key::CacheCreationInputTokens] => Figure::CacheWrite,
        [Key::PromptTokensDetails, Key::AudioTokens] => Figure::InputAudio,
        [Key::PromptTokensDetails, Key::ImageTokens] => Figure::InputImage,
        [Key::PromptTokensDetails, Key::VideoTokens] => Figure::InputVideo,
        [Key::CompletionTokensDetails, Key::ReasoningTokens] | [Key::ReasoningTokens] => Figure::Reasoning,
        [Key::CompletionTokensDetails, Key::AudioTokens] => Figure::OutputAudio,
        [Key::CompletionTokensDetails, Key::ImageTokens] => Figure::OutputImage,
        [Key::PromptAudioSeconds] => Figure::AudioSeconds,
        [Key::NumSourcesUsed] => Figure::Sources,
        [Key::NumSearchQueries] | [Key::ServerToolUse, Key::WebSearchRequests] => Figure::WebSearches,
        [Key::SearchContextSize] => return Said::Word(Word::SearchContext),
        [Key::ServiceTier] => return Said::Word(Word::Tier),
        [Key::Cost] | [Key::Cost, Key::TotalCost] | [Key::PydanticGateway, Key::CostEstimate] => {
            return Said::Cost(Unit::Usd);
        }
        [Key::CostInUsdTicks] => return Said::Cost(Unit::Ticks),
        [Key::MarketCost] => return Said::Mark(Figure::MarketCost),
        _ => return Said::Nothing,
    };
    Said::Figure(figure)
}

/// `prompt_tokens` holds what a cache served or stored; a cache may claim more than there was.
///
/// Some leave a part out of one count, which the total tells: xAI reasoning out of the output, Gemini's compatible
/// endpoint thinking too, without a count of it, Mistral sound out of the prompt. Vercel's gateway leaves it out of the
/// total as well before some models; what it charges tells.
pub(super) fn reading(figures: &Figures) -> Reading {
    let reasoning = figures.count(Figure::Reasoning);
    let heard = figures.get(Figure::AudioSeconds).is_some() || figures.count(Figure::InputAudio) > 0;
    let mut prompt = figures.count(Figure::Input);
    let mut output = figures.count(Figure::Output);
    let mut audio = figures.count(Figure::InputAudio);
    let unexplained = figures.count(Figure::Total).saturating_sub(prompt).saturating_sub(output);
    if unexplained > 0 {
        match figures.get(Figure::Output) {
            _ if reasoning > 0 && reasoning == unexplained => output = output.saturating_add(reasoning),
            Some(_) if !heard => output = output.saturating_add(unexplained),
            _ => {
                prompt = prompt.saturating_add(unexplained);
                audio = audio.max(if figures.get(Figure::AudioSeconds).is_some() { unexplained } else { 0 });
            }
        }
    } else if figures.get(Figure::MarketCost).is_some() && reasoning > output {
        output = output.saturating_add(reasoning);
    }
    let writes = [figures.count(Figure::CacheWrite), 0];
    let mut figures = *figures;
    figures.set(Figure::InputAudio, audio);
    Reading::inclusive(&figures, prompt, writes, output)
}
