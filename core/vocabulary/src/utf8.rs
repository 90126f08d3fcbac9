//! Characters out of bytes that may be no UTF-8, and may end inside a character.

/// What bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// A character of so many bytes.
    Character { code: u32, size: usize },
    /// So many bytes that are none: the longest that could have begun one, as Unicode recommends to replace at once.
    Broken { size: usize },
    /// The beginning of a character, as far as it is there.
    Incomplete,
}

/// Reads the first character. An empty text is incomplete.
pub(crate) fn read(text: &[u8]) -> Read {
    let Some(&first) = text.first() else { return Read::Incomplete };
    // Bits of the first byte, size, and between what the second byte is.
    let (bits, size, low, high) = match first {
        0x00..=0x7F => return Read::Character { code: u32::from(first), size: 1 },
        0xC2..=0xDF => (0x1F, 2, 0x80, 0xBF),
        0xE0 => (0x0F, 3, 0xA0, 0xBF),
        0xED => (0x0F, 3, 0x80, 0x9F),
        0xE1..=0xEF => (0x0F, 3, 0x80, 0xBF),
        0xF0 => (0x07, 4, 0x90, 0xBF),
        0xF1..=0xF3 => (0x07, 4, 0x80, 0xBF),
        0xF4 => (0x07, 4, 0x80, 0x8F),
        _ => return Read::Broken { size: 1 },
    };
    let Some(&second) = text.get(1) else { return Read::Incomplete };
    if second < low || second > high {
        return Read::Broken { size: 1 };
    }
    let mut code = u32::from(first & bits) << 6 | u32::from(second & 0x3F);
    for at in 2..size {
        match text.get(at) {
            None => return Read::Incomplete,
            Some(byte) if byte & 0xC0 == 0x80 => code = code << 6 | u32::from(byte & 0x3F),
            Some(_) => return Read::Broken { size: at },
        }
    }
    Read::Character { code, size }
}
