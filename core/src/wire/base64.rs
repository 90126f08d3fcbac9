//! Base64, however the text is cut: the standard alphabet and the URL-safe one, mixed if need be.
//!
//! Padding may be missing, whitespace may stand anywhere. Bytes come out as soon as their digits are there.
//! <https://www.rfc-editor.org/rfc/rfc4648#section-4> (read 2026-11-24)

/// Decoded bytes that are handed on at a time.
const SCRATCH: usize = 256;
const PAD: u8 = 64;
const SPACE: u8 = 65;
const NONE: u8 = 66;

/// For each byte its digit's value, or what else it is.
#[cfg_attr(not(test), expect(clippy::indexing_slicing, reason = "evaluated when this is compiled"))]
const DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [NONE; 256];
    let mut at = 0;
    while at < 64 {
        digits[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    digits[b'-' as usize] = 62;
    digits[b'_' as usize] = 63;
    digits[b'=' as usize] = PAD;
    digits[b' ' as usize] = SPACE;
    digits[b'\t' as usize] = SPACE;
    digits[b'\r' as usize] = SPACE;
    digits[b'\n' as usize] = SPACE;
    digits
};

/// The text is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Error {
    /// A byte that cannot stand there.
    #[error("no base64 at byte {0}")]
    Unexpected(usize),
    /// It ends with a digit that is no byte, or within its padding.
    #[error("base64 ends too early")]
    Cut,
}

/// The decoder of one text.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Digits of the group of four under way, of which the last bits are not put out yet.
    digits: u8,
    bits: u8,
    /// Padding of the group under way.
    pads: u8,
    /// Bytes read before this piece.
    read: usize,
    error: Option<Base64Error>,
}

impl Decoder {
    /// Decodes a piece, and hands on what comes of it bit by bit.
    ///
    /// # Errors
    /// [`Base64Error::Unexpected`], also for every later piece.
    pub fn push(&mut self, piece: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(), Base64Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut scratch = [0u8; SCRATCH];
        for chunk in piece.chunks(SCRATCH) {
            let mut room = scratch.iter_mut();
            for (at, byte) in chunk.iter().enumerate() {
                match self.byte(*byte) {
                    Ok(Some(decoded)) => {
                        if let Some(place) = room.next() {
                            *place = decoded;
                        }
                    }
                    Ok(None) => {}
                    Err(()) => {
                        let error = Base64Error::Unexpected(self.read.saturating_add(at));
                        self.error = Some(error);
                        break;
                    }
                }
            }
            let written = SCRATCH.saturating_sub(room.len());
            if written > 0 {
                sink(scratch.get(..written).unwrap_or_default());
            }
            if let Some(error) = self.error {
                return Err(error);
            }
            self.read = self.read.saturating_add(chunk.len());
        }
        Ok(())
    }

    /// The text is over.
    ///
    /// # Errors
    /// [`Base64Error::Cut`], or the error that came before.
    pub fn finish(&self) -> Result<(), Base64Error> {
        match self.error {
            Some(error) => Err(error),
            None if self.digits == 1 || (self.pads > 0 && self.digits.saturating_add(self.pads) < 4) => {
                Err(Base64Error::Cut)
            }
            None => Ok(()),
        }
    }

