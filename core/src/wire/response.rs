//! What an answer used, read from its body as it passes; and the one change made to it.
//!
//! - A chunk is never delayed for the meter. Only where the usage event must be taken out again (we asked for it, the
//!   caller did not) the bytes of an event that is not whole yet are held until it is: no client can act on part of one.
//! - Usage is taken from where the dialect puts it, never from a text that looks like it.
//! - Each reported count is the last that was not null: providers repeat and raise them within a stream.

use super::inflate::Inflate;
use super::json::{Key, Reader, Span, Visitor};
use super::sse::{Decoder, Sink};
use super::{anthropic_messages, openai_chat, Count, Meaning, Path, Reported};
use crate::api::Api;
use crate::estimate::{family, Features};
use crate::record::Problem;
use crate::usage::{Quality, Usage};

const MODEL_MAX: usize = 256;
/// An event larger than this is not held to see if it is the one to be taken out: that one is small.
const HELD_MAX: usize = 256 << 10;

/// What goes to the client in the place of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// The piece.
    Unchanged,
    /// These bytes, maybe none.
    Replaced(Vec<u8>),
}

/// What is known of an answer at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// The model that answered.
    pub model: Option<String>,
    /// What the provider reported.
    pub usage: Option<Usage>,
    /// Estimated output tokens of what passed.
    pub output_estimate: u64,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// The provider reported an error in the stream.
    pub error_in_stream: bool,
    /// The answer said that it was finished.
    pub finished: bool,
}

#[derive(Debug)]
enum Framing {
    /// Nothing but white space came yet.
    Unknown,
    /// One JSON value.
    Json,
    /// Server-sent events.
    Sse(Decoder),
    /// Neither.
    Neither,
}

/// Reads an answer as it passes.
#[derive(Debug)]
pub struct ResponseMeter {
    /// Successful answers are read; errors are not charged.
    reads: bool,
    strip: bool,
    json_type: bool,
    inflate: Inflate,
    framing: Framing,
    reader: Reader,
    seen: Seen,
    /// Bytes of the event under way that the client does not have.
    held: Vec<u8>,
}

/// What was seen so far, in all events.
#[derive(Debug)]
struct Seen {
    api: Api,
    model: Vec<u8>,
    reported: Reported,
    output: Features,
    finished: bool,
    error: bool,
    bad_event: bool,
    /// Of the event under way.
    event: EventSeen,
}

#[derive(Debug, Default)]
struct EventSeen {
    /// First bytes of its data, to know `[DONE]`.
    head: Vec<u8>,
    choices: u32,
    choices_named: bool,
    usage: bool,
    word: Vec<u8>,
}

impl ResponseMeter {
    /// A meter for an answer with this head. `strip`: usage was asked for by us, the event with it is taken out.
    #[must_use]
    pub fn new(api: Api, status: u16, content_type: &str, content_encoding: &str, strip: bool) -> Self {
        let reads = (200..300).contains(&status);
        let inflate = Inflate::new(content_encoding);
        let strip = strip && reads && matches!(inflate, Inflate::Plain);
        let seen = Seen {
            api,
            model: Vec::new(),
            reported: Reported::default(),
            output: Features::default(),
            finished: false,
            error: false,
            bad_event: false,
            event: EventSeen::default(),
        };
        Self {
            reads,
            strip,
            json_type: content_type.trim_start().to_ascii_lowercase().starts_with("application/json"),
            inflate,
            framing: Framing::Unknown,
            reader: Reader::default(),
            seen,
            held: Vec::new(),
        }
    }

    /// Reads a piece, and says what the client gets in its place.
    pub fn push(&mut self, chunk: &[u8], last: bool) -> Passed {
        if !self.reads {
            return Passed::Unchanged;
        }
        let mut strip = self.strip.then(|| Strip { held: std::mem::take(&mut self.held), out: Vec::new(), from: 0 });
        let before = strip.as_ref().map_or(0, |strip| strip.held.len());
        let Self { inflate, framing, reader, seen, json_type, .. } = self;
        inflate.push(chunk, |piece| {
            let mut piece = piece;
            if let Framing::Unknown = framing {
                let text = piece.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(piece);
                let Some(first) = text.iter().copied().find(|byte| !byte.is_ascii_whitespace()) else { return };
                *framing = match first {
                    b'{' | b'[' => Framing::Json,
                    b'd' | b'e' | b'i' | b'r' | b':' if !*json_type => Framing::Sse(Decoder::default()),
                    _ => Framing::Neither,
                };
                if matches!(framing, Framing::Json) {
                    piece = text;
                }
            }
            match framing {
                Framing::Json => reader.push(piece, seen),
                Framing::Sse(decoder) => decoder.push(piece, &mut Events { reader, seen, piece, strip: strip.as_mut() }),
                Framing::Unknown | Framing::Neither => {}
            }
        });
        let Some(strip) = strip else { return Passed::Unchanged };
        self.pass(chunk, strip, before, last)
    }

    fn pass(&mut self, chunk: &[u8], strip: Strip, held_before: usize, last: bool) -> Passed {
        let Strip { mut held, mut out, from } = strip;
        let rest = chunk.get(from..).unwrap_or_default();
        let streams = matches!(self.framing, Framing::Sse(_));
        held.extend_from_slice(rest);
        if last || !streams || held.len() > HELD_MAX {
            out.append(&mut held);
        }
        self.held = held;
        // The piece as it came: nothing was held before or is now, and nothing was taken out.
        if held_before == 0 && self.held.is_empty() && out.len() == chunk.len() {
            return Passed::Unchanged;
        }
        Passed::Replaced(out)
    }

