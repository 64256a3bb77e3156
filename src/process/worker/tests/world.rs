//! A core with a fake store and a fake device around it, and somebody who asks and keeps what is answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::fake_device::{Bench, Turn};
use super::fake_store::{FakeStore, Fate};
use crate::config::limits::Limits;
use crate::ids::{BlobHash, MessageId, ProcessId, Slot};
use crate::process::worker::{
    Answer, Base, Core, Define, Effect, Fault, Note, Remains, Request, SnapshotTaken, StopReason, TurnDone, TurnPlan,
    Waiting, WorkerOptions,
};
use crate::process::{
    Cause, Commit, Computed, Defaults, Definition, DeviceKind, Draft, ErrorStrategy, Origin, OutboxKey, ProcessOrigin,
    Record, RequestError, SnapshotFile, SnapshotRef, Specification,
};

/// Tickets from here on belong to somebody who no longer waits.
pub(super) const GONE: u32 = 1_000_000;

impl Waiting for u32 {
    fn is_gone(&self) -> bool {
        *self >= GONE
    }
}

pub(super) fn definition(source: &str) -> Definition {
    let specification = Specification::new(DeviceKind::Lua, source.as_bytes());
    let limits = Limits { queue: 8, message_size: 100, outbox: 6, ..Limits::default() };
    specification.resolve(&Defaults { limits, error_strategy: ErrorStrategy::Ignore }, "lua 1")
}

pub(super) fn define(source: &str, origin: ProcessOrigin) -> Box<Define> {
    let bytes = source.as_bytes().into();
    Box::new(Define { origin, definition: definition(source), source: bytes, from: "local".to_owned() })
}

