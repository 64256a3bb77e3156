//! What one call sends, spawns and assigns.

use crate::config::limits::{LimitKey, Limits};
use crate::process::{Assignment, SentMessage, Spawn, Tag, tags_size};

/// Why something does not leave with the outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A limit, which ends the call.
    #[error("limit {0}")]
    Limit(LimitKey),
    /// It is not what it should be. The script may catch this.
    #[error("{0}")]
    Bad(String),
}

/// What an entry of the outbox, a tag or an id takes beside its texts, roughly, in bytes.
const BESIDE: usize = 64;

/// More than this no outcome sends, whatever its memory: one commit must hold it.
const ROOM_MOST: u64 = 64 << 20;

/// Collects what a call sends, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages_most: u64,
    message_size: u64,
    /// Bytes that everything together may take: it is kept outside of the script's memory and counts as much.
    room: u64,
    pub(super) messages: Vec<SentMessage>,
    pub(super) spawns: Vec<Spawn>,
    pub(super) assignments: Vec<Assignment>,
}

impl Outbox {
    /// Empty, for a call under these limits.
    pub(super) fn new(limits: &Limits) -> Self {
        let Limits { messages_per_outcome, message_size, memory, .. } = *limits;
        Self { messages_most: messages_per_outcome, message_size, room: memory.min(ROOM_MOST), ..Self::default() }
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: SentMessage) -> Result<(), Refused> {
        self.take(
            size(&message.tags, &[&message.data, &message.anchor]),
            message.target.len() + BESIDE * message.tags.len(),
        )?;
        if message.target.is_empty() {
            return Err(Refused::Bad("Target is empty".to_owned()));
        }
        named(&message.tags)?;
        self.messages.push(message);
        Ok(())
    }

    /// Spawns a process.
    pub(super) fn spawn(&mut self, spawn: Spawn) -> Result<(), Refused> {
        let code = spawn.source.as_deref().or(spawn.module.as_deref()).unwrap_or_default();
        self.take(
            size(&spawn.tags, &[&spawn.data, &spawn.anchor]),
            code.len() + spawn.device.len() + BESIDE * spawn.tags.len(),
        )?;
        named(&spawn.tags)?;
        self.spawns.push(spawn);
        Ok(())
    }

    /// Assigns a message to processes.
    pub(super) fn assign(&mut self, assignment: Assignment) -> Result<(), Refused> {
        let size: usize = assignment.processes.iter().map(|process| process.len() + BESIDE).sum();
        self.take(0, size + assignment.message.len())?;
        self.assignments.push(assignment);
        Ok(())
    }

    fn take(&mut self, size: u64, beside: usize) -> Result<(), Refused> {
        let count = self.messages.len() + self.spawns.len() + self.assignments.len();
        if count as u64 >= self.messages_most {
            return Err(Refused::Limit(LimitKey::MessagesPerOutcome));
        }
        if size > self.message_size {
            return Err(Refused::Limit(LimitKey::MessageSize));
        }
        let all = size.saturating_add((beside + 4 * BESIDE) as u64);
        self.room = self.room.checked_sub(all).ok_or(Refused::Limit(LimitKey::Memory))?;
        Ok(())
    }
}

fn size(tags: &[Tag], texts: &[&String]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum::<u64>().saturating_add(tags_size(tags))
}

fn named(tags: &[Tag]) -> Result<(), Refused> {
    if tags.iter().any(|tag| tag.name.is_empty()) {
        return Err(Refused::Bad("a tag has an empty name".to_owned()));
    }
    Ok(())
}
