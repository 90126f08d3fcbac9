//! Refusals, in the words of the caller's API, so that its official SDK raises the right exception.
//!
//! - `x-purser-denied-by` names the rule and `x-purser-reason` the reason, in every dialect.
//! - `x-should-retry: false` on everything that waiting seconds does not cure; the official SDKs of OpenAI and
//!   Anthropic then do not repeat the call. `retry-after` only where waiting helps.
//!
//! Sources: `openai/openai-python:src/openai/_base_client.py`,
//! `anthropics/anthropic-sdk-python:src/anthropic/_base_client.py`,
//! <https://platform.openai.com/docs/guides/error-codes>, <https://docs.anthropic.com/en/api/errors> (2026-11).

use crate::api::Api;
use crate::record::{Denied, Reason};
use serde_json::json;

/// A refusal that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule, and why.
    pub denied: Denied,
    /// HTTP status.
    pub status: u16,
    /// Response headers.
    pub headers: Vec<(&'static str, String)>,
    /// Response body, JSON.
    pub body: String,
}

/// What a refusal is made of.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// `Kind/name` of the rule.
    pub by: &'a str,
    /// Why.
    pub reason: Reason,
    /// For the developer who reads it.
    pub message: &'a str,
    /// When to come back, where waiting helps.
    pub retry_ms: Option<u64>,
}

/// Whose shape an error has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    OpenAi,
    Anthropic,
    Google,
    Aws,
    /// Cohere, Ollama and the like: a message.
    Plain,
}

impl Shape {
    fn of(api: Api) -> Self {
        match api {
            Api::AnthropicBatch | Api::AnthropicMessages | Api::AnthropicComplete => Self::Anthropic,
            Api::GeminiGenerate | Api::GeminiEmbed | Api::GeminiInteractions | Api::VertexPredict => Self::Google,
            Api::BedrockConverse | Api::BedrockInvoke | Api::SageMakerInvoke => Self::Aws,
            Api::CohereChat | Api::CohereEmbed | Api::CohereRerank => Self::Plain,
            Api::OllamaChat | Api::OllamaGenerate | Api::OllamaEmbed | Api::TgiGenerate => Self::Plain,
            Api::AlephAlphaComplete | Api::ReplicatePredictions | Api::WatsonxGenerate => Self::Plain,
            _ => Self::OpenAi,
        }
    }
}

