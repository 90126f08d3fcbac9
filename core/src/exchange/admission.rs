//! Whether a request may go on: access, then rate limits, then budgets; all of them or none.

use super::pending::Pending;
use super::{Account, Exchange, Forward, Host, Phase, Taken, Verdict};
use crate::api::Api;
use crate::budget::Instance;
use crate::budget::lease::{self, Hold};
use crate::config::{BudgetRule, OnUnavailable, OnUnpriced};
use crate::estimate::{self, Family};
use crate::identity::Identity;
use crate::labels::Labels;
use crate::limit::{self, Answer, Pace};
use crate::money::NanoUsd;
use crate::policy::{Policy, Subject};
use crate::pricing::book::Price;
use crate::pricing::cost::{affordable_output, cost, worst_case};
use crate::providers;
use crate::record::{Problem, Reason};
use crate::refusal::{Cause, Refusal};
use crate::usage::{Kind, Quality, Terms, Units, Usage};
use crate::wire::path;
use crate::wire::request::{RequestFacts, RequestScanner};
use crate::wire::rewrite::{self, Edits};
use std::rc::Rc;

/// Output tokens that are held when neither the request, the policy nor the model says how many may come.
pub(super) const FALLBACK_OUTPUT_TOKENS: u64 = 4_096;
/// A request is not capped below this: an answer of a few tokens is of no use to anyone.
const LEAST_CLAMPED_TOKENS: u64 = 16;

/// What is known of the control plane when budgets are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It may be asked, for the first time or again.
    MayAsk,
    /// It was asked often enough.
    Enough,
    /// It did not answer.
    Unreachable,
}

/// How often one request asks: others may take what was granted for it.
const ASKS: u8 = 3;

/// A refusal before it is put into words.
struct Stop {
    by: String,
    reason: Reason,
    message: String,
    retry_ms: Option<u64>,
    /// It may be for an estimate's error alone.
    close: bool,
}

/// Why budgets did not let a request pass.
enum Short {
    Stop(Stop),
    Ask(Vec<Instance>),
}

/// What a request may put out.
#[derive(Clone, Copy)]
struct Output {
    /// Tokens of one choice.
    each: u64,
    /// Choices asked for.
    choices: u64,
    /// What is not charged by tokens.
    fees: NanoUsd,
}

/// What is to be held for.
struct Wanted<'a> {
    price: &'a Price<'a>,
    output: Output,
    /// The output may be capped down to so many tokens when no more can be had.
    least: Option<u64>,
    /// On which terms it was asked for.
    terms: &'a Terms,
}

impl Output {
    fn total(self) -> u64 {
        self.each.saturating_mul(self.choices)
    }
}

impl Exchange {
    /// Decides, after the last piece of the body was pushed.
    pub fn decide(&mut self, host: Host<'_>) -> Verdict {
        if let Some(pending) = self.poll.take() {
            return self.poll(host, pending);
        }
        if self.batch.is_some() && matches!(self.phase, Phase::Reading) {
            self.phase = Phase::Forwarded;
            let path = self.changed_path();
            let route = self.provider().to_owned();
            return Verdict::Forward(Forward { route, path, edits: None, low: Vec::new() });
        }
        let Some(mut scanner) = self.scanner.take() else { return self.unexpected(host) };
        match scanner.finish() {
            Err(error) => Verdict::Refuse(self.refuse_body(host, &error)),
            Ok(facts) => {
                self.facts = Some(facts);
                match self.admit(host) {
                    Ok(verdict) => verdict,
                    Err(stop) => self.stopped(host, &stop),
                }
            }
        }
    }

    /// Refuses, or has the prompt counted first where an estimate was too much.
    fn stopped(&mut self, host: Host<'_>, stop: &Stop) -> Verdict {
        let has_body = self.api != Api::OpenAiRealtime;
        let Some(facts) = self.facts.take_if(|facts| stop.close && has_body && may_count(facts)) else {
            return Verdict::Refuse(self.stop(host, stop));
        };
        self.release(host);
        self.accounts.clear();
        self.asks = 0;
        self.phase = Phase::Reading;
        let seed = self.seed() ^ facts.body_bytes;
        self.scanner = Some(Box::new(RequestScanner::counting(&self.target, &self.content_type, seed)));
        Verdict::Count
    }

