//! The machine fails at a slot: it is tried again after pauses that grow, until somebody resumes it or has the slot skipped.

use std::time::Duration;

use super::fake_device::Turn;
use super::fake_store::Fate;
use super::world::{GONE, World, define, options};
use crate::ids::Slot;
use crate::process::worker::{Answer, Fault, Note, Request, StopReason, TurnDone};
use crate::process::{Cause, Halt, ProcessOrigin, Record};

const FIRST: Duration = Duration::from_millis(100);

/// Messages 1 to 3, each waited for by the ticket of its number; the machine failed at the second, and all is on disk.
fn faulty() -> World {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x", "x"]);
    world.turn(&Turn::of(0));
    for slot in 1..=3 {
        world.compute(slot, slot.into());
    }
    fail(&mut world, 1);
    world
}

/// The device comes back after so many slots, by a fault of the machine.
fn fail(world: &mut World, slots: usize) {
    world.turn(&Turn::fault_after(slots));
    world.commit_all();
}

/// The same at slot 2, on the way to which a device that was lost goes past slots 0 and 1 again.
fn fail_again(world: &mut World) {
    fail(world, 2);
}

fn resume(world: &mut World, reply: u32) {
    world.ask(Request::Resume { skip: false, reply });
}

fn skip(world: &mut World, reply: u32) {
    world.ask(Request::Resume { skip: true, reply });
}

fn error_of(world: &World, slot: u64) -> (Cause, String) {
    let outcome = world.store.data.outcome(Slot(slot)).expect("it has an outcome");
    (outcome.cause, outcome.outcome.error.clone().unwrap_or_default())
}

fn shown_error(world: &mut World) -> Option<String> {
    world.ask(Request::Status { reply: 99 });
    let Some((_, Ok(Answer::Status(status)))) = world.answers.last() else { panic!("there is a status") };
    status.error.clone()
}

#[test]
fn a_fault_names_its_slot_and_the_messages_behind_it_wait() {
    let mut world = faulty();
    let error = "the machine failed".to_owned();
    assert!(world.notes.contains(&Note::Fault { slot: Some(Slot(2)), error: error.clone() }));
    assert_eq!((world.heard(), world.retry_after, world.plan.is_none()), (vec![1], Some(FIRST), true));
    assert_eq!(shown_error(&mut world), Some(error));
}

#[test]
fn a_resume_ends_the_pause_and_those_to_come_begin_anew() {
    let mut world = faulty();
    for wait in [2, 4] {
        world.retry();
        fail_again(&mut world);
        assert_eq!(world.retry_after, Some(FIRST * wait));
    }
    resume(&mut world, 9);
    assert_eq!((world.said(9).as_str(), world.plan.is_some()), ("at 2", true));
    assert!(world.notes.contains(&Note::Resumed { slot: Slot(2), skipped: false }));
    fail_again(&mut world);
    assert_eq!(world.retry_after, Some(FIRST));
    resume(&mut world, 10);
    world.settle();
    assert_eq!([10, 2, 3].map(|ticket| world.said(ticket)), ["at 2", "success 2", "success 3"]);
    assert_eq!(shown_error(&mut world), None);
}

#[test]
fn a_resume_while_it_is_being_tried_is_answered_and_changes_nothing_but_the_pause_to_come() {
    let mut world = faulty();
    world.retry();
    fail_again(&mut world);
    world.retry();
    resume(&mut world, 9);
    assert_eq!((world.said(9).as_str(), world.interrupts), ("at 2", 0));
    fail_again(&mut world);
    assert_eq!(world.retry_after, Some(FIRST));
}

#[test]
fn the_end_of_a_pause_that_was_cut_short_does_nothing() {
    let mut world = faulty();
    resume(&mut world, 9);
    world.retry();
    assert_eq!(world.plans, 3, "one turn before the fault, the one of it and the one after");
    world.settle();
    assert_eq!(world.said(3), "success 3");
}

#[test]
fn a_skipped_slot_has_an_outcome_on_disk_before_anyone_hears_of_it_and_the_rest_is_computed() {
    let mut world = faulty();
    skip(&mut world, 9);
    assert!(matches!(world.commits[0].records[..], [Record::Computed(_)]));
    assert!(world.plan.is_none(), "until the skip is stored, the device would compute the slot");
    assert_eq!((world.heard(), shown_error(&mut world)), (vec![1], None));
    world.commit(Fate::Taken);
    assert_eq!((world.said(9).as_str(), world.said(2).as_str()), ("at 2", "skipped 2"));
    assert_eq!(world.plan.as_ref().unwrap().recorded, Some(Slot(2)));
    world.settle();
    assert_eq!(world.said(3), "success 3");
    assert_eq!(error_of(&world, 2), (Cause::Skipped, "skipped: the machine failed".to_owned()));
    assert!(world.notes.contains(&Note::Resumed { slot: Slot(2), skipped: true }));
    resume(&mut world, 10);
    assert_eq!(world.said(10), "conflict", "nothing stands in the way any more");
}

