//! What goes into a worker's core and what comes out.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Millis;
use crate::ids::{BlobHash, GroupName, MessageId, Slot};
use crate::process::{
    Commit, Computed, Definition, DeviceKind, Draft, Entry, EntryKind, Halt, KnownId, MarkPosition, MarkSource, Origin,
    Outcome, ProcessOrigin, RequestError, SnapshotRef, StateView,
};

/// What the node's configuration says to every worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Whether the worker stays after its work is done; else it stops at once.
    pub process_workers: bool,
    /// Idle time before snapshot and stop.
    pub max_idle: Duration,
    /// A snapshot is taken at least after so many slots.
    pub cache_frequency: u64,
    /// Whether the next slots are computed while a snapshot is being stored.
    pub async_cache: bool,
    /// So many snapshots are kept.
    pub snapshots_kept: usize,
    /// For so long the ids of clients are remembered.
    pub id_retention: Duration,
}

/// What is asked of a worker. `R` is where the answer goes.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants say what their fields are for")]
pub enum Request<R> {
    /// Make the process what is asked for, if it isn't.
    Define { define: Box<Define>, reply: R },
    /// Give the message a slot. `reply` hears of it once it is on disk, `outcome` when it is computed. Where `reply` hears of an
    /// error, `outcome` may be dropped unanswered.
    Schedule { draft: Box<Draft>, reply: R, outcome: Option<R> },
    /// The outcome of a slot, the latest scheduled one where none is named.
    Compute { slot: Option<Slot>, reply: R },
    /// The outcome of whichever slot is computed next.
    AwaitAny { reply: R },
    /// The latest state, readable.
    State { reply: R },
    /// The latest state as a snapshot, for a copy to be made from.
    Base { reply: R },
    /// Store a snapshot of the latest state.
    Snapshot { reply: R },
    /// Store a snapshot and stop.
    Stop { reply: R },
    /// Go on after a halt, or after a fault of the machine without more ado: try the slot again, or pass over it.
    Resume { skip: bool, reply: R },
    /// Take up what waits in the log.
    Wake { reply: R },
    /// Where it stands.
    Status { reply: R },
    /// Answer once every outcome that somebody may have seen can be read from the store.
    Settle { reply: R },
}

impl<R> Request<R> {
    /// Where its answer goes.
    pub fn into_reply(self) -> R {
        match self {
            Self::Define { reply, .. }
            | Self::Schedule { reply, .. }
            | Self::Compute { reply, .. }
            | Self::AwaitAny { reply }
            | Self::State { reply }
            | Self::Base { reply }
            | Self::Snapshot { reply }
            | Self::Stop { reply }
            | Self::Resume { reply, .. }
            | Self::Wake { reply }
            | Self::Status { reply }
            | Self::Settle { reply } => reply,
        }
    }

    /// Where the answer goes, if giving it is all there is to do: nothing is lost where nobody hears it.
    pub fn asker(&self) -> Option<&R> {
        match self {
            Self::Compute { reply, .. }
            | Self::AwaitAny { reply }
            | Self::State { reply }
            | Self::Base { reply }
            | Self::Status { reply }
            | Self::Settle { reply } => Some(reply),
            _ => None,
        }
    }

    /// Whether it is worth starting a worker for. The others are answered from the store where none runs.
    pub fn starts_worker(&self) -> bool {
        !matches!(self, Self::Stop { .. } | Self::Status { .. } | Self::Settle { .. })
    }
}

/// What a process shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Define {
    /// Who says so.
    pub origin: ProcessOrigin,
    /// The whole definition, on this node.
    pub definition: Definition,
    /// The source's bytes.
    pub source: Arc<[u8]>,
    /// Who is named as sender of the definition's message.
    pub from: String,
}

/// A good answer to a [`Request`].
#[expect(missing_docs, reason = "the variants say what their fields are for")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `Define`: whether the process is new.
    Defined { created: bool },
    /// To `Schedule`.
    Scheduled { slot: Slot },
    /// To `Schedule` of a message with a mark, and for its outcome: it, or a later one of its source, was scheduled before.
    /// Its slot is not remembered. To that of a tick: the cursor stands elsewhere, so that what is due has to be looked for
    /// again; nothing was scheduled.
    Known,
    /// To `Compute` and `AwaitAny`.
    Outcome(Arc<Computed>),
    /// To `State`: as the device writes it.
    State(StateView),
    /// To `Base`.
    Base(Base),
    /// To `Snapshot` and `Resume`: the slot it is about.
    At(Slot),
    /// To `Stop`, `Wake`, `Settle`.
    Done,
    /// To `Status`.
    Status(Status),
    /// To a message that was resolved on a base: the base's name afterwards, the slot after which the base was the state.
    Tried { group: GroupName, slot: Slot, outcome: Arc<Outcome> },
    /// To who wants a base held.
    Held,
}

