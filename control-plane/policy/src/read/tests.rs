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
        (document("Bugdet", "  {}\n"), vec!["f.yaml:7: kind: no kind `Bugdet` (fix: write `kind: Budget`)"]),
    ];
    for (text, want) in cases {
        let got = problems(&text);
        for want in &want {
            assert!(got.iter().any(|got| got == want), "{text}\nwanted {want}\ngot {got:#?}");
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