/// Status; OpenAI's `type` and `code`; Anthropic's `type`; Google's `status`; AWS' error type.
///
/// Whether SDKs repeat the call depends on these words: AWS' on the error type, of which `ThrottlingException` is
/// repeated and `ServiceQuotaExceededException` is not.
fn words(shape: Shape, reason: Reason) -> (u16, [&'static str; 5]) {
    match (reason, shape) {
        (Reason::Unauthenticated, Shape::Aws) => (403, ["", "", "", "", "UnrecognizedClientException"]),
        (Reason::Unauthenticated, _) => {
            (401, ["invalid_request_error", "invalid_api_key", "authentication_error", "UNAUTHENTICATED", ""])
        }
        (Reason::Access, _) => (
            403,
            ["permission_error", "model_not_allowed", "permission_error", "PERMISSION_DENIED", "AccessDeniedException"],
        ),
        (Reason::RateLimit, _) => {
            let words = [
                "rate_limit_error",
                "rate_limit_exceeded",
                "rate_limit_error",
                "RESOURCE_EXHAUSTED",
                "ThrottlingException",
            ];
            (429, words)
        }
        (Reason::Budget, Shape::Anthropic) => (400, ["", "", "invalid_request_error", "", ""]),
        (Reason::Budget, Shape::Aws) => (400, ["", "", "", "", "ServiceQuotaExceededException"]),
        (Reason::Budget, Shape::Plain) => (402, [""; 5]),
        (Reason::Budget, _) => (429, ["insufficient_quota", "budget_exceeded", "", "RESOURCE_EXHAUSTED", ""]),
        (Reason::Unpriced, _) => (
            403,
            ["permission_error", "model_not_priced", "permission_error", "PERMISSION_DENIED", "AccessDeniedException"],
        ),
        (Reason::Unavailable, _) => {
            (503, ["server_error", "budget_unavailable", "api_error", "UNAVAILABLE", "ServiceUnavailableException"])
        }
        (Reason::BadRequest, _) => {
            let words = [
                "invalid_request_error",
                "invalid_body",
                "invalid_request_error",
                "INVALID_ARGUMENT",
                "ValidationException",
            ];
            (400, words)
        }
        (Reason::NoProvider, _) => {
            let words = [
                "invalid_request_error",
                "model_not_found",
                "not_found_error",
                "NOT_FOUND",
                "ResourceNotFoundException",
            ];
            (404, words)
        }
    }
}

impl Refusal {
    /// Puts a refusal into the words of `api`. `request_id` is Anthropic's `request_id`.
    #[must_use]
    pub fn new(api: Api, cause: Cause<'_>, request_id: &str) -> Self {
        let shape = Shape::of(api);
        let (status, [kind, code, anthropic, google, aws]) = words(shape, cause.reason);
        let message = cause.message;
        let body = match shape {
            Shape::OpenAi => json!({"error": {"message": message, "type": kind, "param": null, "code": code}}),
            Shape::Anthropic => {
                json!({"type": "error", "error": {"type": anthropic, "message": message}, "request_id": request_id})
            }
            Shape::Google => {
                let retry = cause.retry_ms.filter(|_| cause.reason == Reason::RateLimit).map(|ms| {
                    let delay = format!("{}s", ms.div_ceil(1_000).max(1));
                    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
                });
                let details: Vec<_> = retry.into_iter().collect();
                json!({"error": {"code": status, "message": message, "status": google, "details": details}})
            }
            Shape::Aws => json!({"message": message}),
            Shape::Plain => json!({"message": message, "error": message}),
        };
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-purser-denied-by", cause.by.to_owned()),
            ("x-purser-reason", cause.reason.name().to_owned()),
        ];
        if shape == Shape::Aws {
            headers.push(("x-amzn-errortype", aws.to_owned()));
        }
        match cause.retry_ms {
            // The SDKs wait as told up to a minute, and may wait as they like above that: do not invite a storm.
            Some(ms) if ms <= 60_000 => {
                headers.push(("retry-after", ms.div_ceil(1_000).max(1).to_string()));
                headers.push(("retry-after-ms", ms.to_string()));
                headers.push(("x-should-retry", "true".to_owned()));
            }
            Some(ms) => {
                headers.push(("retry-after", ms.div_ceil(1_000).to_string()));
                headers.push(("x-should-retry", "false".to_owned()));
            }
            None => headers.push(("x-should-retry", "false".to_owned())),
        }
        let denied = Denied { by: cause.by.to_owned(), reason: cause.reason };
        Self { denied, status, headers, body: body.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(api: Api, reason: Reason, retry_ms: Option<u64>) -> Refusal {
        Refusal::new(api, Cause { by: "Budget/ml", reason, message: "no \"more\"", retry_ms }, "req-1")
    }

    fn header<'a>(refusal: &'a Refusal, name: &str) -> Option<&'a str> {
        refusal.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn each_dialect_gets_its_own_shape_and_status() {
        let cases = [
            (
                Api::OpenAiChat,
                Reason::Budget,
                429,
                r#"{"error":{"code":"budget_exceeded","message":"no \"more\"","param":null,"type":"insufficient_quota"}}"#,
            ),
            (
                Api::OpenAiChat,
                Reason::Access,
                403,
                r#"{"error":{"code":"model_not_allowed","message":"no \"more\"","param":null,"type":"permission_error"}}"#,
            ),
            (
                Api::AnthropicMessages,
                Reason::Budget,
                400,
                r#"{"error":{"message":"no \"more\"","type":"invalid_request_error"},"request_id":"req-1","type":"error"}"#,
            ),
            (
                Api::AnthropicMessages,
                Reason::RateLimit,
                429,
                r#"{"error":{"message":"no \"more\"","type":"rate_limit_error"},"request_id":"req-1","type":"error"}"#,
            ),
        ];
        for (api, reason, status, body) in cases {
            let refusal = refuse(api, reason, None);
            assert_eq!((refusal.status, refusal.body.as_str()), (status, body), "{api} {reason:?}");
            assert_eq!(header(&refusal, "x-purser-denied-by"), Some("Budget/ml"));
        }
    }

    #[test]
    fn others_get_the_words_that_their_sdks_go_by() {
        let refusal = refuse(Api::GeminiGenerate, Reason::RateLimit, Some(2_500));
        let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
        assert_eq!((refusal.status, &body["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
        assert_eq!(body["error"]["details"][0]["retryDelay"], "3s");
        let refusal = refuse(Api::BedrockConverse, Reason::Budget, None);
        assert_eq!(
            (refusal.status, header(&refusal, "x-amzn-errortype")),
            (400, Some("ServiceQuotaExceededException"))
        );
        for api in Api::ALL {
            for reason in
                [Reason::Unauthenticated, Reason::Access, Reason::RateLimit, Reason::Budget, Reason::BadRequest]
            {
                let refusal = refuse(*api, reason, None);
                assert!((400..500).contains(&refusal.status), "{api} {reason:?}");
                assert!(refusal.body.contains("no \\\"more\\\""), "{api} {reason:?}: {}", refusal.body);
            }
        }
    }

    #[test]
    fn only_what_waiting_cures_invites_a_retry() {
        let cases = [
            (None, Some("false"), None),
            (Some(250), Some("true"), Some("1")),
            (Some(60_000), Some("true"), Some("60")),
            (Some(60_001), Some("false"), Some("61")),
        ];
        for (retry_ms, should_retry, retry_after) in cases {
            let refusal = refuse(Api::OpenAiChat, Reason::RateLimit, retry_ms);
            assert_eq!(header(&refusal, "x-should-retry"), should_retry, "{retry_ms:?}");
            assert_eq!(header(&refusal, "retry-after"), retry_after, "{retry_ms:?}");
        }
    }
}