    fn byte(&mut self, byte: u8) -> Result<Option<u8>, ()> {
        let digit = DIGITS.get(usize::from(byte)).copied().unwrap_or(NONE);
        match digit {
            0..PAD if self.pads == 0 => {
                let (high, low) = match self.digits {
                    0 => (None, digit << 2),
                    1 => (Some(digit >> 4), digit << 4),
                    2 => (Some(digit >> 2), digit << 6),
                    _ => (Some(digit), 0),
                };
                let decoded = high.map(|high| self.bits | high);
                self.bits = low;
                self.digits = self.digits.saturating_add(1) & 3;
                Ok(decoded)
            }
            PAD if self.digits >= 2 && self.digits.saturating_add(self.pads) < 4 => {
                self.pads = self.pads.saturating_add(1);
                Ok(None)
            }
            SPACE => Ok(None),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<u8>, Base64Error> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece, |bytes| out.extend_from_slice(bytes))?;
        }
        decoder.finish().map(|()| out)
    }

    fn encode(bytes: &[u8], alphabet: &[u8; 64], padded: bool) -> String {
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            (0..=group.len()).for_each(|at| text.push(char::from(alphabet[(bits >> (18 - 6 * at) & 63) as usize])));
            text.push_str(if padded { &"=="[..3 - group.len()] } else { "" });
        }
        text
    }

    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    #[test]
    fn either_alphabet_is_read_padded_or_not() {
        let cases: [(&str, Result<&[u8], Base64Error>); 19] = [
            ("", Ok(b"")),
            ("Zg==", Ok(b"f")),
            ("Zm8=", Ok(b"fo")),
            ("Zm9v", Ok(b"foo")),
            ("Zm9vYmFy", Ok(b"foobar")),
            ("Zg", Ok(b"f")),
            ("Zm8", Ok(b"fo")),
            ("+/+/", Ok(b"\xFB\xFF\xBF")),
            ("-_-_", Ok(b"\xFB\xFF\xBF")),
            (" Zm\r\n9v\tYg = = \n", Ok(b"foob")),
            ("Z", Err(Base64Error::Cut)),
            ("Zm9vY", Err(Base64Error::Cut)),
            ("Zg=", Err(Base64Error::Cut)),
            ("=", Err(Base64Error::Unexpected(0))),
            ("Z=", Err(Base64Error::Unexpected(1))),
            ("Zm8==", Err(Base64Error::Unexpected(4))),
            ("Zm9v=", Err(Base64Error::Unexpected(4))),
            ("Zg==Zg", Err(Base64Error::Unexpected(4))),
            ("Zm*v", Err(Base64Error::Unexpected(2))),
        ];
        for (text, want) in cases {
            assert_eq!(decode(&[text.as_bytes()]), want.map(<[u8]>::to_vec), "{text:?}");
        }
    }

    #[test]
    fn an_error_lasts() {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        let error = Err(Base64Error::Unexpected(303));
        let text = ["Zm9v".repeat(75), "Zm8\u{7F}Zm8=".into()].concat();
        assert_eq!(decoder.push(text.as_bytes(), |bytes| out.extend_from_slice(bytes)), error);
        assert_eq!(out, ["foo".repeat(75), "fo".into()].concat().as_bytes(), "what stands before it came out");
        assert_eq!(decoder.push(b"Zm9v", |_| panic!("nothing comes out after it")), error);
        assert_eq!(decoder.finish(), error);
    }

    proptest! {
        /// Whatever is encoded comes back, however the text is cut and spaced.
        #[test]
        fn bytes_come_back_whatever_the_cuts(
            bytes in proptest::collection::vec(any::<u8>(), 0..900),
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
            url_safe in any::<bool>(),
            padded in any::<bool>(),
        ) {
            let text = encode(&bytes, if url_safe { URL_SAFE } else { STANDARD }, padded);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces), Ok(bytes.clone()));
            let spaced: Vec<&[u8]> = pieces.into_iter().flat_map(|piece| [piece, b"\r\n"]).collect();
            prop_assert_eq!(decode(&spaced), Ok(bytes));
        }

        #[test]
        fn any_text_ends_alike_whatever_the_cuts(
            text in proptest::collection::vec(any::<u8>(), 0..60),
            tame in proptest::collection::vec("[A-Za-z0-9=_+ /-]", 0..20),
            cut in any::<usize>(),
        ) {
            for text in [text, tame.concat().into_bytes()] {
                let (head, tail) = text.split_at(cut % (text.len() + 1));
                prop_assert_eq!(decode(&[head, tail]), decode(&[&text]));
            }
        }
    }
}
