//! What of a provider's API is no exchange with a model and costs nothing: whose it is, and what it does.
//!
//! Such a request is let through where the policy says so, under the provider's credential, and counted; it is neither
//! held to a budget nor recorded. Some of it is not harmless under a credential that many share (whoever may list files
//! may delete them), and some costs money that is not metered here (a training) or not before its results are read (a
//! batch, see [`crate::wire::batch`]): a policy names what it lets through.

use crate::wire::path;
use crate::wire::recognise::{Recognised, recognise};
use serde::{Deserialize, Serialize};

/// What a free request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
pub enum Free {
    /// Lists models, or describes one.
    Models,
    /// Counts the tokens of a prompt.
    CountTokens,
    /// Judges a text.
    Moderation,
    /// Reads what is kept at the provider: files, batches and their results, stored answers.
    Read,
    /// Makes, changes and deletes it. Runs of assistants and trainings are among it: their cost is not metered.
    Manage,
    /// Starts and stops batches. They are charged as their results are downloaded, by `read`; before, nothing is held.
    Batch,
}

impl Free {
    /// All there is.
    pub const ALL: [Self; 6] =
        [Self::Models, Self::CountTokens, Self::Moderation, Self::Read, Self::Manage, Self::Batch];
    /// What is let through unless a policy says otherwise.
    pub const USUAL: [Self; 3] = [Self::Models, Self::CountTokens, Self::Moderation];

    /// The word that metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::CountTokens => "count_tokens",
            Self::Moderation => "moderation",
            Self::Read => "read",
            Self::Manage => "manage",
            Self::Batch => "batch",
        }
    }
}

/// A free request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What it does.
    pub what: Free,
    /// Whose API it is: first parts of the wire formats' names, one of which the provider serves.
    pub of: &'static [&'static str],
    /// The provider whose paths look so, see [`path::provider_of`].
    pub place: Option<&'static str>,
}

/// Nouns of OpenAI's API, which many others have taken over.
const OPENAI: [&str; 17] = [
    "models",
    "files",
    "uploads",
    "batches",
    "moderations",
    "responses",
    "conversations",
    "threads",
    "assistants",
    "vector_stores",
    "fine_tuning",
    "containers",
    "evals",
    "completions",
    "images",
    "videos",
    "audio",
];

/// Nouns of Anthropic's API that have the same names; its SDKs send `anthropic-version` with every request.
const ANTHROPIC: [&str; 5] = ["models", "files", "messages", "batches", "skills"];

/// What a request is, if its path is one of a provider's API that costs nothing. `anthropic`: it has the header
/// `anthropic-version`.
#[must_use]
pub fn request(method: &str, path: &str, anthropic: bool) -> Option<Request> {
    let Recognised::Free(word) = recognise(method, path) else { return None };
    let lower = path.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let steps: Vec<&str> = lower.split('/').filter(|step| !step.is_empty()).collect();
    let of = family(&steps, anthropic)?;
    let what =
        match word {
            "count_tokens" => Free::CountTokens,
            "moderation" => Free::Moderation,
            "batch" => Free::Batch,
            "management" if method == "POST" || method == "DELETE" || method == "PATCH" => {
                if steps.contains(&"batches") { Free::Batch } else { Free::Manage }
            }
            "read" if lists_models(&steps) => Free::Models,
            "read" => Free::Read,
            // Sessions, and methods that no provider knows.
            _ => return None,
        };
    Some(Request { what, of, place: path::provider_of(path) })
}

fn lists_models(steps: &[&str]) -> bool {
    let models = |step: &str| step == "models" || step == "foundation-models";
    match steps {
        [.., "api", "tags" | "ps" | "version"] => true,
        // A model's name may have slashes of its own.
        _ => steps.iter().any(|step| models(step)) && !steps.iter().any(|step| OPENAI.contains(step) && !models(step)),
    }
}

