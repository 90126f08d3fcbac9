//! Which API a request speaks, told by its method and path: whatever stands before the API's own last steps.
//!
//! Gateways put prefixes before a provider's path (`/router/v2/openai/v1/…`), so only the end of a path counts. It is
//! read as servers read it: without its query, percent-decoded, without empty and dotted steps, in any case.
//!
//! Some providers have the model in the path alone: it is taken from there.

use crate::api::Api;
use std::borrow::Cow;

/// What a method and a path say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// An exchange with a model.
    Exchange(Target),
    /// A provider's API that costs nothing: counting tokens, lists, files, reading back. The word says which.
    Free(&'static str),
    /// Nothing that is known. A body may still have a known shape.
    Unknown,
}

/// An exchange with a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The wire format.
    pub api: Api,
    /// The model, where the path names it.
    pub model: Option<String>,
    /// Whether the answer is a stream, where the path says so.
    pub stream: Option<bool>,
    /// It reads the answer of an earlier request: charged once, if that one ran in the background.
    pub poll: bool,
}

impl Target {
    fn at(api: Api) -> Recognised {
        Recognised::Exchange(Self { api, model: None, stream: None, poll: false })
    }

    fn of(api: Api, model: &str, stream: Option<bool>) -> Recognised {
        let model = Some(model.to_owned()).filter(|model| !model.is_empty());
        Recognised::Exchange(Self { api, model, stream, poll: false })
    }
}

/// What a request is, by its method and path.
#[must_use]
pub fn recognise(method: &str, path: &str) -> Recognised {
    let path = percent_decoded(path.split(['?', '#']).next().unwrap_or_default());
    let exact = steps(&path);
    let lowered = path.bytes().any(|byte| byte.is_ascii_uppercase()).then(|| path.to_ascii_lowercase());
    let lower = lowered.as_deref().map(steps);
    let lower = lower.as_deref().unwrap_or(&exact);
    match method {
        "POST" => post(&exact, lower),
        "GET" => get(lower),
        _ => Recognised::Free("management"),
    }
}

fn get(lower: &[&str]) -> Recognised {
    match lower {
        [.., "responses", id] if !id.is_empty() => {
            Recognised::Exchange(Target { api: Api::OpenAiResponses, model: None, stream: None, poll: true })
        }
        [.., "interactions", id] if !id.is_empty() => {
            Recognised::Exchange(Target { api: Api::GeminiInteractions, model: None, stream: None, poll: true })
        }
        // A session of frames that no HTTP filter sees.
        [.., "realtime"] | [.., "v1alpha" | "v1beta", "google.ai.generativelanguage.bidigeneratecontent"] => {
            Recognised::Free("realtime")
        }
        _ => Recognised::Free("read"),
    }
}

fn post(exact: &[&str], lower: &[&str]) -> Recognised {
    bedrock(exact, lower).or_else(|| google(exact, lower)).unwrap_or_else(|| by_last_steps(exact, lower))
}

/// Things that are kept at a provider, not asked of a model.
const MANAGED: [&str; 6] = ["threads", "vector_stores", "assistants", "uploads", "files", "fine_tuning"];

