//! Batches: whose they are, and who is charged for their results.
//!
//! ```text
//! start ─► the batch is its caller's ─► look ─► so are its files of results ─► whole download ─► charged, once
//! ```
//!
//! - Nothing is held for a batch: what it will cost stands in files that do not pass here.
//! - Results of a batch that is not known (started elsewhere, or too long ago) are charged to whoever downloads them
//!   first: unknown is not free.
//! - A download that broke off, or is of a part, charges nothing, and the next may.

use super::pending::{self, Pending, Shelf};
use super::{Exchange, Host};
use crate::api::Api;
use crate::config::ProviderConfig;
use crate::free;
use crate::identity::Identity;
use crate::meter;
use crate::policy::{Policy, Subject};
use crate::wire::batch::{Request, Step};
use crate::wire::response::ResponseFacts;
use std::rc::Rc;

impl Exchange {
    /// The provider that has the batch, if that is known and lets such requests through.
    pub(super) fn provider_of_batch<'p>(
        host: Host<'_>,
        policy: &'p Policy,
        batch: &Request,
        request: free::Request,
    ) -> Option<(&'p ProviderConfig, Api)> {
        let name = pending::find(host.store, Shelf::Batches, &batch.id, host.now_ms)?.provider;
        let provider = policy.config.providers.iter().find(|provider| provider.name == name)?;
        let api = request.of.iter().find_map(|family| provider.api_of(family));
        api.filter(|_| provider.free.contains(&request.what)).map(|api| (provider, api))
    }

    /// Takes in the whole answer to a request about a batch. Whether it is charged: then it goes on as the payer's.
    pub(super) fn is_charged_for(&mut self, host: Host<'_>, batch: &Request, answer: &ResponseFacts) -> bool {
        let known = pending::find(host.store, Shelf::Batches, &batch.id, host.now_ms);
        match batch.step {
            Step::Start => {
                if (200..300).contains(&self.status) {
                    pending::remember(host.store, Shelf::Batches, self.caller(&answer.id), host.now_ms);
                }
                false
            }
            Step::Look => {
                let files = known.iter().flat_map(|known| answer.files.iter().map(move |file| (known, file)));
                for (known, file) in files.filter(|_| self.status == 200) {
                    let file = Pending { id: file.clone(), ..known.clone() };
                    pending::remember(host.store, Shelf::Batches, file, host.now_ms);
                }
                false
            }
            Step::Results => {
                let of_batch = batch.api == Api::AnthropicBatch || known.is_some();
                if !meter::has_results(self.status, answer, of_batch) {
                    return false;
                }
                match pending::charge(host.store, self.caller(&batch.id), host.now_ms) {
                    Some(payer) => self.charged_to(host, payer, answer.model.as_deref().unwrap_or_default()),
                    None => return false,
                }
                true
            }
        }
    }

    /// The caller as the payer of something.
    fn caller(&self, id: &str) -> Pending {
        Pending {
            id: id.to_owned(),
            api: self.api,
            provider: self.provider().to_owned(),
            model: String::new(),
            labels: self.identity.labels.clone(),
            key: self.identity.key.clone(),
            input: 0,
            until_ms: 0,
            charged: false,
        }
    }

    fn charged_to(&mut self, host: Host<'_>, payer: Pending, model: &str) {
        let policy = Rc::clone(&self.policy);
        self.identity = Identity { key: payer.key, labels: payer.labels };
        self.target.model = Some(model.to_owned());
        let provider = self.provider().to_owned();
        let labels = self.identity.labels.clone();
        let subject = Subject { labels: &labels, provider: &provider, model, api: self.api };
        // A budget that is closed does not undo what was used.
        let _ = self.open_accounts(host, &policy, subject);
    }
}
