//! A rate and what it takes to write one down: a decimal text, a day, a factor. All exact, no floats.

use crate::money::{MoneyError, NanoUsd};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A rate: nano-USD per 10⁶ units, so that `rate × units` is the cost in 10⁻¹⁵ USD, exactly.
///
/// Written as a decimal text of USD per 10⁶ units, `"3.00"`, never as a number: a number may have passed a float.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

/// A factor on rates, in 10⁻⁹: `"0.85"` is 850,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multiplier(u64);

/// A product of [`Multiplier`]s, exact: `digits × 10⁻ˢᶜᵃˡᵉ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// Its digits.
    pub digits: u128,
    /// How many of them are decimals.
    pub scale: u32,
}

/// A span of the day, UTC: from a minute on, until another, which is not in it. It may go past midnight. Written
/// `01:00-04:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hours {
    from_minute: u16,
    until_minute: u16,
}

/// A day of the week, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A day of the calendar, 1970 or later; it begins at midnight UTC. Written `2026-05-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// Why a rate, a factor or a day cannot be read or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateError {
    /// No decimal amount, or too fine, or too large.
    #[error(transparent)]
    Decimal(#[from] MoneyError),
    /// No day of the calendar from 1970 on.
    #[error("`{0}` is not a day such as 2026-05-01")]
    NotDay(String),
    /// No span of the day.
    #[error("`{0}` is not a span of the day such as 01:00-04:00")]
    NotHours(String),
    /// A scaled rate above what 64 bits hold.
    #[error("{rate} × {factor} does not fit")]
    TooLarge {
        /// The rate before.
        rate: Rate,
        /// What it was multiplied with.
        factor: Multiplier,
    },
}

/// Parts of a whole in a [`Multiplier`].
const ONE: u64 = 1_000_000_000;
/// Decimals of a [`Multiplier`] at most.
const DECIMALS: u32 = 9;

impl Rate {
    /// Reads USD per 10⁶ units, such as `"3.00"`; at most nine decimals.
    ///
    /// # Errors
    /// [`RateError::Decimal`].
    pub fn from_decimal(text: &str) -> Result<Self, RateError> {
        Ok(Self(NanoUsd::from_decimal(text)?.0))
    }

    /// This rate times `factor`, to the nearest nano-USD per 10⁶ units, half up.
    ///
    /// # Errors
    /// [`RateError::TooLarge`].
    pub fn scaled(self, factor: Multiplier) -> Result<Self, RateError> {
        let product = u128::from(self.0).checked_mul(u128::from(factor.0));
        product
            .and_then(|p| p.checked_add(u128::from(ONE / 2)))
            .and_then(|p| p.checked_div(u128::from(ONE)))
            .and_then(|p| u64::try_from(p).ok())
            .map(Self)
            .ok_or(RateError::TooLarge { rate: self, factor })
    }
}

impl Multiplier {
    /// Leaves a rate as it is.
    pub const ONE: Self = Self(ONE);

    /// How many decimals it has that are not 0 at the end.
    #[must_use]
    pub fn decimals(self) -> u32 {
        (0..DECIMALS)
            .rev()
            .find(|at| !self.0.is_multiple_of(10_u64.pow(DECIMALS.saturating_sub(*at))))
            .map_or(0, |at| at.saturating_add(1))
    }

    /// Reads a factor such as `"0.85"` or `"1.1"`; at most nine decimals.
    ///
    /// # Errors
    /// [`RateError::Decimal`].
    pub fn from_decimal(text: &str) -> Result<Self, RateError> {
        Ok(Self(NanoUsd::from_decimal(text)?.0))
    }
}

impl Factor {
    /// Leaves a rate as it is.
    pub const ONE: Self = Self { digits: 1, scale: 0 };

    /// This times another; `None` when it has more digits than fit.
    #[must_use]
    pub fn times(self, other: Multiplier) -> Option<Self> {
        if other == Multiplier::ONE {
            return Some(self);
        }
        let scale = other.decimals();
        let digits = other.0.checked_div(10_u64.checked_pow(DECIMALS.checked_sub(scale)?)?)?;
        let digits = self.digits.checked_mul(u128::from(digits))?;
        Some(Self { digits, scale: self.scale.checked_add(scale)? })
    }
}

const MINUTES_A_DAY: u16 = 1_440;

