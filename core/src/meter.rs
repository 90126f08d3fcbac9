//! What an exchange used: what the answer reports, completed by what the request says.
//!
//! The one place where both sides of an exchange meet. Used as an exchange ends in the proxy, and by whoever has both
//! recorded.

use crate::api::Api;
use crate::estimate;
use crate::record::Problem;
use crate::usage::{Kind, Quality, Term, Units, Usage};
use crate::wire::batch::{self, Step};
use crate::wire::recognise::{Recognised, Target, recognise};
use crate::wire::request::{RequestFacts, RequestScanner};
use crate::wire::response::{Head, ResponseFacts, ResponseMeter};

/// Usage of an answered exchange. `None` when nothing tells: it is unmetered, not free.
///
/// - A report without the prompt, or without the output, is completed by our own count of it, and partial.
/// - Speech is charged by the characters that were asked for; size and quality of images are those that were asked for
///   unless the answer says otherwise.
/// - Without a report the texts of both sides are counted, where text is what is charged. `whole`: the answer came to its
///   end, so the count is of all of it.
#[must_use]
pub fn usage(
    api: Api,
    request: Option<&RequestFacts>,
    prompt_estimate: u64,
    answer: &ResponseFacts,
    whole: bool,
) -> Option<Usage> {
    let reported = answer.usage.clone().map(|mut usage| {
        if answer.input_missing && prompt_estimate > 0 {
            usage.units.add(Kind::Input, prompt_estimate);
        }
        usage
    });
    let mut usage = reported
        .or_else(|| asked_for(api, request?))
        .or_else(|| counted(api, prompt_estimate, answer, whole).filter(|usage| !usage.units.is_empty()))?;
    if api == Api::OpenAiImages
        && let Some(request) = request
    {
        for (term, asked) in request.terms.iter().filter(|(term, _)| matches!(term, Term::Size | Term::Quality)) {
            usage.terms.entry(*term).or_insert_with(|| asked.clone());
        }
    }
    Some(usage)
}

/// What is charged as it was asked for.
fn asked_for(api: Api, request: &RequestFacts) -> Option<Usage> {
    let characters = request.characters;
    let speech = api == Api::OpenAiSpeech && characters > 0;
    speech.then(|| Usage::new(Units::of(&[(Kind::Characters, characters)]), Quality::Exact))
}

/// Our own count of the texts.
fn counted(api: Api, prompt_estimate: u64, answer: &ResponseFacts, whole: bool) -> Option<Usage> {
    let by_text = !matches!(
        api,
        Api::AnthropicBatch
            | Api::CohereRerank
            | Api::MistralOcr
            | Api::OpenAiBatch
            | Api::OpenAiImages
            | Api::OpenAiSpeech
            | Api::OpenAiTranscription
            | Api::ReplicatePredictions
            | Api::VertexPredict
    );
    let unreadable = [Problem::ResponseUnreadable, Problem::ResponseEncoding];
    if !by_text || (answer.output_estimate == 0 && answer.problems.iter().any(|problem| unreadable.contains(problem))) {
        return None;
    }
    let units = Units::of(&[(Kind::Input, prompt_estimate), (Kind::Output, answer.output_estimate)]);
    Some(Usage::new(units, if whole { Quality::Estimated } else { Quality::Partial }))
}

/// Whether an answer's usage comes later, by another request: a response that runs in the background.
#[must_use]
pub fn is_pending(answer: &ResponseFacts) -> bool {
    answer.usage.is_none() && matches!(answer.status.as_str(), "queued" | "in_progress" | "starting" | "processing")
}

/// What an answer means for the bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charged {
    /// Nothing: the provider refused, or sent an error in the place of an answer.
    Nothing,
    /// What another request will tell.
    Later,
    /// This much; `None` when nothing tells.
    For(Option<Box<Usage>>),
}

/// What the answer to a request means for the bill. `asked`: the model that was asked for; `whole`: see [`usage`].
#[must_use]
pub fn charged(
    api: Api,
    request: Option<&RequestFacts>,
    asked: &str,
    status: u16,
    answer: &ResponseFacts,
    whole: bool,
) -> Charged {
    // An error in the place of an answer.
    let refused = answer.is_error && answer.usage.is_none() && answer.output_estimate == 0;
    if !(200..300).contains(&status) || refused {
        return Charged::Nothing;
    }
    // A stream that broke can be gone on with, where the provider works on by itself.
    let goes_on = !whole && request.is_some_and(|request| request.background) && !answer.id.is_empty();
    let known = answer.usage.as_ref().is_some_and(|usage| usage.quality == Quality::Exact);
    if is_pending(answer) || (goes_on && !known) {
        return Charged::Later;
    }
    let family = estimate::family(answer.model.as_deref().unwrap_or(asked));
    let prompt = request.map_or(0, |request| request.input_tokens(family));
    Charged::For(usage(api, request, prompt, answer, whole).map(Box::new))
}

/// Whether a download is of a batch's results, whole, so that it is to be charged unless an earlier one was. `known`: it
/// is of results, even if nothing in it can be read.
#[must_use]
pub fn has_results(status: u16, answer: &ResponseFacts, known: bool) -> bool {
    let tells = answer.usage.is_some() || answer.problems.contains(&Problem::UsageMissing);
    // 206 is of a part.
    status == 200 && answer.finished && (tells || (known && !answer.problems.is_empty()))
}

