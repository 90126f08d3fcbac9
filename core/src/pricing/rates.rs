//! What a price says: rates by kind, other rates for long prompts, and variants for other terms and hours.
//!
//! Written flat, one key for each kind: `{ from: 2026-01-01, input: "2.50", web_searches: "10000" }`. A key that is not
//! known is refused with the one that was likely meant.
//!
//! - A kind without a rate is charged at its parent's (see [`RateKey::parents`]). `"0"` is a rate. A kind with neither
//!   has no price, which is not zero.
//! - Of the variants about the same term the first that holds counts; those about different terms combine: rates of the
//!   first that states them, multipliers multiplied.

use super::rate::{Date, Hours, Multiplier, Rate, RateError, Weekday};
use crate::usage::{Kind, Term, Terms};
use serde::de::{self, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What has a rate: a kind of units, or reasoning where that is priced apart from other output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateKey {
    /// Units of a kind.
    Of(Kind),
    /// Reasoning tokens: a part of the output that has a rate of its own.
    Reasoning,
}

impl RateKey {
    /// Everything that can have a rate.
    pub fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::Of).chain(std::iter::once(Self::Reasoning))
    }

    /// The key that prices are written with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Of(kind) => kind.name(),
            Self::Reasoning => "reasoning",
        }
    }

    /// What is written with this key.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == "reasoning" { Some(Self::Reasoning) } else { Kind::named(name).map(Self::Of) }
    }

    /// Whose rate is charged where this has none, the nearest first.
    #[must_use]
    pub fn parents(self) -> &'static [Self] {
        const INPUT: RateKey = RateKey::Of(Kind::Input);
        match self {
            Self::Of(Kind::CacheRead | Kind::CacheWrite5m | Kind::InputAudio | Kind::InputImage | Kind::InputVideo) => {
                &[INPUT]
            }
            Self::Of(Kind::CacheWrite1h) => &[Self::Of(Kind::CacheWrite5m), INPUT],
            Self::Of(Kind::CacheReadAudio | Kind::CacheReadImage | Kind::CacheReadVideo) => {
                &[Self::Of(Kind::CacheRead), INPUT]
            }
            Self::Of(Kind::OutputAudio | Kind::OutputImage | Kind::OutputVideo) | Self::Reasoning => {
                &[Self::Of(Kind::Output)]
            }
            Self::Of(_) => &[],
        }
    }

    /// Whether it is tokens of the prompt.
    #[must_use]
    pub fn is_prompt(self) -> bool {
        matches!(self, Self::Of(kind) if Kind::PROMPT.contains(&kind))
    }

    /// Whether it is tokens of the output.
    #[must_use]
    pub fn is_output(self) -> bool {
        match self {
            Self::Of(kind) => Kind::OUTPUT.contains(&kind),
            Self::Reasoning => true,
        }
    }

    /// Whether it is counted otherwise than in tokens: a fee.
    #[must_use]
    pub fn is_fee(self) -> bool {
        !self.is_prompt() && !self.is_output()
    }
}

/// Rates by kind: those that are stated, in the order of kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateMap(Vec<(RateKey, Rate)>);

impl RateMap {
    /// The stated rate.
    #[must_use]
    pub fn get(&self, key: RateKey) -> Option<Rate> {
        self.0.iter().find(|(stated, _)| *stated == key).map(|(_, rate)| *rate)
    }

    /// States a rate, in the place of one that was.
    pub fn set(&mut self, key: RateKey, rate: Rate) {
        match self.0.binary_search_by_key(&key, |(stated, _)| *stated) {
            Ok(at) => {
                if let Some(place) = self.0.get_mut(at) {
                    place.1 = rate;
                }
            }
            Err(at) => {
                self.0.insert(at, (key, rate));
                self.0.shrink_to_fit();
            }
        }
    }

    /// All of them, in the order of kinds.
    pub fn iter(&self) -> impl Iterator<Item = (RateKey, Rate)> + '_ {
        self.0.iter().copied()
    }

    /// Whether none is stated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn scale(&mut self, factor: Multiplier) -> Result<(), RateError> {
        for (_, rate) in &mut self.0 {
            *rate = rate.scaled(factor)?;
        }
        Ok(())
    }
}

