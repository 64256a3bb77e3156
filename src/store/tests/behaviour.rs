//! The same behaviour on both engines.

use std::sync::mpsc;

use super::helper::*;
use crate::ids::{BlobHash, ProcessId, Slot};
use crate::process::Origin;
use crate::store::Store;
use crate::store::contract::{CommitResult, Durability, Halt, Order, Record, Writer};

/// Runs `test` on a new store of each engine.
fn on_both(test: impl Fn(&Store)) {
    for (name, engine) in engines() {
        let folder = tempfile::tempdir().unwrap();
        println!("engine {name}");
        test(&open(folder.path(), engine));
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    for (name, engine) in engines() {
        let folder = tempfile::tempdir().unwrap();
        let process = id("counter");
        {
            let store = open(folder.path(), engine.clone());
            let epoch = create(&store, &process, 2);
            let records = vec![Record::Computed(computed(0)), Record::Computed(computed(1))];
            let lazy = commit_of(&process, epoch, (Some(2), None), records);
            let lazy = crate::store::contract::Commit { durability: Durability::Lazy, ..lazy };
            assert_eq!(commit(&store, lazy), CommitResult::Committed);
        }
        let store = open(folder.path(), engine);
        let head = store.head(&process).unwrap().unwrap();
        assert_eq!((head.scheduled, head.computed, head.definition), (Slot(2), Some(Slot(1)), Slot(0)), "{name}");
        assert_eq!((head.record, head.last_timestamp, head.ids_from), (record(&process), 1002, Slot(0)));
        assert_eq!(slots(&store, &process), [0, 1, 2]);
        assert_eq!(store.computed(&process, Slot(1)).unwrap(), Some(computed(1)));
        assert_eq!(store.pending(None, 10).unwrap(), [process]);
        assert_eq!(store.process_count(), 1);
    }
}

#[test]
fn a_claim_sees_what_was_handed_in_before_and_fences_who_came_before() {
    on_both(|store| {
        let process = id("p");
        let first = claim(store, &process);
        assert_eq!(first.head, None);
        let (sender, receiver) = mpsc::channel();
        store.commit(creation(&process, first.epoch), move |answer| sender.send(answer).unwrap());
        let second = claim(store, &process);
        assert_eq!(second.head.unwrap().scheduled, Slot(0));
        assert!(second.epoch > first.epoch);
        assert_eq!(receiver.recv(), Ok(CommitResult::Committed));
        let late = commit_of(&process, first.epoch, (Some(0), None), vec![Record::Entry(entry(&process, 1))]);
        assert_eq!(commit(store, late.clone()), CommitResult::Fenced);
        assert_eq!(slots(store, &process), [0]);
        store.release(&process, first.epoch);
        let current = crate::store::contract::Commit { writer: Writer::Worker(second.epoch), ..late };
        assert_eq!(commit(store, current.clone()), CommitResult::Committed, "an old epoch released it");
        assert_eq!(commit(store, current), CommitResult::Fenced, "the log went on meanwhile");
        store.release(&process, second.epoch);
        let released = commit_of(&process, second.epoch, (Some(1), None), vec![Record::Entry(entry(&process, 2))]);
        assert_eq!(commit(store, released), CommitResult::Fenced);
    });
}

#[test]
fn pages_run_both_ways_and_stay_within_the_process() {
    on_both(|store| {
        // Ids that are prefixes of each other.
        for name in ["a", "ab", "a-", "b"] {
            create(store, &id(name), 5);
        }
        let process = id("a");
        // (first, last, limit, order) → (slots, more)
        type Case<'a> = (u64, u64, usize, Order, &'a [u64], bool);
        let table: [Case<'_>; 8] = [
            (0, u64::MAX, 100, Order::Ascending, &[0, 1, 2, 3, 4, 5], false),
            (0, u64::MAX, 6, Order::Ascending, &[0, 1, 2, 3, 4, 5], false),
            (0, u64::MAX, 2, Order::Ascending, &[0, 1], true),
            (2, 3, 100, Order::Ascending, &[2, 3], false),
            (0, u64::MAX, 2, Order::Descending, &[5, 4], true),
            (1, 4, 100, Order::Descending, &[4, 3, 2, 1], false),
            (4, 2, 100, Order::Ascending, &[], false),
            (6, 9, 100, Order::Ascending, &[], false),
        ];
        for (first, last, limit, order, expected, more) in table {
            let found = store.entries(&process, &page(first, last, limit, order)).unwrap();
            let found_slots: Vec<_> = found.items.iter().map(|entry| entry.slot.0).collect();
            assert_eq!((&found_slots[..], found.more), (expected, more), "{first} {last} {limit} {order:?}");
            assert!(found.items.iter().all(|entry| entry.message.target == "a"));
        }
        let small = crate::store::contract::PageQuery { bytes: 1, ..page(0, 5, 100, Order::Ascending) };
        let found = store.entries(&process, &small).unwrap();
        assert_eq!((found.items.len(), found.more), (1, true), "at least one, however large");
    });
}

