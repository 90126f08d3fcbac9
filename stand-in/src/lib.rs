//! A provider that stands in for the real ones: their wire formats, made-up answers, and its own count of every token.
//!
//! It is what `purser up` offers when there is no API key, and what the tests measure against: it knows what it sent.
//!
//! - A prompt has one token for each started four bytes of the body's `messages` and `system`; an answer has one for
//!   each word. The counts are its own truth, not a tokenizer's.
//! - An answer has [`ANSWER_WORDS`] words, or as many as `max_tokens` allows.
//! - It speaks OpenAI's chat, responses and embeddings, and Anthropic's messages.
//! - The header `x-stand-in` asks for trouble: see [`Behaviour`].

mod answer;
mod behaviour;
mod ledger;
mod server;

pub use behaviour::Behaviour;
pub use ledger::{Entry, Ledger};
pub use server::StandIn;

/// Words of an answer whose length nobody asked for.
pub const ANSWER_WORDS: u64 = 60;
