//! The JSON of an answer, or of its events one after the other: what is reported, and how much text came.
//!
//! - Usage is read at its place in the JSON, never looked for in text. Of each count the last one that is not null holds.
//! - Beside it all text that the model put out is counted: for an answer that reports nothing, or breaks.
//! - At the top may stand an array of answers: a stream by another name.

use super::base64;
use super::batch::Line;
use super::dialect::{self, Dialect, Figure, Figures, Reading, Said, Split, Unit, Word};
use super::json::{Key, Reader, Span, Visitor};
use super::shape;
use crate::api::Api;
use crate::estimate::{self, Family, Text};
use crate::money;
use crate::usage::{self, Kind, Pass, Quality, Term, Terms, Units, Usage};

/// Longest of the words that are kept: models, ids.
const WORD_MAX: usize = 256;
/// Passes of one request that are told apart; more are not seen.
const PASSES_MAX: usize = 64;

/// `choices` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choices {
    Absent,
    None,
    Some,
}

/// What the JSON of an answer said so far.
#[derive(Debug)]
pub(super) struct Answer {
    dialect: &'static Dialect,
    /// By path, or by shape once that is known.
    api: Option<Api>,
    by_shape: bool,
    said: Said,
    /// The string under way, where it is short and matters.
    word: Vec<u8>,
    pub(super) model: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) status: Vec<u8>,
    pub(super) tier: Vec<u8>,
    /// Of a batch: the files of its results, and of its failures.
    pub(super) files: [Vec<u8>; 2],
    /// Of a request of a batch: whether it was answered well.
    ok: Option<bool>,
    terms: Terms,
    family: Family,
    features: Text,
    figures: Figures,
    passes: Vec<(Option<String>, Figures)>,
    in_pass: bool,
    /// Open brackets of JSON that the model wrote.
    in_json: u32,
    /// Of a list of counts: the name and the count of the member under way.
    name: Vec<u8>,
    count: u64,
    reported_nano_usd: Option<u64>,
    /// A report came with or after the model's end.
    usage_is_final: bool,
    pub(super) finished: bool,
    pub(super) error: bool,
    /// Of the event under way: a count, a usage object, choices.
    counted: bool,
    usage_object: bool,
    /// Anything was counted.
    any: bool,
    pub(super) choices: Choices,
    inner: Inner,
}

/// An answer in base64 inside of another's JSON.
#[derive(Debug, Default)]
struct Inner {
    reader: Reader,
    base64: base64::Decoder,
    /// What the string under way in it is.
    said: Option<Said>,
}

/// What follows from an answer beside its usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) usage: Option<Usage>,
    pub(super) input_missing: bool,
    pub(super) output_missing: bool,
}

impl Answer {
    /// `api`: absent when its shape shall tell.
    pub(super) fn new(api: Option<Api>) -> Self {
        Self {
            dialect: api.map_or(&shape::DIALECT, dialect::of),
            api,
            by_shape: api.is_none(),
            said: Said::Nothing,
            word: Vec::new(),
            model: Vec::new(),
            id: Vec::new(),
            status: Vec::new(),
            tier: Vec::new(),
            files: [Vec::new(), Vec::new()],
            ok: None,
            terms: Terms::new(),
            family: Family::O200k,
            features: Text::default(),
            figures: Figures::default(),
            passes: Vec::new(),
            in_pass: false,
            in_json: 0,
            name: Vec::new(),
            count: 0,
            reported_nano_usd: None,
            usage_is_final: false,
            finished: false,
            error: false,
            counted: false,
            usage_object: false,
            any: false,
            choices: Choices::Absent,
            inner: Inner::default(),
        }
    }

    /// Counts text in a vocabulary, where that is built in, instead of estimating it.
    pub(super) fn count_text(&mut self, seed: u64) {
        self.features = Text::counted(seed);
    }

    /// Whose it is.
    pub(super) fn api(&self) -> Option<Api> {
        self.api
    }

    /// Counts that stand in headers.
    pub(super) fn header(&mut self, figure: Figure, value: &str) {
        if let Ok(count) = value.trim().parse() {
            self.figures.set(figure, count);
            self.any = true;
        }
    }

    /// The texts of the answer in tokens of its model.
    pub(super) fn output(&self) -> u64 {
        self.features.tokens(self.family)
    }

    /// An event ended. Whether it brought usage and an empty list of choices.
    pub(super) fn end_event(&mut self) -> bool {
        if self.counted && self.finished {
            self.usage_is_final = true;
        }
        let only_usage = self.usage_object && self.choices == Choices::None;
        (self.counted, self.usage_object, self.choices) = (false, false, Choices::Absent);
        only_usage
    }

