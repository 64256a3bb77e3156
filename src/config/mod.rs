//! The configuration: one TOML file.
//!
//! Each section is a struct with a function that reads it from a table; that function is the one place that names a
//! key, its kind and its default. What a section is without a file is what it reads from an empty table.
//!
//! A new section is a struct with such a function, a line in [`Config`], and its keys in `config/mainstay.toml`. A test
//! compares the keys that are read with those that the file shows.

mod alert;
mod command;
mod cron;
mod health;
mod http;
mod kind;
pub mod limits;
mod load;
mod metrics;
mod node;
mod origin;
mod peer;
mod problem;
mod process;
mod push;
mod reader;
mod receiver;
mod remote;
mod watch;
mod workers;

#[cfg(test)]
mod tests;

pub use crate::units;
pub use alert::AlertsConfig;
pub use command::Command;
pub use health::{CheckConfig, CheckTarget, HealthConfig, OnFailure};
pub use http::{HttpConfig, NamedToken, Token};
pub use limits::NodeLimits;
pub use load::{Config, DEFAULT_PATH, SHIPPED, any_code, load, parse};
pub use metrics::{AnomalyConfig, HostGroup, MetricsConfig, Pattern, PatternError};
pub use node::{LogConfig, LogFormat, NodeConfig, StoreConfig};
pub use origin::Origin;
pub use peer::PeerConfig;
pub use problem::{ConfigError, Place, Problem};
pub use process::{CheckCode, DeviceKind, ErrorStrategy, ProcessConfig, Source};
pub use push::{MonitorConfig, PushConfig, RouteConfig};
pub use receiver::{ReceiverConfig, ReceiverKind};
pub use remote::{Remote, RemoteKind};
pub use watch::{BackendKind, WatchConfig, WatchRoute};
pub use workers::{AwaitInProgress, WorkersConfig};
