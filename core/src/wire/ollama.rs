//! Ollama's own API: chat, generate, embed. A stream is a JSON object a line.
//!
//! <https://github.com/ollama/ollama/blob/main/docs/api.md>. `prompt_eval_count` may be missing when the
//! whole prompt was cached: that is not 0. Streams unless told otherwise.

use super::dialect::{Ask, Dialect, Figure, Figures, Media, Reading, Said, Word};
use super::json::Key;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: true };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::Options] => Ask::CapParent,
        [Key::Options, Key::NumPredict] => Ask::Cap,
        [Key::Tools, ..] | [Key::Format, ..] => Ask::Schema,
        [Key::Images, ..] | [Key::Messages, Key::Item, Key::Images, ..] => Ask::Media(Media::Image),
        [Key::Messages, .., Key::Role] => Ask::Skip,
        [Key::Messages | Key::Prompt | Key::System | Key::Template | Key::Suffix | Key::Input, ..] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Error] => Said::Error,
        [Key::Message, Key::Content | Key::Thinking] | [Key::Response | Key::Thinking] => Said::Text,
        [Key::Message, Key::ToolCalls, ..] => Said::Json,
        [Key::DoneReason] => Said::Word(Word::Stop),
        [Key::Done] => Said::Word(Word::Status),
        [Key::PromptEvalCount] => Said::Figure(Figure::Input),
        [Key::EvalCount] => Said::Figure(Figure::Output),
        _ => Said::Nothing,
    }
}

fn reading(figures: &Figures) -> Reading {
    Reading::inclusive(figures, figures.count(Figure::Input), [0, 0], figures.count(Figure::Output))
}
