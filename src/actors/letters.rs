//! What the hub knows of monitors and dead letters.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{MutexGuard, PoisonError};

use actix::Addr;

use super::delivery::{Delivery, final_failure};
use super::hub::Hub;
use super::keeping::keep;
use super::monitor::Sight;
use super::monitor_registry::{ListMonitors, MonitorRegistry, StartMonitor, StopMonitor};
use super::origins::Origin;
use crate::ids::{MessageId, ProcessId};
use crate::process::{
    DeadLetter, Durability, OutboxItem, OutboxKey, Page, Record, RequestError, SentKind, SentMessage,
};
use crate::push::Failure;
use crate::store::Store;

impl Hub {
    fn monitor_registry(&self, process: &ProcessId) -> Result<&Addr<MonitorRegistry>, RequestError> {
        let services = self.environment().services.get();
        services.map(|services| services.monitors(process)).ok_or_else(not_started)
    }

    /// Every monitor that runs, in order of their processes.
    pub async fn monitors(&self) -> Vec<Sight> {
        let Some(services) = self.environment().services.get() else { return Vec::new() };
        let asked = services.monitors.iter().map(|registry| registry.send(ListMonitors));
        let mut sights: Vec<Sight> =
            futures_util::future::join_all(asked).await.into_iter().flatten().flatten().collect();
        sights.sort_by_cached_key(|sight| sight.look().record.process.clone());
        sights
    }

    /// The monitor of `process`, if one runs.
    pub async fn monitor(&self, process: &ProcessId) -> Option<Sight> {
        let registry = self.monitor_registry(process).ok()?;
        let sights = registry.send(ListMonitors).await.ok()?;
        sights.into_iter().find(|sight| sight.look().record.process == *process)
    }

    /// Starts a monitor. Says whether it is new.
    pub async fn start_monitor(&self, start: StartMonitor) -> Result<bool, RequestError> {
        self.monitor_registry(&start.process)?.send(start).await.unwrap_or_else(|_| Err(not_started()))
    }

    /// Stops the monitor of `process`. Says whether there was one.
    pub async fn stop_monitor(&self, process: &ProcessId) -> Result<bool, RequestError> {
        let stop = StopMonitor { process: process.clone() };
        self.monitor_registry(process)?.send(stop).await.unwrap_or_else(|_| Err(not_started()))
    }

    /// A page of what could not be delivered, in order of id.
    pub async fn dead_letters(&self, after: Option<MessageId>, limit: usize) -> Result<Page<DeadLetter>, RequestError> {
        let mut items = self.read(move |store| store.dead_letters(after.as_ref(), limit + 1)).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Page { items, more })
    }

    async fn dead_letter(&self, id: &MessageId) -> Result<DeadLetter, RequestError> {
        let wanted = id.clone();
        let found = self.read(move |store| store.dead_letter(&wanted)).await?;
        found.ok_or_else(|| RequestError::NotFound(format!("there is no dead letter {id}")))
    }
}

impl Delivery {
    /// Tries to deliver a dead letter once more. Where that succeeds it is kept no longer; else it stays, with the new error.
    pub async fn retry(&self, id: &MessageId) -> Result<(), RequestError> {
        let _turn = Turn::take(self, id)
            .ok_or_else(|| RequestError::Conflict(format!("dead letter {id} is being tried already")))?;
        let letter = self.hub.dead_letter(id).await?;
        let store = self.hub.environment().store.clone();
        let failed = match self.once_more(&letter).await {
            Ok(()) => return keep_no_more(&store, &letter).await,
            Err(Failure::Final { reason } | Failure::Later { reason, .. }) => reason,
        };
        let (source, attempts) = (letter.source.clone(), letter.attempts.saturating_add(1));
        let letter = DeadLetter { error: failed.clone(), attempts, ..letter };
        let written = {
            let tried = self.tried();
            if tried.get(id).is_none_or(|is_dropped| *is_dropped) {
                return Err(RequestError::NotFound(format!("dead letter {id} was dropped while it was tried")));
            }
            keep(&store, &source, vec![Record::DeadLetter(Box::new(letter))], Durability::Sync)
        };
        written.await?;
        Err(RequestError::Conflict(format!("it failed again: {failed}")))
    }

    /// Keeps a dead letter no longer, also while it is being tried.
    pub async fn drop_letter(&self, id: &MessageId) -> Result<(), RequestError> {
        let letter = self.hub.dead_letter(id).await?;
        let records = vec![Record::DropDeadLetter(id.clone())];
        let written = {
            let mut tried = self.tried();
            if let Some(is_dropped) = tried.get_mut(id) {
                *is_dropped = true;
            }
            keep(&self.hub.environment().store, &letter.source, records, Durability::Sync)
        };
        written.await
    }

    /// The letters that are being tried, and whether somebody dropped them meanwhile. What is written of a letter is handed in
    /// under this lock, so that the end of a try never brings a dropped one back.
    fn tried(&self) -> MutexGuard<'_, HashMap<MessageId, bool>> {
        self.retried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn once_more(&self, letter: &DeadLetter) -> Result<(), Failure> {
        let key = OutboxKey { slot: letter.slot, index: letter.index };
        let later = |reason: String| Failure::Later { reason, counts: false };
        let source = letter.source.clone();
        let read = move |store: &Store| Ok((store.entry(&source, key.slot)?, store.computed(&source, key.slot)?));
        let origin = self.hub.read(read).await.map_err(|error| later(error.to_string()))?;
        if let (Some(entry), Some(computed)) = origin {
            let target = letter.target.clone();
            let item = OutboxItem::Outcome { kind: SentKind::Message, target };
            let destination = self.destination(&item).map_err(|error| later(error.to_string()))?;
            return self.deliver_again(&letter.source, key, &Origin { entry, computed }, &destination).await;
        }
        // Of an outside process: the letter holds all of it.
        let message: SentMessage = serde_json::from_str(letter.message.as_str())
            .map_err(|error| final_failure(format!("the letter holds no message: {error}")))?;
        let item = OutboxItem::Inline { message, id: letter.id.clone() };
        let destination = self.destination(&item).map_err(|error| later(error.to_string()))?;
        self.deliver_inline(&letter.source, &item, &destination).await
    }
}

/// One at a time tries a letter.
struct Turn<'a> {
    delivery: &'a Delivery,
    id: MessageId,
}

impl<'a> Turn<'a> {
    /// `None`: somebody has it.
    fn take(delivery: &'a Delivery, id: &MessageId) -> Option<Self> {
        match delivery.tried().entry(id.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(false);
                Some(Self { delivery, id: id.clone() })
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.delivery.tried().remove(&self.id);
    }
}

async fn keep_no_more(store: &Store, letter: &DeadLetter) -> Result<(), RequestError> {
    keep(store, &letter.source, vec![Record::DropDeadLetter(letter.id.clone())], Durability::Sync).await
}

fn not_started() -> RequestError {
    RequestError::Overloaded { key: "monitor", what: "the node is starting or stopping".to_owned() }
}
