//! A folder of policy files: read, and every problem named with its file, line, path and fix.
//!
//! Files are parsed with marks, so that a problem found in the tree has a line. What a document may hold is checked by
//! the JSON Schema of its kind, which finds all problems and not the first.

use crate::spec::{self, Document};
use jsonschema::error::ValidationErrorKind;
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// The file, in the folder.
    pub file: String,
    /// Line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// Where in the document, such as `spec.amount`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// Whether the folder can be used all the same.
    pub severity: Severity,
}

/// Whether a problem stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The folder is not used.
    Error,
    /// It is, and may not do what was meant.
    Warning,
}

/// `file:line: path: message (fix: …)`.
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.severity == Severity::Warning { "warning: " } else { "" };
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        write!(f, "{}:{}: {kind}{path}{} (fix: {})", self.file, self.line, self.message, self.fix)
    }
}

/// A document and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DocumentRef {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: usize,
}

/// Lines by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Marks(HashMap<String, usize>);

impl Marks {
    /// The line of a path, or of the nearest that holds it.
    fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return *line;
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return self.0.get("").copied().unwrap_or(1),
            }
        }
    }
}

/// A document that has the shape of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<S> {
    /// Its name.
    pub name: String,
    /// What it says.
    pub spec: S,
    file: String,
    marks: Marks,
}

impl<S> Placed<S> {
    /// A problem in this document.
    #[must_use]
    pub fn problem(&self, path: &str, message: String, fix: String) -> Problem {
        let line = self.marks.line(path);
        Problem { file: self.file.clone(), line, path: path.to_owned(), message, fix, severity: Severity::Error }
    }

    /// A warning about this document.
    #[must_use]
    pub fn warning(&self, path: &str, message: String, fix: String) -> Problem {
        Problem { severity: Severity::Warning, ..self.problem(path, message, fix) }
    }
}

/// All documents of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// `Provider` documents.
    pub providers: Vec<Placed<spec::Provider>>,
    /// `Model` documents.
    pub models: Vec<Placed<spec::Model>>,
    /// `AccessPolicy` documents.
    pub access: Vec<Placed<spec::AccessPolicy>>,
    /// `RateLimit` documents.
    pub rate_limits: Vec<Placed<spec::RateLimit>>,
    /// `Budget` documents.
    pub budgets: Vec<Placed<spec::Budget>>,
    /// `Identity` documents.
    pub identities: Vec<Placed<spec::Identity>>,
    /// `PriceOverride` documents.
    pub overrides: Vec<Placed<spec::PriceOverride>>,
    /// All of them, as they stand.
    pub documents: Vec<DocumentRef>,
    /// Whether documents are left out because they cannot be read: what others refer to may be among them.
    pub partial: bool,
}

