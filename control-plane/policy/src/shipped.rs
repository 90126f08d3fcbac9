//! The price book that comes with the binary: `catalog/providers`, written by hand, and `catalog/imported`.

use purser_core::pricing::PriceBook;
use purser_core::pricing::catalog::CatalogFile;

/// Names and texts of all documents.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// Why the shipped price book cannot be read. A test sees to it that it can.
#[derive(Debug, thiserror::Error)]
#[error("the shipped price book: {0}")]
pub struct ShippedError(String);

/// Reads the shipped price book.
///
/// # Errors
/// [`ShippedError`] with every problem.
pub fn shipped_book() -> Result<PriceBook, ShippedError> {
    let mut documents = Vec::new();
    for (name, text) in FILES {
        // What is imported is a megabyte of JSON, read in a tenth of the time of as much YAML.
        let file: Result<CatalogFile, String> = match name.ends_with(".json") {
            true => serde_json::from_str(text).map_err(|error| error.to_string()),
            false => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
        };
        documents.push(file.map_err(|error| ShippedError(format!("{name}: {error}")))?);
    }
    PriceBook::from_documents(documents).map_err(|problems| {
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        ShippedError(list.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use purser_core::policy::glob;
    use purser_core::pricing::Date;

    #[test]
    fn the_shipped_price_book_loads_and_every_entry_says_where_it_was_read() {
        let book = shipped_book().unwrap();
        assert!(book.entries().len() > 4_000, "{}", book.entries().len());
        let without: Vec<&str> =
            book.entries().iter().filter(|entry| entry.source.is_none()).map(|entry| entry.model.as_str()).collect();
        assert!(without.is_empty(), "{without:?}");
        let providers: std::collections::BTreeSet<&str> =
            book.entries().iter().map(|entry| entry.provider.as_str()).collect();
        for provider in [
            "anthropic",
            "azure",
            "bedrock",
            "cerebras",
            "cohere",
            "deepseek",
            "fireworks",
            "google",
            "groq",
            "mistral",
            "moonshot",
            "openai",
            "openrouter",
            "perplexity",
            "together",
            "vercel",
            "vertex",
            "voyage",
            "watsonx",
            "xai",
            "zai",
        ] {
            assert!(providers.contains(provider), "{provider}");
        }
    }

    /// Ours win: what is imported has no name that an entry written by hand has or takes.
    #[test]
    fn what_is_imported_leaves_the_names_of_our_own_entries_alone() {
        let read = |imported: bool| -> Vec<CatalogFile> {
            let files = FILES.iter().filter(|(name, _)| name.ends_with(".json") == imported);
            files.map(|(_, text)| serde_saphyr::from_str(text).unwrap()).collect()
        };
        let names = |file: &CatalogFile| -> Vec<(String, String)> {
            let names = file
                .models
                .iter()
                .flat_map(|it| if it.r#match.is_empty() { vec![it.model.clone()] } else { it.r#match.clone() });
            names.map(|name| (file.provider.clone(), name)).collect()
        };
        let own: Vec<(String, String)> = read(false).iter().flat_map(names).collect();
        let imported: Vec<(String, String)> = FILES
            .iter()
            .filter(|(name, _)| name.ends_with(".json"))
            .flat_map(|(_, text)| names(&serde_json::from_str(text).unwrap()))
            .collect();
        for (provider, name) in &imported {
            let ours = own.iter().find(|(its, own)| its == provider && (own == name || glob::matches(own, name)));
            assert!(ours.is_none(), "{provider}/{name} is a name of ours: {ours:?}");
        }
    }

    /// Requests of a batch are summed between these edges: at another one they would not be priced one by one.
    #[test]
    fn the_sums_of_a_batch_know_every_edge() {
        let book = shipped_book().unwrap();
        let rates = book.entries().iter().flat_map(|entry| &entry.rates);
        let edges: std::collections::BTreeSet<u64> = rates
            .flat_map(|rates| rates.variants.iter().flat_map(|variant| &variant.tiers).chain(&rates.tiers))
            .map(|tier| tier.above)
            .collect();
        let unknown: Vec<_> = edges.iter().filter(|edge| !purser_core::wire::batch::EDGES.contains(edge)).collect();
        assert!(!edges.is_empty() && unknown.is_empty(), "{unknown:?}");
    }

    /// Edges and terms that are known, through the book as it is shipped.
    #[test]
    fn shipped_prices_of_some_days() {
        use purser_core::pricing::cost;
        use purser_core::usage::{Kind, Quality, Term, Units, Usage};
        let book = shipped_book().unwrap();
        let at = |day: &str| Date::parse(day).unwrap().start_ms() + 2 * 3_600_000;
        // provider, model, day (at 02:00), input, cached, output, terms, micro-USD
        type Terms<'a> = &'a [(Term, &'a str)];
        type Case<'a> = (&'a str, &'a str, &'a str, [u64; 3], Terms<'a>, u64);
        let tier = |name| [(Term::ServiceTier, name)];
        let (batch, flex, priority) = (tier("batch"), tier("flex"), tier("priority"));
        let cases: &[Case<'_>] = &[
            ("google", "gemini-2.5-pro", "2026-11-01", [200_000, 0, 0], &[], 250_000),
            ("google", "gemini-2.5-pro", "2026-11-01", [200_001, 0, 0], &[], 500_003),
            ("google", "gemini-2.5-pro", "2026-11-01", [10_000, 240_000, 1_000], &[], 25_000 + 60_000 + 15_000),
            ("openai", "gpt-5.5", "2026-11-01", [272_000, 0, 1_000], &[], 1_390_000),
            ("openai", "gpt-5.5", "2026-11-01", [272_001, 0, 1_000], &[], 2_765_010),
            ("openai", "gpt-5.5", "2026-11-01", [272_001, 0, 1_000], &batch, 1_382_505),
            ("openai", "gpt-5", "2026-11-01", [100_000, 0, 0], &flex, 62_500),
            ("openai", "gpt-5-mini", "2026-11-01", [100_000, 0, 0], &priority, 45_000),
            ("xai", "grok-4.3", "2026-11-01", [199_999, 0, 0], &[], 249_999),
            ("xai", "grok-4.3", "2026-11-01", [200_000, 0, 0], &[], 500_000),
            (
                "anthropic",
                "claude-opus-5-5",
                "2026-11-01",
                [1_000, 0, 0],
                &[(Term::Speed, "fast"), (Term::Geo, "us")],
                8_800,
            ),
            ("deepseek", "deepseek-v4-pro", "2026-11-02", [100_000, 0, 0], &[], 132_000), // a Monday
            ("deepseek", "deepseek-v4-pro", "2026-11-01", [100_000, 0, 0], &[], 66_000),
            ("vertex", "gemini-3.5-flash", "2026-11-01", [100_000, 0, 0], &[(Term::Geo, "europe-west4")], 165_000),
            ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "2026-11-01", [100_000, 0, 0], &[], 330_000),
            (
                "bedrock",
                "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "2026-11-01",
                [100_000, 0, 0],
                &[],
                300_000,
            ),
        ];
        for (provider, model, day, [input, cached, output], terms, micro) in cases {
            let price = book.find(provider, model, at(day)).unwrap_or_else(|| panic!("{provider}/{model}"));
            let counts = [(Kind::Input, *input), (Kind::CacheRead, *cached), (Kind::Output, *output)];
            let terms = terms.iter().map(|(term, value)| (*term, (*value).to_owned())).collect();
            let usage = Usage { terms, ..Usage::new(Units::of(&counts), Quality::Exact) };
            let got = cost(&price, &usage).unwrap();
            let near = (got.nano_usd.0 + 500) / 1_000;
            assert_eq!(
                (near, got.terms_unpriced),
                (*micro, Vec::new()),
                "{provider}/{model} {day} {input} {terms:?}",
                terms = usage.terms
            );
        }
    }
}
