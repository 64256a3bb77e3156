//! One entry: what it sends, when it is due, and what becomes of ticks that were missed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::CronError;
use super::expression::Expression;
use super::form::EntryForm;
use super::interval::{Interval, LAST, Length};
use super::wall;
use super::zone::Zone;
use crate::clock::Millis;
use crate::ids::{MessageId, ProcessId};
use crate::tag::Tag;

/// When an entry is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At whole multiples of an interval since the entry's origin, never at the origin itself.
    Every(Interval),
    /// Whenever the clocks of a time zone show what an expression names.
    Cron {
        /// The expression.
        expression: Expression,
        /// The time zone.
        timezone: Zone,
    },
    /// Once. A time that had passed already when the entry was defined counts as missed.
    At(Millis),
}

/// What becomes of ticks whose time has passed without anybody asking, because the node was down, say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// The last of them is sent, late; the others are left out.
    #[default]
    Latest,
    /// All of them are sent, the last 10,000 at most.
    All,
    /// Nothing is sent for them. A tick counts as missed when a later one has passed too, or 60 seconds have.
    None,
}

impl Missed {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[Self::Latest, Self::All, Self::None];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// A message that a process is sent by the clock. In JSON it is an [`EntryForm`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EntryForm", into = "EntryForm")]
pub struct Entry {
    /// When it is due.
    pub schedule: Schedule,
    /// The message's tags.
    pub tags: Vec<Tag>,
    /// The message's data.
    pub data: String,
    /// What becomes of missed ticks.
    pub missed: Missed,
}

impl Entry {
    /// The name of the entry: equal entries have the same, wherever in a list they stand.
    pub fn content_hash(&self) -> EntryHash {
        let mut hasher = blake3::Hasher::new_derive_key("mainstay cron entry 1");
        let mut part = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        match &self.schedule {
            Schedule::Every(interval) => match interval.length() {
                Length::Fixed(millis) => ["every", &millis.to_string()].map(&mut part),
                Length::Months(months) => ["months", &months.to_string()].map(&mut part),
            },
            Schedule::Cron { expression, timezone } => {
                part("cron");
                [expression.as_str(), timezone.name()].map(&mut part)
            }
            Schedule::At(time) => ["at", &time.to_string()].map(&mut part),
        };
        part(self.missed.as_str());
        part(&self.data);
        for tag in &self.tags {
            part(&tag.name);
            part(&tag.value);
        }
        EntryHash(*hasher.finalize().as_bytes())
    }

    /// The first due time after `after`, for an entry that was defined at `origin`. `None` where none follows, and at the end
    /// of the year 2299.
    pub fn next_after(&self, origin: Millis, after: Millis) -> Option<Millis> {
        let due = match &self.schedule {
            Schedule::Every(interval) => interval.next_after(origin, after),
            Schedule::Cron { expression, timezone } => wall::next_after(expression, timezone, after),
            Schedule::At(time) => (*time > after).then_some(*time),
        };
        due.filter(|due| *due <= LAST)
    }

    /// How many due times lie after `after`, up to and with `until`. It takes about as long as there are months between.
    pub fn count(&self, origin: Millis, after: Millis, until: Millis) -> u64 {
        let until = until.min(LAST);
        match &self.schedule {
            Schedule::Every(interval) => interval.count(origin, after, until),
            Schedule::Cron { expression, timezone } => wall::count(expression, timezone, after, until),
            Schedule::At(time) => u64::from(after < *time && *time <= until),
        }
    }

    /// The time up to which everything counts as handled when an entry is defined at `origin`.
    pub(super) fn start(&self, origin: Millis) -> Millis {
        match self.schedule {
            Schedule::At(time) => origin.min(time.saturating_sub(1)),
            _ => origin,
        }
    }
}

/// The hash of an entry's content, which names it in cursors and ticks. As text: 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryHash(pub [u8; 32]);

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EntryHash {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let reason = || "the name of an entry is 43 characters of base64url".to_owned();
        bytes.map(Self).ok_or_else(|| CronError::Cursor { reason: reason() })
    }
}

/// The most entries of one process.
const MOST_ENTRIES: usize = 100;

/// Whether a process may have this list of entries: at most 100, no two of which are equal.
pub fn check(entries: &[Entry]) -> Result<(), CronError> {
    if entries.len() > MOST_ENTRIES {
        return Err(CronError::TooMany { found: entries.len(), most: MOST_ENTRIES });
    }
    let mut seen = BTreeSet::new();
    match entries.iter().map(Entry::content_hash).find(|hash| !seen.insert(*hash)) {
        Some(hash) => Err(CronError::Duplicate { hash }),
        None => Ok(()),
    }
}

/// The id of the message of one tick. The same tick has the same id whenever it is asked for.
pub fn tick_id(process: &ProcessId, entry: EntryHash, due: Millis) -> MessageId {
    MessageId::derived(&[b"cron tick", process.as_str().as_bytes(), &entry.0, &due.to_le_bytes()])
}
