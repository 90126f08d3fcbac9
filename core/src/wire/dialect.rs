//! What a wire format gives a meaning to: each has a file of its own that tells what stands where in its JSON.
//!
//! A dialect is three functions and a few constants. The first two say what a path of a request or of an answer means;
//! one mechanism reads bodies by them ([`super::request`], [`super::answer`]). The third turns the figures that were
//! found, as reported, into disjoint units.

use super::json::Key;
use crate::api::Api;
use crate::usage::{Kind, Term, Units};

/// A wire format.
#[derive(Debug)]
pub(super) struct Dialect {
    /// What stands at a place of a request.
    pub(super) ask: fn(&[Key]) -> Ask,
    /// What stands at a place of an answer, or of one event of it.
    pub(super) said: fn(&[Key]) -> Said,
    /// Disjoint units of what was reported.
    pub(super) reading: fn(&Figures) -> Reading,
    /// What the provider adds to a prompt.
    pub(super) overhead: Overhead,
    /// Whether answers have output tokens, so that a report without them is not the last.
    pub(super) generates: bool,
    /// Whether the end of an answer is told in its JSON. Otherwise its last byte is the end.
    pub(super) tells_end: bool,
}

/// What a provider adds to a prompt, tokens.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overhead {
    /// Around each message.
    pub(super) message: u64,
    /// Once, to open the answer.
    pub(super) priming: u64,
    /// Once, when there are tools.
    pub(super) tools: u64,
    /// For a message's `name`.
    pub(super) name: u64,
    /// Per cent of minified JSON's tokens that tool definitions count as; 0: as many.
    pub(super) schema_percent: u64,
    /// An image of which only decoding would tell more.
    pub(super) image: u64,
}

/// What stands at a place of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing that the model reads.
    Skip,
    /// Text.
    Text,
    /// Part of a JSON value that the model reads as such.
    Json,
    /// The same, of a tool's or the answer's definition.
    Schema,
    /// Base64 or a link.
    Media(Media),
    /// Link or data of an image whose `detail` stands beside it.
    Image,
    /// How closely an image is looked at.
    Detail,
    /// Type of a source.
    SourceType,
    /// Media type of a source.
    MediaType,
    /// Data of a source: text or base64, as its type says.
    SourceData,
    /// Data of a source that is never text.
    MediaData,
    /// The model.
    Model,
    /// Whether the answer is a stream.
    Stream,
    /// Most output tokens of one choice.
    Cap,
    /// The object that holds the cap.
    CapParent,
    /// Choices, or images, asked for.
    Choices,
    /// OpenAI's `stream_options`.
    StreamOptions,
    /// Whether a stream shall bring usage.
    IncludeUsage,
    /// Whether the answer is worked on after the request ended.
    Background,
    /// On which terms: the service tier, the speed, the place, the size or the quality that is asked for.
    Term(Term),
}

/// A kind of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Image,
    Audio,
    File,
}

/// What an answer says at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// Text of the model.
    Text,
    /// Part of a JSON value that the model wrote as such.
    Json,
    /// A word that matters.
    Word(Word),
    /// A count. The last one that is not null holds.
    Figure(Figure),
    /// Something whose being there matters, whatever it says.
    Mark(Figure),
    /// A list of which each member counts one.
    List(Figure),
    /// A member of such a list.
    Each(Figure),
    /// A list of counts by modality or lifetime.
    Split(Split),
    /// A member of such a list: a name and a count.
    Part(Split),
    /// Anthropic's list of what each model did.
    Passes,
    /// A member of it.
    Pass,
    /// What the provider says it costs.
    Cost(Unit),
    /// An error, if there is anything.
    Error,
    /// The status that one request of a batch was answered with.
    Code,
    /// Base64 of the maker's own answer.
    Inner,
}