impl FromIterator<(RateKey, Rate)> for RateMap {
    fn from_iter<I: IntoIterator<Item = (RateKey, Rate)>>(rates: I) -> Self {
        let mut map = Self::default();
        rates.into_iter().for_each(|(key, rate)| map.set(key, rate));
        map
    }
}

/// Rates from one day on, USD per 10⁶ units.
///
/// Units are tokens for most kinds; a fee per search, image, page, second or request is written per 10⁶ of them too:
/// 10 USD per 1,000 searches is `web_searches: "10000"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates {
    /// The first day, UTC.
    pub from: Date,
    /// The day from which they hold no more. Absent: until the next rates begin.
    pub until: Option<Date>,
    /// Rates on the usual terms, prompts of any length.
    pub rates: RateMap,
    /// The least that a request costs which used anything, USD. Absent: nothing.
    pub minimum: Option<Rate>,
    /// Other rates of requests with long prompts, ascending.
    pub tiers: Vec<Tier>,
    /// Other rates on other terms, and in other hours.
    pub variants: Vec<Variant>,
}

/// Rates of requests whose prompt is long. They hold for the whole request, output too, unless `marginal`.
///
/// A kind without a rate here keeps the one outside the tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Prompts of more tokens than this, cached ones counted in.
    pub above: u64,
    /// Prompts of exactly `above` tokens too.
    pub inclusive: bool,
    /// For the prompt's tokens above only, not for the whole request. A prompt begins with what was cached.
    pub marginal: bool,
    /// Its rates.
    pub rates: RateMap,
}

/// What another term costs: rates of its own, or a factor on the usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// On which terms, in which hours.
    pub when: When,
    /// A factor on all rates of tokens; on the rates of other variants that hold too.
    pub multiplier: Option<Multiplier>,
    /// Whether `multiplier` is for fees too.
    pub fees: bool,
    /// Rates in the place of the usual ones, at any length of the prompt that has no tier here.
    pub rates: RateMap,
    /// Its own rates of long prompts.
    pub tiers: Vec<Tier>,
}

/// When a variant holds: all that is stated must be so. `*` is any value but the usual one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
pub struct When {
    /// See [`Term::ServiceTier`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<Box<str>>,
    /// See [`Term::Geo`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geo: Option<Box<str>>,
    /// See [`Term::Speed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<Box<str>>,
    /// See [`Term::SearchContext`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_context: Option<Box<str>>,
    /// See [`Term::Size`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Box<str>>,
    /// See [`Term::Quality`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Box<str>>,
    /// In one of these spans of the day, UTC. Empty: always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// On these days of the week, UTC. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
}

/// The terms, in the order in which a variant is about one.
pub(super) const TERMS: [Term; 6] =
    [Term::ServiceTier, Term::Geo, Term::Speed, Term::SearchContext, Term::Size, Term::Quality];

impl When {
    /// The value that a term must have; `None` when it is no matter.
    #[must_use]
    pub fn term(&self, term: Term) -> Option<&str> {
        match term {
            Term::ServiceTier => self.service_tier.as_deref(),
            Term::Geo => self.geo.as_deref(),
            Term::Speed => self.speed.as_deref(),
            Term::SearchContext => self.search_context.as_deref(),
            Term::Size => self.size.as_deref(),
            Term::Quality => self.quality.as_deref(),
        }
    }

    /// Puts a value for a term.
    pub fn set(&mut self, term: Term, value: &str) {
        let value = Some(value.into());
        match term {
            Term::ServiceTier => self.service_tier = value,
            Term::Geo => self.geo = value,
            Term::Speed => self.speed = value,
            Term::SearchContext => self.search_context = value,
            Term::Size => self.size = value,
            Term::Quality => self.quality = value,
        }
    }

    /// What it is about: the first term that it states, or the hours (`None`).
    #[must_use]
    pub fn subject(&self) -> Option<Term> {
        TERMS.into_iter().find(|term| self.term(*term).is_some())
    }

    /// Whether it states nothing: such a variant would always hold.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether hours and days are as stated.
    #[must_use]
    pub fn hours_hold(&self, at_ms: u64) -> bool {
        (self.hours.is_empty() || self.hours.iter().any(|hours| hours.hold(at_ms)))
            && (self.days.is_empty() || self.days.contains(&Weekday::of(at_ms)))
    }

