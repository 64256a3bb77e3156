//! Clocks that are set.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{at, cron, every, with};
use crate::clock::Millis;
use crate::cron::{AtForm, Cursor, Due, Entry, EntryForm, Missed, Plan};

const ORIGIN: Millis = 1_770_000_000_000;
const MINUTE: Millis = 60_000;
const HOUR: Millis = 3_600_000;
const YEAR: Millis = 365 * 24 * HOUR;

/// A plan, its cursor, and what it was sent so far.
struct Clockwork {
    plan: Plan,
    cursor: Cursor,
}

impl Clockwork {
    fn new(entry: Entry) -> Self {
        Self { plan: Plan::new(vec![entry], ORIGIN).unwrap(), cursor: Cursor::default() }
    }

    fn ask(&mut self, now: Millis) -> Due {
        let due = self.plan.due(&self.cursor, now, 1_000);
        self.cursor = due.next_cursor.to_string().parse().unwrap();
        due
    }

    fn times(&mut self, now: Millis) -> Vec<Millis> {
        self.ask(now).ticks.iter().map(|tick| tick.due - ORIGIN).collect()
    }
}

#[test]
fn a_clock_set_back_by_less_than_an_hour_repeats_nothing_and_waits_no_longer_than_that() {
    let mut clockwork = Clockwork::new(with(Missed::All, every("10m")));
    assert_eq!(clockwork.times(ORIGIN + HOUR).len(), 6);
    for minutes in [1, 10, 30, 59] {
        let due = clockwork.ask(ORIGIN + minutes * MINUTE);
        assert_eq!((due.ticks.len(), due.was_reset, due.next_due), (0, false, Some(ORIGIN + 70 * MINUTE)));
    }
    assert_eq!(clockwork.times(ORIGIN + 70 * MINUTE), [70 * MINUTE]);
}

#[test]
fn a_clock_far_ahead_and_back_neither_floods_nor_stops_an_entry() {
    for (missed, flood) in [(Missed::Latest, 1), (Missed::All, 1_000), (Missed::None, 1)] {
        let mut clockwork = Clockwork::new(with(missed, every("10m")));
        assert_eq!(clockwork.times(ORIGIN + 10 * MINUTE), [10 * MINUTE]);
        assert_eq!(clockwork.ask(ORIGIN + 10 * YEAR).ticks.len(), flood, "{missed:?}");

        let back = clockwork.ask(ORIGIN + 15 * MINUTE);
        assert_eq!((back.ticks.len(), back.was_reset, back.next_due), (0, true, Some(ORIGIN + 20 * MINUTE)));
        let again = clockwork.ask(ORIGIN + 16 * MINUTE);
        assert_eq!((again.ticks.len(), again.was_reset), (0, false));
        assert_eq!(clockwork.times(ORIGIN + 20 * MINUTE), [20 * MINUTE]);
        assert_eq!(clockwork.times(ORIGIN + 30 * MINUTE), [30 * MINUTE]);
    }
}

#[test]
fn a_start_in_1970_and_its_correction_leave_an_entry_where_it_was() {
    let mut clockwork = Clockwork::new(with(Missed::All, every("10m")));
    assert_eq!(clockwork.times(ORIGIN + 25 * MINUTE), [10 * MINUTE, 20 * MINUTE]);

    let wrong = clockwork.ask(5_000);
    assert_eq!((wrong.ticks.len(), wrong.was_reset, wrong.next_due), (0, true, Some(5_000 + 10 * MINUTE)));
    assert_eq!(clockwork.ask(5_000 + 10 * MINUTE).ticks.len(), 1);

    let right = clockwork.ask(ORIGIN + 31 * MINUTE);
    assert_eq!((right.ticks.len(), right.capped, right.was_reset), (1, 0, false));
    assert_eq!(right.ticks[0].due, ORIGIN + 30 * MINUTE);
    assert_eq!(clockwork.times(ORIGIN + 41 * MINUTE), [40 * MINUTE]);
}

#[test]
fn after_two_wrong_clocks_an_entry_still_finds_back_to_where_it_was() {
    let mut clockwork = Clockwork::new(with(Missed::All, every("10m")));
    assert_eq!(clockwork.times(ORIGIN + 25 * MINUTE), [10 * MINUTE, 20 * MINUTE]);
    for wrong in [ORIGIN - YEAR, ORIGIN - 2 * YEAR] {
        assert!(clockwork.ask(wrong).was_reset);
    }
    assert_eq!(clockwork.times(ORIGIN + 31 * MINUTE), [30 * MINUTE]);
}

#[test]
fn what_was_to_be_sent_once_is_sent_once_whatever_the_clock_does() {
    let time = ORIGIN + YEAR;
    let entry = Entry::try_from(EntryForm { at: Some(AtForm::Millis(time)), ..EntryForm::default() }).unwrap();
    let mut clockwork = Clockwork::new(entry);
    let asked = [0, 2 * YEAR, MINUTE, YEAR - 1, YEAR, 0, 3 * YEAR, YEAR + 1];
    let sent: usize = asked.iter().map(|after| clockwork.ask(ORIGIN + after).ticks.len()).sum();
    assert_eq!(sent, 1);
}

#[test]
fn times_at_both_ends_of_the_calendar_harm_nothing() {
    for entry in [every("10ms"), every("1 month"), cron("0 3 * * *", "Europe/Berlin")] {
        let mut clockwork = Clockwork::new(entry);
        for now in [0, u64::MAX, 1, ORIGIN, at("2299-12-31T23:59:59Z"), u64::MAX, 0] {
            assert!(clockwork.ask(now).ticks.len() <= 1);
        }
    }
}

proptest! {
    #[test]
    fn no_tick_comes_twice_unless_a_reset_was_told(
        steps in prop::collection::vec(-4_000_000..6_000_000i64, 1..60),
        missed in 0..3usize,
        kind in 0..3usize,
    ) {
        let missed = [Missed::Latest, Missed::All, Missed::None][missed];
        let entry = [every("17s"), cron("*/5 * * * *", "Europe/Berlin"), cron("30 2 * * *", "UTC")][kind].clone();
        let mut clockwork = Clockwork::new(with(missed, entry));
        let mut seen = HashSet::new();
        let mut now = ORIGIN;
        for step in steps {
            now = now.saturating_add_signed(step);
            let due = clockwork.ask(now);
            if due.was_reset {
                seen.clear();
            }
            for tick in &due.ticks {
                prop_assert!(tick.due <= now, "early");
                prop_assert!(seen.insert(*tick), "{} came twice", tick.due);
            }
            // Nobody waits longer than the clock was ahead, and one interval.
            let longest = HOUR + if kind == 2 { 24 * HOUR } else { 5 * MINUTE };
            prop_assert!(due.next_due.unwrap() <= now + longest);
        }
    }
}