/// Reads all `*.yaml` and `*.yml` files of a folder: what can be read, and every problem of the rest.
#[must_use]
pub fn read(folder: &Path) -> (Written, Vec<Problem>) {
    let mut written = Written::default();
    let mut problems = Vec::new();
    let files = files(folder).unwrap_or_else(|error| {
        let (message, fix) = (format!("cannot be read: {error}"), "name a folder of policy files".to_owned());
        problems.push(whole(&folder.display().to_string(), message, fix));
        Vec::new()
    });
    for path in files {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match std::fs::read_to_string(&path) {
            Ok(text) => read_file(&name, &text, &mut written, &mut problems),
            Err(error) => {
                let fix = "make it a UTF-8 text that the control plane may read".to_owned();
                problems.push(whole(&name, format!("cannot be read: {error}"), fix));
            }
        }
    }
    written.partial = !problems.is_empty();
    duplicates(&written, &mut problems);
    (written, problems)
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn whole(file: &str, message: String, fix: String) -> Problem {
    Problem { file: file.to_owned(), line: 0, path: String::new(), message, fix, severity: Severity::Error }
}

fn read_file(file: &str, text: &str, written: &mut Written, problems: &mut Vec<Problem>) {
    let documents = match MarkedYaml::load_from_str(text) {
        Ok(documents) => documents,
        Err(error) => {
            let (message, fix) = (format!("not YAML: {error}"), "mind indentation and quotes".to_owned());
            let line = error.marker().line();
            problems.push(Problem { line, ..whole(file, message, fix) });
            return;
        }
    };
    for document in documents {
        let mut marks = Marks::default();
        let value = value(&document, "", &mut marks);
        if value.is_null() {
            continue;
        }
        read_document(file, &value, marks, written, problems);
    }
}

/// The tree without marks, and the marks by path.
fn value(node: &MarkedYaml<'_>, path: &str, marks: &mut Marks) -> Value {
    marks.0.entry(path.to_owned()).or_insert(node.span.start.line());
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match &node.data {
        YamlData::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(it) => Value::Bool(*it),
            Scalar::Integer(it) => Value::from(*it),
            Scalar::FloatingPoint(it) => Value::from(it.into_inner()),
            Scalar::String(it) => Value::String(it.to_string()),
        },
        YamlData::Sequence(items) => {
            let item = |(index, item)| value(item, &below(&format!("{index}")), marks);
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        YamlData::Mapping(members) => {
            let mut map = Map::new();
            for (name, member) in members {
                let mut nowhere = Marks::default();
                let name = match value(name, "", &mut nowhere) {
                    Value::String(name) => name,
                    other => other.to_string(),
                };
                let at = below(&name);
                marks.0.insert(at.clone(), member.span.start.line());
                let it = value(member, &at, marks);
                map.insert(name, it);
            }
            Value::Object(map)
        }
        _ => Value::Null,
    }
}

fn read_document(file: &str, value: &Value, marks: Marks, written: &mut Written, problems: &mut Vec<Problem>) {
    let at = |path: &str, message: String, fix: String| Problem {
        line: marks.line(path),
        path: path.to_owned(),
        ..whole(file, message, fix)
    };
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(schema) = spec::schema_of(kind) else {
        let fix = nearest(kind, &spec::KINDS)
            .map_or_else(|| format!("one of {}", spec::KINDS.join(", ")), |near| format!("write `kind: {near}`"));
        let message = if kind.is_empty() { "no `kind`".to_owned() } else { format!("no kind `{kind}`") };
        problems.push(at("kind", message, fix));
        return;
    };
    let before = problems.len();
    match jsonschema::validator_for(&schema) {
        Ok(validator) => {
            for error in validator.iter_errors(value) {
                let path = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
                explain(&schema, &path, &error, |path, message, fix| problems.push(at(path, message, fix)));
            }
        }
        Err(error) => problems.push(at("", format!("its schema is broken: {error}"), "report this".to_owned())),
    }
    if problems.len() > before {
        return;
    }
    let line = marks.line("");
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let reference = DocumentRef { kind: kind.to_owned(), name, file: file.to_owned(), line };
    let taken = match kind {
        "Provider" => take(value, file, &marks, &mut written.providers),
        "Model" => take(value, file, &marks, &mut written.models),
        "AccessPolicy" => take(value, file, &marks, &mut written.access),
        "RateLimit" => take(value, file, &marks, &mut written.rate_limits),
        "Budget" => take(value, file, &marks, &mut written.budgets),
        "Identity" => take(value, file, &marks, &mut written.identities),
        _ => take(value, file, &marks, &mut written.overrides),
    };
    match taken {
        Ok(()) => written.documents.push(reference),
        Err(error) => problems.push(at("spec", error.to_string(), "see docs/policy.md for what it takes".to_owned())),
    }
}

fn take<S: for<'de> Deserialize<'de>>(
    value: &Value,
    file: &str,
    marks: &Marks,
    into: &mut Vec<Placed<S>>,
) -> Result<(), serde_json::Error> {
    let document: Document<S> = Document::deserialize(value)?;
    let Document { metadata, spec, .. } = document;
    into.push(Placed { name: metadata.name, spec, file: file.to_owned(), marks: marks.clone() });
    Ok(())
}

/// Puts what the schema found into words.
fn explain(
    schema: &Value,
    path: &str,
    error: &jsonschema::ValidationError<'_>,
    mut report: impl FnMut(&str, String, String),
) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = names(schema);
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            for name in unexpected {
                let fix = nearest(name, &known)
                    .map_or_else(|| "leave it out".to_owned(), |near| format!("did you mean `{near}`?"));
                report(&below(name), format!("unknown key `{name}`"), fix);
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            report(path, format!("`{name}` is missing"), format!("add `{name}:`"));
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> =
                options.as_array().into_iter().flatten().map(|it| it.as_str().unwrap_or_default().to_owned()).collect();
            report(path, error.to_string(), format!("one of {}", options.join(", ")));
        }
        // A word of a fixed set, each with its text.
        ValidationErrorKind::OneOfNotValid { .. } if error.instance().is_string() => {
            let known = words(schema);
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let word = error.instance().as_str().unwrap_or_default();
            let fix = nearest(word, &known).map(|near| format!("did you mean `{near}`?"));
            let fix = fix.unwrap_or_else(|| "see docs/policy.md for what it takes".to_owned());
            report(path, format!("no such word as `{word}`"), fix);
        }
        ValidationErrorKind::Type { .. } => {
            report(path, error.to_string(), "mind the type: money and factors are texts, in quotes".to_owned());
        }
        ValidationErrorKind::Pattern { pattern } => {
            report(path, format!("{} is not of the form that is needed", error.instance()), form(pattern));
        }
        _ => report(path, error.to_string(), "see docs/policy.md for what it takes".to_owned()),
    }
}

