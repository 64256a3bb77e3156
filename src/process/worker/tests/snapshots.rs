//! States are stored, now and then.

use super::fake_device::Turn;
use super::fake_store::Fate;
use super::world::{World, options};
use crate::ids::Slot;
use crate::process::worker::{Note, Request, TurnDone, WorkerOptions};
use crate::process::{Durability, Record, RequestError};

fn every(cache_frequency: u64) -> World {
    World::with(WorkerOptions { cache_frequency, ..options() })
}

fn stored(world: &World) -> Vec<u64> {
    world.store.data.snapshots.iter().map(|snapshot| snapshot.slot.0).collect()
}

fn ask(world: &mut World, reply: u32) {
    world.ask(Request::Snapshot { reply });
}

#[test]
fn a_snapshot_is_taken_after_so_many_slots() {
    let mut world = every(3);
    let mut seen = Vec::new();
    for _ in 0..7 {
        world.store_messages(&["x"]);
        world.settle();
        seen.push(stored(&world).first().copied());
    }
    assert_eq!(seen, [None, Some(2), Some(2), Some(2), Some(5), Some(5), Some(5)]);
}

#[test]
fn a_snapshot_is_committed_behind_the_outcomes_that_it_holds() {
    let mut world = every(2);
    world.store_messages(&["x"]);
    world.turn(&Turn::default());
    let kinds: Vec<&Record> = world.commits.iter().map(|commit| &commit.records[0]).collect();
    assert!(matches!(kinds[..], [Record::Computed(_), Record::Snapshot(..)]));
}

#[test]
fn what_cannot_be_repeated_is_stored_with_its_state_before_the_next_slot_begins() {
    let mut world = World::at_rest();
    world.bench.is_deterministic = false;
    world.store_messages(&["x"]);
    world.settle();
    world.store_messages(&["x", "error", "x"]);
    for (slot, has_state) in [(2, true), (3, false), (4, true)] {
        world.turn(&Turn::default());
        let [commit] = world.commits.make_contiguous() else { panic!("one commit for slot {slot}") };
        let states =
            commit.records.iter().filter(|record| matches!(record, Record::Snapshot(of, Some(_)) if of.slot.0 == slot));
        assert_eq!((states.count() == 1, commit.durability), (has_state, Durability::Sync), "slot {slot}");
        assert!(world.plan.is_none(), "slot {slot} is not on disk yet");
        world.commit(Fate::Taken);
    }
    assert_eq!(stored(&world), [4, 2]);
    world.shut_down();
    world.succeed();
    world.store_messages(&["x"]);
    world.settle();
    assert_eq!((world.bench.replayed, world.store.data.outcome(Slot(5)).is_some()), (0, true));
}

#[test]
fn older_snapshots_are_dropped() {
    let mut world = every(1);
    world.store_messages(&["x"]);
    world.settle();
    world.store_messages(&["x"]);
    world.settle();
    world.store_messages(&["x"]);
    world.settle();
    assert_eq!(stored(&world), [3, 2]);
}

#[test]
fn one_snapshot_is_kept_at_least() {
    let mut world = World::with(WorkerOptions { cache_frequency: 1, snapshots_kept: 0, ..options() });
    world.store_messages(&["x"]);
    world.settle();
    assert_eq!(stored(&world), [1]);
}

#[test]
fn a_snapshot_that_is_asked_for_is_answered_when_it_is_stored() {
    for is_big in [false, true] {
        let mut world = World::at_rest();
        world.bench.is_big = is_big;
        world.store_messages(&["x"]);
        world.settle();
        ask(&mut world, 1);
        world.turn(&Turn::default());
        if is_big {
            assert!(world.commits.is_empty(), "the file comes first");
            world.write_file(Ok(()));
        }
        assert_eq!(world.said(1), "");
        world.commit_all();
        assert_eq!((world.said(1).as_str(), stored(&world)), ("at 1", vec![1]));
        assert!(world.notes.iter().any(|note| matches!(note, Note::SnapshotStored { slot: Slot(1), .. })));
    }
}

#[test]
fn a_snapshot_that_is_stored_already_is_not_stored_again() {
    let mut world = World::at_rest();
    ask(&mut world, 1);
    world.settle();
    ask(&mut world, 2);
    world.turn(&Turn::default());
    assert_eq!((world.said(2).as_str(), world.commits.len()), ("at 0", 0));
}