fn by_last_steps(exact: &[&str], lower: &[&str]) -> Recognised {
    match lower {
        [.., "deployments", _, "chat", "completions"] => {
            Target::of(Api::OpenAiChat, exact.iter().rev().nth(2).copied().unwrap_or_default(), None)
        }
        [.., "deployments", _, "audio", "transcriptions" | "translations"] => {
            Target::of(Api::OpenAiTranscription, exact.iter().rev().nth(2).copied().unwrap_or_default(), None)
        }
        [.., "deployments", _, "audio", "speech"] => {
            Target::of(Api::OpenAiSpeech, exact.iter().rev().nth(2).copied().unwrap_or_default(), None)
        }
        [.., "deployments", _, "images", "generations" | "edits"] => {
            Target::of(Api::OpenAiImages, exact.iter().rev().nth(2).copied().unwrap_or_default(), None)
        }
        [.., "deployments", _, "completions"] => {
            Target::of(Api::OpenAiCompletions, exact.iter().rev().nth(1).copied().unwrap_or_default(), None)
        }
        [.., "deployments", _, "embeddings"] => {
            Target::of(Api::OpenAiEmbeddings, exact.iter().rev().nth(1).copied().unwrap_or_default(), None)
        }
        [.., "chat" | "fim", "completions"] => Target::at(Api::OpenAiChat),
        [.., "completions"] => Target::at(Api::OpenAiCompletions),
        [.., "responses"] | [.., "responses", "compact"] => Target::at(Api::OpenAiResponses),
        [.., "responses", "input_tokens"] => Recognised::Free("count_tokens"),
        [.., "responses", _, "cancel"] => Recognised::Free("management"),
        [.., "threads", _, "messages"] => Recognised::Free("management"),
        [.., "messages"] => Target::at(Api::AnthropicMessages),
        [.., "messages", "count_tokens"] | [.., "tokenize" | "detokenize" | "count_tokens" | "token_count"] => {
            Recognised::Free("count_tokens")
        }
        [.., "batches"] | [.., "batches", _, "cancel"] => Recognised::Free("batch"),
        ["complete"] => Target::at(Api::AlephAlphaComplete),
        [.., "v1", "complete"] => Target::at(Api::AnthropicComplete),
        [.., "api", "embed" | "embeddings"] => Target::at(Api::OllamaEmbed),
        [.., "embeddings" | "multimodalembeddings" | "contextualizedembeddings"] => Target::at(Api::OpenAiEmbeddings),
        [.., "images", "generations" | "edits" | "variations"] => Target::at(Api::OpenAiImages),
        [.., "audio", "speech"] => Target::at(Api::OpenAiSpeech),
        [.., "audio", "transcriptions" | "translations"] => Target::at(Api::OpenAiTranscription),
        [.., "moderations"] => Recognised::Free("moderation"),
        [.., "rerank"] => Target::at(Api::CohereRerank),
        [.., "v1" | "v2", "chat"] | [.., "v1", "generate"] => Target::at(Api::CohereChat),
        [.., "v1" | "v2", "embed"] => Target::at(Api::CohereEmbed),
        [.., "api", "chat"] => Target::at(Api::OllamaChat),
        [.., "api", "generate"] => Target::at(Api::OllamaGenerate),
        ["completion" | "infill"] => Target::at(Api::LlamaCppCompletion),
        ["generate" | "generate_stream"] => {
            Target::of(Api::TgiGenerate, "", Some(lower.last() == Some(&"generate_stream")))
        }
        [.., "interactions"] => Target::at(Api::GeminiInteractions),
        [.., "ocr"] => Target::at(Api::MistralOcr),
        [.., "text", last @ ("generation" | "generation_stream" | "chat" | "chat_stream")]
        | [.., "generation", last @ ("text" | "text_stream")] => {
            Target::of(Api::WatsonxGenerate, "", Some(last.ends_with("_stream")))
        }
        [.., "serving-endpoints", _, "invocations"] => {
            Target::of(Api::OpenAiChat, exact.iter().rev().nth(1).copied().unwrap_or_default(), None)
        }
        [.., "endpoints", _, last @ ("invocations" | "invocations-response-stream")] => {
            let name = exact.iter().rev().nth(1).copied().unwrap_or_default();
            Target::of(Api::SageMakerInvoke, name, Some(last.ends_with("-stream")))
        }
        [.., "models", owner, name, "predictions"] => {
            let at = exact.len().saturating_sub(3);
            let named = exact.get(at..at.saturating_add(2)).map(|model| model.join("/"));
            Target::of(Api::ReplicatePredictions, &named.unwrap_or_else(|| format!("{owner}/{name}")), None)
        }
        [.., "predictions"] => Target::at(Api::ReplicatePredictions),
        [
            ..,
            "files" | "uploads" | "models" | "assistants" | "threads" | "vector_stores" | "cachedcontents"
            | "filesearchstores" | "calls",
        ] => Recognised::Free("management"),
        _ if lower.iter().any(|step| MANAGED.contains(step)) => Recognised::Free("management"),
        _ => Recognised::Unknown,
    }
}