    /// Whether it all is as stated.
    #[must_use]
    pub fn holds(&self, terms: &Terms, at_ms: u64) -> bool {
        let is = |term: Term, value: &str| {
            let said = terms.get(&term).and_then(|said| unusual(term, said));
            said.is_some_and(|said| fits(value, said))
        };
        TERMS.into_iter().all(|term| self.term(term).is_none_or(|value| is(term, value))) && self.hours_hold(at_ms)
    }
}

/// Whether a value that a price states is the one that was said: `*` is any that is not the usual one.
pub(super) fn fits(stated: &str, said: &str) -> bool {
    stated == "*" || stated == said
}

/// The value of a term in the words of prices; `None` when it is the usual one.
///
/// Providers have several words for what is usual: `default`, `standard`, `auto` and `on_demand` of OpenAI, Anthropic and
/// Groq, and Vertex's `ON_DEMAND_PRIORITY` is what others call `priority`.
#[must_use]
pub fn unusual(term: Term, value: &str) -> Option<&str> {
    match (term, value) {
        (_, "" | "default" | "standard" | "auto" | "not_available" | "normal") if term != Term::Quality => None,
        (Term::Geo, "global") | (Term::ServiceTier, "on_demand" | "standard_only" | "unspecified") => None,
        (Term::Quality, "") => None,
        (Term::ServiceTier, "provisioned_throughput") => Some("provisioned"),
        (Term::ServiceTier, _) => Some(value.strip_prefix("on_demand_").unwrap_or(value)),
        _ => Some(value),
    }
}

impl Rates {
    /// Rates from a day on that say nothing yet.
    #[must_use]
    pub fn from(from: Date) -> Self {
        let (tiers, variants) = (Vec::new(), Vec::new());
        Self { from, until: None, rates: RateMap::default(), minimum: None, tiers, variants }
    }

    /// The stated rate of a kind outside every tier, without falling back to its parent.
    #[must_use]
    pub fn stated(&self, kind: Kind) -> Option<Rate> {
        self.rates.get(RateKey::Of(kind))
    }

    /// The tier of a request by its prompt: the highest that it reaches.
    #[must_use]
    pub fn tier(&self, prompt_tokens: u64) -> Option<&Tier> {
        reached(&self.tiers, prompt_tokens)
    }

    /// The rate of a kind in a tier (`None`: outside every tier) on the usual terms, at its parent's where it has none of
    /// its own.
    #[must_use]
    pub fn rate(&self, kind: Kind, tier: Option<&Tier>) -> Option<Rate> {
        let stated = |key| tier.and_then(|tier| tier.rates.get(key)).or_else(|| self.rates.get(key));
        with_parents(RateKey::Of(kind), stated)
    }

    /// Every rate, of tiers and variants too, times a factor. Multipliers of variants stay: they are on the product.
    ///
    /// # Errors
    /// [`RateError::TooLarge`].
    pub fn scaled(&self, factor: Multiplier) -> Result<Self, RateError> {
        let mut scaled = self.clone();
        scaled.rates.scale(factor)?;
        scaled.minimum = scaled.minimum.map(|minimum| minimum.scaled(factor)).transpose()?;
        for variant in &mut scaled.variants {
            variant.rates.scale(factor)?;
        }
        let tiers = scaled.variants.iter_mut().flat_map(|variant| &mut variant.tiers).chain(&mut scaled.tiers);
        for tier in tiers {
            tier.rates.scale(factor)?;
        }
        Ok(scaled)
    }
}

/// The rate that is stated for a key, or for the nearest of its parents.
pub(super) fn with_parents(key: RateKey, stated: impl Fn(RateKey) -> Option<Rate>) -> Option<Rate> {
    stated(key).or_else(|| key.parents().iter().copied().find_map(stated))
}

/// The highest tier for whole requests that a prompt reaches.
pub(super) fn reached(tiers: &[Tier], prompt_tokens: u64) -> Option<&Tier> {
    tiers.iter().filter(|tier| !tier.marginal && tier.holds(prompt_tokens)).max_by_key(|tier| tier.above)
}

impl Tier {
    /// Whether a prompt of so many tokens reaches it.
    #[must_use]
    pub fn holds(&self, prompt_tokens: u64) -> bool {
        prompt_tokens > self.above || (self.inclusive && prompt_tokens == self.above)
    }

