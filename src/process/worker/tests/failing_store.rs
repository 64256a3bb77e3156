//! The store refuses, fails, or belongs to somebody else by now.

use super::fake_device::Turn;
use super::fake_store::Fate;
use super::world::{World, define, draft};
use crate::ids::Slot;
use crate::process::ProcessOrigin;
use crate::process::worker::{Request, StopReason};

/// Slot 1 waits to be computed, messages 2 and 3 are on their way.
fn busy() -> World {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.ask(Request::Schedule { draft: draft(2, "x"), reply: 2, outcome: Some(12) });
    world.schedule(3, 3, "x");
    world
}

#[test]
fn a_refused_message_is_answered_and_those_behind_it_too_and_the_worker_goes_on() {
    let mut world = busy();
    world.commit(Fate::Refused);
    assert_eq!([2, 12, 3].map(|ticket| world.said(ticket)), ["store", "store", ""]);
    world.commit(Fate::Taken);
    assert_eq!(world.said(3), "store", "it did not follow the last slot any more");
    world.settle();
    assert_eq!((world.left().as_str(), world.store.data.scheduled()), ("running", Some(Slot(1))));
}

#[test]
fn while_the_store_refuses_new_messages_are_refused_at_once() {
    let mut world = busy();
    world.commit(Fate::Refused);
    world.schedule(4, 4, "x");
    assert_eq!((world.said(4).as_str(), world.commits.len()), ("store", 1));
    world.commit(Fate::Refused);
    world.schedule(5, 5, "x");
    world.settle();
    assert_eq!((world.said(5).as_str(), world.store.data.scheduled()), ("scheduled 2", Some(Slot(2))));
}

#[test]
fn after_a_refusal_the_slot_is_free_the_id_is_new_and_the_device_is_kept() {
    let mut world = busy();
    world.commit(Fate::Refused);
    world.commit(Fate::Refused);
    world.schedule(4, 2, "something else");
    world.settle();
    assert_eq!((world.said(4).as_str(), world.bench.replayed), ("scheduled 2", 0));
    assert_eq!(world.store.data.computed(), Some(Slot(2)));
}

#[test]
fn a_definition_that_comes_while_the_store_refuses_is_refused() {
    let mut world = busy();
    world.commit(Fate::Refused);
    world.ask(Request::Define { define: define("b", ProcessOrigin::Config), reply: 4 });
    world.settle();
    world.schedule(5, 5, "x");
    world.settle();
    assert_eq!([4, 5].map(|ticket| world.said(ticket)), ["store", "scheduled 2"]);
    assert_eq!(world.left(), "running");
}

#[test]
fn a_refused_outcome_ends_the_worker_and_is_computed_again() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x"]);
    world.compute(1, 2);
    world.turn(&Turn::default());
    world.commit(Fate::Refused);
    assert_eq!(world.left(), "store: compute 2 1");
    assert!(world.remains.as_ref().unwrap().pending);
    world.succeed();
    world.settle();
    assert_eq!(world.said(1), "success 2");
}

#[test]
fn what_was_on_its_way_when_the_store_failed_is_unknown_and_the_rest_is_handed_on() {
    for fate in [Fate::UnknownKept, Fate::UnknownLost] {
        let mut world = busy();
        world.compute(1, 1);
        world.ask(Request::AwaitAny { reply: 5 });
        world.ask(Request::State { reply: 6 });
        world.commit(fate);
        assert_eq!([2, 12, 3].map(|ticket| world.said(ticket)), ["unknown", "unknown", "unknown"]);
        assert_eq!(world.left(), "store: compute 1 1, any 5, state 6");
        assert!(world.remains.as_ref().unwrap().pending);
        let has_2 = fate == Fate::UnknownKept;
        world.succeed();
        world.settle();
        assert_eq!([1, 5, 6].map(|ticket| world.said(ticket)), ["success 1", "success 1", "state"]);
        assert_eq!(world.store.data.scheduled(), Some(Slot(1 + u64::from(has_2))));
        // Whoever asks again with the same id gets the slot that it has, or a new one.
        world.schedule(7, 2, "x");
        world.settle();
        assert_eq!(world.said(7), "scheduled 2");
    }
}

