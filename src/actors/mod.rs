//! The actors: thin shells around the pure cores.

mod base_worker;
mod bases;
mod depth;
mod environment;
mod group_monitor;
mod group_registry;
mod hub;
mod messages;
mod process_worker;
mod readiness;
mod reads;
mod recovery;
mod registration;
mod sharing;
mod trials;

pub use base_worker::BaseWorker;
pub use environment::{Environment, MemoryLedger};
pub use group_monitor::{GroupMonitor, StartGroupMonitor, StopGroupMonitor};
pub use group_registry::GroupRegistry;
pub use hub::{Awaiting, Hub, HubOptions};
pub use messages::{Awaited, Ended, Lookup, Queued, Reply, Shutdown, Told};
pub use process_worker::ProcessWorker;
pub use readiness::{Check, Readiness};
pub use recovery::take_up_pending;
pub use registration::{FindOrRegister, Registration, Resolution};
pub use trials::TrialRoom;

#[cfg(test)]
mod tests;
