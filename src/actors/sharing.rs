//! Executions that equal requests share: the first of them leads, the others await it and are told.

use std::future::Future;

use tracing::{debug, warn};

use super::hub::{Hub, died_often};
use super::messages::{Ended, Queued, Reply, Told};
use super::registration::{FindOrRegister, Registration, Resolution};
use crate::device::DeviceInfo;
use crate::group::{Asked, BaseName, Chain, Grouper, StateName};
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::RequestError;
use crate::process::worker::{Answer, Request, Status};

/// What is asked of a process in one group with equal requests.
pub(super) struct Shared {
    /// The group's name.
    pub(super) group: GroupName,
    /// Equal for equal requests only, whoever names the groups.
    pub(super) key: GroupName,
    /// Whether equal requests join.
    pub(super) joins: bool,
}

impl Hub {
    /// What a device of this status's kind says of itself.
    pub(super) fn device_of(&self, status: &Status) -> DeviceInfo {
        self.environment().factory.info(status.device)
    }

    /// Where equal requests meet that ask `asked` of `base`.
    pub(super) fn meeting(&self, grouper: &Grouper, base: &BaseName, asked: &Asked<'_>) -> Shared {
        let process_workers = self.environment().options.process_workers;
        let group = grouper.group(base, Some(asked), process_workers);
        let key = Grouper::Default.group(base, Some(asked), process_workers);
        let joins = grouper.joins(&group, self.options().await_inprogress);
        // The names of a process and of a base are their workers', who serve other requests.
        let is_workers = group.is_process() || group == Grouper::Default.group(base, None, process_workers);
        Shared { joins: joins && !is_workers, group, key }
    }

    /// Executes what `execute` makes, or awaits somebody who does so for an equal request. Tries again when the leader died,
    /// `resolve_attempts` times.
    ///
    /// The hub that `execute` gets asks on behalf of the group: whoever awaits the group waits for what it waits for.
    pub(super) async fn share<F>(&self, shared: Shared, execute: impl Fn(Hub) -> F) -> Result<Answer, RequestError>
    where
        F: Future<Output = Result<Answer, RequestError>> + Send + 'static,
    {
        let Shared { group, key, joins } = shared;
        if !joins {
            return execute(self.clone()).await;
        }
        let _wait = self.enter(&group)?;
        let of_group = self.behind(Chain::default().then(&group).unwrap_or_default());
        let process = group.process();
        let mut attempt = 0;
        loop {
            let (reply, awaited) = Reply::channel();
            let leader = Queued::Listener { key: key.clone(), reply };
            match self.find_or_register(group.clone(), leader).await? {
                Some((registration, queued)) => {
                    let execution = execute(of_group.clone());
                    tokio::spawn(lead(registration, queued, key.clone(), execution));
                }
                None => debug!(target: "group", event = "awaiting_compute", %process, %group, worker = %group),
            }
            match awaited.hear().await {
                Told::Answer(answer) => {
                    debug!(target: "group", event = "notified_of_resolution", %process, %group);
                    return answer;
                }
                Told::Again => {}
                Told::LeaderDied(reason) => {
                    attempt += 1;
                    warn!(target: "group", event = "resolving_again", %process, %group, attempt, reason);
                    if attempt == self.attempts() {
                        return Err(died_often(group, attempt, &reason));
                    }
                }
            }
        }
    }

    /// Finds the leader of `group`, into whose mailbox `leader` goes, or becomes it.
    pub(super) async fn find_or_register(
        &self,
        group: GroupName,
        leader: Queued,
    ) -> Result<Option<(Registration, Queued)>, RequestError> {
        let process = group.process();
        let asked = FindOrRegister { group: group.clone(), leader, chain: self.forbidden() };
        match self.registry(&process).send(asked).await {
            Ok(Resolution::Leader(registration, queued)) => Ok(Some((registration, queued))),
            Ok(Resolution::Wait(leader)) => {
                debug!(target: "group", event = "found_leader", %process, %group, leader = leader.as_str());
                Ok(None)
            }
            Ok(Resolution::InfiniteRecursion) => Err(RequestError::InfiniteRecursion { group }),
            Err(_) => Err(RequestError::Internal("the registry of groups is gone; the node is stopping".to_owned())),
        }
    }

    /// The outcome of a slot where no worker of the process stays: equal requests meet under a name of their own.
    pub(super) async fn compute_in_group(
        &self,
        process: &ProcessId,
        slot: Option<Slot>,
    ) -> Result<Answer, RequestError> {
        let status = self.status(process).await?;
        let slot = slot.unwrap_or(status.scheduled);
        let base = BaseName { process: process.clone(), state: StateName::AtSlot(slot), is_line: false };
        let shared = self.meeting(&self.device_of(&status).grouper, &base, &Asked::Compute(slot));
        self.share(shared, |hub| {
            let process = process.clone();
            async move { hub.ask(&process, |reply| Request::Compute { slot: Some(slot), reply }).await }
        })
        .await
    }

    /// The latest state, readable.
    pub(super) async fn read_state(&self, process: &ProcessId) -> Result<Answer, RequestError> {
        let status = self.status(process).await?;
        let state = StateName::AtSlot(status.scheduled);
        let base = BaseName { process: process.clone(), state, is_line: false };
        let shared = self.meeting(&self.device_of(&status).grouper, &base, &Asked::State);
        self.share(shared, |hub| {
            let process = process.clone();
            async move { hub.ask(&process, |reply| Request::State { reply }).await }
        })
        .await
    }
}

/// Executes, whoever still waits; dropped in the middle, those who wait learn that their leader died.
async fn lead(
    mut registration: Registration,
    queued: Queued,
    key: GroupName,
    execution: impl Future<Output = Result<Answer, RequestError>>,
) {
    let answer = execution.await;
    queued.into_reply().send(answer.clone());
    registration.end(Ended::Resolved { key, answer });
}