#[test]
fn a_skip_that_the_store_does_not_take_is_none() {
    for (fate, kept) in [(Fate::UnknownLost, false), (Fate::UnknownKept, true)] {
        let mut world = faulty();
        skip(&mut world, 9);
        world.commit(fate);
        assert_eq!((world.said(9).as_str(), world.said(2).as_str()), ("unknown", ""));
        world.succeed();
        world.settle();
        assert_eq!(world.said(2), if kept { "skipped 2" } else { "success 2" });
        assert_eq!(world.said(3), "success 3");
    }
}

#[test]
fn a_skip_while_it_is_being_tried_waits_for_what_comes_of_it() {
    let failed = (Turn::fault_after(2), "at 2, at 2", "skipped 2");
    let failed_before = (Turn::fault_after(1), "at 2, at 2", "skipped 2");
    let lost_before = (Turn { is_early: true, ..Turn::fault_after(1) }, "at 2, at 2", "skipped 2");
    let cut_short = (Turn::of(1), "at 2, at 2", "skipped 2");
    let computed = (Turn::default(), "conflict, conflict", "success 2");
    for (turn, said, outcome) in [failed, failed_before, lost_before, cut_short, computed] {
        let mut world = faulty();
        world.retry();
        skip(&mut world, 9);
        skip(&mut world, 9);
        assert_eq!((world.said(9).as_str(), world.interrupts, world.commits.len()), ("", 0, 0));
        world.turn(&turn);
        world.settle();
        assert_eq!([9, 2, 3].map(|ticket| world.said(ticket)), [said, outcome, "success 3"], "{turn:?}");
    }
}

#[test]
fn a_skip_that_waits_is_answered_when_the_worker_ends() {
    let mut interrupted = faulty();
    interrupted.retry();
    skip(&mut interrupted, 9);
    interrupted.stop(StopReason::Shutdown);
    interrupted.turn(&Turn::of(0));
    interrupted.settle();
    assert_eq!((interrupted.said(9).as_str(), interrupted.left().as_str()), ("at 2", "shutdown: compute 3 3"));
    let mut given_up = faulty();
    given_up.retry();
    skip(&mut given_up, 9);
    given_up.cut_down();
    assert_eq!(given_up.said(9), "conflict");
    given_up.succeed();
    given_up.settle();
    assert_eq!(given_up.said(2), "success 2", "nothing was skipped");
}

#[test]
fn a_halt_at_the_slot_that_was_to_be_skipped_is_passed_over() {
    let mut world = World::at_rest();
    world.store_messages(&["halt", "x"]);
    fail(&mut world, 0);
    world.compute(2, 2);
    world.retry();
    skip(&mut world, 9);
    world.turn(&Turn::default());
    world.settle();
    assert_eq!([9, 2].map(|ticket| world.said(ticket)), ["at 1", "success 2"]);
    assert_eq!(error_of(&world, 1), (Cause::Skipped, "skipped: boom".to_owned()));
    assert_eq!(world.store.data.halted, None);
}

#[test]
fn a_resumed_halt_that_the_machine_fails_at_can_be_skipped() {
    let mut world = World::at_rest();
    world.store_messages(&["halt", "x"]);
    world.settle();
    resume(&mut world, 8);
    world.commit_all();
    fail(&mut world, 0);
    skip(&mut world, 9);
    assert!(matches!(world.commits[0].records[..], [Record::Computed(_), Record::Halted(None)]));
    world.settle();
    assert_eq!((world.said(9).as_str(), world.store.data.computed()), ("at 1", Some(Slot(2))));
    assert_eq!(world.store.data.halted, None);
}

/// A worker that took over after slot 2, without a snapshot and with slot 3 to compute, and whose device is away.
fn replaying() -> World {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x"]);
    world.settle();
    world.cut_down();
    world.succeed();
    world.forget_all();
    world.store_messages(&["x"]);
    world.compute(1, 3);
    world
}

#[test]
fn what_the_machine_fails_at_on_the_way_to_a_slot_is_not_skipped() {
    let early = Turn { is_early: true, ..Turn::fault_after(0) };
    let before_the_slot = Turn { is_early: true, ..Turn::fault_after(3) };
    for (turn, at) in [(Turn::fault_after(1), "at 1"), (early, "at 3"), (before_the_slot, "at 3")] {
        let mut world = replaying();
        world.turn(&turn);
        skip(&mut world, 9);
        assert_eq!((world.said(9).as_str(), world.commits.len()), ("conflict", 0), "{turn:?}");
        world.retry();
        skip(&mut world, 10);
        assert_eq!(world.said(10), "conflict", "while it is tried again, too");
        resume(&mut world, 11);
        world.settle();
        assert_eq!((world.said(11).as_str(), world.said(1).as_str()), (at, "success 3"), "{turn:?}");
    }
}

#[test]
fn a_skip_that_waits_is_refused_where_the_state_before_cannot_be_had() {
    let mut world = faulty();
    world.retry();
    skip(&mut world, 9);
    world.plan = None;
    let halt = Halt { slot: Slot(1), error: "it ends the node".to_owned(), resumed: None };
    world.core.turn_done(TurnDone { halt: Some(halt), is_lost: true, ..TurnDone::default() });
    world.absorb();
    assert_eq!([9, 2].map(|ticket| world.said(ticket)), ["conflict", "halted"]);
}