    /// Usage as it was reported. `whole`: the answer came to its end; `json`: it is one JSON value.
    pub(super) fn report(&self, json: bool, whole: bool) -> Report {
        let dialect = match self.api {
            Some(api) if self.by_shape => dialect::of(api),
            _ => self.dialect,
        };
        if !self.any {
            return Report { usage: None, input_missing: true, output_missing: true };
        }
        let Reading { units, reasoning } = (dialect.reading)(&self.figures);
        let is_final = json || self.usage_is_final || (whole && (self.finished || !dialect.tells_end));
        let has_tokens = units.tokens() > 0 || self.figures.get(Figure::Input).is_some();
        let input_missing = self.figures.get(Figure::Input).is_none() && units.prompt() == 0 && units.output() > 0;
        let output_missing =
            has_tokens && dialect.generates && self.figures.get(Figure::Output).is_none() && units.output() == 0;
        let exact = is_final && !self.error && !input_missing && !output_missing;
        let passes = self.passes(dialect);
        let mut usage = Usage { reasoning, ..Usage::new(units, if exact { Quality::Exact } else { Quality::Partial }) };
        // What was seen stands in for an output that is not told, or not to the end.
        if (!is_final || self.error || output_missing) && usage.units.output() < self.output() {
            let more = self.output().saturating_sub(usage.units.output());
            usage.units.add(Kind::Output, more);
        }
        if !passes.is_empty() {
            for kind in Kind::PROMPT.into_iter().chain(Kind::OUTPUT) {
                usage.units.set(kind, passes.iter().map(|pass| pass.units.get(kind)).fold(0, u64::saturating_add));
            }
            usage.passes = passes;
        }
        usage.terms = self.terms.clone();
        usage.reported_nano_usd = self.reported_nano_usd;
        Report { usage: Some(usage), input_missing, output_missing }
    }

    /// Usage as one message of many reported it; what follows is counted anew.
    pub(super) fn take(&mut self) -> Option<Usage> {
        let usage = self.report(true, true).usage?;
        (self.figures, self.any) = (Figures::default(), false);
        Some(usage)
    }

    /// What a line of a batch's results told; what follows is another request's.
    pub(super) fn take_line(&mut self) -> Line {
        let usage = self.report(true, true).usage;
        let model = Some(String::from_utf8_lossy(&self.model).into_owned()).filter(|model| !model.is_empty());
        (self.figures, self.any, self.reported_nano_usd) = (Figures::default(), false, None);
        self.model.clear();
        self.tier.clear();
        self.terms.clear();
        self.passes.clear();
        Line { ok: self.ok.take(), model, usage }
    }

    /// Passes, if they say more than the counts of all.
    fn passes(&self, dialect: &Dialect) -> Vec<Pass> {
        let all = (dialect.reading)(&self.figures).units;
        let passes: Vec<Pass> = self
            .passes
            .iter()
            .map(|(model, figures)| Pass {
                model: model.clone(),
                units: (dialect.reading)(figures).units,
                longest: None,
            })
            .collect();
        let mut sum = Units::default();
        passes.iter().for_each(|pass| sum.add_all(&pass.units));
        let same = sum.prompt() == all.prompt() && sum.output() == all.output();
        let one_model =
            passes.iter().all(|pass| pass.model.as_deref().is_none_or(|model| model.as_bytes() == self.model));
        if same && one_model { Vec::new() } else { passes }
    }

