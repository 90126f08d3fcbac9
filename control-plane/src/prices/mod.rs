//! `purser prices`: the catalogue's imported part made anew from open data sets, and prices shown.

mod decimal;
mod genai;
mod listed;
mod litellm;
mod merge;

use crate::text::table;
use anyhow::{Context, Result, bail};
use merge::{Alias, Decision, Report, Sources, passed_through};
use purser_core::pricing::catalog::CatalogFile;
use purser_core::pricing::{Date, PriceBook, RateKey};
use purser_policy::shipped_book;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do with prices.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make the imported part of the catalogue anew from open price data; prints what changed
    Import(Import),
    /// List the models that have a price
    List {
        /// Of this provider only
        #[arg(long)]
        provider: Option<String>,
    },
    /// Show the price of a model: its rates over time, and where they were read
    Show {
        /// The price book's name of the provider
        provider: String,
        /// The model, as the provider calls it
        model: String,
    },
}

/// Where the data is.
#[derive(Debug, Clone, clap::Args)]
pub struct Import {
    /// genai-prices' data.json, version 2
    #[arg(long)]
    genai_prices: PathBuf,
    /// Its version
    #[arg(long)]
    genai_prices_version: String,
    /// litellm's model_prices_and_context_window_backup.json
    #[arg(long)]
    litellm: PathBuf,
    /// Its version
    #[arg(long)]
    litellm_version: String,
    /// The catalogue's folder
    #[arg(long, default_value = "catalog")]
    catalog: PathBuf,
    /// The day of the import. Absent: today
    #[arg(long)]
    checked: Option<String>,
    /// Write nothing: say what would change
    #[arg(long)]
    dry_run: bool,
}

/// As far back as the book goes: prices that no set dates begin here.
const FIRST: &str = "2025-01-01";

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or written.
pub fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Import(import) => self::import(import),
        Command::List { provider } => {
            let book = shipped_book()?;
            print!("{}", list(&book, provider.as_deref()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { provider, model } => show(&shipped_book()?, provider, model),
    }
}

fn list(book: &PriceBook, provider: Option<&str>) -> String {
    let entries = book.entries().iter().filter(|entry| provider.is_none_or(|only| entry.provider == only));
    let rows = entries.filter_map(|entry| {
        let last = entry.rates.last()?;
        let rate = |key: RateKey| last.rates.get(key).map(|rate| format!("{} {rate}", key.name()));
        let rates: Vec<String> = RateKey::all().filter_map(rate).collect();
        Some(vec![entry.provider.clone(), entry.model.clone(), last.from.to_string(), rates.join(", ")])
    });
    table(&["provider", "model", "from", "USD per 10⁶ units"], rows) + "\n"
}

fn show(book: &PriceBook, provider: &str, model: &str) -> Result<ExitCode> {
    match book.find(provider, model, crate::now_ms()) {
        Some(price) => {
            println!("{}", serde_json::to_string_pretty(price.entry)?);
            Ok(ExitCode::SUCCESS)
        }
        None => bail!("no price for model `{model}` of provider `{provider}`: see `purser prices list`"),
    }
}

fn import(args: &Import) -> Result<ExitCode> {
    let today = || jiff::Timestamp::now().to_string().chars().take(10).collect();
    let checked = Date::parse(&args.checked.clone().unwrap_or_else(today))?;
    let first = Date::parse(FIRST)?;
    let genai = genai::read(&json(&args.genai_prices)?, &args.genai_prices_version, first);
    let litellm = litellm::read(&json(&args.litellm)?, &args.litellm_version, first);
    if genai.is_empty() || litellm.is_empty() {
        bail!("no models found: is this genai-prices' data.json of version 2, and litellm's price map?");
    }
    let decisions: Vec<Decision> = yaml(&args.catalog.join("review.yaml"))?;
    let own = own(&args.catalog.join("providers"))?;
    let aliases: Vec<Alias> = yaml(&args.catalog.join("names.yaml"))?;
    let sources =
        Sources { genai: &genai, litellm: &litellm, decisions: &decisions, aliases: &aliases, own: &own, checked };
    let folder = args.catalog.join("imported");
    let mut report = Report::default();
    let mut documents = Vec::new();
    for provider in sources.providers() {
        let path = folder.join(format!("{provider}.json"));
        let before: Option<CatalogFile> = match std::fs::read_to_string(&path) {
            Ok(text) => Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?),
            Err(_) => None,
        };
        documents.push(sources.document(provider, before.as_ref(), &mut report));
    }
    if let Some(at) = documents.iter().position(|document| document.provider == "vercel") {
        let mut vercel = documents.swap_remove(at);
        passed_through(&mut vercel, &own.iter().chain(&documents).collect::<Vec<_>>());
        documents.push(vercel);
    }
    documents.retain(|document| !document.models.is_empty());
    for document in documents.iter().filter(|_| !args.dry_run) {
        let path = folder.join(format!("{}.json", document.provider));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(&path, written(document)?).with_context(|| path.display().to_string())?;
    }
    let (models, files) = (documents.iter().map(|document| document.models.len()).sum::<usize>(), documents.len());
    print(&report);
    println!("{models} models of {files} providers");
    let unreviewed = report.differences.iter().any(|it| it.reviewed.is_none());
    Ok(if unreviewed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn yaml<T: for<'de> serde::Deserialize<'de>>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
}

/// Our own documents.
fn own(folder: &Path) -> Result<Vec<CatalogFile>> {
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        files.push(yaml(&file?.path())?);
    }
    Ok(files)
}

/// One model a line, so that a change is one too.
fn written(document: &CatalogFile) -> Result<String> {
    let lines: Result<Vec<String>, _> = document.models.iter().map(serde_json::to_string).collect();
    let (provider, source) = (serde_json::to_string(&document.provider)?, serde_json::to_string(&document.source)?);
    Ok(format!("{{\"provider\":{provider},\"source\":{source},\"models\":[\n{}\n]}}\n", lines?.join(",\n")))
}

fn print(report: &Report) {
    for line in &report.changes {
        println!("changed: {line}");
    }
    for line in &report.left_out {
        println!("left out: {line}");
    }
    for it in &report.differences {
        let by = it.reviewed.as_deref().unwrap_or("NOT REVIEWED: add a decision to catalog/review.yaml");
        println!("differs: {}/{}: {}; taken {} ({by})", it.provider, it.model, it.what, it.taken);
    }
    let unreviewed = report.differences.iter().filter(|it| it.reviewed.is_none()).count();
    println!(
        "{} changed, {} left out, {} differ between the sets, {unreviewed} of them not reviewed",
        report.changes.len(),
        report.left_out.len(),
        report.differences.len()
    );
}
