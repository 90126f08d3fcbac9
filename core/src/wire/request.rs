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

use super::dialect::{self, Ask, Dialect, Media};
use super::form::Form;
use super::json::{Key, Reader, Span, Visitor};
use super::recognise::Target;
use super::{openai_chat, shape};
use crate::api::Api;
use crate::estimate::{Family, Features, Text};
use crate::usage::{self, Term, Terms};

/// Longest model name that is read. No provider has one as long.
pub const MODEL_MAX: usize = 256;
/// Longest of the short words (`low`, `image/png`) that are looked at.
const WORD_MAX: usize = 32;
const AUDIO_BYTES_PER_TOKEN: u64 = 512;
const FILE_BYTES_PER_TOKEN: u64 = 32;

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
    /// Values that cap the output: OpenAI has two names for it.
    pub caps: [Option<Span>; 2],
    /// The opening brace of the object that holds the cap, where the API has one.
    pub cap_parent: Option<usize>,
    /// It has a member.
    pub cap_parent_filled: bool,
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
    /// They were counted, not estimated.
    pub is_counted: bool,
    /// Tokens that come with messages, tools and media, whatever the vocabulary.
    pub fixed_tokens: u64,
    /// Messages.
    pub messages: u32,
    /// Tools.
    pub tools: u32,
    /// Images.
    pub images: u32,
    /// Characters of its text, where they are what is charged.
    pub characters: u64,
    /// The answer is worked on after the request ended.
    pub background: bool,
    /// On which terms it is asked for, as far as they are not the usual ones. What the answer says counts in the end.
    pub terms: Terms,
    /// Length of the body.
    pub body_bytes: u64,
    /// What can be changed.
    pub spans: Spans,
    /// The wire format; by shape where the path told none. Absent when that told none either.
    pub api: Option<Api>,
}

impl RequestFacts {
    /// Estimated prompt tokens in a vocabulary, all included.
    #[must_use]
    pub fn input_tokens(&self, family: Family) -> u64 {
        let percent = match self.api.map_or(0, |api| dialect::of(api).overhead.schema_percent) {
            0 => 100,
            percent => percent,
        };
        let schema = self.schema.tokens(family).saturating_mul(percent).div_ceil(100);
        self.features.tokens(family).saturating_add(schema).saturating_add(self.fixed_tokens)
    }
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
    Term(Term),
}

/// A source of Anthropic's: its data can be told apart once its type is known.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    is_text: bool,
    /// Its type came before its data, and is another.
    is_media: bool,
    is_image: bool,
    is_audio: bool,
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
    form: Option<Form>,
    scan: Scan,
    bytes: u64,
}

/// Names at the top that occurred.
#[derive(Debug, Default)]
struct Seen([u64; 5]);

// Each name has a bit.
const _: () = assert!((Key::XGroq as u32) < 5 * u64::BITS);

