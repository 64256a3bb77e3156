//! The pure core of a process's worker.

mod barred;
mod computing;
mod core;
mod cron;
mod ending;
mod faults;
mod ids;
mod marks;
mod outbox;
mod scheduling;
#[cfg(test)]
mod tests;
mod types;
mod unfit;

pub use core::{Core, Found, Waiting, queued};
pub use types::{
    Activity, Answer, Answered, Base, Define, Effect, Fault, History, Note, OldId, Remains, Request, SnapshotTaken,
    Status, StopReason, TurnDone, TurnPlan, WorkerOptions,
};
