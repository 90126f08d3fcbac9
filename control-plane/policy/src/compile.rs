//! From what was written to what the filter and Envoy get.

use crate::read::{Placed, Problem, Written, nearest, read};
use crate::spec::{self, ApiPattern, Enforcement, Unidentified};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use purser_core::api::Api;
use purser_core::config::{
    AccessRule, BudgetRule, FilterConfig, IdentityConfig, KeyConfig, ModelConfig, ProviderConfig, RateLimitRule,
    Selector,
};
use purser_core::free::Free;
use purser_core::labels::{self, Source};
use purser_core::money::NanoUsd;
use purser_core::policy::{Policy, glob};
use purser_core::pricing::PriceBook;
use purser_core::pricing::catalog::check_rates;
use purser_core::pricing::overrides::{Change, Override};
use purser_core::pricing::rate::Multiplier;
use purser_core::providers;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Rates that ended longer ago than this are not pushed.
const PRICES_SINCE: Duration = Duration::from_secs(2 * 86_400);

/// Policy in force.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// What the filter gets.
    pub filter: FilterConfig,
    /// Where Envoy sends requests.
    pub providers: Vec<ProviderTarget>,
    /// Per cent at which a budget is shown as crossed, by its name.
    pub thresholds: BTreeMap<String, Vec<u32>>,
    /// The whole price book, with the policy's own prices laid over it.
    pub book: Arc<PriceBook>,
    /// When a budget's period ends next, milliseconds since 1970.
    pub next_change_ms: Option<u64>,
    /// What may not do what was meant.
    pub warnings: Vec<Problem>,
}

/// A provider as Envoy reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderTarget {
    /// The document's name.
    pub name: String,
    /// Whether it is reached by TLS.
    pub tls: bool,
    /// Whether it speaks HTTP/2 without TLS.
    pub http2: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Goes before the API's path; empty or starts with `/`.
    pub path_prefix: String,
    /// Put into each request. Absent: none is configured, or it is not there.
    pub credential: Option<Credential>,
    /// Whether the policy wants one.
    pub wants_credential: bool,
    /// The longest time without a byte of an answer.
    pub timeout: Duration,
}

/// A header with a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name.
    pub header: String,
    /// Its whole value.
    pub value: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({}: …)", self.header)
    }
}

/// Reads and compiles a folder.
///
/// # Errors
/// Every problem found, by file and line.
pub fn load(
    folder: &Path,
    book: &PriceBook,
    keys: &[KeyConfig],
    now: Timestamp,
) -> Result<(Written, Compiled), Vec<Problem>> {
    let (written, mut problems) = read(folder);
    match compile(&written, book, keys, now) {
        Ok(compiled) if problems.is_empty() => return Ok((written, compiled)),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Err(problems)
}

/// Compiles what was written.
///
/// # Errors
/// Every problem found.
pub fn compile(
    written: &Written,
    book: &PriceBook,
    keys: &[KeyConfig],
    now: Timestamp,
) -> Result<Compiled, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let names: Vec<&str> = written.providers.iter().map(|provider| provider.name.as_str()).collect();
    references(written, &names, &mut problems);

    let providers: Vec<ProviderTarget> =
        written.providers.iter().filter_map(|it| target(it, &mut problems, &mut warnings)).collect();
    let overrides: Vec<Override> =
        written.overrides.iter().filter_map(|it| price_override(it, written, &mut problems)).collect();
    let book = match book.with_overrides(&overrides) {
        Ok(book) => book,
        Err(errors) => {
            for error in errors {
                let text = error.to_string();
                let about = written.overrides.iter().find(|it| text.contains(&format!("`{}`", it.name)));
                let fix = "name models that are listed, or give rates".to_owned();
                problems.extend(about.map(|it| it.problem("spec.models", text, fix)));
            }
            book.clone()
        }
    };
    let budgets: Vec<BudgetRule> = written.budgets.iter().filter_map(|it| budget(it, now, &mut problems)).collect();
    let rate_limits: Vec<RateLimitRule> =
        written.rate_limits.iter().filter_map(|it| rate_limit(it, &mut problems)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }

    let provider_configs: Vec<ProviderConfig> = written
        .providers
        .iter()
        .map(|it| ProviderConfig {
            name: it.name.clone(),
            apis: apis(&it.spec.apis),
            catalog: catalog(it),
            free: it.spec.free_paths.clone().unwrap_or_else(|| Free::USUAL.to_vec()),
        })
        .collect();
    let in_use: BTreeSet<&str> =
        provider_configs.iter().flat_map(|it| [it.name.as_str(), it.catalog.as_str()]).collect();
    let since_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let since_ms = since_ms.saturating_sub(u64::try_from(PRICES_SINCE.as_millis()).unwrap_or(0));
    let next_change_ms = budgets.iter().filter_map(|rule| rule.periods_ms.get(1)).min().copied();
    let mut filter = FilterConfig {
        version: String::new(),
        price_book: book.version().to_owned(),
        providers: provider_configs.clone(),
        models: written.models.iter().map(model).collect(),
        prices: book.subset(&in_use.iter().copied().collect::<Vec<_>>(), since_ms),
        identity: identity(written.identities.first().map(|it| &it.spec)),
        keys: keys.to_vec(),
        access: written.access.iter().map(access).collect(),
        rate_limits,
        budgets,
        ..FilterConfig::default()
    };
    let thresholds = written.budgets.iter().map(|it| (it.name.clone(), thresholds(&it.spec))).collect();
    filter.version = version(&filter, &providers, &thresholds);
    // The filter compiles with this very code: what passes here is not refused there.
    if let Err(errors) = Policy::compile(filter.clone()) {
        let file = |error: String| Problem {
            file: String::new(),
            line: 0,
            path: String::new(),
            message: error,
            fix: "report this: it should have been found before".to_owned(),
            severity: crate::read::Severity::Error,
        };
        return Err(errors.into_iter().map(|error| file(error.to_string())).collect());
    }
    Ok(Compiled { filter, providers, thresholds, book: Arc::new(book), next_change_ms, warnings })
}