#[test]
fn a_worker_that_ends_while_its_device_is_away_interrupts_it() {
    let mut world = busy();
    assert!(world.plan.is_some());
    world.commit(Fate::UnknownLost);
    assert_eq!(world.interrupts, 1);
}

#[test]
fn outcomes_that_the_store_may_have_lost_are_pending_though_they_were_told() {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.compute(1, 1);
    world.turn(&Turn::default());
    assert_eq!(world.said(1), "success 1");
    world.commit(Fate::UnknownLost);
    assert_eq!(world.store.data.computed(), Some(Slot(0)));
    assert!(world.remains.as_ref().unwrap().pending, "else nobody would compute slot 1 again");
}

#[test]
fn a_halt_that_the_store_may_have_lost_is_pending() {
    let mut world = World::at_rest();
    world.store_messages(&["halt"]);
    world.turn(&Turn::default());
    world.commit(Fate::UnknownLost);
    assert!(world.remains.as_ref().unwrap().pending);
}

#[test]
fn a_snapshot_whose_fate_is_unknown_ends_the_worker_for_the_store_may_have_lost_more() {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.turn(&Turn::default());
    world.commit_all();
    world.ask(Request::Snapshot { reply: 1 });
    world.turn(&Turn::default());
    world.commit(Fate::UnknownLost);
    assert_eq!(world.store.data.computed(), Some(Slot(0)), "the outcome was not yet on disk");
    assert_eq!(world.left(), "store: snapshot 1");
    assert!(world.remains.as_ref().unwrap().pending);
    world.succeed();
    world.settle();
    assert_eq!((world.said(1).as_str(), world.store.data.computed()), ("at 1", Some(Slot(1))));
}

#[test]
fn a_fenced_worker_hands_its_messages_on_with_their_ids() {
    let mut world = busy();
    world.compute(1, 1);
    world.store.fence();
    world.commit(Fate::Taken);
    assert_eq!(world.left(), "fenced: schedule 2, schedule 3, compute 1 1");
    world.succeed();
    world.settle();
    let said = [1, 2, 12, 3].map(|ticket| world.said(ticket));
    assert_eq!(said, ["success 1", "scheduled 2", "success 2", "scheduled 3"]);
    world.schedule(4, 2, "x");
    assert_eq!(world.said(4), "scheduled 2");
}

#[test]
fn a_message_that_several_wait_for_is_unknown_to_them_when_the_worker_is_fenced() {
    let mut world = busy();
    world.schedule(4, 2, "x");
    world.store.fence();
    world.commit(Fate::Taken);
    assert_eq!([2, 4].map(|ticket| world.said(ticket)), ["unknown", "unknown"]);
}

#[test]
fn what_can_only_be_told_by_its_commit_is_unknown_when_that_is() {
    for skip in [true, false] {
        let mut world = World::at_rest();
        world.store_messages(&["halt"]);
        world.settle();
        world.ask(Request::Resume { skip, reply: 1 });
        world.commit(Fate::UnknownLost);
        assert_eq!(world.said(1), "unknown");
    }
}

#[test]
fn a_settled_answer_is_not_given_for_what_the_store_may_have_lost() {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.turn(&Turn::default());
    world.ask(Request::Settle { reply: 1 });
    world.commit(Fate::UnknownLost);
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("", "store: settle 1"));
}

#[test]
fn a_stop_ends_though_the_store_fails() {
    let mut world = busy();
    world.ask(Request::Stop { reply: 1 });
    world.turn(&Turn::default());
    world.commit(Fate::UnknownLost);
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("done", "store"));
    world.stop(StopReason::Shutdown);
    assert_eq!(world.left(), "store");
}

#[test]
fn a_refused_snapshot_harms_no_message_behind_it() {
    let mut world = World::at_rest();
    world.ask(Request::Snapshot { reply: 1 });
    world.turn(&Turn::default());
    world.schedule(2, 2, "x");
    world.commit(Fate::Refused);
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["store", "scheduled 1"]);
    assert_eq!(world.left(), "running");
}

#[test]
fn a_definition_whose_worker_is_fenced_is_unknown() {
    let mut world = World::at_rest();
    world.ask(Request::Define { define: define("b", ProcessOrigin::Config), reply: 1 });
    world.store.fence();
    world.commit(Fate::Taken);
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("unknown", "fenced"));
}
