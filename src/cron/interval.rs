//! Schedules that are due at whole multiples of an interval.

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};

use crate::clock::Millis;
use crate::units;

/// The time between two ticks: a fixed one, or calendar months in UTC.
///
/// Multiples of months are counted from the origin, not from each other: from January 31 a month leads to February 28
/// and the second one to March 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval(Length);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Length {
    /// Milliseconds.
    Fixed(u64),
    /// Calendar months.
    Months(u32),
}

/// Fixed units and their length in milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Names of calendar units as they may stand behind a number, and their months. `m` alone is a minute.
const CALENDAR: [(&str, u32); 8] =
    [("month", 1), ("months", 1), ("M", 1), ("y", 12), ("yr", 12), ("yrs", 12), ("year", 12), ("years", 12)];

impl Interval {
    /// The shortest interval. Each tick becomes a slot on disk, and a group of those takes some milliseconds.
    pub const SHORTEST: Duration = Duration::from_millis(10);

    /// The longest interval in months: 100 years.
    pub const LONGEST_MONTHS: u32 = 1200;

    /// A fixed time of whole milliseconds. The error is a sentence without the value.
    pub fn fixed(time: Duration) -> Result<Self, String> {
        if time < Self::SHORTEST {
            return Err("it is shorter than 10 ms".to_owned());
        }
        if time > units::LONGEST {
            return Err("it is longer than 100 years".to_owned());
        }
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if Duration::from_millis(millis) != time {
            return Err("it is finer than milliseconds".to_owned());
        }
        Ok(Self(Length::Fixed(millis)))
    }

    /// Calendar months in UTC. The error is a sentence without the value.
    pub fn months(months: u32) -> Result<Self, String> {
        match months {
            0 => Err("it is zero".to_owned()),
            1..=Self::LONGEST_MONTHS => Ok(Self(Length::Months(months))),
            _ => Err("it is longer than 100 years".to_owned()),
        }
    }

    /// An interval such as `250ms`, `5m`, `1h 30m`, `1 month`, `2 years`. The error is a sentence without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
        if !words.any(|word| calendar_months(word).is_some()) {
            return Self::fixed(units::parse_duration(text).map_err(|error| error.to_string())?);
        }
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (Ok(number), Some(unit)) = (number.parse::<u32>(), calendar_months(unit.trim_start())) else {
            return Err("months and years stand alone behind one whole number, as in \"3 months\"".to_owned());
        };
        Self::months(number.saturating_mul(unit))
    }

    pub(super) fn length(self) -> Length {
        self.0
    }

    /// The first multiple after `after`; `None` where time ends.
    pub(super) fn next_after(self, origin: Millis, after: Millis) -> Option<Millis> {
        self.multiple(origin, self.passed(origin, after).checked_add(1)?)
    }

    /// How many multiples lie after `after`, up to and with `until`.
    pub(super) fn count(self, origin: Millis, after: Millis, until: Millis) -> u64 {
        self.passed(origin, until).saturating_sub(self.passed(origin, after))
    }

    /// How many multiples there are up to and with `time`. The origin is none.
    fn passed(self, origin: Millis, time: Millis) -> u64 {
        match self.0 {
            Length::Fixed(millis) => time.saturating_sub(origin) / millis.max(1),
            Length::Months(_) => self.passed_months(origin, time),
        }
    }

    fn multiple(self, origin: Millis, number: u64) -> Option<Millis> {
        match self.0 {
            Length::Fixed(millis) => millis.checked_mul(number)?.checked_add(origin),
            Length::Months(months) => {
                let months = i64::try_from(number).ok()?.checked_mul(i64::from(months))?;
                let moved = utc(origin)?.checked_add(Span::new().try_months(months).ok()?).ok()?;
                let millis = Offset::UTC.to_timestamp(moved).ok()?.as_millisecond();
                Millis::try_from(millis).ok()
            }
        }
    }

    fn passed_months(self, origin: Millis, time: Millis) -> u64 {
        let Length::Months(months) = self.0 else { return 0 };
        let (Some(start), Some(end)) = (utc(origin), utc(time.min(LAST))) else { return 0 };
        if end <= start {
            return 0;
        }
        let year_month = |date: DateTime| i64::from(date.year()) * 12 + i64::from(date.month());
        // Within the month of `end` the multiple may lie before or after it.
        let reached = u64::try_from(year_month(end) - year_month(start)).unwrap_or(0) / u64::from(months.max(1));
        let is_passed = self.multiple(origin, reached).is_some_and(|due| due <= time);
        if is_passed { reached } else { reached.saturating_sub(1) }
    }
}

/// The last millisecond that is looked at: the end of the year 2299. It bounds what a clock that is far ahead can cost.
pub(super) const LAST: Millis = 10_413_791_999_999;

fn utc(time: Millis) -> Option<DateTime> {
    Timestamp::from_millisecond(i64::try_from(time).ok()?).ok().map(|time| Offset::UTC.to_datetime(time))
}

fn calendar_months(unit: &str) -> Option<u32> {
    CALENDAR.iter().find(|(name, _)| *name == unit).map(|(_, months)| *months)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Length::Months(1) => f.write_str("1month"),
            Length::Months(months) => write!(f, "{months}months"),
            Length::Fixed(millis) => {
                let fitting = UNITS.iter().find(|(_, unit)| millis.is_multiple_of(*unit));
                let (name, unit) = fitting.unwrap_or(&("ms", 1));
                write!(f, "{}{name}", millis / unit)
            }
        }
    }
}
