//! Provider bytes to facts, whatever pieces they come in.
//!
//! `request` and `response` are what the exchange calls; they read through `json`, `sse` and `inflate`, and ask the
//! file of the dialect what stands where and what it means.

pub mod anthropic_messages;
pub mod inflate;
pub mod json;
pub mod openai_chat;
pub mod request;
pub mod response;
pub mod sse;

use json::Key;

/// What a number or text of an answer is, as its dialect says by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The model that answers.
    Model,
    /// Why the answer ended: it has.
    Finish,
    /// The kind of a streamed event.
    EventType,
    /// Text, reasoning or tool arguments that the model wrote.
    Output,
    /// A count of the usage report.
    Count(Count),
    /// Nothing that matters.
    Nothing,
}

/// A count as providers report it, before it is made disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the dialects' files say what each is")]
pub enum Count {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
    Reasoning,
}

/// Counts as reported, each the last that was not null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "see `Count`")]
pub struct Reported {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
    pub cache_write_5m: Option<u64>,
    pub cache_write_1h: Option<u64>,
    pub reasoning: Option<u64>,
}

impl Reported {
    /// Takes in a count.
    pub fn set(&mut self, count: Count, value: u64) {
        let field = match count {
            Count::Input => &mut self.input,
            Count::Output => &mut self.output,
            Count::CacheRead => &mut self.cache_read,
            Count::CacheWrite => &mut self.cache_write,
            Count::CacheWrite5m => &mut self.cache_write_5m,
            Count::CacheWrite1h => &mut self.cache_write_1h,
            Count::Reasoning => &mut self.reasoning,
        };
        *field = Some(value);
    }

    /// Whether anything that is charged was reported.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.input.is_some() || self.output.is_some()
    }
}

/// Paths are matched often: this keeps the tables of the dialects readable.
pub(crate) type Path<'a> = &'a [Key];
