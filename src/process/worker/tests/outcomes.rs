//! Who is told which outcome, and when.

use super::fake_device::Turn;
use super::fake_store::Fate;
use super::world::{GONE, World, draft};
use crate::config::limits::LimitKey;
use crate::ids::Slot;
use crate::process::worker::{Request, StopReason};
use crate::process::{Cause, Durability};

/// Messages 1 to 3 are stored and each is waited for by the ticket of its number.
fn three_waiting() -> World {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x", "x"]);
    // The turn that began with the first message goes no further; it brings nothing yet.
    world.turn(&Turn::of(0));
    for slot in 1..=3 {
        world.compute(slot, slot.into());
    }
    world
}

#[test]
fn a_stored_outcome_is_answered_at_once() {
    let mut world = World::at_rest();
    world.compute(1, 0);
    assert_eq!((world.said(1).as_str(), world.plans), ("success 0", 0));
}

#[test]
fn those_who_wait_for_a_slot_are_told_in_the_order_in_which_they_came() {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    for ticket in [3, 1, 2] {
        world.compute(ticket, 1);
    }
    world.ask(Request::AwaitAny { reply: 4 });
    world.turn(&Turn::default());
    assert_eq!(world.heard(), [3, 1, 2, 4]);
}

#[test]
fn who_waits_for_any_slot_is_told_the_next_one_only() {
    let mut world = three_waiting();
    world.ask(Request::AwaitAny { reply: 4 });
    world.settle();
    assert_eq!((world.said(4).as_str(), world.heard()), ("success 1", vec![1, 4, 2, 3]));
}

#[test]
fn what_can_be_computed_again_is_told_before_it_is_on_disk() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "error"]);
    world.compute(1, 1);
    world.compute(2, 2);
    world.turn(&Turn::default());
    world.turn(&Turn::default());
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["success 1", "error 2"]);
    assert!(world.commits.iter().all(|commit| commit.durability == Durability::Lazy));
    assert_eq!(world.commits.len(), 2);
}

#[test]
fn an_outcome_that_was_told_and_is_on_its_way_is_answered_at_once() {
    let mut world = three_waiting();
    world.turn(&Turn::default());
    world.compute(4, 2);
    assert_eq!((world.said(4).as_str(), world.commits.len()), ("success 2", 1));
}

#[test]
fn what_only_chance_decided_is_told_once_it_is_on_disk() {
    for cause in [Cause::Limit(LimitKey::Memory), Cause::Panic] {
        let mut world = three_waiting();
        world.turn(&Turn::ended_at(1, cause));
        assert_eq!(world.heard(), [0; 0], "{cause:?}");
        assert_eq!(world.commits[0].durability, Durability::Sync);
        world.compute(4, 1);
        assert_eq!(world.said(4), "");
        world.commit(Fate::Taken);
        assert_eq!(world.heard()[..2], [1, 4]);
        world.settle();
        assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["success 2", "success 3"]);
    }
}

#[test]
fn nothing_of_a_device_that_is_not_deterministic_is_told_before_it_is_on_disk() {
    let mut world = three_waiting();
    world.bench.is_deterministic = false;
    world.turn(&Turn::default());
    assert_eq!((world.heard().len(), world.commits[0].durability), (0, Durability::Sync));
    world.commit(Fate::Taken);
    assert_eq!(world.heard(), [1]);
    world.settle();
    assert_eq!(world.heard(), [1, 2, 3]);
}

#[test]
fn in_a_mixed_turn_the_order_is_kept() {
    let mut world = three_waiting();
    world.turn(&Turn::limit_at(2));
    assert_eq!(world.heard(), [1]);
    world.commit(Fate::Taken);
    assert_eq!(world.heard(), [1, 2, 3]);
}

#[test]
fn outcomes_behind_one_that_must_be_on_disk_wait_for_it_and_not_for_their_own_commit() {
    let mut world = three_waiting();
    world.turn(&Turn { slots: 1, ..Turn::limit_at(1) });
    world.turn(&Turn::default());
    assert_eq!((world.heard().len(), world.commits.len()), (0, 2));
    world.commit(Fate::Taken);
    assert_eq!((world.heard(), world.commits.len()), (vec![1, 2, 3], 1));
}

#[test]
fn a_turn_that_ends_early_is_followed_by_another() {
    let mut world = three_waiting();
    world.turn(&Turn::of(1));
    assert_eq!(world.heard(), [1]);
    world.turn(&Turn::of(1));
    world.turn(&Turn::of(1));
    assert_eq!((world.heard(), world.plan.is_none()), (vec![1, 2, 3], true));
}

#[test]
fn entries_at_hand_go_with_the_turn_and_come_back_when_it_does_not_reach_them() {
    let mut world = three_waiting();
    let slots = |world: &World| world.plan.as_ref().unwrap().entries.iter().map(|one| one.slot.0).collect::<Vec<_>>();
    let first = slots(&world);
    world.store_messages(&["x"]);
    world.turn(&Turn::of(1));
    assert_eq!((first, slots(&world)), (vec![1, 2, 3], vec![2, 3, 4]));
}

