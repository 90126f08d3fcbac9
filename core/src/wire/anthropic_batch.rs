//! Anthropic's batches: the batch itself, and the lines of its results.
//!
//! <https://docs.anthropic.com/en/api/retrieving-message-batch-results>: a line is `custom_id` and
//! `result`, whose `type` is `succeeded`, `errored`, `canceled` or `expired`. Only the first has a `message`, and is
//! charged.

use super::dialect::{Dialect, Reading, Said, Word};
use super::json::Key;
use super::{anthropic_messages, openai_batch};

pub(super) static DIALECT: Dialect = Dialect {
    ask: openai_batch::ask,
    said,
    reading: Reading::exclusive,
    overhead: super::PLAIN,
    generates: true,
    tells_end: false,
};

fn said(path: &[Key]) -> Said {
    match path {
        [Key::Id] => Said::Word(Word::Id),
        [Key::Result, Key::Type] => Said::Word(Word::Outcome),
        [Key::Result, Key::Message, message @ ..] => openai_batch::counts(anthropic_messages::said(message)),
        _ => Said::Nothing,
    }
}
