//! What computes.
//!
//! A device is created for one definition, holds the state of one process and is handed from thread to thread, never
//! shared. It knows nothing of logs, slots to come or the store.

pub mod answered;
mod at_work;
mod base_state;
mod budget;
pub mod crash;
mod devices;
pub mod exec;
pub mod fake;
mod feed;
mod guarded;
mod loader;
mod log_reader;
pub mod lua;
mod outside;
mod pool;
pub mod remote;
mod restoring;
mod runner;
mod sending;
mod trial;
mod verifier;
pub mod wasm;

#[cfg(test)]
mod tests;

pub use at_work::WorkSign;
pub use base_state::{BaseError, BaseState};
pub use devices::{Devices, check_code};
pub use loader::{BaseLoader, Loading};
pub use log_reader::LogReader;
pub use pool::{ComputePool, Job, Lane, PoolOptions};
pub use restoring::{UnfitSnapshot, check_snapshot, recompute_snapshot};
pub use runner::{Runner, Seat};
pub use trial::{Trial, TrialError, Tried};
pub use verifier::{Claimed, Difference, Verdict, Verifier, VerifyError, Verifying};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::group::Grouper;
use crate::ids::ProcessId;
pub use crate::process::StateView;
use crate::process::{Cause, Definition, DeviceKind, Entry, Outcome};

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// Whether the same log always yields the same bytes. What isn't must have its outcome on disk before anyone sees it.
    pub deterministic: bool,
    /// The engine's name and version, as definitions record it.
    pub engine: String,
    /// What names the groups of its executions.
    pub grouper: Grouper,
    /// Whether its requests need somebody who holds a state in memory for them.
    pub needs_worker: bool,
}

/// Why a device has no outcome to give. None of these is the handler's doing; the slot is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The code does not load: the definition is bad.
    #[error("{0}")]
    Load(String),
    /// A snapshot does not fit.
    #[error("the snapshot cannot be restored: {0}")]
    Restore(String),
    /// This device has no such thing.
    #[error("device {0} does not support this")]
    NotSupported(&'static str),
    /// The machine failed, not the handler.
    #[error("{0}")]
    Fault(String),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// With an outcome. Unless it is a success the state is exactly what it was before the call.
    Done(Cause, Outcome),
    /// It was interrupted and left no trace; it may be tried again.
    Interrupted,
}

/// Asks a running call to end. Clones share one switch.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends the running call, and each one to come.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a call is the first at its slot or repeats one whose outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All limits hold; what the script prints is logged.
    Live,
    /// As live, but the slot may have been computed before, and its outcome told, by a worker that died. What succeeded then
    /// must not fail now, so limits that depend on the machine (time, memory) have some times more room.
    Again,
    /// The outcome is known to have been repeatable. Limits that depend on the machine (time, memory) are lifted,
    /// nothing is logged.
    Replay,
    /// The outcome becomes no slot of the log. All limits hold; nothing is logged, for it is not the process that speaks.
    Trial,
}

/// What computes: the code of one definition over the state of one process.
pub trait Device: Send {
    /// Runs the optional initialiser with the definition's own slot. Called once, at slot 0.
    fn init(&mut self, definition: &Entry, mode: Mode) -> Result<Call, DeviceError>;

    /// Applies a message to the state.
    fn compute(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError>;

    /// Applies a message to this device, which is a copy made for the purpose: as [`Mode::Trial`] says, and else with the same
    /// outcome and the same state afterwards as [`Device::compute`]. It is a call of its own because a device may have none.
    fn dry_run(&mut self, entry: &Entry) -> Result<Call, DeviceError>;

    /// The state, as bytes that [`Device::restore`] takes. For a deterministic device a function of the log alone.
    fn snapshot(&self) -> Result<Arc<[u8]>, DeviceError>;

    /// Takes the state from bytes that a device of this kind gave, perhaps under another definition.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DeviceError>;

    /// The state as a person or a program reads it.
    fn state(&self) -> Result<StateView, DeviceError>;

    /// What it is.
    fn info(&self) -> DeviceInfo;

    /// Memory that it holds, in bytes.
    fn memory(&self) -> u64;

    /// The size of its state, in bytes, where that is known without work.
    fn state_bytes(&self) -> Option<u64> {
        None
    }
}

/// How a process's device is, as whoever watches over it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ping {
    /// It answers.
    Well,
    /// It is at a call, which has a time limit of its own.
    Busy,
    /// There is nothing in memory that could be ill.
    Idle,
    /// It does not answer, or says why.
    Ill(String),
}

/// Makes devices.
pub trait DeviceFactory: Send + Sync {
    /// A device for `process` with the code `source`, without state. Runs the code's top level under the definition's limits,
    /// as a call in this `mode`.
    fn create(
        &self,
        process: &ProcessId,
        definition: &Definition,
        source: &[u8],
        interrupt: Interrupt,
        mode: Mode,
    ) -> Result<Box<dyn Device>, DeviceError>;

    /// Looks whether `source` can be code at all, without running it. The error names the line.
    fn check(&self, definition: &DeviceKind, source: &[u8]) -> Result<(), DeviceError>;

    /// What the devices of a kind are in this build, without making one.
    fn info(&self, kind: DeviceKind) -> DeviceInfo;

    /// Asks the device of a process how it is, which may take `time`. Blocks. What computes on this node's own threads has
    /// no life of its own to be asked about.
    fn ping(&self, _kind: DeviceKind, _process: &ProcessId, _time: Duration) -> Ping {
        Ping::Idle
    }
}