fn family(steps: &[&str], anthropic: bool) -> Option<&'static [&'static str]> {
    let has = |name: &str| steps.contains(&name);
    let any = |names: &[&str]| steps.iter().any(|step| names.contains(step));
    let verb = steps.last().is_some_and(|step| step.contains(':'));
    match steps {
        // What a company's administrators see.
        _ if any(&["organization", "organizations"]) => None,
        _ if anthropic && any(&ANTHROPIC) => Some(&["anthropic."]),
        [.., "messages", "count_tokens" | "batches"]
        | [.., "messages", "batches", _]
        | [.., "messages", "batches", _, _] => Some(&["anthropic."]),
        _ if verb
            || any(&["v1beta", "v1alpha", "publishers", "cachedcontents", "filesearchstores", "interactions"]) =>
        {
            Some(&["gemini.", "vertex."])
        }
        ["model", .., "count-tokens"] | ["foundation-models" | "inference-profiles", ..] => Some(&["bedrock."]),
        [.., "api", "tags" | "ps" | "version"] => Some(&["ollama."]),
        [.., "tokenize" | "detokenize"] => Some(&["cohere.", "llamacpp.", "openai."]),
        [.., "predictions", _] | [.., "predictions", _, "cancel"] => Some(&["replicate."]),
        _ if any(&OPENAI) || has("token_count") => Some(&["openai."]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_nothing_is_told_with_whose_it_is() {
        let cases = [
            ("GET", "/v1/models", false, Some((Free::Models, "openai."))),
            ("GET", "/v1/models", true, Some((Free::Models, "anthropic."))),
            ("GET", "/v1/models/meta/llama-3", false, Some((Free::Models, "openai."))),
            ("GET", "/v1beta/models?pageSize=50", false, Some((Free::Models, "gemini."))),
            ("GET", "/api/tags", false, Some((Free::Models, "ollama."))),
            ("GET", "/foundation-models", false, Some((Free::Models, "bedrock."))),
            ("POST", "/v1/messages/count_tokens", false, Some((Free::CountTokens, "anthropic."))),
            ("POST", "/v1beta/models/gemini-2.5-flash:countTokens", false, Some((Free::CountTokens, "gemini."))),
            ("POST", "/model/anthropic.claude/count-tokens", false, Some((Free::CountTokens, "bedrock."))),
            ("POST", "/v1/responses/input_tokens", false, Some((Free::CountTokens, "openai."))),
            ("POST", "/v1/tokenize", false, Some((Free::CountTokens, "cohere."))),
            ("POST", "/v1/moderations", false, Some((Free::Moderation, "openai."))),
            ("GET", "/v1/files/file-1/content", false, Some((Free::Read, "openai."))),
            ("GET", "/v1/fine_tuning/jobs", false, Some((Free::Read, "openai."))),
            ("GET", "/v1/messages/batches/b/results", false, Some((Free::Read, "anthropic."))),
            ("POST", "/v1/files", false, Some((Free::Manage, "openai."))),
            ("DELETE", "/v1/files/file-1", true, Some((Free::Manage, "anthropic."))),
            ("POST", "/v1/threads/t/runs", false, Some((Free::Manage, "openai."))),
            ("POST", "/v1/responses/r/cancel", false, Some((Free::Manage, "openai."))),
            ("POST", "/v1/batches", false, Some((Free::Batch, "openai."))),
            ("POST", "/v1/messages/batches", false, Some((Free::Batch, "anthropic."))),
            ("GET", "/healthz", false, None),
            ("GET", "/v1/organization/usage/completions", false, None),
            ("GET", "/v1/realtime?model=gpt-realtime", false, None),
        ];
        for (method, path, anthropic, want) in cases {
            let got = request(method, path, anthropic);
            assert_eq!(got.map(|got| (got.what, got.of[0])), want, "{method} {path}");
        }
        assert_eq!(request("POST", "/v1/chat/completions", false), None);
        assert_eq!(request("OPTIONS", "/v1/models", false), None);
    }
}