/// A state that copies can be made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The slot after which it was the state.
    pub slot: Slot,
    /// The definition slot in force.
    pub definition: Slot,
    /// What [`Device::restore`](crate::device::Device::restore) takes.
    pub snapshot: Arc<[u8]>,
}

/// Where an answer goes and what it is.
pub type Answered<R> = (R, Result<Answer, RequestError>);

/// Where a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who defined it.
    pub origin: ProcessOrigin,
    /// What computes it.
    pub device: DeviceKind,
    /// The last definition slot.
    pub definition: Slot,
    /// The last slot with a message.
    pub scheduled: Slot,
    /// The last slot whose outcome may be seen.
    pub computed: Option<Slot>,
    /// The newest snapshot's slot.
    pub snapshot: Option<Slot>,
    /// What it does.
    pub activity: Activity,
    /// Messages that wait to be computed.
    pub queue: u64,
    /// Why it does not go on, or what went wrong last.
    pub error: Option<String>,
}

/// What a process does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// No worker runs.
    Idle,
    /// A worker holds the state in memory.
    Active,
    /// Slots are being computed.
    Computing,
    /// It stands before a slot that failed.
    Halted,
}

impl Activity {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Active => "active",
            Self::Computing => "computing",
            Self::Halted => "halted",
        }
    }
}

/// What the core asks of the log's past. Small reads by key.
pub trait History {
    /// The slot that an id has, if it was used.
    fn known_id(&self, origin: Origin, id: &MessageId) -> Result<Option<KnownId>, String>;
    /// The messages from `first` on, at most `limit`.
    fn ids_from(&self, first: Slot, limit: usize) -> Result<Vec<OldId>, String>;
    /// The last position that was taken from a source.
    fn mark(&self, source: &MarkSource) -> Result<Option<MarkPosition>, String>;
}

/// What a message of the log is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldId {
    /// Its slot.
    pub slot: Slot,
    /// Its origin.
    pub origin: Origin,
    /// Its id.
    pub id: MessageId,
    /// When it was scheduled.
    pub timestamp: Millis,
    /// Whether it is known by its mark and its id never was in the index.
    pub is_marked: bool,
}

impl OldId {
    /// What `entry` is known by.
    pub fn of(entry: &Entry) -> Self {
        let Entry { slot, origin, message, mark, .. } = entry;
        let (id, timestamp) = (message.id.clone(), message.timestamp);
        Self { slot: *slot, origin: *origin, id, timestamp, is_marked: mark.is_some() }
    }
}

/// What the shell has to do.
#[derive(Debug)]
pub enum Effect<R> {
    /// Hand this to the store; each is answered by [`committed`](super::Core::committed), in order.
    Commit(Commit),
    /// Answer somebody.
    Answer(R, Result<Answer, RequestError>),
    /// Answer with the stored outcome of a slot.
    AnswerStored(R, Slot),
    /// Take the device to a compute thread; it comes back by [`turn_done`](super::Core::turn_done).
    Turn(TurnPlan),
    /// End the running call.
    Interrupt,
    /// Write a big snapshot's file; answered by [`snapshot_written`](super::Core::snapshot_written).
    WriteSnapshot(SnapshotTaken),
    /// The outbox has something to deliver, and its items up to this slot are on disk; of later ones nobody knows yet.
    /// What was delivered is told by [`pushed`](super::Core::pushed).
    Push {
        /// The last of them.
        through: Slot,
    },
    /// What was counted against computing this slot again is to be forgotten, before the next turn.
    Forgive {
        /// The slot.
        slot: Slot,
    },
    /// Wake the core after this time by [`retry`](super::Core::retry).
    RetryAfter(Duration),
    /// Something worth a line in the log.
    Note(Note),
    /// The worker ends. What it leaves goes to the registry.
    Gone(Remains<R>),
}

/// What is left when a worker ends.
#[derive(Debug)]
pub struct Remains<R> {
    /// Why it ended.
    pub reason: StopReason,
    /// Requests for whoever comes next, in order.
    pub requests: Vec<Request<R>>,
    /// Whether slots wait to be computed.
    pub pending: bool,
}

