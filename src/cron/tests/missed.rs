//! What becomes of ticks that nobody asked for in time.

use super::{at, cron, every, with};
use crate::clock::Millis;
use crate::cron::{AtForm, Cursor, Due, Entry, EntryForm, Missed, Plan};

const ORIGIN: Millis = 1_770_000_000_000;

fn once(time: Millis) -> Entry {
    Entry::try_from(EntryForm { at: Some(AtForm::Millis(time)), ..EntryForm::default() }).unwrap()
}

fn due(entry: Entry, now: Millis, limit: usize) -> Due {
    Plan::new(vec![entry], ORIGIN).unwrap().due(&Cursor::default(), now, limit)
}

fn times(due: &Due) -> Vec<Millis> {
    due.ticks.iter().map(|tick| tick.due - ORIGIN).collect()
}

#[test]
fn missed_ticks_are_sent_left_out_and_counted_as_the_entry_wants() {
    // A tick each minute; how late one asks, what is sent, how many are skipped.
    for (missed, after, sent, skipped) in [
        (Missed::Latest, 60_000, &[60_000][..], 0),
        (Missed::Latest, 100_000, &[60_000], 0),
        (Missed::Latest, 3_630_000, &[3_600_000], 59),
        (Missed::All, 190_000, &[60_000, 120_000, 180_000], 0),
        (Missed::None, 60_000, &[60_000], 0),
        (Missed::None, 119_000, &[60_000], 0),
        (Missed::None, 190_000, &[180_000], 2),
        (Missed::Latest, 59_999, &[], 0),
        (Missed::All, 59_999, &[], 0),
        (Missed::None, 59_999, &[], 0),
    ] {
        let due = due(with(missed, every("1m")), ORIGIN + after, 100);
        assert_eq!((&times(&due)[..], due.skipped, due.capped), (sent, skipped, 0), "{missed:?} after {after} ms");
        assert_eq!(due.next_due, Some(ORIGIN + after - after % 60_000 + 60_000));
    }
}

#[test]
fn with_none_a_tick_is_sent_up_to_60_seconds_late() {
    for (late, sent) in [(60_000, 1), (60_001, 0)] {
        let due = due(with(Missed::None, every("1h")), ORIGIN + 3_600_000 + late, 100);
        assert_eq!((due.ticks.len(), due.skipped), (sent, 1 - sent as u64));
        assert_eq!(due.next_due, Some(ORIGIN + 7_200_000));
    }
}

#[test]
fn a_time_that_had_passed_at_its_definition_counts_as_missed() {
    for (time, now, missed, sent, skipped) in [
        (ORIGIN - 86_400_000, ORIGIN, Missed::Latest, 1, 0),
        (ORIGIN - 86_400_000, ORIGIN, Missed::All, 1, 0),
        (ORIGIN - 86_400_000, ORIGIN, Missed::None, 0, 1),
        (ORIGIN - 1_000, ORIGIN, Missed::None, 1, 0),
        (ORIGIN, ORIGIN, Missed::None, 1, 0),
        (1, ORIGIN, Missed::Latest, 1, 0),
        (ORIGIN + 1, ORIGIN, Missed::All, 0, 0),
    ] {
        let plan = Plan::new(vec![with(missed, once(time))], ORIGIN).unwrap();
        let due = plan.due(&Cursor::default(), now, 10);
        assert_eq!((due.ticks.len(), due.skipped), (sent, skipped), "{time} at {now}, {missed:?}");
        let again = plan.due(&due.next_cursor, now, 10);
        assert_eq!((again.ticks.len(), again.skipped), (0, 0), "once is enough");
    }
}

#[test]
fn all_sends_the_last_10000_and_counts_the_rest() {
    for (entry, step) in [(every("1s"), 1_000), (cron("* * * * * *", "Europe/Berlin"), 1_000), (every("10ms"), 10)] {
        let plan = Plan::new(vec![with(Missed::All, entry)], ORIGIN).unwrap();
        let now = ORIGIN + 12_345 * step;
        let (mut cursor, mut sent, mut capped) = (Cursor::default(), Vec::new(), 0);
        loop {
            let due = plan.due(&cursor, now, 900);
            capped += due.capped;
            sent.extend(due.ticks.iter().map(|tick| (tick.due - ORIGIN) / step));
            cursor = due.next_cursor;
            if due.ticks.is_empty() {
                break;
            }
        }
        assert_eq!((capped, sent), (2_345, (2_346..=12_345).collect::<Vec<_>>()));
    }
}

#[test]
fn what_was_skipped_is_counted_once_also_when_the_limit_defers_the_tick() {
    let entries: Vec<Entry> = ["1m", "2m", "3m"].map(every).into();
    let plan = Plan::new(entries, ORIGIN).unwrap();
    let (mut cursor, mut skipped, mut sent) = (Cursor::default(), 0, 0);
    for _ in 0..5 {
        let due = plan.due(&cursor, ORIGIN + 3_600_000, 1);
        (skipped, sent, cursor) = (skipped + due.skipped, sent + due.ticks.len(), due.next_cursor);
    }
    assert_eq!((sent, skipped), (3, 59 + 29 + 19));
}

/// Gaps of 270 years: walking over the ticks, of which some have billions, would not end.
#[test]
fn the_work_does_not_grow_with_the_number_of_missed_ticks() {
    let now = at("2299-12-31T23:59:59Z");
    for missed in [Missed::Latest, Missed::All, Missed::None] {
        for entry in [every("10ms"), every("1 month"), cron("* * * * * *", "America/New_York"), cron("@daily", "UTC")] {
            let due = due(with(missed, entry.clone()), now, 3);
            let expected = if missed == Missed::All { 3 } else { 1 };
            assert!(due.ticks.len() <= expected);
            let total = entry.count(ORIGIN, ORIGIN, now);
            let remaining = if missed == Missed::All { total.min(10_000) } else { due.ticks.len() as u64 };
            assert_eq!(due.skipped + due.capped + remaining, total, "{entry:?}");
        }
    }
}