/// A short text of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The model that answered.
    Model,
    /// Why the model stopped.
    Stop,
    /// Of an event, an output, or the whole.
    Type,
    /// The answer's id.
    Id,
    /// How far the provider is.
    Status,
    /// `service_tier` and its kin.
    Tier,
    /// Anthropic's `speed`.
    Speed,
    /// Anthropic's `inference_geo`.
    Geo,
    /// Perplexity's `search_context_size`.
    SearchContext,
    /// Size of an image that was made.
    Size,
    /// Its quality.
    Quality,
    /// Name in a [`Split`], or type of an output.
    Name,
    /// What came of one request of a batch.
    Outcome,
    /// The file of a batch's results.
    OutputFile,
    /// The file of those of its requests that failed.
    ErrorFile,
}

/// A list of counts by modality or lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Prompt tokens.
    Prompt,
    /// Those of them that a cache served.
    Cache,
    /// Those that tools brought.
    Tool,
    /// Generated ones.
    Output,
    /// Cache writes by lifetime.
    Lifetime,
    /// Queries of grounding, by tool.
    Grounding,
}

/// What an amount of money is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// US dollars, decimal.
    Usd,
    /// 10⁻¹⁰ US dollars.
    Ticks,
}

macro_rules! figures {
    ($($figure:ident: $about:literal,)*) => {
        /// A count as the provider reports it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Figure {
            $(#[doc = $about] $figure,)*
        }

        const COUNT: usize = [$(Figure::$figure,)*].len();
    };
}

figures! {
    Input: "Prompt tokens; whether cached ones are among them depends on who reports.",
    Output: "Generated tokens; whether reasoning is among them depends too.",
    Total: "Both.",
    CacheRead: "Read from a cache.",
    CacheWrite: "Written to a cache, of whatever lifetime.",
    CacheWrite5m: "For five minutes.",
    CacheWrite1h: "For an hour.",
    Reasoning: "Reasoning.",
    ToolPrompt: "Put into the prompt by tools.",
    InputAudio: "Prompt tokens of sound.",
    InputImage: "Prompt tokens of images.",
    InputVideo: "Prompt tokens of video.",
    CacheReadAudio: "Of sound, read from a cache.",
    CacheReadImage: "Of images, read from a cache.",
    CacheReadVideo: "Of video, read from a cache.",
    OutputAudio: "Generated tokens of sound.",
    OutputImage: "Generated tokens of images.",
    OutputVideo: "Generated tokens of video.",
    AudioSeconds: "Seconds of sound in the prompt, whose tokens may be left out of it.",
    MarketCost: "There is a price by Vercel's gateway.",
    WebSearches: "Searches, as reported.",
    SearchCalls: "Search calls among the outputs.",
    GroundingQueries: "Queries of Google's grounding.",
    Sources: "Sources of a live search.",
    SearchUnits: "Cohere's search units.",
    Images: "Images, as reported.",
    ImagesMade: "Images in the answer.",
    Pages: "Pages of documents.",
    Seconds: "Seconds, begun ones whole.",
    Characters: "Characters.",
    MetricsInput: "Prompt tokens by Bedrock's metrics.",
    MetricsOutput: "Generated tokens by Bedrock's metrics.",
    MetricsCacheRead: "Cache reads by Bedrock's metrics.",
    MetricsCacheWrite: "Cache writes by Bedrock's metrics.",
    SearchRequests: "Requests that are charged one by one.",
}

/// The figures so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    counts: [u64; COUNT],
    present: u64,
}

// Each figure has a bit.
const _: () = assert!(COUNT <= 64);

impl Default for Figures {
    fn default() -> Self {
        Self { counts: [0; COUNT], present: 0 }
    }
}

impl Figures {
    /// A count, if it was reported.
    pub(super) fn get(&self, figure: Figure) -> Option<u64> {
        let bit = 1u64.checked_shl(figure as u32).unwrap_or(0);
        if self.present & bit == 0 { None } else { self.counts.get(figure as usize).copied() }
    }

