//! Random lives of a store against a plain reference: several epochs, wrong expectations, failing writes, restarts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::helper::*;
use crate::ids::{Epoch, ProcessId, Slot};
use crate::process::{EntryKind, Origin};
use crate::store::Store;
use crate::store::contract::{Commit, CommitResult, Durability, Order, Record};
use crate::store::engine::OpenEngine;
use crate::store::faulty::{Fault, Faults, Faulty};

const NAMES: [&str; 3] = ["a", "a-", "b"];

#[derive(Clone, Debug)]
enum Step {
    Claim(usize),
    Release(usize),
    /// So many messages and outcomes by the newest epoch or an older one, thinking that the log is so many slots on.
    Commit {
        process: usize,
        is_stale: bool,
        messages: u64,
        outcomes: u64,
        ahead: (u64, u64),
        is_lazy: bool,
    },
    Fail(Fault),
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let commit = |odd: bool| {
        let one_in = if odd { 0..2u64 } else { 0..1 };
        (0..3usize, 0..3u64, 0..3u64, one_in.clone(), one_in, any::<(bool, bool)>()).prop_map(
            move |(process, messages, outcomes, a, b, (is_stale, is_lazy))| {
                let is_stale = odd && is_stale;
                Step::Commit { process, is_stale, messages, outcomes, ahead: (a, b), is_lazy }
            },
        )
    };
    prop_oneof![
        4 => (0..3usize).prop_map(Step::Claim),
        1 => (0..3usize).prop_map(Step::Release),
        24 => commit(false),
        6 => commit(true),
        1 => prop_oneof![Just(Fault::Before), Just(Fault::After)].prop_map(Step::Fail),
        1 => Just(Step::Restart),
    ]
}

/// What there should be: slots with messages and slots with outcomes.
type Logs = BTreeMap<usize, (u64, u64)>;

struct Life<'a> {
    folder: &'a Path,
    engine: Arc<dyn OpenEngine>,
    faults: Faults,
    store: Option<Store>,
    logs: Logs,
    /// Every epoch that a process was given, and whether the last one still holds it.
    epochs: BTreeMap<usize, (Vec<Epoch>, bool)>,
    fault: Fault,
}

