//! What an answer reports and says, read while it passes to the client.
//!
//! - A body is JSON or a stream of events by its shape: the first byte of JSON is a bracket. The content type only says
//!   what a body without a shape was meant to be.
//! - Usage is read at its place in the JSON, never looked for in text. Of each count the last one that is not null holds.
//! - Beside it all text that the model put out is counted: for an answer that reports nothing, or breaks.
//! - The answer goes out as it comes. Only when usage was asked for in the caller's place is the event that brings it
//!   taken out: the one with usage and without choices. Then bytes of an event that is not whole wait for its end, up to
//!   [`HELD_MAX`], unless it is known already that it stays; a client could do nothing with a part of an event.
//! - Compressed answers are inflated for the meter (see [`super::inflate`]), and go out whole.
//! - The body of an error is not read: nothing was used.

use super::inflate::{Coding, Inflater};
use super::json::{Key, Reader, Span, Visitor};
use super::sse::{Decoder, Sink};
use super::{anthropic_messages, openai_chat};
use crate::api::Api;
use crate::estimate::{self, Family, Features};
use crate::record::Problem;
use crate::usage::{Kind, Quality, Usage};

/// Most bytes of an event that wait for its end. The event that brings usage has less than a thousand.
pub const HELD_MAX: usize = 16 << 10;
const MODEL_MAX: usize = 256;
/// Byte order mark.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// What goes to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// The piece as it came.
    Unchanged,
    /// These bytes in its place; there may be none.
    Replaced(Vec<u8>),
}

/// What an answer reported and said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// The model that answered.
    pub model: Option<String>,
    /// As the provider reported it, in disjoint kinds.
    ///
    /// [`Quality::Exact`] for the final report. [`Quality::Partial`] when the answer broke before it or an error came in
    /// the stream: the last report, with the output that was seen if that is more.
    pub usage: Option<Usage>,
    /// Our own count of the text that came, in output tokens.
    pub output_estimate: u64,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// The provider sent an error instead of an answer, or in the middle of one.
    pub error_in_stream: bool,
    /// The model came to an end: its reason to stop, or the stream's last event, was seen.
    pub finished: bool,
}

/// A count in a usage report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
    Reasoning,
}

/// The counts so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures([Option<u64>; 7]);

impl Figures {
    pub(super) fn get(&self, figure: Figure) -> Option<u64> {
        self.0.get(figure as usize).copied().flatten()
    }

    fn set(&mut self, figure: Figure, count: u64) {
        if let Some(place) = self.0.get_mut(figure as usize) {
            *place = Some(count);
        }
    }
}

/// What an answer says at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// Text of the model.
    Text,
    /// Part of a JSON value that the model wrote as such.
    Json,
    Model,
    /// Why the model stopped.
    Stop,
    /// Of an event.
    Type,
}

/// Reads an answer. See the module's text.
#[derive(Debug)]
pub struct ResponseMeter {
    shape: Shape,
    /// How much of a byte order mark came.
    mark: usize,
    event_stream: bool,
    json: bool,
    inflater: Option<Inflater>,
    decoder: Decoder,
    body: Body,
    strip: Option<Strip>,
}

/// What the body is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Not at all.
    Unread,
    /// Its first byte will tell.
    Unknown,
    Json,
    Events,
}

impl ResponseMeter {
    /// For an answer with this head. `strip_usage`: usage was asked for in the caller's place, who shall not see it.
    #[must_use]
    pub fn new(api: Api, status: u16, content_type: &str, content_encoding: &str, strip_usage: bool) -> Self {
        let coding = Coding::of(content_encoding);
        let mut body = Body::new(api);
        let shape = match (status, coding) {
            (200..=299, Coding::Unknown) => {
                body.problem(Problem::ResponseEncoding);
                Shape::Unread
            }
            (200..=299, _) => Shape::Unknown,
            _ => Shape::Unread,
        };
        let content_type = content_type.to_ascii_lowercase();
        let strip = strip_usage && coding == Coding::Identity && shape == Shape::Unknown;
        Self {
            shape,
            mark: 0,
            event_stream: content_type.contains("event-stream"),
            json: content_type.contains("json"),
            inflater: Inflater::new(coding),
            decoder: Decoder::default(),
            body,
            strip: strip.then(Strip::default),
        }
    }

