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

/// A process at rest with snapshots of slots 0 and 1, each after a request, and nobody who runs it.
fn with_two_snapshots(is_big: bool) -> World {
    let mut world = World::at_rest();
    world.bench.is_big = is_big;
    ask(&mut world, 1);
    world.settle();
    world.store_messages(&["x"]);
    world.settle();
    world.shut_down();
    assert_eq!(stored(&world), [1, 0]);
    world
}

#[test]
fn a_snapshot_that_cannot_be_read_is_as_none() {
    for (is_big, damaged, by) in [false, true]
        .into_iter()
        .flat_map(|is_big| [vec![0], vec![0, 1]].map(|damaged| (is_big, damaged)))
        .flat_map(|(is_big, damaged)| ["request", "stop", "slots"].map(|by| (is_big, damaged.clone(), by)))
    {
        let case = format!("big: {is_big}, damaged: {damaged:?}, stored by {by}");
        let mut world = with_two_snapshots(is_big);
        damaged.iter().for_each(|newer| world.damage(*newer));
        world.options.cache_frequency = if by == "slots" { 2 } else { 1000 };
        world.succeed_with(None, vec![Request::State { reply: 2 }]);
        world.settle();
        // Files stand on each other, so that without the oldest there is nothing.
        let replayed = if damaged.len() == 2 { 2 } else { 1 };
        assert_eq!((world.said(2).as_str(), world.bench.replayed), ("state", replayed), "{case}");
        assert_eq!(world.core.status().unwrap().snapshot, (damaged.len() == 1).then_some(Slot(0)), "{case}");
        match by {
            "request" => {
                ask(&mut world, 3);
                world.settle();
                assert_eq!(world.said(3), "at 1", "{case}");
            }
            "slots" => {
                world.store_messages(&["x"]);
                world.settle();
                world.cut_down();
            }
            _ => {}
        }
        if world.remains.is_none() {
            world.shut_down();
        }
        let newest = if by == "slots" { 2 } else { 1 };
        let expected = if damaged.len() == 2 { vec![newest] } else { vec![newest, 0] };
        assert_eq!(stored(&world), expected, "{case}");
        world.bench.replayed = 0;
        world.succeed_with(None, vec![Request::State { reply: 4 }]);
        world.settle();
        assert_eq!((world.said(4).as_str(), world.bench.replayed), ("state", 0), "{case}");
    }
}

#[test]
fn what_cannot_be_read_is_dropped_with_the_next_snapshot_that_the_store_takes() {
    let mut world = with_two_snapshots(false);
    world.damage(0);
    world.succeed();
    ask(&mut world, 2);
    world.turn(&Turn::default());
    world.commit(Fate::Refused);
    assert_eq!((world.said(2).as_str(), stored(&world)), ("store", vec![1, 0]));
    world.store_messages(&["x"]);
    ask(&mut world, 3);
    world.settle();
    assert_eq!((world.said(3).as_str(), stored(&world)), ("at 2", vec![2, 0]));
    ask(&mut world, 4);
    world.store_messages(&["x"]);
    ask(&mut world, 5);
    world.settle();
    assert_eq!((world.said(5).as_str(), stored(&world)), ("at 3", vec![3, 2]), "it is dropped once");
}

#[test]
fn a_file_that_stands_on_one_that_turns_out_to_be_damaged_is_not_stored() {
    let mut world = with_two_snapshots(true);
    world.succeed_with(None, vec![Request::State { reply: 2 }]);
    world.settle();
    world.store_messages(&["x"]);
    ask(&mut world, 3);
    while world.files.is_empty() {
        world.turn(&Turn::default());
        world.commit_all();
    }
    assert_eq!(world.files.front().and_then(|taken| taken.before.as_ref()).map(|before| before.slot), Some(Slot(1)));
    world.damage(0);
    world.store_messages(&["x"]);
    world.turn(&Turn::fault_after(0));
    world.retry();
    world.turn(&Turn::default());
    world.commit_all();
    world.write_file(Ok(()));
    assert_eq!((world.said(3).as_str(), stored(&world)), ("store", vec![1, 0]));
    ask(&mut world, 4);
    world.settle();
    assert_eq!((world.said(4).as_str(), stored(&world)), ("at 3", vec![3, 0]));
    assert!(!world.store.data.snapshots.iter().any(|snapshot| world.bench.is_damaged(snapshot)));
}

#[test]
fn on_a_long_way_back_only_a_snapshot_that_is_due_is_brought_along() {
    let mut world = every(5);
    for _ in 0..5 {
        world.store_messages(&["x"; 4]);
        world.settle();
    }
    world.shut_down();
    (0..2).for_each(|newer| world.damage(newer));
    let before = world.store.data.snapshots.clone();
    world.succeed_with(None, vec![Request::State { reply: 1 }]);
    let mut brought = Vec::new();
    while let Some(plan) = &world.plan {
        let is_wanted = plan.wants_snapshot;
        world.turn(&Turn::of(1));
        if is_wanted {
            brought.push(world.core.position.unwrap().0);
            assert!(!world.commits.is_empty(), "{brought:?}");
        }
        world.commit_all();
    }
    assert_eq!((world.said(1).as_str(), brought), ("state", vec![5, 11, 17]));
    assert!(!stored(&world).is_empty() && before.iter().all(|one| !world.store.data.snapshots.contains(one)));
}
