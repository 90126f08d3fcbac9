//! What an exchange used, in disjoint kinds of units, and on which terms.

use serde::de::{self, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

macro_rules! kinds {
    ($($kind:ident = $name:literal: $about:literal,)*) => {
        /// A kind of unit that has its own price.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Kind {
            $(#[doc = $about] #[serde(rename = $name)] $kind,)*
        }

        impl Kind {
            /// Every kind: tokens of the prompt, tokens of the output, then what is counted otherwise.
            pub const ALL: [Self; COUNT] = [$(Self::$kind,)*];

            /// The name used in records, prices and metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }

        const COUNT: usize = [$($name,)*].len();
    };
}

kinds! {
    Input = "input": "Prompt tokens of text that no cache served or stored.",
    CacheRead = "cache_read": "Prompt tokens read from the provider's cache.",
    CacheWrite5m = "cache_write_5m": "Prompt tokens written to a cache that lives five minutes (also: a provider's only kind of write).",
    CacheWrite1h = "cache_write_1h": "Prompt tokens written to a cache that lives one hour.",
    InputAudio = "input_audio": "Prompt tokens of sound that no cache served.",
    InputImage = "input_image": "Prompt tokens of images that no cache served.",
    InputVideo = "input_video": "Prompt tokens of video that no cache served.",
    CacheReadAudio = "cache_read_audio": "Prompt tokens of sound read from the provider's cache.",
    CacheReadImage = "cache_read_image": "Prompt tokens of images read from the provider's cache.",
    CacheReadVideo = "cache_read_video": "Prompt tokens of video read from the provider's cache.",
    Output = "output": "Generated tokens of text, reasoning included.",
    OutputAudio = "output_audio": "Generated tokens of sound.",
    OutputImage = "output_image": "Generated tokens of images.",
    OutputVideo = "output_video": "Generated tokens of video.",
    WebSearches = "web_searches": "Searches of the web that the provider made.",
    GroundingQueries = "grounding_queries": "Queries that Google's grounding made.",
    Sources = "sources": "Sources that a live search used.",
    SearchUnits = "search_units": "Search units of a reranking.",
    Images = "images": "Images made, where they are not counted in tokens.",
    Pages = "pages": "Pages of documents read.",
    Seconds = "seconds": "Seconds of sound or video, begun ones whole.",
    Characters = "characters": "Characters of text, where they are not counted in tokens.",
    Requests = "requests": "Requests, where a provider charges for each.",
}

impl Kind {
    /// Tokens of the prompt.
    pub const PROMPT: [Self; 10] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::InputAudio,
        Self::InputImage,
        Self::InputVideo,
        Self::CacheReadAudio,
        Self::CacheReadImage,
        Self::CacheReadVideo,
    ];
    /// Tokens of the output.
    pub const OUTPUT: [Self; 4] = [Self::Output, Self::OutputAudio, Self::OutputImage, Self::OutputVideo];

    /// Whether its units are tokens.
    #[must_use]
    pub fn is_tokens(self) -> bool {
        Self::PROMPT.contains(&self) || Self::OUTPUT.contains(&self)
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Counts of units by kind. The kinds are disjoint: the sum of those that are tokens is what the exchange used.
///
/// Written as a map from names to counts, without those that are 0.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Units([u64; COUNT]);

impl Units {
    /// Some counts; the others are 0.
    #[must_use]
    pub fn of(counts: &[(Kind, u64)]) -> Self {
        let mut units = Self::default();
        for (kind, count) in counts {
            units.add(*kind, *count);
        }
        units
    }

    /// The count of one kind.
    #[must_use]
    pub fn get(&self, kind: Kind) -> u64 {
        self.0.get(kind as usize).copied().unwrap_or(0)
    }

    /// Puts another count in the place of what was there.
    pub fn set(&mut self, kind: Kind, count: u64) {
        if let Some(place) = self.0.get_mut(kind as usize) {
            *place = count;
        }
    }

    /// Adds to a count.
    pub fn add(&mut self, kind: Kind, count: u64) {
        self.set(kind, self.get(kind).saturating_add(count));
    }

    /// Adds all counts of another.
    pub fn add_all(&mut self, other: &Self) {
        for (kind, count) in other.used() {
            self.add(kind, count);
        }
    }

    /// The kinds that were used, with their counts.
    pub fn used(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        Kind::ALL.into_iter().map(|kind| (kind, self.get(kind))).filter(|(_, count)| *count > 0)
    }

    /// All prompt tokens: uncached, read from a cache, and written to one, of text and of media.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        Kind::PROMPT.into_iter().map(|kind| self.get(kind)).fold(0, u64::saturating_add)
    }

    /// All generated tokens.
    #[must_use]
    pub fn output(&self) -> u64 {
        Kind::OUTPUT.into_iter().map(|kind| self.get(kind)).fold(0, u64::saturating_add)
    }

    /// Prompt and output tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.prompt().saturating_add(self.output())
    }

    /// Whether nothing was used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }
}

impl fmt::Debug for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.used().map(|(kind, count)| (kind.name(), count))).finish()
    }
}

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (kind, count) in self.used() {
            map.serialize_entry(kind.name(), &count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> de::Visitor<'de> for Map {
            type Value = Units;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from kinds of units to counts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Units, A::Error> {
                let mut units = Units::default();
                while let Some((kind, count)) = map.next_entry::<Kind, u64>()? {
                    units.set(kind, count);
                }
                Ok(units)
            }
        }

        deserializer.deserialize_map(Map)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Units {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        <BTreeMap<String, u64> as utoipa::PartialSchema>::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Units {}

/// What of an exchange moves its price beside the counts: `service_tier: priority`, `geo: us`. Empty: the usual terms.
///
/// Names are those of [`Term`]; values are the provider's own words in lower case.
pub type Terms = BTreeMap<Term, String>;

/// What a term is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Term {
    /// How the provider processed it: `batch`, `flex`, `priority`, `provisioned`. As reported, not as asked for.
    ServiceTier,
    /// Where it was processed, where that has a price: `us`, `eu`.
    Geo,
    /// `fast`: a dearer, quicker way.
    Speed,
    /// How much a search took in: `low`, `medium`, `high`.
    SearchContext,
    /// Width and height of an image, or the height of a video: `1024x1024`, `720p`.
    Size,
    /// Quality of an image: `standard`, `hd`, `low`, `medium`, `high`.
    Quality,
}

impl Term {
    /// The name used in records and prices.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceTier => "service_tier",
            Self::Geo => "geo",
            Self::Speed => "speed",
            Self::SearchContext => "search_context",
            Self::Size => "size",
            Self::Quality => "quality",
        }
    }
}

