//! Random lives of a store against a plain reference: several epochs, wrong expectations, failing writes, restarts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::helper::*;
use crate::ids::{Epoch, MessageId, ProcessId, Slot};
use crate::process::{Computed, DeadLetter, Entry, EntryKind, Json, Mark, MarkSource, Origin, OutboxKey, SentMessage};
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
    /// A keeper takes the item at this place out of the outbox, and perhaps keeps it as undeliverable.
    Keep {
        process: usize,
        place: usize,
        is_dead: bool,
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
        8 => (0..3usize, 0..4usize, any::<bool>()).prop_map(|(process, place, is_dead)| Step::Keep { process, place, is_dead }),
        1 => prop_oneof![Just(Fault::Before), Just(Fault::After)].prop_map(Step::Fail),
        1 => Just(Step::Restart),
    ]
}

/// Every third message is marked.
fn model_entry(process: &ProcessId, slot: u64) -> Entry {
    let is_marked = slot % 3 == 2;
    let mark = is_marked.then(|| Mark { source: source(), position: (slot, 0) });
    let plain = entry(process, slot);
    Entry { origin: if is_marked { Origin::Push } else { plain.origin }, mark, ..plain }
}

fn source() -> MarkSource {
    MarkSource::parse("source").unwrap()
}

/// The cursor of a log of so many messages.
fn model_cursor(messages: u64) -> Option<String> {
    (messages % 4 != 3).then(|| messages.to_string())
}

/// Every second outcome sends two messages.
fn model_outcome(slot: u64) -> Computed {
    let message =
        SentMessage { target: "q".to_owned(), tags: Vec::new(), data: slot.to_string(), anchor: String::new() };
    let mut computed = computed(slot);
    computed.outcome.messages = vec![message; if slot % 2 == 1 { 2 } else { 0 }];
    computed
}

fn letter(process: &ProcessId, key: OutboxKey) -> DeadLetter {
    let OutboxKey { slot, index } = key;
    let (target, error) = ("q".to_owned(), "no".to_owned());
    let id = MessageId::derived(&[process.as_str().as_bytes(), &slot.0.to_be_bytes(), &index.to_be_bytes()]);
    let source = process.clone();
    DeadLetter { id, source, slot, index, target, message: Json::null(), error, attempts: 1, since: 0 }
}

/// What there should be beside the logs: by process, what is taken out of the outboxes, and of that what is kept as dead.
type Taken = BTreeMap<usize, BTreeMap<OutboxKey, bool>>;

/// What there should be: slots with messages and slots with outcomes.
type Logs = BTreeMap<usize, (u64, u64)>;

struct Life<'a> {
    folder: &'a Path,
    engine: Arc<dyn OpenEngine>,
    faults: Faults,
    store: Option<Store>,
    logs: Logs,
    taken: Taken,
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
            Step::Keep { process, place, is_dead } => self.keep(*process, *place, *is_dead),
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
        records.extend((messages..messages + added.0).map(|slot| Record::Entry(model_entry(&name, slot))));
        records.extend((outcomes..outcomes + added.1).map(|slot| Record::Computed(model_outcome(slot))));
        let after = (messages + added.0, outcomes + added.1);
        records.extend((added.0 > 0).then(|| Record::CronCursor(model_cursor(after.0))));
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

    /// What should be in the outbox of a process.
    fn outbox(&self, process: usize) -> Vec<OutboxKey> {
        let outcomes = self.logs.get(&process).map_or(0, |log| log.1);
        let all = (0..outcomes).flat_map(|slot| model_outcome(slot).outbox().map(|(key, _)| key).collect::<Vec<_>>());
        all.filter(|key| !self.taken.get(&process).is_some_and(|taken| taken.contains_key(key))).collect()
    }

    fn keep(&mut self, process: usize, place: usize, is_dead: bool) {
        let name = id(NAMES[process]);
        let Some(key) = self.outbox(process).get(place).copied() else { return };
        let mut records = vec![Record::Sent(key)];
        records.extend(is_dead.then(|| Record::DeadLetter(Box::new(letter(&name, key)))));
        let answer = commit(self.store(), keeping(&name, records));
        let fault = self.fault;
        assert_eq!(matches!(answer, CommitResult::Committed), fault == Fault::None, "{answer:?}");
        if fault != Fault::Before {
            self.taken.entry(process).or_default().insert(key, is_dead);
        }
        if fault != Fault::None {
            self.recover();
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
        let mut sources = Vec::new();
        for (at, name) in NAMES.iter().enumerate() {
            let waiting = store.outbox(&id(name), None, usize::MAX).unwrap();
            assert_eq!(waiting.iter().map(|(key, _)| *key).collect::<Vec<_>>(), self.outbox(at));
            sources.extend((!waiting.is_empty()).then(|| id(name)));
        }
        sources.sort_by_key(|id| (id.shard(), id.clone()));
        assert_eq!(store.outbox_sources(None, 10).unwrap(), sources);
        let dead = |(at, taken): (&usize, &BTreeMap<OutboxKey, bool>)| {
            let keys: Vec<_> = taken.iter().filter(|(_, is_dead)| **is_dead).map(|(key, _)| *key).collect();
            keys.into_iter().map(|key| letter(&id(NAMES[*at]), key)).collect::<Vec<_>>()
        };
        let mut letters: Vec<_> = self.taken.iter().flat_map(dead).collect();
        letters.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(store.dead_letters(None, usize::MAX).unwrap(), letters);
    }

    fn check_log(&self, process: &ProcessId, messages: u64, outcomes: u64) {
        let store = self.store();
        let all = page(0, u64::MAX, usize::MAX, Order::Ascending);
        let entries = store.entries(process, &all).unwrap().items;
        assert_eq!(entries, (0..messages).map(|slot| model_entry(process, slot)).collect::<Vec<_>>());
        let stored = store.outcomes(process, &all).unwrap().items;
        assert_eq!(stored, (0..outcomes).map(model_outcome).collect::<Vec<_>>());
        for entry in &entries {
            let known = store.known_id(process, entry.origin, &entry.message.id).unwrap();
            let known = known.map(|known| (known.slot, known.content.0));
            let is_indexed = entry.mark.is_none();
            assert_eq!(known, is_indexed.then(|| (entry.slot, entry.message.content_hash())));
        }
        assert_eq!(store.cron_cursor(process).unwrap(), model_cursor(messages));
        let last_mark = entries.iter().rev().find_map(|entry| entry.mark.as_ref()).map(|mark| mark.position);
        assert_eq!(store.mark(process, &source()).unwrap(), last_mark);
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
    let taken = Taken::new();
    let mut life = Life { folder: folder.path(), engine, faults, store, logs, taken, epochs, fault };
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
