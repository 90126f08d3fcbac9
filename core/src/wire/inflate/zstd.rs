//! zstd: <https://www.rfc-editor.org/rfc/rfc8878> (read 2026-11-24), with the window of at most 8 MiB that
//! <https://www.rfc-editor.org/rfc/rfc9659> (read 2026-11-24) sets for HTTP.
//!
//! ```text
//! frame: magic u32 │ descriptor u8 │ window, dictionary, content size: 0–13 bytes │ blocks │ checksum u32, if any
//! block: last, kind, size u24 │ at most 128 KiB, of which at most 128 KiB come
//! ```
//!
//! Frames and blocks are told apart here, and whole blocks decoded by `ruzstd`. That crate is made for files: what it
//! decoded it gives out when it has left the window, or when the frame is over, and of an answer that is shorter than
//! the window (that is, of any) nothing would come before its end. So it is told of each block that it is the frame's
//! last, which it takes as leave to give out all, and what is fresh is then read without being taken out, by a writer
//! that takes nothing: the window stays.
//!
//! That way needs the window to lie in one piece. Its buffer is a ring, but one that starts as a straight line: before
//! it would come round, it is emptied, and begun anew with the last window put in as raw blocks. A test would fail, and
//! the inflater with it, if the crate ever changed its ways.

use super::{InflateError, Out};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{Read, Write};

/// Largest window, in bytes.
const WINDOW_MAX: u64 = 8 << 20;
/// Largest block, in bytes, both as it is written and as it is decoded.
const BLOCK_MAX: usize = 128 << 10;
/// Beyond the window, what is decoded before the buffer is emptied.
const SLACK: usize = 1 << 20;
const MAGIC: u32 = 0xFD2F_B528;
/// The last four bits are free.
const SKIPPABLE: u32 = 0x184D_2A50;

/// Bits of a frame's descriptor.
const CHECKSUM: u8 = 1 << 2;
const SINGLE_SEGMENT: u8 = 1 << 5;
/// A block's kind, in the second and third bit of its head: one byte, many times.
const RLE: u8 = 1;

/// What is gathered next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A frame's magic number.
    Magic,
    /// The length of a frame to pass over.
    SkipLength,
    /// Bytes to pass over.
    Skip(u32),
    /// The magic number and the descriptor.
    Descriptor,
    /// The frame's whole head, of so many bytes.
    Head(usize),
    BlockHead,
    /// A block with its head, of so many bytes.
    Block(usize),
    Checksum,
}

/// An inflater of frames that follow each other.
pub(super) struct Inflater {
    state: State,
    gathered: Vec<u8>,
    frame: FrameDecoder,
    window: usize,
    has_checksum: bool,
}

impl Default for Inflater {
    fn default() -> Self {
        let frame = FrameDecoder::new();
        Self { state: State::Magic, gathered: Vec::new(), frame, window: 0, has_checksum: false }
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater").field("state", &self.state).field("window", &self.window).finish_non_exhaustive()
    }
}

impl Inflater {
    pub(super) fn push(&mut self, piece: &[u8], out: Out<'_>) -> Result<(), InflateError> {
        let mut rest = piece;
        while !rest.is_empty() {
            let want = match self.state {
                State::Magic | State::SkipLength | State::Checksum => 4,
                State::Skip(left) => {
                    let used = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    rest = rest.get(used..).unwrap_or_default();
                    let left = left.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
                    self.state = if left == 0 { State::Magic } else { State::Skip(left) };
                    continue;
                }
                State::Descriptor => 5,
                State::BlockHead => 3,
                State::Head(length) | State::Block(length) => length,
            };
            let used = want.saturating_sub(self.gathered.len()).min(rest.len());
            let (fresh, after) = rest.split_at_checked(used).unwrap_or((rest, &[]));
            self.gathered.extend_from_slice(fresh);
            rest = after;
            if self.gathered.len() >= want {
                self.gathered(out)?;
            }
        }
        Ok(())
    }

    /// What was to be gathered is there.
    fn gathered(&mut self, out: Out<'_>) -> Result<(), InflateError> {
        let word = self.gathered.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
        self.state = match self.state {
            State::Magic if word == MAGIC => {
                self.state = State::Descriptor;
                return Ok(());
            }
            State::Magic if word & !0xF == SKIPPABLE => State::SkipLength,
            State::Magic => return Err(InflateError),
            State::SkipLength if word > 0 => State::Skip(word),
            State::SkipLength | State::Skip(_) | State::Checksum => State::Magic,
            State::Descriptor => {
                self.state = State::Head(head_length(self.gathered.get(4).copied().unwrap_or(0)));
                return Ok(());
            }
            State::Head(_) => {
                self.begin_frame()?;
                State::BlockHead
            }
            State::BlockHead => {
                let (kind, size) = self.block_head();
                if size > BLOCK_MAX {
                    return Err(InflateError);
                }
                self.state = State::Block(3usize.saturating_add(if kind == RLE { 1 } else { size }));
                if self.state != State::Block(3) {
                    return Ok(());
                }
                self.block(out)?
            }
            State::Block(_) => self.block(out)?,
        };
        self.gathered.clear();
        Ok(())
    }

