//! What a process is: device, code, tags, limits. A definition is a slot of the log like any message.

use serde::{Deserialize, Serialize};

use crate::config::limits::{LimitOverrides, Limits};
pub use crate::config::{DeviceKind, ErrorStrategy};
use crate::cron;
use crate::ids::BlobHash;
use crate::tag::Tag;

/// What whoever defined the process said of it. Two requests are the same when these are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Specification {
    /// The kind of device.
    pub device: DeviceKind,
    /// The hash of the source's bytes, which are a blob of the process's shard.
    pub source: BlobHash,
    /// Tags of the process.
    pub tags: Vec<Tag>,
    /// The limits it sets itself.
    pub limits: LimitOverrides,
    /// What a failed slot does, where it says so.
    pub error_strategy: Option<ErrorStrategy>,
    /// What the clock sends it, as [`cron::of_process`] makes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cron: Vec<cron::Entry>,
}

/// What a definition slot holds: the specification and what the node's defaults and engine made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// What was asked for.
    pub specification: Specification,
    /// The engine's name and version, by which replay knows another one.
    pub engine: String,
    /// The limits that hold.
    pub limits: Limits,
    /// What a failed slot does.
    pub error_strategy: ErrorStrategy,
}

/// The node's share in a definition: what it adds where a specification is silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `[limits]`.
    pub limits: Limits,
    /// `[workers] error_strategy`.
    pub error_strategy: ErrorStrategy,
}

impl Specification {
    /// A specification that says no more than this.
    pub fn new(device: DeviceKind, source: &[u8]) -> Self {
        Self {
            device,
            source: BlobHash::of(source),
            tags: Vec::new(),
            limits: LimitOverrides::default(),
            error_strategy: None,
            cron: Vec::new(),
        }
    }

    /// The definition that this becomes on a node with these defaults and this engine.
    pub fn resolve(&self, defaults: &Defaults, engine: &str) -> Definition {
        Definition {
            specification: self.clone(),
            engine: engine.to_owned(),
            limits: self.limits.over(&defaults.limits),
            error_strategy: self.error_strategy.unwrap_or(defaults.error_strategy),
        }
    }
}

/// Where a process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessOrigin {
    /// `[[process]]` of the configuration.
    Config,
    /// `POST /processes`.
    Api,
    /// An outcome of another process.
    Spawned,
}

impl ProcessOrigin {
    /// The origin as the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Api => "api",
            Self::Spawned => "spawned",
        }
    }
}
