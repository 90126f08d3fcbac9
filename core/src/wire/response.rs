//! What an answer reports and says, read while it passes to the client.
//!
//! - A body is JSON, a stream of events, or AWS' frames by its shape: the first byte of JSON is a bracket, that of a frame
//!   a zero. The content type only says what a body without a shape was meant to be.
//! - Several JSON values one after the other are events too (NDJSON), and so are the members of an array of answers.
//! - What the JSON says is [`super::answer`]'s.
//! - The answer goes out as it comes. Only when usage was asked for in the caller's place is the event that brings it
//!   taken out: the one with usage and without choices. Then bytes of an event that is not whole wait for its end, up to
//!   [`HELD_MAX`], unless it is known already that it stays; a client could do nothing with a part of an event.
//! - Compressed answers are inflated for the meter (see [`super::inflate`]), and go out whole.
//! - The body of an error is not read: nothing was used.

use super::answer::{Answer, Choices};
use super::batch::{Line, Sums};
use super::inflate::{Coding, Inflater};
use super::json::Reader;
use super::sse::{Decoder, Sink};
use super::{bedrock_invoke, event_stream, tgi, websocket};
use crate::api::Api;
use crate::record::Problem;
use crate::usage::{Quality, Usage};

/// Most bytes of an event that wait for its end. The event that brings usage has less than a thousand.
pub const HELD_MAX: usize = 16 << 10;
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
    /// The whole of the answer is an error.
    pub is_error: bool,
    /// The model came to an end: its reason to stop, or the stream's last event, was seen.
    pub finished: bool,
    /// The report leaves the prompt out: it is not 0.
    pub input_missing: bool,
    /// The report leaves the output out: it is not 0.
    pub output_missing: bool,
    /// The answer's id, where the API has one.
    pub id: String,
    /// How far the provider is with it: `queued` and `in_progress` are answers whose usage comes later.
    pub status: String,
    /// The service tier as reported.
    pub service_tier: String,
    /// The wire format, where the answer's shape told it.
    pub api: Option<Api>,
    /// Of a batch: the ids of its files of results, of which there are at most two.
    pub files: Vec<String>,
}

/// What an answer's head says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// The status.
    pub status: u16,
    /// `content-type`; empty when there is none.
    pub content_type: &'a str,
    /// `content-encoding`; empty when there is none.
    pub content_encoding: &'a str,
}

/// Reads an answer. See the module's text.
#[derive(Debug)]
pub struct ResponseMeter {
    shape: Shape,
    /// How much of a byte order mark came.
    mark: usize,
    /// What the content type says.
    event_stream: bool,
    json: bool,
    /// The answer may be sound or plain text.
    may_be_other: bool,
    inflater: Option<Inflater>,
    decoder: Decoder,
    frames: event_stream::Decoder,
    socket: websocket::Decoder,
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
    Frames,
    /// Frames of a WebSocket.
    Socket,
    /// Lines of a batch's results.
    Lines,
}

impl ResponseMeter {
    /// For an answer with this head; `api` is absent where its shape shall tell. `strip_usage`: usage was asked for in the
    /// caller's place, who shall not see it.
    #[must_use]
    pub fn new(api: Option<Api>, head: Head<'_>, strip_usage: bool) -> Self {
        let coding = Coding::of(head.content_encoding);
        let mut body = Body::new(api);
        let shape = match (head.status, coding) {
            (200..=299, Coding::Unknown) => {
                body.problem(Problem::ResponseEncoding);
                Shape::Unread
            }
            (200..=299, _) => Shape::Unknown,
            (101, _) if api == Some(Api::OpenAiRealtime) => Shape::Socket,
            _ => Shape::Unread,
        };
        let content_type = head.content_type.to_ascii_lowercase();
        let strip = strip_usage && coding == Coding::Identity && shape == Shape::Unknown;
        let frames = content_type.contains("amazon.eventstream");
        Self {
            shape: if frames && shape == Shape::Unknown { Shape::Frames } else { shape },
            mark: 0,
            event_stream: content_type.contains("event-stream"),
            json: content_type.contains("json"),
            may_be_other: matches!(api, Some(Api::OpenAiSpeech | Api::OpenAiTranscription)),
            inflater: Inflater::new(coding),
            decoder: Decoder::default(),
            frames: event_stream::Decoder::default(),
            socket: websocket::Decoder::default(),
            body,
            strip: strip.then(Strip::default),
        }
    }