/// A message of a client who names it.
pub(super) fn draft(id: u64, data: &str) -> Box<Draft> {
    Box::new(Draft {
        id: MessageId::derived(&[&id.to_le_bytes()]),
        is_new: false,
        origin: Origin::Client,
        from: "local".to_owned(),
        owner: "local".to_owned(),
        anchor: String::new(),
        tags: Vec::new(),
        data: data.to_owned(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    })
}

pub(super) fn options() -> WorkerOptions {
    WorkerOptions {
        process_workers: true,
        max_idle: Duration::from_secs(300),
        cache_frequency: 1000,
        async_cache: true,
        snapshots_kept: 2,
        id_retention: Duration::from_millis(1000),
    }
}

pub(super) struct World {
    pub(super) core: Core<u32>,
    pub(super) options: WorkerOptions,
    pub(super) store: FakeStore,
    pub(super) bench: Bench,
    pub(super) now: u64,
    /// Handed to the store and not yet answered.
    pub(super) commits: VecDeque<Commit>,
    /// The device is away for this.
    pub(super) plan: Option<TurnPlan>,
    pub(super) plans: usize,
    pub(super) files: VecDeque<SnapshotTaken>,
    pub(super) retry_after: Option<Duration>,
    pub(super) interrupts: usize,
    pub(super) notes: Vec<Note>,
    pub(super) remains: Option<Remains<u32>>,
    pub(super) answers: Vec<(u32, Result<Answer, RequestError>)>,
    /// Every outcome that anybody was told.
    pub(super) told: BTreeMap<Slot, Computed>,
    /// The last outcomes of which the core said that there is something to deliver.
    pub(super) pushes: Vec<Slot>,
    /// Slots whose counts are to be forgotten.
    pub(super) forgiven: Vec<Slot>,
    /// Who wants a slot skipped.
    pub(super) skippers: BTreeSet<u32>,
}

impl World {
    /// A core that waits for its claim on an empty store.
    pub(super) fn unclaimed(options: WorkerOptions) -> Self {
        Self {
            core: Core::new(ProcessId::parse("p").unwrap(), options.clone()),
            options,
            store: FakeStore::default(),
            bench: Bench::default(),
            now: 1000,
            commits: VecDeque::new(),
            plan: None,
            plans: 0,
            files: VecDeque::new(),
            retry_after: None,
            interrupts: 0,
            notes: Vec::new(),
            remains: None,
            answers: Vec::new(),
            told: BTreeMap::new(),
            pushes: Vec::new(),
            forgiven: Vec::new(),
            skippers: BTreeSet::new(),
        }
    }

    /// A process at rest whose slot 0 is computed.
    pub(super) fn with(options: WorkerOptions) -> Self {
        let mut world = Self::unclaimed(options);
        world.ask(Request::Define { define: define("a", ProcessOrigin::Config), reply: 0 });
        world.claim();
        world.settle();
        assert_eq!(world.said(0), "created");
        world.forget_all();
        world
    }

    pub(super) fn at_rest() -> Self {
        Self::with(options())
    }

    /// A process at rest whose queue is as long as that.
    pub(super) fn with_queue(queue: u64) -> Self {
        let mut world = Self::at_rest();
        let limits = Limits { queue, ..Limits::default() };
        world.shut_down();
        world.succeed_with(Some(Definition { limits, ..definition("a") }), Vec::new());
        world.settle();
        world
    }

    /// A worker under `options` with one message on its way, for whose outcome ticket 1 waits.
    pub(super) fn with_work(options: WorkerOptions) -> Self {
        let mut world = Self::at_rest();
        world.shut_down();
        world.options = options;
        let message = Request::Schedule { draft: draft(1, "x"), reply: GONE, outcome: Some(1) };
        world.succeed_with(None, vec![message]);
        world
    }

    /// Stops the worker in good order.
    pub(super) fn shut_down(&mut self) {
        self.stop(StopReason::Shutdown);
        self.settle();
    }

    /// Forgets what was answered and noted so far.
    pub(super) fn forget_all(&mut self) {
        self.answers.clear();
        self.notes.clear();
        self.pushes.clear();
        self.plans = 0;
    }

    pub(super) fn claim(&mut self) {
        self.claim_wanting(None);
    }

    pub(super) fn claim_wanting(&mut self, wanted: Option<Definition>) {
        let found = self.store.claim(wanted);
        self.core.claimed(self.now, &self.store, Ok(found));
        self.absorb();
    }

    pub(super) fn ask(&mut self, request: Request<u32>) {
        if let Request::Resume { skip: true, reply } = &request {
            self.skippers.insert(*reply);
        }
        self.core.request(self.now, &self.store, request);
        self.absorb();
    }

    pub(super) fn schedule(&mut self, reply: u32, id: u64, data: &str) {
        self.ask(Request::Schedule { draft: draft(id, data), reply, outcome: None });
    }

    /// Schedules each text as a message of its own and has all of them stored. Nobody hears the answers.
    pub(super) fn store_messages(&mut self, texts: &[&str]) {
        for text in texts {
            let id = 1000 + Slot::after(self.store.data.scheduled()).0;
            self.schedule(GONE, id, text);
            self.commit_all();
        }
    }

    pub(super) fn compute(&mut self, reply: u32, slot: u64) {
        self.ask(Request::Compute { slot: Some(Slot(slot)), reply });
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        self.core.stop(reason);
        self.absorb();
    }

    pub(super) fn give_up(&mut self) {
        self.core.give_up();
        self.absorb();
    }

    /// Somebody delivers at most so many items of the outbox and says so.
    pub(super) fn deliver(&mut self, items: usize) {
        let gone = self.store.deliver(items);
        self.core.pushed(gone);
        self.absorb();
    }

    /// Ends the worker without a snapshot.
    pub(super) fn cut_down(&mut self) {
        self.stop(StopReason::Shutdown);
        self.give_up();
        assert!(self.remains.is_some(), "nothing held it");
    }

    /// Answers the oldest commit.
    pub(super) fn commit(&mut self, fate: Fate) {
        let commit = self.commits.pop_front().expect("there is a commit");
        let result = self.store.commit(&commit, fate);
        for record in &commit.records {
            if let Record::Snapshot(reference, Some(_)) = record {
                self.bench.damaged.remove(&reference.hash);
            }
        }
        self.core.committed(result);
        self.absorb();
    }

    pub(super) fn commit_all(&mut self) {
        while !self.commits.is_empty() {
            self.commit(Fate::Taken);
        }
    }

    /// Brings the device back.
    pub(super) fn turn(&mut self, turn: &Turn) {
        let plan = self.plan.take().expect("the device is away");
        let done = match &self.remains {
            None => self.bench.run(&plan, &self.store.data, turn),
            // The log may not be there any more as the plan knew it.
            Some(_) => {
                let fault = Some(Fault { error: "orphaned".to_owned(), at: None });
                TurnDone { is_lost: true, fault, ..TurnDone::default() }
            }
        };
        self.core.turn_done(done);
        self.absorb();
    }

    pub(super) fn write_file(&mut self, result: Result<(), String>) {
        let SnapshotTaken { taken, before } = self.files.pop_front().expect("a snapshot is to be written");
        let Base { slot, definition, snapshot } = taken;
        let (hash, size) = (BlobHash::of(&snapshot), snapshot.len() as u64);
        if result.is_ok() {
            self.store.data.blobs.insert(hash, snapshot.clone());
            self.store.synced.blobs.insert(hash, snapshot);
            self.bench.damaged.remove(&hash);
        }
        // On whatever it may stand on it does.
        let mut files = before.map_or_else(Vec::new, |before| before.files);
        files.truncate(SnapshotRef::DELTAS_MAX);
        files.push(SnapshotFile { slot, seal: hash, length: size, state: size });
        let reference = SnapshotRef { slot, definition, hash, size, files };
        self.core.snapshot_written(result.map(|()| reference));
        self.absorb();
    }

    /// The file, or the bytes in the store, of the newest snapshot but so many are damaged.
    pub(super) fn damage(&mut self, newer: usize) {
        let hash = self.store.data.snapshots.get(newer).map(|snapshot| snapshot.hash);
        self.bench.damaged.extend(hash);
    }

    pub(super) fn retry(&mut self) {
        self.retry_after = None;
        self.core.retry();
        self.absorb();
    }

    /// Lets everything that is under way come to its end.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            match () {
                () if !self.commits.is_empty() => self.commit(Fate::Taken),
                () if self.plan.is_some() => self.turn(&Turn::default()),
                () if !self.files.is_empty() => self.write_file(Ok(())),
                () if self.retry_after.is_some() => self.retry(),
                () => return,
            }
        }
        panic!("it does not come to rest");
    }

    /// The next worker, once this one is gone: it finds what was handed to the store before, and takes what was left.
    pub(super) fn succeed(&mut self) {
        self.succeed_with(None, Vec::new());
    }

    /// As [`succeed`](Self::succeed), under another definition and with further requests.
    pub(super) fn succeed_with(&mut self, wanted: Option<Definition>, further: Vec<Request<u32>>) {
        let remains = self.remains.take().expect("the worker is gone");
        while let Some(commit) = self.commits.pop_front() {
            self.store.commit(&commit, Fate::Taken);
        }
        let late = self.core.take_deferred();
        self.start_anew();
        for request in remains.requests.into_iter().chain(late).chain(further) {
            self.ask(request);
        }
        self.claim_wanting(wanted);
    }

    /// Another core on the same store. What ran for the last one is gone with it.
    pub(super) fn start_anew(&mut self) {
        self.core = Core::new(ProcessId::parse("p").unwrap(), self.options.clone());
        self.bench.device = None;
        (self.plan, self.retry_after) = (None, None);
        self.files.clear();
        self.commits.clear();
    }

    pub(super) fn absorb(&mut self) {
        for effect in self.core.take_effects() {
            assert!(self.remains.is_none(), "nothing comes after the end, but {effect:?} did");
            match effect {
                Effect::Commit(commit) => self.commits.push_back(commit),
                Effect::Answer(reply, answer) => self.hear(reply, answer),
                Effect::AnswerStored(reply, slot) => {
                    let stored = self.store.data.outcome(slot).expect("a stored outcome is there").clone();
                    self.hear(reply, Ok(Answer::Outcome(stored.into())));
                }
                Effect::Turn(plan) => {
                    let slots = plan.entries.iter().map(|entry| entry.slot);
                    let next = (Slot::after(self.core.computed).0..).map(Slot);
                    assert!(slots.eq(next.take(plan.entries.len())), "entries at hand are those to compute next");
                    assert!(self.plan.replace(plan).is_none(), "there is one device");
                    self.plans += 1;
                }
                Effect::Interrupt => self.interrupts += 1,
                Effect::WriteSnapshot(taken) => self.files.push_back(taken),
                Effect::Push { through } => {
                    let is_on_disk = |key: &OutboxKey| self.store.synced.outbox.contains(key);
                    let mut covered = self.store.data.outbox.iter().take_while(|key| key.slot <= through);
                    assert!(covered.all(is_on_disk), "what is to be delivered is on disk");
                    self.pushes.push(through);
                }
                Effect::Forgive { slot } => self.forgiven.push(slot),
                Effect::RetryAfter(wait) => self.retry_after = Some(wait),
                Effect::Note(note) => self.notes.push(note),
                Effect::Gone(remains) => self.remains = Some(remains),
            }
        }
    }

    fn hear(&mut self, reply: u32, answer: Result<Answer, RequestError>) {
        if let Ok(Answer::Scheduled { slot }) = &answer {
            assert!(Some(*slot) <= self.store.synced.scheduled(), "slot {slot} is acknowledged too early");
        }
        if let Ok(Answer::Outcome(outcome)) = &answer {
            let slot = outcome.slot;
            let may_be_told_early = self.bench.is_deterministic && outcome.cause.is_repeatable();
            let is_on_disk = self.store.synced.outcome(slot) == Some(outcome);
            assert!(may_be_told_early || is_on_disk, "slot {slot} is told too early");
            let before = self.told.insert(slot, outcome.as_ref().clone());
            assert!(before.is_none_or(|before| before == **outcome), "slot {slot} is told in two ways");
        }
        if let Ok(Answer::At(slot)) = &answer
            && self.skippers.contains(&reply)
        {
            let cause = self.store.synced.outcome(*slot).map(|one| one.cause);
            assert!(matches!(cause, Some(Cause::Skipped | Cause::Load)), "slot {slot} is no skipped one: {cause:?}");
        }
        self.answers.push((reply, answer));
    }

    /// What a ticket heard, in short: one part for each answer.
    pub(super) fn said(&self, ticket: u32) -> String {
        let mine = self.answers.iter().filter(|(reply, _)| *reply == ticket);
        mine.map(|(_, answer)| in_short(answer)).collect::<Vec<_>>().join(", ")
    }

    /// Who was answered, in order.
    pub(super) fn heard(&self) -> Vec<u32> {
        self.answers.iter().map(|(reply, _)| *reply).filter(|reply| *reply < GONE).collect()
    }

    /// What is left, in short: `reason: request ticket, …`.
    pub(super) fn left(&self) -> String {
        let Some(remains) = &self.remains else { return "running".to_owned() };
        let requests: Vec<String> = remains.requests.iter().map(request_in_short).collect();
        format!("{}: {}", remains.reason.as_str(), requests.join(", ")).trim_end_matches([' ', ':']).to_owned()
    }
}

