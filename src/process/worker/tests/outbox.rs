//! What outcomes send: when it may be delivered, and the pause while too much waits.

use super::fake_device::Turn;
use super::fake_store::Fate;
use super::world::{World, definition, draft};
use crate::config::limits::Limits;
use crate::ids::Slot;
use crate::process::worker::{Answer, Note, Request};
use crate::process::{Definition, Draft, Durability};

/// A process at rest whose outbox takes so many items.
fn with_outbox(outbox: u64) -> World {
    with_limits(outbox, 1000)
}

/// The same, with so many places in its queue.
fn with_limits(outbox: u64, queue: u64) -> World {
    let mut world = World::at_rest();
    let limits = Limits { outbox, queue, ..Limits::default() };
    world.shut_down();
    world.succeed_with(Some(Definition { limits, ..definition("a") }), Vec::new());
    world.settle();
    world.forget_all();
    world
}

/// With slots 2 to 5 stored, each of which sends two messages, and the device home again with nothing.
fn four_senders(outbox: u64) -> World {
    let mut world = with_outbox(outbox);
    world.store_messages(&["send 2"; 4]);
    world.turn(&Turn::of(0));
    world
}

/// What the process says it does, and why.
fn status(world: &mut World) -> (&'static str, Option<String>) {
    world.ask(Request::Status { reply: 999 });
    let Some((_, Ok(Answer::Status(status)))) = world.answers.pop() else { panic!("there is a status") };
    (status.activity.as_str(), status.error)
}

fn pauses(world: &World) -> usize {
    world.notes.iter().filter(|note| matches!(note, Note::Paused { .. })).count()
}

#[test]
fn an_outcome_that_sends_is_synced_and_told_no_later_for_it() {
    for (text, durability, pushes) in [("send 1", Durability::Sync, vec![Slot(1)]), ("x", Durability::Lazy, vec![])] {
        let mut world = World::at_rest();
        world.ask(Request::Schedule { draft: draft(1, text), reply: 1, outcome: Some(2) });
        world.commit(Fate::Taken);
        world.turn(&Turn::default());
        assert_eq!((world.said(2).as_str(), world.commits[0].durability), ("success 1", durability));
        assert_eq!(world.pushes, [], "nothing is delivered before it is on disk");
        world.commit(Fate::Taken);
        assert_eq!(world.pushes, pushes);
    }
}

#[test]
fn what_a_successor_finds_is_to_be_delivered() {
    for fate in [Fate::UnknownKept, Fate::UnknownLost] {
        let mut world = with_outbox(100);
        world.store_messages(&["send 1"]);
        world.turn(&Turn::default());
        world.commit(fate);
        assert_eq!(world.pushes, []);
        world.succeed();
        world.settle();
        assert_eq!((world.pushes.as_slice(), world.store.data.outbox.len()), ([Slot(2)].as_slice(), 1), "{fate:?}");
    }
}

#[test]
fn at_the_limit_no_turn_begins_and_below_it_the_next_one_does() {
    let mut world = four_senders(4);
    world.turn(&Turn::of(1));
    assert_eq!(world.plan.as_ref().map(|plan| plan.room), Some(2), "2 of 4");
    world.turn(&Turn::of(1));
    assert!(world.plan.is_none(), "it counts before it is on disk");
    world.settle();
    assert_eq!(world.store.data.computed(), Some(Slot(3)));
    let (activity, error) = status(&mut world);
    assert_eq!(activity, "computing");
    assert!(error.unwrap().starts_with("limit outbox: 4 "));
    world.deliver(0);
    assert!(world.plan.is_none());
    world.deliver(1);
    assert!(world.plan.is_some(), "3 of 4");
    world.turn(&Turn::of(1));
    world.settle();
    assert_eq!((world.store.data.computed(), world.store.data.outbox.len()), (Some(Slot(4)), 5));
    world.deliver(5);
    world.settle();
    assert_eq!((status(&mut world), world.store.data.computed()), (("active", None), Some(Slot(5))));
}

