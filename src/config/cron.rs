//! `[[process.cron]]`: what the clock sends to a process.

use std::collections::HashMap;

use toml::de::DeValue;

use super::kind::{self, Kind, Mismatch};
use super::process::read_tags;
use super::reader::Table;
use crate::clock::Millis;
use crate::cron::{AtForm, CronError, Entry, EntryHash, Expression, Interval, Missed, Schedule, Zone, of_process};
use crate::tag::Tag;

/// The keys of which an entry has one.
const SCHEDULES: [&str; 3] = ["every", "cron", "at"];

/// Reads the entries of a process with these tags, which may spell some, too.
pub(super) fn read_all(process: &mut Table<'_, '_>, tags: &[Tag]) -> Vec<Entry> {
    let mut seen = HashMap::new();
    let entries: Vec<Entry> = process.tables("cron", |table| read(table, &mut seen)).into_iter().flatten().collect();
    let problem = match of_process(entries, tags) {
        Ok(entries) => return entries,
        Err(error) => error,
    };
    match problem {
        CronError::TooMany { found, most } => {
            let key = if process.has("cron") { "cron" } else { "tags" };
            process.problem(key, format!("{found} entries with those of the tags"), format!("at most {most}"));
        }
        // Those in the list were compared with each other where they stand.
        CronError::Duplicate { .. } => {
            process.problem("tags", "a cron entry that is there already", "each entry once");
        }
        error => {
            let expected = "cron tags as AO has them, such as Cron-Interval = \"10-minutes\"";
            process.problem("tags", format!("what makes no cron entries ({error})"), expected);
        }
    }
    Vec::new()
}

fn read(table: &mut Table<'_, '_>, seen: &mut HashMap<EntryHash, String>) -> Option<Entry> {
    let every = table.optional("every", interval());
    let expression = table.optional("cron", expression());
    let timezone = table.optional("timezone", timezone());
    let at = table.optional("at", point_in_time());
    let tags = read_tags(table);
    let data = table.or("data", String::new(), kind::text());
    let missed = table.or("missed", Missed::default(), kind::one_of(Missed::ALL, Missed::as_str));

    let given: Vec<&'static str> = SCHEDULES.into_iter().filter(|key| table.has(key)).collect();
    let key = match given[..] {
        [key] => key,
        [first, second, ..] => {
            table.problem(second, format!("{second} beside {first}"), "one of every, cron and at");
            return None;
        }
        [] => {
            table.problem("every", "nothing", "one of every, cron and at");
            return None;
        }
    };
    if table.has("timezone") && key != "cron" {
        table.problem("timezone", format!("a time zone beside {key}"), "one beside cron only");
        return None;
    }
    let cron = |expression| Schedule::Cron { expression, timezone: timezone.unwrap_or_else(Zone::utc) };
    let schedule = every.map(Schedule::Every).or(expression.map(cron)).or(at.map(Schedule::At))?;
    let entry = Entry { schedule, tags, data, missed };
    if let Some(first) = seen.insert(entry.content_hash(), table.path().to_owned()) {
        table.problem(key, format!("the same entry as {first}"), "each entry once");
        return None;
    }
    Some(entry)
}

fn interval() -> Kind<'static, Interval> {
    kind::parsed(r#"an interval such as "90s", "1h 30m" or "1 month""#, |text| {
        Interval::parse(text).map_err(Mismatch::because)
    })
}

fn expression() -> Kind<'static, Expression> {
    let expected = r#"minute, hour, day of month, month and day of week, such as "0 9 * * MON-FRI""#;
    kind::parsed(expected, |text| Expression::parse(text).map_err(|error| mismatch(&error)))
}

fn timezone() -> Kind<'static, Zone> {
    kind::parsed(r#"the IANA name of a time zone, such as "Europe/Berlin""#, |name| {
        Zone::parse(name).map_err(|error| mismatch(&error))
    })
}

fn point_in_time() -> Kind<'static, Millis> {
    Kind::new(r#"a point in time such as "2030-01-01T09:00:00Z""#, |value| {
        let form = match value {
            DeValue::String(text) => AtForm::Text(text.as_ref().to_owned()),
            DeValue::Datetime(time) => AtForm::Text(time.to_string()),
            value => AtForm::Millis(kind::positive().read(value)?),
        };
        form.read().map_err(|error| mismatch(&error))
    })
}

/// What is wrong, without the key and the value, which the reader tells.
fn mismatch(error: &CronError) -> Mismatch {
    match error {
        CronError::Timezone { nearest, .. } => {
            Mismatch { why: None, nearest: nearest.as_ref().map(|name| format!("{name:?}")) }
        }
        CronError::At { reason, .. } => Mismatch::because(reason),
        error => {
            let text = error.to_string();
            Mismatch::because(text.split_once("`: ").map_or(text.as_str(), |(_, rest)| rest))
        }
    }
}
