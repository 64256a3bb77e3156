//! Failing writes and syncs: what is answered, what is there afterwards, and that service comes back.

use std::sync::Arc;
use std::time::Duration;

use super::helper::*;
use crate::ids::Slot;
use crate::store::Store;
use crate::store::contract::{CommitResult, Record, Writer};
use crate::store::faulty::{Fault, Faults, Faulty};

const LONG: Duration = Duration::from_secs(60);

/// Runs `test` on a new store of each engine, with faults.
fn on_both(test: impl Fn(&Store, &Faults)) {
    for (name, engine) in engines() {
        println!("engine {name}");
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        test(&open(folder.path(), Arc::new(Faulty::new(engine, faults.clone()))), &faults);
    }
}

#[test]
fn a_failed_write_is_unknown_and_the_claim_after_it_tells_the_truth() {
    for (fault, expected) in [(Fault::Before, Slot(0)), (Fault::After, Slot(1))] {
        on_both(|store, faults| {
            let process = id("p");
            let epoch = create(store, &process, 0);
            faults.next([fault]);
            let next = commit_of(&process, epoch, (Some(0), None), vec![Record::Entry(entry(&process, 1))]);
            let CommitResult::Unknown(text) = commit(store, next.clone()) else { panic!("not unknown") };
            assert!(text.contains("store /"), "{text} names no folder");
            assert!(store.wait_until_healthy(LONG));
            assert_eq!(commit(store, next), CommitResult::Fenced, "every epoch from before the failure is fenced");
            let claimed = claim(store, &process);
            assert!(claimed.epoch > epoch);
            assert_eq!(claimed.head.unwrap().scheduled, expected);
            assert_eq!(store.process_count(), 1);
        });
    }
}

#[test]
fn a_failed_sync_is_unknown_too() {
    on_both(|store, faults| {
        let process = id("p");
        let epoch = create(store, &process, 0);
        faults.fail_syncs(true);
        let next = commit_of(&process, epoch, (Some(0), None), vec![Record::Entry(entry(&process, 1))]);
        assert!(matches!(commit(store, next), CommitResult::Unknown(_)));
        faults.heal();
        assert!(store.wait_until_healthy(LONG));
        assert_eq!(claim(store, &process).head.unwrap().scheduled, Slot(1));
    });
}

#[test]
fn while_the_disk_is_broken_writes_are_refused_and_reads_go_on() {
    on_both(|store, faults| {
        let process = id("p");
        let epoch = create(store, &process, 3);
        faults.break_disk("no space left on device");
        let next = commit_of(&process, epoch, (Some(3), None), vec![Record::Entry(entry(&process, 4))]);
        assert!(matches!(commit(store, next.clone()), CommitResult::Unknown(_)));
        for _ in 0..3 {
            let CommitResult::Refused(text) = commit(store, next.clone()) else { panic!("not refused") };
            assert!(text.contains("no space left on device") && text.contains("store /"), "{text}");
            assert!(try_claim(store, &process).unwrap_err().contains("no space left"));
            assert!(flush(store).is_err() && store.is_healthy().is_err());
            assert!(!store.wait_until_healthy(Duration::from_millis(150)), "an attempt in between fails");
            assert_eq!(slots(store, &process), [0, 1, 2, 3], "reads go on");
        }
        faults.heal();
        assert!(store.wait_until_healthy(LONG));
        assert_eq!(store.is_healthy(), Ok(()));
        assert_eq!(slots(store, &process), [0, 1, 2, 3], "nothing lost, nothing of what was refused");
        let epoch = claim(store, &process).epoch;
        let next = crate::store::contract::Commit { writer: Writer::Worker(epoch), ..next };
        assert_eq!(commit(store, next), CommitResult::Committed);
        assert_eq!(flush(store), Ok(()));
    });
}

#[test]
fn a_batch_fails_as_a_whole_and_claims_in_it_are_refused() {
    on_both(|store, faults| {
        let (a, b) = (id("a"), id("b"));
        let (epoch_a, epoch_b) = (create(store, &a, 0), create(store, &b, 0));
        let (sender, receiver) = std::sync::mpsc::channel();
        faults.hold();
        store.flush(drop);
        faults.wait_until_held();
        faults.next([Fault::None, Fault::Before]);
        for (process, epoch) in [(&a, epoch_a), (&b, epoch_b)] {
            let next = commit_of(process, epoch, (Some(0), None), vec![Record::Entry(entry(process, 1))]);
            let sender = sender.clone();
            store.commit(next, move |answer| sender.send(matches!(answer, CommitResult::Unknown(_))).unwrap());
        }
        let claims = sender.clone();
        store.claim(&id("c"), move |answer| claims.send(answer.is_err()).unwrap());
        faults.let_go();
        assert_eq!(receiver.iter().take(3).collect::<Vec<_>>(), [true; 3]);
        assert!(store.wait_until_healthy(LONG));
        assert_eq!((slots(store, &a), slots(store, &b)), (vec![0], vec![0]));
    });
}

#[test]
fn a_failing_read_is_an_error_and_no_claim() {
    on_both(|store, faults| {
        let process = id("p");
        create(store, &process, 0);
        faults.fail_reads(true);
        assert!(store.entry(&process, Slot(0)).unwrap_err().to_string().contains("store /"));
        assert!(try_claim(store, &process).is_err());
        faults.heal();
        assert_eq!(claim(store, &process).head.unwrap().scheduled, Slot(0));
    });
}