/// Why a worker ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It had nothing to do for long enough.
    Idle,
    /// Others need its place or its memory.
    Evicted,
    /// Somebody asked for it.
    Asked,
    /// The node stops.
    Shutdown,
    /// There is no such process.
    Absent,
    /// A newer worker holds the process.
    Fenced,
    /// The store did not take what it wrote.
    Store(String),
}

impl StopReason {
    /// Whether it only frees what is not used, so that a request calls it off.
    pub fn is_mild(&self) -> bool {
        matches!(self, Self::Idle | Self::Evicted)
    }

    /// The reason in one word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Asked => "asked",
            Self::Shutdown => "shutdown",
            Self::Absent => "absent",
            Self::Fenced => "fenced",
            Self::Store(_) => "store",
        }
    }
}

/// What the log tells a person of a core's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is an event of the log")]
pub enum Note {
    WorkReceived { slot: Slot },
    DefinitionChanged { slot: Slot },
    Halted { slot: Slot, error: String },
    Resumed { slot: Slot, skipped: bool },
    Notified { slot: Slot, listeners: usize },
    Fault { slot: Option<Slot>, error: String },
    SnapshotStored { slot: Slot, size: u64 },
    SnapshotFailed { error: String },
    Stopping { reason: StopReason },
    History { error: String },
    Paused { undelivered: u64, limit: u64 },
    Unpaused { undelivered: u64 },
}

/// One stay on a compute thread.
#[derive(Debug)]
pub struct TurnPlan {
    /// Compute up to here.
    pub goal: Option<Slot>,
    /// Outcomes up to here are in the store; slots up to here are replayed.
    pub recorded: Option<Slot>,
    /// Slots up to here may have been computed and told before, by a worker that died.
    pub retried: Option<Slot>,
    /// The next entries, if they are at hand; else they are read from the store.
    pub entries: Vec<Entry>,
    /// Compute this slot under that definition slot.
    pub resumed: Option<(Slot, Slot)>,
    /// Bring the state's text along.
    pub wants_state: bool,
    /// Bring a snapshot along.
    pub wants_snapshot: bool,
    /// The last turn held its thread for too long.
    pub is_slow: bool,
    /// The outbox has room for so many items: once new outcomes send as many, the turn is over.
    pub room: u64,
}

/// A fault of the machine, which is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What failed, in words.
    pub error: String,
    /// The slot that was being computed, or computed again, and what it holds. Nothing where the machine failed before it
    /// came to one: a snapshot or the log can't be read, a thread was lost.
    pub at: Option<(Slot, EntryKind)>,
}

/// What a device brings back.
#[derive(Debug, Default)]
pub struct TurnDone {
    /// New outcomes, in order. Each follows the one before.
    pub computed: Vec<Computed>,
    /// The slot up to which the device has gone, replay included.
    pub position: Option<Slot>,
    /// Entries that were handed in and not looked at.
    pub unused: Vec<Entry>,
    /// The slot after `computed` failed under `error_strategy = "throw"`.
    pub halt: Option<Halt>,
    /// The machine failed: the slot after `computed` is to be tried again.
    pub fault: Option<Fault>,
    /// The state, if asked for.
    pub state: Option<Result<StateView, RequestError>>,
    /// A snapshot, if asked for, of the state at `position`. A conflict where there is no state.
    pub snapshot: Option<Result<Base, RequestError>>,
    /// Stored snapshots that were looked at on the way and are of no use: damaged, or no state for the device.
    pub unfit: Vec<SnapshotRef>,
    /// Whether the device was lost and must be made anew from what is stored.
    pub is_lost: bool,
    /// Whether a single call held the thread for too long.
    pub is_slow: bool,
    /// The time that the calls for `computed` took.
    pub took: Duration,
    /// When the message of each of `computed` was scheduled.
    pub scheduled: Vec<Millis>,
    /// The size of the state at `position`, where the device tells.
    pub state_bytes: Option<u64>,
    /// Whether the same log yields the same bytes with this device.
    pub is_deterministic: bool,
}

/// A snapshot whose file is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// The state.
    pub taken: Base,
    /// The newest stored snapshot, which the file may stand on.
    pub before: Option<SnapshotRef>,
}

/// The reference to a state that is to lie in the store.
pub(super) fn inline_reference(base: &Base) -> SnapshotRef {
    let (hash, size) = (BlobHash::of(&base.snapshot), base.snapshot.len() as u64);
    SnapshotRef { slot: base.slot, definition: base.definition, hash, size, files: Vec::new() }
}
