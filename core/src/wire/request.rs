//! What a request asks for, read from its body as it passes; and the few changes made to a body.

use super::json::{JsonError, Key, Reader, Span, Visitor};
use super::Path;
use crate::api::Api;
use crate::estimate::{Family, Features};
use std::collections::BTreeMap;

/// Longest model name that is read.
const MODEL_MAX: usize = 256;
/// What a message costs beside its text, in tokens. OpenAI's cookbook: 3, and its role; others are close.
const PER_MESSAGE: u64 = 4;
/// What a request costs beside its messages: OpenAI primes the answer with 3.
const PER_REQUEST: u64 = 3;
/// What a request with tools costs beside them: OpenAI 12; Anthropic's hidden prompt, 346 for Claude 4
/// (<https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview>, read 2026-11-23).
const FOR_TOOLS: (u64, u64) = (12, 346);
/// What an image costs, in tokens: OpenAI's high detail of a square photo
/// (<https://platform.openai.com/docs/guides/images-vision>), and Anthropic's largest without scaling
/// (<https://docs.anthropic.com/en/docs/build-with-claude/vision>); both read 2026-11-23.
const PER_IMAGE: (u64, u64) = (1_105, 1_600);

/// The wire format of a request, by method and path. Gateways' prefixes are allowed; the path's end decides.
#[must_use]
pub fn recognise(method: &str, path: &str) -> Option<Api> {
    let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
    if !method.eq_ignore_ascii_case("POST") {
        return None;
    }
    match () {
        () if path.ends_with("/chat/completions") => Some(Api::OpenAiChat),
        () if path.ends_with("/messages") => Some(Api::AnthropicMessages),
        () => None,
    }
}

/// Why a body cannot be taken. The texts are read by the caller's developer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No JSON.
    #[error("the request body is {0}")]
    NotJson(#[from] JsonError),
    /// JSON, but no object.
    #[error("the request body is not a JSON object")]
    NotAnObject,
    /// It ended too early.
    #[error("the request body ends in the middle of its JSON ({0} bytes came)")]
    Truncated(u64),
    /// A member of another type than the API's.
    #[error("`{0}` has the wrong type or is out of range")]
    WrongType(&'static str),
    /// A member that decides what is asked for came twice: readers would not agree on which one counts.
    #[error("`{0}` is given twice")]
    Duplicate(&'static str),
    /// No model.
    #[error("`model` is missing")]
    NoModel,
}

/// What a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model's name.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller asked a stream to report usage.
    pub include_usage: bool,
    /// The most output tokens of one choice.
    pub max_tokens: Option<u64>,
    /// How many answers are asked for.
    pub choices: u64,
    /// Messages.
    pub messages: u32,
    /// Tools.
    pub tools: u32,
    /// Images.
    pub images: u32,
    /// Length of the body.
    pub body_bytes: u64,
    /// Where the members stand that may be changed.
    pub spans: Spans,
    features: Features,
    api: Option<Api>,
}

impl RequestFacts {
    /// Estimated prompt tokens in a vocabulary: text, and what messages, tools and images cost beside it.
    #[must_use]
    pub fn input_tokens(&self, family: Family) -> u64 {
        let anthropic = self.api == Some(Api::AnthropicMessages);
        let of = |(openai, claude): (u64, u64)| if anthropic { claude } else { openai };
        let tools = if self.tools > 0 { of(FOR_TOOLS) } else { 0 };
        self.features
            .tokens(family)
            .saturating_add(u64::from(self.messages).saturating_mul(PER_MESSAGE))
            .saturating_add(u64::from(self.images).saturating_mul(of(PER_IMAGE)))
            .saturating_add(tools)
            .saturating_add(PER_REQUEST)
    }
}

/// Where the members stand that may be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spans {
    /// One past the opening brace.
    body: usize,
    /// Whether the object has members.
    members: bool,
    model: Option<Span>,
    max_tokens: Option<Span>,
    max_completion_tokens: Option<Span>,
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StreamOptions {
    span: Span,
    /// An object with members; anything else is put in place whole.
    members: bool,
    include_usage: Option<Span>,
}

/// Changes to a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Another name for the model.
    pub model: Option<String>,
    /// The most output tokens.
    pub max_tokens: Option<u64>,
    /// Ask a stream to report usage.
    pub include_usage: bool,
}

