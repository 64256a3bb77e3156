//! The store fails in the middle of things.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{Rig, Settings, draft, id, moment, pass, run, still, usual};
use crate::actors::{Readiness, take_up_pending};
use crate::device::fake::{Asked, DICE, Manner};
use crate::ids::{BlobHash, MessageId, ProcessId, Slot};
use crate::process::{
    Commit, CommitResult, Draft, Durability, Entry, EntryKind, Origin, ProcessRecord, Record, RequestError, Writer,
};
use crate::store::faulty::Fault;

/// A message with an id of its sender's own.
fn named(name: &str) -> Draft {
    Draft { id: MessageId::derived(&[name.as_bytes()]), is_new: false, ..draft(name) }
}

/// What the node does beside its workers.
fn start_recovery(rig: &Rig) -> Arc<Readiness> {
    let readiness = Arc::new(Readiness::default());
    actix_rt::spawn(take_up_pending(rig.hub.clone(), readiness.clone()));
    readiness
}

#[test]
fn a_message_whose_write_fails_is_unknown_and_has_one_slot_when_it_is_sent_again() {
    for fault in [Fault::Before, Fault::After] {
        usual(async |rig| {
            let process = rig.process("a").await;
            rig.faults.next([fault]);
            let refused = still(rig.hub.schedule(&process, named("x"))).await.unwrap_err();
            assert!(matches!(refused, RequestError::Unknown(_)), "{fault:?}: {refused:?}");
            assert_eq!(refused.code(), "unknown");
            rig.healthy().await;
            assert_eq!(still(rig.hub.schedule(&process, named("x"))).await, Ok(Slot(1)), "{fault:?}");
            assert_eq!(still(rig.hub.schedule(&process, named("x"))).await, Ok(Slot(1)), "{fault:?}");
            assert_eq!(rig.schedule(&process, "y").await, Ok(2));
            assert_eq!(rig.outcome(&process, 2).await, "2");
        });
    }
}

#[test]
fn while_the_store_is_down_writes_are_refused_and_reads_go_on() {
    usual(async |rig| {
        let process = rig.process("a").await;
        rig.ask(&process, "x").await.unwrap();
        rig.rest(&process).await;
        rig.faults.break_disk("no space");
        assert_eq!(rig.schedule(&process, "y").await.unwrap_err().code(), "unknown");
        let refused = rig.schedule(&process, "y").await.unwrap_err();
        assert_eq!(refused.code(), "store");
        assert!(refused.to_string().contains("no space"), "{refused}");
        assert_eq!(rig.stored(&process).len(), 2);
        assert_eq!(rig.status(&process).await.computed, Some(Slot(1)));
        rig.faults.heal();
        rig.healthy().await;
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "2");
    });
}

#[test]
fn an_outcome_whose_write_fails_is_computed_again_though_nobody_asks() {
    for (source, fault) in
        [("fake", Fault::Before), ("fake", Fault::After), (DICE, Fault::Before), (DICE, Fault::After)]
    {
        usual(async |rig| {
            let readiness = start_recovery(&rig);
            let process = rig.process_of("a", source).await;
            rig.fakes.hold(&process, Manner::Obeying);
            assert_eq!(rig.schedule(&process, "x").await, Ok(1));
            rig.held(1).await;
            rig.faults.next([fault]);
            rig.fakes.let_go();
            rig.gone(&process).await;
            rig.healthy().await;
            assert!(readiness.checks(&rig.store).iter().all(|check| check.error.is_none()));
            pass(Duration::from_secs(60)).await;
            rig.until(&process, |status| status.computed == Some(Slot(1))).await;
            rig.rest(&process).await;
            assert_eq!(rig.stored(&process).len(), 2, "{source} {fault:?}");
            let calls = rig.fakes.slots(&process, Asked::Compute).len();
            let expected = if fault == Fault::Before { 2 } else { 1 };
            assert_eq!(calls, expected, "{source} {fault:?}: what is stored is not computed again");
        });
    }
}

