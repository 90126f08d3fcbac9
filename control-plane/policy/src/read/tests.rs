use crate::{load, shipped_book};
use std::fs;

const PROVIDER: &str = "apiVersion: purser.dev/v1alpha1
kind: Provider
metadata: { name: openai }
spec: { endpoint: https://api.openai.com, apis: [openai.chat] }
---
";

/// Every problem of a file that stands behind one good provider; lines count from the file's start.
fn problems(document: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.yaml"), format!("{PROVIDER}{document}")).unwrap();
    let book = shipped_book().unwrap();
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let result = load(folder.path(), &book, &[], now);
    result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn document(kind: &str, spec: &str) -> String {
    format!("apiVersion: purser.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: it\nspec:\n{spec}")
}

#[test]
fn each_problem_has_its_line_its_path_and_a_fix() {
    let cases = [
        (document("Budget", "  amount: \"1.00\"\n  period: day\n"), vec![]),
        (
            document("Budget", "  ammount: \"1.00\"\n  period: fortnight\n  per: [tribe]\n"),
            vec![
                "f.yaml:11: spec.ammount: unknown key `ammount` (fix: did you mean `amount`?)",
                "f.yaml:11: spec: `amount` is missing (fix: add `amount:`)",
            ],
        ),
        (
            document("Budget", "  amount: 1.5\n  period: day\n"),
            vec![
                "f.yaml:11: spec.amount: 1.5 is not of type \"string\" (fix: mind the type: money and factors are texts, in quotes)",
            ],
        ),
        (
            document("Budget", "  amount: \"1.00\"\n  period: day\n  per: [teem]\n  timeZone: Mars/Base\n"),
            vec![
                "f.yaml:13: spec.per.0: no label `teem` (fix: did you mean `team`?)",
                "f.yaml:14: spec.timeZone: no time zone `Mars/Base` (fix: an IANA name such as UTC or Europe/Berlin)",
            ],
        ),
        (
            document("Model", "  provider: opnai\n"),
            vec!["f.yaml:11: spec.provider: no Provider `opnai` (fix: did you mean `openai`?)"],
        ),
        (
            document("RateLimit", "  window: 1min\n  requests: 5\n"),
            vec![
                "f.yaml:11: spec.window: \"1min\" is not of the form that is needed (fix: a duration such as 30s, 1m, 6h or 1d)",
            ],
        ),
        (
            document("RateLimit", "  window: 1m\n"),
            vec!["f.yaml:11: spec: limits nothing (fix: add `requests:` or `tokens:`)"],
        ),
        (
            document("PriceOverride", "  provider: openai\n  models: [gpt-5]\n"),
            vec!["f.yaml:11: spec: needs one of `rates` and `multiplier` (fix: write either `rates` or `multiplier`)"],
        ),
        (
            document("Provider", "  endpoint: https://x.example\n  apis: [openai.*, openai.chatt, gemni.*]\n"),
            vec![
                "f.yaml:12: spec.apis.1: no API `openai.chatt` (fix: did you mean `openai.chat`?)",
                "f.yaml:12: spec.apis.2: no API `gemni.*` (fix: did you mean `gemini.embed`?)",
            ],
        ),
        (
            document("Budget", "  amount: \"1.00\"\n  period: day\n  selector: { apis: [chat] }\n"),
            vec!["f.yaml:13: spec.selector.apis.0: no API `chat` (fix: one of"],
        ),
        (
            document("Provider", "  endpoint: https://x.example\n  apis: [openai.*]\n  credential: { header: x }\n"),
            vec!["f.yaml:13: spec.credential: needs one of `env` and `file` (fix: write either `env:` or `file:`)"],
        ),
        (
            document("Provider", "  endpoint: https://x.example\n  apis: [openai.*]\n  freePaths: [countToken]\n"),
            vec!["f.yaml:13: spec.freePaths.0: no such word as `countToken` (fix: did you mean `countTokens`?)"],
        ),
        (document("Bugdet", "  {}\n"), vec!["f.yaml:7: kind: no kind `Bugdet` (fix: write `kind: Budget`)"]),
    ];
    for (text, want) in cases {
        let got = problems(&text);
        for want in &want {
            assert!(
                got.iter().any(|got| got == want || (!want.ends_with(')') && got.starts_with(want))),
                "{text}\nwanted {want}\ngot {got:#?}"
            );
        }
        assert_eq!(want.is_empty(), got.is_empty(), "{text}: {got:#?}");
    }
}

#[test]
fn a_document_that_cannot_be_read_hides_no_problem_of_the_others() {
    let text = format!("{}---\n{}", document("Budget", "  amount: \"1\"\n  period: day\n  per: [teem]\n"), {
        document("Provider", "  endpoint: here\n  apis: [openai.chat]\n")
    });
    let text = format!("{text}---\n{}", document("Model", "  provider: it\n"));
    let got: Vec<String> =
        problems(&text).iter().map(|problem| problem.split(" (fix").next().unwrap().into()).collect();
    assert_eq!(
        got,
        [
            "f.yaml:13: spec.per.0: no label `teem`",
            "f.yaml:20: spec.endpoint: \"here\" is not of the form that is needed",
        ],
        "the model's provider may well be the one that cannot be read"
    );
}

#[test]
fn what_is_no_yaml_and_what_stands_twice_is_named() {
    let got = problems("a: [1, 2\nb: }");
    assert!(got[0].starts_with("f.yaml:7: not YAML"), "{got:?}");
    let got = problems(&PROVIDER.replace("---\n", ""));
    assert_eq!(
        got,
        [
            "f.yaml:6: metadata.name: Provider `openai` stands in f.yaml:1 too (fix: give it another name, or take one out)"
        ]
    );
}

#[test]
fn the_default_policies_compile() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let loaded = load(folder.as_ref(), &shipped_book().unwrap(), &[], now);
    let (_, compiled) = loaded.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(compiled.filter.budgets.iter().any(|budget| budget.hard));
    assert_eq!(compiled.providers.len(), 2);
}

#[test]
fn a_provider_serves_what_its_patterns_name_and_gets_its_key_where_it_wants_it() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "s3cret\n").unwrap();
    let file = secret.path().display();
    let all = purser_core::api::Api::ALL.len();
    // Name and spec, then: wire formats, the price book's name, the header, its value.
    let cases = [
        ("a", "endpoint: https://api.openai.com, apis: [openai.*]", 9, "openai", "authorization", "Bearer s3cret"),
        (
            "a",
            "endpoint: https://api.anthropic.com, apis: [openai.chat, anthropic.*]",
            4,
            "anthropic",
            "x-api-key",
            "s3cret",
        ),
        ("a", "endpoint: https://r.openai.azure.com, apis: [openai.chat]", 1, "azure", "api-key", "s3cret"),
        ("gemini", "endpoint: http://10.0.0.7, apis: [gemini.*]", 3, "google", "x-goog-api-key", "s3cret"),
        ("a", "endpoint: http://10.0.0.7, apis: [gemini.generate, '*']", all, "a", "x-goog-api-key", "s3cret"),
        (
            "a",
            "endpoint: https://bedrock-runtime.eu-west-1.amazonaws.com, apis: [bedrock.*]",
            2,
            "bedrock",
            "authorization",
            "Bearer s3cret",
        ),
        (
            "a",
            "endpoint: https://openrouter.ai/api, apis: [anthropic.messages]",
            1,
            "openrouter",
            "authorization",
            "Bearer s3cret",
        ),
        ("a", "endpoint: http://x, apis: [anthropic.*]", 3, "a", "x-api-key", "s3cret"),
        ("a", "endpoint: http://x, apis: [ollama.*], catalog: mine", 3, "mine", "authorization", "Bearer s3cret"),
    ];
    for (name, spec, apis, catalog, header, value) in cases {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "apiVersion: purser.dev/v1alpha1\nkind: Provider\nmetadata: {{ name: {name} }}\n\
             spec: {{ {spec}, credential: {{ file: \"{file}\" }} }}\n"
        );
        fs::write(folder.path().join("f.yaml"), text).unwrap();
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let (_, compiled) = crate::load(folder.path(), &shipped_book().unwrap(), &[], now).unwrap();
        let provider = &compiled.filter.providers[0];
        assert_eq!((provider.apis.len(), provider.catalog.as_str()), (apis, catalog), "{spec}");
        let credential = compiled.providers[0].credential.as_ref().unwrap();
        assert_eq!((credential.header.as_str(), credential.value.as_str()), (header, value), "{spec}");
        assert_eq!(provider.free, purser_core::free::Free::USUAL, "{spec}");
    }
    let own = "spec: { endpoint: http://x, apis: [openai.chat], freePaths: [], http2: true, \
               credential: { file: F, header: X-Key, prefix: 'Key ' } }";
    let folder = tempfile::tempdir().unwrap();
    let text = format!("apiVersion: purser.dev/v1alpha1\nkind: Provider\nmetadata: {{ name: own }}\n{own}\n");
    fs::write(folder.path().join("f.yaml"), text.replace('F', &file.to_string())).unwrap();
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let (_, compiled) = crate::load(folder.path(), &shipped_book().unwrap(), &[], now).unwrap();
    let target = &compiled.providers[0];
    let credential = target.credential.as_ref().unwrap();
    assert_eq!((credential.header.as_str(), credential.value.as_str()), ("x-key", "Key s3cret"));
    assert!(target.http2 && compiled.filter.providers[0].free.is_empty());
}
