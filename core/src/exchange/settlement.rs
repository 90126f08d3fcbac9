//! The end of an exchange: usage, cost, what the budgets and limits are charged, and the record.

use super::pending::{self, Pending, Shelf};
use super::{End, Exchange, Finished, Host, Phase};
use crate::api::Api;
use crate::budget::lease;
use crate::limit;
use crate::meter::{self, Charged};
use crate::pricing::cost::cost_of_passes;
use crate::record::{Charge, Cost, Outcome, Problem, Record};
use crate::usage::{Kind, Quality, Units, Usage};
use crate::wire::response::ResponseFacts;
use std::rc::Rc;

impl Exchange {
    /// Settles and writes the record. Comes exactly once, after the last event. `None` for what brought nothing to charge:
    /// a poll, or a request about a batch.
    #[must_use]
    pub fn finish(mut self, host: Host<'_>, end: End) -> Option<Finished> {
        let answer = self.meter.take().map(|mut meter| meter.finish(end == End::Whole));
        let poll = if self.is_forwarded() { self.poll.take() } else { None };
        if let Some(pending) = &poll {
            let answer = answer.as_ref().filter(|_| end == End::Whole)?;
            if !self.is_final(&pending.model, answer) || !pending::take(host.store, &pending.id) {
                return None;
            }
        }
        if self.is_forwarded()
            && let Some((batch, _)) = self.batch.take()
        {
            let answer = answer.as_ref().filter(|_| end == End::Whole)?;
            if !self.is_charged_for(host, &batch, answer) {
                return None;
            }
        }
        self.number(host);
        let (outcome, status, denied) = match &self.phase {
            Phase::Denied(denied, status) => (Outcome::Denied, *status, Some(denied.clone())),
            Phase::Reading | Phase::Waiting => (Outcome::Aborted, self.status, None),
            Phase::Forwarded => {
                let outcome = match end {
                    End::Whole => Outcome::Complete,
                    // A session ends when one side leaves.
                    End::Cut if self.status == 101 => Outcome::Complete,
                    End::Cut => Outcome::Aborted,
                    End::NotSent | End::NoAnswer => Outcome::Failed,
                };
                (outcome, self.status, None)
            }
        };
        let forwarded = self.is_forwarded();
        let polled = poll.as_ref().map(|pending| pending.model.as_str());
        let (usage, cost) = if forwarded { self.price(host, end, polled, answer.as_ref()) } else { (None, Cost::None) };
        if let Some(answer) = &answer {
            self.problems.extend(&answer.problems);
        }
        self.learn(host, usage.as_ref());
        let charges = self.settle(host, usage.as_ref(), &cost);
        self.problems.sort_unstable();
        self.problems.dedup();
        let touched = self.accounts.iter().map(|account| account.instance.clone()).collect();
        let provider = self.provider().to_owned();
        let facts = self.facts.take();
        let model = poll.map(|pending| pending.model).or(self.target.model);
        let record = Record {
            proxy: host.proxy.id.clone(),
            epoch: host.proxy.epoch,
            seq: self.seq.unwrap_or(0),
            request_id: self.request_id,
            trace_id: self.trace_id,
            started_ms: self.started_ms,
            duration_ms: host.now_ms.saturating_sub(self.started_ms),
            first_byte_ms: self.first_byte_ms,
            api: self.api,
            stream: facts.as_ref().map_or(self.target.stream == Some(true), |facts| facts.stream),
            provider,
            request_model: facts.map(|facts| facts.model).or(model).unwrap_or_default(),
            response_model: answer.and_then(|answer| answer.model),
            labels: self.identity.labels,
            key: self.identity.key,
            status,
            outcome,
            usage,
            cost,
            denied,
            estimate: self.estimate,
            charges,
            policy: self.policy.config.version.clone(),
            price_book: self.policy.config.price_book.clone(),
            problems: self.problems,
        };
        Some(Finished { record, touched })
    }

    /// Whether a poll's answer is the last word.
    fn is_final(&self, asked: &str, answer: &ResponseFacts) -> bool {
        let charged = meter::charged(self.api, None, asked, self.status, answer, true);
        charged != Charged::Later && (200..300).contains(&self.status)
    }

    /// Remembers an answer that the provider still works on. Whether there will be a poll to charge.
    fn remember(&self, host: Host<'_>, asked: &str, answer: &ResponseFacts) -> bool {
        let polled = matches!(self.api, Api::OpenAiResponses | Api::GeminiInteractions);
        let pending = Pending {
            id: answer.id.clone(),
            api: self.api,
            provider: self.provider().to_owned(),
            model: asked.to_owned(),
            labels: self.identity.labels.clone(),
            key: self.identity.key.clone(),
            input: self.estimate.input,
            until_ms: 0,
            charged: false,
        };
        polled && pending::remember(host.store, Shelf::Answers, pending, host.now_ms)
    }

