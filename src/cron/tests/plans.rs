//! Plans while the clock runs as it should.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{at, cron, every, next_times, with};
use crate::clock::Millis;
use crate::cron::{Cursor, Due, Entry, EntryForm, Missed, Plan, Tick};

const ORIGIN: Millis = 1_770_000_000_000;

fn plan(entries: Vec<Entry>) -> Plan {
    Plan::new(entries, ORIGIN).unwrap()
}

/// Asks until nothing is left at `now`, and moves the cursor on.
fn drain(plan: &Plan, cursor: &mut Cursor, now: Millis, limit: usize) -> Vec<Tick> {
    let mut ticks = Vec::new();
    loop {
        let Due { ticks: more, next_cursor, next_due, .. } = plan.due(cursor, now, limit);
        // What is stored and read back is the same cursor.
        *cursor = next_cursor.to_string().parse().unwrap();
        assert_eq!(*cursor, next_cursor);
        ticks.extend(more);
        if next_due.is_none_or(|due| due > now) {
            return ticks;
        }
    }
}

#[test]
fn a_day_of_ten_seconds_has_8640_ticks_however_often_one_asks() {
    for entry in [every("10s"), cron("*/10 * * * * *", "UTC")] {
        for missed in [Missed::Latest, Missed::All, Missed::None] {
            let plan = plan(vec![with(missed, entry.clone())]);
            for step in [3_333, 10_000] {
                let (mut cursor, mut number, mut now) = (Cursor::default(), 0, ORIGIN);
                while now < ORIGIN + 86_400_000 {
                    now = (now + step).min(ORIGIN + 86_400_000);
                    number += drain(&plan, &mut cursor, now, 10).len();
                }
                assert_eq!(number, 8_640, "{missed:?} each {step} ms");
            }
        }
    }
}

#[test]
fn ticks_come_by_due_time_and_then_by_entry_and_the_limit_leaves_the_rest_for_later() {
    let entries: Vec<Entry> = ["20s", "30s", "1m"].iter().map(|text| with(Missed::All, every(text))).collect();
    let plan = plan(entries);
    let due = plan.due(&Cursor::default(), ORIGIN + 60_000, 100);
    let times: Vec<_> = due.ticks.iter().map(|tick| tick.due - ORIGIN).collect();
    assert_eq!(times, [20_000, 30_000, 40_000, 60_000, 60_000, 60_000]);
    assert!(due.ticks.is_sorted());
    assert_eq!((due.next_due, due.skipped, due.capped), (Some(ORIGIN + 80_000), 0, 0));

    let first = plan.due(&Cursor::default(), ORIGIN + 60_000, 4);
    assert_eq!((&first.ticks[..], first.next_due), (&due.ticks[..4], Some(ORIGIN + 60_000)));
    let rest = plan.due(&first.next_cursor, ORIGIN + 60_000, 4);
    assert_eq!((&rest.ticks[..], &rest.next_cursor), (&due.ticks[4..], &due.next_cursor));
    let none = plan.due(&Cursor::default(), ORIGIN + 60_000, 0);
    assert_eq!((none.ticks.len(), none.next_due), (0, Some(ORIGIN + 20_000)));
}

#[test]
fn an_entry_that_stays_keeps_its_place_and_origin_in_another_definition() {
    let (stays, goes, comes) = (every("1h"), every("30m"), every("20m"));
    let old = plan(vec![stays.clone(), goes.clone()]);
    let mut cursor = Cursor::default();
    drain(&old, &mut cursor, ORIGIN + 90 * 60_000, 10);

    let defined = ORIGIN + 100 * 60_000;
    let new = Plan::new(vec![comes.clone(), stays.clone()], defined).unwrap();
    let due = new.due(&cursor, ORIGIN + 121 * 60_000, 10);
    let expected = [(120, &stays), (120, &comes)]
        .map(|(minutes, entry)| Tick { due: ORIGIN + minutes * 60_000, entry: entry.content_hash() });
    assert_eq!(due.ticks.iter().collect::<BTreeSet<_>>(), expected.iter().collect());
    // The one that is gone would begin anew.
    let again = plan(vec![goes.clone()]).due(&due.next_cursor, ORIGIN, 10);
    assert_eq!(again.next_due, Some(ORIGIN + 30 * 60_000));
    assert_eq!(new.entry(&goes.content_hash()), None);
}