    /// Reads a piece; `last` when no more will come. Says what goes to the client in its place.
    pub fn push(&mut self, chunk: &[u8], last: bool) -> Passed {
        let Some(mut inflater) = self.inflater.take() else { return self.read(chunk, last) };
        if self.shape == Shape::Unread {
            return Passed::Unchanged;
        }
        match inflater.push(chunk, |piece| drop(self.read(piece, false))) {
            Ok(()) => self.inflater = Some(inflater),
            Err(_) => {
                self.body.problem(Problem::ResponseUnreadable);
                self.body.broken = true;
                self.shape = Shape::Unread;
            }
        }
        Passed::Unchanged
    }

    fn read(&mut self, chunk: &[u8], last: bool) -> Passed {
        let mut text = chunk;
        if self.shape == Shape::Unknown {
            text = self.after_mark(chunk);
            self.shape = self.shape_of(text);
        }
        match self.shape {
            // What tells no shape yet may be the start of an event.
            Shape::Events | Shape::Unknown => return self.read_events(chunk, last),
            Shape::Json => self.body.reader.push(text, &mut self.body.answer),
            Shape::Unread => {}
        }
        match self.strip.take() {
            Some(strip) if !strip.held.is_empty() => Passed::Replaced([&strip.held, chunk].concat()),
            _ => Passed::Unchanged,
        }
    }

    /// A piece without what it has of a byte order mark. The decoder of events knows of it, the reader of JSON does not.
    fn after_mark<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let left = MARK.get(self.mark..).unwrap_or_default();
        let more = chunk.iter().zip(left).take_while(|(byte, mark)| byte == mark).count();
        self.mark = self.mark.saturating_add(more);
        let text = chunk.get(more..).unwrap_or_default();
        if !text.is_empty() {
            // A mark stands at the very start.
            self.mark = MARK.len();
        }
        text
    }

    fn shape_of(&mut self, chunk: &[u8]) -> Shape {
        let first = chunk.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        match first {
            None => Shape::Unknown,
            Some(b'{' | b'[') => Shape::Json,
            // A field of an event: `data`, `event`, `id`, `retry`, or a comment.
            Some(b'd' | b'e' | b'i' | b'r' | b':') => Shape::Events,
            Some(_) if self.event_stream => Shape::Events,
            Some(_) if self.json => Shape::Json,
            Some(_) => {
                self.body.problem(Problem::ResponseUnreadable);
                Shape::Unread
            }
        }
    }

    fn read_events(&mut self, chunk: &[u8], last: bool) -> Passed {
        let Self { decoder, body, strip, .. } = self;
        let Some(strip) = strip else {
            decoder.push(chunk, body);
            if last {
                decoder.finish(body);
            }
            return Passed::Unchanged;
        };
        let mut stripped = Stripped::new(body, strip, chunk);
        decoder.push(chunk, &mut stripped);
        if last {
            decoder.finish(&mut stripped);
        }
        stripped.passed(last)
    }

    /// Output tokens that were put out so far, by our own count.
    #[must_use]
    pub fn output_seen(&self) -> u64 {
        self.body.answer.output()
    }

    /// What there is to know of the answer. `whole`: the provider ended it as it should.
    pub fn finish(&mut self, whole: bool) -> ResponseFacts {
        let Self { decoder, body, shape, .. } = self;
        match shape {
            // An event that was cut off is no problem of its own.
            Shape::Events if whole => decoder.finish(body),
            Shape::Json => body.reader.finish(&mut body.answer),
            _ => {}
        }
        let readable = match shape {
            Shape::Events => body.events > 0,
            Shape::Json => body.reader.is_complete(),
            Shape::Unknown | Shape::Unread => false,
        };
        if *shape != Shape::Unread && !readable && (whole || body.reader.error().is_some()) {
            body.problem(Problem::ResponseUnreadable);
        }
        let usage = body.answer.usage(*shape == Shape::Json, whole && !body.broken);
        if whole && readable && usage.is_none() {
            body.problem(Problem::UsageMissing);
        }
        let answer = &body.answer;
        ResponseFacts {
            model: Some(String::from_utf8_lossy(&answer.model).into_owned()).filter(|model| !model.is_empty()),
            usage,
            output_estimate: answer.output(),
            problems: body.problems.clone(),
            error_in_stream: answer.error,
            finished: answer.finished,
        }
    }
}

