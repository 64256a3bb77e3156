//! A slot that fails under `error_strategy = "throw"` halts the process until somebody decides.

use super::fake_device::Turn;
use super::fake_store::Fate;
use super::world::{World, define};
use crate::ids::Slot;
use crate::process::worker::{Answer, Note, Request};
use crate::process::{Cause, Halt, ProcessOrigin, Record, RequestError};

/// Messages 1 to 4 of which the second fails, each waited for by the ticket of its number; nothing is computed yet.
fn failing() -> World {
    let mut world = World::at_rest();
    world.store_messages(&["x", "halt", "x", "x"]);
    world.turn(&Turn::of(0));
    for slot in 1..=4 {
        world.compute(slot, slot.into());
    }
    world
}

/// The same, halted before slot 2.
fn halted() -> World {
    let mut world = failing();
    world.settle();
    world.forget_all();
    world
}

fn resume(world: &mut World, reply: u32) {
    world.ask(Request::Resume { skip: false, reply });
}

fn skip(world: &mut World, reply: u32) {
    world.ask(Request::Resume { skip: true, reply });
}

/// A new definition under which the failing message succeeds.
fn mend(world: &mut World) {
    world.ask(Request::Define { define: define("b", ProcessOrigin::Config), reply: 90 });
}

#[test]
fn a_halt_is_recorded_and_told_to_those_at_the_slot_and_past_it() {
    let mut world = failing();
    world.ask(Request::AwaitAny { reply: 5 });
    world.settle();
    let said = [1, 2, 3, 4, 5].map(|ticket| world.said(ticket));
    assert_eq!(said, ["success 1", "halted", "halted", "halted", "success 1"]);
    assert_eq!(world.store.data.halted, Some(Halt { slot: Slot(2), error: "boom".to_owned(), resumed: None }));
    assert!(world.notes.contains(&Note::Halted { slot: Slot(2), error: "boom".to_owned() }));
}

#[test]
fn a_halt_is_on_disk_before_those_who_waited_are_told() {
    let mut world = failing();
    world.turn(&Turn::default());
    assert_eq!(world.heard(), [1]);
    world.commit_all();
    assert_eq!(world.heard(), [1, 2, 3, 4]);
}

#[test]
fn at_a_halt_earlier_slots_have_outcomes_and_later_ones_are_refused_at_once() {
    let mut world = halted();
    for slot in 1..=3 {
        world.compute(slot, slot.into());
    }
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["success 1", "halted", "halted"]);
    let Some((_, Err(error))) = world.answers.last() else { panic!("it is refused") };
    let process = crate::ids::ProcessId::parse("p").unwrap();
    assert_eq!(*error, RequestError::Halted { process, slot: Slot(2), error: "boom".to_owned() });
}

#[test]
fn a_halted_process_takes_messages_and_computes_none() {
    let mut world = halted();
    world.schedule(1, 1, "x");
    world.settle();
    assert_eq!((world.said(1).as_str(), world.plans), ("scheduled 5", 0));
    world.ask(Request::Status { reply: 2 });
    let Some((_, Ok(Answer::Status(status)))) = world.answers.last() else { panic!("there is a status") };
    assert_eq!((status.activity.as_str(), status.error.as_deref(), status.queue), ("halted", Some("boom"), 4));
}

#[test]
fn a_halted_process_shows_its_state() {
    let mut world = halted();
    for request in [Request::State { reply: 1 }, Request::Base { reply: 2 }, Request::Snapshot { reply: 3 }] {
        world.ask(request);
        world.settle();
    }
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["state", "base 1", "at 1"]);
}

#[test]
fn a_halted_process_shows_no_state_of_an_unfinished_replay() {
    for (request, said) in [
        (Request::State { reply: 1 }, "state"),
        (Request::Base { reply: 1 }, "base 1"),
        (Request::Snapshot { reply: 1 }, "at 1"),
    ] {
        let mut world = halted();
        // The worker goes without a snapshot, so that its successor starts from slot 0.
        world.cut_down();
        world.succeed();
        world.ask(request);
        world.turn(&Turn::of(1));
        world.commit_all();
        assert_eq!(world.said(1), "", "only slot 0 was replayed");
        world.settle();
        assert_eq!(world.said(1), said);
    }
}

#[test]
fn a_halt_outlives_the_worker() {
    let mut world = halted();
    world.shut_down();
    assert!(!world.remains.as_ref().unwrap().pending, "nothing can be computed");
    world.succeed();
    world.compute(1, 2);
    assert_eq!((world.said(1).as_str(), world.plan.is_none()), ("halted", true));
}

#[test]
fn resumed_under_the_newest_definition_the_slot_is_computed_and_all_goes_on() {
    let mut world = halted();
    mend(&mut world);
    world.commit_all();
    resume(&mut world, 1);
    assert_eq!(world.said(1), "");
    world.commit(Fate::Taken);
    assert_eq!((world.said(1).as_str(), world.plan.as_ref().unwrap().resumed), ("at 2", Some((Slot(2), Slot(5)))));
    for slot in 2..=4 {
        world.compute(slot, slot.into());
    }
    world.settle();
    assert_eq!([2, 3, 4].map(|ticket| world.said(ticket)), ["success 2", "success 3", "success 4"]);
    assert_eq!(world.store.data.outcome(Slot(2)).unwrap().definition, Slot(5));
    assert_eq!(world.store.data.halted, None);
}

