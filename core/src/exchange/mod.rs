//! The state machine of one exchange: from the request's head to the record.
//!
//! The host feeds what it sees, in order, and does what it is told:
//!
//! ```text
//! begin ─► push_request… ─► decide ─► Forward ─► response_head ─► response_body… ─► finish ─► record
//!                             │  ▲
//!                             ▼  │ resume (after one sync with the control plane)
//!                            Wait ┘         Refuse ─────────────────────────────► finish ─► record
//! ```
//!
//! - A request is held until it was read whole: only then is it known what it asks for and what it may cost.
//! - What costs nothing passes ([`Begun::Pass`]) with its caller known and its credentials taken out, and is no exchange.
//! - An answer that the provider still works on is charged with the first poll that has its usage, once.
//! - What is about a batch passes like what costs nothing, and is watched: the first whole download of its results is
//!   charged, to whoever started it.
//! - What is held of budgets is settled in `finish`, whatever happened; `finish` comes exactly once.
//! - The answer goes out whatever the meter makes of it. What cannot be read is unmetered, not free.

mod admission;
mod batch;
mod pending;
mod settlement;

use crate::api::Api;
use crate::budget::Instance;
use crate::estimate::calibration::Calibration;
use crate::free;
use crate::identity::{self, Identity, IdentityError, Presented};
use crate::limit::Pace;
use crate::meter;
use crate::policy::{Place, Policy, Subject};
use crate::providers;
use crate::record::{Denied, Estimate, Problem, Reason, Record};
use crate::refusal::{Cause, Refusal};
use crate::store::Store;
use crate::wire::batch::{self as batches, Step};
use crate::wire::path;
use crate::wire::recognise::{Recognised, Target, recognise};
use crate::wire::request::{RequestError, RequestFacts, RequestScanner};
use crate::wire::response::{Head, Passed, ResponseMeter};
use crate::wire::rewrite::{self, Edits};
use pending::{Pending, Shelf};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Key of the sequence counter in the [`Store`].
pub const SEQ_KEY: &str = "purser.seq";

/// The proxy that an exchange passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// xDS node id.
    pub id: String,
    /// This run of its process.
    pub epoch: u64,
    /// Labels learned from its node metadata.
    pub workload: BTreeMap<String, String>,
}

/// What the host lends for one call.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// What all workers share.
    pub store: &'a dyn Store,
    /// The proxy.
    pub proxy: &'a Proxy,
    /// What this worker knows of its estimates.
    pub calibration: &'a Calibration,
}

/// What the host does with the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on.
    Forward(Forward),
    /// Answer it so, and call [`Exchange::finish`] at its end.
    Refuse(Refusal),
    /// Sync these leases with the control plane, then call [`Exchange::resume`].
    Wait(Vec<Instance>),
    /// What was estimated decides: push the whole body again, which is counted this time, and decide again. Comes once.
    Count,
}

/// How a request is sent on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forward {
    /// Value of [`crate::config::ROUTE_HEADER`].
    pub route: String,
    /// Another path, if it has to be: without the caller's key, with another model.
    pub path: Option<String>,
    /// Changes to the body, if any: see [`Exchange::rewrite`].
    pub edits: Option<Edits>,
    /// Leases that will not last for long: sync them soon.
    pub low: Vec<Instance>,
}

/// How the answer ended, as the host saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its end of stream passed.
    Whole,
    /// Client or provider went away first.
    Cut,
    /// Envoy answered in the provider's place before the provider had the request.
    NotSent,
    /// Envoy answered in the provider's place after the request was on its way: it may have been worked on.
    NoAnswer,
}

/// All that is left of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// For the ledger and the access log.
    pub record: Record,
    /// Leases whose figures changed.
    pub touched: Vec<Instance>,
}

/// A budget that counts the exchange.
#[derive(Debug)]
struct Account {
    /// Index into the policy's budgets.
    rule: usize,
    instance: Instance,
    held: u64,
}

/// A rate limit's bucket that the exchange took from.
#[derive(Debug)]
struct Taken {
    key: String,
    pace: Pace,
    permits: u64,
    /// Whether the permits are tokens, to be settled at the end.
    tokens: bool,
}