    /// Decides again after a [`Verdict::Wait`]. `answered`: the control plane's grants are in the store.
    pub fn resume(&mut self, host: Host<'_>, answered: bool) -> Verdict {
        if !matches!(self.phase, Phase::Waiting) {
            return self.unexpected(host);
        }
        if !answered {
            self.problems.push(Problem::LeaseUnavailable);
        }
        self.asks = self.asks.saturating_add(1);
        let asked = match answered {
            false => Asked::Unreachable,
            true if self.asks < ASKS => Asked::MayAsk,
            true => Asked::Enough,
        };
        match self.hold_budgets(host, asked) {
            Ok(verdict) => verdict,
            Err(stop) => self.stopped(host, &stop),
        }
    }

    /// Sends a poll on. It holds nothing; what it may bring is charged to whoever asked for the answer.
    fn poll(&mut self, host: Host<'_>, pending: Pending) -> Verdict {
        let policy = Rc::clone(&self.policy);
        self.route = policy.place_of(&pending.provider);
        if self.route.is_none() {
            let message = format!("provider `{}`, which works on this answer, is no more", pending.provider);
            let by = "Provider";
            return Verdict::Refuse(
                self.refuse(host, Cause { by, reason: Reason::NoProvider, message: &message, retry_ms: None }),
            );
        }
        self.identity = Identity { key: pending.key.clone(), labels: pending.labels.clone() };
        let subject =
            Subject { labels: &pending.labels, provider: &pending.provider, model: &pending.model, api: self.api };
        // A budget that is closed does not undo what was used.
        let _ = self.open_accounts(host, &policy, subject);
        self.estimate.input = pending.input;
        self.poll = Some(pending);
        self.phase = Phase::Forwarded;
        let path = self.changed_path();
        Verdict::Forward(Forward { route: self.provider().to_owned(), path, edits: None, low: Vec::new() })
    }

    /// A host that calls out of turn gets a refusal, not a free pass.
    fn unexpected(&mut self, host: Host<'_>) -> Verdict {
        let message = "the request was decided twice: please report this";
        Verdict::Refuse(self.refuse(host, Cause { by: "Purser", reason: Reason::Unavailable, message, retry_ms: None }))
    }

    fn stop(&mut self, host: Host<'_>, stop: &Stop) -> Refusal {
        self.release(host);
        let Stop { by, reason, message, retry_ms, .. } = stop;
        self.refuse(host, Cause { by, reason: *reason, message, retry_ms: *retry_ms })
    }

    /// Gives back whatever is held.
    pub(super) fn release(&mut self, host: Host<'_>) {
        for account in &mut self.accounts {
            lease::settle(host.store, &account.instance, std::mem::take(&mut account.held), 0);
        }
        for taken in self.taken.drain(..) {
            limit::settle(host.store, &taken.key, taken.pace, taken.permits, 0, host.now_ms);
        }
    }

    fn admit(&mut self, host: Host<'_>) -> Result<Verdict, Stop> {
        let policy = Rc::clone(&self.policy);
        let Some(facts) = self.facts.take() else { return Ok(self.unexpected(host)) };
        let identity = std::mem::take(&mut self.identity);
        let admitted = self.admit_as(host, &policy, &facts, &identity.labels);
        (self.facts, self.identity) = (Some(facts), identity);
        admitted?;
        self.hold_budgets(host, Asked::MayAsk)
    }

