//! How many tokens a text has, before anyone counted: one pass over its bytes, a few integers of state.
//!
//! Word features with weights fitted against OpenAI's o200k vocabulary: on 27 kinds of text the mean error is 5.7 %,
//! the 95th percentile 15 %. Other vocabularies are reached by factors for the ASCII part and the rest.
//!
//! Sums are in thousandths of a token. A text may be pushed in any pieces, also inside a character.

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Thousandths of a token from ASCII text, and from all other.
    ascii_milli: u64,
    other_milli: u64,
    run: Run,
    /// Length of the run under way.
    length: u32,
    last_lower: bool,
    /// Bytes of a character that is not whole yet, as a code point, and how many are missing.
    code: u32,
    missing: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Run {
    #[default]
    None,
    Word,
    Digits,
    Punctuation,
    Newline,
    Space,
}

/// Which vocabulary a model counts with, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// OpenAI from GPT-4o on.
    O200k,
    /// Claude 3 to 4.6.
    Claude,
    /// Claude 4.7 and later.
    ClaudeNew,
    /// Mistral's Tekken.
    Mistral,
    /// Google's Gemma vocabulary, as Gemini's.
    Gemini,
    /// DeepSeek V3 and later.
    DeepSeek,
}

/// The vocabulary of a model, by its name. Unknown ones count as o200k does.
#[must_use]
pub fn family(model: &str) -> Family {
    let has = |part: &str| model.contains(part);
    if has("claude") {
        let older = ["claude-2", "claude-3", "-4-0", "-4-1", "-4-5", "-4-6", "-4.0", "-4.1", "-4.5", "-4.6", "-4-2025"];
        let bare = model.ends_with("opus-4") || model.ends_with("sonnet-4");
        return if bare || older.iter().any(|part| has(part)) { Family::Claude } else { Family::ClaudeNew };
    }
    let mistral = ["mistral", "ministral", "magistral", "codestral", "devstral", "pixtral", "voxtral"];
    match () {
        () if mistral.iter().any(|part| has(part)) => Family::Mistral,
        () if has("gemini") || has("gemma") => Family::Gemini,
        () if has("deepseek") => Family::DeepSeek,
        () => Family::O200k,
    }
}

impl Family {
    /// Per cent of o200k's count, for ASCII text and for all other.
    fn percent(self) -> (u64, u64) {
        match self {
            Self::O200k => (100, 100),
            Self::Claude => (118, 160),
            Self::ClaudeNew => (150, 163),
            Self::Mistral => (103, 103),
            Self::Gemini => (106, 87),
            Self::DeepSeek => (108, 100),
        }
    }
}

impl Features {
    /// Reads a piece of text.
    pub fn push(&mut self, piece: &[u8]) {
        for byte in piece {
            match byte {
                0x80..=0xFF => self.part_of_character(*byte),
                b'a'..=b'z' => self.letter(true),
                b'A'..=b'Z' => self.letter(false),
                b'0'..=b'9' => self.digit(),
                b'\n' | b'\r' => self.white(Run::Newline, 840),
                b' ' | b'\t' => self.space(),
                0x00..=0x1F | 0x7F => self.ascii(350),
                _ => self.white(Run::Punctuation, 810),
            }
        }
    }

    /// The text under way ended: what comes next is no part of its last word.
    pub fn end_run(&mut self) {
        self.run = Run::None;
        self.missing = 0;
    }

    /// Whole tokens in a vocabulary, rounded up.
    #[must_use]
    pub fn tokens(&self, family: Family) -> u64 {
        let (ascii, other) = family.percent();
        let ascii = self.ascii_milli.saturating_mul(ascii);
        ascii.saturating_add(self.other_milli.saturating_mul(other)).div_ceil(100_000)
    }

    fn ascii(&mut self, milli: u64) {
        self.ascii_milli = self.ascii_milli.saturating_add(milli);
    }

    fn begin(&mut self, run: Run) -> bool {
        let begins = self.run != run;
        self.length = if begins { 1 } else { self.length.saturating_add(1) };
        self.run = run;
        begins
    }

    /// A word costs 0.81, each letter beyond the sixth 0.39, a change to upper case inside it 1.53.
    fn letter(&mut self, lower: bool) {
        let begins = self.begin(Run::Word);
        let milli = match () {
            () if begins => 810,
            () if !lower && self.last_lower => 1_530,
            () if self.length > 6 => 390,
            () => 0,
        };
        self.last_lower = lower;
        self.ascii(milli);
    }

    /// Each started group of three digits costs 1.26.
    fn digit(&mut self) {
        self.begin(Run::Digits);
        if self.length % 3 == 1 {
            self.ascii(1_260);
        }
    }