#[derive(Debug)]
enum Phase {
    /// The body is coming in.
    Reading,
    /// A lease is being asked for.
    Waiting,
    /// On its way to the provider, or answered.
    Forwarded,
    /// Refused.
    Denied(Denied, u16),
}

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    policy: Rc<Policy>,
    api: Api,
    target: Target,
    content_type: String,
    /// Without the caller's key.
    path: String,
    /// It is not the one that came.
    path_changed: bool,
    /// The answer that is asked for again, whose usage nobody has charged yet.
    poll: Option<Pending>,
    /// What it does with a batch, and in the words of [`free::Free::name`].
    batch: Option<(batches::Request, &'static str)>,
    phase: Phase,
    started_ms: u64,
    first_byte_ms: Option<u64>,
    request_id: String,
    trace_id: Option<String>,
    identity: Identity,
    /// On the heap, as the meter is: an exchange is moved about.
    scanner: Option<Box<RequestScanner>>,
    facts: Option<RequestFacts>,
    /// Where it goes, once that is known.
    route: Option<Place>,
    accounts: Vec<Account>,
    taken: Vec<Taken>,
    seq: Option<u64>,
    estimate: Estimate,
    /// Of the prompt, as its text says: before what was learned of the model corrects it. Whether it is a count.
    prompt: (u64, bool),
    edits: Option<Edits>,
    low: Vec<Instance>,
    /// How often the control plane answered for this request.
    asks: u8,
    problems: Vec<Problem>,
    meter: Option<Box<ResponseMeter>>,
    status: u16,
}

impl Exchange {
    /// Starts an exchange if the request is one of an LLM API, and `None` if it is not. `headers` have lower-case names,
    /// pseudo-headers (`:path`, `:method`) among them.
    #[must_use]
    pub fn begin(host: Host<'_>, policy: Rc<Policy>, headers: &[(String, String)]) -> Option<Begun> {
        let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let (method, asked) = (header(":method")?, header(":path")?);
        let target = match recognise(method, asked) {
            Recognised::Exchange(target) => target,
            Recognised::Free("realtime") if is_session(headers) => {
                let named = ["model", "deployment"].into_iter().find_map(|name| path::parameter(asked, name));
                let model = named.filter(|model| !model.is_empty())?;
                let target = Target { api: Api::OpenAiRealtime, model: Some(model), stream: Some(true), poll: false };
                let (mut exchange, refused) = Self::new(host, policy, target, headers);
                // What is asked for stands in the path: all there is to read of a body is that there is none.
                let mut scanner = RequestScanner::of(&exchange.target, "");
                scanner.push(b"{}");
                exchange.scanner = Some(Box::new(scanner));
                return Some(match refused {
                    None => Begun::Read(exchange),
                    Some(error) => exchange.refused(host, &error),
                });
            }
            _ => return Self::free(host, &policy, headers),
        };
        let poll = target.poll.then(|| pending::find(host.store, Shelf::Answers, last_step(asked), host.now_ms));
        if poll == Some(None) {
            // Charged already, or never to be.
            let route = policy.route(target.api, "", path::provider_of(asked), host.now_ms)?;
            let (mut exchange, refused) = Self::new(host, Rc::clone(&policy), target, headers);
            return Some(match refused {
                None => Begun::Pass(exchange.pass("poll", &route.provider.name)),
                Some(error) => exchange.refused(host, &error),
            });
        }
        let scans = !target.poll;
        let content_type = header("content-type").unwrap_or_default();
        let scanner = scans.then(|| RequestScanner::of(&target, content_type));
        let (mut exchange, refused) = Self::new(host, policy, target, headers);
        exchange.scanner = scanner.map(Box::new);
        exchange.poll = poll.flatten();
        Some(match refused {
            None => Begun::Read(exchange),
            Some(error) => exchange.refused(host, &error),
        })
    }

    /// A request that costs nothing, if it is one and the policy lets such through.
    fn free(host: Host<'_>, policy: &Rc<Policy>, headers: &[(String, String)]) -> Option<Begun> {
        let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let request = free::request(header(":method")?, header(":path")?, header("anthropic-version").is_some())?;
        let batch = batches::request(header(":method")?, header(":path")?)
            .filter(|batch| request.of.iter().any(|family| batch.api.name().starts_with(family)));
        let known = batch.as_ref().and_then(|batch| Self::provider_of_batch(host, policy, batch, request));
        let (provider, api) = known.or_else(|| policy.free(request))?;
        let target = Target { api, model: None, stream: None, poll: false };
        let (mut exchange, refused) = Self::new(host, Rc::clone(policy), target, headers);
        exchange.route = policy.place_of(&provider.name);
        if let Some(error) = refused {
            return Some(exchange.refused(host, &error));
        }
        let subject = Subject { labels: &exchange.identity.labels, provider: &provider.name, model: "", api };
        Some(match policy.free_denied_by(subject) {
            None => match batch {
                None => Begun::Pass(exchange.pass(request.what.name(), &provider.name)),
                Some(batch) => {
                    exchange.api = batch.api;
                    exchange.batch = Some((batch, request.what.name()));
                    Begun::Read(exchange)
                }
            },
            Some(rule) => {
                let (by, message) = (
                    format!("AccessPolicy/{}", rule.name),
                    format!("access policy `{}` does not allow provider `{}` here", rule.name, provider.name),
                );
                let cause = Cause { by: &by, reason: Reason::Access, message: &message, retry_ms: None };
                let refusal = exchange.refuse(host, cause);
                Begun::Refuse(exchange, refusal)
            }
        })
    }