impl Seen {
    /// Notes a name. Whether it occurred before.
    fn again(&mut self, key: Key) -> bool {
        let (word, bit) = ((key as usize) >> 6, 1u64 << ((key as u32) & 63));
        let Some(word) = self.0.get_mut(word) else { return false };
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

#[derive(Debug)]
struct Scan {
    dialect: &'static Dialect,
    api: Option<Api>,
    by_shape: bool,
    /// The model is the path's.
    model_in_path: bool,
    error: Option<RequestError>,
    seen: Seen,
    seen_include_usage: bool,
    counts_characters: bool,
    characters: u64,
    background: bool,
    terms: Terms,
    keep: Keep,
    model: Vec<u8>,
    word: Vec<u8>,
    source: Source,
    image: Image,
    stream: bool,
    include_usage: bool,
    max_tokens: Option<u64>,
    choices: u64,
    features: Text,
    schema: Text,
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
        Self::with(Some(api), None, None)
    }

    /// For a body sent to this target. `content_type` tells forms.
    #[must_use]
    pub fn of(target: &Target, content_type: &str) -> Self {
        let mut scanner = Self::with(Some(target.api), target.model.as_deref(), target.stream);
        scanner.form = Form::new(content_type);
        scanner
    }

    /// The same, and text is counted in a vocabulary where that is built in. For a body that is read again because much
    /// depends on it. `seed`: a number that whoever wrote the body does not know.
    #[must_use]
    pub fn counting(target: &Target, content_type: &str, seed: u64) -> Self {
        let mut scanner = Self::of(target, content_type);
        scanner.scan.features = Text::counted(seed);
        scanner.scan.schema = Text::counted(seed);
        scanner
    }

    /// For a body of which only its shape can tell the API.
    #[must_use]
    pub fn by_shape() -> Self {
        Self::with(None, None, None)
    }

    fn with(api: Option<Api>, model: Option<&str>, stream: Option<bool>) -> Self {
        let ollama = matches!(api, Some(Api::OllamaChat | Api::OllamaGenerate));
        let scan = Scan {
            dialect: api.map_or(&shape::DIALECT, dialect::of),
            api,
            by_shape: api.is_none(),
            model_in_path: model.is_some(),
            error: None,
            seen: Seen::default(),
            seen_include_usage: false,
            counts_characters: api == Some(Api::OpenAiSpeech),
            characters: 0,
            background: false,
            terms: Terms::new(),
            keep: Keep::Nothing,
            model: model.map(|model| model.as_bytes().to_vec()).unwrap_or_default(),
            word: Vec::new(),
            source: Source::default(),
            image: Image::default(),
            // Ollama streams unless told otherwise.
            stream: stream.unwrap_or(ollama),
            include_usage: false,
            max_tokens: None,
            choices: 1,
            features: Text::default(),
            schema: Text::default(),
            media_tokens: 0,
            messages: 0,
            names: 0,
            tools: 0,
            images: 0,
            spans: Spans::default(),
        };
        Self { reader: Reader::default(), form: None, scan, bytes: 0 }
    }

    /// Reads a piece. After an error nothing more is read.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        match &mut self.form {
            Some(form) => form.push(piece),
            None if self.scan.error.is_none() => self.reader.push(piece, &mut self.scan),
            None => {}
        }
    }

    /// The body was read whole.
    ///
    /// # Errors
    /// When it is no request: see [`RequestError`].
    pub fn finish(&mut self) -> Result<RequestFacts, RequestError> {
        let scan = &mut self.scan;
        if let Some(form) = self.form.take() {
            scan.form(&form);
        } else {
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
        }
        let named_elsewhere = matches!(
            scan.api,
            None | Some(
                Api::OpenAiImages
                    | Api::OpenAiTranscription
                    | Api::GeminiInteractions
                    | Api::LlamaCppCompletion
                    | Api::TgiGenerate
                    | Api::ReplicatePredictions
            )
        );
        if scan.model.is_empty() && !named_elsewhere {
            return Err(RequestError::NoModel);
        }
        let overhead = scan.dialect.overhead;
        let fixed_tokens = u64::from(scan.messages)
            .saturating_mul(overhead.message)
            .saturating_add(u64::from(scan.names).saturating_mul(overhead.name))
            .saturating_add(overhead.priming)
            .saturating_add(if scan.tools > 0 { overhead.tools } else { 0 })
            .saturating_add(scan.media_tokens);
        Ok(RequestFacts {
            model: String::from_utf8_lossy(&scan.model).into_owned(),
            stream: scan.stream,
            include_usage: scan.include_usage,
            max_tokens: scan.max_tokens,
            choices: scan.choices,
            features: scan.features.features(),
            schema: scan.schema.features(),
            is_counted: scan.features.is_counted(),
            fixed_tokens,
            messages: scan.messages,
            tools: scan.tools,
            images: scan.images,
            characters: scan.characters,
            background: scan.background,
            terms: std::mem::take(&mut scan.terms),
            body_bytes: self.bytes,
            spans: scan.spans,
            api: scan.api,
        })
    }
}

