//! What every worker of the node shares.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::services::Services;
use super::trials::TrialRoom;
use crate::clock::Clock;
use crate::device::crash::CrashBook;
use crate::device::{ComputePool, DeviceFactory};
use crate::ids::ProcessId;
use crate::metrics::Processes;
use crate::process::worker::WorkerOptions;
use crate::process::{Defaults, Definition, DeviceKind, Specification};
use crate::store::Store;

/// What every worker of the node shares. One per node, behind an `Arc`.
pub struct Environment {
    /// Where logs are kept.
    pub store: Store,
    /// Where devices compute.
    pub pool: ComputePool,
    /// What trials on bases may use of it.
    pub trials: TrialRoom,
    /// What is being computed, and what ended the node.
    pub crashes: Arc<CrashBook>,
    /// What makes devices.
    pub factory: Arc<dyn DeviceFactory>,
    /// Who delivers messages and who knows the monitors, once they are started.
    pub services: OnceLock<Services>,
    /// Wall time.
    pub clock: Clock,
    /// How workers behave.
    pub options: WorkerOptions,
    /// What definitions are completed with.
    pub defaults: Defaults,
    /// The processes of the configuration. One that came from there and is no longer in it is retired.
    pub configured: ArcSwap<HashSet<ProcessId>>,
    /// What is counted for each process.
    pub meters: Arc<Processes>,
    /// Memory of all resident devices.
    pub memory: MemoryLedger,
    /// At most so many workers are resident in one registry.
    pub workers_max: usize,
    /// A device that is asked to come back and doesn't is given up after this time.
    pub give_up_after: Duration,
}

impl Environment {
    /// The definition that a specification becomes on this node.
    pub fn resolve(&self, specification: &Specification) -> Definition {
        specification.resolve(&self.defaults, &self.factory.info(specification.device).engine)
    }

    /// Where whoever computes with a device of this kind notes what it does. What computes outside of this host process can't
    /// take it down, so nothing is noted of that.
    pub fn crashes_of(&self, device: Option<DeviceKind>) -> Arc<CrashBook> {
        if device.is_some_and(DeviceKind::computes_outside) { Arc::default() } else { self.crashes.clone() }
    }
}

/// The sum of what resident devices hold, and how much it may be.
#[derive(Debug)]
pub struct MemoryLedger {
    held: AtomicU64,
    most: u64,
}

impl MemoryLedger {
    /// A ledger for at most `most` bytes.
    pub fn new(most: u64) -> Self {
        Self { held: AtomicU64::new(0), most }
    }

    /// One device holds `now` bytes where it held `before`. Says whether the sum is too much.
    pub fn change(&self, before: u64, now: u64) -> bool {
        let sum = if now >= before {
            self.held.fetch_add(now - before, Ordering::Relaxed) + (now - before)
        } else {
            self.held.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
        };
        sum > self.most
    }

    /// The sum, in bytes.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether the sum is too much.
    pub fn is_exceeded(&self) -> bool {
        self.held() > self.most
    }
}