    /// A run of punctuation or of line ends.
    fn white(&mut self, run: Run, milli: u64) {
        // Long runs are several tokens: the vocabulary's longest hold 16 to 80 characters.
        if self.begin(run) || self.length % 16 == 0 {
            self.ascii(milli);
        }
    }

    /// One space belongs to the word after it; a longer run costs 0.20.
    fn space(&mut self) {
        self.begin(Run::Space);
        if self.length == 2 || self.length % 64 == 0 {
            self.ascii(200);
        }
    }

    fn part_of_character(&mut self, byte: u8) {
        if byte & 0xC0 == 0x80 {
            if self.missing == 0 {
                return self.other(1_000);
            }
            self.code = (self.code << 6) | u32::from(byte & 0x3F);
            self.missing = self.missing.saturating_sub(1);
            if self.missing == 0 {
                self.character(self.code);
            }
            return;
        }
        (self.code, self.missing) = match byte {
            0xC0..=0xDF => (u32::from(byte & 0x1F), 1),
            0xE0..=0xEF => (u32::from(byte & 0x0F), 2),
            0xF0..=0xF7 => (u32::from(byte & 0x07), 3),
            _ => (0, 0),
        };
        if self.missing == 0 {
            self.other(1_000);
        }
    }

    fn other(&mut self, milli: u64) {
        self.other_milli = self.other_milli.saturating_add(milli);
    }

    /// A character outside of ASCII, by its script. One that no weight was fitted for counts as its bytes: no
    /// vocabulary needs more.
    fn character(&mut self, code: u32) {
        let milli = match code {
            0x00C0..=0x024F => {
                // A letter of a Latin word.
                self.letter(true);
                return self.other(130);
            }
            0x0370..=0x03FF | 0x1F00..=0x1FFF => 430,
            0x0400..=0x052F => 250,
            0x0590..=0x05FF => 600,
            0x0600..=0x06FF | 0x0750..=0x077F => 350,
            0x0900..=0x0DFF | 0x0E00..=0x0E7F | 0x10A0..=0x10FF | 0x0530..=0x058F | 0x1780..=0x17FF => 600,
            0x1100..=0x11FF | 0xAC00..=0xD7AF => 700,
            0x3040..=0x30FF => 680,
            0x4E00..=0x9FFF => 790,
            0x2000..=0x206F | 0x3000..=0x303F | 0xFF00..=0xFFEF => 1_070,
            0x00A0..=0x00BF | 0x2070..=0x2BFF => 670,
            0x1_F000..=0x1_FAFF => 2_000,
            0x0000..=0x07FF => 2_000,
            0x0800..=0xFFFF => 3_000,
            _ => 4_000,
        };
        self.run = Run::None;
        self.other(milli);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str) -> u64 {
        let mut features = Features::default();
        features.push(text.as_bytes());
        features.tokens(Family::O200k)
    }

    #[test]
    fn texts_of_known_length_come_close() {
        // Counted with o200k.
        let cases = [
            ("The quick brown fox jumps over the lazy dog.", 10, 2),
            ("def add(a, b):\n    return a + b\n", 13, 4),
            ("1234567890", 4, 2),
            ("Съешь ещё этих мягких французских булок", 12, 5),
            ("", 0, 0),
        ];
        for (text, want, slack) in cases {
            let got = tokens(text);
            assert!(got.abs_diff(want) <= slack, "{text}: {got}, counted {want}");
        }
    }

    #[test]
    fn a_megabyte_of_one_character_is_not_one_token() {
        for text in [" ", "!", "\n", "a", "é", "😀"] {
            let many = text.repeat(100_000);
            assert!(tokens(&many) > 300, "{text:?}: {}", tokens(&many));
        }
    }

    #[test]
    fn models_are_known_by_their_names() {
        let cases = [
            ("gpt-5-mini", Family::O200k),
            ("claude-sonnet-4-5-20250929", Family::Claude),
            ("claude-opus-4-20250514", Family::Claude),
            ("claude-3-5-haiku-latest", Family::Claude),
            ("claude-opus-4-7", Family::ClaudeNew),
            ("claude-sonnet-5-5", Family::ClaudeNew),
            ("mistral-large-latest", Family::Mistral),
            ("something-else", Family::O200k),
        ];
        for (model, want) in cases {
            assert_eq!(family(model), want, "{model}");
        }
    }

    proptest! {
        #[test]
        fn chunking_never_changes_the_estimate(text in "\\PC*", cut in any::<usize>()) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut % (bytes.len() + 1));
            let (mut whole, mut pieces) = (Features::default(), Features::default());
            whole.push(bytes);
            pieces.push(head);
            pieces.push(tail);
            prop_assert_eq!(pieces, whole);
        }
    }
}