    fn local<'p>(&self, path: &'p [Key]) -> &'p [Key] {
        path.strip_prefix(&[Key::Item]).unwrap_or(path)
    }

    fn said(&self, path: &[Key]) -> Said {
        (self.dialect.said)(self.local(path))
    }

    fn is_not_empty(&mut self, path: &[Key]) {
        match self.local(path) {
            [Key::Choices, Key::Item] => self.choices = Choices::Some,
            [Key::Error] if self.said(path) == Said::Error => self.error = true,
            _ => {}
        }
    }

    fn figures(&mut self) -> &mut Figures {
        match self.passes.last_mut() {
            Some((_, figures)) if self.in_pass => figures,
            _ => &mut self.figures,
        }
    }

    fn set(&mut self, figure: Figure, count: u64) {
        self.figures().set(figure, count);
        (self.counted, self.any) = (true, true);
    }

    /// A member of a list of counts is over.
    fn part(&mut self, split: Split) {
        let name = self.name.to_ascii_lowercase();
        let figure = match (split, name.as_slice()) {
            (Split::Prompt | Split::Tool, b"audio") => Figure::InputAudio,
            (Split::Prompt | Split::Tool, b"image") => Figure::InputImage,
            (Split::Prompt | Split::Tool, b"video") => Figure::InputVideo,
            (Split::Cache, b"audio") => Figure::CacheReadAudio,
            (Split::Cache, b"image") => Figure::CacheReadImage,
            (Split::Cache, b"video") => Figure::CacheReadVideo,
            (Split::Output, b"audio") => Figure::OutputAudio,
            (Split::Output, b"image") => Figure::OutputImage,
            (Split::Output, b"video") => Figure::OutputVideo,
            (Split::Lifetime, b"5m") => Figure::CacheWrite5m,
            (Split::Lifetime, b"1h") => Figure::CacheWrite1h,
            (Split::Grounding, _) => Figure::GroundingQueries,
            _ => return,
        };
        let count = self.count;
        self.figures().add(figure, count);
        self.any = true;
    }

    fn begin_split(&mut self, split: Split) {
        let figures: &[Figure] = match split {
            Split::Prompt => &[Figure::InputAudio, Figure::InputImage, Figure::InputVideo],
            Split::Cache => &[Figure::CacheReadAudio, Figure::CacheReadImage, Figure::CacheReadVideo],
            Split::Output => &[Figure::OutputAudio, Figure::OutputImage, Figure::OutputVideo],
            Split::Lifetime => &[Figure::CacheWrite5m, Figure::CacheWrite1h],
            Split::Grounding => &[Figure::GroundingQueries],
            Split::Tool => &[],
        };
        for figure in figures {
            self.figures().clear(*figure);
        }
    }

    fn term(&mut self, term: Term) {
        usage::set_term(&mut self.terms, term, &self.word);
    }

    fn end_word(&mut self, word: Word) {
        match word {
            // The first events of some name none.
            Word::Model if self.word.is_empty() => {}
            Word::Model if self.in_pass => {
                let model = String::from_utf8_lossy(&self.word).into_owned();
                if let Some((name, _)) = self.passes.last_mut() {
                    *name = Some(model);
                }
            }
            Word::Model if self.word != self.model => {
                self.model.clone_from(&self.word);
                self.family = estimate::family(&String::from_utf8_lossy(&self.model));
            }
            Word::Model => {}
            Word::Stop => self.finished |= !self.word.is_empty(),
            Word::Type => match self.word.as_slice() {
                b"message_stop"
                | b"message-end"
                | b"response.completed"
                | b"response.incomplete"
                | b"interaction.completed"
                | b"interaction.complete" => self.finished = true,
                b"response.failed" | b"error" => (self.finished, self.error) = (true, true),
                _ => {}
            },
            Word::Id => self.id.clone_from(&self.word),
            Word::Status => {
                self.status.clone_from(&self.word);
                self.finished |= self.word == b"completed" || self.word == b"incomplete";
            }
            Word::Tier if self.tier == self.word => {}
            Word::Tier => {
                self.tier.clone_from(&self.word);
                self.term(Term::ServiceTier);
            }
            Word::Speed => self.term(Term::Speed),
            Word::Geo => self.term(Term::Geo),
            Word::SearchContext => {
                self.term(Term::SearchContext);
                self.figures.set(Figure::SearchRequests, 1);
            }
            Word::Outcome => self.ok = Some(self.word == b"succeeded"),
            Word::OutputFile => self.files[0].clone_from(&self.word),
            Word::ErrorFile => self.files[1].clone_from(&self.word),
            Word::Size => self.term(Term::Size),
            Word::Quality => self.term(Term::Quality),
            Word::Name => {
                if self.word == b"web_search_call" {
                    self.figures.add(Figure::SearchCalls, 1);
                }
                self.name.clone_from(&self.word);
            }
        }
    }
}

impl Visitor for Answer {
    fn enter(&mut self, path: &[Key], object: bool, _: usize) {
        self.is_not_empty(path);
        // Of two lists of choices, one that has some counts: a part of the event may have gone out by it already.
        if self.local(path) == [Key::Choices] && !object && self.choices == Choices::Absent {
            self.choices = Choices::None;
        }
        match self.said(path) {
            Said::Json => {
                self.in_json = self.in_json.saturating_add(1);
                self.features.push(if object { b"{" } else { b"[" });
            }
            Said::List(figure) if !object => self.figures.clear(figure),
            Said::Each(figure) => self.figures.add(figure, 1),
            Said::Split(split) if !object => self.begin_split(split),
            Said::Part(_) if object => {
                self.name.clear();
                self.count = 0;
            }
            Said::Passes => self.passes.clear(),
            Said::Pass if object && self.passes.len() < PASSES_MAX => {
                self.passes.push((None, Figures::default()));
                self.in_pass = true;
            }
            _ => {}
        }
    }