impl Hours {
    /// Reads `01:00-04:00`. `24:00` may end a span.
    ///
    /// # Errors
    /// [`RateError::NotHours`].
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let minute = |part: &str| -> Option<u16> {
            let (hour, minute) = part.split_once(':')?;
            let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            if !two(hour) || !two(minute) {
                return None;
            }
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            let all = hour.checked_mul(60)?.checked_add(minute)?;
            (minute < 60 && all <= MINUTES_A_DAY).then_some(all)
        };
        let span = text.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
        match span {
            Some((from_minute, until_minute)) if from_minute < MINUTES_A_DAY && from_minute != until_minute => {
                Ok(Self { from_minute, until_minute })
            }
            _ => Err(RateError::NotHours(text.to_owned())),
        }
    }

    /// Whether a moment (milliseconds since 1970) lies in it.
    #[must_use]
    pub fn hold(self, at_ms: u64) -> bool {
        let minute = at_ms.checked_div(60_000).and_then(|m| m.checked_rem(u64::from(MINUTES_A_DAY))).unwrap_or(0);
        let (from, until) = (u64::from(self.from_minute), u64::from(self.until_minute));
        if from < until { from <= minute && minute < until } else { from <= minute || minute < until }
    }
}

impl Weekday {
    const FROM_MONDAY: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// The day of a moment, milliseconds since 1970. That year began on a Thursday.
    #[must_use]
    pub fn of(at_ms: u64) -> Self {
        let day = at_ms.checked_div(86_400_000).and_then(|days| days.checked_add(3)?.checked_rem(7));
        let at = day.and_then(|day| usize::try_from(day).ok()).unwrap_or(0);
        Self::FROM_MONDAY.get(at).copied().unwrap_or(Self::Mon)
    }
}

impl Date {
    /// The first day that can be written: a price for all time is from here.
    pub const EPOCH: Self = Self { year: 1970, month: 1, day: 1 };

    /// Reads `2026-05-01`.
    ///
    /// # Errors
    /// [`RateError::NotDay`].
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let bad = || RateError::NotDay(text.to_owned());
        let mut parts = text.split('-');
        let mut part = |len: usize| -> Option<u16> {
            let digits = parts.next()?;
            (digits.len() == len && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
        };
        let (year, month, day) = (part(4), part(2), part(2));
        if parts.next().is_some() {
            return Err(bad());
        }
        let (Some(year), Some(month), Some(day)) = (year, month, day) else { return Err(bad()) };
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 0,
        };
        if year < 1970 || day == 0 || day > days {
            return Err(bad());
        }
        let small = |n: u16| u8::try_from(n).map_err(|_| bad());
        Ok(Self { year, month: small(month)?, day: small(day)? })
    }

    /// Midnight UTC at which the day begins, milliseconds since 1970.
    ///
    /// Days from a civil date after Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html>: years that
    /// begin in March have their leap day last.
    #[must_use]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "years are 1970 to 9999: every step fits and none is below zero"
    )]
    pub fn start_ms(self) -> u64 {
        let (month, day) = (u64::from(self.month), u64::from(self.day));
        let year = u64::from(self.year) - u64::from(month <= 2);
        let month_from_march = (month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
        const DAYS_BEFORE_1970: u64 = 719_468;
        (days - DAYS_BEFORE_1970) * 86_400_000
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NanoUsd(self.0).fmt(f)
    }
}

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NanoUsd(self.0).fmt(f)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |minute: u16| (minute.checked_div(60).unwrap_or(0), minute.checked_rem(60).unwrap_or(0));
        let (from, until) = (part(self.from_minute), part(self.until_minute));
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.0, from.1, until.0, until.1)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Reads a text by `parse`, for types that are written as one.
struct Text<T>(fn(&str) -> Result<T, RateError>, &'static str);

impl<T> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

macro_rules! as_text {
    ($type:ident, $parse:path, $expecting:literal, $pattern:literal, $about:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text($parse, $expecting))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "authoring")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}

