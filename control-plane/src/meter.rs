//! `purser meter`: what recorded exchanges used and cost, by the engine that runs in the proxies. JSON lines in; JSON
//! lines or a table out.
//!
//! A line is read, metered and forgotten: files may be of any size.

use crate::price::{Bill, Prices};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use purser_core::meter::{Metered, Recorded};
use purser_core::money::NanoUsd;
use purser_core::providers;
use purser_core::usage::{Kind, Pass, Terms, Units, Usage};
use purser_core::wire::base64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Bytes of a body that the engine gets at a time, as from a network.
const PIECE: usize = 64 << 10;
/// Responses in the background that are waited for, and results of batches that are known.
const PENDING_MAX: usize = 100_000;

/// What to meter.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
A line in has method, url, request_headers, request_body (or request_body_base64), status, response_headers,
response_body (or response_body_base64); if need be id, provider, and at (milliseconds since 1970).
A line out has usage by kind: prompt and output kinds are disjoint, reasoning is a part of the output.")]
pub struct Args {
    /// Files of JSON lines; `-`, or none, is the standard input
    files: Vec<PathBuf>,
    /// How the answers are printed
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// A folder of policy files, whose PriceOverrides are laid over the price book
    #[arg(long)]
    policies: Option<PathBuf>,
    /// No summary, no progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Jsonl,
    Table,
}

/// A recorded exchange as a line has it. Other fields are passed over.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default, borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(default)]
    at: Option<u64>,
    #[serde(default, borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(default)]
    request_headers: Option<BTreeMap<String, Value>>,
    #[serde(default, borrow)]
    request_body: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    request_body_base64: Option<Cow<'a, str>>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    response_headers: Option<BTreeMap<String, Value>>,
    #[serde(default, borrow)]
    response_body: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    response_body_base64: Option<Cow<'a, str>>,
}