/// The JSON of the body or of its events.
#[derive(Debug)]
struct Body {
    reader: Reader,
    answer: Answer,
    problems: Vec<Problem>,
    /// Its end cannot be read, although it comes.
    broken: bool,
    /// Events that were read.
    events: u64,
    /// Bytes of the event under way, and the first of them.
    length: usize,
    head: [u8; 6],
}

impl Body {
    fn new(api: Api) -> Self {
        Self {
            reader: Reader::default(),
            answer: Answer::new(api),
            problems: Vec::new(),
            broken: false,
            events: 0,
            length: 0,
            head: [0; 6],
        }
    }

    fn problem(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Whether the event under way may be the one that only brings usage.
    fn may_be_usage(&self) -> bool {
        self.answer.choices != Choices::Some && self.reader.error().is_none()
    }

    /// An event ended. Whether it only brought usage.
    fn end_event(&mut self) -> bool {
        let (length, head) = (std::mem::take(&mut self.length), std::mem::take(&mut self.head));
        if length == 0 {
            return false;
        }
        self.reader.finish(&mut self.answer);
        let whole = self.reader.is_complete();
        if whole {
            self.events = self.events.saturating_add(1);
        } else if head == *b"[DONE]" {
            self.events = self.events.saturating_add(1);
            self.answer.finished = true;
        } else {
            self.problem(Problem::EventUnreadable);
        }
        self.reader.reset();
        self.answer.end_event() && whole
    }
}

impl Sink for Body {
    fn data(&mut self, piece: &[u8]) {
        if let Some(room) = self.head.get_mut(self.length..) {
            room.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        }
        self.length = self.length.saturating_add(piece.len());
        self.reader.push(piece, &mut self.answer);
    }

    fn end(&mut self, _: usize) {
        self.end_event();
    }
}

/// What is kept between pieces to take events out.
#[derive(Debug, Default)]
struct Strip {
    /// Bytes of the event under way.
    held: Vec<u8>,
    /// A part of the event under way went out.
    released: bool,
    /// An event ended with a piece, by a CR: an LF that follows belongs to it. Whether the event was taken out.
    ended_by_cr: Option<bool>,
}

/// One piece of a stream, and what of it goes out.
struct Stripped<'a> {
    body: &'a mut Body,
    strip: &'a mut Strip,
    chunk: &'a [u8],
    /// Up to here it was decided.
    decided: usize,
    /// What goes out, once that is not the same as the chunk up to `decided`.
    out: Option<Vec<u8>>,
}

impl<'a> Stripped<'a> {
    fn new(body: &'a mut Body, strip: &'a mut Strip, chunk: &'a [u8]) -> Self {
        let mut stripped = Self { body, strip, chunk, decided: 0, out: None };
        if !chunk.is_empty() {
            let ended_by_cr = stripped.strip.ended_by_cr.take().filter(|_| chunk.first() == Some(&b'\n'));
            match ended_by_cr {
                Some(true) => stripped.take_out(1),
                Some(false) => stripped.let_out(1),
                None => {}
            }
        }
        stripped
    }

