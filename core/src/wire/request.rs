//! What a request asks for, read while its body passes; and the body with a few fields changed.
//!
//! [`RequestScanner`] keeps no body. It reads the model, what the output is capped to and how the answer shall come, and
//! counts what of the body the model will read: the decoded text of messages, system prompt and tool results, tool
//! definitions as minified JSON, a fixed overhead for messages and tools, and an allowance for media. Base64 is passed
//! over, not counted.
//!
//! What would let a request mean one thing here and another at the provider is an error: names that occur twice, fields
//! of the wrong type, anything before or after the one object.
//!
//! Allowances for media, where the provider's rule needs what only decoding would tell:
//!
//! | what | tokens | why |
//! |---|---|---|
//! | image | the API's `IMAGE_TOKENS` | the most that a large one takes with most models; some take more |
//! | audio | one for 512 bytes of base64 | 10 tokens a second at 32 kbit/s, a low rate; others take fewer |
//! | file, PDF | one for 32 bytes of base64, at least an image's | pages of text are dense in tokens, scans in bytes |

use super::json::{Key, Reader, Span, Visitor};
use super::{anthropic_messages, openai_chat};
use crate::api::Api;
use crate::estimate::{self, Family, Features};
use std::borrow::Cow;

/// Longest model name that is read. No provider has one as long.
pub const MODEL_MAX: usize = 256;
/// Longest of the short words (`low`, `image/png`) that are looked at.
const WORD_MAX: usize = 32;
const AUDIO_BYTES_PER_TOKEN: u64 = 512;
const FILE_BYTES_PER_TOKEN: u64 = 32;

/// Which API a request speaks, told by its method and path: whatever stands before the API's own last steps.
///
/// `POST …/chat/completions` and `POST …/messages` are known; counting tokens, batches, reading back, and OpenAI's
/// threads are not exchanges with a model. The path is read as servers read it: without its query, percent-decoded,
/// without empty and dotted steps, in any case.
#[must_use]
pub fn recognise(method: &str, path: &str) -> Option<Api> {
    if method != "POST" {
        return None;
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut steps: Vec<Cow<'_, str>> = Vec::new();
    for step in path.split('/').map(percent_decoded) {
        // A decoded step may hold slashes of its own.
        for step in step.split('/') {
            match step {
                "" | "." => {}
                ".." => {
                    steps.pop();
                }
                _ => steps.push(Cow::Owned(step.to_ascii_lowercase())),
            }
        }
    }
    let last: Vec<&str> = steps.iter().rev().take(3).map(AsRef::as_ref).collect();
    match last.as_slice() {
        ["completions", "chat", ..] => Some(Api::OpenAiChat),
        ["messages", _, "threads"] => None,
        ["messages", ..] => Some(Api::AnthropicMessages),
        _ => None,
    }
}

fn percent_decoded(step: &str) -> Cow<'_, str> {
    if !step.contains('%') {
        return Cow::Borrowed(step);
    }
    let mut out = Vec::with_capacity(step.len());
    let mut rest = step.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let code = digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from((high << 4) | low).ok());
        let (decoded, left) = match (byte, code) {
            (b'%', Some(code)) => (code, after.get(2..).unwrap_or_default()),
            _ => (byte, after),
        };
        out.push(decoded);
        rest = left;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Why a body is no request. The texts are for who wrote the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Something else than one JSON object.
    #[error("the request body is not a JSON object: unexpected byte at offset {offset}")]
    NotJsonObject {
        /// Of the byte that cannot stand there.
        offset: usize,
    },
    /// Its end is missing.
    #[error("the request body ends after {bytes} bytes, before its JSON object does")]
    Truncated {
        /// How many came.
        bytes: u64,
    },
    /// A field that is read here holds what the API does not take.
    #[error("`{field}` must be {want}")]
    WrongType {
        /// Its name.
        field: &'static str,
        /// What it takes.
        want: &'static str,
    },
    /// Readers of JSON differ in which of two they take.
    #[error("`{field}` occurs twice in the request body")]
    Duplicate {
        /// Its name.
        field: &'static str,
    },
    /// A request for no model in particular cannot be priced.
    #[error("`model` is missing")]
    NoModel,
    /// See [`MODEL_MAX`].
    #[error("`model` is longer than {MODEL_MAX} bytes")]
    ModelTooLong,
}

