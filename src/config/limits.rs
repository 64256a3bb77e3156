//! What one process may use. Every limit has a key in `[limits]`, and each process may set its own.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kind;
use super::reader::Table;

/// The key of a limit, as in the configuration and in the `limit <key>: …` of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented at its field of `Limits`")]
pub enum LimitKey {
    ComputeTime,
    Gas,
    Memory,
    StateSize,
    OutputSize,
    MessagesPerOutcome,
    MessageSize,
    Queue,
    Outbox,
}

impl LimitKey {
    /// The key as the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComputeTime => "compute_time",
            Self::Gas => "gas",
            Self::Memory => "memory",
            Self::StateSize => "state_size",
            Self::OutputSize => "output_size",
            Self::MessagesPerOutcome => "messages_per_outcome",
            Self::MessageSize => "message_size",
            Self::Queue => "queue",
            Self::Outbox => "outbox",
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The limits of one process. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Thread CPU time of one call of the device.
    #[serde(with = "humantime_serde")]
    pub compute_time: Duration,
    /// Gas of one call: instructions of the device's machine, and bytes that its library functions handle.
    pub gas: u64,
    /// Memory of the device.
    pub memory: u64,
    /// The encoded state after a slot.
    pub state_size: u64,
    /// The output of an outcome, as JSON.
    pub output_size: u64,
    /// Messages, spawns and assignments of one outcome, together.
    pub messages_per_outcome: u64,
    /// One message, sent or scheduled: its tags and data.
    pub message_size: u64,
    /// Messages that are scheduled and not yet computed.
    pub queue: u64,
    /// What outcomes sent and is not yet delivered.
    #[serde(default = "default_outbox")]
    pub outbox: u64,
}

/// What a definition means that says nothing of its outbox.
fn default_outbox() -> u64 {
    10_000
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            compute_time: Duration::from_secs(5),
            gas: 1_000_000_000,
            memory: 64 << 20,
            state_size: 16 << 20,
            output_size: 1 << 20,
            messages_per_outcome: 1000,
            message_size: 1 << 20,
            queue: 10_000,
            outbox: default_outbox(),
        }
    }
}

impl Limits {
    /// What a child sets itself so that its limits are at most these: whatever of `defaults` is more.
    pub fn at_most(&self, defaults: &Limits) -> LimitOverrides {
        fn lower<T: Ord + Copy>(own: T, default: T) -> Option<T> {
            (own < default).then_some(own)
        }
        LimitOverrides {
            compute_time: lower(self.compute_time, defaults.compute_time),
            gas: lower(self.gas, defaults.gas),
            memory: lower(self.memory, defaults.memory),
            state_size: lower(self.state_size, defaults.state_size),
            output_size: lower(self.output_size, defaults.output_size),
            messages_per_outcome: lower(self.messages_per_outcome, defaults.messages_per_outcome),
            message_size: lower(self.message_size, defaults.message_size),
            queue: lower(self.queue, defaults.queue),
            outbox: lower(self.outbox, defaults.outbox),
        }
    }
}

/// The limits that one process sets itself; what it leaves out is the node's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is documented at its field of `Limits`")]
pub struct LimitOverrides {
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub compute_time: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_outcome: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox: Option<u64>,
}

impl LimitOverrides {
    /// The limits that hold: `self`'s where it has them, else those of `defaults`.
    pub fn over(&self, defaults: &Limits) -> Limits {
        Limits {
            compute_time: self.compute_time.unwrap_or(defaults.compute_time),
            gas: self.gas.unwrap_or(defaults.gas),
            memory: self.memory.unwrap_or(defaults.memory),
            state_size: self.state_size.unwrap_or(defaults.state_size),
            output_size: self.output_size.unwrap_or(defaults.output_size),
            messages_per_outcome: self.messages_per_outcome.unwrap_or(defaults.messages_per_outcome),
            message_size: self.message_size.unwrap_or(defaults.message_size),
            queue: self.queue.unwrap_or(defaults.queue),
            outbox: self.outbox.unwrap_or(defaults.outbox),
        }
    }
}

impl LimitOverrides {
    /// Reads the limits that a table sets, in `[limits]` as in a process's own.
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            compute_time: table.optional(LimitKey::ComputeTime.as_str(), kind::interval()),
            gas: table.optional(LimitKey::Gas.as_str(), kind::positive()),
            memory: table.optional(LimitKey::Memory.as_str(), kind::size(1)),
            state_size: table.optional(LimitKey::StateSize.as_str(), kind::size(1)),
            output_size: table.optional(LimitKey::OutputSize.as_str(), kind::size(1)),
            messages_per_outcome: table.optional(LimitKey::MessagesPerOutcome.as_str(), kind::positive()),
            message_size: table.optional(LimitKey::MessageSize.as_str(), kind::size(1)),
            queue: table.optional(LimitKey::Queue.as_str(), kind::positive()),
            outbox: table.optional(LimitKey::Outbox.as_str(), kind::positive()),
        }
    }
}

/// `[limits]`: what one process may use unless it says otherwise, and what all of them may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// The limits of a process that sets none itself.
    pub process: Limits,
    /// The most processes that the node hosts.
    pub max_processes: u64,
    /// So many processes a second may be created by other processes.
    pub spawn_rate: u32,
    /// After the node has ended so many times while it computed a slot, the slot is given up.
    pub max_crashes: u32,
    /// How long the ids of messages from clients are kept, so that a repeated one is known.
    pub id_retention: Duration,
}

impl NodeLimits {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            process: LimitOverrides::read(table).over(&Limits::default()),
            max_processes: table.or("max_processes", 1_000_000, kind::positive()),
            spawn_rate: table.or("spawn_rate", 100, kind::per_second()),
            max_crashes: table.or("max_crashes", 3, kind::positive()),
            id_retention: table.or("id_retention", Duration::from_secs(7 * 24 * 60 * 60), kind::interval()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_limits_that_say_nothing_of_the_outbox_are_those_of_the_default() {
        let mut stored = serde_json::to_value(Limits::default()).unwrap();
        assert!(stored.as_object_mut().unwrap().remove("outbox").is_some());
        assert_eq!(serde_json::from_value::<Limits>(stored).unwrap(), Limits::default());
    }
}
