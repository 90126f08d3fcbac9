//! AWS's binary event stream (`application/vnd.amazon.eventstream`), in which Bedrock streams, however the bytes are cut.
//!
//! ```text
//! total length u32 │ headers' length u32 │ CRC u32 of these two ║ headers │ payload ║ CRC u32 of all before it
//! ```
//!
//! All integers are big-endian. A header is name length `u8`, name, kind `u8`, value; see [`Kind`].
//!
//! - The payload is handed on as it passes, never gathered, so that its checksum is known only at its end: what a message
//!   says counts once [`Sink::end`] calls it intact.
//! - A prelude whose checksum is wrong has lengths that mean nothing: reading ends there. A message whose own checksum is
//!   wrong still has its end where the prelude said, and reading goes on.
//! - Of the headers those are kept that say what the payload is; others are passed over.
//!
//! <https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html>,
//! <https://smithy.io/2.0/aws/amazon-eventstream.html> (read 2026-11-24)

use crc32fast::Hasher;

/// Most bytes of headers in a message, as AWS's own SDKs have it: <https://github.com/boto/botocore/pull/3438>,
/// <https://github.com/awslabs/aws-c-event-stream/pull/125> (read 2026-11-24).
pub const HEADERS_MAX: u32 = 128 << 10;
/// Most bytes of payload in a message, from the same places.
pub const PAYLOAD_MAX: u32 = 24 << 20;
/// Prelude and message checksum.
const OVERHEAD: u32 = 16;
/// One byte of room beyond the longest name that is told apart: a longer name cannot pass for it.
const NAME_MAX: usize = 16;
/// What is kept of a value; exceptions and content types are shorter.
const VALUE_MAX: usize = 64;

/// What wants the messages.
pub trait Sink {
    /// A message begins: its headers are over.
    fn begin(&mut self, head: &Head);
    /// A piece of its payload.
    fn data(&mut self, piece: &[u8]);
    /// It ended; `at` bytes of this piece belong to it and those before. Unless it is `intact`, its checksum disagrees
    /// with what was told of it.
    fn end(&mut self, at: usize, intact: bool);
}

/// What a message's headers say. Empty is what no header of type string said; values are cut to 64 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// `:message-type`: `event`, `exception` or `error`.
    pub message_type: String,
    /// `:event-type`, of events.
    pub event_type: String,
    /// `:exception-type`, of exceptions.
    pub exception_type: String,
    /// `:content-type`, of the payload.
    pub content_type: String,
}

impl Head {
    fn clear(&mut self) {
        let Self { message_type, event_type, exception_type, content_type } = self;
        for value in [message_type, event_type, exception_type, content_type] {
            value.clear();
        }
    }

    fn field(&mut self, name: &[u8]) -> Option<&mut String> {
        match name {
            b":message-type" => Some(&mut self.message_type),
            b":event-type" => Some(&mut self.event_type),
            b":exception-type" => Some(&mut self.exception_type),
            b":content-type" => Some(&mut self.content_type),
            _ => None,
        }
    }
}

/// Why nothing more is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// The two lengths are not those that were sent.
    #[error("the checksum of a message's prelude is wrong")]
    PreludeSum,
    /// Lengths that cannot be, or are beyond [`HEADERS_MAX`] or [`PAYLOAD_MAX`].
    #[error("a message of {total} bytes cannot have {headers} bytes of headers")]
    Lengths {
        /// Of the message, in bytes.
        total: u32,
        /// Of its headers, in bytes.
        headers: u32,
    },
    /// A header's value is of none of the ten kinds.
    #[error("no header's value is of kind {0}")]
    Kind(u8),
    /// A header goes beyond the headers' length.
    #[error("a header is longer than all headers")]
    HeaderLength,
}

/// How long a header's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 0 true, 1 false, 2 byte, 3 short, 4 integer, 5 long, 8 timestamp, 9 UUID.
    Fixed(u32),
    /// 6 bytes, 7 string: two bytes of length come first.
    Long,
}

impl Kind {
    fn of(byte: u8) -> Result<Self, EventStreamError> {
        match byte {
            0 | 1 => Ok(Self::Fixed(0)),
            2 => Ok(Self::Fixed(1)),
            3 => Ok(Self::Fixed(2)),
            4 => Ok(Self::Fixed(4)),
            5 | 8 => Ok(Self::Fixed(8)),
            6 | 7 => Ok(Self::Long),
            9 => Ok(Self::Fixed(16)),
            _ => Err(EventStreamError::Kind(byte)),
        }
    }
}

const STRING: u8 = 7;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Twelve bytes, gathered.
    Prelude,
    NameLength,
    Name,
    Kind,
    /// Two bytes, gathered.
    ValueLength,
    Value,
    Payload,
    /// Four bytes, gathered.
    Sum,
}

/// The decoder.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// What is gathered, and how much of it is there.
    gathered: [u8; 12],
    filled: usize,
    /// Bytes to come of the headers, of the payload, and of the name or value under way.
    headers: u32,
    payload: u32,
    part: u32,
    name: Vec<u8>,
    value: Vec<u8>,
    /// The value under way is wanted.
    wanted: bool,
    head: Head,
    /// Over the message so far.
    sum: Hasher,
    error: Option<EventStreamError>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            state: State::Prelude,
            gathered: [0; 12],
            filled: 0,
            headers: 0,
            payload: 0,
            part: 0,
            name: Vec::new(),
            value: Vec::new(),
            wanted: false,
            head: Head::default(),
            sum: Hasher::new(),
            error: None,
        }
    }
}

impl Decoder {
    /// Why nothing more is read.
    #[must_use]
    pub fn error(&self) -> Option<EventStreamError> {
        self.error
    }