impl Life<'_> {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Claim(process) => {
                let claimed = claim(self.store(), &id(NAMES[*process]));
                let log = claimed.head.map(|head| (head.scheduled.0 + 1, head.computed.map_or(0, |slot| slot.0 + 1)));
                assert_eq!(log, self.logs.get(process).copied());
                let (epochs, is_held) = self.epochs.entry(*process).or_default();
                assert!(epochs.last().is_none_or(|last| *last < claimed.epoch));
                epochs.push(claimed.epoch);
                *is_held = true;
            }
            Step::Release(process) => {
                if let Some((epochs, is_held)) = self.epochs.get_mut(process) {
                    *is_held = false;
                    let epoch = *epochs.last().unwrap();
                    self.store().release(&id(NAMES[*process]), epoch);
                    // Letting go may write, too, and so meet the fault that was meant for a commit.
                    if self.fault != Fault::None && flush(self.store()).is_err() {
                        self.recover();
                    }
                }
            }
            Step::Commit { process, is_stale, messages, outcomes, ahead, is_lazy } => {
                self.commit(*process, *is_stale, (*messages, *outcomes), *ahead, *is_lazy);
            }
            Step::Fail(fault) => {
                if self.fault == Fault::None {
                    // What is still on its way must not meet the fault.
                    flush(self.store()).unwrap();
                    self.fault = *fault;
                    self.faults.next([*fault]);
                }
            }
            Step::Restart => {
                self.faults.heal();
                self.fault = Fault::None;
                self.store = None;
                self.store = Some(open(self.folder, self.engine.clone()));
                self.epochs.clear();
                self.check();
            }
        }
    }

    fn commit(&mut self, process: usize, is_stale: bool, added: (u64, u64), ahead: (u64, u64), is_lazy: bool) {
        let name = id(NAMES[process]);
        let Some((epochs, is_held)) = self.epochs.get(&process) else { return };
        let back = usize::from(is_stale && epochs.len() > 1);
        let epoch = epochs[epochs.len() - 1 - back];
        let log = self.logs.get(&process).copied();
        let (messages, outcomes) = log.unwrap_or_default();
        let mut records = if log.is_none() { vec![Record::Process(record(&name))] } else { Vec::new() };
        records.extend((messages..messages + added.0).map(|slot| Record::Entry(entry(&name, slot))));
        records.extend((outcomes..outcomes + added.1).map(|slot| Record::Computed(computed(slot))));
        let after = (messages + added.0, outcomes + added.1);
        let at = ((messages + ahead.0).checked_sub(1), (outcomes + ahead.1).checked_sub(1));
        let durability = if is_lazy { Durability::Lazy } else { Durability::Sync };
        let one = Commit { durability, ..commit_of(&name, epoch, at, records) };
        // A place is looked at only where something is added to it.
        let is_placed = (added.0 == 0 || ahead.0 == 0) && (added.1 == 0 || ahead.1 == 0);
        let is_right = *is_held && back == 0 && is_placed && after.1 <= after.0 && after.0 > 0;
        let answer = commit(self.store(), one);
        match (is_right, self.fault) {
            (false, _) => assert_eq!(answer, CommitResult::Fenced),
            (true, Fault::None) => {
                assert_eq!(answer, CommitResult::Committed);
                self.logs.insert(process, after);
            }
            (true, fault) => {
                assert!(matches!(answer, CommitResult::Unknown(_)), "{answer:?}");
                if fault == Fault::After {
                    self.logs.insert(process, after);
                }
                self.recover();
            }
        }
    }

    /// The store failed and comes back; nobody holds anything any more.
    fn recover(&mut self) {
        self.fault = Fault::None;
        assert!(self.store().wait_until_healthy(Duration::from_secs(60)));
        for (_, is_held) in self.epochs.values_mut() {
            *is_held = false;
        }
        self.check();
    }

    /// Compares all that can be read, and all that is derived, with the reference.
    fn check(&self) {
        let store = self.store();
        let names = |processes: Vec<usize>| processes.into_iter().map(|at| id(NAMES[at])).collect::<Vec<_>>();
        let listed: Vec<_> = store.processes(None, 10).unwrap().into_iter().map(|record| record.id).collect();
        assert_eq!(listed, names(self.logs.keys().copied().collect()));
        assert_eq!(store.process_count(), self.logs.len() as u64);
        let pending = self.logs.iter().filter(|(_, log)| log.1 < log.0).map(|(at, _)| *at).collect();
        assert_eq!(store.pending(None, 10).unwrap(), names(pending));
        for (at, (messages, outcomes)) in &self.logs {
            self.check_log(&id(NAMES[*at]), *messages, *outcomes);
        }
    }

    fn check_log(&self, process: &ProcessId, messages: u64, outcomes: u64) {
        let store = self.store();
        let all = page(0, u64::MAX, usize::MAX, Order::Ascending);
        let entries = store.entries(process, &all).unwrap().items;
        assert_eq!(entries, (0..messages).map(|slot| entry(process, slot)).collect::<Vec<_>>());
        let stored = store.outcomes(process, &all).unwrap().items;
        assert_eq!(stored, (0..outcomes).map(computed).collect::<Vec<_>>());
        for entry in &entries {
            let known = store.known_id(process, entry.origin, &entry.message.id).unwrap().unwrap();
            assert_eq!((known.slot, known.content.0), (entry.slot, entry.message.content_hash()));
        }
        let beyond = message_id(process, messages);
        assert_eq!(store.known_id(process, Origin::Client, &beyond).unwrap(), None);
        let last_definition = entries.iter().rev().find(|entry| entry.kind == EntryKind::Definition).unwrap();
        let head = store.head(process).unwrap().unwrap();
        assert_eq!(head.definition, last_definition.slot);
        assert_eq!((head.scheduled, head.computed), (Slot(messages - 1), outcomes.checked_sub(1).map(Slot)));
    }
}

fn live(engine: Arc<dyn OpenEngine>, steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let engine: Arc<dyn OpenEngine> = Arc::new(Faulty::new(engine, faults.clone()));
    let store = Some(open(folder.path(), engine.clone()));
    let (logs, epochs, fault) = (Logs::new(), BTreeMap::new(), Fault::None);
    let mut life = Life { folder: folder.path(), engine, faults, store, logs, epochs, fault };
    for step in [Step::Claim(0), Step::Claim(1)].iter().chain(steps) {
        life.take(step);
    }
    life.take(&Step::Restart);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn in_memory_every_life_is_that_of_the_reference(steps in proptest::collection::vec(any_step(), 1..60)) {
        live(Arc::new(crate::store::Memory::default()), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn on_disk_every_life_is_that_of_the_reference(steps in proptest::collection::vec(any_step(), 1..60)) {
        live(Arc::new(crate::store::Fjall), &steps);
    }
}
