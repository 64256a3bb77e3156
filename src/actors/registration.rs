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
    incarnation: Incarnation,
    registry: Recipient<UnregisterNotify>,
    is_over: bool,
}

impl Registration {
    /// The registration of `incarnation` at `registry`.
    pub fn new(group: GroupName, incarnation: Incarnation, registry: Recipient<UnregisterNotify>) -> Self {
        Self { group, incarnation, registry, is_over: false }
    }

    /// The name.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Which registration it is.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The registry gave it another name.
    pub fn renamed(&mut self, group: GroupName) {
        self.group = group;
    }

    /// Tells the registry how it ended. Only the first end counts.
    pub fn end(&mut self, ended: Ended) {
        if !std::mem::replace(&mut self.is_over, true) {
            let (group, incarnation) = (self.group.clone(), self.incarnation);
            self.registry.do_send(UnregisterNotify { group, incarnation, ended });
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end(Ended::Died { panicked: std::thread::panicking() });
    }
}