#[test]
fn whoever_waits_for_an_outcome_that_cannot_be_stored_is_told() {
    usual(async |rig| {
        let process = rig.process_of("a", DICE).await;
        rig.fakes.hold(&process, Manner::Obeying);
        assert_eq!(rig.schedule(&process, "x").await, Ok(1));
        rig.held(1).await;
        let (hub, asked) = (rig.hub.clone(), process.clone());
        let waiting = actix_rt::spawn(async move { hub.compute(&asked, Some(Slot(1))).await });
        rig.status(&process).await;
        rig.faults.break_disk("no space");
        rig.fakes.let_go();
        let refused = still(waiting).await.unwrap().unwrap_err();
        assert_eq!(refused.code(), "store");
        rig.faults.heal();
        rig.healthy().await;
        assert_eq!(rig.outcome(&process, 1).await, "2");
    });
}

/// A process in the store that no worker ever had: its definition and a message wait.
async fn waiting(rig: &Rig, name: &str) -> ProcessId {
    let (process, define) = (id(name), rig.definition_of("fake"));
    let entry = |slot, origin, kind, data: &str| {
        Record::Entry(Entry {
            slot: Slot(slot),
            origin,
            kind,
            message: draft(data).at(&process, 1),
            mark: None,
            push: None,
        })
    };
    let definition = serde_json::to_string(&define.definition).unwrap();
    let (origin, device) = (define.origin, define.definition.specification.device);
    let epoch = rig.rival(&process).await;
    let commit = Commit {
        process: process.clone(),
        writer: Writer::Worker(epoch),
        scheduled: None,
        computed: None,
        records: vec![
            Record::Process(ProcessRecord { id: process.clone(), origin, device, created: 1 }),
            Record::Blob(BlobHash::of(&define.source), define.source),
            entry(0, Origin::Node, EntryKind::Definition, &definition),
            entry(1, Origin::Client, EntryKind::Message, "x"),
        ],
        durability: Durability::Sync,
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    rig.store.commit(commit, move |result| drop(sender.send(result)));
    assert_eq!(still(receiver).await.unwrap(), CommitResult::Committed);
    rig.store.release(&process, epoch);
    process
}

#[test]
fn what_waits_at_the_start_is_taken_up_before_the_node_is_ready() {
    run(Settings { workers_max: 1_000, ..Settings::default() }, async |rig| {
        let mut processes = Vec::new();
        for number in 0..150 {
            processes.push(waiting(&rig, &format!("p{number}")).await);
        }
        assert_eq!(rig.fakes.created(), []);
        let readiness = start_recovery(&rig);
        let pending = |readiness: &Readiness| {
            let checks = readiness.checks(&rig.store);
            checks.into_iter().find(|check| check.name == "pending").unwrap().error
        };
        assert!(pending(&readiness).is_some());
        for process in &processes {
            rig.until(process, |status| status.computed == Some(Slot(1))).await;
        }
        while pending(&readiness).is_some() {
            moment().await;
        }
        assert!(readiness.checks(&rig.store).iter().all(|check| check.error.is_none()));
    });
}

#[test]
fn a_snapshot_that_cannot_be_written_costs_nothing_but_itself() {
    usual(async |rig| {
        let process = rig.process("a").await;
        // Big enough to be a file.
        rig.ask(&process, &"x".repeat(100_000)).await.unwrap();
        rig.rest(&process).await;
        let folder = rig.folder.path().join("snapshots");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "in the way").unwrap();
        assert_eq!(still(rig.hub.snapshot(&process)).await.unwrap_err().code(), "store");
        assert_eq!(rig.ask(&process, "y").await.unwrap(), "2");
        still(rig.hub.stop_worker(&process)).await.unwrap();
        assert_eq!(rig.ask(&process, "z").await.unwrap(), "3", "the log is the truth");
    });
}
