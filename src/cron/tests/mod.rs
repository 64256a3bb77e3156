mod against_brute_force;
mod clocks;
mod expressions;
mod forms;
mod intervals;
mod missed;
mod plans;
mod wall_times;

use jiff::Timestamp;

use super::{Entry, EntryForm, Missed};
use crate::clock::Millis;

/// The time of an RFC 3339 text.
fn at(text: &str) -> Millis {
    u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
}

/// RFC 3339 texts of times, to be compared with what a table says.
fn shown(times: impl IntoIterator<Item = Millis>) -> Vec<String> {
    times.into_iter().map(|time| Timestamp::from_millisecond(time as i64).unwrap().to_string()).collect()
}

fn cron_form(cron: &str, timezone: &str) -> EntryForm {
    EntryForm { cron: Some(cron.to_owned()), timezone: Some(timezone.to_owned()), ..EntryForm::default() }
}

fn cron(cron: &str, timezone: &str) -> Entry {
    Entry::try_from(cron_form(cron, timezone)).unwrap()
}

fn every(text: &str) -> Entry {
    Entry::try_from(EntryForm { every: Some(text.to_owned()), ..EntryForm::default() }).unwrap()
}

fn with(missed: Missed, entry: Entry) -> Entry {
    Entry { missed, ..entry }
}

/// The due times after `after`, `number` at most.
fn next_times(entry: &Entry, origin: Millis, after: Millis, number: usize) -> Vec<Millis> {
    std::iter::successors(entry.next_after(origin, after), |last| entry.next_after(origin, *last))
        .take(number)
        .collect()
}
