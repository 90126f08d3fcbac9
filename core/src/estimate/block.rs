//! Sixty-four bytes of ASCII at a time: which bytes are of a class is a bit mask, and what runs of them cost is counted in
//! the mask: less than half of the instructions that one byte after the other takes, and no branch that hangs on the text.

use super::{
    CASE_CHANGE, CONTROL, Features, LONG_WORD_LETTER, LONGEST_NEWLINES, LONGEST_PUNCTUATION, LONGEST_SPACES, NEWLINES,
    PUNCTUATION, Run, SPACES, WORD,
};
use wide::u8x16;

/// The bytes of each class, the first of them in the lowest bit.
#[derive(Default)]
struct Masks {
    lower: u64,
    upper: u64,
    digits: u64,
    newlines: u64,
    spaces: u64,
    control: u64,
    punctuation: u64,
}

impl Masks {
    /// `None` where a byte is not ASCII.
    fn of(block: &[u8; 64]) -> Option<Self> {
        let mut masks = Self::default();
        let (lanes, _) = block.as_chunks::<16>();
        for (lane, at) in lanes.iter().zip([0u32, 16, 32, 48]) {
            let bytes = u8x16::from(*lane);
            if bytes.to_bitmask() != 0 {
                return None;
            }
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            let between = |first: u8, last: u8| {
                #[expect(clippy::arithmetic_side_effects, reason = "lanes wrap")]
                let offset = bytes - u8x16::splat(first);
                offset.min(u8x16::splat(last.wrapping_sub(first))).simd_eq(offset)
            };
            let put = |mask: &mut u64, of: u8x16| *mask |= u64::from(of.to_bitmask()) << at;
            put(&mut masks.lower, between(b'a', b'z'));
            put(&mut masks.upper, between(b'A', b'Z'));
            put(&mut masks.digits, between(b'0', b'9'));
            put(&mut masks.newlines, is(b'\n') | is(b'\r'));
            put(&mut masks.spaces, is(b' ') | is(b'\t'));
            put(&mut masks.control, between(0, 0x1F) | is(0x7F));
        }
        masks.control &= !(masks.newlines | masks.spaces);
        let named = masks.lower | masks.upper | masks.digits | masks.newlines | masks.spaces | masks.control;
        masks.punctuation = !named;
        Some(masks)
    }
}

/// Bytes whose predecessor is in the mask. `before`: whether the byte before the block is.
fn after(mask: u64, before: bool) -> u64 {
    (mask << 1) | u64::from(before)
}

fn count(mask: u64) -> u64 {
    u64::from(mask.count_ones())
}

/// Whether sixteen bits in a row are set.
fn has_sixteen(mask: u64) -> bool {
    let two = mask & (mask << 1);
    let four = two & (two << 2);
    let eight = four & (four << 4);
    eight & (eight << 8) != 0
}

impl Features {
    /// Counts a block. `false`, and nothing is counted, where it is not all ASCII or a run is so long that more than its
    /// start costs.
    pub(super) fn block(&mut self, block: &[u8; 64]) -> bool {
        if self.missing > 0 {
            return false;
        }
        let Some(masks) = Masks::of(block) else { return false };
        if has_sixteen(masks.newlines)
            || has_sixteen(masks.punctuation)
            || self.grows_long(Run::Newline, masks.newlines, LONGEST_NEWLINES)
            || self.grows_long(Run::Punctuation, masks.punctuation, LONGEST_PUNCTUATION)
            || self.grows_long(Run::Space, masks.spaces, LONGEST_SPACES)
        {
            return false;
        }
        self.words(masks.lower, masks.upper);
        self.digit_runs(masks.digits);
        self.starts(Run::Newline, masks.newlines, NEWLINES);
        self.starts(Run::Punctuation, masks.punctuation, PUNCTUATION);
        // The second space of a run costs.
        let spaces = self.length_of(Run::Space);
        let seconds = masks.spaces & after(masks.spaces, spaces > 0);
        self.ascii_times(count(seconds & !after(seconds, spaces > 1)), SPACES);
        self.ascii_times(count(masks.control), CONTROL);
        self.last_run(&masks);
        true
    }

    /// Whether the run under way goes on in this block to more than the longest that is one token.
    fn grows_long(&self, run: Run, mask: u64, longest: u64) -> bool {
        let before = self.length_of(run);
        mask & 1 == 1 && before > 0 && before.saturating_add(u64::from(mask.trailing_ones())) >= longest
    }

    /// Runs cost where they start.
    fn starts(&mut self, run: Run, mask: u64, milli: u64) {
        self.ascii_times(count(mask & !after(mask, self.run == run)), milli);
    }

    fn words(&mut self, lower: u64, upper: u64) {
        let letters = lower | upper;
        self.starts(Run::Word, letters, WORD);
        // Letters with six before them; of the letters before the block no more than six matter.
        let before = u32::try_from(self.length_of(Run::Word).min(6)).unwrap_or(6);
        let before = u64::MAX.checked_shl(64u32.saturating_sub(before)).unwrap_or(0);
        let mut beyond = letters;
        for by in 1..=6u32 {
            beyond &= (letters << by) | before.wrapping_shr(64u32.wrapping_sub(by));
        }
        self.ascii_times(count(beyond), LONG_WORD_LETTER);
        self.ascii_times(count(upper & after(lower, self.run == Run::Word && self.last_lower)), CASE_CHANGE);
    }

    fn digit_runs(&mut self, digits: u64) {
        let mut left = digits;
        let mut before = self.length_of(Run::Digits);
        if digits & 1 == 0 {
            before = 0;
        }
        while left != 0 {
            let length = left.checked_shr(left.trailing_zeros()).unwrap_or(0).trailing_ones();
            self.more_digits(before, before.saturating_add(u64::from(length)));
            before = 0;
            let end = left.trailing_zeros().saturating_add(length);
            left &= u64::MAX.checked_shl(end).unwrap_or(0);
        }
    }

    /// The run that the block ends in.
    fn last_run(&mut self, masks: &Masks) {
        let runs = [
            (Run::Word, masks.lower | masks.upper),
            (Run::Digits, masks.digits),
            (Run::Newline, masks.newlines),
            (Run::Space, masks.spaces),
            (Run::Punctuation, masks.punctuation),
        ];
        let Some((run, mask)) = runs.into_iter().find(|(_, mask)| mask.leading_ones() > 0) else {
            return self.no_run();
        };
        let before = if mask == u64::MAX { self.length_of(run) } else { 0 };
        self.length = before.saturating_add(u64::from(mask.leading_ones()));
        (self.run, self.last_lower) = (run, masks.lower.leading_ones() > 0);
    }
}