const WHOLE_NUMBER: &str = "a whole number, 0 or more";
const TRUE_OR_FALSE: &str = "true or false";

impl Scan {
    fn ask(&self, path: &[Key]) -> Ask {
        (self.dialect.ask)(path)
    }

    /// What a form says.
    fn form(&mut self, form: &Form) {
        let field = |name: &str| form.field(name).unwrap_or_default();
        if !self.model_in_path {
            self.model = field("model").to_vec();
        }
        self.stream |= field("stream") == b"true";
        for (term, name) in [(Term::Size, "size"), (Term::Quality, "quality")] {
            usage::set_term(&mut self.terms, term, field(name));
        }
        self.choices = std::str::from_utf8(field("n")).ok().and_then(|n| n.parse().ok()).unwrap_or(1);
        self.features.push(field("prompt"));
        self.features.end();
    }

    fn fail(&mut self, error: RequestError) {
        self.error = self.error.or(Some(error));
    }

    /// Whether the field at `path` is read here; then what it takes.
    fn typed(&self, path: &[Key]) -> Option<(&'static str, &'static str)> {
        let want = match self.ask(path) {
            Ask::Model => "a string",
            Ask::Stream | Ask::IncludeUsage | Ask::Background => TRUE_OR_FALSE,
            Ask::Cap => WHOLE_NUMBER,
            Ask::Choices => "a whole number, 1 or more",
            Ask::StreamOptions => "an object",
            _ => return None,
        };
        path.last().map(|key| (key.name(), want))
    }

    fn wrong_type(&mut self, path: &[Key]) {
        // A body of which only the shape may tell is not judged.
        if let Some((field, want)) = self.typed(path).filter(|_| !self.by_shape) {
            self.fail(RequestError::WrongType { field, want });
        }
    }

    /// What reads the JSON text of a value at `path`, if the model reads it as such.
    fn json(&mut self, path: &[Key]) -> Option<&mut Text> {
        match self.ask(path) {
            Ask::Json => Some(&mut self.features),
            Ask::Schema => Some(&mut self.schema),
            _ => None,
        }
    }

