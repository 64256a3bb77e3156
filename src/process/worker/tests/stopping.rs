//! The end of a worker: in good order, in haste, or not yet.

use super::fake_device::Turn;
use super::world::{World, draft, options};
use crate::ids::Slot;
use crate::process::worker::{Core, Request, StopReason, WorkerOptions};

/// A process with a message that no snapshot holds yet, at rest.
fn stale() -> World {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.settle();
    world.forget_all();
    world
}

fn snapshot(world: &World) -> Option<u64> {
    world.store.data.snapshots.first().map(|snapshot| snapshot.slot.0)
}

#[test]
fn an_idle_worker_stores_a_snapshot_and_goes() {
    let mut world = stale();
    world.stop(StopReason::Idle);
    assert_eq!((world.left().as_str(), world.interrupts), ("running", 0));
    world.turn(&Turn::default());
    assert_eq!(world.left(), "running");
    world.commit_all();
    assert_eq!((world.left().as_str(), snapshot(&world)), ("idle", Some(1)));
    assert!(!world.remains.as_ref().unwrap().pending);
}

#[test]
fn an_idle_worker_whose_state_is_stored_goes_at_once() {
    let mut world = stale();
    world.ask(Request::Snapshot { reply: 1 });
    world.settle();
    world.stop(StopReason::Evicted);
    assert_eq!(world.left(), "evicted");
}

#[test]
fn a_worker_that_computed_nothing_goes_at_once() {
    let mut world = stale();
    world.shut_down();
    world.succeed();
    world.stop(StopReason::Idle);
    assert_eq!(world.left(), "idle");
}

#[test]
fn a_worker_at_work_is_not_idle() {
    let mut world = World::at_rest();
    world.schedule(1, 1, "x");
    for _ in 0..2 {
        world.stop(StopReason::Idle);
        world.stop(StopReason::Evicted);
        assert_eq!(world.left(), "running");
        world.commit_all();
    }
    world.settle();
    assert_eq!((world.left().as_str(), world.store.data.computed()), ("running", Some(Slot(1))));
}

#[test]
fn a_worker_is_idle_when_nothing_of_its_own_is_under_way() {
    let mut world = World::at_rest();
    world.bench.is_big = true;
    let mut seen = Vec::new();
    let mut see = |world: &World, what| seen.push((what, world.core.is_idle()));
    see(&world, "at rest");
    world.schedule(1, 1, "x");
    see(&world, "a message is on its way");
    world.commit_all();
    see(&world, "the device is away");
    world.turn(&Turn { slots: 0, fault: true, ..Turn::default() });
    see(&world, "it waits to try again");
    world.retry();
    world.turn(&Turn::default());
    see(&world, "an outcome is on its way");
    world.settle();
    see(&world, "at rest again");
    world.ask(Request::State { reply: 2 });
    world.turn(&Turn { slots: 0, fault: true, ..Turn::default() });
    see(&world, "a state is waited for");
    world.settle();
    world.ask(Request::Snapshot { reply: 3 });
    world.turn(&Turn::default());
    see(&world, "a file is being written");
    world.settle();
    let idle: Vec<&str> = seen.iter().filter(|(_, is_idle)| *is_idle).map(|(what, _)| *what).collect();
    assert_eq!(idle, ["at rest", "at rest again"]);
}

#[test]
fn a_request_calls_an_idle_stop_off() {
    for turns in 0..2 {
        let mut world = stale();
        world.stop(StopReason::Idle);
        if turns == 1 {
            world.turn(&Turn::default());
        }
        world.ask(Request::Schedule { draft: draft(1, "y"), reply: 1, outcome: Some(2) });
        world.settle();
        assert_eq!((world.left().as_str(), world.said(2).as_str()), ("running", "success 2"));
        world.stop(StopReason::Idle);
        world.settle();
        assert_eq!((world.left().as_str(), snapshot(&world)), ("idle", Some(2)));
    }
}

#[test]
fn a_look_at_the_status_calls_nothing_off() {
    let mut world = stale();
    world.stop(StopReason::Idle);
    world.ask(Request::Status { reply: 1 });
    world.settle();
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("computing", "idle"));
}