    /// The answer is over. `whole`: the provider ended it.
    pub fn finish(&mut self, whole: bool) -> ResponseFacts {
        if !self.reads {
            return ResponseFacts::default();
        }
        let mut problems = Vec::new();
        match &mut self.framing {
            Framing::Json => {
                self.reader.finish(&mut self.seen);
                if whole && !self.reader.is_complete() {
                    problems.push(Problem::ResponseUnreadable);
                }
                if whole && self.reader.is_complete() {
                    self.seen.finished = true;
                }
            }
            Framing::Sse(decoder) => {
                let Self { reader, seen, .. } = self;
                decoder.finish(&mut Events { reader, seen, piece: &[], strip: None });
            }
            Framing::Unknown | Framing::Neither if self.inflate.is_unreadable() => {}
            Framing::Unknown | Framing::Neither => {
                if whole {
                    problems.push(Problem::ResponseUnreadable);
                }
            }
        }
        if self.inflate.is_unreadable() {
            problems.push(Problem::ResponseEncoding);
        }
        if self.seen.bad_event {
            problems.push(Problem::EventUnreadable);
        }
        let model = String::from_utf8(std::mem::take(&mut self.seen.model)).ok().filter(|model| !model.is_empty());
        let output_estimate = self.seen.output.tokens(family(model.as_deref().unwrap_or_default()));
        let seen = &self.seen;
        let quality = if whole || seen.finished { Quality::Exact } else { Quality::Partial };
        let usage = seen.reported.is_some().then(|| {
            let mut usage = match seen.api {
                Api::OpenAiChat => openai_chat::usage(&seen.reported, quality),
                Api::AnthropicMessages => anthropic_messages::usage(&seen.reported, quality),
            };
            if quality == Quality::Partial {
                usage.tokens.output = usage.tokens.output.max(output_estimate);
            }
            usage
        });
        ResponseFacts { model, usage, output_estimate, problems, error_in_stream: seen.error, finished: seen.finished }
    }
}

/// Takes events out of a stream.
struct Strip {
    /// Bytes of the event under way, from pieces before this one.
    held: Vec<u8>,
    /// What goes to the client.
    out: Vec<u8>,
    /// Where in this piece the event under way began.
    from: usize,
}

/// Events of a stream, read as they come.
struct Events<'a> {
    reader: &'a mut Reader,
    seen: &'a mut Seen,
    piece: &'a [u8],
    strip: Option<&'a mut Strip>,
}

impl Sink for Events<'_> {
    fn data(&mut self, piece: &[u8]) {
        let room = 8usize.saturating_sub(self.seen.event.head.len());
        self.seen.event.head.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        self.reader.push(piece, self.seen);
    }

    fn end(&mut self, at: usize) {
        self.reader.finish(self.seen);
        let event = std::mem::take(&mut self.seen.event);
        let done = event.head.trim_ascii() == b"[DONE]";
        if done {
            self.seen.finished = true;
        } else if !event.head.is_empty() && !self.reader.is_complete() {
            self.seen.bad_event = true;
        }
        self.reader.reset();
        if let Some(strip) = &mut self.strip {
            let ours = event.usage && event.choices_named && event.choices == 0;
            if !ours {
                strip.out.append(&mut strip.held);
                strip.out.extend_from_slice(self.piece.get(strip.from..at).unwrap_or_default());
            }
            strip.held.clear();
            strip.from = at;
        }
    }
}

impl Seen {
    fn meaning(&self, path: Path<'_>) -> Meaning {
        match self.api {
            Api::OpenAiChat => openai_chat::meaning(path),
            Api::AnthropicMessages => anthropic_messages::meaning(path),
        }
    }
}

impl Visitor for Seen {
    fn enter(&mut self, path: Path<'_>, object: bool, _: usize) {
        match path {
            [Key::Error] => self.error = true,
            [Key::Usage] if object => self.event.usage = true,
            [Key::Choices] => self.event.choices_named = true,
            [Key::Choices, Key::Item] => self.event.choices = self.event.choices.saturating_add(1),
            _ => {}
        }
    }

    fn leave(&mut self, _: Path<'_>, _: bool, _: Span) {}

    fn key(&mut self, _: Path<'_>, _: &[u8]) {}

    fn wants(&mut self, path: Path<'_>) -> bool {
        let meaning = self.meaning(path);
        match meaning {
            // A later model is the same one, or none (Azure's first chunk has an empty one).
            Meaning::Model => self.model.is_empty(),
            Meaning::EventType => {
                self.event.word.clear();
                true
            }
            Meaning::Finish => {
                self.finished = true;
                false
            }
            Meaning::Output => true,
            Meaning::Count(_) | Meaning::Nothing => false,
        }
    }

    fn text(&mut self, path: Path<'_>, piece: &[u8]) {
        match self.meaning(path) {
            Meaning::Model if self.model.len() < MODEL_MAX => self.model.extend_from_slice(piece),
            Meaning::EventType if self.event.word.len() < 32 => self.event.word.extend_from_slice(piece),
            Meaning::Output => self.output.push(piece),
            _ => {}
        }
    }

    fn text_end(&mut self, path: Path<'_>, _: Span) {
        if path == [Key::Type] && self.event.word == b"message_stop" {
            self.finished = true;
        }
    }

    fn scalar(&mut self, path: Path<'_>, raw: &[u8], _: Span) {
        if let Meaning::Count(count) = self.meaning(path) {
            self.count(count, raw);
        }
    }
}

impl Seen {
    fn count(&mut self, count: Count, raw: &[u8]) {
        // Some write counts as 12.0; none is ever negative.
        let text = std::str::from_utf8(raw).unwrap_or_default();
        let whole = text.strip_suffix(".0").unwrap_or(text);
        if let Ok(value) = whole.parse() {
            self.reported.set(count, value);
        }
    }
}

#[cfg(test)]
mod tests;