    /// Route, access and rate limits; notes the budgets.
    fn admit_as(&mut self, host: Host<'_>, policy: &Policy, facts: &RequestFacts, labels: &Labels) -> Result<(), Stop> {
        let model = facts.model.as_str();
        let place = path::provider_of(&self.path);
        let Some(route) = policy.route(self.api, model, place, host.now_ms) else {
            return Err(Stop {
                by: "Provider".to_owned(),
                reason: Reason::NoProvider,
                message: format!("no provider serves `{}` requests for model `{model}`", self.api),
                retry_ms: None,
                close: false,
            });
        };
        self.route = Some(route.place);
        let upstream_model = route.upstream_model(model);
        let tokens = facts.input_tokens(estimate::family(upstream_model));
        self.prompt = (tokens, facts.is_counted);
        let by_text = facts.is_counted || facts.images > 0;
        self.estimate.input = if by_text { tokens } else { host.calibration.corrected(upstream_model, tokens) };
        let subject = Subject { labels, provider: &route.provider.name, model, api: self.api };
        if let Some(rule) = policy.access_denied_by(subject) {
            return Err(Stop {
                by: format!("AccessPolicy/{}", rule.name),
                reason: Reason::Access,
                message: format!("access policy `{}` does not allow model `{model}` here", rule.name),
                retry_ms: None,
                close: false,
            });
        }
        self.take_permits(host, policy, subject)?;
        match self.open_accounts(host, policy, subject) {
            Some(rule) => Err(unavailable(rule)),
            None => Ok(()),
        }
    }

