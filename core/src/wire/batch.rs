//! Batches: many requests that are handed in at once, answered within a day, and told of in one file of JSON lines.
//!
//! | step | OpenAI, and what speaks it | Anthropic |
//! |---|---|---|
//! | start | `POST …/batches` | `POST …/messages/batches` |
//! | look | `GET …/batches/{id}` names the files of results | |
//! | results | `GET …/files/{id}/content` | `GET …/messages/batches/{id}/results` |
//!
//! - <https://platform.openai.com/docs/api-reference/batch>
//! - <https://docs.anthropic.com/en/api/retrieving-message-batch-results>
//!
//! Of a file of results only sums are kept, by model and by how long the prompts are: whatever its size, they take the
//! same room. Requests that failed, expired or were called off cost nothing, whatever stands in their lines.

use super::recognise::{percent_decoded, steps};
use crate::api::Api;
use crate::usage::{Pass, Quality, Term, Terms, Units, Usage};
use std::collections::BTreeMap;

/// What a request does with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Starts it.
    Start,
    /// Asks how far it is.
    Look,
    /// Downloads results.
    Results,
}

/// A request about a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose batch it is.
    pub api: Api,
    /// What is done.
    pub step: Step,
    /// What results and batches are known by: the id of a file at OpenAI, of the batch at Anthropic. Empty at the start.
    pub id: String,
}

/// What a method and a path say of a batch. A file may be another than one of results: only its lines tell.
#[must_use]
pub fn request(method: &str, path: &str) -> Option<Request> {
    let path = percent_decoded(path.split(['?', '#']).next().unwrap_or_default());
    let exact = steps(&path);
    let lower = path.to_ascii_lowercase();
    let lower = steps(&lower);
    let id = |back: usize| exact.iter().rev().nth(back).map(|id| (*id).to_owned()).unwrap_or_default();
    let (api, step, id) = match (method, lower.as_slice()) {
        ("POST", [.., "messages", "batches"]) => (Api::AnthropicBatch, Step::Start, String::new()),
        ("POST", [.., "batches"]) => (Api::OpenAiBatch, Step::Start, String::new()),
        ("GET", [.., "messages", "batches", _, "results"]) => (Api::AnthropicBatch, Step::Results, id(1)),
        ("GET", [.., "messages", "batches", _]) => return None,
        ("GET", [.., "batches", _]) => (Api::OpenAiBatch, Step::Look, id(0)),
        // Files of other things have the same last steps.
        ("GET", [.., "vector_stores" | "containers", _, "files", _, "content"]) => return None,
        ("GET", [.., "files", _, "content"]) => (Api::OpenAiBatch, Step::Results, id(1)),
        _ => return None,
    };
    Some(Request { api, step, id })
}

/// Edges of the tiers that prices have by the length of a prompt. Prompts between two edges reach the same tier, so
/// they are priced as a sum. `control-plane`'s price book is tested to have no others.
pub const EDGES: [u64; 9] = [32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288];
/// Sums that are told apart. OpenAI's batches are of one model; Anthropic has not that many.
const GROUPS_MAX: usize = 64;

/// What one line tells.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Whether the request was answered well; absent when that is not said.
    pub(super) ok: Option<bool>,
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
}

/// What the lines so far used.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// By model, and by the place of the prompt among the edges: the longest prompt, and the counts.
    groups: BTreeMap<(Option<String>, usize), (u64, Units)>,
    reasoning: u64,
    terms: Terms,
    reported_nano_usd: Option<u64>,
    model: Option<String>,
    /// A line could not be read, or not be told apart.
    is_partial: bool,
    /// A request was answered, and its line does not say what it used.
    pub(super) missing: bool,
}

impl Sums {
    /// Adds a line; `None` for one that could not be read.
    pub(super) fn add(&mut self, line: Option<Line>) {
        let Some(Line { ok, model, usage }) = line else {
            self.is_partial = true;
            return;
        };
        if ok == Some(false) {
            return;
        }
        let Some(usage) = usage else {
            // Judging texts is free.
            let free = model.as_deref().is_some_and(|model| model.contains("moderation"));
            self.missing |= ok == Some(true) && !free;
            return;
        };
        let mut rest = usage.units;
        for pass in usage.passes {
            for (kind, count) in pass.units.used() {
                rest.set(kind, rest.get(kind).saturating_sub(count));
            }
            self.count(pass.model.or_else(|| model.clone()), &pass.units);
        }
        if !rest.is_empty() {
            self.count(model.clone(), &rest);
        }
        self.reasoning = self.reasoning.saturating_add(usage.reasoning);
        self.terms.extend(usage.terms);
        if let Some(nano_usd) = usage.reported_nano_usd {
            self.reported_nano_usd = Some(self.reported_nano_usd.unwrap_or(0).saturating_add(nano_usd));
        }
        self.is_partial |= usage.quality != Quality::Exact;
        self.model = model.or(self.model.take());
    }

    fn count(&mut self, model: Option<String>, units: &Units) {
        let prompt = units.prompt();
        let mut key = (model, place(prompt));
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            self.is_partial = true;
            key = self.groups.keys().next().cloned().unwrap_or(key);
        }
        let (longest, sum) = self.groups.entry(key).or_default();
        *longest = prompt.max(*longest);
        sum.add_all(units);
    }

    /// The model that answered, of several the last.
    pub(super) fn model(&self) -> Option<String> {
        self.model.clone()
    }

    /// All that was used; `None` when no line told of any.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.groups.is_empty() {
            return None;
        }
        let is_partial = self.is_partial || self.missing;
        let mut usage = Usage::new(Units::default(), if is_partial { Quality::Partial } else { Quality::Exact });
        self.groups.values().for_each(|(_, units)| usage.units.add_all(units));
        usage.reasoning = self.reasoning;
        usage.terms.clone_from(&self.terms);
        usage.terms.insert(Term::ServiceTier, "batch".to_owned());
        usage.reported_nano_usd = self.reported_nano_usd;
        // One sum by one model is priced as it is, unless it is longer than its parts.
        let plain = self.groups.len() == 1 && self.groups.keys().all(|(_, at)| *at == place(usage.units.prompt()));
        if !plain {
            let pass = |((model, _), (longest, units)): (&(Option<String>, usize), &(u64, Units))| Pass {
                model: model.clone(),
                units: *units,
                longest: Some(*longest),
            };
            usage.passes = self.groups.iter().map(pass).collect();
        }
        Some(usage)
    }
}

/// Where a prompt lies among the edges; a tier may begin at one or above it.
fn place(prompt: u64) -> usize {
    EDGES.iter().map(|edge| usize::from(prompt >= *edge).saturating_add(usize::from(prompt > *edge))).sum()
}

#[cfg(test)]
mod tests;