    /// A count, 0 if it was not reported.
    pub(super) fn count(&self, figure: Figure) -> u64 {
        self.get(figure).unwrap_or(0)
    }

    pub(super) fn set(&mut self, figure: Figure, count: u64) {
        if let Some(place) = self.counts.get_mut(figure as usize) {
            *place = count;
            self.present |= 1u64.checked_shl(figure as u32).unwrap_or(0);
        }
    }

    pub(super) fn add(&mut self, figure: Figure, count: u64) {
        self.set(figure, self.count(figure).saturating_add(count));
    }

    pub(super) fn clear(&mut self, figure: Figure) {
        self.present &= !1u64.checked_shl(figure as u32).unwrap_or(0);
        if let Some(place) = self.counts.get_mut(figure as usize) {
            *place = 0;
        }
    }

    /// Sets a count that was not reported.
    pub(super) fn fill(&mut self, figure: Figure, count: Option<u64>) {
        if let (None, Some(count)) = (self.get(figure), count) {
            self.set(figure, count);
        }
    }
}

/// What figures mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) units: Units,
    /// A part of the output.
    pub(super) reasoning: u64,
}

impl Reading {
    /// Prompt tokens of all kinds, of which a cache read and wrote some, and generated tokens of all kinds. What is told
    /// apart is taken out of the text; a part may be told as larger than the whole.
    ///
    /// `writes`: for five minutes, for an hour.
    pub(super) fn inclusive(figures: &Figures, prompt: u64, writes: [u64; 2], output: u64) -> Self {
        use Figure::{CacheRead, CacheReadAudio, CacheReadImage, CacheReadVideo, InputAudio, InputImage, InputVideo};
        use Figure::{OutputAudio, OutputImage, OutputVideo};
        let cached = figures.count(CacheRead);
        let cached_audio = figures.count(CacheReadAudio).min(cached);
        let cached_image = figures.count(CacheReadImage).min(cached.saturating_sub(cached_audio));
        let cached_text = cached.saturating_sub(cached_audio).saturating_sub(cached_image);
        let cached_video = figures.count(CacheReadVideo).min(cached_text);
        let fresh = prompt.saturating_sub(cached).saturating_sub(writes.iter().fold(0, |sum, n| n.saturating_add(sum)));
        let audio = figures.count(InputAudio).saturating_sub(cached_audio).min(fresh);
        let image = figures.count(InputImage).saturating_sub(cached_image).min(fresh.saturating_sub(audio));
        let rest = fresh.saturating_sub(audio).saturating_sub(image);
        let video = figures.count(InputVideo).saturating_sub(cached_video).min(rest);
        let heard = figures.count(OutputAudio).min(output);
        let seen = figures.count(OutputImage).min(output.saturating_sub(heard));
        let shown = figures.count(OutputVideo).min(output.saturating_sub(heard).saturating_sub(seen));
        let mut units = Units::of(&[
            (Kind::Input, rest.saturating_sub(video)),
            (Kind::CacheRead, cached_text.saturating_sub(cached_video)),
            (Kind::InputAudio, audio),
            (Kind::InputImage, image),
            (Kind::InputVideo, video),
            (Kind::CacheReadAudio, cached_audio),
            (Kind::CacheReadImage, cached_image),
            (Kind::CacheReadVideo, cached_video),
            (Kind::Output, output.saturating_sub(heard).saturating_sub(seen).saturating_sub(shown)),
            (Kind::OutputAudio, heard),
            (Kind::OutputImage, seen),
            (Kind::OutputVideo, shown),
        ]);
        for (kind, count) in [Kind::CacheWrite5m, Kind::CacheWrite1h].into_iter().zip(writes) {
            units.set(kind, count);
        }
        // Some report more reasoning than output.
        Self { units, reasoning: figures.count(Figure::Reasoning).min(output) }.with_calls(figures)
    }