/// Where in the body stands what may be changed. Offsets are in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spans {
    /// The opening brace.
    pub object_start: usize,
    /// Value of `model`.
    pub model: Option<Span>,
    /// Value of `max_tokens`.
    pub max_tokens: Option<Span>,
    /// Value of `max_completion_tokens`.
    pub max_completion_tokens: Option<Span>,
    /// Value of `stream_options`.
    pub stream_options: Option<Span>,
    /// It is an object, and has a member.
    pub stream_options_filled: Option<bool>,
    /// Value of `stream_options.include_usage`.
    pub include_usage: Option<Span>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFacts {
    /// As asked for, decoded; never empty.
    pub model: String,
    /// Whether the answer shall come as a stream.
    pub stream: bool,
    /// Whether the caller asked for usage in the stream (`stream_options.include_usage`).
    pub include_usage: bool,
    /// Most output tokens of one choice. Of OpenAI's two names for it the larger value: which of them holds if both are
    /// there depends on who serves.
    pub max_tokens: Option<u64>,
    /// Choices asked for (`n`).
    pub choices: u64,
    /// Features of the prompt's text.
    pub features: Features,
    /// Features of tool definitions and answer schemas, as minified JSON.
    pub schema: Features,
    /// Tokens that come with messages, tools and media, whatever the vocabulary.
    pub fixed_tokens: u64,
    /// Messages.
    pub messages: u32,
    /// Tools.
    pub tools: u32,
    /// Images.
    pub images: u32,
    /// Length of the body.
    pub body_bytes: u64,
    /// What can be changed.
    pub spans: Spans,
    api: Api,
}

impl RequestFacts {
    /// Estimated prompt tokens in a vocabulary, all included.
    #[must_use]
    pub fn input_tokens(&self, family: Family) -> u64 {
        let percent = match self.api {
            Api::OpenAiChat => openai_chat::SCHEMA_PERCENT,
            Api::AnthropicMessages => anthropic_messages::SCHEMA_PERCENT,
        };
        let schema = self.schema.tokens(family).saturating_mul(percent).div_ceil(100);
        self.features.tokens(family).saturating_add(schema).saturating_add(self.fixed_tokens)
    }
}

/// What stands at a place of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing that the model reads.
    Skip,
    /// Text.
    Text,
    /// Part of a JSON value that the model reads as such.
    Json,
    /// The same, of a tool's or the answer's definition.
    Schema,
    /// Base64 or a link.
    Media(Media),
    /// Link or data of an image whose `detail` stands beside it.
    Image,
    /// How closely an image is looked at.
    Detail,
    /// Type of a source.
    SourceType,
    /// Media type of a source.
    MediaType,
    /// Data of a source: text or base64, as its type says.
    SourceData,
}

/// A kind of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Image,
    Audio,
    File,
}

/// What the string under way is kept for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Keep {
    #[default]
    Nothing,
    Model,
    Text,
    Json,
    Schema,
    Word,
    SourceData,
}

/// A source of Anthropic's: its data can be told apart once its type is known.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    is_text: bool,
    /// Its type came before its data, and is another.
    is_media: bool,
    is_image: bool,
    text: Features,
    bytes: u64,
}

/// An image of OpenAI's.
#[derive(Debug, Clone, Copy, Default)]
struct Image {
    present: bool,
    low: bool,
}

/// Reads a request's body.
#[derive(Debug)]
pub struct RequestScanner {
    reader: Reader,
    scan: Scan,
    bytes: u64,
}

