//! A request's body with a few fields changed: another model, a cap on the output, usage asked for.

use super::json::{Key, Span};
use super::request::Spans;
use crate::api::Api;
use crate::estimate::{self, Family};
use std::borrow::Cow;

/// What shall be changed in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Another model.
    pub model: Option<String>,
    /// Another cap on the output tokens of one choice.
    pub max_tokens: Option<u64>,
    /// Ask for usage in the stream (OpenAI's chat and completions only).
    pub include_usage: bool,
}

/// Whether streams of this API report only when asked to.
#[must_use]
pub fn asks_for_usage(api: Api) -> bool {
    matches!(api, Api::OpenAiChat | Api::OpenAiCompletions)
}

/// Whether the output of this API can be capped in its body. `model` tells the maker where the API has several.
#[must_use]
pub fn caps_output(api: Api, model: &str) -> bool {
    cap_name(api, model).is_some()
}

/// Names of the field that caps the output, from the top of the body.
///
/// OpenAI's own chat models want `max_completion_tokens`, and some refuse the older `max_tokens`, which is the one name that
/// all other makers' know. A name that tells no maker, such as an Azure deployment's, is taken for OpenAI's: <https://platform.openai.com/docs/api-reference/chat/create>,
/// <https://api-docs.deepseek.com/api/create-chat-completion>, <https://docs.mistral.ai/api>.
fn cap_name(api: Api, model: &str) -> Option<&'static [Key]> {
    Some(match api {
        Api::OpenAiChat if !is_anothers(model) => &[Key::MaxCompletionTokens],
        Api::OpenAiChat | Api::AnthropicMessages | Api::OpenAiCompletions | Api::CohereChat => &[Key::MaxTokens],
        Api::OpenAiResponses => &[Key::MaxOutputTokens],
        Api::GeminiGenerate => &[Key::GenerationConfig, Key::MaxOutputTokensCamel],
        Api::GeminiInteractions => &[Key::GenerationConfig, Key::MaxOutputTokens],
        Api::BedrockConverse => &[Key::InferenceConfig, Key::MaxTokensCamel],
        Api::BedrockInvoke if model.contains("anthropic.") || model.contains("mistral.") => &[Key::MaxTokens],
        Api::BedrockInvoke if model.contains("amazon.nova") => &[Key::InferenceConfig, Key::MaxTokensCamel],
        Api::BedrockInvoke if model.contains("amazon.titan") => &[Key::TextGenerationConfig, Key::MaxTokenCount],
        Api::BedrockInvoke if model.contains("meta.") => &[Key::MaxGenLen],
        Api::OllamaChat | Api::OllamaGenerate => &[Key::Options, Key::NumPredict],
        Api::TgiGenerate | Api::WatsonxGenerate => &[Key::Parameters, Key::MaxNewTokens],
        Api::AnthropicComplete => &[Key::MaxTokensToSample],
        Api::LlamaCppCompletion => &[Key::NPredict],
        Api::AlephAlphaComplete => &[Key::MaximumTokens],
        _ => return None,
    })
}

/// Whether a model is of another maker than OpenAI, as far as its name tells.
fn is_anothers(model: &str) -> bool {
    const MAKERS: [&str; 14] = [
        "command", "doubao", "ernie", "glm", "grok", "hunyuan", "jamba", "kimi", "minimax", "moonshot", "nova",
        "palmyra", "phi-", "sonar",
    ];
    let name = model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    !matches!(estimate::family(&name), Family::O200k | Family::Cl100k)
        || MAKERS.iter().any(|maker| name.starts_with(maker))
}

/// The body with `edits`, in one copy; all else byte for byte as it was. `model` is the one that was asked for.
///
/// A value that is there is replaced where it stands, one that is missing comes after the opening brace.
#[must_use]
pub fn rewrite(api: Api, model: &str, body: &[u8], spans: &Spans, edits: &Edits) -> Vec<u8> {
    let mut changes: Vec<(Span, String)> = Vec::new();
    let mut fresh: Vec<String> = Vec::new();
    if let (Some(model), Some(span)) = (&edits.model, spans.model) {
        changes.push((span, serde_json::Value::from(model.as_str()).to_string()));
    }
    if let Some(cap) = edits.max_tokens {
        changes.extend(spans.caps.iter().flatten().map(|span| (*span, cap.to_string())));
        if spans.caps == [None, None] {
            let model = edits.model.as_deref().map_or(Cow::Borrowed(model), Cow::Borrowed);
            match (cap_name(api, &model), spans.cap_parent) {
                (Some([name]), _) => fresh.push(format!("\"{}\":{cap}", name.name())),
                (Some([_, name]), Some(at)) => {
                    let comma = if spans.cap_parent_filled { "," } else { "" };
                    changes.push((inside(at), format!("\"{}\":{cap}{comma}", name.name())));
                }
                (Some([parent, name]), None) => {
                    fresh.push(format!("\"{}\":{{\"{}\":{cap}}}", parent.name(), name.name()));
                }
                _ => {}
            }
        }
    }
    if edits.include_usage && asks_for_usage(api) {
        match (spans.include_usage, spans.stream_options, spans.stream_options_filled) {
            (Some(span), ..) => changes.push((span, "true".to_owned())),
            (None, Some(span), Some(filled)) => {
                let comma = if filled { "," } else { "" };
                changes.push((inside(span.start), format!("\"include_usage\":true{comma}")));
            }
            (None, Some(span), None) => changes.push((span, "{\"include_usage\":true}".to_owned())),
            (None, None, _) => fresh.push("\"stream_options\":{\"include_usage\":true}".to_owned()),
        }
    }
    if !fresh.is_empty() {
        // Every API's request has a member of its own after these.
        changes.push((inside(spans.object_start), format!("{},", fresh.join(","))));
    }
    changes.sort_by_key(|(span, _)| span.start);
    let added: usize = changes.iter().map(|(_, text)| text.len()).fold(0, usize::saturating_add);
    let mut out = Vec::with_capacity(body.len().saturating_add(added));
    let mut from = 0;
    for (span, text) in &changes {
        out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

/// After the opening brace at `at`.
fn inside(at: usize) -> Span {
    let at = at.saturating_add(1);
    Span { start: at, end: at }
}
