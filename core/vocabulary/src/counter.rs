//! Cuts a text as the pattern of the vocabulary does, one character after the other.
//!
//! The pattern, in the order of its alternatives, is tiktoken's:
//!
//! ```text
//! [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! \p{N}{1,3}
//!  ?[^\s\p{L}\p{N}]+[\r\n/]*
//! \s*[\r\n]+
//! \s+(?!\S)
//! \s+
//! ```
//!
//! Source: <https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py>, read on 2026-11-24, the same as
//! `O200K_BASE_PAT_STR` of tiktoken-rs 0.12.1.

use crate::Counts;
use crate::merge::{Merge, WINDOW};
use crate::tables::{Class, ascii, class, is_token};
use crate::utf8::{Read, read};

/// Counts a text that comes in pieces.
///
/// The count is exact, with one limit that keeps memory bounded. Where the pattern has to look ahead to know if what it
/// saw belongs together, and 4 KB later still does not know, it is taken as apart: spaces after a newline, which one more
/// newline would bring together, and capitals after a letter without case, which a small letter would. Such a text may
/// count a token or two more for each 4 KB.
#[derive(Debug, Clone, Default)]
pub struct Counter {
    state: State,
    /// Bytes of the part under way, but those that `merge` has.
    length: usize,
    /// Where the part ends if what comes does not go on with it; 0 for nowhere.
    mark: usize,
    /// Where the last character of white space begins, and if it is U+0020.
    last: usize,
    last_is_blank: bool,
    /// The part's bytes from earlier pieces.
    tail: Vec<u8>,
    /// The beginning of a character.
    broken: Vec<u8>,
    merge: Merge,
    counts: Counts,
}

/// What the part under way is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Nothing,
    /// One character that may be the start of a word or of punctuation.
    Lead,
    Punctuation,
    /// Newlines and slashes after punctuation.
    AfterPunctuation,
    /// Letters of a word before its first small one. The mark is after the last that has no case.
    Capitals,
    /// Letters of a word from its first small one.
    Word,
    /// An apostrophe after a word, which ends at the mark.
    Apostrophe,
    /// And the first of two letters.
    Contraction {
        second: u8,
        is_capital: bool,
    },
    Digits(u8),
    /// White space. The mark is after the last newline.
    Space,
}

/// A character: its class, code point and bytes.
#[derive(Clone, Copy)]
struct Character {
    class: Class,
    code: u32,
    size: usize,
}

/// A piece, and where what is not in the tail begins.
struct Source<'a> {
    piece: &'a [u8],
    from: usize,
}

impl Source<'_> {
    /// The next so many bytes, which are no more here.
    fn take(&mut self, count: usize) -> &[u8] {
        let to = self.from.saturating_add(count);
        let taken = self.piece.get(self.from..to).unwrap_or_default();
        self.from = to;
        taken
    }
}

impl Counter {
    /// Reads a piece of the text.
    pub fn push(&mut self, piece: &[u8]) {
        let mut source = Source { piece, from: 0 };
        let mut at = self.complete(&mut source);
        while let Some(&byte) = piece.get(at) {
            let rest = piece.get(at..).unwrap_or_default();
            match read(rest) {
                Read::Character { code, size } => {
                    at = at.saturating_add(size);
                    let class = if size == 1 { ascii(byte) } else { class(code) };
                    self.step(Character { class, code, size }, &mut source);
                }
                Read::Broken { size } => {
                    self.keep(&mut source, at);
                    at = at.saturating_add(size);
                    source.from = at;
                    self.replacement(&mut source);
                }
                Read::Incomplete => {
                    self.broken.extend_from_slice(rest);
                    break;
                }
            }
            if self.state == State::Word {
                at = self.words(&mut source, at);
            }
        }
        self.keep(&mut source, at);
    }

    /// The text ends here: what is pushed next is another one.
    pub fn end(&mut self) {
        let mut source = Source { piece: &[], from: 0 };
        if !std::mem::take(&mut self.broken).is_empty() {
            self.replacement(&mut source);
        }
        // What looked ahead finds nothing.
        if self.looks_ahead() {
            self.part(self.mark, &mut source);
        }
        self.part(self.length, &mut source);
        (self.state, self.mark, self.last) = (State::Nothing, 0, 0);
    }

