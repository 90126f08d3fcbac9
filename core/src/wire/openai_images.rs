//! OpenAI's images, and xAI's: tokens where the answer reports them, else the images that came.
//!
//! <https://platform.openai.com/docs/api-reference/images>. The output of `gpt-image` models is
//! tokens of images; older reports do not say so apart.

use super::dialect::{Ask, Dialect, Figure, Figures, Media, Reading, Said, Word};
use super::json::Key;
use super::openai_responses;
use crate::usage::Term;

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: super::PLAIN, generates: false, tells_end: false };

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::Model] => Ask::Model,
        [Key::Stream] => Ask::Stream,
        [Key::Prompt] => Ask::Text,
        [Key::N] => Ask::Choices,
        [Key::Size] => Ask::Term(Term::Size),
        [Key::Quality] => Ask::Term(Term::Quality),
        [Key::Image | Key::Images, ..] => Ask::Media(Media::Image),
        _ => Ask::Skip,
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    match path {
        [Key::Model] => Said::Word(Word::Model),
        [Key::Size] => Said::Word(Word::Size),
        [Key::Quality] => Said::Word(Word::Quality),
        [Key::Error] => Said::Error,
        [Key::Data] => Said::List(Figure::ImagesMade),
        [Key::Data, Key::Item] => Said::Each(Figure::ImagesMade),
        [Key::Usage, rest @ ..] => openai_responses::usage(rest),
        _ => Said::Nothing,
    }
}

fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    if figures.get(Figure::Output).is_none() {
        figures.set(Figure::Images, figures.count(Figure::ImagesMade));
    } else {
        let output = figures.get(Figure::Output);
        figures.fill(Figure::OutputImage, output);
    }
    openai_responses::reading(&figures)
}
