//! The actors: thin shells around the pure cores.

mod environment;
mod group_registry;
mod hub;
mod messages;
mod process_worker;
mod readiness;
mod reads;
mod recovery;

pub use environment::{Environment, MemoryLedger};
pub use group_registry::GroupRegistry;
pub use hub::{Awaiting, Hub};
pub use messages::Shutdown;
pub use process_worker::ProcessWorker;
pub use readiness::{Check, Readiness};
pub use recovery::take_up_pending;

#[cfg(test)]
mod tests;