/// What a pattern of the schema asks for, in words.
fn form(pattern: &str) -> String {
    match pattern {
        r"^purser\.dev/v1alpha1$" => "write `apiVersion: purser.dev/v1alpha1`".to_owned(),
        r"^[0-9]+(\.[0-9]{1,9})?$" => "an amount of USD in quotes, such as \"250.00\"".to_owned(),
        r"^[1-9][0-9]*(ms|s|m|h|d)$" => "a duration such as 30s, 1m, 6h or 1d".to_owned(),
        r"^https?://[^/?#\s]+(/[^?#\s]*)?$" => "a URL such as https://api.example.com".to_owned(),
        _ => format!("must match {pattern}"),
    }
}

/// All property names of a schema, for suggestions.
fn names(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match schema {
        Value::Object(map) => {
            for (name, value) in map {
                if let ("properties", Value::Object(properties)) = (name.as_str(), value) {
                    found.extend(properties.keys().cloned());
                }
                found.extend(names(value));
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(names)),
        _ => {}
    }
    found
}

/// All words of fixed sets of a schema, for suggestions.
fn words(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(map) => {
            let word = map.get("const").and_then(Value::as_str).map(str::to_owned);
            word.into_iter().chain(map.values().flat_map(words)).collect()
        }
        Value::Array(items) => items.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

/// The candidate that a word was likely meant to be.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), *candidate));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

fn duplicates(written: &Written, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<(&str, &str), &DocumentRef> = BTreeMap::new();
    for document in &written.documents {
        if let Some(first) = seen.insert((&document.kind, &document.name), document) {
            problems.push(Problem {
                file: document.file.clone(),
                line: document.line,
                path: "metadata.name".to_owned(),
                message: format!("{} `{}` stands in {}:{} too", document.kind, document.name, first.file, first.line),
                fix: "give it another name, or take one out".to_owned(),
                severity: Severity::Error,
            });
        }
    }
    for extra in written.identities.iter().skip(1) {
        problems.push(extra.problem(
            "",
            "there is more than one Identity".to_owned(),
            "put them together: the order of trust is one list".to_owned(),
        ));
    }
}

#[cfg(test)]
mod tests;
