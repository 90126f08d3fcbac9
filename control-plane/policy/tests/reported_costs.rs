//! Costs that providers reported themselves, beside the same usage: ours are equal to one per cent where the provider's
//! price is in the book, but for the rows explained here.
//!
//! The recordings are no part of this repository. They are looked for in `$PURSER_CORPUS`, then in `../shared/corpus`
//! beside the checkout; absent, the test says so and compares nothing.

use purser_core::policy::glob;
use purser_core::pricing::{Date, cost};
use purser_core::usage::{Kind, Quality, Term, Units, Usage};
use purser_policy::shipped_book;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Provider, model, the ratio of ours to theirs (per mille, from and to), and why.
const EXPLAINED: [(&str, &str, (u64, u64), &str); 9] = [
    ("openrouter", "moonshotai/kimi-k2.5-0127", (1_000, 1_700), "OpenRouter charges what the route that it took does"),
    ("openrouter", "openai/gpt-oss-120b", (3_000, 3_700), "OpenRouter charges what the route that it took does"),
    (
        "openrouter",
        "google/gemini-3.6-flash",
        (500, 500),
        "before the price was halved; the sets date it at the maker only",
    ),
    ("openrouter", "openai/gpt-4.1-mini", (200, 300), "a fee of the web plugin, which the usage does not count"),
    ("openrouter", "openai/gpt-4o-mini", (0, 100), "a fee of the web plugin, which the usage does not count"),
    ("openrouter", "openai/gpt-5.1-codex-mini", (0, 100), "a fee of the web plugin, which the usage does not count"),
    ("perplexity", "sonar", (950, 1_080), "made up by hand: parts rounded to a tenth of a cent"),
    ("vercel", "openai/gpt-5", (550, 800), "the gateway adds the reasoning to the output, which its usage does not"),
    ("xai", "grok-*", (0, 38_000), "made up by hand, or a picture that the usage does not count"),
];

#[test]
fn our_costs_are_those_that_providers_report() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("PURSER_CORPUS").map_or(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join("reported-costs.jsonl")) else {
        println!("corpus absent, skipped: set PURSER_CORPUS to its folder");
        return;
    };
    let book = shipped_book().unwrap();
    let at_ms = Date::parse("2026-11-24").unwrap().start_ms();
    let (mut equal, mut explained, mut unpriced) = (0_u32, 0_u32, BTreeMap::<String, u32>::new());
    let mut wrong = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let expected = &row["expected"];
        let provider = match row["provider"].as_str().unwrap_or_default() {
            "vercel-gateway" => "vercel",
            other => other,
        };
        let name = |key: &str| expected[key].as_str().map(str::to_owned);
        let model = name("model").or_else(|| name("request_model")).unwrap_or_default();
        let Some(theirs) = expected["cost_reported"].as_f64() else { continue };
        let Some(price) = book.find(provider, &model, at_ms) else {
            *unpriced.entry(format!("{provider}/{model}")).or_default() += 1;
            continue;
        };
        let ours = cost(&price, &usage(&row)).unwrap().nano_usd.0 as f64 / 1e9;
        if (ours - theirs).abs() <= theirs * 0.01 + 1e-8 {
            equal += 1;
            continue;
        }
        let per_mille = (ours / theirs * 1_000.0) as u64;
        let known = EXPLAINED.iter().any(|(by, of, (from, to), _)| {
            *by == provider && glob::matches(of, &model) && (*from..=*to).contains(&per_mille)
        });
        if known {
            explained += 1;
        } else {
            wrong.push(format!("{} {provider}/{model}: {ours} and they say {theirs}", row["id"]));
        }
    }
    println!("{equal} equal, {explained} explained, without a price: {unpriced:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(equal > explained * 5, "{equal} equal, {explained} explained");
}

/// The row's counts, which are whole: prompt with cached tokens, output with reasoning.
fn usage(row: &Value) -> Usage {
    let expected = &row["expected"];
    let count = |key: &str| expected[key].as_u64().unwrap_or(0);
    let (read, read_audio) = (count("cached_read"), count("cached_audio_in"));
    let hour = count("cache_write_1h");
    let minutes = count("cache_write").saturating_sub(hour).max(count("cache_write_5m"));
    let (audio, image) = (count("audio_in").saturating_sub(read_audio), count("image_in"));
    let apart = read + hour + minutes + audio + image + count("video_in");
    let mut units = Units::of(&[
        (Kind::Input, count("input").saturating_sub(apart)),
        (Kind::CacheRead, read.saturating_sub(read_audio)),
        (Kind::CacheReadAudio, read_audio),
        (Kind::CacheWrite5m, minutes),
        (Kind::CacheWrite1h, hour),
        (Kind::InputAudio, audio),
        (Kind::InputImage, image),
        (Kind::InputVideo, count("video_in")),
        (Kind::Output, count("output").saturating_sub(count("audio_out") + count("image_out"))),
        (Kind::OutputAudio, count("audio_out")),
        (Kind::OutputImage, count("image_out")),
        (Kind::WebSearches, count("web_search").max(count("web_search_calls"))),
        (Kind::Sources, count("sources")),
    ]);
    let mut usage = Usage::new(Units::default(), Quality::Exact);
    let size = row["usage_raw"].as_array().into_iter().flatten().find_map(|it| it[1]["search_context_size"].as_str());
    if let Some(size) = size {
        usage.terms.insert(Term::SearchContext, size.to_owned());
        units.set(Kind::Requests, 1);
    }
    usage.reasoning = count("reasoning");
    usage.units = units;
    usage
}