    fn begin_frame(&mut self) -> Result<(), InflateError> {
        // The checksum is not for `ruzstd` to wait for.
        let Some(descriptor) = self.gathered.get_mut(4) else { return Err(InflateError) };
        self.has_checksum = *descriptor & CHECKSUM != 0;
        *descriptor &= !CHECKSUM;
        let window = window(&self.gathered);
        if window > WINDOW_MAX {
            return Err(InflateError);
        }
        self.window = usize::try_from(window).map_err(|_| InflateError)?;
        // A frame with a dictionary is refused.
        self.frame = FrameDecoder::new();
        self.frame.init(self.gathered.as_slice()).map_err(|_| InflateError)
    }

    /// Kind and size of the block whose head is gathered.
    fn block_head(&self) -> (u8, usize) {
        let Some([first, second, third]) = self.gathered.first_chunk() else { return (0, 0) };
        let head = u32::from_le_bytes([*first, *second, *third, 0]);
        (first >> 1 & 3, usize::try_from(head >> 3).unwrap_or(usize::MAX))
    }

    /// A whole block is there; what comes after it.
    fn block(&mut self, out: Out<'_>) -> Result<State, InflateError> {
        let before = self.begin_anew_when_long()?;
        let Some(head) = self.gathered.first_mut() else { return Err(InflateError) };
        let last = *head & 1 != 0;
        *head |= 1;
        decode(&mut self.frame, self.gathered.as_slice())?;
        let mut fresh = Fresh { passed: before, told: 0, out, result: Ok(()) };
        let want = self.frame.can_collect().checked_sub(before).ok_or(InflateError)?;
        let taken = self.frame.collect_to_writer(&mut fresh).map_err(|_| InflateError)?;
        fresh.result?;
        if taken != 0 || fresh.told != want {
            return Err(InflateError);
        }
        Ok(match (last, self.has_checksum) {
            (false, _) => State::BlockHead,
            (true, true) => State::Checksum,
            (true, false) => State::Magic,
        })
    }

    /// Empties the buffer but for the window, if that is due. How much is in it.
    fn begin_anew_when_long(&mut self) -> Result<usize, InflateError> {
        let length = self.frame.can_collect();
        if length <= self.window.saturating_add(SLACK) {
            return Ok(length);
        }
        let all = self.frame.collect().unwrap_or_default();
        let window = all.get(all.len().saturating_sub(self.window)..).unwrap_or_default();
        for raw in window.chunks(BLOCK_MAX.min(self.window.max(1))) {
            let size = u32::try_from(raw.len()).map_err(|_| InflateError)?;
            let [first, second, third, _] = ((size << 3) | 1).to_le_bytes();
            decode(&mut self.frame, [first, second, third].as_slice().chain(raw))?;
        }
        Ok(window.len())
    }
}

fn decode(frame: &mut FrameDecoder, block: impl Read) -> Result<(), InflateError> {
    match frame.decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1)) {
        Ok(true) => Ok(()),
        _ => Err(InflateError),
    }
}

/// Of a frame's head, with the magic number, in bytes.
fn head_length(descriptor: u8) -> usize {
    let single = descriptor & SINGLE_SEGMENT != 0;
    let window = usize::from(!single);
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
    5usize.saturating_add(window).saturating_add(dictionary).saturating_add(content_size_length(descriptor))
}

fn content_size_length(descriptor: u8) -> usize {
    match descriptor >> 6 {
        0 => usize::from(descriptor & SINGLE_SEGMENT != 0),
        1 => 2,
        2 => 4,
        _ => 8,
    }
}

/// What a frame's head says of its window, in bytes.
fn window(head: &[u8]) -> u64 {
    let byte = |at: usize| head.get(at).copied().unwrap_or(0);
    if byte(4) & SINGLE_SEGMENT == 0 {
        let base = 1u64 << 10u32.saturating_add(u32::from(byte(5) >> 3)).min(63);
        return base.saturating_add((base >> 3).saturating_mul(u64::from(byte(5) & 7)));
    }
    let length = content_size_length(byte(4));
    let digits = head.get(head.len().saturating_sub(length)..).unwrap_or_default();
    let size = digits.iter().rev().fold(0u64, |size, digit| size << 8 | u64::from(*digit));
    if length == 2 { size.saturating_add(256) } else { size }
}

/// Reads what is fresh out of `ruzstd`'s buffer, and takes nothing.
struct Fresh<'a> {
    /// Bytes to pass over.
    passed: usize,
    told: usize,
    out: Out<'a>,
    result: Result<(), InflateError>,
}

impl Write for Fresh<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        if self.told == 0
            && let Some(fresh) = buffer.get(self.passed..).filter(|fresh| !fresh.is_empty())
        {
            self.told = fresh.len();
            self.result = (self.out)(fresh);
        }
        Ok(0)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