/// What is printed of an exchange.
#[derive(Debug, Default, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    /// The wire format; absent when neither path nor shape tells.
    api: Option<&'static str>,
    provider: Option<String>,
    request_model: Option<String>,
    response_model: Option<String>,
    stream: bool,
    /// Whether it is charged at all: an answered exchange with a model.
    metered: bool,
    /// Disjoint kinds, and reasoning as a part of the output. Absent: not known, or not metered.
    usage: Option<Counts>,
    quality: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
    #[serde(skip_serializing_if = "Terms::is_empty")]
    terms: Terms,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passes: Vec<Pass>,
    cost_nano_usd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<String>,
    cost_by_kind: BTreeMap<&'static str, String>,
    /// What the provider says that it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_cost_nano_usd: Option<u64>,
    price_entry: Option<String>,
    price_book_version: String,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Counts {
    #[serde(flatten)]
    units: Units,
    #[serde(skip_serializing_if = "is_zero")]
    reasoning: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Sums over all lines.
#[derive(Debug, Default)]
struct Summary {
    lines: u64,
    unreadable: u64,
    bytes: u64,
    metered: u64,
    by_quality: BTreeMap<&'static str, u64>,
    unmetered: u64,
    unpriced: BTreeMap<String, u64>,
    problems: BTreeMap<String, u64>,
    units: Units,
    nano_usd: u64,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read, or the policy folder has an error.
pub fn run(args: &Args) -> Result<ExitCode> {
    let prices = Prices::load(args.policies.as_deref())?;
    let stdin = [PathBuf::from("-")];
    let files: &[PathBuf] = if args.files.is_empty() { &stdin } else { &args.files };
    let mut meter = Meter { prices, pending: HashSet::new(), results: HashSet::new(), summary: Summary::default() };
    let mut rows = Vec::new();
    let mut out = std::io::BufWriter::with_capacity(256 << 10, std::io::stdout().lock());
    let progress = progress(files, args.quiet);
    let started = Instant::now();
    for path in files {
        let name = path.display().to_string();
        let input: Box<dyn Read> = if name == "-" {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(std::fs::File::open(path).with_context(|| name.clone())?)
        };
        let mut input = BufReader::with_capacity(1 << 20, input);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            let length = input.read_until(b'\n', &mut line).with_context(|| name.clone())?;
            if length == 0 {
                break;
            }
            number += 1;
            progress.inc(length as u64);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let answer = match meter.line(&line) {
                Ok(answer) => answer,
                Err(error) => {
                    meter.summary.unreadable += 1;
                    progress.suspend(|| eprintln!("{name}:{number}: {error}"));
                    Answer { problems: vec![error], ..Answer::default() }
                }
            };
            match args.format {
                Format::Jsonl => {
                    serde_json::to_writer(&mut out, &answer)?;
                    out.write_all(b"\n")?;
                }
                Format::Table => rows.push(row(&answer)),
            }
        }
    }
    progress.finish_and_clear();
    if args.format == Format::Table {
        let header = ["id", "api", "provider", "model", "prompt", "cached", "output", "quality", "USD"];
        writeln!(out, "{}", crate::text::table(&header, rows.into_iter()))?;
    }
    out.flush()?;
    if !args.quiet {
        eprintln!("{}", meter.summary.text(started.elapsed()));
    }
    Ok(if meter.summary.unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn progress(files: &[PathBuf], quiet: bool) -> ProgressBar {
    let size = |path: &Path| std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
    let total = files.iter().try_fold(0_u64, |sum, path| Some(sum + size(path)?));
    match total {
        Some(total) if !quiet && std::io::stderr().is_terminal() => {
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        _ => ProgressBar::hidden(),
    }
}

struct Meter {
    prices: Prices,
    /// Responses that run in the background, and whose usage a later line may bring.
    pending: HashSet<String>,
    /// Results of batches that were charged.
    results: HashSet<String>,
    summary: Summary,
}

impl Meter {
    fn line(&mut self, text: &[u8]) -> Result<Answer, String> {
        self.summary.lines += 1;
        self.summary.bytes += text.len() as u64;
        let line: Line<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let url = line.url.as_deref().ok_or("url: is missing")?;
        let (host, path) = parts(url);
        let request = body(line.request_body.as_deref(), line.request_body_base64.as_deref())
            .map_err(|error| format!("request_body_base64: {error}"))?;
        let response = body(line.response_body.as_deref(), line.response_body_base64.as_deref())
            .map_err(|error| format!("response_body_base64: {error}"))?;
        let recorded = Recorded {
            method: line.method.as_deref().unwrap_or("POST"),
            path,
            request_header: &|name| header(line.request_headers.as_ref(), name),
            request: request.as_deref(),
            status: line.status.unwrap_or(200),
            response_header: &|name| header(line.response_headers.as_ref(), name),
            response: response.as_deref().unwrap_or_default(),
        };
        let mut metered = recorded.meter(PIECE);
        self.once(&mut metered);
        let provider = line.provider.as_deref().or_else(|| providers::of_host(host));
        Ok(self.answer(line.id, provider, providers::of_host(host), line.at.unwrap_or_else(crate::now_ms), metered))
    }

    /// A response that ran in the background is charged once, by the first line that brings its usage; a batch's results by
    /// the first that downloads them whole.
    fn once(&mut self, metered: &mut Metered) {
        if let Some(id) = &metered.results {
            // A log may begin after the batch: its results are all there is of what it cost.
            let again = metered.metered && self.results.contains(id);
            if again {
                (metered.metered, metered.usage) = (false, None);
            } else if metered.metered && self.results.len() < PENDING_MAX {
                self.results.insert(id.clone());
            }
            return;
        }
        let id = &metered.answer.id;
        if metered.pending && !id.is_empty() && self.pending.len() < PENDING_MAX {
            self.pending.insert(id.clone());
        }
        let first = metered.usage.is_some() && self.pending.remove(id);
        if metered.poll && !first {
            metered.metered = false;
            metered.usage = None;
        }
    }

    fn answer(
        &mut self,
        id: Option<Value>,
        provider: Option<&str>,
        host: Option<&str>,
        at_ms: u64,
        metered: Metered,
    ) -> Answer {
        let Metered { api, metered: charged, request_model, stream, usage, answer, pending, problems, .. } = metered;
        let mut problems: Vec<String> = problems.iter().map(|problem| problem.name().to_owned()).collect();
        let model = answer.model.as_deref().filter(|model| !model.is_empty());
        let bill = usage.as_ref().map(|usage| self.bill(provider, host, model, &request_model, at_ms, usage));
        let named = |name: String| Some(name).filter(|name| !name.is_empty());
        if charged {
            self.summary.count(usage.as_ref(), pending);
        }
        if let (Some(bill), Some(usage)) = (&bill, &usage) {
            self.summary.add(bill, usage, provider, model.unwrap_or(&request_model));
            problems.extend(bill.problems.iter().cloned());
        }
        for problem in &problems {
            *self.summary.problems.entry(problem.clone()).or_default() += u64::from(!problem.contains('`'));
        }
        let bill = bill.unwrap_or_else(|| self.prices.nothing());
        Answer {
            id,
            api: api.map(purser_core::api::Api::name),
            provider: provider.map(str::to_owned),
            request_model: named(request_model),
            response_model: answer.model,
            stream,
            metered: charged,
            quality: usage.as_ref().map(|usage| usage.quality.name()),
            service_tier: named(answer.service_tier),
            terms: usage.as_ref().map(|usage| usage.terms.clone()).unwrap_or_default(),
            passes: usage.as_ref().map(|usage| usage.passes.clone()).unwrap_or_default(),
            reported_cost_nano_usd: usage.as_ref().and_then(|usage| usage.reported_nano_usd),
            usage: usage.map(|usage| Counts { units: usage.units, reasoning: usage.reasoning }),
            cost_nano_usd: bill.cost_nano_usd,
            cost_usd: bill.cost_usd,
            cost_by_kind: bill.cost_by_kind,
            price_entry: bill.price_entry,
            price_book_version: bill.price_book_version,
            problems,
        }
    }

    /// By the model that answered, else by the one that was asked for; of the provider as it is called, else by its host.
    fn bill(
        &self,
        provider: Option<&str>,
        host: Option<&str>,
        model: Option<&str>,
        asked: &str,
        at_ms: u64,
        usage: &Usage,
    ) -> Bill {
        let names = [provider.map(providers::canonical), host].into_iter().flatten();
        let mut first = None;
        for provider in names {
            for model in model.into_iter().chain([asked]).filter(|model| !model.is_empty()) {
                let bill = self.prices.bill(provider, model, at_ms, usage);
                if bill.price_entry.is_some() {
                    return bill;
                }
                first.get_or_insert(bill);
            }
        }
        first.unwrap_or_else(|| Bill { problems: vec!["no provider, so no price".to_owned()], ..self.prices.nothing() })
    }
}

impl Summary {
    fn count(&mut self, usage: Option<&Usage>, pending: bool) {
        self.metered += 1;
        match usage {
            Some(usage) => *self.by_quality.entry(usage.quality.name()).or_default() += 1,
            None if pending => {}
            None => self.unmetered += 1,
        }
    }

    fn add(&mut self, bill: &Bill, usage: &Usage, provider: Option<&str>, model: &str) {
        self.units.add_all(&usage.units);
        match bill.cost_nano_usd {
            Some(nano) => self.nano_usd = self.nano_usd.saturating_add(nano),
            None => {
                let name = format!("{}/{}", provider.unwrap_or("?"), if model.is_empty() { "?" } else { model });
                *self.unpriced.entry(name).or_default() += 1;
            }
        }
    }

    fn text(&self, took: Duration) -> String {
        let mut lines = Vec::new();
        let rate = self.bytes as f64 / 1e6 / took.as_secs_f64().max(1e-9);
        lines.push(format!(
            "{} lines, {:.1} MB in {:.2} s ({rate:.0} MB/s){}",
            self.lines,
            self.bytes as f64 / 1e6,
            took.as_secs_f64(),
            if self.unreadable > 0 { format!(", {} unreadable", self.unreadable) } else { String::new() }
        ));
        let qualities: Vec<String> = self.by_quality.iter().map(|(name, n)| format!("{n} {name}")).collect();
        lines.push(format!("{} metered: {}; {} without any usage", self.metered, qualities.join(", "), self.unmetered));
        let units: Vec<String> = self.units.used().map(|(kind, n)| format!("{} {n}", kind.name())).collect();
        lines.push(format!("units: {}", if units.is_empty() { "none".to_owned() } else { units.join(", ") }));
        let unpriced: u64 = self.unpriced.values().sum();
        lines.push(format!("{} USD, and {unpriced} exchanges without a price", NanoUsd(self.nano_usd)));
        let mut models: Vec<_> = self.unpriced.iter().collect();
        models.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
        let shown: Vec<String> = models.iter().take(10).map(|(name, n)| format!("{name} ({n})")).collect();
        if !shown.is_empty() {
            let more = if models.len() > 10 { ", …" } else { "" };
            lines.push(format!("unpriced: {}{more}", shown.join(", ")));
        }
        let problems: Vec<String> =
            self.problems.iter().filter(|(_, n)| **n > 0).map(|(problem, n)| format!("{problem} {n}")).collect();
        if !problems.is_empty() {
            lines.push(format!("problems: {}", problems.join(", ")));
        }
        lines.join("\n")
    }
}

/// Host and path of a URL; of a path alone, no host.
fn parts(url: &str) -> (&str, &str) {
    let Some((_, rest)) = url.split_once("://") else { return ("", url) };
    let at = rest.find('/').unwrap_or(rest.len());
    rest.split_at(at)
}

/// A header by its name in lower case; of several values the first.
fn header<'a>(headers: Option<&'a BTreeMap<String, Value>>, name: &str) -> Option<&'a str> {
    let headers = headers?;
    let found = headers
        .get(name)
        .or_else(|| headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value))?;
    found.as_str().or_else(|| found.get(0)?.as_str())
}

/// A body, as text or as base64.
fn body<'a>(text: Option<&'a str>, coded: Option<&str>) -> Result<Option<Cow<'a, [u8]>>, base64::Base64Error> {
    match (text, coded) {
        (Some(text), _) => Ok(Some(Cow::Borrowed(text.as_bytes()))),
        (None, Some(coded)) => bytes(coded).map(|bytes| Some(Cow::Owned(bytes))),
        (None, None) => Ok(None),
    }
}

