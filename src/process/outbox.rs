//! What outcomes send, from the commit of the outcome until it is delivered or given up.

use serde::{Deserialize, Serialize};

use super::outcome::{Cause, Computed, Json, SentMessage, Spawn};
use crate::clock::Millis;
use crate::ids::{MessageId, ProcessId, Slot};

/// The place of one item in its source's outbox. They sort in the order in which they are to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutboxKey {
    /// The slot whose outcome sends it; for an outside process a number that rises.
    pub slot: Slot,
    /// Its number in that outcome: messages first, then spawns, then each process of each assignment.
    pub index: u32,
}

/// What kind of thing an outcome sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SentKind {
    /// A message.
    Message,
    /// A process to create.
    Spawn,
    /// A known message for another process's log.
    Assignment,
}

/// One thing that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxItem {
    /// It is part of a stored outcome: [`Computed::sent`] of the item's key.
    Outcome {
        /// What it is.
        kind: SentKind,
        /// The process it is for; empty for a spawn.
        target: String,
    },
    /// A message of an outside process's result, which this node does not keep.
    Inline {
        /// The message.
        message: SentMessage,
        /// The id that it is delivered under.
        id: MessageId,
    },
}

impl OutboxItem {
    /// The process it is for; empty for a spawn.
    pub fn target(&self) -> &str {
        match self {
            Self::Outcome { target, .. } => target,
            Self::Inline { message, .. } => &message.target,
        }
    }
}

/// One thing that an outcome sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent<'a> {
    /// A message.
    Message(&'a SentMessage),
    /// A process to create.
    Spawn(&'a Spawn),
    /// A known message for one process's log.
    Assignment {
        /// The message's id.
        message: &'a str,
        /// The process.
        process: &'a str,
    },
}

impl Sent<'_> {
    fn item(self) -> OutboxItem {
        let (kind, target) = match self {
            Self::Message(message) => (SentKind::Message, message.target.as_str()),
            Self::Spawn(_) => (SentKind::Spawn, ""),
            Self::Assignment { process, .. } => (SentKind::Assignment, process),
        };
        OutboxItem::Outcome { kind, target: target.to_owned() }
    }
}

impl Computed {
    /// What the outcome sends, in the order of [`OutboxKey::index`]. One that failed or was skipped sends nothing.
    fn all_sent(&self) -> impl Iterator<Item = Sent<'_>> {
        let outcome = Some(&self.outcome).filter(|outcome| self.cause == Cause::Success && outcome.error.is_none());
        outcome.into_iter().flat_map(|outcome| {
            let messages = outcome.messages.iter().map(Sent::Message);
            let assignments = outcome.assignments.iter().flat_map(|one| {
                one.processes.iter().map(|process| Sent::Assignment { message: &one.message, process })
            });
            messages.chain(outcome.spawns.iter().map(Sent::Spawn)).chain(assignments)
        })
    }

    /// How many things the outcome sends.
    pub fn sends(&self) -> u64 {
        self.all_sent().count() as u64
    }

    /// What the outcome sends under number `index`.
    pub fn sent(&self, index: u32) -> Option<Sent<'_>> {
        self.all_sent().nth(usize::try_from(index).ok()?)
    }

    /// The items that the outcome puts into the outbox of its process.
    pub fn outbox(&self) -> impl Iterator<Item = (OutboxKey, OutboxItem)> {
        let slot = self.slot;
        (0..=u32::MAX).zip(self.all_sent()).map(move |(index, sent)| (OutboxKey { slot, index }, sent.item()))
    }
}

/// What could not be delivered, for an operator to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The id that it was to be delivered under.
    pub id: MessageId,
    /// The process that sent it.
    pub source: ProcessId,
    /// The slot whose outcome sent it.
    pub slot: Slot,
    /// Its number in that outcome.
    pub index: u32,
    /// The process it was for; empty for a spawn.
    pub target: String,
    /// The message, spawn or assignment.
    pub message: Json,
    /// Why it was given up.
    pub error: String,
    /// How often its delivery was tried.
    pub attempts: u32,
    /// When it was given up.
    pub since: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Assignment, Outcome};

    fn outcome() -> Outcome {
        let text = |text: &str| text.to_owned();
        let message =
            |target: &str| SentMessage { target: text(target), tags: vec![], data: text("d"), anchor: text("") };
        let spawn =
            Spawn { device: text("lua"), source: None, module: None, tags: vec![], data: text(""), anchor: text("") };
        let assignment =
            |to: &[&str]| Assignment { processes: to.iter().map(|one| text(one)).collect(), message: text("m") };
        Outcome {
            messages: vec![message("a"), message("b")],
            spawns: vec![spawn],
            assignments: vec![assignment(&["c", "d"]), assignment(&[]), assignment(&["e"])],
            ..Outcome::empty()
        }
    }

    #[test]
    fn items_are_numbered_messages_first_then_spawns_then_each_assigned_process() {
        let computed = Computed { slot: Slot(3), definition: Slot(0), cause: Cause::Success, outcome: outcome() };
        let items: Vec<_> = computed.outbox().collect();
        let shown: Vec<_> = items.iter().map(|(key, item)| (key.slot.0, key.index, item.target())).collect();
        assert_eq!(shown, [(3, 0, "a"), (3, 1, "b"), (3, 2, ""), (3, 3, "c"), (3, 4, "d"), (3, 5, "e")]);
        assert_eq!(computed.sends(), 6);
        for (key, item) in items {
            assert_eq!(computed.sent(key.index).map(Sent::item), Some(item));
        }
        assert_eq!(computed.sent(6), None);
    }

    #[test]
    fn what_failed_or_was_skipped_sends_nothing() {
        let failed = Outcome { error: Some("no".to_owned()), ..outcome() };
        let table = [
            (Cause::Success, outcome(), 6),
            (Cause::Success, failed.clone(), 0),
            (Cause::Error, failed, 0),
            (Cause::Skipped, outcome(), 0),
            (Cause::Panic, outcome(), 0),
            (Cause::Success, Outcome::empty(), 0),
        ];
        for (cause, outcome, sends) in table {
            let computed = Computed { slot: Slot(1), definition: Slot(0), cause, outcome };
            assert_eq!((computed.sends(), computed.outbox().count() as u64), (sends, sends), "{computed:?}");
        }
    }
}
