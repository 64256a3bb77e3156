//! Time zones by name. Their rules are compiled in, so they are the same on every machine.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::error::{CronError, shown};

/// A time zone of the IANA database, by its canonical spelling.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// A stretch of time with one offset from UTC. Times are Unix seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Its first second, if it has one.
    pub start: Option<i64>,
    /// The second after its last one, if it has one.
    pub end: Option<i64>,
    /// Wall time minus UTC, in seconds.
    pub offset: i64,
    /// The offset before it; its own where it has no start.
    pub offset_before: i64,
}

/// The longest name of a time zone, in bytes.
const LONGEST_NAME: usize = 64;

/// Names as alike as this are worth a hint.
const ALIKE: f64 = 0.8;

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// The time zone called `name`, in any case of letters.
    pub fn parse(name: &str) -> Result<Self, CronError> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Self::utc());
        }
        let database = TimeZoneDatabase::bundled();
        let known = if name.len() > LONGEST_NAME { None } else { database.get(name).ok() };
        match known {
            Some(rules) if !rules.is_unknown() => {
                let name = rules.iana_name().unwrap_or(name).to_owned();
                Ok(Self { name, rules })
            }
            _ => Err(CronError::Timezone { found: shown(name), nearest: nearest(&database, name) }),
        }
    }

    /// The name as the database spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is UTC by that name.
    pub fn is_utc(&self) -> bool {
        self.name == "UTC"
    }

    /// The stretch that `second` lies in; `None` outside the years that the calendar knows.
    pub(super) fn stretch(&self, second: i64) -> Option<Stretch> {
        let time = Timestamp::from_second(second).ok()?;
        let offset = i64::from(self.rules.to_offset(time).seconds());
        // A change at this very second begins the stretch, and `preceding` leaves out its own argument.
        let start = self.rules.preceding(Timestamp::from_second(second.checked_add(1)?).ok()?).next();
        let start = start.map(|change| change.timestamp().as_second());
        let before = start.and_then(|start| Timestamp::from_second(start.checked_sub(1)?).ok());
        let offset_before = before.map_or(offset, |before| i64::from(self.rules.to_offset(before).seconds()));
        let end = self.rules.following(time).next().map(|change| change.timestamp().as_second());
        Some(Stretch { start, end, offset, offset_before })
    }
}

fn nearest(database: &TimeZoneDatabase, name: &str) -> Option<String> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let name = name.to_lowercase();
    let alike = |known: &str| strsim::jaro_winkler(&name, &known.to_lowercase());
    let known: Vec<_> = database.available().map(|known| (alike(known.as_str()), known.to_string())).collect();
    let nearest = known.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest.filter(|(alike, _)| *alike >= ALIKE).map(|(_, known)| known)
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
