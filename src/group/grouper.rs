//! What names a group: equal executions get equal names.

use std::fmt::Debug;
use std::sync::Arc;

use crate::config::AwaitInProgress;
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::{Draft, Tag};

#[cfg(test)]
mod tests;

/// Keeps these hashes apart from all others that are made of the same bytes.
const CONTEXT: &str = "mainstay 2026 name of a group of equal executions";

/// The state that a request is resolved on, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseName {
    /// Whose state it is.
    pub process: ProcessId,
    /// Which of its states.
    pub state: StateName,
    /// Whether the base moves on with each result, so that requests on it are not the same as on one that stays.
    pub is_line: bool,
}

/// Which state of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateName {
    /// The state after this slot of the log.
    AtSlot(Slot),
    /// A state that no log knows: a result that was kept in memory.
    After {
        /// The hash of the definition under which it goes on.
        definition: [u8; 32],
        /// The slot that it stands at.
        slot: Slot,
        /// The hash of the state's bytes.
        state: [u8; 32],
    },
}

/// What a request asks of its base.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// The outcome of a slot of the log.
    Compute(Slot),
    /// The state itself.
    State,
    /// What this message would do to it.
    DryRun(&'a Draft),
}

/// A device's own way to name groups.
pub trait Group: Debug + Send + Sync {
    /// The name of what is `asked` of `base`; of the base itself where nothing is asked. Requests with the same name join: the
    /// answer to one of them is the answer to all. The name has to belong to the base's process; another one is not taken,
    /// and [`Grouper::Default`] names the group instead.
    ///
    /// It is asked about everything, requests to compute included. Whatever it says to those, one worker alone advances a log.
    fn group(&self, base: &BaseName, asked: Option<&Asked<'_>>) -> GroupName;
}

/// Who names the groups of a device's executions.
#[derive(Clone, Debug, Default)]
pub enum Grouper {
    /// A 256-bit hash of the base and the request; of the base alone where nothing is asked.
    ///
    /// What the node adds to a request on its way is left out, since two senders of the same request could never join
    /// otherwise: an id that the sender did not give, the road that the message came by, its time, its chain. An id that the
    /// sender gave counts, and so does who sent it. The order of tags with different names doesn't count; where one name
    /// stands several times, the order of its values does.
    #[default]
    Default,
    /// The process itself for [`Asked::Compute`], whichever the slot, while `process_workers` is on: its one worker leads them
    /// all. Everything else as [`Grouper::Default`].
    Process,
    /// The device's own.
    Own(Arc<dyn Group>),
}

impl PartialEq for Grouper {
    /// Own groupers are equal if they are the same one.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Default, Self::Default) | (Self::Process, Self::Process) => true,
            (Self::Own(one), Self::Own(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Grouper {
    /// The name of what is `asked` of `base`; of the base itself where nothing is asked.
    pub fn group(&self, base: &BaseName, asked: Option<&Asked<'_>>, process_workers: bool) -> GroupName {
        match (self, asked) {
            (Self::Process, Some(Asked::Compute(_))) if process_workers => GroupName::of_process(&base.process),
            (Self::Own(own), _) => {
                let name = own.group(base, asked);
                if name.process() == base.process { name } else { hashed(base, asked) }
            }
            _ => hashed(base, asked),
        }
    }

    /// Whether requests join under the name `group` that it gave. Requests to compute always do: one worker alone advances a log.
    pub fn joins(&self, group: &GroupName, which: AwaitInProgress) -> bool {
        match (which, self) {
            (AwaitInProgress::All, _) | (AwaitInProgress::Named, Self::Own(_)) => true,
            (AwaitInProgress::Named, Self::Process) => group.is_process(),
            (AwaitInProgress::None, _) | (AwaitInProgress::Named, Self::Default) => false,
        }
    }
}

fn hashed(base: &BaseName, asked: Option<&Asked<'_>>) -> GroupName {
    let mut parts = Parts(blake3::Hasher::new_derive_key(CONTEXT));
    parts.base(base);
    parts.asked(asked);
    GroupName::hashed(&base.process, parts.0.finalize().as_bytes())
}

/// Parts of a name on their way into its hash. Each is written so that its end can be told from what comes next: numbers and
/// hashes have a fixed size, texts and lists begin with their length, variants with a number of their own.
struct Parts(blake3::Hasher);

impl Parts {
    fn variant(&mut self, number: u8) {
        self.0.update(&[number]);
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn base(&mut self, base: &BaseName) {
        let BaseName { process, state, is_line } = base;
        self.text(process.as_str());
        match state {
            StateName::AtSlot(slot) => {
                self.variant(0);
                self.number(slot.0);
            }
            StateName::After { definition, slot, state } => {
                self.variant(1);
                self.0.update(definition);
                self.number(slot.0);
                self.0.update(state);
            }
        }
        self.variant(u8::from(*is_line));
    }

    fn asked(&mut self, asked: Option<&Asked<'_>>) {
        match asked {
            None => self.variant(0),
            Some(Asked::Compute(slot)) => {
                self.variant(1);
                self.number(slot.0);
            }
            Some(Asked::State) => self.variant(2),
            Some(Asked::DryRun(draft)) => {
                self.variant(3);
                self.draft(draft);
            }
        }
    }

    fn draft(&mut self, draft: &Draft) {
        // All fields are named, so that a new one has to be either taken in or left out on purpose.
        let Draft {
            id,
            is_new,
            origin: _,
            from,
            owner,
            anchor,
            tags,
            data,
            mark: _,
            push: _,
            cursor: _,
            closes_circle: _,
        } = draft;
        self.variant(u8::from(*is_new));
        if !is_new {
            self.text(id.as_str());
        }
        for text in [from, owner, anchor, data] {
            self.text(text);
        }
        let mut sorted: Vec<&Tag> = tags.iter().collect();
        // A stable sort leaves the values of one name in their order.
        sorted.sort_by_key(|tag| &tag.name);
        self.number(sorted.len() as u64);
        for Tag { name, value } in sorted {
            self.text(name);
            self.text(value);
        }
    }
}
