//! How far from the exact count the two ways to know less are: the estimate by word features, and the tally of long text.
//!
//! The counter itself is compared with tiktoken in the package of the vocabulary. With `--nocapture` the tests print
//! what they measured.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use purser_core::estimate::{Family, Features, Tally};
use serde_json::Value;
use std::path::PathBuf;

/// All of a text counted.
fn counted(text: &str) -> u64 {
    let mut counter = purser_vocabulary::Counter::default();
    counter.push(text.as_bytes());
    counter.end();
    counter.tokens()
}

fn sampled(text: &str, seed: u64) -> u64 {
    let mut tally = Tally::new(seed);
    text.as_bytes().chunks(16 << 10).for_each(|piece| tally.push(piece));
    tally.end();
    tally.tokens(Family::O200k)
}

fn estimated(text: &str) -> u64 {
    let mut features = Features::default();
    features.push(text.as_bytes());
    features.end();
    features.tokens(Family::O200k)
}

/// Mean, 95th percentile and largest of what is off, per cent, and the mean with its sign.
struct Errors {
    mean: f64,
    p95: f64,
    max: f64,
    bias: f64,
}

impl Errors {
    fn of(pairs: &[(u64, u64)]) -> Self {
        let signed: Vec<f64> = pairs.iter().map(|(got, want)| (*got as f64 / *want as f64 - 1.0) * 100.0).collect();
        let mut sizes: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
        let (p95, max) = (sizes[sizes.len() * 95 / 100], sizes[sizes.len() - 1]);
        Self { mean: mean(&sizes), p95, max, bias: mean(&signed) }
    }

    fn print(&self, of: &str) {
        println!(
            "{of:<42} mean {:4.1}  p95 {:4.1}  max {:5.1}  bias {:+4.1} %",
            self.mean, self.p95, self.max, self.bias
        );
    }
}

/// Prose, code, data and other scripts.
fn kinds() -> Vec<(&'static str, String)> {
    vec![
        ("English", include_str!("../../docs/architecture.md").to_owned() + include_str!("../../README.md")),
        ("Rust", include_str!("../src/wire/request.rs").to_owned() + include_str!("../src/limit.rs")),
        ("TypeScript", include_str!("../../control-plane/dashboard/src/main.ts").to_owned()),
        ("YAML", include_str!("../../catalog/providers/anthropic.yaml").to_owned()),
        ("JSON", include_str!("../../docs/schema/policy.schema.json").to_owned()),
        (
            "numbers",
            (0..2_000u64).map(|n| format!("{},{}.{:02}\n", n * n * 7_919 % 100_003, n * 31 % 997, n % 100)).collect(),
        ),
        ("Russian", "Казначей хранит корабельные деньги и считает каждую монету на борту, днём и ночью.\n".repeat(20)),
        (
            "German",
            "Der Zahlmeister verwahrt die Schiffskasse und zählt jede Münze an Bord, früh und spät.\n".repeat(20),
        ),
        ("Chinese", "事务长保管船上的钱，清点船上的每一枚硬币，从早到晚，从不出错。".repeat(20)),
        ("Japanese", "パーサーは船のお金を預かり、船内のすべての硬貨を朝から晩まで数えます。".repeat(20)),
        ("Arabic", "أمين الصندوق يحفظ مال السفينة ويعد كل قطعة نقدية على متنها ليلا ونهارا.\n".repeat(20)),
    ]
}

/// A generator of pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// So many bytes out of `text`, from somewhere on and around its end.
fn excerpt(text: &str, bytes: usize, random: &mut Random) -> String {
    let from = text.ceil_char_boundary(random.below(text.len()));
    let mut out = text[from..].to_owned();
    while out.len() < bytes {
        out.push_str(text);
    }
    out.truncate(out.floor_char_boundary(bytes));
    out
}

#[test]
fn long_text_is_tallied_to_one_per_cent_in_the_mean() {
    let kinds = kinds();
    let mut random = Random(1);
    for size in [160usize << 10, 500 << 10, 1 << 20] {
        let (mut of_one_kind, mut of_all) = (Vec::new(), Vec::new());
        for seed in 0..3 {
            for (_, kind) in &kinds {
                let text = excerpt(kind, size, &mut random);
                of_one_kind.push((sampled(&text, seed), counted(&text)));
            }
            for _ in 0..10 {
                let mut text = String::new();
                while text.len() < size {
                    let (kind, length) = (random.below(kinds.len()), (1 << 10) + random.below(39 << 10));
                    text.push_str(&excerpt(&kinds[kind].1, length, &mut random));
                }
                of_all.push((sampled(&text, seed), counted(&text)));
            }
        }
        let (one, all) = (Errors::of(&of_one_kind), Errors::of(&of_all));
        one.print(&format!("{} KB of one kind", size >> 10));
        all.print(&format!("{} KB, another kind every 1 to 40 KB", size >> 10));
        assert!(one.mean < 1.0 && one.max < 3.0 && all.mean < 2.0 && all.max < 8.0);
    }
}

/// All strings in a value, longest texts of messages among them.
fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(members) => members.values().for_each(|value| strings(value, out)),
        _ => {}
    }
}

fn is_text(text: &str) -> bool {
    // Not media, signatures and the like.
    text.len() >= 200 && !text.starts_with("data:") && text.split_whitespace().all(|word| word.len() < 400)
}

#[test]
fn the_estimate_of_recorded_texts_is_close() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("PURSER_CORPUS").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("corpus absent, skipped: set PURSER_CORPUS to its folder");
        return;
    }
    let mut texts = Vec::new();
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let pair: Value = serde_json::from_str(line).unwrap();
            for body in ["request_body", "response_body"].into_iter().filter_map(|name| pair[name].as_str()) {
                let tree: Value = serde_json::from_str(body).unwrap_or_default();
                strings(&tree, &mut texts);
            }
        }
    }
    texts.retain(|text| is_text(text));
    texts.sort_unstable();
    texts.dedup();
    let pairs = |of: &dyn Fn(&str) -> bool| -> Vec<(u64, u64)> {
        texts.iter().filter(|text| of(text)).map(|text| (estimated(text), counted(text))).collect()
    };
    for (of, which) in [
        ("all", &(|_: &str| true) as &dyn Fn(&str) -> bool),
        ("200 bytes to 1 KB", &|text| text.len() < 1 << 10),
        ("1 to 10 KB", &|text| (1 << 10..10 << 10).contains(&text.len())),
        ("more", &|text| text.len() >= 10 << 10),
        ("ASCII alone", &|text| text.is_ascii()),
        ("a tenth of it other", &|text| text.bytes().filter(|byte| *byte >= 0x80).count() * 10 > text.len()),
    ] {
        let pairs = pairs(which);
        if !pairs.is_empty() {
            Errors::of(&pairs).print(&format!("{of}, {} texts", pairs.len()));
        }
    }
    let all = Errors::of(&pairs(&|_| true));
    assert!(all.mean < 15.0, "mean {:.1} %", all.mean);
}
