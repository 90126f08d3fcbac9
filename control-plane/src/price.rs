//! `purser price`: what usages cost, from the shell. JSON lines in and out, or one usage from flags as a table.

use crate::text::table;
use anyhow::{Context, Result, bail};
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use purser_core::pricing::{PriceBook, cost_of_passes};
use purser_core::usage::{Kind, Quality, Term, Terms, Units, Usage};
use purser_policy::{load, nearest, shipped_book};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// What to price.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
A line in: {\"provider\":\"openai\",\"model\":\"gpt-5\",\"usage\":{\"input\":1000,\"output\":50}}
and if need be \"id\", \"at\" (a time, a day, or milliseconds since 1970), \"tier\": \"batch\",
\"terms\": {\"geo\":\"us\"}, and \"reasoning\" in \"usage\". A line out has amounts as decimal texts of USD.")]
pub struct Args {
    /// Files of JSON lines; `-` is the standard input
    #[arg(conflicts_with_all = ["provider", "model"])]
    files: Vec<PathBuf>,
    /// The price book's name of the provider
    #[arg(long, requires = "model")]
    provider: Option<String>,
    /// The model, as the provider calls it
    #[arg(long, requires = "provider")]
    model: Option<String>,
    /// When: 2026-11-01, 2026-11-01T06:00:00Z, or milliseconds since 1970. Absent: now
    #[arg(long)]
    at: Option<String>,
    /// Service tier: batch, flex, priority
    #[arg(long)]
    tier: Option<String>,
    /// Another term, such as geo=us or quality=hd; may be given again
    #[arg(long, value_parser = term)]
    term: Vec<(Term, String)>,
    #[command(flatten)]
    counts: Counts,
    /// How one usage is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// A folder of policy files, whose PriceOverrides are laid over the price book
    #[arg(long)]
    policies: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Jsonl,
}

/// A flag for each kind of units, and for reasoning.
#[derive(Debug, Clone, Default)]
struct Counts {
    units: Units,
    reasoning: u64,
}

impl Counts {
    fn flags() -> impl Iterator<Item = (String, &'static str)> {
        let names = Kind::ALL.into_iter().map(Kind::name).chain(std::iter::once("reasoning"));
        names.map(|name| (name.replace('_', "-"), name))
    }
}

