//! Server-sent events, however the bytes are cut: CRLF, LF or CR, comments, a byte order mark, no blank line at the end.
//!
//! The data of an event is handed on as it passes, never gathered: an event may be of any size.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream> (read 2026-11-23)

/// What wants the events.
pub trait Sink {
    /// A piece of the event's data. Lines after the first are parted by a line feed.
    fn data(&mut self, piece: &[u8]);
    /// An event ended; `at` bytes of this piece belong to it and those before. At the end of the stream `at` is
    /// [`usize::MAX`]. A blank line without data before it is told too: as the end of an event that had none.
    fn end(&mut self, at: usize);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a line; what of the field's name came so far.
    Field,
    /// After `data:`, where one space is left out.
    Space,
    /// In a line of data.
    Data,
    /// In a line that does not matter.
    Skip,
}

/// The decoder.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    name: Vec<u8>,
    /// The event has data already.
    has_data: bool,
    /// The last byte was a CR: an LF that follows is part of the same line end.
    after_cr: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Field, name: Vec::new(), has_data: false, after_cr: false }
    }
}

impl Decoder {
    /// Reads a piece.
    pub fn push(&mut self, piece: &[u8], sink: &mut impl Sink) {
        let mut at = 0usize;
        while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
            if std::mem::take(&mut self.after_cr) && rest.first() == Some(&b'\n') {
                at = at.saturating_add(1);
                continue;
            }
            at = match self.state {
                State::Field => self.field(rest, at, piece, sink),
                State::Space => {
                    self.state = State::Data;
                    at.saturating_add(usize::from(rest.first() == Some(&b' ')))
                }
                State::Data | State::Skip => self.line(rest, at, piece, sink),
            };
        }
    }

    /// The bytes are over: an event without its blank line ends here.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        if self.has_data {
            self.has_data = false;
            sink.end(usize::MAX);
        }
    }

    fn field(&mut self, rest: &[u8], at: usize, piece: &[u8], sink: &mut impl Sink) -> usize {
        let byte = rest.first().copied().unwrap_or(0);
        match byte {
            b'\n' | b'\r' => return self.line(rest, at, piece, sink),
            b':' => {
                let name = self.name.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.name);
                if name == b"data" {
                    if self.has_data {
                        sink.data(b"\n");
                    }
                    self.has_data = true;
                    self.state = State::Space;
                } else {
                    self.state = State::Skip;
                }
            }
            _ if self.name.len() < 16 => self.name.push(byte),
            _ => self.state = State::Skip,
        }
        at.saturating_add(1)
    }

    /// The rest of a line, and its end if that is there.
    fn line(&mut self, rest: &[u8], at: usize, piece: &[u8], sink: &mut impl Sink) -> usize {
        let stop = memchr::memchr2(b'\n', b'\r', rest);
        let text = rest.get(..stop.unwrap_or(rest.len())).unwrap_or(rest);
        if self.state == State::Data && !text.is_empty() {
            sink.data(text);
        }
        let Some(stop) = stop else { return at.saturating_add(rest.len()) };
        let blank = self.state == State::Field && self.name.is_empty();
        let mut next = at.saturating_add(stop).saturating_add(1);
        if rest.get(stop) == Some(&b'\r') {
            if piece.get(next) == Some(&b'\n') {
                next = next.saturating_add(1);
            } else {
                self.after_cr = next == piece.len();
            }
        }
        self.name.clear();
        self.state = State::Field;
        if blank {
            self.has_data = false;
            sink.end(next);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Gather {
        now: Vec<u8>,
        events: Vec<String>,
    }

    impl Sink for Gather {
        fn data(&mut self, piece: &[u8]) {
            self.now.extend_from_slice(piece);
        }
        fn end(&mut self, _: usize) {
            if !self.now.is_empty() {
                self.events.push(String::from_utf8_lossy(&std::mem::take(&mut self.now)).into_owned());
            }
        }
    }

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let (mut decoder, mut gather) = (Decoder::default(), Gather::default());
        pieces.iter().for_each(|piece| decoder.push(piece, &mut gather));
        decoder.finish(&mut gather);
        gather.events
    }

    #[test]
    fn every_line_end_comment_and_missing_end_is_read() {
        let cases: [(&str, &[&str]); 9] = [
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            (": ping\n\ndata:a\n\n", &["a"]),
            ("event: x\nid: 1\ndata: a\n\n", &["a"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("\u{FEFF}data: a\n\n", &["a"]),
            ("data: a", &["a"]),
            ("database: a\nsome-very-long-field-name: data: b\n\n", &[]),
        ];
        for (stream, want) in cases {
            assert_eq!(events(&[stream.as_bytes()]), want, "{stream:?}");
        }
    }

    proptest! {
        /// However the network cuts a stream, the decoder yields the same events.
        #[test]
        fn sse_events_do_not_depend_on_chunking(
            lines in proptest::collection::vec("(data: ?|event: |: |data|)[a-z: ]{0,6}(\r\n|\n|\r)", 0..12),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            let stream = lines.concat();
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(events(&pieces), events(&[bytes]));
        }
    }
}