#[test]
fn whoever_asks_while_one_is_being_stored_is_served_by_it_if_it_is_new_enough() {
    let mut world = World::at_rest();
    world.bench.is_big = true;
    ask(&mut world, 1);
    world.turn(&Turn::default());
    ask(&mut world, 2);
    world.store_messages(&["x"]);
    ask(&mut world, 3);
    world.turn(&Turn::default());
    world.write_file(Ok(()));
    world.commit_all();
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["at 0", "at 0", ""]);
    world.settle();
    assert_eq!(world.said(3), "at 1");
}

#[test]
fn a_snapshot_that_cannot_be_taken_written_or_stored_is_an_error_and_the_work_goes_on() {
    for fails in ["taken", "written", "stored"] {
        let mut world = World::at_rest();
        world.bench.is_big = fails == "written";
        ask(&mut world, 1);
        world.turn(&Turn { snapshot_fails: fails == "taken", ..Turn::default() });
        match fails {
            "written" => world.write_file(Err("no space".to_owned())),
            "stored" => world.commit(Fate::Refused),
            _ => {}
        }
        let code = if fails == "taken" { "internal" } else { "store" };
        assert_eq!((world.said(1).as_str(), stored(&world).len()), (code, 0), "{fails}");
        assert!(world.notes.iter().any(|note| matches!(note, Note::SnapshotFailed { .. })));
        world.store_messages(&["x"]);
        ask(&mut world, 2);
        world.settle();
        assert_eq!((world.said(2).as_str(), world.left().as_str()), ("at 1", "running"), "{fails}");
    }
}

#[test]
fn a_snapshot_that_came_to_nothing_is_due_again_only_after_as_many_slots_as_one_that_did() {
    let mut world = every(3);
    let mut tries = Vec::new();
    for slot in 1..9 {
        world.store_messages(&["x"]);
        if world.plan.as_ref().is_some_and(|plan| plan.wants_snapshot) {
            tries.push(slot);
        }
        world.turn(&Turn { snapshot_fails: true, ..Turn::default() });
        world.commit_all();
    }
    assert_eq!(tries, [2, 5, 8]);
}

#[test]
fn where_there_is_no_state_whoever_asks_is_refused_and_nothing_is_amiss() {
    let mut world = World::at_rest();
    ask(&mut world, 1);
    world.ask(Request::Base { reply: 2 });
    let error = RequestError::Conflict("its code does not load".to_owned());
    world.plan = None;
    world.core.turn_done(TurnDone { position: Some(Slot(0)), snapshot: Some(Err(error)), ..TurnDone::default() });
    world.absorb();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["conflict"; 2]);
    assert!(!world.notes.iter().any(|note| matches!(note, Note::SnapshotFailed { .. })));
}

#[test]
fn a_base_that_cannot_be_taken_is_an_error() {
    let mut world = World::at_rest();
    world.ask(Request::Base { reply: 1 });
    world.turn(&Turn { snapshot_fails: true, ..Turn::default() });
    assert_eq!((world.said(1).as_str(), world.plan.is_none()), ("internal", true));
}

#[test]
fn in_sync_mode_the_next_slots_wait_for_the_snapshot() {
    for (async_cache, turns) in [(true, 1), (false, 0)] {
        let mut world = World::with(WorkerOptions { cache_frequency: 2, async_cache, ..options() });
        world.bench.is_big = true;
        world.store_messages(&["x"]);
        world.turn(&Turn::default());
        world.forget_all();
        world.store_messages(&["x"]);
        assert_eq!(world.plans, turns, "async_cache = {async_cache}");
        world.settle();
        assert_eq!(world.store.data.computed(), Some(Slot(2)));
    }
}

#[test]
fn a_worker_starts_from_the_newest_snapshot() {
    let mut world = every(2);
    world.store_messages(&["x"; 4]);
    world.settle();
    let before = world.bench.device.clone();
    world.shut_down();
    world.succeed_with(None, vec![Request::State { reply: 1 }]);
    world.settle();
    assert_eq!((world.bench.replayed, &world.bench.device, stored(&world)[0]), (0, &before, 4));
}

#[test]
fn on_the_way_to_the_slot_that_is_asked_for_no_snapshot_is_stored() {
    let mut world = World::at_rest();
    world.store_messages(&["x"; 5]);
    ask(&mut world, 1);
    while world.plan.is_some() {
        world.turn(&Turn::of(1));
        world.commit_all();
    }
    assert_eq!((world.said(1).as_str(), stored(&world)), ("at 5", vec![5]));
}