impl clap::Args for Counts {
    fn augment_args(command: Command) -> Command {
        Self::flags().fold(command.next_help_heading("Units"), |command, (flag, name)| {
            let help =
                if name == "reasoning" { "Reasoning tokens, a part of the output".to_owned() } else { about(name) };
            let arg = Arg::new(name).long(flag).value_name("N").help(help);
            command.arg(arg.value_parser(clap::value_parser!(u64)))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn about(name: &str) -> String {
    name.replace('_', " ")
}

impl FromArgMatches for Counts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let count = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or(0);
        let counts: Vec<(Kind, u64)> = Kind::ALL.into_iter().map(|kind| (kind, count(kind.name()))).collect();
        Ok(Self { units: Units::of(&counts), reasoning: count("reasoning") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const TERMS: [Term; 6] = [Term::ServiceTier, Term::Geo, Term::Speed, Term::SearchContext, Term::Size, Term::Quality];

fn term(text: &str) -> Result<(Term, String), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    term_named(name).map(|term| (term, value.to_lowercase()))
}

fn term_named(name: &str) -> Result<Term, String> {
    let names = TERMS.map(Term::name);
    TERMS.into_iter().find(|term| term.name() == name).ok_or_else(|| unknown("term", name, &names))
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("no {what} `{name}`: did you mean `{near}`?"),
        None => format!("no {what} `{name}`: there are {}", known.join(", ")),
    }
}

/// What a usage costs, and how that came about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// Nano-USD; absent when it is not known, which is not zero.
    pub cost_nano_usd: Option<u64>,
    /// USD, a decimal text.
    pub cost_usd: Option<String>,
    /// USD by kind, decimal texts: exact, so that their sum is the cost before it is rounded.
    pub cost_by_kind: BTreeMap<&'static str, String>,
    /// The price's name.
    pub price_entry: Option<String>,
    /// Version of the price book.
    pub price_book_version: String,
    /// What has no price, in words.
    pub problems: Vec<String>,
}

/// Prices, and the price book's names of the providers that policy names.
pub struct Prices {
    book: Arc<PriceBook>,
    catalogs: BTreeMap<String, String>,
}

impl Prices {
    /// The shipped ones, with the overrides of a folder of policy files laid over.
    ///
    /// # Errors
    /// When the folder has an error, with all of them.
    pub fn load(policies: Option<&Path>) -> Result<Self> {
        let book = shipped_book()?;
        let Some(folder) = policies else { return Ok(Self { book: Arc::new(book), catalogs: BTreeMap::new() }) };
        let compiled = load(folder, &book, &[], jiff::Timestamp::now()).map(|(_, compiled)| compiled);
        let compiled = compiled.map_err(|problems| {
            let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", list.join("\n"))
        })?;
        let catalogs = compiled.filter.providers.iter().map(|it| (it.name.clone(), it.catalog.clone())).collect();
        Ok(Self { book: compiled.book, catalogs })
    }

    /// A bill of nothing by these prices.
    #[must_use]
    pub fn nothing(&self) -> Bill {
        Bill { price_book_version: self.book.version().to_owned(), ..Bill::default() }
    }

    /// What a usage of a model costs at a moment, milliseconds since 1970. `provider` is a name of policy or of the book.
    #[must_use]
    pub fn bill(&self, provider: &str, model: &str, at_ms: u64, usage: &Usage) -> Bill {
        let catalog = self.catalogs.get(provider).map(String::as_str);
        let find = |model: &str| {
            let by_name = self.book.find(provider, model, at_ms);
            by_name.or_else(|| self.book.find(catalog?, model, at_ms))
        };
        let mut bill = self.nothing();
        let Some(price) = find(model) else {
            bill.problems.push(format!("no price for model `{model}` of provider `{provider}`"));
            return bill;
        };
        bill.price_entry = Some(price.entry_name());
        match cost_of_passes(&price, usage, find) {
            Ok(breakdown) => {
                bill.cost_nano_usd = Some(breakdown.nano_usd.0);
                bill.cost_usd = Some(breakdown.nano_usd.to_string());
                let parts = breakdown.femto_usd_by_kind.iter();
                bill.cost_by_kind = parts.map(|(kind, femto)| (kind.name(), usd_of_femto(*femto))).collect();
                let fee = |kind: &Kind| format!("no rate for {}: their fee comes on top", about(kind.name()));
                bill.problems.extend(breakdown.unpriced.iter().map(fee));
                let said = |term: &Term| {
                    let value = usage.terms.get(term).map(String::as_str).unwrap_or_default();
                    format!("no price for {} `{value}`: the usual rates were taken", term.name())
                };
                bill.problems.extend(breakdown.terms_unpriced.iter().map(said));
            }
            Err(error) => bill.problems.push(error.to_string()),
        }
        bill
    }
}

/// 10⁻¹⁵ USD as a decimal text of USD.
fn usd_of_femto(femto: u64) -> String {
    const USD: u64 = 1_000_000_000_000_000;
    let text = format!("{:015}", femto % USD);
    let short = text.trim_end_matches('0');
    format!("{}.{short:0<2}", femto / USD)
}

/// Runs the command.
///
/// # Errors
/// When the input cannot be read, or the flags do not make a usage.
pub fn run(args: Args) -> Result<ExitCode> {
    let prices = Prices::load(args.policies.as_deref())?;
    if let (Some(provider), Some(model)) = (&args.provider, &args.model) {
        return one(&prices, provider, model, &args);
    }
    if args.files.is_empty() {
        bail!("name files of JSON lines (`-` is the standard input), or --provider and --model");
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut errors = 0_u64;
    for path in &args.files {
        let name = path.display().to_string();
        let input: Box<dyn BufRead> = if name == "-" {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(std::io::BufReader::new(std::fs::File::open(path).with_context(|| name.clone())?))
        };
        for (at, line) in input.lines().enumerate() {
            let line = line.with_context(|| name.clone())?;
            if line.trim().is_empty() {
                continue;
            }
            let (answer, error) = answer(&prices, &line);
            if let Some(error) = error {
                eprintln!("{name}:{}: {error}", at + 1);
                errors += 1;
            }
            serde_json::to_writer(&mut out, &answer)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    provider: String,
    model: String,
    #[serde(flatten)]
    bill: Bill,
}

/// The answer to a line, and what is wrong with the line.
fn answer(prices: &Prices, line: &str) -> (Answer, Option<String>) {
    let (request, error) = match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(map)) => (map, None),
        Ok(_) => (Map::new(), Some("is no JSON object".to_owned())),
        Err(error) => (Map::new(), Some(error.to_string())),
    };
    let text = |name: &str| request.get(name).and_then(Value::as_str).map(str::to_owned);
    let (provider, model) = (text("provider").unwrap_or_default(), text("model").unwrap_or_default());
    let asked = error.map_or_else(|| asked(&request), Err);
    let (bill, error) = match asked {
        Ok((at_ms, usage)) => (prices.bill(&provider, &model, at_ms, &usage), None),
        Err(error) => {
            let price_book_version = prices.book.version().to_owned();
            (Bill { price_book_version, problems: vec![error.clone()], ..Bill::default() }, Some(error))
        }
    };
    (Answer { id: request.get("id").cloned(), provider, model, bill }, error)
}

/// Moment and usage of a line.
fn asked(request: &Map<String, Value>) -> Result<(u64, Usage), String> {
    const KEYS: [&str; 7] = ["id", "provider", "model", "at", "tier", "terms", "usage"];
    if let Some(other) = request.keys().find(|name| !KEYS.contains(&name.as_str())) {
        return Err(unknown("key", other, &KEYS));
    }
    for name in ["provider", "model"] {
        if request.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(format!("{name}: is missing, or no text"));
        }
    }
    let at_ms = match request.get("at") {
        None | Some(Value::Null) => crate::now_ms(),
        Some(Value::String(text)) => moment(text).map_err(|error| format!("at: {error}"))?,
        Some(number) => number.as_u64().ok_or("at: is no time")?,
    };
    let counts = request.get("usage").and_then(Value::as_object).ok_or("usage: is missing, or no map")?;
    let mut usage = Usage::new(Units::default(), Quality::Exact);
    for (name, count) in counts {
        let count = count.as_u64().ok_or_else(|| format!("usage.{name}: is no count"))?;
        match Kind::named(name) {
            Some(kind) => usage.units.set(kind, count),
            None if name == "reasoning" => usage.reasoning = count,
            None => {
                let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::name).chain(["reasoning"]).collect();
                return Err(format!("usage.{name}: {}", unknown("kind", name, &known)));
            }
        }
    }
    usage.terms = terms(request)?;
    Ok((at_ms, usage))
}

fn terms(request: &Map<String, Value>) -> Result<Terms, String> {
    let mut terms = Terms::new();
    match request.get("terms") {
        None | Some(Value::Null) => {}
        Some(Value::Object(said)) => {
            for (name, value) in said {
                let term = term_named(name).map_err(|error| format!("terms.{name}: {error}"))?;
                let value = value.as_str().ok_or_else(|| format!("terms.{name}: is no text"))?;
                terms.insert(term, value.to_lowercase());
            }
        }
        Some(_) => return Err("terms: is no map".to_owned()),
    }
    match request.get("tier") {
        None | Some(Value::Null) => {}
        Some(Value::String(tier)) => {
            terms.insert(Term::ServiceTier, tier.to_lowercase());
        }
        Some(_) => return Err("tier: is no text".to_owned()),
    }
    Ok(terms)
}

/// A time, a day that begins at midnight UTC, or milliseconds since 1970.
fn moment(text: &str) -> Result<u64, String> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let day = purser_core::pricing::Date::parse(text).ok().map(purser_core::pricing::Date::start_ms);
    let time = || u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok();
    let ms = day.or_else(time);
    ms.ok_or_else(|| format!("`{text}` is no time such as 2026-11-01T06:00:00Z, and no day"))
}

/// One usage from flags.
fn one(prices: &Prices, provider: &str, model: &str, args: &Args) -> Result<ExitCode> {
    let at_ms = args.at.as_deref().map_or_else(|| Ok(crate::now_ms()), moment).map_err(anyhow::Error::msg)?;
    let mut usage = Usage::new(args.counts.units, Quality::Exact);
    usage.reasoning = args.counts.reasoning;
    usage.terms = args.term.iter().cloned().collect();
    if let Some(tier) = &args.tier {
        usage.terms.insert(Term::ServiceTier, tier.to_lowercase());
    }
    let bill = prices.bill(provider, model, at_ms, &usage);
    if args.format == Format::Jsonl {
        let answer = Answer { id: None, provider: provider.to_owned(), model: model.to_owned(), bill: bill.clone() };
        println!("{}", serde_json::to_string(&answer)?);
    } else {
        let count = |name: &str| Kind::named(name).map(|kind| usage.units.get(kind).to_string()).unwrap_or_default();
        let parts = bill.cost_by_kind.iter().map(|(name, usd)| vec![about(name), count(name), usd.clone()]);
        let total = bill.cost_usd.iter().map(|usd| vec!["total".to_owned(), String::new(), usd.clone()]);
        println!("{}", table(&["kind", "units", "USD"], parts.chain(total)));
        if let Some(entry) = &bill.price_entry {
            println!("\nprice {entry}, price book {}", bill.price_book_version);
        }
        for problem in &bill.problems {
            println!("{problem}");
        }
    }
    Ok(if bill.cost_nano_usd.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(line: &str) -> Value {
        let prices = Prices::load(None).unwrap();
        let (answer, error) = answer(&prices, line);
        let mut value = serde_json::to_value(answer).unwrap();
        value["error"] = error.into();
        value
    }

    #[test]
    fn a_line_is_priced_at_its_moment_with_parts_that_sum_up() {
        let line = r#"{"id":7,"provider":"openai","model":"gpt-5","at":"2026-11-01","usage":{"input":1000,"cache_read":9000,"output":50,"reasoning":20}}"#;
        let got = answered(line);
        assert_eq!(got["id"], 7);
        assert_eq!((&got["cost_nano_usd"], &got["cost_usd"]), (&2_875_000.into(), &"0.002875".into()));
        assert_eq!(got["cost_by_kind"]["cache_read"], "0.001125");
        assert_eq!(got["price_entry"], "openai/gpt-5@2025-08-07");
        assert_eq!((&got["problems"], &got["error"]), (&serde_json::json!([]), &Value::Null));
        let before = line.replace("2026-11-01", "2025-08-06T23:59:59Z");
        assert_eq!(answered(&before)["cost_nano_usd"], Value::Null);
    }

    #[test]
    fn what_has_no_price_is_said_and_what_is_wrong_names_its_field() {
        let line = |change: &str| format!(r#"{{"provider":"openai","model":"gpt-5","usage":{{"input":1}}{change}}}"#);
        let cases = [
            (line(r#","tier":"hyper""#), "no price for service_tier `hyper`: the usual rates were taken", false),
            (line(r#","at":"yesterday""#), "at: `yesterday` is no time", true),
            (line(r#","at":true"#), "at: is no time", true),
            (line(r#","terms":{"geos":"us"}"#), "terms.geos: no term `geos`: did you mean `geo`?", true),
            (line(r#","modle":1"#), "no key `modle`: did you mean `model`?", true),
            (line("").replace("input", "inputs"), "usage.inputs: no kind `inputs`: did you mean `input`?", true),
            (line("").replace(":1}", ":-1}"), "usage.input: is no count", true),
            (line("").replace("gpt-5", "gtp-5"), "no price for model `gtp-5` of provider `openai`", false),
            (r#"{"model":"x","usage":{}}"#.to_owned(), "provider: is missing, or no text", true),
            ("[]".to_owned(), "is no JSON object", true),
            ("{".to_owned(), "EOF while parsing", true),
        ];
        for (line, want, wrong) in cases {
            let got = answered(&line);
            let problem = got["problems"][0].as_str().unwrap_or_default();
            assert!(problem.starts_with(want), "{line}: {got}");
            assert_eq!(got["error"].is_string(), wrong, "{line}: {got}");
        }
    }

    #[test]
    fn femto_usd_are_shown_to_the_last() {
        for (femto, want) in [
            (0, "0.00"),
            (1, "0.000000000000001"),
            (1_500_000_000_000_000, "1.50"),
            (u64::MAX, "18446.744073709551615"),
        ] {
            assert_eq!(usd_of_femto(femto), want);
        }
    }
}