#[derive(Debug)]
struct Scan {
    api: Api,
    error: Option<RequestError>,
    /// Names at the top that occurred, and `stream_options.include_usage`.
    seen: u128,
    seen_include_usage: bool,
    keep: Keep,
    model: Vec<u8>,
    word: Vec<u8>,
    source: Source,
    image: Image,
    stream: bool,
    include_usage: bool,
    max_tokens: Option<u64>,
    choices: u64,
    features: Features,
    schema: Features,
    media_tokens: u64,
    messages: u32,
    names: u32,
    tools: u32,
    images: u32,
    spans: Spans,
}

impl RequestScanner {
    /// For a body of this API.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let scan = Scan {
            api,
            error: None,
            seen: 0,
            seen_include_usage: false,
            keep: Keep::Nothing,
            model: Vec::new(),
            word: Vec::new(),
            source: Source::default(),
            image: Image::default(),
            stream: false,
            include_usage: false,
            max_tokens: None,
            choices: 1,
            features: Features::default(),
            schema: Features::default(),
            media_tokens: 0,
            messages: 0,
            names: 0,
            tools: 0,
            images: 0,
            spans: Spans::default(),
        };
        Self { reader: Reader::default(), scan, bytes: 0 }
    }

    /// Reads a piece. After an error nothing more is read.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.scan.error.is_none() {
            self.reader.push(piece, &mut self.scan);
        }
    }

    /// The body was read whole.
    ///
    /// # Errors
    /// When it is no request: see [`RequestError`].
    pub fn finish(&mut self) -> Result<RequestFacts, RequestError> {
        let scan = &mut self.scan;
        self.reader.finish(scan);
        if let Some(error) = scan.error {
            return Err(error);
        }
        if let Some(super::json::JsonError::Unexpected(offset)) = self.reader.error() {
            return Err(RequestError::NotJsonObject { offset });
        }
        if !self.reader.is_complete() {
            return Err(RequestError::Truncated { bytes: self.bytes });
        }
        if scan.model.is_empty() {
            return Err(RequestError::NoModel);
        }
        let (message, priming, tools, name) = match scan.api {
            Api::OpenAiChat => {
                use openai_chat::{MESSAGE_TOKENS, NAME_TOKENS, PRIMING_TOKENS, TOOLS_TOKENS};
                (MESSAGE_TOKENS, PRIMING_TOKENS, TOOLS_TOKENS, NAME_TOKENS)
            }
            Api::AnthropicMessages => {
                use anthropic_messages::{MESSAGE_TOKENS, PRIMING_TOKENS, TOOLS_TOKENS};
                (MESSAGE_TOKENS, PRIMING_TOKENS, TOOLS_TOKENS, 0)
            }
        };
        let fixed_tokens = u64::from(scan.messages)
            .saturating_mul(message)
            .saturating_add(u64::from(scan.names).saturating_mul(name))
            .saturating_add(priming)
            .saturating_add(if scan.tools > 0 { tools } else { 0 })
            .saturating_add(scan.media_tokens);
        Ok(RequestFacts {
            model: String::from_utf8_lossy(&scan.model).into_owned(),
            stream: scan.stream,
            include_usage: scan.include_usage,
            max_tokens: scan.max_tokens,
            choices: scan.choices,
            features: scan.features,
            schema: scan.schema,
            fixed_tokens,
            messages: scan.messages,
            tools: scan.tools,
            images: scan.images,
            body_bytes: self.bytes,
            spans: scan.spans,
            api: scan.api,
        })
    }
}

// Each name has a bit in `Scan::seen`.
const _: () = assert!((Key::XGroq as u32) < u128::BITS);

const WHOLE_NUMBER: &str = "a whole number, 0 or more";
const TRUE_OR_FALSE: &str = "true or false";

impl Scan {
    fn part(&self, path: &[Key]) -> Part {
        match self.api {
            Api::OpenAiChat => openai_chat::prompt(path),
            Api::AnthropicMessages => anthropic_messages::prompt(path),
        }
    }

    fn fail(&mut self, error: RequestError) {
        self.error = self.error.or(Some(error));
    }

