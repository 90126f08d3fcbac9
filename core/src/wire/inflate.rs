//! Answers that come compressed, inflated as they pass, for the meter only.
//!
//! The filter asks providers for `accept-encoding: identity`, so such answers are the exception: a provider that does
//! not listen, or a cache in between. They go to the client as they came; nothing is taken out of them. Of checksums
//! none is looked at, since the client does that.
//!
//! - gzip: <https://www.rfc-editor.org/rfc/rfc1952> (read 2026-11-23)
//! - deflate, which is zlib's format but by some servers sent bare: <https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2>
//!   (read 2026-11-23)

use flate2::{Decompress, FlushDecompress, Status};

/// What is inflated at a time.
const SCRATCH: usize = 8 << 10;
/// Inflated bytes after which an answer is given up: no answer of a model is as long.
const INFLATED_MAX: u64 = 1 << 30;

/// A `content-encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// `gzip`.
    Gzip,
    /// `deflate`.
    Deflate,
    /// One that is not read here, or several.
    Unknown,
}

impl Coding {
    /// Of a header's value.
    #[must_use]
    pub fn of(header: &str) -> Self {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            _ => Self::Unknown,
        }
    }
}

/// The bytes are not what the content coding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the compressed answer cannot be inflated")]
pub struct InflateError;

/// What the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Of gzip's ten fixed bytes, that many were read.
    Head(u8),
    /// Of the extra field's length, that many bytes were read.
    ExtraLength(u8),
    /// Bytes of the extra field to come.
    Extra(u16),
    /// In the name, ended by a zero.
    Name,
    /// In the comment, ended by a zero.
    Comment,
    /// Bytes of the head's checksum to come.
    HeadSum(u8),
    /// Whether deflate data has zlib's head is told by its first two bytes.
    Sniff(Option<u8>),
    Body,
    /// Bytes of gzip's trailer to come; then another member may follow.
    Trailer(u8),
    /// After deflate data.
    End,
}

/// An inflater of one answer.
#[derive(Debug)]
pub struct Inflater {
    gzip: bool,
    state: State,
    /// gzip's flags that are still to be obeyed.
    flags: u8,
    extra: u16,
    body: Decompress,
    scratch: Vec<u8>,
    inflated: u64,
}

const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const HEAD_SUM: u8 = 2;

impl Inflater {
    /// One for this coding, if it is one that needs inflating and can be.
    #[must_use]
    pub fn new(coding: Coding) -> Option<Self> {
        let (gzip, state) = match coding {
            Coding::Gzip => (true, State::Head(0)),
            Coding::Deflate => (false, State::Sniff(None)),
            Coding::Identity | Coding::Unknown => return None,
        };
        let body = Decompress::new(false);
        Some(Self { gzip, state, flags: 0, extra: 0, body, scratch: vec![0; SCRATCH], inflated: 0 })
    }