#[test]
fn entries_that_are_not_at_hand_are_read_from_the_log() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x", "x"]);
    world.stop(StopReason::Shutdown);
    world.turn(&Turn::of(0));
    world.settle();
    world.succeed();
    let plan = world.plan.as_ref().unwrap();
    assert_eq!((plan.entries.len(), plan.goal, plan.recorded), (0, Some(Slot(3)), Some(Slot(0))));
    world.settle();
    assert_eq!(world.store.data.computed(), Some(Slot(3)));
}

#[test]
fn entries_that_are_too_many_to_keep_are_computed_all_the_same() {
    let mut world = World::with_queue(5000);
    for id in 0..3000 {
        world.schedule(GONE, id, "x");
    }
    world.commit_all();
    let mut most = 0;
    while let Some(plan) = &world.plan {
        most = most.max(plan.entries.len());
        world.turn(&Turn::of(700));
        world.commit_all();
    }
    assert_eq!((world.store.data.computed(), most), (Some(Slot(3001)), 1024));
}

#[test]
fn a_fault_is_no_outcome_and_is_tried_again_later_and_later() {
    let mut world = World::at_rest();
    world.ask(Request::Schedule { draft: draft(1, "x"), reply: 1, outcome: Some(2) });
    world.commit_all();
    let mut waits = Vec::new();
    for _ in 0..3 {
        world.turn(&Turn { slots: 0, fault: true, ..Turn::default() });
        assert!(world.plan.is_none() && world.commits.is_empty());
        waits.push(world.retry_after.unwrap().as_millis());
        world.retry();
    }
    world.settle();
    assert_eq!((waits, world.said(2).as_str()), (vec![100, 200, 400], "success 1"));
}

#[test]
fn what_was_computed_before_a_fault_stands_and_the_wait_starts_over() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x", "x"]);
    let mut waits = Vec::new();
    for slots in [0, 1, 1] {
        world.turn(&Turn { slots, fault: true, ..Turn::default() });
        waits.push(world.retry_after.unwrap().as_millis());
        world.commit_all();
        world.retry();
    }
    assert_eq!((world.store.data.computed(), waits), (Some(Slot(2)), vec![100, 100, 100]));
}

#[test]
fn a_lost_device_is_made_anew_from_what_is_stored() {
    let mut world = three_waiting();
    world.turn(&Turn::ended_at(2, Cause::Panic));
    assert!(world.plan.is_none(), "the outcomes that a new device must pass are not stored yet");
    world.commit(Fate::Taken);
    let plan = world.plan.as_ref().unwrap();
    assert_eq!((plan.recorded, plan.goal), (Some(Slot(2)), Some(Slot(3))));
    world.settle();
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["success 1", "panic 2", "success 3"]);
}

#[test]
fn a_replay_longer_than_a_turn_goes_on_in_the_next() {
    let mut world = three_waiting();
    world.settle();
    world.stop(StopReason::Shutdown);
    world.turn(&Turn { snapshot_fails: true, ..Turn::default() });
    world.succeed();
    world.schedule(9, 9, "x");
    world.commit_all();
    for _ in 0..4 {
        world.turn(&Turn::of(1));
        assert_eq!(world.store.data.computed(), Some(Slot(3)));
    }
    world.settle();
    assert_eq!((world.bench.replayed, world.store.data.computed()), (4, Some(Slot(4))));
}

#[test]
fn the_next_turn_knows_whether_the_last_was_slow() {
    let mut world = three_waiting();
    for is_slow in [true, false] {
        world.turn(&Turn { is_slow, ..Turn::of(1) });
        assert_eq!(world.plan.as_ref().unwrap().is_slow, is_slow);
    }
}

#[test]
fn the_state_is_that_after_every_message_that_was_stored_when_it_was_asked_for() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x"]);
    world.ask(Request::State { reply: 1 });
    world.turn(&Turn::default());
    world.turn(&Turn::of(0));
    assert_eq!(world.said(1), "");
    world.settle();
    assert_eq!(world.said(1), "state");
}

#[test]
fn at_rest_a_state_or_a_base_takes_one_turn_and_stores_nothing() {
    for (request, said) in [(Request::State { reply: 1 }, "state"), (Request::Base { reply: 1 }, "base 0")] {
        let mut world = World::at_rest();
        world.ask(request);
        world.turn(&Turn::default());
        assert_eq!((world.said(1).as_str(), world.commits.len(), world.plan.is_none()), (said, 0, true));
    }
}

#[test]
fn a_settled_process_has_on_disk_what_was_told() {
    let mut world = three_waiting();
    world.ask(Request::Settle { reply: 4 });
    assert_eq!(world.said(4), "done");
    world.turn(&Turn::default());
    world.ask(Request::Settle { reply: 5 });
    assert_eq!(world.said(5), "");
    world.commit(Fate::Taken);
    assert_eq!((world.said(5).as_str(), world.store.data.computed()), ("done", Some(Slot(3))));
}

#[test]
fn no_turn_begins_while_too_many_outcomes_are_on_their_way() {
    let mut world = World::with_queue(10_000);
    for id in 0..6000 {
        world.schedule(GONE, id, "x");
    }
    world.commit_all();
    while world.plan.is_some() {
        world.turn(&Turn::of(1000));
    }
    let waiting: usize = world.commits.iter().map(|commit| commit.records.len()).sum();
    assert!((4096..4096 + 1024).contains(&waiting), "{waiting}");
    world.settle();
    assert_eq!(world.store.data.computed(), Some(Slot(6001)));
}