    /// Whether the field at `path` is read here; then what it takes.
    fn typed(&self, path: &[Key]) -> Option<(&'static str, &'static str)> {
        let openai = self.api == Api::OpenAiChat;
        let want = match path {
            [Key::Model] => "a string",
            [Key::Stream] => TRUE_OR_FALSE,
            [Key::MaxTokens] => WHOLE_NUMBER,
            [Key::MaxCompletionTokens] if openai => WHOLE_NUMBER,
            [Key::N] if openai => "a whole number, 1 or more",
            [Key::StreamOptions] if openai => "an object",
            [Key::StreamOptions, Key::IncludeUsage] if openai => TRUE_OR_FALSE,
            _ => return None,
        };
        path.last().map(|key| (key.name(), want))
    }

    fn wrong_type(&mut self, path: &[Key]) {
        if let Some((field, want)) = self.typed(path) {
            self.fail(RequestError::WrongType { field, want });
        }
    }

    /// What reads the JSON text of a value at `path`, if the model reads it as such.
    fn json(&mut self, path: &[Key]) -> Option<&mut Features> {
        match self.part(path) {
            Part::Json => Some(&mut self.features),
            Part::Schema => Some(&mut self.schema),
            _ => None,
        }
    }

    fn media(&mut self, media: Media, bytes: u64) {
        let image = match self.api {
            Api::OpenAiChat => openai_chat::IMAGE_TOKENS,
            Api::AnthropicMessages => anthropic_messages::IMAGE_TOKENS,
        };
        let tokens = match media {
            Media::Image => {
                self.images = self.images.saturating_add(1);
                image
            }
            Media::Audio => bytes.div_ceil(AUDIO_BYTES_PER_TOKEN),
            Media::File => bytes.div_ceil(FILE_BYTES_PER_TOKEN).max(image),
        };
        self.media_tokens = self.media_tokens.saturating_add(tokens);
    }

    fn end_image(&mut self) {
        let image = std::mem::take(&mut self.image);
        if image.present && image.low {
            self.images = self.images.saturating_add(1);
            self.media_tokens = self.media_tokens.saturating_add(openai_chat::LOW_IMAGE_TOKENS);
        } else if image.present {
            self.media(Media::Image, 0);
        }
    }

    /// A source is over: now its type is known.
    fn end_source(&mut self) {
        let source = std::mem::take(&mut self.source);
        match () {
            () if source.bytes == 0 => {}
            () if source.is_text => self.features.add(&source.text),
            () if source.is_image => self.media(Media::Image, source.bytes),
            () => self.media(Media::File, source.bytes),
        }
    }

    /// A field's number, `null` for none.
    fn number(&mut self, path: &[Key], raw: &[u8]) -> Option<u64> {
        if raw == b"null" {
            return None;
        }
        let number = std::str::from_utf8(raw).ok().and_then(|raw| raw.parse().ok());
        if number.is_none() {
            self.wrong_type(path);
        }
        number
    }

    /// A field's truth value; `null` is false.
    fn truth(&mut self, path: &[Key], raw: &[u8]) -> bool {
        if !matches!(raw, b"true" | b"false" | b"null") {
            self.wrong_type(path);
        }
        raw == b"true"
    }
}

impl Visitor for Scan {
    fn enter(&mut self, path: &[Key], object: bool, at: usize) {
        match path {
            [] if object => self.spans.object_start = at,
            [] => self.fail(RequestError::NotJsonObject { offset: at }),
            [Key::StreamOptions] if object => self.spans.stream_options_filled = Some(false),
            [Key::Messages, Key::Item] => self.messages = self.messages.saturating_add(1),
            [Key::Tools | Key::Functions, Key::Item] => self.tools = self.tools.saturating_add(1),
            [.., Key::Source] => self.source = Source::default(),
            [.., Key::ImageUrl] => self.image = Image::default(),
            _ => self.wrong_type(path),
        }
        if let Some(features) = self.json(path) {
            features.push(if object { b"{" } else { b"[" });
        }
    }