/// Whether streams of this API report nothing, so that their text is counted as exactly as can be.
#[must_use]
pub fn reports_nothing(api: Api) -> bool {
    matches!(api, Api::AnthropicComplete | Api::TgiGenerate | Api::SageMakerInvoke)
}

/// An exchange that was recorded, whole.
#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    /// The request's method.
    pub method: &'a str,
    /// Its path, with or without a query.
    pub path: &'a str,
    /// A header of it, by its name in lower case.
    pub request_header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Its body, if that was kept.
    pub request: Option<&'a [u8]>,
    /// The answer's status.
    pub status: u16,
    /// A header of it.
    pub response_header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Its body.
    pub response: &'a [u8],
}

/// What a recorded exchange was and used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metered {
    /// The wire format; `None` when neither path nor shape tells.
    pub api: Option<Api>,
    /// Whether it is charged: an exchange with a model that was answered.
    pub metered: bool,
    /// The model that was asked for; empty when nothing names one.
    pub request_model: String,
    /// Whether the answer was asked for as a stream.
    pub stream: bool,
    /// What was used. Absent in a metered exchange: nothing tells, and that is not free.
    pub usage: Option<Usage>,
    /// What the answer said beside.
    pub answer: ResponseFacts,
    /// It reads the answer of an earlier request, which has the same id.
    pub poll: bool,
    /// It is a download of a batch's results, which are known by this id.
    pub results: Option<String>,
    /// Its usage comes later.
    pub pending: bool,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

impl Recorded<'_> {
    /// Meters the exchange, reading both bodies in pieces of at most `piece` bytes. How they are cut never matters.
    ///
    /// A poll, and a download of a batch's results, is metered as if nobody had charged what it repeats: whoever knows
    /// better must.
    #[must_use]
    pub fn meter(&self, piece: usize) -> Metered {
        let results = batch::request(self.method, self.path).filter(|batch| batch.step == Step::Results);
        let target = match recognise(self.method, self.path) {
            Recognised::Exchange(target) => Some(target),
            Recognised::Unknown => None,
            Recognised::Free(_) if results.is_none() => return Metered::default(),
            Recognised::Free(_) => {
                results.as_ref().map(|batch| Target { api: batch.api, model: None, stream: None, poll: true })
            }
        };
        let content_type = (self.request_header)("content-type").unwrap_or_default();
        let request = self.request.map(|body| {
            let mut scanner = match &target {
                Some(target) => RequestScanner::of(target, content_type),
                None => RequestScanner::by_shape(),
            };
            body.chunks(piece.max(1)).for_each(|piece| scanner.push(piece));
            scanner.finish()
        });
        let mut problems = Vec::new();
        if matches!(request, Some(Err(_))) {
            problems.push(Problem::RequestUnreadable);
        }
        let facts = request.and_then(Result::ok);
        let api = target.as_ref().map(|target| target.api);
        let header = |name| (self.response_header)(name);
        let head = Head {
            status: self.status,
            content_type: header("content-type").unwrap_or_default(),
            content_encoding: header("content-encoding").unwrap_or_default(),
        };
        let mut meter = ResponseMeter::new(api, head, false);
        if results.is_some() {
            meter = meter.lines();
        }
        if api.is_some_and(reports_nothing) && facts.as_ref().is_some_and(|facts| facts.stream) {
            meter = meter.counting(0);
        }
        for name in ResponseMeter::wanted_headers(api) {
            if let Some(value) = header(name) {
                meter.header(name, value);
            }
        }
        for piece in self.response.chunks(piece.max(1)) {
            meter.push(piece, false);
        }
        meter.push(&[], true);
        let answer = meter.finish(true);
        let by_shape = facts.as_ref().and_then(|facts| facts.api).or(answer.api);
        let api = api.or(if answer.usage.is_some() { answer.api.or(by_shape) } else { by_shape });

        let in_path = target.as_ref().and_then(|target| target.model.clone());
        let request_model = match &facts {
            Some(facts) => facts.model.clone(),
            None => in_path.unwrap_or_default(),
        };
        let charged = match api {
            Some(api) => charged(api, facts.as_ref(), &request_model, self.status, &answer, true),
            None => Charged::Nothing,
        };
        // Where only the shape tells, it must tell of use.
        let known = target.is_some() || (self.method == "POST" && answer.usage.is_some());
        let of_batch = api == Some(Api::AnthropicBatch);
        let is_charged = results.is_none() || has_results(self.status, &answer, of_batch);
        let metered = known && charged != Charged::Nothing && is_charged;
        let pending = metered && charged == Charged::Later;
        let usage = match charged {
            Charged::For(usage) if metered => usage.map(|usage| *usage),
            _ => None,
        };
        if metered {
            problems.extend(&answer.problems);
        }
        Metered {
            api,
            metered,
            request_model,
            stream: facts.as_ref().is_some_and(|facts| facts.stream)
                || target.as_ref().and_then(|target| target.stream).unwrap_or(false),
            usage,
            poll: target.is_some_and(|target| target.poll),
            results: results.map(|batch| batch.id),
            pending,
            problems,
            answer,
        }
    }
}
