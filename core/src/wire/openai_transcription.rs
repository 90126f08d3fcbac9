//! OpenAI's transcriptions and translations: tokens or seconds, as the model is charged.
//!
//! <https://platform.openai.com/docs/api-reference/audio/createTranscription>. The request is a form; in
//! a stream the event `transcript.text.done` reports.

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;
use super::openai_responses;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::Prompt] => Ask::Text,
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Error] => Said::Error,
        [Key::Text] | [Key::Delta] => Said::Text,
        [Key::Duration] => Said::Figure(Figure::AudioSeconds),
        [Key::Usage, rest @ ..] => match openai_responses::usage(rest) {
            Said::Nothing => super::openai_chat::usage(rest),
            said => said,
        },
        _ => Said::Nothing,
    }
}

/// `duration` tells the seconds where the report does not.
pub(super) fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    if figures.get(Figure::Input).is_none() {
        figures.fill(Figure::Seconds, figures.get(Figure::AudioSeconds));
    }
    openai_responses::reading(&figures)
}
