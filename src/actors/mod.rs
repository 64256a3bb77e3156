//! The actors: thin shells around the pure cores.

mod base_worker;
mod bases;
mod book;
mod code;
mod collector;
mod delivery;
mod depth;
mod environment;
mod exhibit;
mod group_monitor;
mod group_registry;
mod hub;
mod jitter;
mod keeping;
mod lag_probe;
mod letters;
mod messages;
mod monitor;
mod monitor_registry;
mod observers;
mod origins;
mod process_worker;
mod pulse;
mod pusher;
mod readiness;
mod reads;
mod recovery;
mod registration;
mod services;
mod sharing;
mod sources;
mod ticker;
mod trials;
mod verifying;
mod watcher;

pub use base_worker::BaseWorker;
pub use book::Book;
pub use code::{code, store_module};
pub use collector::{Collection, Collector, Feeder, Gatherer, Measure, Measured};
pub use delivery::Delivery;
pub use environment::{Environment, MemoryLedger};
pub use exhibit::{Exhibit, ExhibitError};
pub use group_monitor::{GroupMonitor, StartGroupMonitor, StopGroupMonitor};
pub use group_registry::GroupRegistry;
pub use hub::{Awaiting, Hub, HubOptions};
pub use lag_probe::{LagProbe, LagWatch};
pub use messages::{Awaited, Ended, Lookup, Queued, Reply, Shutdown, Told};
pub use monitor::{EndMonitor, Monitor, MonitorEnded, Seen, Sight, name_of};
pub use monitor_registry::{ListMonitors, MonitorRegistry, StartMonitor, StopMonitor, TakeUpMonitors};
pub use observers::{
    AlertBoard, AlertManager, AlertMemory, HealthBoard, HealthChecker, Observers, ReloadAlerts, ReloadHealth,
};
pub use process_worker::ProcessWorker;
pub use pusher::{LookRound, Pusher};
pub use readiness::{Check, Readiness};
pub use recovery::take_up_pending;
pub use registration::{FindOrRegister, Registration, Resolution};
pub use services::Services;
pub use sources::{Item, Pulled, Source};
pub use trials::TrialRoom;
pub use verifying::{Verified, VerifyRoom};
pub use watcher::fake as fake_machine;
pub use watcher::{
    Feed, HostWatch, Listening, Machine, Reconfigure, Sink, Source as HostSource, Told as ToldEvent, Watcher, Watching,
};

#[cfg(test)]
mod tests;