    /// An exchange whose caller is known, or why the caller is not let in.
    fn new(
        host: Host<'_>,
        policy: Rc<Policy>,
        target: Target,
        headers: &[(String, String)],
    ) -> (Self, Option<IdentityError>) {
        let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let asked = header(":path").unwrap_or_default();
        let without_key = path::without_key(asked);
        let path_changed = without_key.is_some();
        let (path, key) = without_key.map_or((asked.to_owned(), None), |(path, key)| (path, Some(key)));
        let secret = identity::virtual_key(headers, key.as_deref());
        let presented = Presented { secret, headers, workload: &host.proxy.workload };
        let known = identity::identify(&policy.config.identity, &policy.keys, presented, host.now_ms);
        let (identity, refused) = match known {
            Ok(identity) => (identity, None),
            Err((identity, error)) => (identity, Some(error)),
        };
        let trace_id = header("traceparent").and_then(|value| value.split('-').nth(1)).filter(|id| id.len() == 32);
        let exchange = Self {
            api: target.api,
            target,
            content_type: header("content-type").unwrap_or_default().to_owned(),
            path,
            path_changed,
            poll: None,
            batch: None,
            phase: Phase::Reading,
            started_ms: host.now_ms,
            first_byte_ms: None,
            request_id: header("x-request-id").unwrap_or_default().to_owned(),
            trace_id: trace_id.map(str::to_owned),
            identity,
            scanner: None,
            facts: None,
            route: None,
            accounts: Vec::new(),
            taken: Vec::new(),
            seq: None,
            estimate: Estimate::default(),
            prompt: (0, false),
            edits: None,
            low: Vec::new(),
            asks: 0,
            problems: Vec::new(),
            meter: None,
            status: 0,
            policy,
        };
        (exchange, refused)
    }

    fn refused(mut self, host: Host<'_>, error: &IdentityError) -> Begun {
        let refusal = self.refuse_caller(host, error);
        Begun::Refuse(self, refusal)
    }

    fn pass(&mut self, what: &'static str, provider: &str) -> Pass {
        Pass { what, route: provider.to_owned(), path: self.changed_path() }
    }

    fn changed_path(&mut self) -> Option<String> {
        self.path_changed.then(|| std::mem::take(&mut self.path))
    }

    fn refuse_caller(&mut self, host: Host<'_>, error: &IdentityError) -> Refusal {
        let message = error.to_string();
        self.refuse(host, Cause { by: "Identity", reason: Reason::Unauthenticated, message: &message, retry_ms: None })
    }

