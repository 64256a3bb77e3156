//! The log's past, as the core may ask for it.

use super::ProcessWorker;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::worker::{History, OldId};
use crate::process::{KnownId, MarkPosition, MarkSource, Order, Origin, PageQuery};
use crate::store::Store;

/// The past of one process's log.
pub(super) struct Past {
    store: Store,
    process: ProcessId,
}

impl Past {
    pub(super) fn of(worker: &ProcessWorker) -> Self {
        Self { store: worker.environment.store.clone(), process: worker.process.clone() }
    }
}

impl History for Past {
    fn known_id(&self, origin: Origin, id: &MessageId) -> Result<Option<KnownId>, String> {
        self.store.known_id(&self.process, origin, id).map_err(|error| error.to_string())
    }

    fn ids_from(&self, first: Slot, limit: usize) -> Result<Vec<OldId>, String> {
        let query = PageQuery { first, last: Slot(u64::MAX), limit, bytes: 1 << 20, order: Order::Ascending };
        let page = self.store.entries(&self.process, &query).map_err(|error| error.to_string())?;
        Ok(page.items.iter().map(OldId::of).collect())
    }

    fn mark(&self, source: &MarkSource) -> Result<Option<MarkPosition>, String> {
        self.store.mark(&self.process, source).map_err(|error| error.to_string())
    }
}
