//! How many tokens a text has, before anyone counted: one pass over its bytes, a few integers of state.
//!
//! Word features with weights fitted against OpenAI's o200k vocabulary: over 27 kinds of text the mean error is 5.7 %,
//! the 95th percentile 15 %. Other vocabularies are reached by factors for ASCII text, for all other, and for digits;
//! the error is then 4 to 17 % in the mean.
//!
//! - Sums are in thousandths of a token, rounded up once.
//! - A text may be pushed in any pieces, also inside a character.
//! - A script that no weight was fitted for counts as its bytes: no vocabulary needs more.
//! - Most bytes are counted 64 at a time, see [`block`]; what that cannot count goes byte by byte.
//! - With the feature `vocabulary`, `Tally` counts text instead of estimating it.

mod block;
pub mod calibration;
#[cfg(feature = "vocabulary")]
mod tally;
mod text;

#[cfg(feature = "vocabulary")]
pub use tally::Tally;
pub use text::CAN_COUNT;
pub(crate) use text::Text;

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Thousandths of a token from ASCII text, and from all other.
    ascii_milli: u64,
    other_milli: u64,
    /// Digits: some vocabularies give each a token.
    digits: u64,
    run: Run,
    /// Length of the run under way.
    length: u64,
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

/// Weights in thousandths of a token; see the places that use them.
const WORD: u64 = 810;
const LONG_WORD_LETTER: u64 = 390;
const CASE_CHANGE: u64 = 1_530;
const NEWLINES: u64 = 840;
const PUNCTUATION: u64 = 810;
const SPACES: u64 = 200;
const CONTROL: u64 = 350;
/// The longest runs that vocabularies have a token for.
const LONGEST_NEWLINES: u64 = 16;
const LONGEST_PUNCTUATION: u64 = 16;
const LONGEST_SPACES: u64 = 128;

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Newline,
    Space,
    Control,
    Punctuation,
    Other,
}

/// The class of each byte.
static CLASSES: [Class; 256] = classes();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a wrong index fails the build")]
const fn classes() -> [Class; 256] {
    let mut table = [Class::Other; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'a'..=b'z' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            b'0'..=b'9' => Class::Digit,
            b'\n' | b'\r' => Class::Newline,
            b' ' | b'\t' => Class::Space,
            0x00..=0x1F | 0x7F => Class::Control,
            _ => Class::Punctuation,
        };
        byte += 1;
    }
    table
}

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Other)
}

/// Which vocabulary a model counts with, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// OpenAI from GPT-4o on, and whatever is not known.
    O200k,
    /// GPT-4 and GPT-3.5.
    Cl100k,
    /// Claude up to 4.6.
    Claude,
    /// Claude 4.7 and later.
    ClaudeNew,
    /// Mistral's Tekken.
    Mistral,
    /// Google's Gemma vocabulary, as Gemini's.
    Gemini,
    /// `DeepSeek` V3 and later.
    DeepSeek,
    /// Llama 3 and later.
    Llama,
    /// Qwen 2 and later.
    Qwen,
}

/// What a vocabulary needs where o200k needs one token.
struct Weights {
    ascii_percent: u64,
    other_percent: u64,
    /// Thousandths of a token on top for each digit.
    digit_milli: u64,
}

/// The vocabulary of a model, by its name. Unknown ones count as o200k does.
#[must_use]
pub fn family(model: &str) -> Family {
    const NAMES: [(&str, Family); 15] = [
        ("mistral", Family::Mistral),
        ("mixtral", Family::Mistral),
        ("ministral", Family::Mistral),
        ("magistral", Family::Mistral),
        ("codestral", Family::Mistral),
        ("devstral", Family::Mistral),
        ("pixtral", Family::Mistral),
        ("voxtral", Family::Mistral),
        ("gemini", Family::Gemini),
        ("gemma", Family::Gemini),
        ("deepseek", Family::DeepSeek),
        ("llama", Family::Llama),
        ("qwen", Family::Qwen),
        ("qwq", Family::Qwen),
        ("gpt-3.5", Family::Cl100k),
    ];
    if let Some(version) = after(model, "claude") {
        return claude(version);
    }
    // `gpt-4` and `gpt-4-turbo`, but not `gpt-4o` or `gpt-4.1`.
    if after(model, "gpt-4").is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
        return Family::Cl100k;
    }
    let named = NAMES.iter().find(|(name, _)| after(model, name).is_some());
    named.map_or(Family::O200k, |(_, family)| *family)
}

