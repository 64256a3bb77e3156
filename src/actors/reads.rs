//! What the hub answers from the store, without a worker. Reads may block and so run on threads that may.

use super::hub::Hub;
use crate::ids::{ProcessId, Slot};
use crate::process::worker::Status;
use crate::process::{Computed, Entry, Page, PageQuery, RequestError};
use crate::store::{ReadError, Store};

impl Hub {
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, RequestError> {
        let store = self.environment().store.clone();
        match tokio::task::spawn_blocking(move || read(&store)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(RequestError::Store(error.to_string())),
            Err(error) => Err(RequestError::Internal(format!("a read of the store ended early: {error}"))),
        }
    }

    /// Refuses what there is no process for.
    pub async fn must_exist(&self, process: &ProcessId) -> Result<(), RequestError> {
        let id = process.clone();
        match self.read(move |store| store.process(&id)).await? {
            Some(_) => Ok(()),
            None => Err(RequestError::no_process(process)),
        }
    }

    /// A page of the log.
    pub async fn schedule_page(&self, process: &ProcessId, query: PageQuery) -> Result<Page<Entry>, RequestError> {
        self.must_exist(process).await?;
        let id = process.clone();
        self.read(move |store| store.entries(&id, &query)).await
    }

    /// A page of stored outcomes. Every outcome that somebody may have seen before is among them.
    pub async fn results_page(&self, process: &ProcessId, query: PageQuery) -> Result<Page<Computed>, RequestError> {
        self.must_exist(process).await?;
        self.settle(process).await?;
        let id = process.clone();
        self.read(move |store| store.outcomes(&id, &query)).await
    }

    /// A page of the stored outcomes of those slots whose messages came by cron. As complete as [`Hub::results_page`].
    pub async fn cron_page(&self, process: &ProcessId, query: PageQuery) -> Result<Page<Computed>, RequestError> {
        self.must_exist(process).await?;
        self.settle(process).await?;
        let id = process.clone();
        self.read(move |store| store.cron_outcomes(&id, &query)).await
    }

    /// The stored outcome of a slot, if it is there.
    pub async fn stored_outcome(&self, process: &ProcessId, slot: Slot) -> Result<Option<Computed>, RequestError> {
        let id = process.clone();
        self.read(move |store| store.computed(&id, slot)).await
    }

    /// The newest stored outcome.
    pub async fn newest_outcome(&self, process: &ProcessId) -> Result<Option<Computed>, RequestError> {
        let query = PageQuery {
            first: Slot::ZERO,
            last: Slot(u64::MAX),
            limit: 1,
            bytes: u64::MAX,
            order: crate::process::Order::Descending,
        };
        Ok(self.results_page(process, query).await?.items.pop())
    }

    /// A page of processes in order of their ids, each with where it stands.
    pub async fn processes_page(
        &self,
        after: Option<ProcessId>,
        limit: usize,
    ) -> Result<Page<(ProcessId, Status)>, RequestError> {
        let mut records = self.read(move |store| store.processes(after.as_ref(), limit + 1)).await?;
        let more = records.len() > limit;
        records.truncate(limit);
        let mut items = Vec::with_capacity(records.len());
        for record in records {
            let status = self.status(&record.id).await?;
            items.push((record.id, status));
        }
        Ok(Page { items, more })
    }

    /// At most `limit` processes that have slots to compute, in order of id.
    pub async fn pending_page(&self, after: Option<ProcessId>, limit: usize) -> Result<Vec<ProcessId>, RequestError> {
        self.read(move |store| store.pending(after.as_ref(), limit)).await
    }
}
