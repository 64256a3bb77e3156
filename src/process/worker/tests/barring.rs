//! A process that can't come to its last state stands still until somebody resumes it, and nothing of that is stored.

use super::world::World;
use crate::ids::Slot;
use crate::process::Halt;
use crate::process::worker::{Note, Request, StopReason, TurnDone};

/// A worker that took over after slot 2, with slot 3 to compute, for which ticket 1 waits; its device is away.
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

/// The device comes back from before slot 2.
fn bar(world: &mut World) {
    world.plan = None;
    let halt = Halt { slot: Slot(2), error: "it ends the node".to_owned(), resumed: None };
    world.core.turn_done(TurnDone { halt: Some(halt), position: Some(Slot(1)), ..TurnDone::default() });
    world.absorb();
}

fn barred() -> World {
    let mut world = replaying();
    assert!(world.plan.is_some(), "the device is away");
    bar(&mut world);
    world
}

#[test]
fn whoever_waits_for_what_comes_is_told_and_nothing_is_stored() {
    let mut world = barred();
    assert_eq!((world.said(1).as_str(), world.commits.len()), ("halted", 0));
    assert!(world.notes.contains(&Note::Halted { slot: Slot(2), error: "it ends the node".to_owned() }));
    world.forget_all();
    world.compute(2, 1);
    world.compute(3, 2);
    world.compute(4, 3);
    world.ask(Request::State { reply: 5 });
    world.ask(Request::Base { reply: 6 });
    world.ask(Request::Snapshot { reply: 7 });
    world.ask(Request::Status { reply: 8 });
    world.schedule(9, 9, "x");
    world.settle();
    let said = [2, 3, 4, 5, 6, 7, 8, 9].map(|ticket| world.said(ticket));
    let expected = ["success 1", "success 2", "halted", "halted", "halted", "halted", "halted", "scheduled 4"];
    assert_eq!((said, world.plans), (expected.map(str::to_owned), 0));
    assert_eq!(world.store.data.halted, None);
}

#[test]
fn those_who_ask_while_the_device_is_away_are_told_when_it_is_back() {
    let mut world = replaying();
    world.ask(Request::State { reply: 2 });
    world.ask(Request::Snapshot { reply: 3 });
    bar(&mut world);
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["halted"; 3]);
}

#[test]
fn a_resume_forgives_and_goes_on_and_a_skip_is_refused() {
    let mut world = barred();
    world.ask(Request::Resume { skip: true, reply: 2 });
    assert_eq!((world.said(2).as_str(), world.forgiven.len()), ("conflict", 0));
    world.ask(Request::Resume { skip: false, reply: 3 });
    assert_eq!((world.said(3).as_str(), &world.forgiven[..]), ("at 2", &[Slot(2)][..]));
    assert!(world.plan.is_some(), "it is tried again");
    world.compute(4, 3);
    world.settle();
    assert_eq!(world.said(4), "success 3");
    world.ask(Request::Resume { skip: false, reply: 5 });
    assert_eq!(world.said(5), "conflict");
}

#[test]
fn it_is_idle_and_can_be_stopped() {
    let mut world = barred();
    assert!(world.core.is_idle());
    world.stop(StopReason::Idle);
    world.settle();
    assert_eq!(world.left(), "idle");
    assert!(!world.remains.as_ref().unwrap().pending, "it would only find it out again");
}
