//! Bodies at paths that nobody knows, recognised by their shape: the names at the top of the JSON.
//!
//! Names that several dialects use mean the same in all of them, so a body may be read before it is known whose it is;
//! what figures mean is decided at the end.

use super::dialect::{Ask, Dialect, Said};
use super::json::Key;
use super::{
    anthropic_complete, anthropic_messages, bedrock_converse, bedrock_invoke, cohere, gemini_generate,
    gemini_interactions, ollama, openai_chat, openai_completions, openai_responses, tgi, watsonx,
};
use crate::api::Api;

pub(super) static DIALECT: Dialect = Dialect {
    ask,
    said,
    reading: openai_chat::reading,
    overhead: openai_chat::OVERHEAD,
    generates: false,
    tells_end: false,
};

fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Messages | Key::System, .., Key::Source, _] => anthropic_messages::ask(path),
        [Key::Contents | Key::SystemInstruction | Key::GenerationConfig, ..] => gemini_generate::ask(path),
        [Key::Input | Key::Instructions | Key::MaxOutputTokens | Key::Background, ..] => openai_responses::ask(path),
        [Key::InferenceConfig | Key::ToolConfig, ..] => bedrock_converse::ask(path),
        [Key::Inputs | Key::Parameters, ..] => tgi::ask(path),
        [Key::Message | Key::ChatHistory | Key::Documents | Key::Query | Key::Texts, ..] => cohere::ask(path),
        [Key::ModelId, ..] => watsonx::ask(path),
        [Key::MaxTokensToSample] => anthropic_complete::ask(path),
        [Key::Options | Key::Images, ..] => ollama::ask(path),
        [Key::Prompt | Key::Suffix, ..] => openai_completions::ask(path),
        _ => openai_chat::ask(path),
    }
}

fn said(path: &[Key]) -> Said {
    const DIALECTS: [fn(&[Key]) -> Said; 12] = [
        openai_completions::said,
        openai_responses::said,
        gemini_generate::said,
        anthropic_messages::said,
        bedrock_converse::said,
        gemini_interactions::said,
        cohere::said,
        anthropic_complete::said,
        watsonx::said,
        tgi::said,
        bedrock_invoke::said,
        ollama::said,
    ];
    DIALECTS.iter().map(|said| said(path)).find(|said| *said != Said::Nothing).unwrap_or(Said::Nothing)
}

/// Whose request has such a name at its top. Later names may know better.
pub(super) fn of_request(name: Key) -> Option<Api> {
    Some(match name {
        Key::Messages => Api::OpenAiChat,
        Key::Contents => Api::GeminiGenerate,
        Key::InferenceConfig => Api::BedrockConverse,
        Key::Input | Key::Instructions => Api::OpenAiResponses,
        Key::Inputs => Api::TgiGenerate,
        Key::MaxTokensToSample => Api::AnthropicComplete,
        Key::Prompt => Api::OpenAiCompletions,
        Key::ChatHistory | Key::Message => Api::CohereChat,
        _ => return None,
    })
}

/// Whose answer has such a name at its top.
pub(super) fn of_answer(name: Key) -> Option<Api> {
    Some(match name {
        Key::Choices => Api::OpenAiChat,
        Key::Candidates | Key::UsageMetadata => Api::GeminiGenerate,
        Key::Output | Key::Response => Api::OpenAiResponses,
        Key::StopReason | Key::Content | Key::ContentBlock => Api::AnthropicMessages,
        Key::StopReasonCamel => Api::BedrockConverse,
        Key::Generations | Key::Meta => Api::CohereChat,
        Key::InputTextTokenCount | Key::Generation | Key::PromptTokenCountSnake => Api::BedrockInvoke,
        Key::PromptEvalCount | Key::EvalCount | Key::Done => Api::OllamaChat,
        Key::GeneratedText => Api::TgiGenerate,
        Key::Results => Api::WatsonxGenerate,
        Key::Completion => Api::AnthropicComplete,
        _ => return None,
    })
}