#[test]
fn a_plan_that_takes_over_passes_over_no_tick() {
    // Three ticks of the hour are missed, and nothing of the cursor before is in the future or far behind.
    let (latest, all, new) = (every("1h"), with(Missed::All, every("2h")), every("3h"));
    let old = plan(vec![latest.clone(), all.clone(), every("5h")]);
    let cursor = old.due(&Cursor::default(), ORIGIN, 0).next_cursor;
    let defined = ORIGIN + 210 * 60_000;
    let taken_over = Plan::new(vec![latest, all, new], defined).unwrap();
    let adopted = taken_over.adopt(&cursor);
    let next: BTreeSet<_> = taken_over.entries(&adopted).map(|(_, _, next)| next.unwrap() - ORIGIN).collect();
    assert_eq!(next, [60, 120, 210 + 180].map(|minutes| minutes * 60_000).into());
    assert_eq!(adopted.to_string().matches(';').count(), 3, "the one that is gone is left out");
    assert_ne!(taken_over.due(&cursor, defined, 0).next_cursor, adopted, "to look is to pass over what was missed");
    // A place that was left in the future is kept with the other.
    let parked = old.due(&old.due(&Cursor::default(), ORIGIN + 100 * 3_600_000, 99).next_cursor, ORIGIN, 0).next_cursor;
    assert_eq!(old.adopt(&parked), parked);
}

#[test]
fn the_list_of_entries_tells_when_each_is_due_next() {
    let once = Entry::try_from(EntryForm { at: Some(crate::cron::AtForm::Millis(ORIGIN + 5)), ..EntryForm::default() });
    let plan = plan(vec![every("1h"), once.unwrap()]);
    let times = |cursor: &Cursor| plan.entries(cursor).filter_map(|(_, _, next)| next).collect::<BTreeSet<_>>();
    assert_eq!(times(&Cursor::default()), BTreeSet::from([ORIGIN + 5, ORIGIN + 3_600_000]));
    let later = plan.due(&Cursor::default(), ORIGIN + 10, 10).next_cursor;
    assert_eq!(times(&later), BTreeSet::from([ORIGIN + 3_600_000]));
}

#[test]
fn a_plan_of_nothing_is_never_due() {
    let due = plan(Vec::new()).due(&Cursor::default(), ORIGIN, 10);
    assert_eq!((due.ticks, due.next_due, due.next_cursor), (Vec::new(), None, Cursor::default()));
}

fn entry() -> impl Strategy<Value = Entry> {
    let texts = prop_oneof![
        (7..600u64).prop_map(|seconds| every(&format!("{seconds}s"))),
        (10..60_000u64).prop_map(|millis| every(&format!("{}ms", millis * 100))),
        Just(cron("*/7 * * * *", "Europe/Berlin")),
        Just(cron("*/20 */3 * * * *", "UTC")),
        Just(cron("5,35 1-12 * * *", "Asia/Kolkata")),
        Just(every("1 month")),
        (1..100_000_000u64).prop_map(|millis| {
            Entry::try_from(EntryForm {
                at: Some(crate::cron::AtForm::Millis(ORIGIN + millis)),
                ..EntryForm::default()
            })
            .unwrap()
        }),
    ];
    (texts, "[ab]{1,2}").prop_map(|(entry, data)| with(Missed::All, Entry { data, ..entry }))
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(entry(), 1..5).prop_map(|mut entries| {
        entries.sort_by_key(Entry::content_hash);
        entries.dedup();
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn however_time_is_cut_into_calls_all_ticks_are_the_same(
        entries in entries(),
        mut cuts in prop::collection::vec(0..20_000_000u64, 0..20),
        limit in 1..50usize,
    ) {
        let plan = plan(entries.clone());
        let end = ORIGIN + 20_000_000;
        let mut expected: Vec<Tick> = Vec::new();
        for entry in &entries {
            let times = next_times(entry, ORIGIN, ORIGIN, 10_000).into_iter().take_while(|due| *due <= end);
            expected.extend(times.map(|due| Tick { due, entry: entry.content_hash() }));
        }
        expected.sort();
        cuts.sort_unstable();
        let mut cursor = Cursor::default();
        let mut found = Vec::new();
        for now in cuts.into_iter().map(|cut| ORIGIN + cut).chain([end]) {
            found.extend(drain(&plan, &mut cursor, now, limit));
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn whoever_sleeps_until_the_next_due_time_misses_nothing(entries in entries()) {
        let plan = plan(entries);
        let (mut cursor, mut now, mut number) = (Cursor::default(), ORIGIN, 0);
        let end = at("2026-02-02T04:00:00Z");
        let mut found = Vec::new();
        while now <= end && number < 2_000 {
            let due = plan.due(&cursor, now, 100);
            prop_assert!(due.ticks.iter().all(|tick| tick.due == now), "late");
            prop_assert!(due.next_due.is_none_or(|next| next > now));
            found.extend(due.ticks);
            cursor = due.next_cursor;
            let Some(next) = due.next_due else { break };
            (now, number) = (next, number + 1);
        }
        let last = found.last().map_or(ORIGIN, |tick| tick.due);
        prop_assert_eq!(found, drain(&plan, &mut Cursor::default(), last, 10_000));
    }
}
