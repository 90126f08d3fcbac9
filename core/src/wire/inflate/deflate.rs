//! gzip and deflate.
//!
//! - gzip: <https://www.rfc-editor.org/rfc/rfc1952> (read 2026-11-23)
//! - deflate, which is zlib's format but by some servers sent bare: <https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2>
//!   (read 2026-11-23)

use super::{InflateError, Out, SCRATCH};
use flate2::{Decompress, FlushDecompress, Status};

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

/// An inflater of either.
#[derive(Debug)]
pub(super) struct Inflater {
    gzip: bool,
    state: State,
    /// gzip's flags that are still to be obeyed.
    flags: u8,
    extra: u16,
    body: Decompress,
    scratch: Vec<u8>,
}

const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const HEAD_SUM: u8 = 2;

impl Inflater {
    pub(super) fn gzip() -> Self {
        Self::new(true, State::Head(0))
    }

    pub(super) fn deflate() -> Self {
        Self::new(false, State::Sniff(None))
    }

    fn new(gzip: bool, state: State) -> Self {
        Self { gzip, state, flags: 0, extra: 0, body: Decompress::new(false), scratch: vec![0; SCRATCH] }
    }

    pub(super) fn push(&mut self, piece: &[u8], out: Out<'_>) -> Result<(), InflateError> {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            let used = match self.state {
                State::Body => self.body(rest, out)?,
                State::Sniff(first) => {
                    self.sniff(first, byte, out)?;
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

    fn sniff(&mut self, first: Option<u8>, byte: u8, out: Out<'_>) -> Result<(), InflateError> {
        let Some(first) = first else {
            self.state = State::Sniff(Some(byte));
            return Ok(());
        };
        let zlib = first & 0x0F == 8 && u16::from_be_bytes([first, byte]).is_multiple_of(31);
        self.body = Decompress::new(zlib);
        self.state = State::Body;
        let mut head: &[u8] = &[first, byte];
        while !head.is_empty() && self.state == State::Body {
            let used = self.body(head, out)?;
            head = head.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Inflates; how many bytes were used.
    fn body(&mut self, piece: &[u8], out: Out<'_>) -> Result<usize, InflateError> {
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
            out(self.scratch.get(..written).unwrap_or_default())?;
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
