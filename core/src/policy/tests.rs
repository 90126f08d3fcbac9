use super::*;
use crate::config::{ModelConfig, ProviderConfig};
use crate::free::Free;
use crate::labels::{Label, Source};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let label = |value: &str| Label { value: value.to_owned(), source: Source::Key };
    pairs.iter().map(|(name, value)| ((*name).to_owned(), label(value))).collect()
}

fn selector(labels: &[(&str, &[&str])], models: &[&str]) -> Selector {
    Selector {
        labels: labels
            .iter()
            .map(|(name, globs)| ((*name).to_owned(), globs.iter().map(|g| (*g).to_owned()).collect()))
            .collect(),
        models: models.iter().map(|g| (*g).to_owned()).collect(),
        ..Selector::default()
    }
}

fn provider(name: &str, apis: &[Api]) -> ProviderConfig {
    ProviderConfig { name: name.into(), apis: apis.to_vec(), catalog: name.into(), free: Free::USUAL.to_vec() }
}

fn model(name: &str, globs: &[&str], provider: &str) -> ModelConfig {
    ModelConfig {
        name: name.into(),
        r#match: globs.iter().map(|g| (*g).to_owned()).collect(),
        provider: provider.into(),
        upstream_model: None,
        max_output_tokens: None,
    }
}

fn price(provider: &str, model: &str) -> crate::pricing::PriceEntry {
    serde_json::from_value(serde_json::json!({
        "provider": provider, "model": model, "match": [model],
        "rates": [{"from": "1970-01-01", "input": "1", "output": "2"}],
    }))
    .unwrap()
}

fn budget(name: &str, per: &[&str], periods_ms: &[u64]) -> BudgetRule {
    serde_json::from_value(serde_json::json!({
        "name": name, "selector": {}, "per": per, "limit": 1, "hard": true, "clamp": false,
        "on_unavailable": "closed", "on_unpriced": "deny", "periods_ms": periods_ms,
    }))
    .unwrap()
}

fn subject<'a>(labels: &'a Labels, model: &'a str) -> Subject<'a> {
    Subject { labels, provider: "openai", model, api: Api::OpenAiChat }
}

#[test]
fn a_request_goes_to_the_model_document_then_to_who_knows_the_model_then_to_the_first() {
    let both = [Api::OpenAiChat, Api::AnthropicMessages];
    let policy = Policy::compile(FilterConfig {
        providers: vec![
            provider("aa", &[Api::OpenAiChat]),
            provider("claude", &[Api::AnthropicMessages]),
            provider("mistral", &both),
        ],
        models: vec![model("house", &["house-*"], "claude"), model("house2", &["house-*"], "mistral")],
        prices: vec![price("mistral", "mistral-large")],
        ..FilterConfig::default()
    })
    .unwrap();
    let cases = [
        (Api::OpenAiChat, "mistral-large", Some("mistral")),
        (Api::OpenAiChat, "gpt-5", Some("aa")),
        (Api::AnthropicMessages, "house-1", Some("claude")),
        (Api::OpenAiChat, "house-1", Some("mistral")),
        (Api::AnthropicMessages, "unknown", Some("claude")),
    ];
    for (api, name, want) in cases {
        let got = policy.route(api, name, None, 1).map(|route| route.provider.name.as_str());
        assert_eq!(got, want, "{api} {name}");
    }
}

#[test]
fn a_path_of_one_providers_looks_goes_to_that_one() {
    let apis = [Api::OpenAiChat, Api::AnthropicMessages, Api::GeminiGenerate];
    let policy = Policy::compile(FilterConfig {
        providers: vec![
            provider("vertex", &apis[1..]),
            provider("azure", &apis[..1]),
            provider("openai", &apis[..1]),
            provider("anthropic", &apis[1..2]),
        ],
        models: vec![model("gpt", &["gpt-*"], "openai"), model("house", &["house"], "azure")],
        prices: vec![price("vertex", "claude"), price("anthropic", "claude"), price("openai", "gpt-5")],
        ..FilterConfig::default()
    })
    .unwrap();
    let cases = [
        (Api::OpenAiChat, "gpt-5", Some("azure"), Some("azure")),
        (Api::OpenAiChat, "gpt-5", None, Some("openai")),
        (Api::OpenAiChat, "unknown", None, Some("openai")),
        (Api::OpenAiChat, "house", None, Some("azure")),
        (Api::OpenAiChat, "gpt-5", Some("databricks"), Some("openai")),
        (Api::AnthropicMessages, "claude", Some("vertex"), Some("vertex")),
        (Api::AnthropicMessages, "claude", None, Some("anthropic")),
        (Api::GeminiGenerate, "gemini", None, Some("vertex")),
    ];
    for (api, name, place, want) in cases {
        let got = policy.route(api, name, place, 1).map(|route| route.provider.name.as_str());
        assert_eq!(got, want, "{api} {name} {place:?}");
    }
}

