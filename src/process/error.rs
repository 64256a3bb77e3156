//! Why a request about a process is refused. Each has a stable code.

use crate::config::limits::LimitKey;
use crate::ids::{GroupName, MessageId, ProcessId, Slot};

/// An expected refusal. [`RequestError::code`] is part of the contract, the text is for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum RequestError {
    #[error("{0}")]
    BadRequest(String),
    #[error("device {0:?} may only be named by the configuration")]
    DeviceNotAllowed(String),
    #[error("{0}")]
    NotFound(String),
    #[error("slot {slot} of process {process} is not scheduled; the latest is {latest}")]
    SlotOutOfRange { process: ProcessId, slot: Slot, latest: Slot },
    #[error("slot {slot} of process {process} is not computed; the latest that is is {latest}")]
    SlotNotComputed { process: ProcessId, slot: Slot, latest: Slot },
    #[error("message id {0} was used before for another message to this process")]
    IdReused(MessageId),
    #[error("{0}")]
    Conflict(String),
    #[error("limit {key}: {size} bytes, at most {most} are allowed")]
    TooLarge { key: &'static str, size: u64, most: u64 },
    #[error("limit {key}: {what}")]
    Overloaded { key: &'static str, what: String },
    #[error("no answer within {0}; the work goes on, ask again")]
    Deadline(String),
    #[error("no answer within {after}; {how_far}")]
    CutOff { after: String, how_far: String },
    #[error("process {process} halted at slot {slot}: {error}; POST /processes/{process}/resume tries again")]
    Halted { process: ProcessId, slot: Slot, error: String },
    #[error("group {group} is among those that wait for this request already; it would wait for itself")]
    InfiniteRecursion { group: GroupName },
    #[error("group {asked} is not led here any more, but {led}; nothing was computed")]
    WrongGroup { asked: GroupName, led: GroupName },
    #[error("the leader of group {group} died: {reason}")]
    LeaderDied { group: GroupName, reason: String },
    #[error("base {group} halted: {error}; it takes no more requests, DELETE /groups/{group} ends it")]
    BaseHalted { group: GroupName, error: String },
    #[error("{0}")]
    NotSupported(String),
    #[error("it is not known whether this was stored: {0}; ask again with the same Id")]
    Unknown(String),
    #[error("{0}")]
    Store(String),
    #[error("{0}")]
    Internal(String),
}

impl RequestError {
    /// No process has this id.
    pub fn no_process(process: &ProcessId) -> Self {
        Self::NotFound(format!("there is no process {process}"))
    }

    /// The end of the node cuts the request off.
    pub fn node_stops() -> Self {
        Self::Overloaded { key: "shutdown_grace", what: "the node is stopping".to_owned() }
    }

    /// The queue of a process is full.
    pub fn queue_full(process: &ProcessId, most: u64) -> Self {
        Self::Overloaded {
            key: LimitKey::Queue.as_str(),
            what: format!("{most} messages of process {process} wait to be computed already"),
        }
    }

    /// Whether it is [`RequestError::queue_full`].
    pub fn is_queue_full(&self) -> bool {
        matches!(self, Self::Overloaded { key, .. } if *key == LimitKey::Queue.as_str())
    }

    /// The code of the contract.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::DeviceNotAllowed(_) => "device_not_allowed",
            Self::NotFound(_) => "not_found",
            Self::SlotOutOfRange { .. } | Self::SlotNotComputed { .. } => "slot_out_of_range",
            Self::IdReused(_) => "id_reused",
            Self::Conflict(_) => "conflict",
            Self::TooLarge { .. } => "too_large",
            Self::Overloaded { .. } => "overloaded",
            Self::Deadline(_) | Self::CutOff { .. } => "deadline",
            Self::Halted { .. } | Self::BaseHalted { .. } => "halted",
            Self::InfiniteRecursion { .. } => "infinite_recursion",
            Self::WrongGroup { .. } => "not_found",
            Self::NotSupported(_) => "not_supported",
            Self::Unknown(_) => "unknown",
            Self::Store(_) => "store",
            Self::LeaderDied { .. } | Self::Internal(_) => "internal",
        }
    }
}