    fn leave(&mut self, path: &[Key], object: bool, span: Span) {
        match path {
            [Key::StreamOptions] => self.spans.stream_options = Some(span),
            [.., Key::Source] => self.end_source(),
            [.., Key::ImageUrl] => self.end_image(),
            _ => {}
        }
        if let Some(features) = self.json(path) {
            features.push(if object { b"}," } else { b"]," });
        }
    }

    fn key(&mut self, path: &[Key], name: &[u8]) {
        match path {
            [key] => {
                let bit = 1u128.checked_shl(*key as u32).unwrap_or(0);
                if *key != Key::Other && self.seen & bit != 0 {
                    self.fail(RequestError::Duplicate { field: key.name() });
                }
                self.seen |= bit;
            }
            [Key::StreamOptions, key] => {
                if *key == Key::IncludeUsage && std::mem::replace(&mut self.seen_include_usage, true) {
                    self.fail(RequestError::Duplicate { field: key.name() });
                }
                self.spans.stream_options_filled = Some(true);
            }
            [Key::Messages, Key::Item, Key::Name] => self.names = self.names.saturating_add(1),
            _ => {}
        }
        if let Some(features) = self.json(path) {
            features.push(b"\"");
            features.push(name);
            features.push(b"\":");
        }
    }

    fn wants(&mut self, path: &[Key]) -> bool {
        self.keep = match path {
            [Key::Model] => Keep::Model,
            _ if self.typed(path).is_some() => {
                self.wrong_type(path);
                Keep::Nothing
            }
            _ => match self.part(path) {
                Part::Text => Keep::Text,
                Part::Json => Keep::Json,
                Part::Schema => Keep::Schema,
                Part::Detail | Part::SourceType | Part::MediaType => {
                    self.word.clear();
                    Keep::Word
                }
                Part::SourceData if !self.source.is_media => Keep::SourceData,
                Part::Skip | Part::Media(_) | Part::Image | Part::SourceData => Keep::Nothing,
            },
        };
        match self.keep {
            Keep::Json => self.features.push(b"\""),
            Keep::Schema => self.schema.push(b"\""),
            _ => {}
        }
        self.keep != Keep::Nothing
    }

    fn text(&mut self, _: &[Key], piece: &[u8]) {
        match self.keep {
            Keep::Text | Keep::Json => self.features.push(piece),
            Keep::Schema => self.schema.push(piece),
            Keep::SourceData => self.source.text.push(piece),
            Keep::Model if self.model.len().saturating_add(piece.len()) > MODEL_MAX => {
                self.fail(RequestError::ModelTooLong);
            }
            Keep::Model => self.model.extend_from_slice(piece),
            Keep::Word => {
                let room = WORD_MAX.saturating_sub(self.word.len()).min(piece.len());
                self.word.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
            Keep::Nothing => {}
        }
    }

    fn text_end(&mut self, path: &[Key], span: Span) {
        let bytes = span.end.saturating_sub(span.start).saturating_sub(2) as u64;
        match std::mem::take(&mut self.keep) {
            Keep::Model => self.spans.model = Some(span),
            Keep::Text => self.features.end(),
            Keep::Json => self.features.push(b"\","),
            Keep::Schema => self.schema.push(b"\","),
            Keep::SourceData => self.source.text.end(),
            Keep::Word | Keep::Nothing => {}
        }
        match self.part(path) {
            Part::Media(media) => self.media(media, bytes),
            Part::SourceData => self.source.bytes = bytes,
            Part::SourceType => {
                self.source.is_text = self.word == b"text";
                self.source.is_media = !self.source.is_text;
            }
            Part::MediaType => self.source.is_image = self.word.starts_with(b"image/"),
            Part::Image => self.image.present = true,
            Part::Detail => self.image.low = self.word == b"low",
            _ if path.is_empty() => self.fail(RequestError::NotJsonObject { offset: span.start }),
            _ => {}
        }
    }

    fn scalar(&mut self, path: &[Key], raw: &[u8], span: Span) {
        let openai = self.api == Api::OpenAiChat;
        match path {
            [] => self.fail(RequestError::NotJsonObject { offset: span.start }),
            [Key::Model] => self.wrong_type(path),
            [Key::Stream] => self.stream = self.truth(path, raw),
            [Key::MaxTokens] => {
                self.max_tokens = self.max_tokens.max(self.number(path, raw));
                self.spans.max_tokens = Some(span);
            }
            [Key::MaxCompletionTokens] if openai => {
                self.max_tokens = self.max_tokens.max(self.number(path, raw));
                self.spans.max_completion_tokens = Some(span);
            }
            [Key::N] if openai => {
                self.choices = self.number(path, raw).unwrap_or(1);
                if self.choices == 0 {
                    self.wrong_type(path);
                }
            }
            [Key::StreamOptions] if openai => {
                if raw != b"null" {
                    self.wrong_type(path);
                }
                self.spans.stream_options = Some(span);
            }
            [Key::StreamOptions, Key::IncludeUsage] if openai => {
                self.include_usage = self.truth(path, raw);
                self.spans.include_usage = Some(span);
            }
            _ => {}
        }
        if let Some(features) = self.json(path) {
            features.push(raw);
            features.push(b",");
        }
    }
}

/// What shall be changed in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Another model.
    pub model: Option<String>,
    /// Another cap on the output tokens of one choice.
    pub max_tokens: Option<u64>,
    /// Ask for usage in the stream (OpenAI only).
    pub include_usage: bool,
}