    fn until(&self, to: usize) -> &'a [u8] {
        self.chunk.get(self.decided..to).unwrap_or_default()
    }

    /// What went out so far, apart from the chunk from now on.
    fn changed(&mut self) -> &mut Vec<u8> {
        let before = self.chunk.get(..self.decided).unwrap_or_default();
        self.out.get_or_insert_with(|| before.to_vec())
    }

    fn let_out(&mut self, to: usize) {
        let fresh = self.until(to);
        if !self.strip.held.is_empty() {
            let held = std::mem::take(&mut self.strip.held);
            self.changed().extend(held);
        }
        if let Some(out) = &mut self.out {
            out.extend_from_slice(fresh);
        }
        self.decided = to;
    }

    fn take_out(&mut self, to: usize) {
        self.changed();
        self.strip.held.clear();
        self.decided = to;
    }

    fn hold(&mut self) {
        let fresh = self.until(self.chunk.len());
        self.changed();
        self.strip.held.extend_from_slice(fresh);
        self.decided = self.chunk.len();
    }

    fn passed(mut self, last: bool) -> Passed {
        let fresh = self.until(self.chunk.len());
        if last {
            self.let_out(self.chunk.len());
        } else if !fresh.is_empty() {
            let fits = self.strip.held.len().saturating_add(fresh.len()) <= HELD_MAX;
            if !self.strip.released && fits && self.body.may_be_usage() {
                self.hold();
            } else {
                self.let_out(self.chunk.len());
                self.strip.released = true;
            }
        }
        self.out.map_or(Passed::Unchanged, Passed::Replaced)
    }
}

impl Sink for Stripped<'_> {
    fn data(&mut self, piece: &[u8]) {
        self.body.data(piece);
    }

    fn end(&mut self, at: usize) {
        let at = at.min(self.chunk.len());
        let only_usage = self.body.end_event();
        let taken = only_usage && !self.strip.released;
        if taken {
            self.take_out(at);
        } else {
            self.let_out(at);
        }
        self.strip.released = false;
        let by_cr = at == self.chunk.len() && self.chunk.last() == Some(&b'\r');
        self.strip.ended_by_cr = by_cr.then_some(taken);
    }
}

/// `choices` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choices {
    Absent,
    None,
    Some,
}

/// What the JSON of an answer said so far.
#[derive(Debug)]
struct Answer {
    api: Api,
    said: Said,
    /// The string under way, where it is short and matters: up to [`MODEL_MAX`] bytes.
    word: Vec<u8>,
    model: Vec<u8>,
    family: Family,
    features: Features,
    figures: Figures,
    /// A report came with or after the model's end.
    usage_is_final: bool,
    finished: bool,
    error: bool,
    /// Of the event under way: a count, a usage object, choices.
    counted: bool,
    usage_object: bool,
    choices: Choices,
}

impl Answer {
    fn new(api: Api) -> Self {
        Self {
            api,
            said: Said::Nothing,
            word: Vec::new(),
            model: Vec::new(),
            family: Family::O200k,
            features: Features::default(),
            figures: Figures::default(),
            usage_is_final: false,
            finished: false,
            error: false,
            counted: false,
            usage_object: false,
            choices: Choices::Absent,
        }
    }

    fn said(&self, path: &[Key]) -> Said {
        match self.api {
            Api::OpenAiChat => openai_chat::answer(path),
            Api::AnthropicMessages => anthropic_messages::answer(path),
        }
    }

    fn output(&self) -> u64 {
        self.features.tokens(self.family)
    }

    /// An event ended. Whether it brought usage and an empty list of choices.
    fn end_event(&mut self) -> bool {
        if self.counted && self.finished {
            self.usage_is_final = true;
        }
        let only_usage = self.usage_object && self.choices == Choices::None;
        (self.counted, self.usage_object, self.choices) = (false, false, Choices::Absent);
        only_usage
    }

