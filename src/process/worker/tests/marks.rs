//! Messages that are known by their place in the row of their source.

use super::fake_store::Fate;
use super::world::{World, draft, options};
use crate::ids::Slot;
use crate::process::worker::{Request, WorkerOptions};
use crate::process::{Draft, Mark, MarkPosition, MarkSource, Origin, PushChain, Record};

/// The message at `position` of the row of `source`.
pub(super) fn marked(source: &str, position: MarkPosition) -> Box<Draft> {
    let mark = Mark { source: MarkSource::parse(source).unwrap(), position };
    let one = *draft(position.0, "x");
    Box::new(Draft { origin: Origin::Push, mark: Some(mark), ..one })
}

impl World {
    fn push(&mut self, reply: u32, source: &str, position: MarkPosition) {
        self.ask(Request::Schedule { draft: marked(source, position), reply, outcome: None });
    }
}

#[test]
fn a_message_is_scheduled_only_above_the_last_position_of_its_source() {
    // What was taken before, what comes now, and whether it is taken.
    let table: [(&[MarkPosition], MarkPosition, bool); 7] = [
        (&[], (0, 0), true),
        (&[(3, 1)], (3, 1), false),
        (&[(3, 1)], (3, 0), false),
        (&[(3, 1)], (2, 9), false),
        (&[(3, 1)], (3, 2), true),
        (&[(3, 1)], (4, 0), true),
        (&[(3, 1), (5, 0)], (4, 0), false),
    ];
    for is_stored in [true, false] {
        for (before, position, is_taken) in table {
            let mut world = World::at_rest();
            for position in before {
                world.push(100, "a", *position);
            }
            if is_stored {
                world.settle();
            }
            world.push(1, "a", position);
            world.push(2, "b", position);
            world.settle();
            let slot = before.len() as u64 + 1;
            let said = if is_taken { format!("scheduled {slot}") } else { "known".to_owned() };
            assert_eq!(world.said(1), said, "{before:?} {position:?} {is_stored}");
            let next = slot + u64::from(is_taken);
            assert_eq!(world.said(2), format!("scheduled {next}"), "another source has a row of its own");
        }
    }
}

#[test]
fn what_is_known_by_a_message_on_its_way_is_answered_when_that_is_on_disk() {
    let mut world = World::at_rest();
    world.push(1, "a", (1, 0));
    world.ask(Request::Schedule { draft: marked("a", (1, 0)), reply: 2, outcome: Some(3) });
    assert_eq!((world.commits.len(), world.heard().len()), (1, 0));
    world.commit(Fate::Taken);
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "known", "known"]);
}

#[test]
fn of_several_on_their_way_the_last_one_decides_until_it_is_on_disk() {
    let mut world = World::at_rest();
    world.push(1, "a", (1, 0));
    world.push(2, "a", (2, 0));
    world.commit(Fate::Taken);
    world.push(3, "a", (2, 0));
    assert_eq!((world.commits.len(), world.said(3).as_str()), (1, ""));
    world.settle();
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["scheduled 2", "known"]);
}

#[test]
fn the_outcome_of_a_message_that_is_taken_can_be_awaited() {
    let mut world = World::at_rest();
    world.ask(Request::Schedule { draft: marked("a", (1, 0)), reply: 1, outcome: Some(2) });
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["scheduled 1", "success 1"]);
}

#[test]
fn marks_outlive_the_worker() {
    let mut world = World::at_rest();
    world.push(1, "a", (1, 0));
    world.settle();
    world.shut_down();
    world.succeed();
    world.push(2, "a", (1, 0));
    world.push(3, "a", (1, 1));
    world.settle();
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["known", "scheduled 2"]);
}

#[test]
fn a_refused_message_leaves_no_mark_and_takes_those_with_it_that_wait_for_it() {
    let mut world = World::at_rest();
    world.push(1, "a", (1, 0));
    world.push(2, "a", (1, 0));
    world.commit(Fate::Refused);
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["store", "store"]);
    world.push(3, "a", (1, 0));
    world.settle();
    assert_eq!(world.said(3), "scheduled 1");
}

#[test]
fn after_a_commit_of_unknown_fate_the_store_decides() {
    for (fate, said) in [(Fate::UnknownKept, "known"), (Fate::UnknownLost, "scheduled 1")] {
        let mut world = World::at_rest();
        world.push(1, "a", (1, 0));
        world.commit(fate);
        assert_eq!(world.said(1), "unknown");
        world.succeed();
        world.push(2, "a", (1, 0));
        world.settle();
        assert_eq!(world.said(2), said);
        assert_eq!(world.store.data.scheduled(), Some(Slot(1)));
    }
}

#[test]
fn a_fenced_worker_hands_messages_on_with_their_marks_and_chains() {
    let mut world = World::at_rest();
    let chain = PushChain { depth: 3, budget: 5, root: draft(7, "").id };
    let pushed = Draft { push: Some(chain.clone()), ..*marked("a", (1, 0)) };
    world.ask(Request::Schedule { draft: Box::new(pushed), reply: 1, outcome: None });
    world.store.fence();
    world.commit(Fate::Taken);
    world.succeed();
    world.push(2, "a", (1, 0));
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["scheduled 1", "known"]);
    let entry = &world.store.data.entries[1];
    assert_eq!((entry.push.as_ref(), entry.mark.as_ref().unwrap().position), (Some(&chain), (1, 0)));
}

#[test]
fn a_marked_message_is_not_known_by_its_id_and_an_unmarked_one_of_the_same_road_is() {
    let mut world = World::at_rest();
    world.push(1, "a", (1, 0));
    let by_hand = || Box::new(Draft { mark: None, ..*marked("a", (1, 0)) });
    for ticket in [2, 3] {
        world.ask(Request::Schedule { draft: by_hand(), reply: ticket, outcome: None });
        world.settle();
    }
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "scheduled 2", "scheduled 2"]);
    assert_eq!(world.store.data.ids.len(), 2, "that of the definition and that of slot 2");
}

#[test]
fn a_full_queue_refuses_new_positions_and_knows_old_ones() {
    let mut world = World::at_rest();
    for position in 1..=9 {
        world.push(position as u32, "a", (position, 0));
    }
    world.push(10, "a", (8, 0));
    world.commit_all();
    assert_eq!([9, 10].map(|ticket| world.said(ticket)), ["overloaded", "known"]);
    world.settle();
    world.push(11, "a", (9, 0));
    world.settle();
    assert_eq!(world.said(11), "scheduled 9", "the refused one left no mark");
}

#[test]
fn a_long_row_of_marked_messages_is_passed_in_steps_and_once() {
    let mut world = World::with(WorkerOptions { process_workers: true, ..options() });
    world.push(100, "a", (0, 0));
    world.settle();
    for position in 1..=200 {
        world.push(100, "a", (position, 0));
        world.settle();
    }
    world.now += 5000;
    for message in 0..6 {
        world.schedule(100, 1000 + message, "x");
        let passed = |record: &Record| matches!(record, Record::ForgetId(..) | Record::IdsPassed(_));
        let count = world.commits[0].records.iter().filter(|record| passed(record)).count();
        assert!(count <= 2, "{count}");
        world.settle();
    }
    assert!(world.store.data.ids_from > 190, "{}", world.store.data.ids_from);
    assert_eq!(world.store.data.ids.len(), 6, "the definition's was too old");
}