/// What stands after the first `name` in `model`. For names this short a plain comparison at each place is faster than
/// the standard library's search, which first prepares one.
fn after<'a>(model: &'a str, name: &str) -> Option<&'a str> {
    let name_bytes = name.as_bytes();
    let begins_and_is = |part: &[u8]| part.first() == name_bytes.first() && part == name_bytes;
    let at = model.as_bytes().windows(name.len()).position(begins_and_is)?;
    model.get(at.saturating_add(name.len())..)
}

/// By the first two small numbers of the name: `-3-5-haiku`, `-sonnet-4-5-20250929`, `-opus-4@20250514`. A name without
/// any is an alias of the newest.
fn claude(version: &str) -> Family {
    let parts = version.split(|c: char| !c.is_ascii_alphanumeric());
    let mut numbers = parts.filter(|part| part.len() <= 2).filter_map(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(0..=3), _) | (Some(4), None | Some(0..=6)) => Family::Claude,
        _ => Family::ClaudeNew,
    }
}

impl Family {
    fn weights(self) -> Weights {
        let (ascii_percent, other_percent, digit_milli) = match self {
            Self::O200k => (100, 100, 0),
            Self::Cl100k => (102, 175, 0),
            Self::Claude => (118, 160, 0),
            Self::ClaudeNew => (150, 163, 0),
            Self::Mistral => (103, 103, 540),
            Self::Gemini => (106, 87, 530),
            Self::DeepSeek => (108, 100, 0),
            Self::Llama => (103, 103, 0),
            Self::Qwen => (103, 106, 550),
        };
        Weights { ascii_percent, other_percent, digit_milli }
    }
}

impl Features {
    /// Reads a piece of text.
    pub fn push(&mut self, piece: &[u8]) {
        let (blocks, rest) = piece.as_chunks();
        for block in blocks {
            if !self.block(block) {
                self.one_by_one(block);
            }
        }
        self.one_by_one(rest);
    }

