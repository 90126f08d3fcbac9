//! Answers that come compressed, read as they pass.
//!
//! The filter asks for `accept-encoding: identity`: an answer is small beside its prompt, and only plain text can be
//! changed on its way. Some servers compress all the same; gzip and deflate are inflated here for the meter alone, the
//! caller gets the bytes as they came. Other codings are reported as unreadable, not as free.

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use std::io::Write;

/// Compressed bytes that are inflated at once: at most a thousandfold of this lies in memory.
const PIECE: usize = 512;

/// How an answer is coded.
#[derive(Debug)]
pub enum Inflate {
    /// As it is.
    Plain,
    /// gzip.
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// zlib, which HTTP calls deflate.
    Deflate(ZlibDecoder<Vec<u8>>),
    /// A coding that is not read, or bytes that are not of their coding.
    Unreadable,
}

impl Inflate {
    /// By the `content-encoding` header; empty is plain.
    #[must_use]
    pub fn new(encoding: &str) -> Self {
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Plain,
            "gzip" | "x-gzip" => Self::Gzip(MultiGzDecoder::new(Vec::new())),
            "deflate" => Self::Deflate(ZlibDecoder::new(Vec::new())),
            _ => Self::Unreadable,
        }
    }

    /// Whether nothing (more) can be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable)
    }

    /// Hands the inflated bytes of `chunk` to `read`, piece by piece.
    pub fn push(&mut self, chunk: &[u8], mut read: impl FnMut(&[u8])) {
        if matches!(self, Self::Plain) {
            return read(chunk);
        }
        for piece in chunk.chunks(PIECE) {
            let written = match self {
                Self::Gzip(decoder) => decoder.write_all(piece).and_then(|()| decoder.flush()),
                Self::Deflate(decoder) => decoder.write_all(piece).and_then(|()| decoder.flush()),
                Self::Plain | Self::Unreadable => return,
            };
            let out = match self {
                Self::Gzip(decoder) => std::mem::take(decoder.get_mut()),
                Self::Deflate(decoder) => std::mem::take(decoder.get_mut()),
                Self::Plain | Self::Unreadable => return,
            };
            read(&out);
            if written.is_err() {
                *self = Self::Unreadable;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;

    fn inflated(encoding: &str, bytes: &[u8], step: usize) -> (Vec<u8>, bool) {
        let mut inflate = Inflate::new(encoding);
        let mut out = Vec::new();
        bytes.chunks(step).for_each(|chunk| inflate.push(chunk, |piece| out.extend_from_slice(piece)));
        (out, inflate.is_unreadable())
    }

    #[test]
    fn gzip_and_deflate_are_read_however_they_are_cut() {
        let text = b"data: {\"a\":1}\n\n".repeat(200);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(&text).unwrap();
        let deflate = deflate.finish().unwrap();
        for step in [1, 7, 10_000] {
            assert_eq!(inflated("gzip", &gzip, step), (text.clone(), false), "{step}");
            assert_eq!(inflated("Deflate", &deflate, step), (text.clone(), false), "{step}");
            assert_eq!(inflated("", &text, step), (text.clone(), false), "{step}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        assert!(inflated("gzip", b"not gzip at all, but long enough", 10).1);
        assert!(inflated("br", b"anything", 10).1);
    }
}