fn bytes(coded: &str) -> Result<Vec<u8>, base64::Base64Error> {
    let mut out = Vec::with_capacity(coded.len() / 4 * 3);
    let mut decoder = base64::Decoder::default();
    decoder.push(coded.as_bytes(), |bytes| out.extend_from_slice(bytes))?;
    decoder.finish()?;
    Ok(out)
}

fn row(answer: &Answer) -> Vec<String> {
    let count = |kinds: &[Kind]| match &answer.usage {
        Some(usage) => kinds.iter().map(|kind| usage.units.get(*kind)).sum::<u64>().to_string(),
        None => "-".to_owned(),
    };
    let id = match &answer.id {
        Some(Value::String(id)) => id.clone(),
        Some(id) => id.to_string(),
        None => "-".to_owned(),
    };
    let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
    vec![
        id,
        text(answer.api),
        text(answer.provider.as_deref()),
        text(answer.response_model.as_deref().or(answer.request_model.as_deref())),
        count(&Kind::PROMPT),
        count(&[Kind::CacheRead, Kind::CacheReadAudio, Kind::CacheReadImage, Kind::CacheReadVideo]),
        count(&Kind::OUTPUT),
        text(answer.quality.or((!answer.metered).then_some("not metered"))),
        answer.cost_usd.clone().unwrap_or_else(|| if answer.usage.is_some() { "no price" } else { "-" }.to_owned()),
    ]
}