    /// Whether the bytes so far are whole messages.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.error.is_none() && self.state == State::Prelude && self.filled == 0
    }

    /// Reads a piece. After an error nothing more is read.
    pub fn push(&mut self, piece: &[u8], sink: &mut impl Sink) {
        let mut at = 0usize;
        while self.error.is_none() {
            let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) else { break };
            match self.step(rest, at, sink) {
                Ok(used) => at = at.saturating_add(used),
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Reads some of `rest`, which starts at `at`; how much.
    fn step(&mut self, rest: &[u8], at: usize, sink: &mut impl Sink) -> Result<usize, EventStreamError> {
        match self.state {
            State::Prelude => {
                let used = self.gather(rest, 12);
                if self.filled == 12 {
                    self.prelude(sink)?;
                }
                Ok(used)
            }
            State::Sum => {
                let used = self.gather(rest, 4);
                if self.filled == 4 {
                    let intact = std::mem::take(&mut self.sum).finalize() == self.gathered_at(0);
                    (self.state, self.filled) = (State::Prelude, 0);
                    sink.end(at.saturating_add(used), intact);
                }
                Ok(used)
            }
            State::Payload => {
                let (data, used) = take(rest, &mut self.payload);
                self.sum.update(data);
                sink.data(data);
                if self.payload == 0 {
                    self.state = State::Sum;
                }
                Ok(used)
            }
            _ => self.header(rest, sink),
        }
    }

    fn gather(&mut self, rest: &[u8], want: usize) -> usize {
        let mut used = 0usize;
        let room = self.gathered.get_mut(self.filled..want).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(rest) {
            *place = *byte;
            used = used.saturating_add(1);
        }
        self.filled = self.filled.saturating_add(used);
        used
    }

    fn gathered_at(&self, at: usize) -> u32 {
        self.gathered.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_be_bytes(*four))
    }

    fn prelude(&mut self, sink: &mut impl Sink) -> Result<(), EventStreamError> {
        let (total, headers) = (self.gathered_at(0), self.gathered_at(4));
        self.filled = 0;
        self.sum = Hasher::new();
        self.sum.update(self.gathered.get(..8).unwrap_or_default());
        if self.sum.clone().finalize() != self.gathered_at(8) {
            return Err(EventStreamError::PreludeSum);
        }
        self.sum.update(self.gathered.get(8..).unwrap_or_default());
        let payload = total.checked_sub(OVERHEAD).and_then(|rest| rest.checked_sub(headers));
        let Some(payload) = payload.filter(|payload| headers <= HEADERS_MAX && *payload <= PAYLOAD_MAX) else {
            return Err(EventStreamError::Lengths { total, headers });
        };
        (self.headers, self.payload) = (headers, payload);
        self.head.clear();
        self.next_header(sink);
        Ok(())
    }

    /// To the next header, or past them.
    fn next_header(&mut self, sink: &mut impl Sink) {
        if self.headers > 0 {
            self.state = State::NameLength;
        } else {
            self.state = if self.payload > 0 { State::Payload } else { State::Sum };
            sink.begin(&self.head);
        }
    }

    /// Some of the headers; how much.
    fn header(&mut self, rest: &[u8], sink: &mut impl Sink) -> Result<usize, EventStreamError> {
        let mut part = if matches!(self.state, State::Name | State::Value) { self.part } else { 1 };
        let (piece, used) = take(rest, &mut part);
        let taken = u32::try_from(used).unwrap_or(u32::MAX);
        self.headers = self.headers.checked_sub(taken).ok_or(EventStreamError::HeaderLength)?;
        self.sum.update(piece);
        self.part = part;
        let byte = piece.first().copied().unwrap_or(0);
        match self.state {
            State::NameLength => {
                self.name.clear();
                self.begin_part(State::Name, u32::from(byte))?;
            }
            State::Name => keep(&mut self.name, piece, NAME_MAX),
            State::Kind => {
                self.wanted = byte == STRING && self.head.field(&self.name).is_some();
                self.value.clear();
                match Kind::of(byte)? {
                    Kind::Fixed(length) => self.begin_part(State::Value, length)?,
                    Kind::Long => self.state = State::ValueLength,
                }
            }
            State::ValueLength => {
                self.gather(piece, 2);
                if self.filled == 2 {
                    self.filled = 0;
                    let length = self.gathered.first_chunk().map_or(0, |two| u16::from_be_bytes(*two));
                    self.begin_part(State::Value, u32::from(length))?;
                }
            }
            _ if self.wanted => keep(&mut self.value, piece, VALUE_MAX),
            _ => {}
        }
        match self.state {
            State::Name if self.part == 0 => self.state = State::Kind,
            State::Value if self.part == 0 => {
                if let Some(field) = self.head.field(&self.name).filter(|_| self.wanted) {
                    field.clear();
                    field.push_str(&String::from_utf8_lossy(&self.value));
                }
                self.next_header(sink);
                return Ok(used);
            }
            _ => {}
        }
        if self.headers == 0 { Err(EventStreamError::HeaderLength) } else { Ok(used) }
    }

    /// A name or value of this length is next.
    fn begin_part(&mut self, state: State, length: u32) -> Result<(), EventStreamError> {
        (self.state, self.part) = (state, length);
        if length > self.headers { Err(EventStreamError::HeaderLength) } else { Ok(()) }
    }
}

/// The next bytes of a part of which `left` are to come, and how many.
fn take<'a>(rest: &'a [u8], left: &mut u32) -> (&'a [u8], usize) {
    let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left = left.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
    (rest.get(..used).unwrap_or_default(), used)
}

fn keep(kept: &mut Vec<u8>, piece: &[u8], most: usize) {
    let room = most.saturating_sub(kept.len());
    kept.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
}

#[cfg(test)]
mod tests;
