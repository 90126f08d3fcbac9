//! br: <https://www.rfc-editor.org/rfc/rfc7932> (read 2026-11-24)
//!
//! Streams with the large windows that are no part of the RFC are refused, so that the window is 16 MiB at most; it
//! grows to that with what is inflated.

use super::{InflateError, Out, SCRATCH};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

/// An inflater of one stream. Bytes after its end are passed over.
pub(super) struct Inflater {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    scratch: Vec<u8>,
    ended: bool,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Inflater {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default();
        let state = Box::new(BrotliState::new_strict(alloc, alloc, alloc));
        Self { state, scratch: vec![0; SCRATCH], ended: false }
    }

    pub(super) fn push(&mut self, piece: &[u8], out: Out<'_>) -> Result<(), InflateError> {
        let (mut left, mut at) = (piece.len(), 0);
        while !self.ended {
            let (mut room, mut written, mut total) = (self.scratch.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                piece,
                &mut room,
                &mut written,
                &mut self.scratch,
                &mut total,
                &mut self.state,
            );
            if written > 0 {
                out(self.scratch.get(..written).unwrap_or_default())?;
            }
            match result {
                BrotliResult::NeedsMoreInput if room > 0 => return Ok(()),
                // A full scratch may leave more to come out, also when all was read that is there.
                BrotliResult::NeedsMoreInput => {}
                BrotliResult::NeedsMoreOutput if written > 0 => {}
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::NeedsMoreOutput | BrotliResult::ResultFailure => return Err(InflateError),
            }
        }
        Ok(())
    }
}
