//! What is scheduled into a slot.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mark::{Mark, PushChain};
use crate::clock::Millis;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::tag::{Tag, tags_size};

/// Who speaks where nobody says who: whoever asks without a token where none is needed, and whoever wrote the configuration.
/// Both have this machine in hand, so what one of them owns obeys the other.
pub const LOCAL: &str = "local";

/// A message, with AO's field names. In JSON `Tags` is a list, and a text that was not given is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// Unique within the process and origin.
    pub id: MessageId,
    /// Who sent it: the token's name, `local`, or a process.
    pub from: String,
    /// Who signed it; for an unsigned message whoever sent it.
    pub owner: String,
    /// The process it is for.
    pub target: String,
    /// A text of the sender's own, handed back with replies.
    pub anchor: String,
    /// Names and texts, in the sender's order.
    pub tags: Vec<Tag>,
    /// The message's content.
    pub data: String,
    /// When it was scheduled. Never runs backwards within a log.
    pub timestamp: Millis,
}

impl Message {
    /// The bytes that `message_size` counts: tags, data and anchor.
    pub fn size(&self) -> u64 {
        tags_size(&self.tags) + (self.data.len() + self.anchor.len()) as u64
    }

    /// The hash of what the sender said, by which a repeated id is told from a reused one. The time and the id are left out.
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut part = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for text in [&self.from, &self.owner, &self.target, &self.anchor, &self.data] {
            part(text);
        }
        for tag in &self.tags {
            part(&tag.name);
            part(&tag.value);
        }
        *hasher.finalize().as_bytes()
    }

    /// The text of the first tag called `name`.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
    }
}

/// Which road a message came by. An id is unique per process and origin; only `Client` ids can come over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Over HTTP.
    Client,
    /// The node itself: definitions.
    Node,
    /// By a cron entry of the process's definition.
    Cron,
    /// Sent by an outcome of a process.
    Push,
    /// From the watcher of host processes.
    Watch,
    /// From an alert.
    Alert,
}

/// What a slot asks of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// `compute` with the message.
    Message,
    /// Go on under another definition: the message's `Data` is a [`Definition`](super::Definition) as JSON.
    Definition,
}

/// One slot of a log: the message and its envelope. What the envelope says never comes from the sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the log.
    pub slot: Slot,
    /// The road it came by.
    pub origin: Origin,
    /// What it asks of the device.
    pub kind: EntryKind,
    /// The message itself.
    pub message: Message,
    /// Its place in the row of its source, by which it is known again; where there is none it is known by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// The chain of pushes that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<PushChain>,
}

/// A message as it is shown: with its slot.
#[derive(Serialize)]
pub struct Scheduled<'a> {
    #[serde(flatten)]
    message: &'a Message,
    #[serde(rename = "Slot")]
    slot: Slot,
}

impl Entry {
    /// A client's message at its slot.
    pub fn of_client(slot: Slot, message: Message) -> Self {
        Self { slot, origin: Origin::Client, kind: EntryKind::Message, message, mark: None, push: None }
    }

    /// The message as the API and the devices show it.
    pub fn shown(&self) -> Scheduled<'_> {
        Scheduled { message: &self.message, slot: self.slot }
    }

    /// The draft that it was made of, but for the step of the cursor.
    pub fn into_draft(self) -> Draft {
        let Message { id, from, owner, anchor, tags, data, .. } = self.message;
        Draft {
            id,
            is_new: false,
            origin: self.origin,
            from,
            owner,
            anchor,
            tags,
            data,
            mark: self.mark,
            push: self.push,
            cursor: None,
            closes_circle: false,
        }
    }

    /// What the entry takes in memory, roughly, in bytes.
    pub fn weight(&self) -> u64 {
        self.message.size() + 256 + 48 * self.message.tags.len() as u64
    }
}

/// A message that somebody wants scheduled: validated, without slot and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The sender's id for it; made up where it gave none.
    pub id: MessageId,
    /// Whether the id was just made up, so that no log can hold it yet.
    pub is_new: bool,
    /// The road it came by.
    pub origin: Origin,
    /// See [`Message::from`].
    pub from: String,
    /// See [`Message::owner`].
    pub owner: String,
    /// See [`Message::anchor`].
    pub anchor: String,
    /// See [`Message::tags`].
    pub tags: Vec<Tag>,
    /// See [`Message::data`].
    pub data: String,
    /// See [`Entry::mark`]. Whoever marks messages hands in one only after it heard that the one before is scheduled.
    pub mark: Option<Mark>,
    /// See [`Entry::push`].
    pub push: Option<PushChain>,
    /// How the message, being a tick, moves the cursor of the process's cron entries. It is scheduled only where that
    /// begins at the present cursor, and the cursor is stored with it.
    pub cursor: Option<CursorStep>,
    /// Whether the sender waits for the receiver, which waits for the sender: the receiver takes the message although its queue
    /// is full if it can make no room by itself, its outbox being full too.
    pub closes_circle: bool,
}

/// A step of the cursor of a process's cron entries, in the texts of [`Cursor`](crate::cron::Cursor).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorStep {
    /// The cursor by which the tick was found to be due.
    pub from: Arc<str>,
    /// The cursor that knows the tick as handled, and none that is not scheduled.
    pub to: Arc<str>,
}

impl Draft {
    /// The message for `process` at `timestamp`.
    pub fn at(self, process: &ProcessId, timestamp: Millis) -> Message {
        Message {
            id: self.id,
            from: self.from,
            owner: self.owner,
            target: process.to_string(),
            anchor: self.anchor,
            tags: self.tags,
            data: self.data,
            timestamp,
        }
    }
}
