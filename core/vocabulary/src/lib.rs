//! How many tokens a text has in OpenAI's o200k_base vocabulary (GPT-4o and later), counted exactly.
//!
//! Text comes in pieces, cut anywhere; [`Counter`] cuts it as the pattern of the vocabulary does, and each part is
//! merged by byte pair encoding. The tables are made at build time from the vocabulary in the `tiktoken-rs` crate: 4.3 MB
//! of static data, nothing to do at start.
//!
//! - Time is linear in the text whatever it is, memory bounded: a few kilobytes.
//! - What is no UTF-8 counts as if it were replaced by U+FFFD, as [`String::from_utf8_lossy`] does.
//! - Text that spells a special token is text.
//! - Two kinds of text longer than 4 KB are cut where the pattern would look further ahead to know: see [`Counter`].
//! - Not here: other vocabularies, and what a request has besides text.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod counter;
mod merge;
mod tables;
mod utf8;

pub use counter::Counter;

/// Tokens by what they are made of. Other vocabularies differ from this one by a factor for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tokens of ASCII alone.
    pub ascii: u64,
    /// Tokens with other bytes.
    pub other: u64,
    /// ASCII digits in the text: some vocabularies give each a token.
    pub digits: u64,
}

impl Counts {
    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.ascii.saturating_add(self.other)
    }

    fn token(&mut self, is_ascii: bool) {
        let of = if is_ascii { &mut self.ascii } else { &mut self.other };
        *of = of.saturating_add(1);
    }
}