/// Reads a request's body as it passes.
#[derive(Debug)]
pub struct RequestScanner {
    reader: Reader,
    facts: Facts,
    bytes: u64,
}

#[derive(Debug)]
struct Facts {
    api: Api,
    facts: RequestFacts,
    model: Vec<u8>,
    /// Top-level members seen that must be seen once only.
    seen: BTreeMap<&'static str, bool>,
    error: Option<RequestError>,
    root_is_object: bool,
    /// The string under way is text of the prompt; `None`: not known yet, its first bytes tell.
    prompt: Option<bool>,
}

impl RequestScanner {
    /// A scanner for a body of `api`.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let facts = Facts {
            api,
            facts: RequestFacts { choices: 1, api: Some(api), ..RequestFacts::default() },
            model: Vec::new(),
            seen: BTreeMap::new(),
            error: None,
            root_is_object: false,
            prompt: None,
        };
        Self { reader: Reader::default(), facts, bytes: 0 }
    }

    /// Reads a piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.reader.push(piece, &mut self.facts);
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`RequestError`] when it is not what the API takes.
    pub fn finish(&mut self) -> Result<RequestFacts, RequestError> {
        self.reader.finish(&mut self.facts);
        if let Some(error) = self.reader.error() {
            return Err(error.into());
        }
        if !self.reader.is_complete() {
            return Err(RequestError::Truncated(self.bytes));
        }
        if !self.facts.root_is_object {
            return Err(RequestError::NotAnObject);
        }
        if let Some(error) = self.facts.error.take() {
            return Err(error);
        }
        let mut facts = std::mem::take(&mut self.facts.facts);
        facts.model = String::from_utf8(std::mem::take(&mut self.facts.model))
            .ok()
            .filter(|model| model.len() <= MODEL_MAX)
            .ok_or(RequestError::WrongType("model"))?;
        if facts.model.is_empty() {
            return Err(RequestError::NoModel);
        }
        facts.body_bytes = self.bytes;
        Ok(facts)
    }
}

impl Facts {
    fn wrong(&mut self, name: &'static str) {
        self.error.get_or_insert(RequestError::WrongType(name));
    }

    /// Notes the type of a member that must have a certain one.
    fn check_type(&mut self, path: Path<'_>, is: Type) {
        let (name, right) = match path {
            [Key::Model] => ("model", is == Type::Text),
            [Key::Stream] => ("stream", is == Type::Scalar),
            [Key::MaxTokens] => ("max_tokens", is == Type::Scalar),
            [Key::MaxCompletionTokens] => ("max_completion_tokens", is == Type::Scalar),
            [Key::N] => ("n", is == Type::Scalar),
            [Key::StreamOptions] => ("stream_options", is != Type::Text),
            [Key::StreamOptions, Key::IncludeUsage] => ("stream_options.include_usage", is == Type::Scalar),
            [Key::Messages] => ("messages", is == Type::Container),
            _ => return,
        };
        if !right {
            self.wrong(name);
        }
    }

    fn boolean(&mut self, raw: &[u8], name: &'static str) -> bool {
        match raw {
            b"true" => true,
            b"false" | b"null" => false,
            _ => {
                self.wrong(name);
                false
            }
        }
    }

    fn number(&mut self, raw: &[u8], name: &'static str) -> Option<u64> {
        if raw == b"null" {
            return None;
        }
        let number = std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.wrong(name);
        }
        number
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Scalar,
    Container,
}

