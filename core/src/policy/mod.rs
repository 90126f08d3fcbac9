//! What applies to a request: the pushed configuration, checked and indexed, and the questions it answers.
//!
//! The control plane compiles with this very code before it pushes, so that a proxy that refuses a configuration is a
//! should-not-happen.

pub mod glob;

use crate::api::Api;
use crate::budget::Instance;
use crate::config::{AccessRule, BudgetRule, FilterConfig, ModelConfig, ProviderConfig, RateLimitRule, Selector};
use crate::free;
use crate::identity::Keys;
use crate::labels::{self, Labels};
use crate::pricing::PriceBook;
use crate::pricing::book::Price;

/// A configuration that can decide.
#[derive(Debug)]
pub struct Policy {
    /// As it was pushed; `keys` and `prices` moved to the fields below.
    pub config: FilterConfig,
    /// Virtual keys.
    pub keys: Keys,
    /// Prices in use.
    pub prices: PriceBook,
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ConfigError {
    /// Where, such as `budgets[ml-team].periods_ms`.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// A request as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Who.
    pub labels: &'a Labels,
    /// The provider chosen.
    pub provider: &'a str,
    /// The model asked for.
    pub model: &'a str,
    /// The wire format.
    pub api: Api,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The provider.
    pub provider: &'a ProviderConfig,
    /// The model document that chose it, if one did.
    pub model: Option<&'a ModelConfig>,
    /// Where the policy has them, see [`Policy::routed`].
    pub place: Place,
}

/// A [`Route`] to be kept without the policy that it borrows from: indices of the provider and the model document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    provider: usize,
    model: Option<usize>,
}

impl<'a> Route<'a> {
    /// The model's name at the provider.
    #[must_use]
    pub fn upstream_model(&self, asked: &'a str) -> &'a str {
        self.model.and_then(|model| model.upstream_model.as_deref()).unwrap_or(asked)
    }
}

impl Policy {
    /// Checks and indexes a configuration.
    ///
    /// # Errors
    /// Every problem found; there is at least one.
    pub fn compile(mut config: FilterConfig) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut refuse = |path: String, message: String| errors.push(ConfigError { path, message });
        for model in &config.models {
            if !config.providers.iter().any(|provider| provider.name == model.provider) {
                refuse(format!("models[{}].provider", model.name), format!("no provider `{}`", model.provider));
            }
        }
        let identity = &config.identity;
        let named = identity.headers.values().chain(identity.workload.values()).chain(&identity.required);
        let mut unknown_labels: Vec<(String, String)> = Vec::new();
        unknown_labels.extend(named.map(|name| ("identity".to_owned(), name.clone())));
        for key in &config.keys {
            unknown_labels.extend(key.labels.keys().map(|name| (format!("keys[{}]", key.id), name.clone())));
        }
        for rule in &config.access {
            let selectors = std::iter::once(&rule.subject).chain(&rule.allow).chain(&rule.deny);
            let names = selectors.flat_map(|selector| selector.labels.keys());
            unknown_labels.extend(names.map(|name| (format!("access[{}]", rule.name), name.clone())));
        }
        for rule in &config.rate_limits {
            let names = rule.selector.labels.keys().chain(&rule.per);
            unknown_labels.extend(names.map(|name| (format!("rate_limits[{}]", rule.name), name.clone())));
            if rule.window_ms == 0 {
                refuse(format!("rate_limits[{}].window_ms", rule.name), "a window of no length".to_owned());
            }
        }
        for rule in &config.budgets {
            let names = rule.selector.labels.keys().chain(&rule.per);
            unknown_labels.extend(names.map(|name| (format!("budgets[{}]", rule.name), name.clone())));
            let ascending = rule.periods_ms.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
            if rule.periods_ms.len() < 2 || !ascending {
                refuse(
                    format!("budgets[{}].periods_ms", rule.name),
                    "needs at least a start and an end, in ascending order".to_owned(),
                );
            }
        }
        for (path, name) in unknown_labels {
            if !labels::NAMES.contains(&name.as_str()) {
                refuse(path, format!("no label `{name}`: there are {}", labels::NAMES.join(", ")));
            }
        }
        let keys = Keys::new(std::mem::take(&mut config.keys));
        if let Err(bad) = &keys {
            refuse(format!("keys[{}].sha256", bad.id), bad.to_string());
        }
        let prices = PriceBook::new(config.price_book.clone(), std::mem::take(&mut config.prices));
        match keys {
            Ok(keys) if errors.is_empty() => Ok(Self { config, keys, prices }),
            _ => Err(errors),
        }
    }

