//! Leading a group: how it is come by, and what a leader holds as long as it leads.

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message, Recipient};

use super::messages::{Ended, LeaderKind, Queued, UnregisterNotify};
use crate::group::{Chain, Incarnation};
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

/// To a registry: find who leads this group, or lead it. Both are one step.
#[derive(Message, Debug)]
#[rtype(result = "Resolution")]
pub struct FindOrRegister {
    /// The group.
    pub group: GroupName,
    /// The request that leads the group if nobody does, and waits for its leader if somebody does.
    pub leader: Queued,
    /// The groups that wait for this request already; `None` where one may wait for itself.
    pub chain: Option<Chain>,
}

/// The answer to [`FindOrRegister`].
#[derive(Debug)]
pub enum Resolution {
    /// Nobody led the group: the asker does now, with its request.
    Leader(Registration, Queued),
    /// Somebody leads it; the request is in the leader's mailbox.
    Wait(LeaderKind),
    /// The leader is on the request's own chain. The request was dropped.
    InfiniteRecursion,
}

impl<A, M> MessageResponse<A, M> for Resolution
where
    A: Actor,
    M: Message<Result = Self>,
{
    fn handle(self, _: &mut A::Context, asker: Option<OneshotSender<Self>>) {
        if let Some(asker) = asker {
            // Nobody may be listening any more: then the registration is dropped and the name is free.
            let _ = asker.send(self);
        }
    }
}
