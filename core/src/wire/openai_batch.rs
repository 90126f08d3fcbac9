//! OpenAI's batches: the batch itself, and the lines of its results.
//!
//! <https://platform.openai.com/docs/api-reference/batch>: a line of results is `custom_id`, `response`
//! with `status_code` and `body`, and `error`. The body is what the request would have got by itself: of chat
//! completions, responses, completions, embeddings, images, moderations.

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;
use super::{openai_chat, openai_responses};

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: false };

pub(super) fn ask(_: &[Key]) -> Ask {
    Ask::Skip
}

fn said(path: &[Key]) -> Said {
    match path {
        [Key::Id] => Said::Word(Word::Id),
        [Key::Status] => Said::Word(Word::Status),
        [Key::OutputFileId] => Said::Word(Word::OutputFile),
        [Key::ErrorFileId] => Said::Word(Word::ErrorFile),
        [Key::Response, Key::StatusCode] => Said::Code,
        [Key::Response, Key::Body, body @ ..] => match body {
            [Key::Data] => Said::List(Figure::ImagesMade),
            [Key::Data, Key::Item] => Said::Each(Figure::ImagesMade),
            [Key::Size] => Said::Word(Word::Size),
            [Key::Quality] => Said::Word(Word::Quality),
            _ => match counts(openai_responses::said(body)) {
                Said::Nothing => counts(openai_chat::said(body)),
                said => said,
            },
        },
        _ => Said::Nothing,
    }
}

/// What counts of an answer that is one of many. Its text is not kept, and its id is nobody's.
pub(super) fn counts(said: Said) -> Said {
    match said {
        Said::Text | Said::Json | Said::Inner | Said::Error => Said::Nothing,
        Said::Word(Word::Id | Word::Status | Word::Stop | Word::Type) => Said::Nothing,
        said => said,
    }
}

/// What images are made of is told by there being some.
fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    if figures.count(Figure::ImagesMade) > 0 {
        let output = figures.get(Figure::Output);
        figures.fill(Figure::OutputImage, output);
    }
    openai_chat::reading(&figures)
}