#[test]
fn a_resume_goes_by_the_last_definition_on_disk() {
    let mut world = halted();
    mend(&mut world);
    resume(&mut world, 1);
    world.commit(Fate::Refused);
    assert_eq!(world.said(90), "store");
    world.settle();
    assert_eq!((world.said(1).as_str(), world.store.data.scheduled()), ("at 2", Some(Slot(4))));
    // It failed again, as it did under that definition before.
    assert_eq!(world.store.data.halted.as_ref().unwrap().resumed, None);
}

#[test]
fn a_resume_that_fails_again_halts_again() {
    let mut world = halted();
    for ticket in 1..=2 {
        resume(&mut world, ticket);
        world.settle();
        assert_eq!(world.said(ticket), "at 2");
        assert_eq!(world.store.data.halted.as_ref().unwrap().resumed, None);
    }
    world.compute(3, 3);
    assert_eq!(world.said(3), "halted");
}

#[test]
fn two_resumes_at_once_are_both_answered() {
    let mut world = halted();
    mend(&mut world);
    world.commit_all();
    resume(&mut world, 1);
    resume(&mut world, 2);
    world.commit(Fate::Taken);
    world.turn(&Turn::default());
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["at 2", "at 2"]);
    assert_eq!(world.store.data.computed(), Some(Slot(5)));
}

#[test]
fn two_resumes_at_once_try_again_once() {
    let mut world = halted();
    resume(&mut world, 1);
    resume(&mut world, 2);
    world.commit(Fate::Taken);
    world.turn(&Turn::default());
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["at 2", "at 2"]);
    world.compute(3, 2);
    assert_eq!((world.said(3).as_str(), world.plans), ("halted", 1));
    assert_eq!(world.store.data.halted.as_ref().unwrap().resumed, None);
}

#[test]
fn a_skip_beside_a_resume_answers_both() {
    let mut world = halted();
    resume(&mut world, 1);
    skip(&mut world, 2);
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["at 2", "at 2"]);
    assert_eq!(world.store.data.outcome(Slot(2)).unwrap().cause, Cause::Skipped);
    assert_eq!(world.store.data.computed(), Some(Slot(4)));
}

#[test]
fn a_skipped_slot_has_an_outcome_on_disk_and_the_rest_is_computed() {
    let mut world = halted();
    skip(&mut world, 1);
    let records = &world.commits[0].records;
    assert!(matches!(records[..], [Record::Computed(_), Record::Halted(None)]));
    for slot in 2..=4 {
        world.compute(slot, slot.into());
    }
    assert_eq!(world.heard(), [0; 0]);
    world.settle();
    assert_eq!([1, 2, 3, 4].map(|ticket| world.said(ticket)), ["at 2", "skipped 2", "success 3", "success 4"]);
}

#[test]
fn the_device_does_not_compute_a_slot_that_is_being_skipped() {
    let mut world = halted();
    skip(&mut world, 1);
    assert!(world.plan.is_none(), "until the skip is stored, the device would compute the slot");
    world.commit(Fate::Taken);
    assert_eq!(world.plan.as_ref().unwrap().recorded, Some(Slot(2)));
}

#[test]
fn the_device_does_not_compute_a_slot_that_is_being_skipped_when_it_stops_meanwhile() {
    let mut world = halted();
    skip(&mut world, 1);
    world.shut_down();
    assert_eq!((world.left().as_str(), world.said(1).as_str()), ("shutdown", "at 2"));
    world.succeed();
    world.settle();
    assert_eq!(world.store.data.outcome(Slot(2)).unwrap().cause, Cause::Skipped);
}

#[test]
fn a_skip_at_once_after_the_halt_spares_those_who_come_later() {
    let mut world = failing();
    world.turn(&Turn::default());
    skip(&mut world, 9);
    world.compute(10, 4);
    world.settle();
    assert_eq!([9, 10].map(|ticket| world.said(ticket)), ["at 2", "success 4"]);
}

#[test]
fn only_a_halted_process_can_be_resumed() {
    let mut world = World::at_rest();
    resume(&mut world, 1);
    skip(&mut world, 2);
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["conflict", "conflict"]);
    assert!(world.commits.is_empty());
}

#[test]
fn replay_obeys_a_skip_and_a_resume() {
    let mut world = halted();
    skip(&mut world, 1);
    world.settle();
    world.store_messages(&["halt"]);
    world.settle();
    mend(&mut world);
    world.commit_all();
    resume(&mut world, 2);
    world.settle();
    let before = world.bench.device.clone();
    world.bench.device = None;
    world.store.data.snapshots.clear();
    world.cut_down();
    world.succeed();
    world.ask(Request::State { reply: 3 });
    world.settle();
    assert_eq!((world.said(3).as_str(), &world.bench.device), ("state", &before));
}
