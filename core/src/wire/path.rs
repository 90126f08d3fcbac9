//! A request's path, changed: without the caller's key, with another model; and whose path it is by its looks.

use super::recognise::{Recognised, Target, percent_decoded, recognise};
use std::fmt::Write as _;

/// A path without its query's `key`, in which Google's SDKs may send the API key, and that key, the first if there are
/// several. `None` when there is none: the path stays.
#[must_use]
pub fn without_key(path: &str) -> Option<(String, String)> {
    let (before, query) = path.split_once('?')?;
    let is_key = |parameter: &&str| percent_decoded(parameter.split('=').next().unwrap_or_default()) == "key";
    let key = query.split('&').find(is_key)?;
    let key = percent_decoded(key.split_once('=').map_or("", |(_, value)| value)).into_owned();
    let rest: Vec<&str> = query.split('&').filter(|parameter| !is_key(parameter)).collect();
    let path = if rest.is_empty() { before.to_owned() } else { format!("{before}?{}", rest.join("&")) };
    Some((path, key))
}

/// The value of the query's parameter `name`, the first if there are several.
#[must_use]
pub fn parameter(path: &str, name: &str) -> Option<String> {
    let (_, query) = path.split_once('?')?;
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .into_iter()
        .find(|(key, _)| percent_decoded(key) == name)
        .map(|(_, value)| percent_decoded(value).into_owned())
}

/// The path with `to` in the place of the model that it names. `None` when it names none, or when there is no way to
/// write it so that it is read as `to`.
#[must_use]
pub fn with_model(path: &str, target: &Target, to: &str) -> Option<String> {
    let from = target.model.as_deref()?;
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (steps, rest) = path.split_at(end);
    // Where a step may begin and end; the last one has its verb behind a colon.
    let starts: Vec<usize> = steps.match_indices('/').map(|(at, _)| at.saturating_add(1)).collect();
    let mut ends: Vec<usize> = steps.match_indices('/').map(|(at, _)| at).collect();
    ends.push(steps.len());
    ends.extend(steps.rfind(':'));
    for start in starts {
        for end in ends.iter().copied().filter(|end| *end > start) {
            let old = steps.get(start..end).unwrap_or_default();
            if percent_decoded(old) != from {
                continue;
            }
            let new = format!("{}{}{}{rest}", steps.get(..start)?, encoded(to, old.contains('/')), steps.get(end..)?);
            let renamed = Target { model: Some(to.to_owned()), ..target.clone() };
            if recognise("POST", &new) == Recognised::Exchange(renamed) {
                return Some(new);
            }
        }
    }
    None
}

/// Percent-encoded for a step of a path, its slashes too unless they part steps.
fn encoded(text: &str, keep_slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => out.push(char::from(byte)),
            b'/' if keep_slashes => out.push('/'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The provider whose paths look so, in the price book's name, where one wire format is served under paths that differ:
/// Azure's deployments, Vertex' projects, Databricks' endpoints.
#[must_use]
pub fn provider_of(path: &str) -> Option<&'static str> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let has = |name: &str| path.split('/').any(|step| step.eq_ignore_ascii_case(name));
    match () {
        () if has("deployments") => Some("azure"),
        () if has("publishers") || (has("projects") && has("locations")) => Some("vertex"),
        () if has("serving-endpoints") => Some("databricks"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_query_is_taken_out_and_the_rest_stays() {
        let cases = [
            ("/v1beta/models/m:generateContent?key=pk-1", Some(("/v1beta/models/m:generateContent", "pk-1"))),
            ("/m?alt=sse&key=pk-1&x=%2F", Some(("/m?alt=sse&x=%2F", "pk-1"))),
            ("/m?k%65y=pk%2D1&key=b", Some(("/m", "pk-1"))),
            ("/m?key", Some(("/m", ""))),
            ("/m?monkey=1&alt=key", None),
            ("/m/key=1", None),
        ];
        for (path, want) in cases {
            let want = want.map(|(path, key)| (path.to_owned(), key.to_owned()));
            assert_eq!(without_key(path), want, "{path}");
        }
    }

    #[test]
    fn the_model_in_a_path_is_replaced_so_that_it_is_read_as_the_new_one() {
        let cases = [
            (
                "/openai/deployments/gpt-4o/chat/completions?api-version=1",
                "my gpt",
                Some("/openai/deployments/my%20gpt/chat/completions?api-version=1"),
            ),
            (
                "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
                "gemini-2.5-pro",
                Some("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"),
            ),
            (
                "/v1/projects/models/locations/l/publishers/anthropic/models/claude@1:rawPredict",
                "claude@2",
                Some("/v1/projects/models/locations/l/publishers/anthropic/models/claude@2:rawPredict"),
            ),
            ("/model/claude-v1%3A0/converse", "eu.claude-v1:0", Some("/model/eu.claude-v1%3A0/converse")),
            (
                "/model/claude/invoke",
                "arn:aws:bedrock:eu:1:inference-profile/x",
                Some("/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Ainference-profile%2Fx/invoke"),
            ),
            ("/v1/models/owner/name/predictions", "other/one", Some("/v1/models/other/one/predictions")),
            ("/model/model/converse", "other", Some("/model/other/converse")),
            ("/v1/chat/completions", "other", None),
        ];
        for (path, to, want) in cases {
            let Recognised::Exchange(target) = recognise("POST", path) else { panic!("{path} is not known") };
            assert_eq!(with_model(path, &target, to).as_deref(), want, "{path}");
        }
    }

    #[test]
    fn some_paths_tell_the_provider() {
        let cases = [
            ("/openai/deployments/d/embeddings?x=/publishers/", Some("azure")),
            ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", Some("vertex")),
            ("/v1/publishers/google/models/m:generateContent", Some("vertex")),
            ("/v1beta/models/m:generateContent", None),
            ("/serving-endpoints/e/invocations", Some("databricks")),
            ("/v1/projects", None),
        ];
        for (path, want) in cases {
            assert_eq!(provider_of(path), want, "{path}");
        }
    }
}