/// `/model/{id}/{action}`; the id may be an ARN, with slashes of its own.
fn bedrock(exact: &[&str], lower: &[&str]) -> Option<Recognised> {
    let start = lower.iter().position(|step| *step == "model")?.saturating_add(1);
    let end = lower.len().checked_sub(1)?;
    let id = exact.get(start..end).filter(|id| !id.is_empty())?.join("/");
    Some(match *lower.last()? {
        "converse" => Target::of(Api::BedrockConverse, &id, Some(false)),
        "converse-stream" => Target::of(Api::BedrockConverse, &id, Some(true)),
        "invoke" => Target::of(Api::BedrockInvoke, &id, Some(false)),
        "invoke-with-response-stream" => Target::of(Api::BedrockInvoke, &id, Some(true)),
        "count-tokens" => Recognised::Free("count_tokens"),
        _ => return None,
    })
}

/// `…/{name}:{verb}` of Gemini and Vertex.
fn google(exact: &[&str], lower: &[&str]) -> Option<Recognised> {
    let (name, _) = exact.last()?.rsplit_once(':')?;
    let (_, verb) = lower.last()?.rsplit_once(':')?;
    // Those that are not Google's own speak their makers' formats.
    let publisher = match lower {
        [.., "publishers", publisher, "models", _] => *publisher,
        _ => "google",
    };
    Some(match verb {
        "generatecontent" => Target::of(Api::GeminiGenerate, name, Some(false)),
        "streamgeneratecontent" => Target::of(Api::GeminiGenerate, name, Some(true)),
        "embedcontent" | "batchembedcontents" | "asyncbatchembedcontent" => {
            Target::of(Api::GeminiEmbed, name, Some(false))
        }
        "counttokens" | "computetokens" | "countmessagetokens" | "counttexttokens" => Recognised::Free("count_tokens"),
        "rawpredict" | "streamrawpredict" => {
            let api = if publisher == "anthropic" { Api::AnthropicMessages } else { Api::OpenAiChat };
            Target::of(api, name, Some(verb == "streamrawpredict"))
        }
        "predict" => Target::of(Api::VertexPredict, name, Some(false)),
        "complete" => Target::at(Api::OpenAiChat),
        "batchgeneratecontent" | "uploadtofilesearchstore" | "importfile" => Recognised::Free("management"),
        _ => return None,
    })
}

/// Steps of a path without empty and dotted ones.
pub(super) fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::with_capacity(8);
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            _ => steps.push(step),
        }
    }
    steps
}