    /// The stated rate of a kind.
    #[must_use]
    pub fn stated(&self, kind: Kind) -> Option<Rate> {
        self.rates.get(RateKey::Of(kind))
    }
}

/// A map of named members and rates, written flat.
trait Flat: Sized {
    /// Names of the members that are no rates.
    const MEMBERS: &'static [&'static str];
    /// What it is, for errors.
    const WHAT: &'static str;
    /// The member without which it cannot be.
    const REQUIRED: &'static str;

    fn empty() -> Self;
    fn rates_mut(&mut self) -> &mut RateMap;
    /// Reads the value of a member; `false` when there is none of this name.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

struct FlatVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Flat> de::Visitor<'de> for FlatVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut it = T::empty();
        let mut complete = false;
        while let Some(name) = map.next_key::<String>()? {
            complete |= name == T::REQUIRED;
            if it.read(&name, &mut map)? {
                continue;
            }
            let Some(key) = RateKey::named(&name) else {
                let known = T::MEMBERS.iter().copied().chain(RateKey::all().map(RateKey::name));
                let hint = match nearest(&name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {} and the names of kinds", T::MEMBERS.join(", ")),
                };
                return Err(de::Error::custom(format!("unknown key `{name}`: {hint}")));
            };
            let rate: Option<Rate> = map.next_value()?;
            if let Some(rate) = rate {
                it.rates_mut().set(key, rate);
            }
        }
        if complete { Ok(it) } else { Err(de::Error::missing_field(T::REQUIRED)) }
    }
}

macro_rules! flat {
    ($($type:ident)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(FlatVisitor(std::marker::PhantomData))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                self.write(&mut map)?;
                map.end()
            }
        }
    )*};
}

flat!(Rates Tier Variant);

fn write_rates<M: SerializeMap>(rates: &RateMap, map: &mut M) -> Result<(), M::Error> {
    rates.iter().try_for_each(|(key, rate)| map.serialize_entry(key.name(), &rate))
}

fn write_list<M: SerializeMap, T: Serialize>(name: &'static str, list: &[T], map: &mut M) -> Result<(), M::Error> {
    if list.is_empty() { Ok(()) } else { map.serialize_entry(name, list) }
}

impl Flat for Rates {
    const MEMBERS: &'static [&'static str] = &["from", "until", "minimum", "tiers", "variants"];
    const WHAT: &'static str = "rates: a map with `from` and a rate for each kind";
    const REQUIRED: &'static str = "from";

    fn empty() -> Self {
        Self::from(Date::EPOCH)
    }

    fn rates_mut(&mut self) -> &mut RateMap {
        &mut self.rates
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "from" => self.from = map.next_value()?,
            "until" => self.until = map.next_value()?,
            "minimum" => self.minimum = map.next_value()?,
            "tiers" => self.tiers = map.next_value()?,
            "variants" => self.variants = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("from", &self.from)?;
        if let Some(until) = self.until {
            map.serialize_entry("until", &until)?;
        }
        write_rates(&self.rates, map)?;
        if let Some(minimum) = self.minimum {
            map.serialize_entry("minimum", &minimum)?;
        }
        write_list("tiers", &self.tiers, map)?;
        write_list("variants", &self.variants, map)
    }
}

impl Flat for Tier {
    const MEMBERS: &'static [&'static str] = &["above", "inclusive", "marginal"];
    const WHAT: &'static str = "a tier: a map with `above` and a rate for each kind";
    const REQUIRED: &'static str = "above";

    fn empty() -> Self {
        Self { above: 0, inclusive: false, marginal: false, rates: RateMap::default() }
    }

    fn rates_mut(&mut self) -> &mut RateMap {
        &mut self.rates
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "above" => self.above = map.next_value()?,
            "inclusive" => self.inclusive = map.next_value()?,
            "marginal" => self.marginal = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("above", &self.above)?;
        if self.inclusive {
            map.serialize_entry("inclusive", &true)?;
        }
        if self.marginal {
            map.serialize_entry("marginal", &true)?;
        }
        write_rates(&self.rates, map)
    }
}

