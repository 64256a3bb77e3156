//! Ids of clients are remembered for a time, and then cost nothing.

use std::cell::Cell;
use std::time::Duration;

use super::fake_store::Fate;
use super::world::{GONE, World};
use crate::ids::{MessageId, Slot};
use crate::process::worker::ids::IdWindow;
use crate::process::worker::types::{History, OldId};
use crate::process::{KnownId, MarkPosition, MarkSource, Origin};

/// The retention of [`options`](super::world::options) is a second.
const LATER: u64 = 1001;

#[test]
fn an_expired_id_is_free_for_another_message() {
    for (after, said) in [(LATER - 1, "id_reused"), (LATER, "scheduled 2")] {
        let mut world = World::at_rest();
        world.schedule(1, 1, "x");
        world.settle();
        world.now += after;
        world.schedule(2, 1, "y");
        world.settle();
        assert_eq!(world.said(2), said, "{after} ms later");
    }
}

#[test]
fn each_message_pushes_out_two_old_ids_at_most() {
    let mut world = World::at_rest();
    world.store_messages(&["x"; 5]);
    world.settle();
    world.now += LATER;
    let kept: Vec<usize> = (0..5)
        .map(|_| {
            world.store_messages(&["x"]);
            world.store.data.ids.len()
        })
        .collect();
    assert_eq!(kept, [5, 4, 3, 4, 5]);
}

#[test]
fn an_id_that_is_used_again_is_not_forgotten_with_its_old_slot() {
    let mut world = World::at_rest();
    world.store_messages(&["x", "x"]);
    world.schedule(1, 1, "x");
    world.settle();
    world.now += LATER;
    world.schedule(2, 1, "y");
    for id in 10..13 {
        // While the new message is on its way, too.
        world.schedule(GONE, id, "x");
    }
    world.store_messages(&["x", "x", "x"]);
    world.schedule(3, 1, "y");
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["scheduled 4", "scheduled 4"]);
}

#[test]
fn an_id_that_is_used_again_and_stored_is_not_forgotten_with_its_old_slot() {
    let mut world = World::at_rest();
    world.store_messages(&["x"; 7]);
    world.schedule(1, 1, "x");
    world.settle();
    world.now += LATER;
    world.schedule(2, 1, "y");
    world.settle();
    for _ in 0..6 {
        world.store_messages(&["x"]);
        world.settle();
    }
    world.schedule(3, 1, "y");
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["scheduled 9", "scheduled 9"]);
}

#[test]
fn ids_whose_forgetting_was_refused_are_forgotten_later() {
    let mut world = World::at_rest();
    world.store_messages(&["x"; 3]);
    world.settle();
    world.now += LATER;
    for id in 1..=2 {
        world.schedule(GONE, id, "y");
    }
    world.commit(Fate::Refused);
    world.commit(Fate::Refused);
    world.store_messages(&["x", "x"]);
    let kept: Vec<_> = world.store.data.ids.values().map(|known| known.slot).collect();
    assert!(kept.iter().all(|slot| *slot > Slot(3)), "{kept:?}");
}

#[test]
fn a_new_worker_goes_on_forgetting_where_the_last_one_stopped() {
    let mut world = World::at_rest();
    world.store_messages(&["x"; 3]);
    world.settle();
    world.now += LATER;
    world.store_messages(&["x"]);
    world.shut_down();
    world.succeed();
    world.store_messages(&["x"]);
    let mut kept: Vec<_> = world.store.data.ids.values().map(|known| known.slot.0).collect();
    kept.sort_unstable();
    assert_eq!(kept, [4, 5]);
}

/// A past that cannot be read, and how often somebody tried.
#[derive(Default)]
struct Lost(Cell<u32>);

impl History for Lost {
    fn known_id(&self, _: Origin, _: &MessageId) -> Result<Option<KnownId>, String> {
        Ok(None)
    }

    fn ids_from(&self, _: Slot, _: usize) -> Result<Vec<OldId>, String> {
        self.0.set(self.0.get() + 1);
        Err("lost".to_owned())
    }

    fn mark(&self, _: &MarkSource) -> Result<Option<MarkPosition>, String> {
        Ok(None)
    }
}

#[test]
fn a_past_that_cannot_be_read_is_asked_for_once_an_hour() {
    let (mut window, lost) = (IdWindow::new(Duration::from_secs(1)), Lost::default());
    let mut failed = 0;
    for minute in 0..120 {
        let forgotten = window.forget(1_000_000 + minute * 60_000, Some(Slot(9)), &lost, |_, _| false);
        failed += u32::from(forgotten.is_err());
    }
    assert_eq!((failed, lost.0.get()), (2, 2));
}