/// A decoded path may have more slashes: they part steps too.
pub(super) fn percent_decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let code = digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from((high << 4) | low).ok());
        let (decoded, left) = match (byte, code) {
            (b'%', Some(code)) => (code, after.get(2..).unwrap_or_default()),
            _ => (byte, after),
        };
        out.push(decoded);
        rest = left;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(method: &str, path: &str) -> Option<Api> {
        match recognise(method, path) {
            Recognised::Exchange(target) => Some(target.api),
            _ => None,
        }
    }

    #[test]
    fn an_api_is_known_by_how_its_path_ends() {
        let (chat, messages) = (Some(Api::OpenAiChat), Some(Api::AnthropicMessages));
        let cases = [
            ("POST", "/v1/chat/completions", chat),
            ("POST", "/v1/chat/completions?api-version=2024-10-21", chat),
            ("POST", "/router/v2/openai/v1/chat/completions/", chat),
            ("POST", "/v1//chat/./completions", chat),
            ("POST", "/v1/%63hat%2Fcompletions", chat),
            ("POST", "/v1/chat/completions/x/..", chat),
            ("POST", "/V1/Chat/Completions", chat),
            ("POST", "/v1/fim/completions", chat),
            ("POST", "/v1/messages", messages),
            ("POST", "/anthropic/v1/messages?beta=true", messages),
            ("POST", "/v1/completions", Some(Api::OpenAiCompletions)),
            ("POST", "/v1/embeddings", Some(Api::OpenAiEmbeddings)),
            ("POST", "/api/embeddings", Some(Api::OllamaEmbed)),
            ("POST", "/v1/responses", Some(Api::OpenAiResponses)),
            ("GET", "/v1/responses/resp_1?stream=true", Some(Api::OpenAiResponses)),
            ("POST", "/v1/images/edits", Some(Api::OpenAiImages)),
            ("POST", "/v1/audio/speech", Some(Api::OpenAiSpeech)),
            ("POST", "/v1/audio/translations", Some(Api::OpenAiTranscription)),
            ("POST", "/v1/complete", Some(Api::AnthropicComplete)),
            ("POST", "/complete", Some(Api::AlephAlphaComplete)),
            ("POST", "/v2/chat", Some(Api::CohereChat)),
            ("POST", "/api/chat", Some(Api::OllamaChat)),
            ("POST", "/ml/v1/text/generation_stream?version=x", Some(Api::WatsonxGenerate)),
            ("POST", "/serving-endpoints/llama/invocations", chat),
            ("POST", "/endpoints/llama/invocations", Some(Api::SageMakerInvoke)),
            ("GET", "/v1/chat/completions", None),
            ("DELETE", "/v1/messages", None),
            ("POST", "", None),
            ("POST", "/%", None),
            ("POST", "/chatty/complete-this?x=/chat/completions", None),
        ];
        for (method, path, want) in cases {
            assert_eq!(api(method, path), want, "{method} {path}");
        }
    }

    #[test]
    fn what_costs_nothing_is_told_from_what_is_not_known() {
        let free = [
            ("POST", "/v1/messages/count_tokens"),
            ("POST", "/v1/messages/batches"),
            ("POST", "/v1/responses/input_tokens"),
            ("POST", "/v1/threads/thread_1/messages"),
            ("POST", "/v1/moderations"),
            ("POST", "/v1beta/models/gemini-2.5-flash:countTokens"),
            ("POST", "/model/anthropic.claude/count-tokens"),
            ("POST", "/v1/files"),
            ("GET", "/v1/models"),
            ("GET", "/v1/realtime?model=gpt-realtime"),
            ("DELETE", "/v1/files/file-1"),
        ];
        for (method, path) in free {
            assert!(matches!(recognise(method, path), Recognised::Free(_)), "{method} {path}");
        }
        assert_eq!(recognise("POST", "/orders"), Recognised::Unknown);
    }

    #[test]
    fn some_paths_name_the_model_and_whether_it_streams() {
        let cases = [
            ("/openai/deployments/my-gpt/chat/completions?api-version=1", Api::OpenAiChat, "my-gpt", None),
            ("/openai/deployments/Embed-3/embeddings", Api::OpenAiEmbeddings, "Embed-3", None),
            ("/v1beta/models/gemini-2.5-flash:generateContent", Api::GeminiGenerate, "gemini-2.5-flash", Some(false)),
            (
                "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
                Api::GeminiGenerate,
                "gemini-2.5-pro",
                Some(true),
            ),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4@20250514:streamRawPredict",
                Api::AnthropicMessages,
                "claude-sonnet-4@20250514",
                Some(true),
            ),
            (
                "/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse-stream",
                Api::BedrockConverse,
                "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
                Some(true),
            ),
            (
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.meta.llama3/invoke",
                Api::BedrockInvoke,
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama3",
                Some(false),
            ),
            (
                "/v1/models/black-forest-labs/flux/predictions",
                Api::ReplicatePredictions,
                "black-forest-labs/flux",
                None,
            ),
        ];
        for (path, api, model, stream) in cases {
            let Recognised::Exchange(target) = recognise("POST", path) else { panic!("{path} is not known") };
            assert_eq!((target.api, target.model.as_deref(), target.stream), (api, Some(model), stream), "{path}");
        }
    }
}
