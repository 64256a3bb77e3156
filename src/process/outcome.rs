//! What computing a slot yields.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::config::limits::LimitKey;
use crate::ids::Slot;
use crate::tag::{Tag, tags_size};

/// A JSON value kept as its text: it is made once, and from then on only copied.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// Takes `text`, which must be one JSON value.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// The value's text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        serde_json::value::to_raw_value(value).map_or_else(|_| Self::null(), Self)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

/// A message that an outcome sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SentMessage {
    /// The process it is for.
    pub target: String,
    /// Names and texts, in the script's order.
    pub tags: Vec<Tag>,
    /// Its content.
    pub data: String,
    /// Handed back with replies; may be empty.
    pub anchor: String,
}

/// A process that an outcome asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Spawn {
    /// The kind of its device.
    pub device: String,
    /// Its code as text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// The id of its stored module.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its first message's content.
    pub data: String,
    /// Handed back as `Reference` with the id of the process.
    pub anchor: String,
}

/// A known message that an outcome puts into other processes' logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Assignment {
    /// Whose logs.
    pub processes: Vec<String>,
    /// The message's id.
    pub message: String,
}

/// What computing a slot yields, with AO's field names. All six are always there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outcome {
    /// What the handler returned.
    pub output: Json,
    /// Messages to push, in order.
    pub messages: Vec<SentMessage>,
    /// Processes to create, in order.
    pub spawns: Vec<Spawn>,
    /// Messages to assign, in order.
    pub assignments: Vec<Assignment>,
    /// What went wrong: the handler's own words, or `limit <key>: …`.
    pub error: Option<String>,
    /// Gas that the call took.
    pub gas_used: u64,
}

impl Outcome {
    /// An outcome of nothing at all.
    pub fn empty() -> Self {
        Self {
            output: Json::null(),
            messages: Vec::new(),
            spawns: Vec::new(),
            assignments: Vec::new(),
            error: None,
            gas_used: 0,
        }
    }

    /// What the outcome takes, roughly, in bytes.
    pub fn weight(&self) -> u64 {
        let messages =
            self.messages.iter().map(|one| tags_size(&one.tags) + (one.data.len() + one.anchor.len()) as u64);
        let sources = |one: &Spawn| one.source.as_ref().map_or(0, String::len) + one.data.len();
        let spawns = self.spawns.iter().map(|one| tags_size(&one.tags) + sources(one) as u64);
        let error = self.error.as_ref().map_or(0, String::len);
        (self.output.as_str().len() + error) as u64 + messages.sum::<u64>() + spawns.sum::<u64>()
    }

    /// An outcome that is an error and nothing else.
    pub fn failed(error: impl Into<String>, gas_used: u64) -> Self {
        Self { error: Some(error.into()), gas_used, ..Self::empty() }
    }
}

/// How an outcome came about. It decides what replay does with the slot and how soon the outcome must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The handler returned.
    Success,
    /// The handler's own error, which replay meets again.
    Error,
    /// A limit ended the call. Replay does not try it again: the slot stays failed.
    Limit(LimitKey),
    /// A definition's code does not load, or an operator passed over it because the machine could not begin it. Not tried
    /// again; what was in force before stays.
    Load,
    /// The device panicked. Not tried again.
    Panic,
    /// An operator passed over the slot.
    Skipped,
    /// The node ended too often while it computed the slot. Not tried again.
    Crashed,
}

impl Cause {
    /// Whether a deterministic device comes to the same outcome and state when it computes the slot again.
    pub fn is_repeatable(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }
}

/// An outcome as it is stored: with the slot it belongs to and what replay must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computed {
    /// The slot.
    pub slot: Slot,
    /// The definition slot under which it was computed. It is later than `slot` when a halted slot was tried again under new code.
    pub definition: Slot,
    /// How it came about.
    pub cause: Cause,
    /// The outcome itself.
    pub outcome: Outcome,
}

/// An outcome as pages show it: with its slot.
#[derive(Serialize)]
pub struct Stored<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    #[serde(rename = "Slot")]
    slot: Slot,
}

impl Computed {
    /// The outcome as pages show it.
    pub fn shown(&self) -> Stored<'_> {
        Stored { outcome: &self.outcome, slot: self.slot }
    }
}
