//! Entries as AO spells them: in the tags of a process.

use std::time::Duration;

use super::entry::{Entry, Missed, Schedule, check};
use super::error::{CronError, shown};
use super::interval::Interval;
use crate::tag::Tag;

/// The tag that begins an entry.
const INTERVAL: &str = "Cron-Interval";

/// What stands before the name of a tag of the entry's message.
const TAG: &str = "Cron-Tag-";

/// Fixed units in milliseconds, without a final `s`.
const FIXED: [(&str, u64); 6] = [
    ("millisecond", 1),
    ("second", 1_000),
    ("minute", 60_000),
    ("hour", 3_600_000),
    ("day", 86_400_000),
    ("week", 604_800_000),
];

/// The entries that a process's tags spell, in their order: `Cron-Interval: N-unit`, then the `Cron-Tag-<name>` tags of its
/// message, up to the next `Cron-Interval`. Other tags are passed over. Names of tags and units are taken in any case.
///
/// Units are milliseconds to weeks, and months and years, which are calendar units in UTC; each with or without a final `s`.
pub fn from_tags(tags: &[Tag]) -> Result<Vec<Entry>, CronError> {
    let mut entries: Vec<Entry> = Vec::new();
    for tag in tags {
        if tag.name.eq_ignore_ascii_case(INTERVAL) {
            let interval =
                interval(&tag.value).map_err(|reason| CronError::AoInterval { found: shown(&tag.value), reason })?;
            let schedule = Schedule::Every(interval);
            entries.push(Entry { schedule, tags: Vec::new(), data: String::new(), missed: Missed::default() });
        } else if let Some(name) = message_tag(&tag.name) {
            if name.is_empty() {
                return Err(CronError::AoNamelessTag { value: shown(&tag.value) });
            }
            let Some(entry) = entries.last_mut() else {
                return Err(CronError::OrphanTag { name: shown(&tag.name) });
            };
            entry.tags.push(Tag::new(name, &tag.value));
        }
    }
    check(&entries)?;
    Ok(entries)
}

/// All entries of a process: `entries`, and those that its `tags` spell. At most 100, none twice, in the order of their
/// hashes, so that equal lists are equal in whichever order they were written.
pub fn of_process(mut entries: Vec<Entry>, tags: &[Tag]) -> Result<Vec<Entry>, CronError> {
    entries.extend(from_tags(tags)?);
    check(&entries)?;
    entries.sort_by_cached_key(Entry::content_hash);
    Ok(entries)
}

fn message_tag(name: &str) -> Option<&str> {
    let (prefix, rest) = name.split_at_checked(TAG.len())?;
    prefix.eq_ignore_ascii_case(TAG).then_some(rest)
}

/// The interval of `N-unit`.
fn interval(text: &str) -> Result<Interval, String> {
    let expected = "expected a whole number, - and a unit, as in 10-minutes";
    let (number, unit) = text.trim().split_once('-').ok_or(expected)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected.to_owned());
    }
    let unit = unit.to_ascii_lowercase();
    let singular = unit.strip_suffix('s').unwrap_or(&unit);
    let too_long = "it is longer than 100 years";
    let number: u64 = number.parse().map_err(|_| too_long)?;
    if number == 0 {
        return Err("it is zero".to_owned());
    }
    if let Some((_, length)) = FIXED.iter().find(|(name, _)| *name == singular) {
        return Interval::fixed(Duration::from_millis(number.checked_mul(*length).ok_or(too_long)?));
    }
    let months = match singular {
        "month" => 1,
        "year" => 12,
        "block" => return Err("blocks of a chain are not followed here; take a unit of time".to_owned()),
        _ => {
            let units = "milliseconds, seconds, minutes, hours, days, weeks, months and years";
            return Err(format!("the unit {:?} is not known: there are {units}", shown(&unit)));
        }
    };
    Interval::months(u32::try_from(number.saturating_mul(months)).map_err(|_| too_long)?)
}
