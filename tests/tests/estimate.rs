//! The estimate before the answer, against tiktoken's own count of the same texts.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use purser_core::estimate::{Family, Features};

/// Prose, code, configuration, prices and other scripts: files of this repository and texts that it has not.
fn texts() -> Vec<(&'static str, String)> {
    vec![
        ("English prose", include_str!("../../README.md").to_owned()),
        ("more prose", include_str!("../../docs/architecture.md").to_owned()),
        ("Rust", include_str!("../../core/src/limit.rs").to_owned()),
        ("TypeScript", include_str!("../../control-plane/dashboard/src/main.ts").to_owned()),
        ("YAML with numbers", include_str!("../../catalog/providers/anthropic.yaml").to_owned()),
        ("JSON", include_str!("../../docs/schema/policy.schema.json").to_owned()),
        ("Russian", "Казначей хранит корабельные деньги и считает каждую монету на борту, днём и ночью. ".repeat(20)),
        ("Chinese", "事务长保管船上的钱，清点船上的每一枚硬币，从早到晚，从不出错。".repeat(20)),
        ("Arabic", "أمين الصندوق يحفظ مال السفينة ويعد كل قطعة نقدية على متنها ليلا ونهارا. ".repeat(20)),
    ]
}

#[test]
fn the_estimate_is_close_to_the_count_on_every_kind_of_text() {
    let counter = tiktoken_rs::o200k_base().unwrap();
    let (mut sum, mut worst) = (0.0f64, 0.0f64);
    let texts = texts();
    for (name, text) in &texts {
        let mut features = Features::default();
        features.push(text.as_bytes());
        let (estimate, count) = (features.tokens(Family::O200k) as f64, counter.encode_ordinary(text).len() as f64);
        let error = (estimate - count).abs() / count;
        println!("{name:<18} counted {count:>6}, estimated {estimate:>6}, {:+.0} %", (estimate / count - 1.0) * 100.0);
        sum += error;
        worst = worst.max(error);
    }
    let mean = sum / texts.len() as f64;
    assert!(mean < 0.15 && worst < 0.40, "mean {mean:.2}, worst {worst:.2}");
}