    /// Its wire format.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api
    }

    /// Whether it was sent on to a provider.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        matches!(self.phase, Phase::Forwarded)
    }

    /// Whether [`Self::decide`] waits for the request's body.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.scanner.is_some() && self.api != Api::OpenAiRealtime
    }

    /// What it does if it leaves no record: `poll`, or in the words of [`free::Free::name`].
    #[must_use]
    pub fn passes_as(&self) -> &'static str {
        self.batch.as_ref().map_or("poll", |(_, what)| what)
    }

    /// Its number, once it was admitted or refused.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// Reads a piece of the request's body.
    pub fn push_request(&mut self, chunk: &[u8]) {
        if let Some(scanner) = &mut self.scanner {
            scanner.push(chunk);
        }
    }

    /// The whole body, as the verdict wants it.
    #[must_use]
    pub fn rewrite(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (facts, edits) = (self.facts.as_ref()?, self.edits.as_ref()?);
        Some(rewrite::rewrite(self.api, &facts.model, body, &facts.spans, edits))
    }

    /// Reads the head of the provider's answer.
    pub fn response_head(&mut self, head: Head<'_>) {
        self.status = head.status;
        let strip = self.rewrites_response();
        let meter = ResponseMeter::new(Some(self.api), head, strip);
        let is_results = self.batch.as_ref().is_some_and(|(batch, _)| batch.step == Step::Results);
        let meter = if is_results { meter.lines() } else { meter };
        // What will not be told is counted.
        let meter = if self.streams_without_usage() { meter.counting(self.seed()) } else { meter };
        self.meter = Some(Box::new(meter));
    }

    /// Whether the answer is a stream that will not report: nobody asked for usage, or the API has none.
    fn streams_without_usage(&self) -> bool {
        let asked = self.rewrites_response() || self.facts.as_ref().is_some_and(|facts| facts.include_usage);
        let silent = meter::reports_nothing(self.api);
        let streams = self.facts.as_ref().is_some_and(|facts| facts.stream);
        let route = self.route.and_then(|place| self.policy.routed(place));
        let unasked = route.is_some_and(|route| providers::reports_unasked(&route.provider.catalog));
        streams && (silent || (rewrite::asks_for_usage(self.api) && !asked && !unasked))
    }

    /// A number that callers and models do not know.
    fn seed(&self) -> u64 {
        self.started_ms ^ self.seq.unwrap_or(0).rotate_left(32)
    }

    /// Headers of the answer that [`Self::response_header`] wants to see.
    pub fn wanted_headers(&self) -> impl Iterator<Item = &'static str> + use<> {
        ResponseMeter::wanted_headers(Some(self.api))
    }

    /// Takes in a header that counts.
    pub fn response_header(&mut self, name: &str, value: &str) {
        if let Some(meter) = &mut self.meter {
            meter.header(name, value);
        }
    }

    /// Whether the answer may go out changed, so that its announced length no longer holds.
    #[must_use]
    pub fn rewrites_response(&self) -> bool {
        self.edits.as_ref().is_some_and(|edits| edits.include_usage)
    }

    /// Whether the time of the first byte is still to be told.
    #[must_use]
    pub fn awaits_first_byte(&self) -> bool {
        self.first_byte_ms.is_none()
    }

    /// The first byte of the answer's body came.
    pub fn first_byte(&mut self, now_ms: u64) {
        self.first_byte_ms = Some(now_ms.saturating_sub(self.started_ms));
    }

    /// Reads a piece of the provider's answer, and says what goes to the client in its place.
    pub fn response_body(&mut self, chunk: &[u8], last: bool) -> Passed {
        match &mut self.meter {
            Some(meter) => meter.push(chunk, last),
            None => Passed::Unchanged,
        }
    }

    /// Name of the provider it goes to; empty when none was chosen.
    fn provider(&self) -> &str {
        let route = self.route.and_then(|place| self.policy.routed(place));
        route.map_or("", |route| route.provider.name.as_str())
    }

    fn number(&mut self, host: Host<'_>) {
        if self.seq.is_none() {
            self.seq = Some(crate::store::next_number(host.store, SEQ_KEY));
        }
    }

    fn refuse(&mut self, host: Host<'_>, cause: Cause<'_>) -> Refusal {
        self.number(host);
        let refusal = Refusal::new(self.api, cause, &self.request_id);
        self.phase = Phase::Denied(refusal.denied.clone(), refusal.status);
        refusal
    }

    fn refuse_body(&mut self, host: Host<'_>, error: &RequestError) -> Refusal {
        self.problems.push(Problem::RequestUnreadable);
        let message = error.to_string();
        self.refuse(host, Cause { by: "Request", reason: Reason::BadRequest, message: &message, retry_ms: None })
    }
}

/// What came of a request's head.
#[derive(Debug)]
pub enum Begun {
    /// Read the body, then decide.
    Read(Exchange),
    /// Refuse it at once.
    Refuse(Exchange, Refusal),
    /// Send it on: it costs nothing, and nothing more of it matters here.
    Pass(Pass),
}

/// A request that costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// What it does, in the words of [`free::Free::name`], or `poll`.
    pub what: &'static str,
    /// Value of [`crate::config::ROUTE_HEADER`].
    pub route: String,
    /// Another path, if it has to be.
    pub path: Option<String>,
}

/// Whether a request opens a session of OpenAI's.
fn is_session(headers: &[(String, String)]) -> bool {
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let path = header(":path").split(['?', '#']).next().unwrap_or_default();
    header("upgrade").eq_ignore_ascii_case("websocket") && path.trim_end_matches('/').ends_with("/realtime")
}

/// The last step of a path: the id of what is read.
fn last_step(path: &str) -> &str {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