#[test]
fn the_log_hears_of_a_pause_once_until_half_of_the_outbox_was_free() {
    let ended = |world: &World| world.notes.iter().filter(|note| matches!(note, Note::Unpaused { .. })).count();
    let mut world = four_senders(4);
    for _ in 0..2 {
        world.turn(&Turn::of(1));
    }
    world.commit_all();
    assert_eq!((pauses(&world), ended(&world)), (1, 0));
    world.deliver(1);
    world.turn(&Turn::of(1));
    world.commit_all();
    assert_eq!((pauses(&world), ended(&world)), (1, 0), "it paused again, at 5 of 4");
    world.deliver(3);
    assert_eq!((pauses(&world), ended(&world)), (1, 1), "2 of 4");
    world.store_messages(&["x"]);
    world.turn(&Turn::of(1));
    assert_eq!((pauses(&world), ended(&world)), (2, 1), "4 of 4");
}

#[test]
fn a_full_queue_takes_what_closes_a_circle_only_from_a_paused_process() {
    let closing = |id| Box::new(Draft { closes_circle: true, ..*draft(id, "x") });
    let mut world = with_limits(2, 4);
    world.store_messages(&["send 2"; 4]);
    world.schedule(1, 1, "x");
    world.ask(Request::Schedule { draft: closing(2), reply: 2, outcome: None });
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["overloaded"; 2], "it goes on by itself");
    world.turn(&Turn::of(1));
    world.settle();
    world.schedule(3, 3, "x");
    world.settle();
    world.schedule(4, 4, "x");
    world.ask(Request::Schedule { draft: closing(5), reply: 5, outcome: None });
    world.settle();
    assert_eq!([3, 4, 5].map(|ticket| world.said(ticket)), ["scheduled 6", "overloaded", "scheduled 7"]);
}

#[test]
fn a_paused_process_can_make_room_for_another_and_answers_what_needs_no_slot() {
    let mut world = four_senders(2);
    world.turn(&Turn::of(1));
    world.settle();
    assert!(world.core.is_idle());
    world.ask(Request::State { reply: 1 });
    world.ask(Request::Base { reply: 2 });
    world.ask(Request::Snapshot { reply: 3 });
    world.compute(4, 2);
    world.compute(5, 3);
    world.settle();
    assert_eq!([1, 2, 3, 4, 5].map(|ticket| world.said(ticket)), ["state", "base 2", "at 2", "success 2", ""]);
    assert_eq!(world.store.data.computed(), Some(Slot(2)));
    world.schedule(6, 6, "x");
    world.settle();
    assert_eq!(world.said(6), "scheduled 6");
}

#[test]
fn a_state_that_was_asked_for_before_the_pause_is_answered_in_it() {
    let mut world = with_outbox(2);
    world.store_messages(&["send 2", "x"]);
    world.ask(Request::State { reply: 1 });
    world.turn(&Turn::of(1));
    world.settle();
    assert_eq!((world.said(1).as_str(), world.store.data.computed()), ("state", Some(Slot(2))));
}

#[test]
fn a_full_outbox_with_nothing_to_compute_is_no_pause() {
    let mut world = with_outbox(1);
    world.store_messages(&["send 3"]);
    world.settle();
    assert_eq!((status(&mut world), world.core.is_idle(), pauses(&world)), (("active", None), true, 0));
}

#[test]
fn a_successor_counts_what_is_left_and_not_what_was_delivered_before_its_claim() {
    let mut world = four_senders(4);
    world.turn(&Turn::of(2));
    world.settle();
    assert_eq!(pauses(&world), 1);
    world.cut_down();
    assert!(world.remains.as_ref().unwrap().pending);
    let gone = world.store.deliver(1);
    world.remains = None;
    world.start_anew();
    world.core.pushed(gone);
    world.claim();
    assert_eq!((world.plan.is_some(), world.pushes.last()), (true, Some(&Slot(3))), "3 of 4");
}

#[test]
fn a_stop_ends_a_paused_worker_and_leaves_its_slots_pending() {
    let mut world = four_senders(2);
    world.turn(&Turn::of(1));
    world.settle();
    world.ask(Request::Stop { reply: 1 });
    world.settle();
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("done", "asked"));
    assert!(world.remains.as_ref().unwrap().pending);
}

#[test]
fn a_halt_is_met_and_told_though_the_outbox_is_full() {
    let mut world = with_outbox(2);
    world.store_messages(&["send 2", "halt"]);
    world.turn(&Turn::of(0));
    world.compute(1, 3);
    world.turn(&Turn::default());
    world.settle();
    assert_eq!((world.said(1).as_str(), status(&mut world).0), ("halted", "halted"));
    world.ask(Request::Resume { skip: true, reply: 2 });
    world.settle();
    assert_eq!((world.said(2).as_str(), world.store.data.computed()), ("at 3", Some(Slot(3))));
}