    /// A report without prompt tokens is none: whoever reads it would take them for free.
    fn usage(&self, json: bool, whole: bool) -> Option<Usage> {
        self.figures.get(Figure::Input)?;
        let mut units = match self.api {
            Api::OpenAiChat => openai_chat::tokens(&self.figures),
            Api::AnthropicMessages => anthropic_messages::tokens(&self.figures),
        };
        let is_final = if json { self.usage_object } else { self.usage_is_final || (whole && self.finished) };
        let exact = is_final && !self.error && self.figures.get(Figure::Output).is_some();
        if !exact {
            units.set(Kind::Output, units.get(Kind::Output).max(self.output()));
        }
        // Some report more reasoning than output.
        let reasoning = self.figures.get(Figure::Reasoning).unwrap_or(0).min(units.output());
        let quality = if exact { Quality::Exact } else { Quality::Partial };
        Some(Usage { reasoning, ..Usage::new(units, quality) })
    }

    fn is_not_empty(&mut self, path: &[Key]) {
        match path {
            [Key::Choices, Key::Item] => self.choices = Choices::Some,
            [Key::Error] => self.error = true,
            _ => {}
        }
    }
}

impl Visitor for Answer {
    fn enter(&mut self, path: &[Key], object: bool, _: usize) {
        self.is_not_empty(path);
        // Of two lists of choices, one that has some counts: a part of the event may have gone out by it already.
        if path == [Key::Choices] && !object && self.choices == Choices::Absent {
            self.choices = Choices::None;
        }
        if self.said(path) == Said::Json {
            self.features.push(if object { b"{" } else { b"[" });
        }
    }

    fn leave(&mut self, path: &[Key], object: bool, _: Span) {
        if path == [Key::Usage] && object {
            self.usage_object = true;
        }
        if self.said(path) == Said::Json {
            self.features.push(if object { b"}," } else { b"]," });
        }
    }

    fn key(&mut self, path: &[Key], name: &[u8]) {
        if self.said(path) == Said::Json && path.last() != Some(&Key::Input) {
            self.features.push(b"\"");
            self.features.push(name);
            self.features.push(b"\":");
        }
    }

    fn wants(&mut self, path: &[Key]) -> bool {
        self.is_not_empty(path);
        self.said = self.said(path);
        match self.said {
            Said::Model | Said::Stop | Said::Type => self.word.clear(),
            Said::Json => self.features.push(b"\""),
            Said::Text | Said::Nothing => {}
        }
        self.said != Said::Nothing
    }

    fn text(&mut self, _: &[Key], piece: &[u8]) {
        match self.said {
            Said::Text | Said::Json => self.features.push(piece),
            Said::Model | Said::Stop | Said::Type => {
                let room = MODEL_MAX.saturating_sub(self.word.len()).min(piece.len());
                self.word.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
            Said::Nothing => {}
        }
    }

    fn text_end(&mut self, _: &[Key], _: Span) {
        match std::mem::replace(&mut self.said, Said::Nothing) {
            // The first events of some name none.
            Said::Model if !self.word.is_empty() && self.word != self.model => {
                self.model.clone_from(&self.word);
                self.family = estimate::family(&String::from_utf8_lossy(&self.model));
            }
            Said::Stop => self.finished |= !self.word.is_empty(),
            Said::Type => self.finished |= self.word == b"message_stop",
            Said::Json => self.features.push(b"\","),
            Said::Model | Said::Text | Said::Nothing => {}
        }
    }

    fn scalar(&mut self, path: &[Key], raw: &[u8], _: Span) {
        if raw == b"null" {
            return;
        }
        self.is_not_empty(path);
        let figure = match self.api {
            Api::OpenAiChat => openai_chat::figure(path),
            Api::AnthropicMessages => anthropic_messages::figure(path),
        };
        if let (Some(figure), Some(count)) = (figure, count(raw)) {
            self.figures.set(figure, count);
            self.counted = true;
        }
        if self.said(path) == Said::Json {
            self.features.push(raw);
            self.features.push(b",");
        }
    }
}

/// A count as it is written; some servers write a whole number with a fraction of zeros.
fn count(raw: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?;
    let whole =
        text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0')).map_or(text, |(whole, _)| whole);
    whole.parse().ok()
}

#[cfg(test)]
mod tests;