/// Members of the body whose strings are read by the model.
fn is_prompt(path: Path<'_>) -> bool {
    let root = matches!(
        path.first(),
        Some(Key::Messages | Key::System | Key::Tools | Key::Functions | Key::ResponseFormat)
    );
    root && !matches!(path.last(), Some(Key::Role | Key::Type))
}

/// Members that carry a file's bytes in base64.
fn is_data(path: Path<'_>) -> bool {
    matches!(path.last(), Some(Key::Url | Key::ImageUrl | Key::Data | Key::FileData))
}

/// Whether a string in the place of a file's bytes is text all the same, by its first bytes.
fn looks_like_text(piece: &[u8]) -> bool {
    !piece.starts_with(b"data:") && piece.iter().take(256).any(|byte| !byte.is_ascii_graphic())
}

impl Visitor for Facts {
    fn enter(&mut self, path: Path<'_>, object: bool, at: usize) {
        match path {
            [] => {
                self.root_is_object = object;
                self.facts.spans.body = at.saturating_add(1);
            }
            [Key::StreamOptions] if object => {
                let options = StreamOptions { span: Span::default(), members: false, include_usage: None };
                self.facts.spans.stream_options = Some(options);
            }
            [Key::StreamOptions] => self.wrong("stream_options"),
            [Key::Messages, Key::Item] => self.facts.messages = self.facts.messages.saturating_add(1),
            [Key::Tools | Key::Functions, Key::Item] => self.facts.tools = self.facts.tools.saturating_add(1),
            [Key::Messages, .., Key::Source | Key::ImageUrl] => {
                self.facts.images = self.facts.images.saturating_add(1);
            }
            _ => {}
        }
        self.check_type(path, Type::Container);
    }

    fn leave(&mut self, path: Path<'_>, _: bool, span: Span) {
        if let ([Key::StreamOptions], Some(options)) = (path, &mut self.facts.spans.stream_options) {
            options.span = span;
        }
    }

    fn key(&mut self, path: Path<'_>, name: &[u8]) {
        let once = match path {
            [Key::Model] => Some("model"),
            [Key::Stream] => Some("stream"),
            [Key::MaxTokens] => Some("max_tokens"),
            [Key::MaxCompletionTokens] => Some("max_completion_tokens"),
            [Key::N] => Some("n"),
            [Key::StreamOptions] => Some("stream_options"),
            [Key::StreamOptions, Key::IncludeUsage] => Some("stream_options.include_usage"),
            [Key::Messages] => Some("messages"),
            _ => None,
        };
        if let Some(name) = once.filter(|name| self.seen.insert(name, true).is_some()) {
            self.error.get_or_insert(RequestError::Duplicate(name));
        }
        match path {
            [_] => self.facts.spans.members = true,
            [Key::StreamOptions, _] => {
                if let Some(options) = &mut self.facts.spans.stream_options {
                    options.members = true;
                }
            }
            // The names in a tool's schema are read by the model like its texts.
            [Key::Tools | Key::Functions | Key::ResponseFormat, ..] => self.facts.features.push(name),
            _ => {}
        }
    }

    fn wants(&mut self, path: Path<'_>) -> bool {
        self.check_type(path, Type::Text);
        self.prompt = if is_data(path) { None } else { Some(true) };
        path == [Key::Model] || is_prompt(path)
    }

    fn text(&mut self, path: Path<'_>, piece: &[u8]) {
        if path == [Key::Model] {
            if self.model.len() <= MODEL_MAX {
                self.model.extend_from_slice(piece);
            }
            return;
        }
        let prompt = *self.prompt.get_or_insert_with(|| looks_like_text(piece));
        if prompt {
            self.facts.features.push(piece);
        }
    }

    fn text_end(&mut self, path: Path<'_>, span: Span) {
        match path {
            [Key::Model] => self.facts.spans.model = Some(span),
            // `"image_url": "https://…"`, as some take it, beside the object.
            [Key::Messages, .., Key::ImageUrl] => self.facts.images = self.facts.images.saturating_add(1),
            _ => {}
        }
        // Two texts side by side are no one word.
        if is_prompt(path) {
            self.facts.features.end();
        }
    }