    /// Usage and cost of an exchange that was sent on. `polled`: the model that was asked for, when this is a poll.
    fn price(
        &mut self,
        host: Host<'_>,
        end: End,
        polled: Option<&str>,
        answer: Option<&ResponseFacts>,
    ) -> (Option<Usage>, Cost) {
        let asked = polled.or(self.facts.as_ref().map(|facts| facts.model.as_str())).unwrap_or_default().to_owned();
        let usage = match (end, answer) {
            (End::NotSent, _) => return (None, Cost::None),
            (End::NoAnswer, _) => None,
            (_, Some(answer)) if self.api == Api::OpenAiRealtime && self.status == 101 => {
                // A session in which nothing was asked.
                if answer.usage.is_none() && answer.status.is_empty() && answer.problems.is_empty() {
                    return (None, Cost::None);
                }
                answer.usage.clone()
            }
            // It failed, or was called off, and nothing was counted.
            (_, Some(answer)) if polled.is_some() && answer.usage.is_none() && answer.status != "completed" => {
                return (None, Cost::None);
            }
            (_, Some(answer)) => {
                let facts = self.facts.as_ref();
                match meter::charged(self.api, facts, &asked, self.status, answer, end == End::Whole) {
                    Charged::Nothing => return (None, Cost::None),
                    Charged::Later if self.remember(host, &asked, answer) => return (None, Cost::Pending),
                    Charged::Later => None,
                    Charged::For(usage) => {
                        if end == End::Whole && answer.usage.is_none() {
                            self.problems.push(Problem::UsageMissing);
                        }
                        usage.map(|usage| *usage)
                    }
                }
            }
            // The caller left before the answer began: the provider has read the prompt, and may write for nobody.
            (_, None) => Some(self.partial(0)),
        };
        let Some(usage) = usage else { return (None, Cost::Unmetered) };
        let cost = self.cost(&usage, &asked, answer.and_then(|answer| answer.model.as_deref()));
        (Some(usage), cost)
    }

    fn partial(&self, output: u64) -> Usage {
        let units = Units::of(&[(Kind::Input, self.estimate.input), (Kind::Output, output)]);
        Usage::new(units, Quality::Partial)
    }

    /// At the price of the model that answered; of the one that was sent for when that has none. Where several were at
    /// work, each at its own.
    fn cost(&self, usage: &Usage, asked: &str, response_model: Option<&str>) -> Cost {
        let policy = Rc::clone(&self.policy);
        let Some(route) = self.route.and_then(|place| policy.routed(place)) else { return Cost::Unpriced };
        let labels = &self.identity.labels;
        let find = |model: &str| policy.price_for(route.provider, model, self.started_ms, labels);
        let price = response_model.and_then(find).or_else(|| find(route.upstream_model(asked)));
        let Some(price) = price else { return Cost::Unpriced };
        match cost_of_passes(&price, usage, find) {
            Ok(breakdown) => Cost::Priced {
                nano_usd: breakdown.nano_usd.0,
                femto_usd_by_kind: breakdown.femto_usd_by_kind,
                entry: price.entry_name(),
                unpriced: breakdown.unpriced,
                terms_unpriced: breakdown.terms_unpriced,
            },
            Err(_) => Cost::Unpriced,
        }
    }

    /// Corrects the estimate of the model's next prompts by what was reported of this one.
    fn learn(&self, host: Host<'_>, usage: Option<&Usage>) {
        let policy = Rc::clone(&self.policy);
        let (Some(usage), Some(facts), (estimate, false)) = (usage, &self.facts, self.prompt) else { return };
        let exact = usage.quality == Quality::Exact && usage.passes.is_empty() && facts.images == 0;
        if let Some(route) = self.route.and_then(|place| policy.routed(place)).filter(|_| exact) {
            let model = route.upstream_model(&facts.model);
            host.calibration.learn(model, estimate, usage.units.prompt());
        }
    }

    fn settle(&mut self, host: Host<'_>, usage: Option<&Usage>, cost: &Cost) -> Vec<Charge> {
        let mut charges = Vec::new();
        for account in &mut self.accounts {
            let held = std::mem::take(&mut account.held);
            // What is not known is charged as it was held: it may have cost that much.
            let amount = match cost {
                // The poll that brings its usage is charged.
                Cost::Pending => 0,
                _ => cost.amount().map_or(held, |amount| amount.0),
            };
            lease::settle(host.store, &account.instance, held, amount);
            if amount > 0 {
                charges.push(Charge { budget: account.instance.to_string(), nano_usd: amount });
            }
        }
        for taken in self.taken.drain(..).filter(|taken| taken.tokens) {
            let actual = match (usage, cost) {
                (Some(usage), _) => usage.units.tokens(),
                (None, Cost::None) => 0,
                (None, _) => taken.permits,
            };
            limit::settle(host.store, &taken.key, taken.pace, taken.permits, actual, host.now_ms);
        }
        charges
    }
}