    fn take_permits(&mut self, host: Host<'_>, policy: &Policy, subject: Subject<'_>) -> Result<(), Stop> {
        for (rule, group) in policy.rate_limits(subject) {
            let wanted = [(rule.requests, 1, "requests"), (rule.tokens, self.estimate.input, "tokens")];
            for (capacity, permits, what) in wanted {
                let Some(capacity) = capacity else { continue };
                let pace = Pace { capacity, window_ms: rule.window_ms };
                let key = format!("purser.limit.{}/{}/{what}/{}", rule.name, rule.window_ms, group.join("\u{1f}"));
                match limit::take(host.store, &key, pace, permits, host.now_ms) {
                    Answer::Pass { .. } => {
                        self.taken.push(Taken { key, pace, permits, tokens: what == "tokens" });
                    }
                    Answer::Wait { retry_ms, left } => {
                        return Err(Stop {
                            by: format!("RateLimit/{}", rule.name),
                            reason: Reason::RateLimit,
                            message: format!(
                                "rate limit `{}` of {capacity} {what} in {} reached{}; try again in {}",
                                rule.name,
                                seconds(rule.window_ms),
                                of_group(&rule.per, &group),
                                seconds(retry_ms),
                            ),
                            retry_ms: (capacity > 0).then_some(retry_ms),
                            close: what == "tokens" && left >= permits >> 1,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes the budgets that count this request. Returns a hard budget that is closed because no period is known.
    pub(super) fn open_accounts<'p>(
        &mut self,
        host: Host<'_>,
        policy: &'p Policy,
        subject: Subject<'p>,
    ) -> Option<&'p BudgetRule> {
        for (rule, instance) in policy.budgets(subject, host.now_ms) {
            match instance {
                Some(instance) => {
                    let index = policy.config.budgets.iter().position(|other| std::ptr::eq(other, rule));
                    if let Some(rule) = index {
                        self.accounts.push(Account { rule, instance, held: 0 });
                    }
                }
                None if rule.hard && rule.on_unavailable == OnUnavailable::Closed => return Some(rule),
                None => {}
            }
        }
        None
    }

    fn hold_budgets(&mut self, host: Host<'_>, asked: Asked) -> Result<Verdict, Stop> {
        let policy = Rc::clone(&self.policy);
        let Some(facts) = self.facts.take() else { return Ok(self.unexpected(host)) };
        let outcome = self.hold_with(host, &policy, &facts, asked);
        self.facts = Some(facts);
        match outcome {
            Ok(()) => {
                self.number(host);
                self.phase = Phase::Forwarded;
                let (path, low) = (self.changed_path(), std::mem::take(&mut self.low));
                let route = self.provider().to_owned();
                Ok(Verdict::Forward(Forward { route, path, edits: self.edits.clone(), low }))
            }
            Err(Short::Ask(instances)) => {
                self.phase = Phase::Waiting;
                Ok(Verdict::Wait(instances))
            }
            Err(Short::Stop(stop)) => Err(stop),
        }
    }

    fn hold_with(&mut self, host: Host<'_>, policy: &Policy, facts: &RequestFacts, how: Asked) -> Result<(), Short> {
        let Some(route) = self.route.and_then(|place| policy.routed(place)) else { return Ok(()) };
        let upstream_model = route.upstream_model(&facts.model);
        let price = policy.price_for(route.provider, upstream_model, self.started_ms, &self.identity.labels);
        let rules = || self.accounts.iter().filter_map(|account| policy.config.budgets.get(account.rule));
        let clamp = rules().any(|rule| rule.clamp);
        let default_output = rules().filter_map(|rule| rule.default_max_tokens).min();
        let model_output = route.model.and_then(|model| model.max_output_tokens);
        let may_rewrite = facts.body_bytes <= policy.config.sync.rewrite_max_bytes as u64;

        let caps = rewrite::caps_output(self.api, upstream_model);
        let default_output = default_output.filter(|_| caps);
        let asked = || facts.max_tokens.or(default_output).or(model_output).unwrap_or(FALLBACK_OUTPUT_TOKENS);
        let each = media_output(self.api, facts).unwrap_or_else(asked);
        let mut output = Output { each, choices: facts.choices.max(1), fees: NanoUsd(0) };
        match price {
            None => {
                if let Some(rule) = rules().find(|rule| rule.hard && rule.on_unpriced == OnUnpriced::Deny) {
                    return Err(Short::Stop(unpriced(rule, upstream_model)));
                }
            }
            Some(price) => {
                let room = (clamp && may_rewrite && caps).then_some(LEAST_CLAMPED_TOKENS);
                output.fees = fees(&price, self.api, facts);
                let wanted = Wanted { price: &price, output, least: room, terms: &facts.terms };
                output = self.hold_all(host, policy, wanted, how)?;
            }
        }
        self.estimate.output = output.total();

        let capped = caps && (clamp || (facts.max_tokens.is_none() && default_output.is_some()));
        let reports = providers::reports_unasked(&route.provider.catalog);
        let model = route.model.and_then(|model| model.upstream_model.as_deref()).filter(|to| *to != facts.model);
        let mut edits = Edits {
            model: model.filter(|_| self.target.model.is_none()).map(str::to_owned),
            max_tokens: (capped && facts.max_tokens != Some(output.each)).then_some(output.each),
            include_usage: facts.stream && !facts.include_usage && rewrite::asks_for_usage(self.api) && !reports,
        };
        if let Some(to) = model {
            // Resumed, it is renamed already.
            let renamed = path::with_model(&self.path, &self.target, to);
            self.path_changed |= renamed.is_some();
            if self.target.model.is_some() || facts.spans.model.is_none() {
                match renamed {
                    Some(renamed) => self.path = renamed,
                    None if self.target.model.as_deref() == Some(to) => {}
                    None => self.problems.push(Problem::NotRewritten),
                }
                self.target.model = self.target.model.is_some().then(|| to.to_owned());
            }
        }
        if edits != Edits::default() && !may_rewrite {
            self.problems.push(Problem::NotRewritten);
            edits = Edits::default();
        }
        self.edits = (edits != Edits::default()).then_some(edits);
        Ok(())
    }

    /// Holds the worst case of every budget, or nothing. Returns the output that is held for.
    fn hold_all(&mut self, host: Host<'_>, policy: &Policy, wanted: Wanted<'_>, asked: Asked) -> Result<Output, Short> {
        let Wanted { price, output: wanted, least, terms } = wanted;
        let terms = Some(terms);
        let prompt = with_headroom(self.estimate.input, self.prompt.1);
        let mut output = wanted;
        // Each round holds all, or caps the output to what one more budget has.
        for _ in 0..=self.accounts.len().saturating_mul(2) {
            let amount = worst_case(price, prompt, output.total(), terms).unwrap_or(NanoUsd(u64::MAX)).max(output.fees);
            let Some((at, available)) = self.try_hold(host, policy, amount.0, asked)? else {
                self.estimate.reserved_nano_usd = amount.0;
                return Ok(output);
            };
            let account = self.accounts.get(at);
            let rule = account.and_then(|account| policy.config.budgets.get(account.rule));
            let affordable = affordable_output(price, prompt, NanoUsd(available), terms);
            let each = affordable.checked_div(output.choices).unwrap_or(0);
            match (least, rule) {
                (Some(least), _) if each >= least && each < output.each => output.each = each,
                (_, Some(rule)) => {
                    let least = Output { each: least.unwrap_or(output.each), ..output };
                    let least = worst_case(price, self.estimate.input >> 1, least.total(), terms);
                    let close = least.is_ok_and(|least| least.0.max(output.fees.0) <= available);
                    let stop = exhausted(rule, account.map(|account| &account.instance), host.now_ms);
                    return Err(Short::Stop(Stop { close, ..stop }));
                }
                (_, None) => break,
            }
        }
        let message = "the budgets of this request change too fast: try again".to_owned();
        Err(Short::Stop(Stop {
            by: "Budget".into(),
            reason: Reason::Budget,
            message,
            retry_ms: Some(1_000),
            close: false,
        }))
    }

    /// Holds `amount` of every budget. When one has too little, gives the others back and says which, and what it has.
    fn try_hold(
        &mut self,
        host: Host<'_>,
        policy: &Policy,
        amount: u64,
        asked: Asked,
    ) -> Result<Option<(usize, u64)>, Short> {
        self.low.clear();
        let mut short: Option<(usize, u64)> = None;
        let mut ask = Vec::new();
        let mut closed: Option<&BudgetRule> = None;
        for (at, account) in self.accounts.iter_mut().enumerate() {
            let Some(rule) = policy.config.budgets.get(account.rule) else { continue };
            if !rule.hard {
                continue;
            }
            match lease::hold(host.store, &account.instance, amount, host.now_ms) {
                Hold::Held { low } => {
                    account.held = amount;
                    if low {
                        self.low.push(account.instance.clone());
                    }
                }
                Hold::Short if asked == Asked::MayAsk => ask.push(account.instance.clone()),
                Hold::Short if asked == Asked::Unreachable => match rule.on_unavailable {
                    OnUnavailable::Open => {
                        lease::hold_anyway(host.store, &account.instance, amount, host.now_ms);
                        account.held = amount;
                    }
                    OnUnavailable::Closed => closed = closed.or(Some(rule)),
                },
                Hold::Short => {
                    let available = lease::read(host.store, &account.instance).available();
                    short = short.or(Some((at, available)));
                }
                Hold::Exhausted { available } => short = short.or(Some((at, available))),
            }
        }
        if short.is_none() && ask.is_empty() && closed.is_none() {
            return Ok(None);
        }
        for account in &mut self.accounts {
            lease::settle(host.store, &account.instance, std::mem::take(&mut account.held), 0);
        }
        if let Some(rule) = closed {
            return Err(Short::Stop(unavailable(rule)));
        }
        if !ask.is_empty() {
            return Err(Short::Ask(ask));
        }
        Ok(short)
    }
}

/// Output tokens of one choice where they are not text that the request or the policy caps; `None` where they are.
///
/// | what | tokens | why |
/// |---|---|---|
/// | embeddings, reranking, OCR, predictions | 0 | none is put out, or none is charged |
/// | an image | 6,300 | the largest at the highest quality: <https://platform.openai.com/docs/guides/image-generation> (2026-11) |
/// | speech | 2 a character | about 13 characters and 21 tokens a second |
fn media_output(api: Api, facts: &RequestFacts) -> Option<u64> {
    let kind = |word: &str| facts.model.contains(word);
    match api {
        Api::CohereEmbed | Api::CohereRerank | Api::GeminiEmbed | Api::MistralOcr | Api::OllamaEmbed => Some(0),
        Api::OpenAiEmbeddings | Api::ReplicatePredictions | Api::VertexPredict => Some(0),
        Api::BedrockInvoke if kind("embed") || kind("rerank") => Some(0),
        Api::OpenAiImages => Some(6_300),
        Api::OpenAiSpeech => Some(facts.characters.saturating_mul(2)),
        _ => None,
    }
}

/// Bytes of a second of sound at 64 kbit/s, a low rate: few recordings have more seconds.
const BYTES_A_SECOND: u64 = 8_000;
/// Bytes of a page of a document.
const BYTES_A_PAGE: u64 = 50_000;

/// What a request costs that is not charged by tokens, as far as it tells: images by their number, speech by characters,
/// a recording by its bytes, a document by its bytes.
fn fees(price: &Price<'_>, api: Api, facts: &RequestFacts) -> NanoUsd {
    let units = match api {
        Api::OpenAiImages => (Kind::Images, facts.choices.max(1)),
        Api::OpenAiSpeech => (Kind::Characters, facts.characters),
        Api::OpenAiTranscription => (Kind::Seconds, facts.body_bytes.div_ceil(BYTES_A_SECOND)),
        Api::MistralOcr => (Kind::Pages, facts.body_bytes.div_ceil(BYTES_A_PAGE)),
        Api::CohereRerank => (Kind::SearchUnits, 1),
        _ => return NanoUsd(0),
    };
    let mut usage = Usage::new(Units::of(&[units]), Quality::Estimated);
    usage.terms.clone_from(&facts.terms);
    cost(price, &usage).map_or(NanoUsd(0), |breakdown| breakdown.nano_usd)
}

/// The estimate errs by a few per cent either way (`tests/tests/estimate.rs`); a fifth on top keeps a reservation above nearly
/// every prompt. A count errs by what the provider puts around the text: a fiftieth.
fn with_headroom(tokens: u64, counted: bool) -> u64 {
    tokens.saturating_add(tokens.div_ceil(if counted { 50 } else { 5 })).saturating_add(16)
}

/// Whether a count can tell more than the estimate: in the vocabulary that is built in, and of a body that is not long to
/// read again.
fn may_count(facts: &RequestFacts) -> bool {
    const BODY_MAX: u64 = 1 << 20;
    estimate::CAN_COUNT
        && !facts.is_counted
        && facts.body_bytes <= BODY_MAX
        && estimate::family(&facts.model) == Family::O200k
}

fn seconds(ms: u64) -> String {
    let whole = ms.div_ceil(1_000);
    format!("{whole} s")
}

/// ` for team ml, user ann`, or nothing.
fn of_group(per: &[String], group: &[String]) -> String {
    let pairs: Vec<String> = per.iter().zip(group).map(|(name, value)| format!("{name} {value}")).collect();
    if pairs.is_empty() { String::new() } else { format!(" for {}", pairs.join(", ")) }
}

fn unpriced(rule: &BudgetRule, model: &str) -> Stop {
    Stop {
        by: format!("Budget/{}", rule.name),
        reason: Reason::Unpriced,
        message: format!(
            "model `{model}` has no price, and budget `{}` does not let unpriced models pass; \
             give it one with a PriceOverride, or set `unpriced: allow`",
            rule.name
        ),
        retry_ms: None,
        close: false,
    }
}

fn unavailable(rule: &BudgetRule) -> Stop {
    Stop {
        by: format!("Budget/{}", rule.name),
        reason: Reason::Unavailable,
        message: format!("budget `{}` cannot be checked just now", rule.name),
        retry_ms: Some(5_000),
        close: false,
    }
}

fn exhausted(rule: &BudgetRule, instance: Option<&Instance>, now_ms: u64) -> Stop {
    let group = instance.map(|instance| of_group(&rule.per, &instance.group)).unwrap_or_default();
    let end = rule.periods_ms.iter().find(|start| **start > now_ms).copied();
    let left = end.map(|end| format!("; a new period starts in {}", duration(end.saturating_sub(now_ms))));
    Stop {
        by: format!("Budget/{}", rule.name),
        reason: Reason::Budget,
        message: format!(
            "budget `{}` of {} USD{group} does not cover this request any more{}",
            rule.name,
            NanoUsd(rule.limit),
            left.unwrap_or_default()
        ),
        retry_ms: None,
        close: false,
    }
}

/// About how long: in days, hours or minutes.
fn duration(ms: u64) -> String {
    let minutes = ms.div_ceil(60_000);
    match minutes {
        0..=90 => format!("{minutes} min"),
        91..=2_880 => format!("{} h", minutes.div_ceil(60)),
        _ => format!("{} days", minutes.div_ceil(1_440)),
    }
}