    fn leave(&mut self, path: &[Key], object: bool, _: Span) {
        if matches!(self.local(path), [Key::Usage]) && object {
            self.usage_object = true;
        }
        match self.said(path) {
            Said::Json => {
                self.in_json = self.in_json.saturating_sub(1);
                self.features.push(if object { b"}," } else { b"]," });
            }
            Said::Part(split) if object => self.part(split),
            Said::Pass => self.in_pass = false,
            _ => {}
        }
    }

    fn key(&mut self, path: &[Key], name: &[u8]) {
        if self.by_shape
            && let [key] = self.local(path)
            && let Some(api) = shape::of_answer(*key)
            && self.api.is_none()
        {
            self.api = Some(api);
        }
        if self.in_json > 0 {
            self.features.push(b"\"");
            self.features.push(name);
            self.features.push(b"\":");
        }
    }

    fn wants(&mut self, path: &[Key]) -> bool {
        self.is_not_empty(path);
        self.said = self.said(path);
        match self.said {
            Said::Word(_) | Said::Cost(_) => self.word.clear(),
            Said::Json => self.features.push(b"\""),
            Said::Mark(figure) => self.set(figure, 1),
            Said::Each(figure) => {
                self.figures.add(figure, 1);
                self.any = true;
            }
            _ => {}
        }
        matches!(self.said, Said::Word(_) | Said::Json | Said::Text | Said::Inner | Said::Cost(_))
    }

    fn text(&mut self, _: &[Key], piece: &[u8]) {
        match self.said {
            Said::Text | Said::Json => self.features.push(piece),
            Said::Word(_) | Said::Cost(_) => {
                let room = WORD_MAX.saturating_sub(self.word.len()).min(piece.len());
                self.word.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
            Said::Inner => {
                let Inner { mut reader, mut base64, said } = std::mem::take(&mut self.inner);
                self.said = said.unwrap_or(Said::Nothing);
                // What is no base64 leaves the inner JSON unfinished, which shows.
                let _ = base64.push(piece, |bytes| reader.push(bytes, self));
                self.inner = Inner { reader, base64, said: Some(std::mem::replace(&mut self.said, Said::Inner)) };
            }
            _ => {}
        }
    }

    fn text_end(&mut self, _: &[Key], _: Span) {
        match std::mem::replace(&mut self.said, Said::Nothing) {
            Said::Word(word) => self.end_word(word),
            // Some write amounts as text.
            Said::Cost(unit) => {
                let word = std::mem::take(&mut self.word);
                self.cost(unit, &word);
                self.word = word;
            }
            Said::Json => self.features.push(b"\","),
            Said::Inner => {
                let mut inner = std::mem::take(&mut self.inner);
                inner.reader.finish(self);
                inner.reader.reset();
                self.inner = Inner { reader: inner.reader, ..Inner::default() };
                self.said = Said::Nothing;
            }
            _ => {}
        }
    }

    fn scalar(&mut self, path: &[Key], raw: &[u8], _: Span) {
        if raw == b"null" {
            return;
        }
        self.is_not_empty(path);
        match self.said(path) {
            Said::Figure(figure) => {
                if let Some(count) = count(raw) {
                    self.set(figure, count);
                }
            }
            Said::Mark(figure) => self.set(figure, 1),
            // A number counts as itself.
            Said::Each(figure) => {
                if let Some(count) = count(raw) {
                    self.figures.add(figure, count);
                    (self.counted, self.any) = (true, true);
                }
            }
            Said::Part(_) => self.count = count(raw).unwrap_or(0),
            Said::Cost(unit) => self.cost(unit, raw),
            Said::Code => self.ok = Some(raw.len() == 3 && raw.starts_with(b"2")),
            Said::Word(Word::Status) => self.finished |= raw == b"true",
            Said::Json => {
                self.features.push(raw);
                self.features.push(b",");
            }
            _ => {}
        }
    }
}

impl Answer {
    fn cost(&mut self, unit: Unit, raw: &[u8]) {
        let digits = match unit {
            Unit::Usd => 9,
            // A tick is a tenth of a nano-USD.
            Unit::Ticks => -1,
        };
        if let Some(nano) = money::scaled(raw, digits) {
            self.reported_nano_usd = Some(nano);
            self.counted = true;
        }
    }
}

/// A count as it is written; a begun unit counts, and some servers write whole numbers with a fraction of zeros.
fn count(raw: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let begun = fraction.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0');
    let plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse::<u64>().ok().filter(|_| plain).map(|whole| whole.saturating_add(u64::from(begun)))
}
