//! Messages get their slots.

use super::fake_device::Turn;
use super::fake_store::Fate;
use super::world::{GONE, World, draft, options};
use crate::ids::Slot;
use crate::process::worker::{Answer, Request, WorkerOptions};
use crate::process::{Durability, RequestError};

#[test]
fn a_message_is_acknowledged_when_it_is_on_disk() {
    let mut world = World::at_rest();
    world.schedule(1, 1, "x");
    assert_eq!(world.said(1), "");
    assert_eq!(world.commits[0].durability, Durability::Sync);
    world.commit(Fate::Taken);
    assert_eq!(world.said(1), "scheduled 1");
}

#[test]
fn slots_are_given_in_the_order_of_the_requests_before_anything_is_on_disk() {
    let mut world = World::at_rest();
    for ticket in 1..=3 {
        world.schedule(ticket, ticket.into(), "x");
    }
    world.commit_all();
    assert_eq!(world.answers.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "scheduled 2", "scheduled 3"]);
}

#[test]
fn scheduling_leads_to_computing_though_nobody_asks_for_it() {
    let mut world = World::at_rest();
    world.schedule(1, 1, "x");
    world.settle();
    assert_eq!(world.store.data.computed(), Some(Slot(1)));
}

#[test]
fn the_outcome_follows_the_acknowledgement() {
    let mut world = World::at_rest();
    world.ask(Request::Schedule { draft: draft(1, "x"), reply: 1, outcome: Some(2) });
    world.settle();
    assert_eq!(world.heard(), [1, 2]);
    assert_eq!(world.said(2), "success 1");
}

#[test]
fn a_repeated_message_on_its_way_shares_its_slot_and_its_commit() {
    let mut world = World::at_rest();
    world.schedule(1, 1, "x");
    world.ask(Request::Schedule { draft: draft(1, "x"), reply: 2, outcome: Some(3) });
    assert_eq!((world.commits.len(), world.said(2).as_str()), (1, ""));
    world.settle();
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "scheduled 1", "success 1"]);
}

#[test]
fn a_repeated_stored_message_is_answered_at_once_with_its_slot() {
    let mut world = World::at_rest();
    world.schedule(1, 1, "x");
    world.settle();
    world.ask(Request::Schedule { draft: draft(1, "x"), reply: 2, outcome: Some(3) });
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "success 1"]);
    assert!(world.commits.is_empty());
}

#[test]
fn an_id_with_other_content_is_refused_on_its_way_and_stored() {
    let mut world = World::at_rest();
    world.schedule(1, 1, "x");
    world.schedule(2, 1, "y");
    world.settle();
    world.schedule(3, 1, "y");
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["id_reused", "id_reused"]);
    assert_eq!(world.store.data.scheduled(), Some(Slot(1)));
}

#[test]
fn a_repeated_message_is_known_though_the_queue_is_full() {
    let mut world = World::at_rest();
    for id in 1..=8 {
        world.schedule(id, id.into(), "x");
    }
    world.schedule(9, 9, "x");
    world.schedule(10, 8, "x");
    world.commit_all();
    assert_eq!([9, 10].map(|ticket| world.said(ticket)), ["overloaded", "scheduled 8"]);
}

#[test]
fn the_queue_counts_what_is_on_its_way_and_what_waits() {
    let mut world = World::at_rest();
    world.store_messages(&["x"; 5]);
    for id in 1..=4 {
        world.schedule(id, id.into(), "x");
    }
    assert_eq!(world.said(4), "overloaded");
    let Some((_, Err(RequestError::Overloaded { key, .. }))) = world.answers.last() else { panic!("it is refused") };
    assert_eq!(*key, "queue");
    world.turn(&Turn::of(1));
    world.schedule(5, 5, "x");
    world.schedule(6, 6, "x");
    world.commit_all();
    assert_eq!([5, 6].map(|ticket| world.said(ticket)), ["scheduled 9", "overloaded"]);
}