    /// Where a request for `model` goes: by the first model document that matches; else to the first provider of the
    /// wire format whose prices know the model; else to the first provider of the wire format.
    ///
    /// `place`: the provider whose paths look like the request's, in the price book's name (see
    /// [`crate::wire::path::provider_of`]). Where one of that name serves the wire format, only those of it are asked;
    /// a path of no such looks goes to those only if the policy says so, or has no others.
    #[must_use]
    pub fn route(&self, api: Api, model: &str, place: Option<&str>, now_ms: u64) -> Option<Route<'_>> {
        let serving = || self.config.providers.iter().enumerate().filter(|(_, provider)| provider.apis.contains(&api));
        let placed = place.filter(|place| serving().any(|(_, provider)| provider.catalog == *place));
        let fits = |provider: &ProviderConfig| placed.is_none_or(|place| provider.catalog == place);
        let documented = self.config.models.iter().enumerate();
        for (at, document) in documented.filter(|(_, m)| m.r#match.iter().any(|g| glob::matches(g, model))) {
            let named = serving().find(|(_, provider)| provider.name == document.provider && fits(provider));
            if let Some((provider, _)) = named {
                return self.routed(Place { provider, model: Some(at) });
            }
        }
        // Elsewhere such a path would not be found.
        let of_own_paths =
            |provider: &ProviderConfig| matches!(provider.catalog.as_str(), "azure" | "vertex" | "databricks");
        let others = serving().any(|(_, provider)| !of_own_paths(provider));
        let usual = |provider: &ProviderConfig| placed.is_some() || !others || !of_own_paths(provider);
        let mut fitting = serving().filter(|(_, provider)| fits(provider) && usual(provider));
        let first = fitting.clone().next();
        let knows = fitting.find(|(_, provider)| self.price(provider, model, now_ms).is_some());
        knows.or(first).and_then(|(provider, _)| self.routed(Place { provider, model: None }))
    }

    /// The provider of this name, as a place.
    #[must_use]
    pub fn place_of(&self, provider: &str) -> Option<Place> {
        let provider = self.config.providers.iter().position(|it| it.name == provider)?;
        Some(Place { provider, model: None })
    }

    /// The provider that a free request goes to, and a wire format of its: the first of that family that lets such
    /// requests through, preferably one whose paths look so.
    #[must_use]
    pub fn free(&self, request: free::Request) -> Option<(&ProviderConfig, Api)> {
        let families = request.of.iter().flat_map(|family| {
            let of_family =
                move |provider: &&ProviderConfig| provider.apis.iter().any(|api| api.name().starts_with(family));
            let serving = self.config.providers.iter().filter(of_family);
            serving.filter(|provider| provider.free.contains(&request.what)).map(move |provider| (provider, *family))
        });
        let placed = |provider: &ProviderConfig| request.place.is_some_and(|place| provider.catalog == place);
        let (provider, family) =
            families.clone().find(|(provider, _)| placed(provider)).or_else(|| families.clone().next())?;
        Some((provider, provider.api_of(family)?))
    }

    /// The route that was chosen before.
    #[must_use]
    pub fn routed(&self, place: Place) -> Option<Route<'_>> {
        let provider = self.config.providers.get(place.provider)?;
        Some(Route { provider, model: place.model.and_then(|at| self.config.models.get(at)), place })
    }

    /// The price of a model at a provider for whoever has these labels, as [`Self::price`].
    #[must_use]
    pub fn price_for(&self, provider: &ProviderConfig, model: &str, at_ms: u64, labels: &Labels) -> Option<Price<'_>> {
        let by_name = self.prices.find_for(&provider.name, model, at_ms, labels);
        by_name.or_else(|| self.prices.find(&provider.catalog, model, at_ms))
    }

    /// The price of a model at a provider: an override by the provider's own name first, then the price book's.
    #[must_use]
    pub fn price(&self, provider: &ProviderConfig, model: &str, at_ms: u64) -> Option<Price<'_>> {
        let find = |model: &str| {
            let by_name = self.prices.find(&provider.name, model, at_ms);
            by_name.or_else(|| self.prices.find(&provider.catalog, model, at_ms))
        };
        // AWS' long names end in the model's, or in that of a profile.
        let short = model.strip_prefix("arn:").and_then(|arn| arn.rsplit_once('/'));
        find(model).or_else(|| find(short?.1))
    }

    /// The access rule that refuses, if one does. Deny wins; where a rule about the subject lists what is allowed,
    /// the request must be on the list.
    #[must_use]
    pub fn access_denied_by(&self, subject: Subject<'_>) -> Option<&AccessRule> {
        self.config.access.iter().filter(|rule| selects(&rule.subject, subject)).find(|rule| {
            rule.deny.iter().any(|selector| selects(selector, subject))
                || (!rule.allow.is_empty() && !rule.allow.iter().any(|selector| selects(selector, subject)))
        })
    }

    /// The access rule that refuses a free request, which is for no model: a rule that is about models does not know it.
    #[must_use]
    pub fn free_denied_by(&self, subject: Subject<'_>) -> Option<&AccessRule> {
        let about_models = |selector: &Selector| !selector.models.is_empty();
        let selects_any = |selector: &Selector| selects(&Selector { models: Vec::new(), ..selector.clone() }, subject);
        self.config.access.iter().filter(|rule| !about_models(&rule.subject) && selects(&rule.subject, subject)).find(
            |rule| {
                rule.deny.iter().any(|selector| !about_models(selector) && selects(selector, subject))
                    || (!rule.allow.is_empty() && !rule.allow.iter().any(selects_any))
            },
        )
    }

    /// Rate limits that count a request, with their bucket's group.
    pub fn rate_limits<'a>(
        &'a self,
        subject: Subject<'a>,
    ) -> impl Iterator<Item = (&'a RateLimitRule, Vec<String>)> + 'a {
        let rules = self.config.rate_limits.iter().filter(move |rule| selects(&rule.selector, subject));
        rules.filter_map(move |rule| group(&rule.per, subject.labels).map(|group| (rule, group)))
    }

    /// Budgets that a request counts against, with the instance that pays at `now_ms`; `None` when the time is after
    /// the last period that was pushed.
    pub fn budgets<'a>(
        &'a self,
        subject: Subject<'a>,
        now_ms: u64,
    ) -> impl Iterator<Item = (&'a BudgetRule, Option<Instance>)> + 'a {
        let rules = self.config.budgets.iter().filter(move |rule| selects(&rule.selector, subject));
        rules.filter_map(move |rule| {
            let group = group(&rule.per, subject.labels)?;
            let period = period_at(&rule.periods_ms, now_ms);
            Some((rule, period.map(|period_ms| Instance { budget: rule.name.clone(), period_ms, group })))
        })
    }
}

/// The start of the period that `now_ms` lies in. A clock somewhat behind the first start counts as in it.
fn period_at(periods_ms: &[u64], now_ms: u64) -> Option<u64> {
    let (last, starts) = periods_ms.split_last()?;
    if now_ms >= *last {
        return None;
    }
    starts.iter().rev().find(|start| **start <= now_ms).or_else(|| starts.first()).copied()
}

/// Values of the labels that make a group; `None` when the request lacks one.
fn group(per: &[String], labels: &Labels) -> Option<Vec<String>> {
    per.iter().map(|name| labels.get(name).map(|label| label.value.clone())).collect()
}

/// Whether a selector is about a request.
#[must_use]
pub fn selects(selector: &Selector, subject: Subject<'_>) -> bool {
    let any = |globs: &[String], text: &str| globs.is_empty() || globs.iter().any(|g| glob::matches(g, text));
    (selector.apis.is_empty() || selector.apis.contains(&subject.api))
        && any(&selector.providers, subject.provider)
        && any(&selector.models, subject.model)
        && selector
            .labels
            .iter()
            .all(|(name, globs)| subject.labels.get(name).is_some_and(|label| any(globs, &label.value)))
}

#[cfg(test)]
mod tests;