/// Content hash of all that is in force: what decides, where it goes and with which credential, when a budget is shown
/// as crossed; twelve hexadecimal digits.
fn version(filter: &FilterConfig, providers: &[ProviderTarget], thresholds: &BTreeMap<String, Vec<u32>>) -> String {
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(filter).unwrap_or_default());
    for it in providers {
        let ProviderTarget { name, tls, http2, host, port, path_prefix, credential, wants_credential, timeout } = it;
        hash.update(format!("{name} {tls} {http2} {host} {port} {path_prefix} {wants_credential} {timeout:?} "));
        // A rotated credential is a change like any other. The hash of a long random secret does not give it away.
        let credential = credential.as_ref().map(|it| (it.header.as_str(), it.value.as_str()));
        hash.update(serde_json::to_vec(&credential).unwrap_or_default());
    }
    hash.update(serde_json::to_vec(thresholds).unwrap_or_default());
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn references(written: &Written, providers: &[&str], problems: &mut Vec<Problem>) {
    let no_provider = |name: &str| {
        let fix = nearest(name, providers).map_or_else(
            || format!("write a Provider `{name}`, or name one of: {}", providers.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        (format!("no Provider `{name}`"), fix)
    };
    let known = |name: &str| providers.contains(&name) || written.partial;
    for it in &written.models {
        if !known(&it.spec.provider) {
            let (message, fix) = no_provider(&it.spec.provider);
            problems.push(it.problem("spec.provider", message, fix));
        }
    }
    for it in &written.overrides {
        if !known(&it.spec.provider) {
            let (message, fix) = no_provider(&it.spec.provider);
            problems.push(it.problem("spec.provider", message, fix));
        }
    }
    for it in &written.providers {
        unknown_apis(it, "spec.apis", &it.spec.apis, problems);
    }
    for it in &written.budgets {
        unknown_apis(it, "spec.selector.apis", &it.spec.selector.apis, problems);
    }
    for it in &written.rate_limits {
        unknown_apis(it, "spec.selector.apis", &it.spec.selector.apis, problems);
    }
    for it in &written.access {
        unknown_apis(it, "spec.subject.apis", &it.spec.subject.apis, problems);
        for (name, selectors) in [("allow", &it.spec.allow), ("deny", &it.spec.deny)] {
            for (index, selector) in selectors.iter().enumerate() {
                unknown_apis(it, &format!("spec.{name}.{index}.apis"), &selector.apis, problems);
            }
        }
    }
    let no_label = |name: &str| {
        let fix = nearest(name, &labels::NAMES)
            .map_or_else(|| format!("one of {}", labels::NAMES.join(", ")), |near| format!("did you mean `{near}`?"));
        (format!("no label `{name}`"), fix)
    };
    let mut label = |found: Vec<(String, Problem)>| {
        for (name, problem) in found {
            if !labels::NAMES.contains(&name.as_str()) {
                let (message, fix) = no_label(&name);
                problems.push(Problem { message, fix, ..problem });
            }
        }
    };
    for it in &written.budgets {
        label(label_uses(it, &it.spec.per, &[("spec.selector", &it.spec.selector)]));
    }
    for it in &written.rate_limits {
        label(label_uses(it, &it.spec.per, &[("spec.selector", &it.spec.selector)]));
    }
    for it in &written.access {
        let selectors: Vec<(&str, &spec::Selector)> = std::iter::once(("spec.subject", &it.spec.subject))
            .chain(it.spec.allow.iter().map(|selector| ("spec.allow", selector)))
            .chain(it.spec.deny.iter().map(|selector| ("spec.deny", selector)))
            .collect();
        label(label_uses(it, &[], &selectors));
    }
    for it in &written.overrides {
        let at =
            |name: &String| (name.clone(), it.problem(&format!("spec.labels.{name}"), String::new(), String::new()));
        label(it.spec.labels.keys().map(at).collect());
    }
    for it in &written.identities {
        let at = |name: &String, path: &str| (name.clone(), it.problem(path, String::new(), String::new()));
        let headers = it.spec.headers.iter().map(|(header, name)| at(name, &format!("spec.headers.{header}")));
        let workload = it.spec.workload.iter().map(|(path, name)| at(name, &format!("spec.workload.{path}")));
        let required = it.spec.required.iter().map(|name| at(name, "spec.required"));
        label(headers.chain(workload).chain(required).collect());
    }
}

/// Labels that a document names, each with an empty problem at its place.
fn label_uses<S>(it: &Placed<S>, per: &[String], selectors: &[(&str, &spec::Selector)]) -> Vec<(String, Problem)> {
    let at = |name: &String, path: String| (name.clone(), it.problem(&path, String::new(), String::new()));
    let mut uses: Vec<(String, Problem)> =
        per.iter().enumerate().map(|(index, name)| at(name, format!("spec.per.{index}"))).collect();
    for (path, selector) in selectors {
        uses.extend(selector.labels.keys().map(|name| at(name, format!("{path}.labels.{name}"))));
    }
    uses
}

fn target(
    it: &Placed<spec::Provider>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<ProviderTarget> {
    let Some((tls, host, port, path_prefix)) = endpoint(&it.spec.endpoint) else {
        let fix = "a URL such as https://api.example.com or http://10.0.0.7:8000/v1".to_owned();
        problems.push(it.problem("spec.endpoint", format!("`{}` is no endpoint", it.spec.endpoint), fix));
        return None;
    };
    let credential = it.spec.credential.as_ref().and_then(|source| {
        let (found, place, fix) = match (&source.env, &source.file) {
            (Some(name), None) => {
                (std::env::var(name).ok(), format!("environment variable {name}"), "set it for the control plane")
            }
            (None, Some(path)) => {
                (std::fs::read_to_string(path).ok(), format!("file {path}"), "let the control plane read it")
            }
            _ => {
                let fix = "write either `env:` or `file:`".to_owned();
                problems.push(it.problem("spec.credential", "needs one of `env` and `file`".to_owned(), fix));
                return None;
            }
        };
        let found = found.map(|secret| secret.trim().to_owned()).filter(|secret| !secret.is_empty());
        if found.is_none() {
            let message = format!("no credential: {place} is empty or not there");
            warnings.push(it.warning("spec.credential", message, fix.to_owned()));
        }
        let header = source.header.as_deref().map_or_else(|| credential_header(it).to_owned(), str::to_ascii_lowercase);
        let bearer = if header == "authorization" { "Bearer " } else { "" };
        let prefix = source.prefix.as_deref().unwrap_or(bearer);
        found.map(|secret| Credential { header, value: format!("{prefix}{secret}") })
    });
    let timeout = it.spec.timeout.as_deref().and_then(duration).unwrap_or(Duration::from_secs(600));
    let wants_credential = it.spec.credential.is_some();
    let (name, http2) = (it.name.clone(), it.spec.http2);
    Some(ProviderTarget { name, tls, http2, host, port, path_prefix, credential, wants_credential, timeout })
}

/// The price book's name of a provider: as written, or by its host where that is known, or by its document's name.
fn catalog(it: &Placed<spec::Provider>) -> String {
    let by_host = || endpoint(&it.spec.endpoint).and_then(|(_, host, ..)| providers::of_host(&host));
    match &it.spec.catalog {
        Some(name) => name.clone(),
        None => by_host().unwrap_or_else(|| providers::canonical(&it.name)).to_owned(),
    }
}

/// The header in which a provider wants its key: by what is known of it, else by the first of its wire formats.
///
/// Sources (2026-11): <https://docs.anthropic.com/en/api/overview>, <https://ai.google.dev/gemini-api/docs/api-key>,
/// <https://learn.microsoft.com/azure/ai-services/openai/reference>; all others take a bearer's token, Bedrock too:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html>.
fn credential_header(it: &Placed<spec::Provider>) -> &'static str {
    const BEARER: &str = "authorization";
    let first = apis(&it.spec.apis).first().copied();
    match catalog(it).as_str() {
        "azure" => "api-key",
        "anthropic" => "x-api-key",
        "google" => "x-goog-api-key",
        // Those that are known and not above.
        name if providers::is_known(name) => BEARER,
        _ => match first {
            Some(Api::AnthropicBatch | Api::AnthropicMessages | Api::AnthropicComplete) => "x-api-key",
            Some(Api::GeminiGenerate | Api::GeminiEmbed | Api::GeminiInteractions) => "x-goog-api-key",
            _ => BEARER,
        },
    }
}

/// The wire formats that some patterns are about, each once.
fn apis(patterns: &[ApiPattern]) -> Vec<Api> {
    let mut found: Vec<Api> = Vec::new();
    for pattern in patterns {
        let fitting = Api::ALL.iter().filter(|api| glob::matches(&pattern.0, api.name()));
        found.extend(fitting.filter(|api| !found.contains(api)).copied().collect::<Vec<_>>());
    }
    found
}

/// Patterns that no wire format fits, below `path`.
fn unknown_apis<S>(it: &Placed<S>, path: &str, patterns: &[ApiPattern], problems: &mut Vec<Problem>) {
    let names: Vec<&str> = Api::ALL.iter().map(|api| api.name()).collect();
    for (index, ApiPattern(pattern)) in patterns.iter().enumerate() {
        if !names.iter().any(|name| glob::matches(pattern, name)) {
            let message = format!("no API `{pattern}`");
            let plain = pattern.replace('*', "");
            let fix = nearest(&plain, &names)
                .map_or_else(|| format!("one of {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
            problems.push(it.problem(&format!("{path}.{index}"), message, fix));
        }
    }
}

/// Scheme, host, port and path of a URL.
fn endpoint(url: &str) -> Option<(bool, String, u16, String)> {
    let (tls, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let default = if tls { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || authority.contains('@') {
        return None;
    }
    Some((tls, host.to_owned(), port, path.trim_end_matches('/').to_owned()))
}

/// `30s`, `1m`, `6h`, `1d`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

fn price_override(
    it: &Placed<spec::PriceOverride>,
    written: &Written,
    problems: &mut Vec<Problem>,
) -> Option<Override> {
    let change = match (&it.spec.multiplier, it.spec.rates.is_empty()) {
        (Some(text), true) => match Multiplier::from_decimal(text) {
            Ok(factor) => Change::Multiplier(factor),
            Err(error) => {
                problems.push(it.problem("spec.multiplier", error.to_string(), "a factor such as \"0.85\"".to_owned()));
                return None;
            }
        },
        (None, false) => {
            let found = check_rates("spec.rates", &it.spec.rates);
            for problem in &found {
                let fix = "rates ascend by date; input and output are stated".to_owned();
                problems.push(it.problem("spec.rates", problem.to_string(), fix));
            }
            if !found.is_empty() {
                return None;
            }
            Change::Rates(it.spec.rates.clone())
        }
        _ => {
            let fix = "write either `rates` or `multiplier`".to_owned();
            problems.push(it.problem("spec", "needs one of `rates` and `multiplier`".to_owned(), fix));
            return None;
        }
    };
    let provider = written.providers.iter().find(|provider| provider.name == it.spec.provider)?;
    Some(Override {
        name: it.name.clone(),
        provider: it.spec.provider.clone(),
        catalog: catalog(provider),
        labels: it.spec.labels.clone(),
        models: it.spec.models.clone(),
        change,
    })
}

fn budget(it: &Placed<spec::Budget>, now: Timestamp, problems: &mut Vec<Problem>) -> Option<BudgetRule> {
    let limit = match NanoUsd::from_decimal(&it.spec.amount) {
        Ok(amount) => amount.0,
        Err(error) => {
            problems.push(it.problem("spec.amount", error.to_string(), "such as \"250.00\"".to_owned()));
            return None;
        }
    };
    let zone = it.spec.time_zone.as_deref().unwrap_or("UTC");
    let Ok(zone) = TimeZone::get(zone) else {
        let fix = "an IANA name such as UTC or Europe/Berlin".to_owned();
        problems.push(it.problem("spec.timeZone", format!("no time zone `{zone}`"), fix));
        return None;
    };
    if !it.spec.thresholds.is_sorted_by(|a, b| a < b) {
        let fix = "such as [50, 80, 100]".to_owned();
        problems.push(it.problem("spec.thresholds", "thresholds do not ascend".to_owned(), fix));
    }
    match it.spec.period.starts_ms(&zone, now) {
        Ok(periods_ms) => Some(BudgetRule {
            name: it.name.clone(),
            selector: selector(&it.spec.selector),
            per: it.spec.per.clone(),
            limit,
            hard: it.spec.enforcement == Enforcement::Hard,
            clamp: it.spec.clamp,
            default_max_tokens: it.spec.default_max_tokens,
            on_unavailable: it.spec.on_unavailable,
            on_unpriced: it.spec.unpriced,
            periods_ms,
        }),
        Err(error) => {
            problems.push(it.problem("spec.period", error.to_string(), "another period".to_owned()));
            None
        }
    }
}

fn thresholds(budget: &spec::Budget) -> Vec<u32> {
    if budget.thresholds.is_empty() { vec![50, 80, 100] } else { budget.thresholds.clone() }
}

fn rate_limit(it: &Placed<spec::RateLimit>, problems: &mut Vec<Problem>) -> Option<RateLimitRule> {
    if it.spec.requests.is_none() && it.spec.tokens.is_none() {
        let fix = "add `requests:` or `tokens:`".to_owned();
        problems.push(it.problem("spec", "limits nothing".to_owned(), fix));
        return None;
    }
    let window = duration(&it.spec.window)?;
    Some(RateLimitRule {
        name: it.name.clone(),
        selector: selector(&it.spec.selector),
        per: it.spec.per.clone(),
        requests: it.spec.requests,
        tokens: it.spec.tokens,
        window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
    })
}

fn model(it: &Placed<spec::Model>) -> ModelConfig {
    let r#match = if it.spec.r#match.is_empty() { vec![it.name.clone()] } else { it.spec.r#match.clone() };
    ModelConfig {
        name: it.name.clone(),
        r#match,
        provider: it.spec.provider.clone(),
        upstream_model: it.spec.upstream_model.clone(),
        max_output_tokens: it.spec.max_output_tokens,
    }
}

fn access(it: &Placed<spec::AccessPolicy>) -> AccessRule {
    AccessRule {
        name: it.name.clone(),
        subject: selector(&it.spec.subject),
        allow: it.spec.allow.iter().map(selector).collect(),
        deny: it.spec.deny.iter().map(selector).collect(),
    }
}

fn selector(it: &spec::Selector) -> Selector {
    Selector {
        labels: it.labels.clone(),
        providers: it.providers.clone(),
        models: it.models.clone(),
        apis: apis(&it.apis),
    }
}

fn identity(it: Option<&spec::Identity>) -> IdentityConfig {
    let it = it.cloned().unwrap_or_default();
    let or = |map: BTreeMap<String, String>, default: BTreeMap<String, String>| {
        if map.is_empty() { default } else { map }
    };
    let header = |name: &&str| (format!("x-purser-{name}"), (*name).to_owned());
    let lower = it.headers.into_iter().map(|(header, label)| (header.to_ascii_lowercase(), label)).collect();
    IdentityConfig {
        trust: if it.trust.is_empty() { vec![Source::Key, Source::Workload, Source::Header] } else { it.trust },
        headers: or(lower, labels::NAMES.iter().map(header).collect()),
        workload: or(it.workload, BTreeMap::from([("WORKLOAD_NAME".to_owned(), "workload".to_owned())])),
        required: it.required,
        key_required: it.unidentified == Unidentified::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_and_durations_are_read() {
        let cases = [
            ("https://api.openai.com", Some((true, "api.openai.com", 443, ""))),
            ("https://api.openai.com/", Some((true, "api.openai.com", 443, ""))),
            ("http://127.0.0.1:8000/openai", Some((false, "127.0.0.1", 8000, "/openai"))),
            ("http://[::1]:80/a/b/", Some((false, "::1", 80, "/a/b"))),
            ("ftp://x", None),
            ("https://:443", None),
            ("https://user@x", None),
            ("https://x:99999", None),
        ];
        for (url, want) in cases {
            let want = want.map(|(tls, host, port, path)| (tls, host.to_owned(), port, path.to_owned()));
            assert_eq!(endpoint(url), want, "{url}");
        }
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        assert_eq!(duration("5"), None);
    }
}
