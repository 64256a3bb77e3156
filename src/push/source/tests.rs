//! Laps and reads that overtake each other.

use super::*;
use crate::ids::Slot;

fn key(number: u64) -> OutboxKey {
    OutboxKey { slot: Slot(number), index: 0 }
}

fn found(items: &[(u64, &str)]) -> Vec<Found> {
    let far = |target: &str| Destination::Remote(target.into());
    items
        .iter()
        .map(|(number, target)| Found { key: key(*number), target: (*target).into(), destination: far(target) })
        .collect()
}

fn room(window: usize) -> Room {
    Room { others: 0, options: PushOptions { window, ..PushOptions::default() } }
}

/// A read that finds these items and no more. Returns the targets that have a first item now.
fn read(source: &mut Source, room: Room, items: &[(u64, &str)], open: &str) -> Vec<Target> {
    let after = source.begin_load(room).unwrap();
    answer(source, room, after, items, open)
}

fn answer(source: &mut Source, room: Room, after: Option<OutboxKey>, items: &[(u64, &str)], open: &str) -> Vec<Target> {
    assert_eq!(source.end_load(), Some(after));
    let taken = source.take_page(after, found(items), false, room, |to| *to == Destination::Remote(open.into()));
    source.forget_removed();
    taken.fresh
}

/// One place; `a` had it first and gave it away to `c`, which went well, and `b` could not have it.
fn crowded() -> (Source, Room) {
    let (mut source, room) = (Source::new(), room(1));
    let items = [(0, "a"), (1, "b"), (2, "c")];
    assert_eq!(read(&mut source, room, &items, ""), ["a".into()]);
    source.lane_mut("a").unwrap().step = super::super::lane::Step::Waiting(1);
    source.lose_patience();
    assert_eq!(read(&mut source, room, &items[1..], "c"), ["c".into()]);
    source.pop("c");
    (source, room)
}

#[test]
fn a_lap_starts_over_at_the_first_that_was_left_behind() {
    let (mut source, room) = crowded();
    source.removed(key(2));
    source.use_room(room);
    assert_eq!(source.next_load(room), Some(None));
    assert_eq!(read(&mut source, room, &[(0, "a"), (1, "b")], ""), ["a".into()]);
    source.pop("a");
    source.removed(key(0));
    source.use_room(room);
    assert_eq!(source.next_load(room), Some(Some(key(0))));
    assert_eq!(read(&mut source, room, &[(1, "b")], ""), ["b".into()]);
    source.pop("b");
    source.removed(key(1));
    assert!(source.is_over(), "{source:?}");
}

#[test]
fn what_was_removed_during_a_read_is_not_taken_in_again() {
    let (mut source, _) = crowded();
    source.lose_patience();
    let room = room(9);
    let after = source.begin_load(room).unwrap();
    source.removed(key(2));
    let fresh = answer(&mut source, room, after, &[(0, "a"), (1, "b"), (2, "c")], "");
    assert_eq!(fresh, ["a".into(), "b".into()]);
}