    /// Prompt tokens beside those that a cache read and wrote.
    pub(super) fn exclusive(figures: &Figures) -> Self {
        let writes = writes(figures);
        let cached =
            figures.count(Figure::CacheRead).saturating_add(writes.iter().fold(0, |sum, n| n.saturating_add(sum)));
        Self::inclusive(
            figures,
            figures.count(Figure::Input).saturating_add(cached),
            writes,
            figures.count(Figure::Output),
        )
    }

    /// With the units that are not tokens.
    fn with_calls(mut self, figures: &Figures) -> Self {
        let searches = figures.get(Figure::WebSearches).unwrap_or_else(|| figures.count(Figure::SearchCalls));
        let calls = [
            (Kind::WebSearches, searches),
            (Kind::GroundingQueries, figures.count(Figure::GroundingQueries)),
            (Kind::Sources, figures.count(Figure::Sources)),
            (Kind::SearchUnits, figures.count(Figure::SearchUnits)),
            (Kind::Images, figures.count(Figure::Images)),
            (Kind::Pages, figures.count(Figure::Pages)),
            (Kind::Seconds, figures.count(Figure::Seconds)),
            (Kind::Characters, figures.count(Figure::Characters)),
            (Kind::Requests, figures.count(Figure::SearchRequests)),
        ];
        for (kind, count) in calls {
            self.units.set(kind, count);
        }
        self
    }
}

/// Cache writes for five minutes and for an hour. Writes that the split by lifetime leaves out are five-minute ones: it
/// comes once, early, and the total may grow after it.
fn writes(figures: &Figures) -> [u64; 2] {
    let hour = figures.count(Figure::CacheWrite1h);
    let rest = figures.count(Figure::CacheWrite).saturating_sub(hour);
    [rest.max(figures.count(Figure::CacheWrite5m)), hour]
}

/// The dialect of a wire format.
pub(super) fn of(api: Api) -> &'static Dialect {
    match api {
        Api::AlephAlphaComplete => &super::aleph_alpha::DIALECT,
        Api::AnthropicBatch => &super::anthropic_batch::DIALECT,
        Api::AnthropicComplete => &super::anthropic_complete::DIALECT,
        Api::AnthropicMessages => &super::anthropic_messages::DIALECT,
        Api::BedrockConverse => &super::bedrock_converse::DIALECT,
        Api::BedrockInvoke => &super::bedrock_invoke::DIALECT,
        Api::CohereChat | Api::CohereEmbed | Api::CohereRerank => &super::cohere::DIALECT,
        Api::GeminiEmbed => &super::gemini_embed::DIALECT,
        Api::GeminiGenerate => &super::gemini_generate::DIALECT,
        Api::GeminiInteractions => &super::gemini_interactions::DIALECT,
        Api::LlamaCppCompletion => &super::llama_cpp::DIALECT,
        Api::MistralOcr => &super::mistral_ocr::DIALECT,
        Api::OllamaChat | Api::OllamaGenerate | Api::OllamaEmbed => &super::ollama::DIALECT,
        Api::OpenAiBatch => &super::openai_batch::DIALECT,
        Api::OpenAiChat => &super::openai_chat::DIALECT,
        Api::OpenAiCompletions => &super::openai_completions::DIALECT,
        Api::OpenAiEmbeddings => &super::openai_embeddings::DIALECT,
        Api::OpenAiImages => &super::openai_images::DIALECT,
        Api::OpenAiRealtime => &super::openai_realtime::DIALECT,
        Api::OpenAiResponses => &super::openai_responses::DIALECT,
        Api::OpenAiSpeech => &super::openai_speech::DIALECT,
        Api::OpenAiTranscription => &super::openai_transcription::DIALECT,
        Api::ReplicatePredictions => &super::replicate::DIALECT,
        Api::SageMakerInvoke | Api::TgiGenerate => &super::tgi::DIALECT,
        Api::VertexPredict => &super::vertex_predict::DIALECT,
        Api::WatsonxGenerate => &super::watsonx::DIALECT,
    }
}