    /// Inflates a piece, and hands on what comes of it bit by bit.
    ///
    /// # Errors
    /// When the bytes are not what the coding says.
    pub fn push(&mut self, piece: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(), InflateError> {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            let used = match self.state {
                State::Body => self.body(rest, &mut sink)?,
                State::Sniff(first) => {
                    self.sniff(first, byte, &mut sink)?;
                    1
                }
                State::End => return Ok(()),
                _ => {
                    self.head(byte)?;
                    1
                }
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// A byte of gzip's head or trailer.
    fn head(&mut self, byte: u8) -> Result<(), InflateError> {
        self.state = match self.state {
            State::Head(at) => {
                match (at, byte) {
                    (0, 0x1F) | (1, 0x8B) | (2, 8) | (4.., _) => {}
                    (3, flags) => self.flags = flags,
                    _ => return Err(InflateError),
                }
                if at < 9 { State::Head(at.saturating_add(1)) } else { self.next_field() }
            }
            State::ExtraLength(0) => {
                self.extra = u16::from(byte);
                State::ExtraLength(1)
            }
            State::ExtraLength(_) => match self.extra | (u16::from(byte) << 8) {
                0 => self.next_field(),
                length => State::Extra(length),
            },
            State::Extra(left) if left > 1 => State::Extra(left.saturating_sub(1)),
            State::HeadSum(left) if left > 1 => State::HeadSum(left.saturating_sub(1)),
            State::Name | State::Comment if byte != 0 => self.state,
            State::Trailer(left) if left > 1 => State::Trailer(left.saturating_sub(1)),
            State::Trailer(_) => {
                self.body.reset(false);
                State::Head(0)
            }
            _ => self.next_field(),
        };
        Ok(())
    }

    /// The next part of the head that the flags announce.
    fn next_field(&mut self) -> State {
        let fields = [
            (EXTRA, State::ExtraLength(0)),
            (NAME, State::Name),
            (COMMENT, State::Comment),
            (HEAD_SUM, State::HeadSum(2)),
        ];
        let next = fields.iter().find(|(flag, _)| self.flags & flag != 0);
        self.flags &= !next.map_or(0, |(flag, _)| *flag);
        next.map_or(State::Body, |(_, state)| *state)
    }

    fn sniff(&mut self, first: Option<u8>, byte: u8, sink: &mut impl FnMut(&[u8])) -> Result<(), InflateError> {
        let Some(first) = first else {
            self.state = State::Sniff(Some(byte));
            return Ok(());
        };
        let zlib = first & 0x0F == 8 && u16::from_be_bytes([first, byte]).is_multiple_of(31);
        self.body = Decompress::new(zlib);
        self.state = State::Body;
        let mut head: &[u8] = &[first, byte];
        while !head.is_empty() && self.state == State::Body {
            let used = self.body(head, sink)?;
            head = head.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Inflates; how many bytes were used.
    fn body(&mut self, piece: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<usize, InflateError> {
        let mut used = 0usize;
        loop {
            let rest = piece.get(used..).unwrap_or_default();
            let (read, written) = (self.body.total_in(), self.body.total_out());
            let status = self.body.decompress(rest, &mut self.scratch, FlushDecompress::None);
            let status = status.map_err(|_| InflateError)?;
            let read = usize::try_from(self.body.total_in().saturating_sub(read)).unwrap_or(rest.len());
            let fresh = self.body.total_out().saturating_sub(written);
            let written = usize::try_from(fresh).unwrap_or(usize::MAX).min(self.scratch.len());
            used = used.saturating_add(read);
            sink(self.scratch.get(..written).unwrap_or_default());
            self.inflated = self.inflated.saturating_add(fresh);
            if self.inflated > INFLATED_MAX {
                return Err(InflateError);
            }
            if status == Status::StreamEnd {
                self.state = if self.gzip { State::Trailer(8) } else { State::End };
                return Ok(used);
            }
            // Something came out: more may come of what was read already, and does where miniz's window comes round.
            if used >= piece.len() && written == 0 {
                return Ok(used);
            }
            if read == 0 && written == 0 {
                return Err(InflateError);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;
    use std::io::Write;

    fn inflate(coding: Coding, pieces: &[&[u8]]) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        let mut inflater = Inflater::new(coding).unwrap();
        for piece in pieces {
            inflater.push(piece, |bytes| out.extend_from_slice(bytes))?;
        }
        Ok(out)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_part_of_a_gzip_head_is_passed_by() {
        let builder = GzBuilder::new().extra(vec![7; 300]).filename("name").comment("comment");
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(b"hello").unwrap();
        let mut bytes = encoder.finish().unwrap();
        assert_eq!(inflate(Coding::Gzip, &[&bytes]).unwrap(), b"hello");
        bytes.extend(gzip(b" again"));
        assert_eq!(inflate(Coding::Gzip, &[&bytes]).unwrap(), b"hello again", "members follow each other");
    }

    #[test]
    fn a_flushed_stream_comes_out_as_it_comes_in() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let (mut inflater, mut out, mut sent) = (Inflater::new(Coding::Gzip).unwrap(), Vec::new(), 0);
        for event in ["data: one\n\n", "data: two\n\n"] {
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let fresh = &encoder.get_ref()[sent..];
            inflater.push(fresh, |bytes| out.extend_from_slice(bytes)).unwrap();
            sent = encoder.get_ref().len();
            assert!(out.ends_with(event.as_bytes()));
        }
    }

    /// Bytes that do not repeat.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    /// miniz stops where its window of 32 KiB comes round, with bytes that are read and not put out yet.
    #[test]
    fn what_breaks_off_at_a_window_s_end_comes_out_whole() {
        for length in [1, 5, 30] {
            let text: Vec<u8> =
                noise(2_000).into_iter().flat_map(|byte| vec![byte; length]).cycle().take(40_000).collect();
            let bytes = bare(&text);
            let (mut inflater, mut out) = (Inflater::new(Coding::Deflate).unwrap(), Vec::new());
            for (at, byte) in bytes.iter().enumerate() {
                inflater.push(&[*byte], |piece| out.extend_from_slice(piece)).unwrap();
                if (32_500..33_100).contains(&out.len()) {
                    assert_eq!(inflate(Coding::Deflate, &[&bytes[..=at]]).unwrap().len(), out.len(), "{length}");
                }
            }
            assert!(out == text);
        }
    }

    #[test]
    fn what_is_not_compressed_is_an_error() {
        let cases: [(Coding, &[u8]); 4] = [
            (Coding::Gzip, b"{\"usage\":{}}"),
            (Coding::Gzip, b"\x1F\x8B\x09"),
            (Coding::Deflate, b"\x07\x07"),
            (Coding::Deflate, b"\x78\x9C\xFF\xFF"),
        ];
        for (coding, bytes) in cases {
            assert_eq!(inflate(coding, &[bytes]), Err(InflateError), "{coding:?} {bytes:?}");
        }
    }

    #[test]
    fn a_coding_is_known_by_its_header() {
        let cases = [
            ("", Coding::Identity),
            ("identity", Coding::Identity),
            ("GZIP", Coding::Gzip),
            (" x-gzip ", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Unknown),
            ("gzip, gzip", Coding::Unknown),
        ];
        for (header, want) in cases {
            assert_eq!(Coding::of(header), want, "{header}");
        }
    }

    proptest! {
        #[test]
        fn it_inflates_whatever_the_cuts(
            text in proptest::collection::vec(0u8..4, 0..40_000),
            cuts in proptest::collection::vec(any::<usize>(), 0..6),
        ) {
            for (coding, bytes) in
                [(Coding::Gzip, gzip(&text)), (Coding::Deflate, zlib(&text)), (Coding::Deflate, bare(&text))]
            {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
                cuts.extend([0, bytes.len()]);
                cuts.sort_unstable();
                let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
                let got = inflate(coding, &pieces);
                prop_assert_eq!(got.as_ref(), Ok(&text));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), flags in any::<u8>()) {
            let _ = inflate(Coding::Deflate, &[&bytes]);
            let headed = [&[0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 0], bytes.as_slice()].concat();
            let _ = inflate(Coding::Gzip, &[&headed]);
        }
    }
}