    fn one_by_one(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            let of = class(byte);
            if of == Class::Other {
                self.part_of_character(byte);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let length = rest.iter().take_while(|byte| class(**byte) == of).count();
            self.run(of, length as u64);
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// The text ends here: what is pushed next is another one.
    pub fn end(&mut self) {
        self.broken();
        self.no_run();
    }

    /// Takes in what was counted of another text.
    pub fn add(&mut self, other: &Self) {
        self.end();
        self.ascii(other.ascii_milli);
        self.other(other.other_milli);
        self.digits = self.digits.saturating_add(other.digits);
    }

    /// Whole tokens in a vocabulary, rounded up.
    #[must_use]
    pub fn tokens(&self, family: Family) -> u64 {
        let Weights { ascii_percent, other_percent, digit_milli } = family.weights();
        let ascii = self.ascii_milli.saturating_mul(ascii_percent);
        let other = self.other_milli.saturating_mul(other_percent);
        let digits = self.digits.saturating_mul(digit_milli).saturating_mul(100);
        ascii.saturating_add(other).saturating_add(digits).div_ceil(100_000)
    }

    /// `length` more characters of one class.
    fn run(&mut self, of: Class, length: u64) {
        self.broken();
        match of {
            Class::Lower => self.letters(length, true),
            Class::Upper => self.letters(length, false),
            Class::Digit => {
                let (before, after) = self.extend(Run::Digits, length);
                self.more_digits(before, after);
            }
            Class::Newline => self.run_of(Run::Newline, length, 1, LONGEST_NEWLINES, NEWLINES),
            Class::Punctuation => self.run_of(Run::Punctuation, length, 1, LONGEST_PUNCTUATION, PUNCTUATION),
            // A single space belongs to the word after it.
            Class::Space => self.run_of(Run::Space, length, 2, LONGEST_SPACES, SPACES),
            Class::Control => {
                self.no_run();
                self.ascii_times(length, CONTROL);
            }
            Class::Other => {}
        }
    }

    /// Length of the run under way before and after `by` more characters of this kind.
    fn extend(&mut self, run: Run, by: u64) -> (u64, u64) {
        let before = self.length_of(run);
        (self.run, self.length, self.last_lower) = (run, before.saturating_add(by), false);
        (before, self.length)
    }

    /// Length of the run under way if it is of this kind.
    fn length_of(&self, run: Run) -> u64 {
        if self.run == run { self.length } else { 0 }
    }

    fn no_run(&mut self) {
        (self.run, self.length, self.last_lower) = (Run::None, 0, false);
    }

    /// A run of digits went on. Each started group of three costs 1.26.
    fn more_digits(&mut self, before: u64, after: u64) {
        self.digits = self.digits.saturating_add(after.saturating_sub(before));
        self.ascii_times(after.div_ceil(3).saturating_sub(before.div_ceil(3)), 1_260);
    }

    /// A run costs `milli` when it reaches `least` characters, and a token for each `most`: as many as the vocabulary's
    /// longest such run has.
    fn run_of(&mut self, run: Run, length: u64, least: u64, most: u64, milli: u64) {
        let (before, after) = self.extend(run, length);
        if before < least && after >= least {
            self.ascii(milli);
        }
        if after >= most {
            let more = after.checked_div(most).unwrap_or(0).saturating_sub(before.checked_div(most).unwrap_or(0));
            self.ascii_times(more, 1_000);
        }
    }

    /// A word costs 0.81, each letter beyond the sixth 0.39, a change to upper case inside it 1.53.
    fn letters(&mut self, length: u64, lower: bool) {
        let changes = self.run == Run::Word && self.last_lower && !lower;
        let (before, after) = self.extend(Run::Word, length);
        if after > 6 {
            self.ascii_times(after.saturating_sub(before.max(6)), LONG_WORD_LETTER);
        }
        if before == 0 {
            self.ascii(WORD);
        }
        if changes {
            self.ascii(CASE_CHANGE);
        }
        self.last_lower = lower;
    }

    /// `count` of bytes in memory times a weight cannot overflow; a checked product is a library call in wasm.
    fn ascii_times(&mut self, count: u64, milli: u64) {
        self.ascii(count.wrapping_mul(milli));
    }

    fn ascii(&mut self, milli: u64) {
        self.ascii_milli = self.ascii_milli.saturating_add(milli);
    }

    fn other(&mut self, milli: u64) {
        self.other_milli = self.other_milli.saturating_add(milli);
    }

    /// A character that was begun will not be whole any more.
    fn broken(&mut self) {
        if std::mem::take(&mut self.missing) > 0 {
            self.other(1_000);
        }
    }

    fn part_of_character(&mut self, byte: u8) {
        if byte & 0xC0 == 0x80 && self.missing > 0 {
            self.code = (self.code << 6) | u32::from(byte & 0x3F);
            self.missing = self.missing.saturating_sub(1);
            if self.missing == 0 {
                self.character(self.code);
            }
            return;
        }
        self.broken();
        (self.code, self.missing) = match byte {
            0xC0..=0xDF => (u32::from(byte & 0x1F), 1),
            0xE0..=0xEF => (u32::from(byte & 0x0F), 2),
            0xF0..=0xF7 => (u32::from(byte & 0x07), 3),
            _ => {
                self.other(1_000);
                (0, 0)
            }
        };
    }

    /// A character outside of ASCII, by its script.
    fn character(&mut self, code: u32) {
        let milli = match code {
            0x00C0..=0x024F => {
                // A letter of a Latin word.
                self.letters(1, true);
                return self.other(130);
            }
            // Greek, Cyrillic.
            0x0370..=0x03FF | 0x1F00..=0x1FFF => 430,
            0x0400..=0x052F => 250,
            // Arabic.
            0x0600..=0x06FF | 0x0750..=0x077F => 350,
            // Armenian, Hebrew, Indic, Thai, Georgian, Khmer: measured 0.27 to 0.6.
            0x0530..=0x05FF | 0x0900..=0x0E7F | 0x10A0..=0x10FF | 0x1780..=0x17FF => 600,
            // Hangul, kana, Han.
            0x1100..=0x11FF | 0xAC00..=0xD7AF => 700,
            0x3040..=0x30FF => 680,
            0x4E00..=0x9FFF => 790,
            // Punctuation, general and of the scripts above.
            0x2000..=0x206F | 0x3000..=0x303F | 0xFF00..=0xFFEF => 1_070,
            0x00A0..=0x00BF | 0x2070..=0x2BFF => 670,
            // Emoji: two or three tokens for four bytes.
            0x1_F000..=0x1_FAFF => 2_000,
            // One token a byte.
            0x0000..=0x07FF => 2_000,
            0x0800..=0xFFFF => 3_000,
            _ => 4_000,
        };
        self.no_run();
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
    fn a_long_run_of_one_character_is_not_one_token() {
        // Counted with o200k: 100 KB of each.
        let cases = [(" ", 782), ("\n", 6_250), ("!", 6_250), ("a", 12_500)];
        for (text, counted) in cases {
            let got = tokens(&text.repeat(100_000));
            assert!(got >= counted - 2 && got <= counted * 4, "{text:?}: {got}, counted {counted}");
        }
    }

    #[test]
    fn a_script_without_a_weight_counts_as_its_bytes() {
        for text in ["ᏣᎳᎩ", "བོད", "\u{10400}", "\u{0301}"] {
            assert_eq!(tokens(text), text.len() as u64, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_count_one_each() {
        let mut features = Features::default();
        features.push(b"\xFF\x80\xC3");
        features.push(b"a");
        assert_eq!(features.tokens(Family::O200k), 4);
    }

    #[test]
    fn vocabularies_differ_in_other_scripts_and_in_digits() {
        let count = |text: &str, family| {
            let mut features = Features::default();
            features.push(text.repeat(100).as_bytes());
            features.tokens(family)
        };
        let cases = [
            ("word ", Family::Claude, 81 * 118 / 100 + 1),
            ("word ", Family::ClaudeNew, 81 * 150 / 100 + 1),
            ("字", Family::Claude, 79 * 160 / 100 + 1),
            ("123 ", Family::O200k, 126),
            ("123 ", Family::Mistral, 126 * 103 / 100 + 162 + 1),
        ];
        for (text, family, want) in cases {
            assert!(count(text, family).abs_diff(want) <= 1, "{text} {family:?}: {}", count(text, family));
        }
    }

    #[test]
    fn models_are_known_by_their_names() {
        let cases = [
            ("gpt-5-mini", Family::O200k),
            ("gpt-4o-2024-08-06", Family::O200k),
            ("gpt-4.1", Family::O200k),
            ("gpt-4", Family::Cl100k),
            ("gpt-4-turbo", Family::Cl100k),
            ("gpt-3.5-turbo-0125", Family::Cl100k),
            ("claude-sonnet-4-5-20250929", Family::Claude),
            ("claude-opus-4-20250514", Family::Claude),
            ("claude-sonnet-4@20250514", Family::Claude),
            ("claude-3-5-haiku-latest", Family::Claude),
            ("eu.anthropic.claude-sonnet-4-6-v1:0", Family::Claude),
            ("claude-opus-4-7", Family::ClaudeNew),
            ("claude-opus-4.7", Family::ClaudeNew),
            ("claude-sonnet-5-5", Family::ClaudeNew),
            ("claude-opus-latest", Family::ClaudeNew),
            ("mistral-large-latest", Family::Mistral),
            ("meta-llama/llama-3.3-70b", Family::Llama),
            ("something-else", Family::O200k),
        ];
        for (model, want) in cases {
            assert_eq!(family(model), want, "{model}");
        }
    }

    proptest! {
        #[test]
        fn chunking_never_changes_the_estimate(text in "[a-zA-Z0-9 .,\n]{0,40}\\PC*", cut in any::<usize>()) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut % (bytes.len() + 1));
            let (mut whole, mut pieces) = (Features::default(), Features::default());
            whole.push(bytes);
            pieces.push(head);
            pieces.push(tail);
            prop_assert_eq!(pieces, whole);
        }

        /// Sixty-four bytes at a time or one: the same.
        #[test]
        fn blocks_count_as_single_bytes_do(
            parts in proptest::collection::vec(
                prop_oneof![
                    "[a-z]{1,12} ", "[a-zA-Z]{0,9}", "[0-9]{1,11}", " {1,70}", "\n{1,20}", "[!-/:-@]{1,40}", "[ \t\r\n]{0,6}",
                    "[a-zA-Z .,]{64,90}", "\x07|\x7F", "é|ñ|я|字",
                ],
                0..40,
            ),
        ) {
            let text = parts.concat();
            let (mut blocks, mut bytes) = (Features::default(), Features::default());
            blocks.push(text.as_bytes());
            text.as_bytes().chunks(1).for_each(|byte| bytes.push(byte));
            prop_assert_eq!(blocks, bytes);
        }

        /// Nobody gets a text for less by cutting it up.
        #[test]
        fn more_text_is_never_fewer_tokens(head in "\\PC*", tail in "\\PC*") {
            let both = format!("{head}{tail}");
            prop_assert!(tokens(&both) >= tokens(&head));
        }
    }
}