#[test]
fn processes_and_pending_ones_are_listed_in_order_of_id() {
    on_both(|store| {
        let names = ["a", "a-", "ab", "b", "zz"];
        for name in names.iter().rev() {
            let epoch = create(store, &id(name), 0);
            if *name == "ab" {
                let done = commit_of(&id(name), epoch, (Some(0), None), vec![Record::Computed(computed(0))]);
                assert_eq!(commit(store, done), CommitResult::Committed);
            }
        }
        let listed = |after: Option<&str>, limit| {
            let found = store.processes(after.map(id).as_ref(), limit).unwrap();
            found.into_iter().map(|record| record.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(listed(None, 10), names);
        assert_eq!(listed(Some("a"), 2), ["a-", "ab"]);
        assert_eq!(listed(Some("zz"), 2), [""; 0]);
        let pending = |after: Option<&str>, limit| store.pending(after.map(id).as_ref(), limit).unwrap();
        assert_eq!(pending(None, 10), ["a", "a-", "b", "zz"].map(id));
        assert_eq!(pending(Some("a-"), 1), [id("b")]);
        assert_eq!(store.process_count(), 5);
    });
}

#[test]
fn a_pending_mark_goes_with_the_release_or_once_it_is_found_stale() {
    use crate::store::engine::{Engine, Space};
    let memory = crate::store::Memory::default();
    let is_marked = || memory.get(Space::Pending, b"p").unwrap().is_some();
    let folder = tempfile::tempdir().unwrap();
    let process = id("p");
    let store = open(folder.path(), std::sync::Arc::new(memory.clone()));
    let epoch = create(&store, &process, 1);
    store.release(&process, epoch);
    assert_eq!(flush(&store), Ok(()));
    assert!(is_marked(), "released with a slot to compute");
    let epoch = claim(&store, &process).epoch;
    let outcomes = (0..=1).map(|slot| Record::Computed(computed(slot))).collect();
    assert_eq!(commit(&store, commit_of(&process, epoch, (Some(1), None), outcomes)), CommitResult::Committed);
    assert_eq!(store.pending(None, 10).unwrap(), []);
    assert_eq!(flush(&store), Ok(()));
    assert!(is_marked(), "it is held");
    drop(store);
    let store = open(folder.path(), std::sync::Arc::new(memory.clone()));
    assert_eq!(store.pending(None, 10).unwrap(), []);
    assert_eq!(flush(&store), Ok(()));
    assert!(!is_marked(), "left over from before");
    let epoch = claim(&store, &process).epoch;
    let more = vec![Record::Entry(entry(&process, 2)), Record::Computed(computed(2))];
    assert_eq!(commit(&store, commit_of(&process, epoch, (Some(1), Some(1)), more)), CommitResult::Committed);
    assert!(!is_marked(), "it never waited");
    let last = commit_of(&process, epoch, (Some(2), Some(2)), vec![Record::Entry(entry(&process, 3))]);
    assert_eq!(commit(&store, last), CommitResult::Committed);
    assert!(is_marked());
    let last = commit_of(&process, epoch, (Some(3), Some(2)), vec![Record::Computed(computed(3))]);
    assert_eq!(commit(&store, last), CommitResult::Committed);
    store.release(&process, epoch);
    assert_eq!((claim(&store, &process).head.unwrap().computed, is_marked()), (Some(Slot(3)), false));
}

#[test]
fn ids_are_known_until_they_are_forgotten() {
    on_both(|store| {
        let process = id("p");
        let epoch = create(store, &process, 2);
        let known = |slot| store.known_id(&process, Origin::Client, &message_id(&process, slot)).unwrap();
        let first = known(1).unwrap();
        assert_eq!((first.slot, first.timestamp), (Slot(1), 1001));
        assert_eq!(first.content, BlobHash(entry(&process, 1).message.content_hash()));
        assert_eq!(store.known_id(&process, Origin::Node, &message_id(&process, 1)).unwrap(), None, "another road");
        assert_eq!(store.known_id(&id("q"), Origin::Client, &message_id(&process, 1)).unwrap(), None);
        let forget = Record::ForgetId(Origin::Client, message_id(&process, 1), Slot(1));
        assert_eq!(commit(store, commit_of(&process, epoch, (Some(2), None), vec![forget])), CommitResult::Committed);
        assert_eq!((known(1), known(2).map(|known| known.slot)), (None, Some(Slot(2))));
        assert_eq!(store.head(&process).unwrap().unwrap().ids_from, Slot(2));
    });
}

#[test]
fn halts_blobs_and_small_snapshots_are_kept() {
    on_both(|store| {
        let process = id("p");
        let epoch = create(store, &process, 1);
        let (code, state) = (b"function compute() end".as_slice(), b"{}".as_slice());
        let halt = Halt { slot: Slot(1), error: "boom".to_owned(), resumed: None };
        let records = vec![
            Record::Blob(BlobHash::of(code), code.into()),
            Record::Computed(computed(0)),
            Record::Snapshot(snapshot_ref(0, state), Some(state.into())),
            Record::Halted(Some(halt.clone())),
        ];
        assert_eq!(commit(store, commit_of(&process, epoch, (Some(1), None), records)), CommitResult::Committed);
        assert_eq!(store.blob(&process, &BlobHash::of(code)).unwrap().as_deref(), Some(code));
        assert_eq!(store.blob(&process, &BlobHash::of(state)).unwrap(), None);
        let head = store.head(&process).unwrap().unwrap();
        assert_eq!((head.halted, head.snapshot.clone()), (Some(halt), Some(snapshot_ref(0, state))));
        assert_eq!(store.read_snapshot(&process, &head.snapshot.unwrap()).unwrap(), state);
        let records = vec![Record::Halted(None), Record::DropSnapshot(snapshot_ref(0, state))];
        assert_eq!(commit(store, commit_of(&process, epoch, (Some(1), Some(0)), records)), CommitResult::Committed);
        let head = store.head(&process).unwrap().unwrap();
        assert_eq!((head.halted, head.snapshot), (None, None));
        assert_eq!(store.snapshots(&process).unwrap(), []);
        assert!(store.read_snapshot(&process, &snapshot_ref(0, state)).is_err());
    });
}

#[test]
fn commits_that_wait_together_share_a_sync_and_are_answered_in_order() {
    use crate::store::faulty::{Faults, Faulty};
    for (_, engine) in engines() {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let store = open(folder.path(), std::sync::Arc::new(Faulty::new(engine, faults.clone())));
        let process = id("p");
        let epoch = create(&store, &process, 0);
        let (writes, syncs) = (faults.writes(), faults.syncs());
        faults.hold();
        let (sender, receiver) = mpsc::channel();
        for slot in 1..=500 {
            let sender = sender.clone();
            let one = commit_of(&process, epoch, (Some(slot - 1), None), vec![Record::Entry(entry(&process, slot))]);
            store.commit(one, move |answer| sender.send((slot, answer)).unwrap());
            if slot == 1 {
                faults.wait_until_held();
            }
        }
        faults.let_go();
        let answers: Vec<_> = receiver.iter().take(500).collect();
        let expected: Vec<_> = (1..=500).map(|slot| (slot, CommitResult::Committed)).collect();
        assert_eq!(answers, expected);
        assert_eq!((faults.writes() - writes, faults.syncs() - syncs), (2, 2));
        assert_eq!(slots(&store, &process), (0..=500).collect::<Vec<_>>());
    }
}

#[test]
fn a_panicking_answer_harms_nobody_else() {
    on_both(|store| {
        let process = id("p");
        let epoch = claim(store, &process).epoch;
        store.commit(creation(&process, epoch), |_| panic!("the caller's fault"));
        let next = commit_of(&process, epoch, (Some(0), None), vec![Record::Entry(entry(&process, 1))]);
        assert_eq!(commit(store, next), CommitResult::Committed);
    });
}

#[test]
fn after_the_end_everything_is_refused() {
    on_both(|store| {
        let process = id("p");
        let epoch = create(store, &process, 0);
        assert_eq!(store.shutdown(), Ok(()));
        assert_eq!(store.shutdown(), Ok(()));
        let late = commit_of(&process, epoch, (Some(0), None), vec![Record::Entry(entry(&process, 1))]);
        assert!(matches!(commit(store, late), CommitResult::Refused(text) if text.contains("shut down")));
        assert!(try_claim(store, &process).is_err() && flush(store).is_err() && store.is_healthy().is_err());
        assert!(store.head(&process).is_err());
    });
}

#[test]
fn a_record_that_is_not_what_its_hash_says_is_refused() {
    on_both(|store| {
        let process = id("p");
        let epoch = create(store, &process, 0);
        let liar = Record::Blob(BlobHash::of(b"a"), b"b".as_slice().into());
        let refused = commit(store, commit_of(&process, epoch, (Some(0), None), vec![liar]));
        assert!(matches!(refused, CommitResult::Refused(text) if text.contains("hash")));
        let next = commit_of(&process, epoch, (Some(0), None), vec![Record::Computed(computed(0))]);
        assert_eq!(commit(store, next), CommitResult::Committed, "the epoch still holds");
    });
}

#[test]
fn the_way_in_is_bounded() {
    use crate::store::faulty::{Faults, Faulty};
    use crate::store::queue::REQUESTS_MAX;
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let memory = std::sync::Arc::new(crate::store::Memory::default());
    let store = open(folder.path(), std::sync::Arc::new(Faulty::new(memory, faults.clone())));
    let process = id("p");
    let epoch = create(&store, &process, 0);
    faults.hold();
    store.flush(drop);
    faults.wait_until_held();
    let (sender, receiver) = mpsc::channel();
    let hand_in = |process: &ProcessId| {
        let sender = sender.clone();
        store.claim(process, move |answer| sender.send(answer.map(|claim| claim.epoch)).unwrap());
    };
    for _ in 0..REQUESTS_MAX {
        hand_in(&process);
    }
    assert!(receiver.try_recv().is_err(), "all of them wait");
    hand_in(&process);
    let refused = receiver.try_recv().unwrap().unwrap_err();
    assert!(refused.contains("overloaded") && refused.contains(folder.path().to_str().unwrap()), "{refused}");
    faults.let_go();
    let epochs: Vec<_> = receiver.iter().take(REQUESTS_MAX as usize).map(Result::unwrap).collect();
    assert!(epochs.iter().all(|claimed| *claimed > epoch) && epochs.is_sorted());
}
