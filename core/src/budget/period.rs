//! Calendar periods with a time zone. Only where policy is compiled: the filter gets the moments.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime, civil};
use serde::{Deserialize, Serialize};

/// How often a budget starts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// At each full hour.
    Hour,
    /// At midnight.
    Day,
    /// At midnight before Monday.
    Week,
    /// On the first of the month.
    Month,
    /// On the first of January, April, July and October.
    Quarter,
    /// On the first of January.
    Year,
}

impl Period {
    /// How many periods a proxy gets to know ahead, so that it starts the next ones by itself.
    fn ahead(self) -> i32 {
        match self {
            Self::Hour => 72,
            Self::Day => 14,
            Self::Week | Self::Month | Self::Quarter | Self::Year => 4,
        }
    }

    fn start(self, at: &ZonedDateTime) -> Result<ZonedDateTime, jiff::Error> {
        let date = at.date();
        let day = match self {
            Self::Hour => {
                // By the clock's hour, in the zone's own offset: a day of 23 or 25 hours has as many.
                let into = Span::new().minutes(i64::from(at.minute())).seconds(i64::from(at.second()));
                return at.checked_sub(into.nanoseconds(i64::from(at.subsec_nanosecond())));
            }
            Self::Day => date,
            Self::Week => {
                let since_monday = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(Span::new().days(since_monday))?
            }
            Self::Month => civil::Date::new(date.year(), date.month(), 1)?,
            Self::Quarter => civil::Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1)?,
            Self::Year => civil::Date::new(date.year(), 1, 1)?,
        };
        day.to_zoned_datetime(at.time_zone().clone())
    }

    fn next(self, start: &ZonedDateTime) -> Result<ZonedDateTime, jiff::Error> {
        let step = match self {
            Self::Hour => return start.checked_add(Span::new().hours(1)),
            Self::Day => Span::new().days(1),
            Self::Week => Span::new().days(7),
            Self::Month => Span::new().months(1),
            Self::Quarter => Span::new().months(3),
            Self::Year => Span::new().years(1),
        };
        // From date to date: midnight is not always 24 hours after midnight.
        start.date().checked_add(step)?.to_zoned_datetime(start.time_zone().clone())
    }

    /// Start of the period that `now` lies in and of those that follow, milliseconds since 1970. The last is an end.
    ///
    /// # Errors
    /// When a date is out of the calendar's range.
    pub fn starts_ms(self, zone: &TimeZone, now: Timestamp) -> Result<Vec<u64>, jiff::Error> {
        let mut start = self.start(&now.to_zoned_datetime(zone.clone()))?;
        let mut starts = Vec::new();
        for _ in 0..=self.ahead() {
            starts.push(u64::try_from(start.timestamp().as_millisecond()).unwrap_or(0));
            start = self.next(&start)?;
        }
        Ok(starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(period: Period, zone: &str, now: &str) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let now: Timestamp = now.parse().unwrap();
        let starts = period.starts_ms(&zone, now).unwrap();
        starts.iter().take(3).map(|ms| Timestamp::from_millisecond(*ms as i64).unwrap().to_string()).collect()
    }

    #[test]
    fn periods_start_where_the_calendar_says() {
        let cases = [
            (Period::Day, "UTC", "2026-11-23T10:00:00Z", ["2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"]),
            (Period::Week, "UTC", "2026-11-25T10:00:00Z", ["2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"]),
            (Period::Month, "UTC", "2028-02-29T23:59:59Z", ["2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"]),
            (Period::Quarter, "UTC", "2026-11-25T10:00:00Z", ["2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
            (Period::Year, "UTC", "2026-11-25T10:00:00Z", ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
            (Period::Hour, "UTC", "2026-11-25T10:59:59.9Z", ["2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z"]),
            // The clocks go back: a day of 25 hours.
            (Period::Day, "Europe/Berlin", "2026-10-25T12:00:00Z", ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]),
            // They go forward: a day of 23.
            (Period::Day, "Europe/Berlin", "2026-03-29T12:00:00Z", ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]),
            (
                Period::Month,
                "America/New_York",
                "2026-11-01T02:00:00Z",
                ["2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z"],
            ),
        ];
        for (period, zone, now, want) in cases {
            assert_eq!(starts(period, zone, now)[..2], want, "{period:?} {zone} {now}");
        }
    }

    #[test]
    fn starts_ascend_in_every_zone_and_hold_now() {
        let now: Timestamp = "2026-03-28T23:30:00Z".parse().unwrap();
        let ms = now.as_millisecond() as u64;
        for zone in ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"] {
            let zone = TimeZone::get(zone).unwrap();
            for period in [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year] {
                let starts = period.starts_ms(&zone, now).unwrap();
                assert!(starts.windows(2).all(|pair| pair[0] < pair[1]), "{period:?}");
                assert!(starts[0] <= ms && ms < starts[1], "{period:?} {starts:?}");
            }
        }
    }
}
