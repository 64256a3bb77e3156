//! What a leader holds as long as it leads.

use actix::Recipient;

use super::messages::{Ended, UnregisterNotify};
use crate::group::Incarnation;
use crate::ids::GroupName;

/// A name that is held in a registry. Dropped without an end, by a panic, a kill or a cancelled request, it frees the name,
/// and those who wait learn that the leader died.
#[derive(Debug)]
pub struct Registration {
    group: GroupName,
    /// The name that it asked for in place of that one, and may hold already.
    asked_for: Option<GroupName>,
    incarnation: Incarnation,
    registry: Recipient<UnregisterNotify>,
    is_over: bool,
}

impl Registration {
    /// The registration of `incarnation` at `registry`.
    pub fn new(group: GroupName, incarnation: Incarnation, registry: Recipient<UnregisterNotify>) -> Self {
        Self { group, asked_for: None, incarnation, registry, is_over: false }
    }

    /// The name.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Which registration it is.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The registry is asked for another name. Until it answers, it is not known which one is held.
    pub fn ask_for(&mut self, group: GroupName) {
        self.asked_for = Some(group);
    }

    /// The registry answered: it gave the other name, or did not.
    pub fn renamed(&mut self, is_held: bool) {
        if let Some(group) = self.asked_for.take().filter(|_| is_held) {
            self.group = group;
        }
    }

    /// Tells the registry how it ended. Only the first end counts.
    pub fn end(&mut self, ended: Ended) {
        if !std::mem::replace(&mut self.is_over, true) {
            let (group, asked_for, incarnation) = (self.group.clone(), self.asked_for.clone(), self.incarnation);
            self.registry.do_send(UnregisterNotify { group, asked_for, incarnation, ended });
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end(Ended::Died { panicked: std::thread::panicking() });
    }
}
