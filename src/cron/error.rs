//! Why a schedule is refused.

use super::entry::EntryHash;

/// Why an entry, a list of entries or a stored cursor is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// An entry says nothing of when it is due, or says it twice.
    #[error("an entry has exactly one of `every`, `cron` and `at`, this one has {found}")]
    NotOneSchedule {
        /// How many it has.
        found: usize,
    },
    /// A time zone where none is used.
    #[error("`timezone` goes with `cron` only: `every` and `at` know no time zone")]
    StrayTimezone,
    /// A text that is no interval.
    #[error("`every`: {found:?} is not an interval: {reason}")]
    Every {
        /// What was found.
        found: String,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// A text or number that is no point in time.
    #[error("`at`: {found:?} is not a point in time: {reason}")]
    At {
        /// What was found.
        found: String,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// A cron expression with another number of fields, or too long.
    #[error(
        "`cron`: {found:?} has {fields} fields, expected 5 (minute, hour, day of month, month, day of week), \
         6 (seconds in front) or a name such as @hourly"
    )]
    Fields {
        /// What was found.
        found: String,
        /// How many fields it has.
        fields: usize,
    },
    /// A name with `@` that stands for no expression.
    #[error(
        "`cron`: {found:?} is not known: there are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"
    )]
    Nickname {
        /// What was found.
        found: String,
    },
    /// A field of a cron expression.
    #[error("`cron`: the field {field} has {found:?}, expected {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// The part of it that is wrong.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// A cron expression of days that no year has.
    #[error("`cron`: {found:?} is never due: none of its months has such a day")]
    NeverDue {
        /// What was found.
        found: String,
    },
    /// Not the name of a time zone.
    #[error(
        "`timezone`: {found:?} is not known, expected an IANA name such as Europe/Berlin{}",
        nearest.as_ref().map_or_else(String::new, |name| format!("; perhaps {name}"))
    )]
    Timezone {
        /// What was found.
        found: String,
        /// The nearest known name.
        nearest: Option<String>,
    },
    /// A tag without a name.
    #[error("`tags`: the tag with the value {value:?} has no name")]
    NamelessTag {
        /// Its value.
        value: String,
    },
    /// A `Cron-Interval` tag that is no interval.
    #[error("tag Cron-Interval: {found:?} is not taken: {reason}")]
    AoInterval {
        /// What was found.
        found: String,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// A `Cron-Tag-` tag that belongs to no entry.
    #[error("tag {name:?} comes before any Cron-Interval tag, which it has to follow")]
    OrphanTag {
        /// Its name.
        name: String,
    },
    /// A `Cron-Tag-` tag that names no tag.
    #[error("tag Cron-Tag- with the value {value:?} names no tag: expected Cron-Tag-<name>")]
    AoNamelessTag {
        /// Its value.
        value: String,
    },
    /// More entries than a process may have.
    #[error("a process has at most {most} cron entries, not {found}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Two entries that differ in nothing.
    #[error("two cron entries are the same ({hash}): take one out, or give them different tags or data")]
    Duplicate {
        /// The hash of both.
        hash: EntryHash,
    },
    /// A stored cursor that cannot be read.
    #[error("this is not a cursor of cron entries: {reason}")]
    Cursor {
        /// What is wrong with it.
        reason: String,
    },
}

/// The longest part of a bad text that an error repeats, in characters.
const SHOWN: usize = 80;

/// `text`, cut where it is too long to be repeated.
pub(super) fn shown(text: &str) -> String {
    if text.chars().nth(SHOWN).is_none() { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}