/// Notes a term by the provider's word for it. A word for the usual terms leaves none.
pub fn set_term(terms: &mut Terms, term: Term, word: &[u8]) {
    let word = String::from_utf8_lossy(word).to_ascii_lowercase();
    let word = match word.as_str() {
        "on_demand_flex" => "flex",
        "on_demand_priority" => "priority",
        "provisioned_throughput" => "provisioned",
        word => word,
    };
    let usual = matches!(
        word,
        "" | "default"
            | "standard"
            | "standard_only"
            | "auto"
            | "on_demand"
            | "global"
            | "not_available"
            | "unspecified"
    );
    if usual {
        terms.remove(&term);
    } else {
        terms.insert(term, word.to_owned());
    }
}

/// How far a usage can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Quality {
    /// The provider's final report.
    Exact,
    /// The stream broke: what the provider had reported, completed by what was seen.
    Partial,
    /// Our own count: the provider reported nothing.
    Estimated,
}

impl Quality {
    /// The word that records use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Partial => "partial",
            Self::Estimated => "estimated",
        }
    }
}

/// What an exchange used, and how sure that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Disjoint counts, all passes together. Records of the first version call them tokens.
    #[serde(alias = "tokens")]
    pub units: Units,
    /// Reasoning tokens, when reported: a part of the output, never added to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// How sure the counts are.
    pub quality: Quality,
    /// On which terms.
    #[serde(default, skip_serializing_if = "Terms::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub terms: Terms,
    /// Where one request had several models at work, what each used; their sum is `units`. Empty: one did all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<Pass>,
    /// What the provider itself says it costs, nano-USD. Kept beside our cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_nano_usd: Option<u64>,
}

/// What one model used of a request that had several at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pass {
    /// Absent: the one that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Disjoint counts.
    pub units: Units,
    /// Where these are the counts of many requests, the prompt tokens of the longest: it says which tier of a price they
    /// reach, which is the same for all of them. Absent: of one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u64>,
}

impl Usage {
    /// These counts on the usual terms, by one model.
    #[must_use]
    pub fn new(units: Units, quality: Quality) -> Self {
        Self { units, reasoning: 0, quality, terms: Terms::new(), passes: Vec::new(), reported_nano_usd: None }
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_written_as_a_map_of_what_was_used() {
        let units = Units::of(&[(Kind::Output, 5), (Kind::CacheWrite1h, 2), (Kind::Pages, 0)]);
        let text = serde_json::to_string(&units).unwrap();
        assert_eq!(text, r#"{"cache_write_1h":2,"output":5}"#);
        assert_eq!(serde_json::from_str::<Units>(&text).unwrap(), units);
        assert!(serde_json::from_str::<Units>(r#"{"outputs":5}"#).is_err());
    }

    #[test]
    fn every_kind_has_its_own_place_and_name() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, Kind::named(kind.name())), (at, Some(kind)));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn prompt_and_output_are_disjoint_and_leave_out_what_is_no_token() {
        let mut units = Units::default();
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            units.set(kind, 1 << at);
        }
        assert_eq!((units.prompt(), units.output()), ((1 << 10) - 1, ((1 << 14) - 1) - ((1 << 10) - 1)));
        assert_eq!(units.tokens(), units.prompt() + units.output());
    }
}