    fn media(&mut self, media: Media, bytes: u64) {
        let image = self.dialect.overhead.image;
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
            () if source.is_audio => self.media(Media::Audio, source.bytes),
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
            [Key::Messages | Key::Contents | Key::Input | Key::ChatHistory, Key::Item] if object => {
                self.messages = self.messages.saturating_add(1);
            }
            [Key::Tools | Key::Functions, Key::Item] => self.tools = self.tools.saturating_add(1),
            [.., Key::Source | Key::InlineData | Key::FileData] if object => self.source = Source::default(),
            [.., Key::ImageUrl] => self.image = Image::default(),
            _ => match self.ask(path) {
                Ask::StreamOptions if object => self.spans.stream_options_filled = Some(false),
                Ask::CapParent if object => self.spans.cap_parent = Some(at),
                _ => self.wrong_type(path),
            },
        }
        if let Some(features) = self.json(path) {
            features.push(if object { b"{" } else { b"[" });
        }
    }

    fn leave(&mut self, path: &[Key], object: bool, span: Span) {
        match path {
            [Key::StreamOptions] => self.spans.stream_options = Some(span),
            [.., Key::Source | Key::InlineData | Key::FileData] if object => self.end_source(),
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
                if *key != Key::Other && self.seen.again(*key) {
                    self.fail(RequestError::Duplicate { field: key.name() });
                }
                if self.by_shape
                    && let Some(api) = shape::of_request(*key)
                {
                    self.api = self.api.or(Some(api));
                }
            }
            [Key::StreamOptions, key] => {
                if *key == Key::IncludeUsage && std::mem::replace(&mut self.seen_include_usage, true) {
                    self.fail(RequestError::Duplicate { field: key.name() });
                }
                self.spans.stream_options_filled = Some(true);
            }
            [parent, _] if self.ask(&[*parent]) == Ask::CapParent => self.spans.cap_parent_filled = true,
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
        self.keep = match self.ask(path) {
            Ask::Model => Keep::Model,
            Ask::Stream | Ask::Cap | Ask::Choices | Ask::StreamOptions | Ask::IncludeUsage | Ask::Background => {
                self.wrong_type(path);
                Keep::Nothing
            }
            Ask::Text => Keep::Text,
            Ask::Json => Keep::Json,
            Ask::Schema => Keep::Schema,
            Ask::Term(term) => {
                self.word.clear();
                Keep::Term(term)
            }
            Ask::Detail | Ask::SourceType | Ask::MediaType => {
                self.word.clear();
                Keep::Word
            }
            Ask::SourceData if !self.source.is_media => Keep::SourceData,
            Ask::Skip | Ask::Media(_) | Ask::Image | Ask::SourceData | Ask::MediaData | Ask::CapParent => Keep::Nothing,
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
            Keep::Text | Keep::Json => {
                self.features.push(piece);
                if self.counts_characters {
                    let starts = piece.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
                    self.characters = self.characters.saturating_add(starts as u64);
                }
            }
            Keep::Schema => self.schema.push(piece),
            Keep::SourceData => self.source.text.push(piece),
            Keep::Model if self.model_in_path => {}
            Keep::Model if self.model.len().saturating_add(piece.len()) > MODEL_MAX => {
                self.fail(RequestError::ModelTooLong);
            }
            Keep::Model => self.model.extend_from_slice(piece),
            Keep::Word | Keep::Term(_) => keep(&mut self.word, piece),
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
            Keep::Term(term) => usage::set_term(&mut self.terms, term, &self.word),
            Keep::Word | Keep::Nothing => {}
        }
        match self.ask(path) {
            Ask::Media(media) => self.media(media, bytes),
            Ask::SourceData | Ask::MediaData => self.source.bytes = bytes,
            Ask::SourceType => {
                self.source.is_text = self.word == b"text";
                self.source.is_media = !self.source.is_text;
            }
            Ask::MediaType => {
                const IMAGES: [&[u8]; 5] = [b"png", b"jpeg", b"jpg", b"gif", b"webp"];
                self.source.is_image = self.word.starts_with(b"image/") || IMAGES.contains(&self.word.as_slice());
                self.source.is_audio = self.word.starts_with(b"audio/");
            }
            Ask::Image => self.image.present = true,
            Ask::Detail => self.image.low = self.word == b"low",
            _ if path.is_empty() => self.fail(RequestError::NotJsonObject { offset: span.start }),
            _ => {}
        }
    }

    fn scalar(&mut self, path: &[Key], raw: &[u8], span: Span) {
        if path.is_empty() {
            self.fail(RequestError::NotJsonObject { offset: span.start });
        }
        match self.ask(path) {
            Ask::Model => self.wrong_type(path),
            Ask::Stream => self.stream = self.truth(path, raw),
            Ask::Background => self.background = self.truth(path, raw),
            Ask::Cap => {
                // Ollama's -1 is as much as there is room for.
                let number = if raw.starts_with(b"-") && path.len() > 1 { None } else { self.number(path, raw) };
                self.max_tokens = self.max_tokens.max(number);
                let [first, second] = &mut self.spans.caps;
                let place = if first.is_none() { first } else { second };
                *place = Some(span);
            }
            Ask::Choices => {
                self.choices = self.choices.max(self.number(path, raw).unwrap_or(1));
                if raw == b"0" {
                    self.wrong_type(path);
                }
            }
            Ask::StreamOptions => {
                if raw != b"null" {
                    self.wrong_type(path);
                }
                self.spans.stream_options = Some(span);
            }
            Ask::IncludeUsage => {
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

/// Keeps the start of a short word.
fn keep(word: &mut Vec<u8>, piece: &[u8]) {
    let room = WORD_MAX.saturating_sub(word.len()).min(piece.len());
    word.extend_from_slice(piece.get(..room).unwrap_or_default());
}

#[cfg(test)]
mod tests;
