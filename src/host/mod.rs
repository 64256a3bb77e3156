//! The host's own processes: who begins, who ends, under which name.
//!
//! A **backend** reads what the kernel tells, the **tracker** makes of it a map without gaps and phantoms, the **desk** stands
//! between them and tells a sink. [`start`] begins it all; what comes out are [`Report`]s.
//!
//! Linux has its own backends, on the kernel's connector and on `/proc`; elsewhere the table of processes that the system
//! gives is compared again and again.

mod backend;
mod choice;
mod clock;
#[cfg(target_os = "linux")]
mod connector;
mod counters;
mod desk;
mod error;
mod filter;
mod line;
mod observation;
#[cfg(target_os = "linux")]
mod poll;
#[cfg(target_os = "linux")]
mod proc_fs;
mod process;
#[cfg(target_os = "linux")]
mod stat;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(any(test, not(target_os = "linux")))]
mod table;
mod text;
mod tracker;
pub mod usage;
mod watch;

pub use crate::config::BackendKind;
pub use backend::{Backend, Lack, News, Stop};
pub use clock::{SinceBoot, boot_id};
#[cfg(target_os = "linux")]
pub use connector::Connector;
pub use counters::{Counters, Latency, Numbers};
pub use error::HostError;
pub use filter::Filter;
pub use observation::{Change, ExitRecord, Observation, Seen, Snapshot};
#[cfg(target_os = "linux")]
pub use poll::Poll;
#[cfg(target_os = "linux")]
pub use proc_fs::ProcFs;
pub use process::{End, EventKind, ExitStatus, HostEvent, HostPid, HostProcess, NameSource};
#[cfg(target_os = "linux")]
pub use stat::Stat;
#[cfg(any(test, not(target_os = "linux")))]
pub use table::{PollTable, SystemTable};
pub use text::Text;
pub use tracker::{Look, Table, Tracker};
pub use watch::{Memory, Options, Report, Watch, resume, start};