fn in_short(answer: &Result<Answer, RequestError>) -> String {
    match answer {
        Ok(Answer::Defined { created: true }) => "created".to_owned(),
        Ok(Answer::Defined { created: false }) => "defined".to_owned(),
        Ok(Answer::Scheduled { slot }) => format!("scheduled {slot}"),
        Ok(Answer::Known) => "known".to_owned(),
        Ok(Answer::Outcome(outcome)) => format!("{:?} {}", outcome.cause, outcome.slot).to_lowercase(),
        Ok(Answer::State(_)) => "state".to_owned(),
        Ok(Answer::Base(base)) => format!("base {}", base.slot),
        Ok(Answer::At(slot)) => format!("at {slot}"),
        Ok(Answer::Done) => "done".to_owned(),
        Ok(Answer::Tried { .. } | Answer::Held) => unreachable!("a worker holds no base"),
        Ok(Answer::Status(status)) => status.activity.as_str().to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

fn request_in_short(request: &Request<u32>) -> String {
    match request {
        Request::Define { reply, .. } => format!("define {reply}"),
        Request::Schedule { reply, .. } => format!("schedule {reply}"),
        Request::Compute { slot, reply } => {
            format!("compute {} {reply}", slot.map_or(String::new(), |s| s.to_string()))
        }
        Request::AwaitAny { reply } => format!("any {reply}"),
        Request::State { reply } => format!("state {reply}"),
        Request::Base { reply } => format!("base {reply}"),
        Request::Snapshot { reply } => format!("snapshot {reply}"),
        Request::Stop { reply } => format!("stop {reply}"),
        Request::Resume { reply, .. } => format!("resume {reply}"),
        Request::Wake { reply } => format!("wake {reply}"),
        Request::Status { reply } => format!("status {reply}"),
        Request::Settle { reply } => format!("settle {reply}"),
    }
}