#[test]
fn what_is_free_goes_to_the_first_of_its_family_that_lets_it_through() {
    let strict = ProviderConfig { free: vec![Free::CountTokens], ..provider("strict", &[Api::OpenAiChat]) };
    let policy = Policy::compile(FilterConfig {
        providers: vec![
            strict,
            provider("claude", &[Api::AnthropicMessages]),
            provider("openai", &[Api::OpenAiEmbeddings, Api::OpenAiChat]),
            provider("azure", &[Api::OpenAiChat]),
        ],
        access: vec![AccessRule {
            name: "r".into(),
            subject: selector(&[("team", &["ml"])], &[]),
            allow: vec![selector(&[], &["gpt-*"])],
            deny: vec![selector(&[], &["gpt-5*"])],
        }],
        ..FilterConfig::default()
    })
    .unwrap();
    let cases = [
        ("GET", "/v1/models", Some("openai")),
        ("GET", "/openai/deployments/d/models", Some("azure")),
        ("POST", "/v1/responses/input_tokens", Some("strict")),
        ("POST", "/v1/messages/count_tokens", Some("claude")),
        ("POST", "/v1beta/models/m:countTokens", None),
        ("POST", "/v1/files", None),
    ];
    for (method, path, want) in cases {
        let request = free::request(method, path, false).unwrap();
        assert_eq!(policy.free(request).map(|(provider, _)| provider.name.as_str()), want, "{method} {path}");
    }
    let ml = labels(&[("team", "ml")]);
    assert!(policy.free_denied_by(subject(&ml, "")).is_none(), "rules about models are not about lists of them");
}

#[test]
fn deny_wins_and_a_list_of_what_is_allowed_leaves_the_rest_out() {
    let rule = |name: &str, allow: Vec<Selector>, deny: Vec<Selector>| AccessRule {
        name: name.into(),
        subject: selector(&[("team", &["ml", "research-*"])], &[]),
        allow,
        deny,
    };
    let policy = Policy::compile(FilterConfig {
        access: vec![
            rule("cheap", vec![selector(&[], &["gpt-*", "claude-*"])], vec![]),
            rule("not-opus", vec![], vec![selector(&[], &["*opus*"])]),
        ],
        ..FilterConfig::default()
    })
    .unwrap();
    let cases = [
        ("ml", "gpt-5", None),
        ("ml", "o3", Some("cheap")),
        ("research-1", "claude-opus-4", Some("not-opus")),
        ("sales", "o3", None),
    ];
    for (team, name, want) in cases {
        let labels = labels(&[("team", team)]);
        let got = policy.access_denied_by(subject(&labels, name)).map(|rule| rule.name.as_str());
        assert_eq!(got, want, "{team} {name}");
    }
    assert!(policy.access_denied_by(subject(&Labels::new(), "o3")).is_none(), "no team, no rule about it");
}

#[test]
fn a_budget_counts_by_its_labels_in_the_period_of_the_time() {
    let policy = Policy::compile(FilterConfig {
        budgets: vec![budget("each-team", &["team"], &[1_000, 2_000, 3_000])],
        ..FilterConfig::default()
    })
    .unwrap();
    let ml = labels(&[("team", "ml/a%b")]);
    let cases = [(0, Some(1_000)), (1_999, Some(1_000)), (2_000, Some(2_000)), (2_999, Some(2_000)), (3_000, None)];
    for (now, want) in cases {
        let found: Vec<_> = policy.budgets(subject(&ml, "m"), now).map(|(_, instance)| instance).collect();
        assert_eq!(found.first().cloned().flatten().map(|i| i.period_ms), want, "{now}");
        assert_eq!(found.len(), 1);
    }
    let (_, instance) = policy.budgets(subject(&ml, "m"), 1_000).next().unwrap();
    assert_eq!(instance.unwrap().to_string(), "each-team/1000/ml%2Fa%25b");
    assert_eq!(policy.budgets(subject(&Labels::new(), "m"), 1_000).count(), 0, "no team: not counted");
}

#[test]
fn every_problem_of_a_configuration_is_named() {
    let errors = Policy::compile(FilterConfig {
        models: vec![model("m", &["m"], "nobody")],
        budgets: vec![budget("b", &["tribe"], &[5])],
        keys: vec![crate::config::KeyConfig {
            id: "k".into(),
            sha256: "zz".into(),
            labels: std::collections::BTreeMap::new(),
            expires_ms: None,
        }],
        ..FilterConfig::default()
    })
    .unwrap_err();
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["models[m].provider", "budgets[b].periods_ms", "budgets[b]", "keys[k].sha256"]);
}