#[test]
fn a_shutdown_that_comes_during_an_idle_stop_is_not_called_off() {
    let mut world = stale();
    world.stop(StopReason::Idle);
    world.stop(StopReason::Shutdown);
    assert_eq!(world.interrupts, 1);
    world.compute(1, 1);
    world.settle();
    assert_eq!(world.left(), "shutdown: compute 1 1");
}

#[test]
fn a_stop_that_is_asked_for_during_an_idle_stop_is_answered() {
    let mut world = stale();
    world.stop(StopReason::Idle);
    world.ask(Request::Stop { reply: 1 });
    world.settle();
    assert_eq!((world.said(1).as_str(), snapshot(&world)), ("done", Some(1)));
}

#[test]
fn a_stop_interrupts_what_runs_keeps_what_was_computed_and_tells_what_is_pending() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x", "x"]);
    world.turn(&Turn::of(0));
    world.compute(1, 1);
    world.compute(2, 3);
    world.ask(Request::Stop { reply: 3 });
    assert_eq!(world.interrupts, 1);
    world.schedule(4, 4, "x");
    world.ask(Request::AwaitAny { reply: 5 });
    world.turn(&Turn::of(1));
    world.settle();
    assert_eq!([1, 3].map(|ticket| world.said(ticket)), ["success 1", "done"]);
    assert_eq!(world.left(), "asked: compute 3 2, schedule 4, any 5");
    assert!(world.remains.as_ref().unwrap().pending);
    assert_eq!(snapshot(&world), Some(1));
    world.succeed();
    world.settle();
    assert_eq!([2, 4, 5].map(|ticket| world.said(ticket)), ["success 3", "scheduled 4", "success 2"]);
}

#[test]
fn a_stop_during_the_first_turn_stores_what_it_brings() {
    let mut world = stale();
    world.shut_down();
    world.succeed();
    world.store_messages(&["x"]);
    world.ask(Request::Stop { reply: 1 });
    world.settle();
    assert_eq!((world.left().as_str(), snapshot(&world)), ("asked", Some(2)));
}

#[test]
fn a_stop_during_a_replay_does_not_finish_it() {
    let mut world = World::at_rest();
    world.store_messages(&["x"; 5]);
    world.settle();
    world.cut_down();
    world.succeed_with(None, vec![Request::State { reply: 1 }]);
    world.stop(StopReason::Shutdown);
    world.turn(&Turn::of(2));
    world.settle();
    assert_eq!((world.left().as_str(), world.bench.replayed), ("shutdown: state 1", 2));
}

#[test]
fn what_is_on_its_way_to_the_store_is_answered_before_the_worker_goes() {
    let mut world = World::at_rest();
    // So that nothing else holds it.
    world.ask(Request::Snapshot { reply: 2 });
    world.settle();
    world.schedule(1, 1, "x");
    world.stop(StopReason::Shutdown);
    assert_eq!(world.left(), "running");
    world.settle();
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("scheduled 1", "shutdown"));
    assert!(world.remains.as_ref().unwrap().pending);
}

#[test]
fn a_snapshot_that_fails_does_not_hold_the_end_up() {
    for (turn, is_big) in [
        (Turn { snapshot_fails: true, ..Turn::default() }, false),
        (Turn { fault: true, ..Turn::default() }, false),
        (Turn { fault: true, loses: true, ..Turn::default() }, false),
        (Turn::default(), true),
    ] {
        let mut world = stale();
        world.bench.is_big = is_big;
        world.stop(StopReason::Idle);
        world.turn(&turn);
        if is_big {
            world.write_file(Err("no space".to_owned()));
        }
        assert_eq!((world.left().as_str(), world.plans), ("idle", 1), "{turn:?}");
    }
}

#[test]
fn a_device_that_does_not_come_back_is_given_up() {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.compute(1, 1);
    world.stop(StopReason::Shutdown);
    assert_eq!(world.left(), "running");
    world.give_up();
    assert_eq!(world.left(), "shutdown: compute 1 1");
    assert!(world.remains.as_ref().unwrap().pending);
    world.turn(&Turn::default());
    assert_eq!(world.heard(), [0; 0]);
}