#[test]
fn a_definition_that_never_begins_is_passed_over_as_one_that_does_not_load() {
    let mut world = World::unclaimed(options());
    world.ask(Request::Define { define: define("a", ProcessOrigin::Config), reply: 1 });
    world.claim();
    world.commit_all();
    fail(&mut world, 0);
    world.store_messages(&["x"]);
    world.compute(2, 0);
    skip(&mut world, 9);
    world.settle();
    assert_eq!([9, 2].map(|ticket| world.said(ticket)), ["at 0", "load 0"]);
    assert_eq!(error_of(&world, 0), (Cause::Load, "skipped: the machine failed".to_owned()));
    assert_eq!(world.store.data.computed(), Some(Slot(1)));
    world.ask(Request::Define { define: define("b", ProcessOrigin::Config), reply: 3 });
    world.settle();
    world.store_messages(&["x"]);
    world.settle();
    assert_eq!(world.store.data.outcome(Slot(3)).unwrap().definition, Slot(2));
}

#[test]
fn a_definition_of_later_that_never_begins_leaves_the_one_before() {
    let mut world = World::at_rest();
    world.ask(Request::Define { define: define("b", ProcessOrigin::Config), reply: GONE });
    world.commit_all();
    world.turn(&Turn::of(0));
    fail(&mut world, 0);
    world.store_messages(&["x"]);
    skip(&mut world, 9);
    world.settle();
    assert_eq!((world.said(9).as_str(), error_of(&world, 1).0), ("at 1", Cause::Load));
    assert_eq!(world.store.data.outcome(Slot(2)).unwrap().definition, Slot(0));
}

#[test]
fn a_fault_without_a_slot_is_told_without_one() {
    let mut world = replaying();
    world.plan = None;
    let fault = Some(Fault { error: "no thread".to_owned(), at: None });
    world.core.turn_done(TurnDone { is_lost: true, fault, ..TurnDone::default() });
    world.absorb();
    assert!(world.notes.contains(&Note::Fault { slot: None, error: "no thread".to_owned() }));
    assert_eq!(shown_error(&mut world).as_deref(), Some("no thread"));
}

#[test]
fn a_resume_tries_the_slot_under_a_definition_that_came_behind_it() {
    let mut world = faulty();
    let tried = |world: &mut World| {
        world.core.retry();
        world.absorb();
        let resumed = world.plan.as_ref().unwrap().resumed;
        fail_again(world);
        resumed
    };
    world.ask(Request::Define { define: define("b", ProcessOrigin::Config), reply: 90 });
    world.commit_all();
    assert_eq!(tried(&mut world), None, "nobody wants that yet");
    resume(&mut world, 9);
    assert_eq!(world.plan.as_ref().unwrap().resumed, Some((Slot(2), Slot(4))));
    fail_again(&mut world);
    assert_eq!(tried(&mut world), Some((Slot(2), Slot(4))), "as often as it takes");
    world.ask(Request::Define { define: define("c", ProcessOrigin::Config), reply: 91 });
    assert_eq!(tried(&mut world), Some((Slot(2), Slot(4))), "what is not on disk may still be refused");
    world.commit_all();
    assert_eq!(tried(&mut world), Some((Slot(2), Slot(5))), "the newest");
    world.settle();
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["success 2", "success 3"]);
    let definitions = [1, 2, 3].map(|slot| world.store.data.outcome(Slot(slot)).unwrap().definition);
    assert_eq!(definitions, [Slot(0), Slot(5), Slot(5)]);
}

#[test]
fn a_halt_at_a_slot_that_the_machine_failed_at_is_the_end_of_the_fault() {
    let mut world = faulty();
    world.core.retry();
    world.absorb();
    world.plan = None;
    let halt = Halt { slot: Slot(2), error: "boom".to_owned(), resumed: None };
    world.core.turn_done(TurnDone { halt: Some(halt), position: Some(Slot(1)), ..TurnDone::default() });
    world.absorb();
    world.commit_all();
    assert_eq!(shown_error(&mut world).as_deref(), Some("boom"));
    resume(&mut world, 9);
    world.commit_all();
    assert_eq!((world.said(9).as_str(), shown_error(&mut world)), ("at 2", None));
    skip(&mut world, 10);
    assert_eq!(world.said(10), "conflict", "it is neither halted nor is the machine in its way");
}

#[test]
fn what_was_skipped_is_skipped_for_every_worker_to_come() {
    let mut world = faulty();
    skip(&mut world, 9);
    world.settle();
    let before = world.bench.device.clone();
    world.bench.device = None;
    world.store.data.snapshots.clear();
    world.cut_down();
    world.succeed();
    world.ask(Request::State { reply: 4 });
    world.settle();
    assert_eq!((world.said(4).as_str(), &world.bench.device), ("state", &before));
}
