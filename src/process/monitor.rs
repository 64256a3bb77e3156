//! What is kept of a monitor, so that it goes on after a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::ids::ProcessId;

/// Where a monitor finds the results of its process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonitorSource {
    /// On this node.
    Local,
    /// At this address.
    Url(String),
}

/// Why there is a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MonitorOrigin {
    /// The process's definition has cron entries.
    Cron,
    /// Somebody asked for it.
    Request,
}

/// A monitor, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorRecord {
    /// The process whose results it pulls.
    pub process: ProcessId,
    /// The time from one tick to the next.
    #[serde(with = "humantime_serde")]
    pub rate: Duration,
    /// The last result that was taken over; `None`: none.
    pub cursor: Option<String>,
    /// The result after which it was asked to begin; `None`: the first.
    #[serde(default)]
    pub asked_from: Option<String>,
    /// Where the results are.
    pub source: MonitorSource,
    /// The number that the next result of an outside process gets in the outbox.
    pub sequence: u64,
    /// When it was started.
    pub started: Millis,
    /// Why there is one.
    pub origin: MonitorOrigin,
    /// Whether somebody stopped it, so that it is not to run although the process has cron entries.
    #[serde(default)]
    pub stopped: bool,
}