/// The body with `edits`, in one copy; all else byte for byte as it was.
///
/// A value that is there is replaced where it stands, one that is missing comes after the opening brace. Where OpenAI's
/// cap is missing, it goes by `max_completion_tokens`; with Mistral's models by `max_tokens`, its name in their API
/// reference.
#[must_use]
pub fn rewrite(api: Api, body: &[u8], spans: &Spans, edits: &Edits) -> Vec<u8> {
    let mut changes: Vec<(Span, String)> = Vec::new();
    let mut fresh: Vec<String> = Vec::new();
    if let (Some(model), Some(span)) = (&edits.model, spans.model) {
        changes.push((span, serde_json::Value::from(model.as_str()).to_string()));
    }
    if let Some(cap) = edits.max_tokens {
        let caps = [spans.max_tokens, spans.max_completion_tokens];
        changes.extend(caps.iter().flatten().map(|span| (*span, cap.to_string())));
        if caps == [None, None] {
            let asked = spans.model.and_then(|span| body.get(span.start..span.end)).unwrap_or_default();
            let model = edits.model.as_deref().map_or_else(|| String::from_utf8_lossy(asked), Cow::Borrowed);
            let completion = api == Api::OpenAiChat && estimate::family(&model) != Family::Mistral;
            let name = if completion { Key::MaxCompletionTokens } else { Key::MaxTokens };
            fresh.push(format!("\"{}\":{cap}", name.name()));
        }
    }
    if edits.include_usage && api == Api::OpenAiChat {
        match (spans.include_usage, spans.stream_options, spans.stream_options_filled) {
            (Some(span), ..) => changes.push((span, "true".to_owned())),
            (None, Some(span), Some(filled)) => {
                let inside = span.start.saturating_add(1);
                let comma = if filled { "," } else { "" };
                changes.push((Span { start: inside, end: inside }, format!("\"include_usage\":true{comma}")));
            }
            (None, Some(span), None) => changes.push((span, "{\"include_usage\":true}".to_owned())),
            (None, None, _) => fresh.push("\"stream_options\":{\"include_usage\":true}".to_owned()),
        }
    }
    if !fresh.is_empty() {
        let inside = spans.object_start.saturating_add(1);
        // A request names a model, so there is a member after these.
        changes.push((Span { start: inside, end: inside }, format!("{},", fresh.join(","))));
    }
    changes.sort_by_key(|(span, _)| span.start);
    let added: usize = changes.iter().map(|(_, text)| text.len()).fold(0, usize::saturating_add);
    let mut out = Vec::with_capacity(body.len().saturating_add(added));
    let mut from = 0;
    for (span, text) in &changes {
        out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