    /// Counts the text of the answer in a vocabulary, where that is built in, instead of estimating it: for a stream that
    /// will report nothing. `seed`: a number that the model does not know.
    #[must_use]
    pub fn counting(mut self, seed: u64) -> Self {
        self.body.answer.count_text(seed);
        self
    }

    /// Sums what the lines of a batch's results report, see [`super::batch`].
    #[must_use]
    pub fn lines(mut self) -> Self {
        self.body.sums = Some(Box::default());
        self
    }

    /// Headers of the answer that [`Self::header`] wants to see.
    pub fn wanted_headers(api: Option<Api>) -> impl Iterator<Item = &'static str> + use<> {
        let bedrock = matches!(api, Some(Api::BedrockInvoke)).then_some(bedrock_invoke::HEADERS);
        let tgi = matches!(api, Some(Api::TgiGenerate | Api::SageMakerInvoke)).then_some(tgi::HEADERS);
        bedrock.into_iter().flatten().chain(tgi.into_iter().flatten()).map(|(name, _)| name)
    }

    /// Takes in a header that counts.
    pub fn header(&mut self, name: &str, value: &str) {
        let known = bedrock_invoke::HEADERS.iter().chain(&tgi::HEADERS).find(|(known, _)| *known == name);
        if let Some((_, figure)) = known.filter(|_| self.shape != Shape::Unread) {
            self.body.answer.header(*figure, value);
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
            // Sound and plain text are not read: what is wrong with them is not looked for.
            Err(_) if self.shape == Shape::Unread => {}
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
            Shape::Json => self.body.values(text),
            Shape::Frames => self.frames.push(text, &mut self.body),
            Shape::Socket => self.socket.push(text, &mut self.body),
            Shape::Lines => self.body.lines(text),
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
            Some(_) if self.body.sums.is_some() => Shape::Lines,
            Some(b'{' | b'[') => Shape::Json,
            // A field of an event: `data`, `event`, `id`, `retry`, or a comment.
            Some(b'd' | b'e' | b'i' | b'r' | b':') if !self.may_be_other || self.event_stream => Shape::Events,
            Some(_) if self.event_stream => Shape::Events,
            Some(_) if self.json => Shape::Json,
            Some(0) => Shape::Frames,
            Some(_) if self.may_be_other => Shape::Unread,
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
        let Self { decoder, frames, socket, body, shape, .. } = self;
        if *shape == Shape::Socket {
            return session(body, socket.failed());
        }
        if let Some(sums) = body.sums.take() {
            return results(body, *sums, whole);
        }
        match shape {
            // An event that was cut off is no problem of its own.
            Shape::Events if whole => decoder.finish(body),
            Shape::Json => body.end_value(),
            _ => {}
        }
        let readable = match shape {
            Shape::Events => body.events > 0,
            Shape::Frames => body.events > 0 && frames.error().is_none() && (!whole || frames.is_complete()),
            Shape::Json => body.reader.is_complete(),
            Shape::Socket | Shape::Lines | Shape::Unknown | Shape::Unread => false,
        };
        let failed = body.reader.error().is_some() || frames.error().is_some();
        if *shape != Shape::Unread && !readable && (whole || failed) {
            body.problem(Problem::ResponseUnreadable);
        }
        let one_value = *shape == Shape::Json && body.events <= 1;
        let report = body.answer.report(one_value && readable, whole && !body.broken && !failed);
        if whole && readable && report.usage.is_none() {
            body.problem(Problem::UsageMissing);
        }
        let answer = &body.answer;
        ResponseFacts {
            model: Some(String::from_utf8_lossy(&answer.model).into_owned()).filter(|model| !model.is_empty()),
            usage: report.usage,
            output_estimate: answer.output(),
            problems: body.problems.clone(),
            error_in_stream: answer.error,
            is_error: answer.error && one_value,
            finished: answer.finished,
            input_missing: report.input_missing,
            output_missing: report.output_missing,
            id: String::from_utf8_lossy(&answer.id).into_owned(),
            status: String::from_utf8_lossy(&answer.status).into_owned(),
            service_tier: String::from_utf8_lossy(&answer.tier).into_owned(),
            api: answer.api(),
            files: files(answer),
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
    /// What the answers of a session used so far.
    session: Option<Usage>,
    /// What the lines of a batch's results used so far.
    sums: Option<Box<Sums>>,
}

impl Body {
    fn new(api: Option<Api>) -> Self {
        Self {
            reader: Reader::default(),
            answer: Answer::new(api),
            problems: Vec::new(),
            broken: false,
            events: 0,
            length: 0,
            head: [0; 6],
            session: None,
            sums: None,
        }
    }

    fn problem(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// JSON values, one after the other.
    fn values(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.reader.is_complete() {
                let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
                rest = rest.get(blank..).unwrap_or_default();
                if rest.is_empty() {
                    break;
                }
                // Another one follows.
                self.end_value();
                self.reader.reset();
            }
            let used = self.reader.push_value(rest, &mut self.answer);
            // A number ends at the byte after it.
            if used == 0 && !self.reader.is_complete() {
                break;
            }
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// A JSON value of the body ended.
    fn end_value(&mut self) {
        self.reader.finish(&mut self.answer);
        if self.reader.is_complete() {
            self.events = self.events.saturating_add(1);
            self.answer.end_event();
        }
    }

    /// Lines of a batch's results.
    fn lines(&mut self, piece: &[u8]) {
        let mut lines = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let line = if self.length == 0 { line.trim_ascii_start() } else { line };
            if !line.is_empty() {
                Sink::data(self, line);
            }
            if lines.peek().is_some() && self.length > 0 {
                let line = self.end_line();
                if let Some(sums) = &mut self.sums {
                    sums.add(line);
                }
            }
        }
    }

    /// What the line that ended told; `None` when it is not whole.
    fn end_line(&mut self) -> Option<Line> {
        let before = self.events;
        self.end_event();
        let line = self.answer.take_line();
        (self.events > before).then_some(line)
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

impl event_stream::Sink for Body {
    fn begin(&mut self, head: &event_stream::Head) {
        if head.message_type == "exception" || head.message_type == "error" {
            self.answer.error = true;
        }
    }

    fn data(&mut self, piece: &[u8]) {
        Sink::data(self, piece);
    }

    fn end(&mut self, _: usize, intact: bool) {
        self.end_event();
        if !intact {
            self.problem(Problem::EventUnreadable);
            self.broken = true;
        }
    }
}

impl websocket::Sink for Body {
    fn data(&mut self, piece: &[u8]) {
        Sink::data(self, piece);
    }

    fn end(&mut self) {
        self.end_event();
        let Some(usage) = self.answer.take() else { return };
        let sum = self.session.get_or_insert_with(|| Usage::new(Default::default(), Quality::Exact));
        sum.units.add_all(&usage.units);
        sum.reasoning = sum.reasoning.saturating_add(usage.reasoning);
        if usage.quality != Quality::Exact {
            sum.quality = Quality::Partial;
        }
    }
}

/// What there is to know of a session that is over. An answer that was not done has used more than was reported.
fn session(body: &mut Body, failed: bool) -> ResponseFacts {
    if failed {
        body.problem(Problem::ResponseUnreadable);
    }
    let answer = &body.answer;
    let broke_off = failed || answer.status == b"in_progress";
    if let Some(usage) = body.session.as_mut().filter(|_| broke_off) {
        usage.quality = Quality::Partial;
    }
    ResponseFacts {
        model: Some(String::from_utf8_lossy(&answer.model).into_owned()).filter(|model| !model.is_empty()),
        usage: body.session.clone(),
        problems: body.problems.clone(),
        finished: !broke_off,
        status: String::from_utf8_lossy(&answer.status).into_owned(),
        ..ResponseFacts::default()
    }
}

/// What there is to know of a batch's results. Without the end of its last line it is not all of them.
fn results(body: &mut Body, mut sums: Sums, whole: bool) -> ResponseFacts {
    let mut finished = whole;
    if whole && body.length > 0 {
        let line = body.end_line();
        finished = line.is_some();
        sums.add(line);
    }
    if sums.missing {
        body.problem(Problem::UsageMissing);
    }
    let mut usage = sums.usage();
    if let Some(usage) = usage.as_mut().filter(|_| !finished) {
        usage.quality = Quality::Partial;
    }
    // Of what could not be inflated some may have been read.
    let usage = usage.filter(|_| !body.broken);
    ResponseFacts { model: sums.model(), usage, problems: body.problems.clone(), finished, ..ResponseFacts::default() }
}

/// The files that hold a batch's results.
fn files(answer: &Answer) -> Vec<String> {
    let named = answer.files.iter().filter(|id| !id.is_empty());
    named.map(|id| String::from_utf8_lossy(id).into_owned()).collect()
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

#[cfg(test)]
mod tests;