#[test]
fn a_message_that_is_too_large_is_refused_with_its_size() {
    let mut world = World::at_rest();
    world.schedule(1, 1, &"x".repeat(100));
    world.schedule(2, 2, &"x".repeat(101));
    let error = RequestError::TooLarge { key: "message_size", size: 101, most: 100 };
    assert_eq!(world.answers, [(2, Err(error))]);
    world.commit_all();
    assert_eq!(world.said(1), "scheduled 1");
}

#[test]
fn timestamps_never_run_backwards() {
    let mut world = World::at_rest();
    for (id, now) in [(1, 2000), (2, 500), (3, 2001)] {
        world.now = now;
        world.schedule(GONE, id, "x");
    }
    world.settle();
    let times: Vec<_> = world.store.data.entries.iter().map(|entry| entry.message.timestamp).collect();
    assert_eq!(times, [1000, 2000, 2000, 2001]);
}

#[test]
fn latest_is_made_a_slot_when_it_is_asked_for() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x"]);
    world.ask(Request::Compute { slot: None, reply: 1 });
    world.store_messages(&["x"]);
    world.settle();
    assert_eq!(world.said(1), "success 2");
}

#[test]
fn a_slot_beyond_the_last_stored_message_is_out_of_range() {
    let mut world = World::at_rest();
    world.schedule(1, 1, "x");
    world.compute(2, 1);
    let process = crate::ids::ProcessId::parse("p").unwrap();
    let error = RequestError::SlotOutOfRange { process, slot: Slot(1), latest: Slot(0) };
    assert_eq!(world.answers, [(2, Err(error))]);
}

#[test]
fn requests_for_a_process_that_is_not_there_find_nothing() {
    for is_deferred in [true, false] {
        let mut world = World::unclaimed(options());
        if is_deferred {
            world.compute(1, 0);
            world.schedule(2, 1, "x");
            world.claim();
            assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["not_found", "not_found"]);
        } else {
            world.claim();
        }
        assert_eq!(world.left(), "absent");
    }
}

#[test]
fn a_claim_that_fails_answers_everyone_who_waits() {
    let mut world = World::unclaimed(options());
    world.compute(1, 0);
    world.core.claimed(0, &world.store, Err("the store is closed".to_owned()));
    world.ask(Request::Settle { reply: 2 });
    assert_eq!((world.said(1), world.left()), ("store".to_owned(), "store".to_owned()));
    assert_eq!(world.core.take_deferred().len(), 1);
}

#[test]
fn a_worker_that_is_not_to_stay_goes_once_its_work_is_done() {
    let mut world = World::with_work(WorkerOptions { process_workers: false, ..options() });
    assert_eq!(world.left(), "running");
    world.settle();
    assert_eq!((world.said(1), world.left()), ("success 1".to_owned(), "idle".to_owned()));
}

#[test]
fn a_worker_that_is_not_to_stay_stays_for_whoever_waits_for_any_slot() {
    let mut world = World::with_work(WorkerOptions { process_workers: false, ..options() });
    world.settle();
    world.succeed_with(None, vec![Request::AwaitAny { reply: 2 }]);
    world.settle();
    assert_eq!(world.left(), "running", "its successor would end as it did, and so on without end");
    world.schedule(3, 3, "x");
    world.settle();
    assert_eq!((world.said(2), world.left()), ("success 2".to_owned(), "idle".to_owned()));
}

#[test]
fn status_tells_where_the_process_stands() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x"]);
    world.ask(Request::Status { reply: 1 });
    let Some((_, Ok(Answer::Status(status)))) = world.answers.last() else { panic!("there is a status") };
    assert_eq!((status.scheduled, status.computed, status.queue), (Slot(2), Some(Slot(0)), 2));
    world.settle();
    world.ask(Request::Status { reply: 2 });
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["computing", "active"]);
}