#[test]
fn a_snapshot_that_is_not_written_in_time_is_given_up() {
    let mut world = stale();
    world.bench.is_big = true;
    world.stop(StopReason::Shutdown);
    world.turn(&Turn::default());
    assert_eq!((world.left().as_str(), world.files.len()), ("running", 1));
    world.give_up();
    assert_eq!(world.left(), "shutdown");
    world.write_file(Ok(()));
    assert!(world.commits.is_empty());
}

#[test]
fn nothing_is_given_up_without_a_stop() {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.give_up();
    world.settle();
    assert_eq!((world.left().as_str(), world.store.data.computed()), ("running", Some(Slot(1))));
}

#[test]
fn a_stop_before_the_claim_hands_everything_on() {
    let mut world = World::unclaimed(options());
    world.compute(1, 0);
    world.stop(StopReason::Shutdown);
    assert_eq!(world.left(), "shutdown: compute 0 1");
    let found = world.store.claim(None);
    world.core.claimed(0, &world.store, Ok(found));
    assert!(world.core.take_effects().is_empty());
}

#[test]
fn a_worker_that_waits_for_its_claim_is_not_evicted() {
    let mut world = stale();
    world.shut_down();
    world.remains = None;
    world.start_anew();
    world.compute(1, 1);
    world.stop(StopReason::Evicted);
    assert_eq!(world.left(), "running", "its successor would be evicted as soon");
    world.claim();
    assert_eq!(world.said(1), "success 1");
}

#[test]
fn what_waited_for_the_claim_behind_a_stop_is_handed_on() {
    let mut world = stale();
    world.shut_down();
    let stop = Request::Stop { reply: 1 };
    let message = Request::Schedule { draft: draft(1, "x"), reply: 2, outcome: None };
    world.succeed_with(None, vec![stop, message, Request::AwaitAny { reply: 3 }]);
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("done", "asked: schedule 2, any 3"));
    assert!(world.commits.is_empty());
}

#[test]
fn a_worker_that_is_gone_keeps_late_requests_for_its_successor() {
    let mut world = stale();
    world.shut_down();
    world.compute(1, 1);
    assert_eq!(world.heard(), [0; 0]);
    world.succeed();
    assert_eq!(world.said(1), "success 1");
}

#[test]
fn those_who_left_do_not_pile_up() {
    let mut world = World::at_rest();
    world.store_messages(&["x"]);
    world.turn(&Turn { slots: 0, fault: true, ..Turn::default() });
    let requests: [fn(u32) -> Request<u32>; 5] = [
        |reply| Request::Compute { slot: Some(Slot(1)), reply },
        |reply| Request::AwaitAny { reply },
        |reply| Request::State { reply },
        |reply| Request::Base { reply },
        |reply| Request::Snapshot { reply },
    ];
    for request in requests {
        for number in 0..5000 {
            world.ask(request(super::world::GONE + number));
        }
        assert!(world.core.depth().1 <= 2100, "{:?}: {}", request(0), world.core.depth().1);
    }
    world.compute(1, 1);
    world.retry();
    world.settle();
    assert_eq!(world.said(1), "success 1");
}

#[test]
fn those_who_left_before_the_claim_do_not_pile_up() {
    let mut core: Core<u32> = Core::new(crate::ids::ProcessId::parse("p").unwrap(), options());
    let world = World::at_rest();
    for number in 0..5000 {
        core.request(0, &world.store, Request::State { reply: super::world::GONE + number });
    }
    assert!(core.depth().1 <= 2100, "{}", core.depth().1);
}

#[test]
fn a_worker_that_is_not_to_stay_stops_with_a_snapshot() {
    let mut world = World::with_work(WorkerOptions { process_workers: false, ..options() });
    world.settle();
    assert_eq!((world.left().as_str(), snapshot(&world)), ("idle", Some(1)));
}