impl Flat for Variant {
    const MEMBERS: &'static [&'static str] = &["when", "multiplier", "fees", "tiers"];
    const WHAT: &'static str = "a variant: a map with `when` and a multiplier, or a rate for each kind";
    const REQUIRED: &'static str = "when";

    fn empty() -> Self {
        let (when, rates) = (When::default(), RateMap::default());
        Self { when, multiplier: None, fees: false, rates, tiers: Vec::new() }
    }

    fn rates_mut(&mut self) -> &mut RateMap {
        &mut self.rates
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "when" => self.when = map.next_value()?,
            "multiplier" => self.multiplier = map.next_value()?,
            "fees" => self.fees = map.next_value()?,
            "tiers" => self.tiers = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("when", &self.when)?;
        if let Some(multiplier) = self.multiplier {
            map.serialize_entry("multiplier", &multiplier)?;
        }
        if self.fees {
            map.serialize_entry("fees", &true)?;
        }
        write_rates(&self.rates, map)?;
        write_list("tiers", &self.tiers, map)
    }
}

/// The candidate with the fewest letters to change, when they are few: at most one in three.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|candidate| (distance(word, candidate), candidate));
    let most = word.len().div_ceil(3);
    scored.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= most).map(|(_, near)| near)
}

/// Letters to put in, take out or change until one word is the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, a) in from.bytes().enumerate() {
        let mut diagonal = at;
        let mut left = at.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (b, place) in to.bytes().zip(row.iter_mut().skip(1)) {
            let changed = diagonal.saturating_add(usize::from(a != b));
            diagonal = *place;
            left = changed.min(place.saturating_add(1)).min(left.saturating_add(1));
            *place = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(feature = "authoring")]
mod schema {
    use super::{Rate, RateKey, Rates, Tier, Variant, When};
    use crate::pricing::rate::{Date, Multiplier};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde_json::{Map, Value, json};

    /// A closed object of these members and a rate for each kind.
    fn flat(generator: &mut SchemaGenerator, about: &str, members: &[(&str, Value)], required: &[&str]) -> Schema {
        let rate = generator.subschema_for::<Rate>();
        let rates = RateKey::all().map(|key| (key.name().to_owned(), json!(rate)));
        let members = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone()));
        let properties: Map<String, Value> = members.chain(rates).collect();
        json_schema!({
            "type": "object",
            "description": about,
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    impl JsonSchema for Rates {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Rates".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let members = [
                ("from", described(generator.subschema_for::<Date>(), "The first day, UTC.")),
                ("until", described(generator.subschema_for::<Date>(), "The day from which they hold no more.")),
                (
                    "minimum",
                    json!({
                        "type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,9})?$",
                        "description": "The least that a request costs which used anything, USD.",
                    }),
                ),
                ("tiers", json!({"type": "array", "items": generator.subschema_for::<Tier>()})),
                ("variants", json!({"type": "array", "items": generator.subschema_for::<Variant>()})),
            ];
            flat(generator, "Rates from one day on, USD per 10⁶ units of each kind.", &members, &["from"])
        }
    }

    impl JsonSchema for Tier {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Tier".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let members = [
                ("above", about(json!({"type": "integer", "minimum": 0}), "Prompts of more tokens than this.")),
                ("inclusive", about(json!({"type": "boolean"}), "Prompts of exactly so many tokens too.")),
                ("marginal", about(json!({"type": "boolean"}), "For the prompt's tokens above only.")),
            ];
            flat(generator, "Rates of requests with long prompts.", &members, &["above"])
        }
    }

    impl JsonSchema for Variant {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Variant".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let members = [
                ("when", json!(generator.subschema_for::<When>())),
                ("multiplier", described(generator.subschema_for::<Multiplier>(), "On all rates of tokens.")),
                ("fees", about(json!({"type": "boolean"}), "Whether the multiplier is for fees too.")),
                ("tiers", json!({"type": "array", "items": generator.subschema_for::<Tier>()})),
            ];
            flat(generator, "Rates on other terms, or a factor on the usual ones.", &members, &["when"])
        }
    }

    fn described(schema: Schema, text: &str) -> Value {
        about(json!(schema), text)
    }

    fn about(mut schema: Value, text: &str) -> Value {
        if let Some(map) = schema.as_object_mut() {
            map.insert("description".to_owned(), text.into());
        }
        schema
    }
}

#[cfg(test)]
mod tests;
