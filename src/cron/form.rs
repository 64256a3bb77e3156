//! An entry as people and files write it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Missed, Schedule};
use super::error::{CronError, shown};
use super::expression::Expression;
use super::interval::{Interval, LAST};
use super::zone::Zone;
use crate::clock::Millis;
use crate::tag::Tag;

/// An entry in texts that nobody has checked yet: exactly one of `every`, `cron` and `at` belongs there.
///
/// As JSON: `{"every": "1h 30m"}`, `{"cron": "0 9 * * MON-FRI", "timezone": "Europe/Berlin"}` or
/// `{"at": "2030-01-01T00:00:00Z"}`, with `tags`, `data` and `missed` where they differ from nothing, nothing and `latest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryForm {
    /// An interval; see [`Interval::parse`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// A cron expression; see [`Expression`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The expression's time zone by its IANA name; UTC if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// A point in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<AtForm>,
    /// The message's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The message's data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// What becomes of missed ticks.
    #[serde(default)]
    pub missed: Missed,
}

/// A point in time as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "`at` is Unix milliseconds as a number, or a text such as 2030-01-01T09:00:00Z")]
pub enum AtForm {
    /// Unix milliseconds.
    Millis(Millis),
    /// RFC 3339 with an offset, such as `2030-01-01T09:00:00+01:00`.
    Text(String),
}

impl AtForm {
    /// The point in time, in Unix milliseconds.
    pub fn read(&self) -> Result<Millis, CronError> {
        let (found, millis) = match self {
            Self::Millis(millis) => (millis.to_string(), Some(*millis)),
            Self::Text(text) => {
                let time = text.parse::<Timestamp>().ok();
                // Before 1970 counts as 1970, which is refused with it.
                (shown(text), time.map(|time| Millis::try_from(time.as_millisecond()).unwrap_or(0)))
            }
        };
        let reason = match millis {
            Some(millis) if (1..=LAST).contains(&millis) => return Ok(millis),
            Some(0) => "it is not after 1970-01-01T00:00:00Z",
            Some(_) => "it is after the year 2299",
            None => "expected Unix milliseconds as a number, or a text such as 2030-01-01T09:00:00Z",
        };
        Err(CronError::At { found, reason: reason.to_owned() })
    }
}

impl TryFrom<EntryForm> for Entry {
    type Error = CronError;

    fn try_from(form: EntryForm) -> Result<Self, CronError> {
        let EntryForm { every, cron, timezone, at, tags, data, missed } = form;
        let has_timezone = timezone.is_some();
        let schedule = match (every, cron, at) {
            (Some(text), None, None) => {
                let interval = Interval::parse(&text);
                Schedule::Every(interval.map_err(|reason| CronError::Every { found: shown(&text), reason })?)
            }
            (None, Some(text), None) => Schedule::Cron {
                expression: Expression::parse(&text)?,
                timezone: timezone.map_or_else(|| Ok(Zone::utc()), |name| Zone::parse(&name))?,
            },
            (None, None, Some(at)) => Schedule::At(at.read()?),
            (every, cron, at) => {
                let found = [every.is_some(), cron.is_some(), at.is_some()].iter().filter(|has| **has).count();
                return Err(CronError::NotOneSchedule { found });
            }
        };
        if has_timezone && !matches!(schedule, Schedule::Cron { .. }) {
            return Err(CronError::StrayTimezone);
        }
        if let Some(tag) = tags.iter().find(|tag| tag.name.is_empty()) {
            return Err(CronError::NamelessTag { value: shown(&tag.value) });
        }
        Ok(Self { schedule, tags, data, missed })
    }
}

impl From<Entry> for EntryForm {
    fn from(entry: Entry) -> Self {
        let Entry { schedule, tags, data, missed } = entry;
        let form = Self { tags, data, missed, ..Self::default() };
        match schedule {
            Schedule::Every(interval) => Self { every: Some(interval.to_string()), ..form },
            Schedule::Cron { expression, timezone } => Self {
                cron: Some(expression.to_string()),
                timezone: (!timezone.is_utc()).then(|| timezone.to_string()),
                ..form
            },
            Schedule::At(time) => Self { at: Some(AtForm::Millis(time)), ..form },
        }
    }
}