    /// Tokens of the texts that have ended, and of the one under way as far as it is certain.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The same as one number.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.counts.tokens()
    }

    /// Goes on with a word, and with the next ones if they are of small letters too: most of most texts. Says where
    /// something else comes.
    fn words(&mut self, source: &mut Source<'_>, at: usize) -> usize {
        let mut at = at;
        loop {
            let rest = source.piece.get(at..).unwrap_or_default();
            let more = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            self.length = self.length.saturating_add(more);
            at = at.saturating_add(more);
            match rest.get(more..) {
                Some([b' ', b'a'..=b'z', ..]) => {
                    self.part(self.length, source);
                    self.length = 2;
                    at = at.saturating_add(2);
                }
                _ => return at,
            }
        }
    }

    /// Ends the character that the last piece began; where the piece goes on after it.
    fn complete(&mut self, source: &mut Source<'_>) -> usize {
        let mut at = 0;
        while !self.broken.is_empty() {
            let Some(&byte) = source.piece.get(at) else { break };
            self.broken.push(byte);
            match read(&self.broken) {
                Read::Incomplete => at = at.saturating_add(1),
                Read::Character { code, size } => {
                    at = at.saturating_add(1);
                    source.from = at;
                    self.tail.append(&mut self.broken);
                    self.step(Character { class: class(code), code, size }, source);
                }
                // The byte itself may begin another character.
                Read::Broken { .. } => {
                    self.broken.clear();
                    source.from = at;
                    self.replacement(source);
                }
            }
        }
        source.from = at;
        at
    }

    /// U+FFFD in place of bytes that are no character.
    fn replacement(&mut self, source: &mut Source<'_>) {
        let mut bytes = [0; 3];
        self.tail.extend_from_slice(char::REPLACEMENT_CHARACTER.encode_utf8(&mut bytes).as_bytes());
        let code = u32::from(char::REPLACEMENT_CHARACTER);
        self.step(Character { class: Class::Other, code, size: bytes.len() }, source);
    }

    /// Whether the part may end at the mark.
    fn looks_ahead(&self) -> bool {
        let may = matches!(self.state, State::Capitals | State::Apostrophe | State::Contraction { .. } | State::Space);
        may && self.mark > 0
    }

    /// One more character.
    fn step(&mut self, character: Character, source: &mut Source<'_>) {
        if character.class == Class::Number && character.size == 1 {
            self.counts.digits = self.counts.digits.saturating_add(1);
        }
        self.go_on(character, source);
    }

    fn go_on(&mut self, character: Character, source: &mut Source<'_>) {
        let Character { class, size, .. } = character;
        let after = self.length.saturating_add(size);
        let next = match self.state {
            State::Nothing => None,
            State::Lead => match class {
                Class::Upper | Class::Lower | Class::Caseless | Class::Mark => Some(self.word(class, after)),
                Class::Other | Class::Slash | Class::Apostrophe => Some(State::Punctuation),
                Class::Newline => Some(State::AfterPunctuation),
                Class::Number | Class::Space | Class::Blank => None,
            },
            State::Punctuation => match class {
                Class::Other | Class::Slash | Class::Apostrophe | Class::Mark => Some(State::Punctuation),
                Class::Newline => Some(State::AfterPunctuation),
                _ => None,
            },
            State::AfterPunctuation => {
                matches!(class, Class::Newline | Class::Slash).then_some(State::AfterPunctuation)
            }
            State::Capitals => self.after_capitals(class, after, source),
            State::Word => match class {
                Class::Lower | Class::Caseless | Class::Mark => Some(State::Word),
                Class::Apostrophe => Some(self.apostrophe()),
                _ => None,
            },
            State::Apostrophe | State::Contraction { .. } => return self.after_apostrophe(character, source),
            State::Digits(count) => {
                (class == Class::Number && count < 3).then_some(State::Digits(count.saturating_add(1)))
            }
            State::Space => self.after_space(class, size, source),
        };
        if let Some(next) = next {
            self.state = next;
            self.length = self.length.saturating_add(size);
            return;
        }
        self.part(self.length, source);
        self.begin(class, size);
    }

    /// The first character of a part.
    fn begin(&mut self, class: Class, size: usize) {
        (self.length, self.mark, self.last) = (size, 0, 0);
        self.state = match class {
            Class::Other | Class::Slash | Class::Apostrophe => State::Lead,
            Class::Upper | Class::Lower | Class::Caseless | Class::Mark => self.word(class, size),
            Class::Number => State::Digits(1),
            Class::Newline => {
                self.mark = size;
                State::Space
            }
            Class::Space | Class::Blank => {
                self.last_is_blank = class == Class::Blank;
                State::Space
            }
        };
    }

    /// The first letter of a word, which ends at `after`.
    fn word(&mut self, class: Class, after: usize) -> State {
        match class {
            Class::Lower => State::Word,
            Class::Upper => {
                self.mark = 0;
                State::Capitals
            }
            _ => {
                self.mark = after;
                State::Capitals
            }
        }
    }

    fn apostrophe(&mut self) -> State {
        self.mark = self.length;
        State::Apostrophe
    }

    /// What follows on letters none of which is small. `None`: a part ends where they do.
    fn after_capitals(&mut self, class: Class, after: usize, source: &mut Source<'_>) -> Option<State> {
        match class {
            Class::Lower => return Some(State::Word),
            Class::Caseless | Class::Mark => {
                self.mark = after;
                return Some(State::Capitals);
            }
            Class::Upper => {
                if self.mark > 0 && self.length.saturating_sub(self.mark) >= WINDOW {
                    self.part(self.mark, source);
                }
                return Some(State::Capitals);
            }
            _ => {}
        }
        // Without a small letter the last letter without case is the end of the word.
        if self.mark > 0 && self.mark < self.length {
            self.part(self.mark, source);
        }
        (class == Class::Apostrophe).then(|| self.apostrophe())
    }

    /// What follows on an apostrophe after a word: the rest of a contraction, or the word ended before it.
    #[cold]
    fn after_apostrophe(&mut self, character: Character, source: &mut Source<'_>) {
        let letter = u8::try_from(character.code).unwrap_or_default();
        // The long s is a small form of S.
        let small = if character.code == u32::from('ſ') { b's' } else { letter.to_ascii_lowercase() };
        let is_whole = match self.state {
            State::Contraction { second, .. } => small == second,
            _ => matches!(small, b's' | b't' | b'm' | b'd'),
        };
        let second = match small {
            b'r' | b'v' => Some(b'e'),
            b'l' => Some(b'l'),
            _ => None,
        };
        match (self.state, second) {
            _ if is_whole => {
                self.length = self.length.saturating_add(character.size);
                self.part(self.length, source);
                (self.state, self.mark) = (State::Nothing, 0);
            }
            (State::Apostrophe, Some(second)) => {
                self.length = self.length.saturating_add(character.size);
                self.state = State::Contraction { second, is_capital: letter.is_ascii_uppercase() };
            }
            (state, _) => {
                self.part(self.mark, source);
                self.state = match state {
                    State::Contraction { is_capital: false, .. } => State::Word,
                    State::Contraction { is_capital: true, .. } => State::Capitals,
                    _ => State::Lead,
                };
                self.go_on(character, source);
            }
        }
    }

    /// What follows on white space. `None`: a part ends where it does.
    fn after_space(&mut self, class: Class, size: usize, source: &mut Source<'_>) -> Option<State> {
        match class {
            Class::Newline => {
                self.mark = self.length.saturating_add(size);
                return Some(State::Space);
            }
            Class::Space | Class::Blank => {
                self.last = self.length;
                self.last_is_blank = class == Class::Blank;
                if self.mark > 0 && self.length.saturating_sub(self.mark) >= WINDOW {
                    self.part(self.mark, source);
                }
                return Some(State::Space);
            }
            _ => {}
        }
        if self.mark > 0 {
            self.part(self.mark, source);
            if self.length == 0 {
                return None;
            }
        }
        // All but the last character, which may belong to what follows.
        if self.last > 0 {
            self.part(self.last, source);
        }
        let after = self.length.saturating_add(size);
        match class {
            Class::Upper | Class::Lower | Class::Caseless | Class::Mark => Some(self.word(class, after)),
            Class::Other | Class::Slash | Class::Apostrophe if self.last_is_blank => Some(State::Punctuation),
            _ => None,
        }
    }

    /// The first `length` bytes of what is under way are a part; the rest of it goes on.
    fn part(&mut self, length: usize, source: &mut Source<'_>) {
        self.length = self.length.saturating_sub(length);
        self.last = self.last.saturating_sub(length);
        self.mark = 0;
        if length == 0 {
            return;
        }
        if self.tail.is_empty() && length <= WINDOW && !self.merge.has_begun() {
            let part = source.take(length);
            return count(part, &mut self.merge, &mut self.counts);
        }
        if length > WINDOW || self.merge.has_begun() {
            self.hand_over(length, source);
            return self.merge.end(&mut self.counts);
        }
        let missing = length.saturating_sub(self.tail.len());
        self.tail.extend_from_slice(source.take(missing));
        count(self.tail.get(..length).unwrap_or_default(), &mut self.merge, &mut self.counts);
        self.tail.drain(..length.min(self.tail.len()));
    }

    /// Hands the first `length` bytes of what is under way to the merge.
    fn hand_over(&mut self, length: usize, source: &mut Source<'_>) {
        let from_tail = length.min(self.tail.len());
        self.merge.push(self.tail.get(..from_tail).unwrap_or_default(), &mut self.counts);
        self.tail.drain(..from_tail);
        self.merge.push(source.take(length.saturating_sub(from_tail)), &mut self.counts);
    }

    /// Keeps what is under way of a piece that ends at `to`.
    fn keep(&mut self, source: &mut Source<'_>, to: usize) {
        if self.length > WINDOW {
            // All but what may not belong to the part, and a byte of what does, so that no mark becomes 0.
            let certain = match self.state {
                _ if self.looks_ahead() => self.mark,
                State::Space => self.last,
                _ => self.length,
            };
            let certain = certain.saturating_sub(1);
            self.hand_over(certain, source);
            self.length = self.length.saturating_sub(certain);
            self.mark = self.mark.saturating_sub(certain);
            self.last = self.last.saturating_sub(certain);
        }
        let rest = to.saturating_sub(source.from);
        self.tail.extend_from_slice(source.take(rest));
    }
}

fn count(part: &[u8], merge: &mut Merge, counts: &mut Counts) {
    match is_token(part) {
        Some(is_ascii) => counts.token(is_ascii),
        None => merge.whole(part, counts),
    }
}