    fn scalar(&mut self, path: Path<'_>, raw: &[u8], span: Span) {
        self.check_type(path, Type::Scalar);
        match path {
            [Key::Stream] => self.facts.stream = self.boolean(raw, "stream"),
            [Key::MaxTokens] => {
                self.facts.spans.max_tokens = Some(span);
                let number = self.number(raw, "max_tokens");
                self.facts.max_tokens = self.facts.max_tokens.max(number);
            }
            [Key::MaxCompletionTokens] if self.api == Api::OpenAiChat => {
                self.facts.spans.max_completion_tokens = Some(span);
                let number = self.number(raw, "max_completion_tokens");
                self.facts.max_tokens = self.facts.max_tokens.max(number);
            }
            [Key::N] => {
                let number = self.number(raw, "n");
                if number == Some(0) {
                    self.wrong("n");
                }
                self.facts.choices = number.unwrap_or(1);
            }
            [Key::StreamOptions] if raw == b"null" => {
                let options = StreamOptions { span, members: false, include_usage: None };
                self.facts.spans.stream_options = Some(options);
            }
            [Key::StreamOptions] => self.wrong("stream_options"),
            [Key::StreamOptions, Key::IncludeUsage] => {
                self.facts.include_usage = self.boolean(raw, "stream_options.include_usage");
                if let Some(options) = &mut self.facts.spans.stream_options {
                    options.include_usage = Some(span);
                }
            }
            // Numbers in a tool's schema or a message's data are read too.
            path if is_prompt(path) => {
                self.facts.features.push(raw);
                self.facts.features.end();
            }
            _ => {}
        }
    }
}

/// The body with its changes: values in their place, new members after the opening brace, all else as it was.
#[must_use]
pub fn rewrite(api: Api, body: &[u8], spans: &Spans, edits: &Edits) -> Vec<u8> {
    let mut changes: Vec<(Span, Vec<u8>)> = Vec::new();
    let mut added: Vec<String> = Vec::new();
    if let Some(model) = &edits.model {
        let text = serde_json::Value::from(model.as_str()).to_string();
        if let Some(span) = spans.model {
            changes.push((span, text.into_bytes()));
        }
    }
    if let Some(most) = edits.max_tokens {
        let places = [spans.max_tokens, spans.max_completion_tokens];
        changes.extend(places.into_iter().flatten().map(|span| (span, most.to_string().into_bytes())));
        if places == [None, None] {
            let name = match api {
                Api::OpenAiChat => "max_completion_tokens",
                Api::AnthropicMessages => "max_tokens",
            };
            added.push(format!("\"{name}\":{most}"));
        }
    }
    if edits.include_usage {
        match spans.stream_options {
            None => added.push(r#""stream_options":{"include_usage":true}"#.to_owned()),
            Some(StreamOptions { include_usage: Some(span), .. }) => changes.push((span, b"true".to_vec())),
            Some(StreamOptions { span, members: true, .. }) => {
                let start = span.start.saturating_add(1);
                changes.push((Span { start, end: start }, br#""include_usage":true,"#.to_vec()));
            }
            Some(StreamOptions { span, .. }) => changes.push((span, br#"{"include_usage":true}"#.to_vec())),
        }
    }
    if !added.is_empty() {
        let comma = if spans.members { "," } else { "" };
        let at = Span { start: spans.body, end: spans.body };
        changes.push((at, format!("{}{comma}", added.join(",")).into_bytes()));
    }
    changes.sort_by_key(|(span, _)| span.start);
    let mut out = Vec::with_capacity(body.len().saturating_add(128));
    let mut from = 0usize;
    for (span, text) in changes {
        out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
        out.extend_from_slice(&text);
        from = span.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
