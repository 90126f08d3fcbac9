//! The tables that the build script makes, as questions. A table is static data: nothing is done when a program starts.

use std::ops::Range;

/// What the pattern of the vocabulary calls a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Punctuation, symbols, controls, and what Unicode has not assigned.
    Other,
    /// White space but a newline or U+0020.
    Space,
    /// `\r` or `\n`.
    Newline,
    Number,
    /// Also title case.
    Upper,
    Lower,
    /// A letter without case, as of Han, or one that modifies others.
    Caseless,
    /// A combining mark.
    Mark,
    Slash,
    Apostrophe,
    /// U+0020.
    Blank,
}

include!(concat!(env!("OUT_DIR"), "/constants.rs"));

static TRIE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trie.bin"));
static PAIRS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pairs.bin"));
static SPLITS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/splits.bin"));
static CLASSES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classes.bin"));

/// Bits of a token number, and a mask of them.
const ID_BITS: u32 = 18;
const ID: u64 = (1 << ID_BITS) - 1;
/// Tokens below are single bytes.
const BYTES: u32 = 256;

pub(crate) fn ascii(byte: u8) -> Class {
    ASCII.get(usize::from(byte)).copied().unwrap_or(Class::Other)
}

pub(crate) fn class(code: u32) -> Class {
    const BY_NUMBER: [Class; 11] = [
        Class::Other,
        Class::Space,
        Class::Newline,
        Class::Number,
        Class::Upper,
        Class::Lower,
        Class::Caseless,
        Class::Mark,
        Class::Slash,
        Class::Apostrophe,
        Class::Blank,
    ];
    // A byte for each 256 characters, then blocks of them, two characters a byte.
    const BLOCKS: usize = 0x1100;
    let code = code as usize;
    let block = CLASSES.get(code >> 8).copied().unwrap_or(0);
    let at = usize::from(block) << 7 | (code & 0xFF) >> 1;
    let two = CLASSES.get(at.wrapping_add(BLOCKS)).copied().unwrap_or(0);
    let number = if code & 1 == 0 { two & 15 } else { two >> 4 };
    BY_NUMBER.get(usize::from(number)).copied().unwrap_or(Class::Other)
}

fn five(table: &'static [u8], index: usize) -> u64 {
    let (entries, _) = table.as_chunks::<5>();
    let [a, b, c, d, e] = entries.get(index).copied().unwrap_or_default();
    u64::from(u32::from_le_bytes([a, b, c, d])) | u64::from(e) << 32
}

/// The two tokens that one was made of; of a byte, itself twice.
fn split(token: u32) -> (u32, u32) {
    let parts = five(SPLITS, token as usize);
    ((parts >> ID_BITS) as u32, (parts & ID) as u32)
}

/// A bijection of 36 bits, as in the build script.
fn mix(key: u64) -> u64 {
    const MASK: u64 = (1 << (2 * ID_BITS)) - 1;
    let mut mixed = (key ^ SEED).wrapping_mul(0x9_E377_9B97) & MASK;
    mixed ^= mixed >> ID_BITS;
    mixed = mixed.wrapping_mul(0x5_851F_42D5) & MASK;
    mixed ^ (mixed >> ID_BITS)
}

/// The token that these two make.
fn pair(left: u32, right: u32) -> Option<u32> {
    const DISTANCE_BITS: u32 = 4;
    let mixed = mix(u64::from(left) << ID_BITS | u64::from(right));
    let (home, rest) = ((mixed >> ID_BITS) as usize, mixed & ID);
    for distance in 0..1u64 << DISTANCE_BITS {
        let entry = five(PAIRS, home.wrapping_add(distance as usize));
        let entry_distance = entry & ((1 << DISTANCE_BITS) - 1);
        // Entries are in the order of their homes: one that is nearer to its own comes later.
        if entry == 0 || entry_distance < distance {
            return None;
        }
        if entry_distance == distance && entry >> (DISTANCE_BITS + ID_BITS) == rest {
            return Some((entry >> DISTANCE_BITS & ID) as u32);
        }
    }
    None
}

/// Whether byte pair encoding ends with these two tokens side by side, given that it makes each of its own bytes.
///
/// Undoes their merges, the last one first, until only the bytes at the boundary are left. If two parts that meet there
/// could have been merged before the merge just undone, they would have been.
///
/// The idea, and the proof that a sequence of tokens is the encoding of its text if all neighbours pass, are of the `bpe`
/// crate, <https://github.com/github/rust-gems>, MIT License.
pub(crate) fn stay_apart(mut left: u32, mut right: u32) -> bool {
    let mut limit = u32::MAX;
    loop {
        if pair(left, right).is_some_and(|made| made < limit) {
            return false;
        }
        if left.max(right) < BYTES {
            return true;
        }
        // Of equal merges the left one is made first.
        if left > right {
            limit = left;
            left = split(left).1;
        } else {
            limit = right.saturating_add(1);
            right = split(right).0;
        }
    }
}

/// A way from the root of the trie of tokens, see the build script.
#[derive(Clone, Copy)]
struct Step(u32);

impl Step {
    const LEAF: u32 = 1 << 22;
    const TOKEN: u32 = 1 << 21;
    const PAYLOAD: u32 = (1 << 21) - 1;
    const LABEL_SHIFT: u32 = 23;
    /// The child that holds the token of a node with children.
    const OWN: u32 = 256;

    fn slot(at: u32) -> u32 {
        let (slots, _) = TRIE.as_chunks::<4>();
        slots.get(at as usize).map_or(u32::MAX, |slot| u32::from_le_bytes(*slot))
    }

    /// The child of the node with this base.
    fn down(base: u32, byte: u8) -> Option<Self> {
        let slot = Self::slot(base ^ u32::from(byte));
        (slot >> Self::LABEL_SHIFT == u32::from(byte)).then_some(Self(slot))
    }

    fn is_token(self) -> bool {
        self.0 & Self::TOKEN != 0
    }

    fn is_leaf(self) -> bool {
        self.0 & Self::LEAF != 0
    }

    fn payload(self) -> u32 {
        self.0 & Self::PAYLOAD
    }

    fn token(self) -> u32 {
        if self.is_leaf() { self.payload() } else { Self::slot(self.payload() ^ Self::OWN) & Self::PAYLOAD }
    }
}

/// Whether all of the text is one token, and if it is: whether it is ASCII.
pub(crate) fn is_token(text: &[u8]) -> Option<bool> {
    let (last, most) = text.split_last()?;
    let (mut base, mut bits) = (ROOT, *last);
    for byte in most {
        let step = Step::down(base, *byte).filter(|step| !step.is_leaf())?;
        bits |= byte;
        base = step.payload();
    }
    Step::down(base, *last).filter(|step| step.is_token()).map(|_| bits.is_ascii())
}

/// The longest token that `text` begins with, of those with a length in `lengths`, and its length.
pub(crate) fn longest(text: &[u8], lengths: Range<usize>) -> Option<(u32, usize)> {
    let mut found = None;
    let mut base = ROOT;
    for (byte, length) in text.iter().zip(lengths) {
        let Some(step) = Step::down(base, *byte) else { break };
        if step.is_token() {
            found = Some((step, length));
        }
        if step.is_leaf() {
            break;
        }
        base = step.payload();
    }
    found.map(|(step, length)| (step.token(), length))
}