as_text!(
    Rate,
    Rate::from_decimal,
    "USD per 10⁶ units as a text in quotes, such as \"3.00\"",
    r"^[0-9]+(\.[0-9]{1,9})?$",
    "USD per 10⁶ units, in quotes: \"3.00\""
);
as_text!(
    Multiplier,
    Multiplier::from_decimal,
    "a factor as a text in quotes, such as \"0.85\"",
    r"^[0-9]+(\.[0-9]{1,9})?$",
    "A factor, in quotes: \"0.85\""
);
as_text!(
    Hours,
    Hours::parse,
    "a span of the day such as \"01:00-04:00\"",
    r"^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$",
    "A span of the day, UTC, the end not in it: \"01:00-04:00\""
);
as_text!(Date, Date::parse, "a day such as 2026-05-01", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "A day, UTC: 2026-05-01");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_exactly_from_a_text_and_written_the_same() {
        let cases = [
            ("3.00", Some((3_000_000_000, "3.00"))),
            ("0.0000001", Some((100, "0.0000001"))),
            ("0.000000001", Some((1, "0.000000001"))),
            ("0", Some((0, "0.00"))),
            ("1.875", Some((1_875_000_000, "1.875"))),
            ("0.0000000001", None),
            ("-1", None),
            ("1e-6", None),
            ("3,00", None),
        ];
        for (text, want) in cases {
            let read: Result<Rate, _> = serde_json::from_value(serde_json::json!(text));
            assert_eq!(read.as_ref().ok().map(|rate| rate.0), want.map(|(nano, _)| nano), "{text}");
            if let (Ok(rate), Some((_, shown))) = (read, want) {
                assert_eq!(serde_json::to_value(rate).unwrap(), serde_json::json!(shown), "{text}");
            }
        }
    }

    #[test]
    fn a_rate_written_as_a_number_is_refused_with_the_fix() {
        let error = serde_json::from_str::<Rate>("3.0").unwrap_err().to_string();
        assert!(error.contains("in quotes, such as \"3.00\""), "{error}");
    }

    #[test]
    fn a_scaled_rate_is_rounded_half_up_and_never_wraps() {
        let cases = [
            (3_000_000_000, "0.85", Some(2_550_000_000)),
            (3_000_000_000, "1", Some(3_000_000_000)),
            (3_000_000_000, "0", Some(0)),
            (1, "0.5", Some(1)),
            (1, "0.499999999", Some(0)),
            (u64::MAX, "1", Some(u64::MAX)),
            (u64::MAX, "1.000000001", None),
            (u64::MAX, "18000000000", None),
        ];
        for (rate, factor, want) in cases {
            let scaled = Rate(rate).scaled(Multiplier::from_decimal(factor).unwrap());
            assert_eq!(scaled.ok(), want.map(Rate), "{rate} × {factor}");
        }
    }

    #[test]
    fn a_product_of_factors_keeps_every_digit() {
        let product = |texts: &[&str]| {
            let factors = texts.iter().map(|text| Multiplier::from_decimal(text).unwrap());
            factors.into_iter().try_fold(Factor::ONE, |product, factor| product.times(factor))
        };
        assert_eq!(product(&[]), Some(Factor::ONE));
        assert_eq!(product(&["1", "1.0"]), Some(Factor::ONE));
        assert_eq!(product(&["0.5", "1.1"]), Some(Factor { digits: 55, scale: 2 }));
        assert_eq!(product(&["2"]), Some(Factor { digits: 2, scale: 0 }));
        assert_eq!(product(&["0.000000001"; 4]), Some(Factor { digits: 1, scale: 36 }));
        assert_eq!(product(&["0"]), Some(Factor { digits: 0, scale: 0 }));
        assert_eq!(product(&["1.000000001"; 5]), None);
    }

    #[test]
    fn a_span_of_the_day_may_go_past_midnight() {
        let at = |hour: u64, minute: u64| 1_795_392_000_000 + (hour * 60 + minute) * 60_000;
        let cases = [
            ("01:00-04:00", (1, 0), true),
            ("01:00-04:00", (0, 59), false),
            ("01:00-04:00", (3, 59), true),
            ("01:00-04:00", (4, 0), false),
            ("16:30-00:30", (16, 30), true),
            ("16:30-00:30", (0, 29), true),
            ("16:30-00:30", (0, 30), false),
            ("12:00-24:00", (23, 59), true),
            ("12:00-24:00", (0, 0), false),
        ];
        for (text, (hour, minute), want) in cases {
            let hours = Hours::parse(text).unwrap();
            assert_eq!(hours.hold(at(hour, minute)), want, "{text} at {hour}:{minute}");
            assert_eq!(hours.to_string(), text);
        }
        for text in
            ["", "1:00-2:00", "01:00", "24:00-01:00", "01:60-02:00", "01:00-25:00", "05:00-05:00", "+1:00-02:00"]
        {
            assert_eq!(Hours::parse(text), Err(RateError::NotHours(text.to_owned())));
        }
    }

    #[test]
    fn a_day_of_the_week_is_that_of_utc() {
        // 2026-11-23 is a Monday.
        let monday = 1_795_392_000_000;
        for (day, want) in Weekday::FROM_MONDAY.into_iter().enumerate() {
            let begin = monday + day as u64 * 86_400_000;
            assert_eq!((Weekday::of(begin), Weekday::of(begin + 86_399_999)), (want, want));
        }
        assert_eq!(Weekday::of(0), Weekday::Thu);
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let cases = [
            // seconds from `date -u -d … +%s`
            ("1970-01-01", Some(0)),
            ("1970-12-31", Some(31_449_600)),
            ("2000-02-29", Some(951_782_400)),
            ("2000-03-01", Some(951_868_800)),
            ("2024-02-29", Some(1_709_164_800)),
            ("2026-11-23", Some(1_795_392_000)),
            ("9999-12-31", Some(253_402_214_400)),
            ("1969-12-31", None),
            ("2026-02-29", None),
            ("2100-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-1-01", None),
            ("2026-01-01-01", None),
            ("2026-01", None),
            ("+026-01-01", None),
            ("", None),
        ];
        for (text, want) in cases {
            let day = Date::parse(text).ok();
            assert_eq!(day.map(Date::start_ms), want.map(|s: u64| s * 1_000), "{text}");
            assert_eq!(day.map(|day| day.to_string()), want.map(|_| text.to_owned()), "{text}");
        }
    }
}
