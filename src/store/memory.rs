//! An engine in memory, for tests. Its data outlives the engine, so that a store can be opened on it again.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, Range};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::contract::Order;
use super::engine::{Engine, EngineError, EngineOpenError, Occasion, Op, OpenEngine, Opened, Space, Visit};

type Data = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// Data in memory, and the engine on it. Clones share the data.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<RwLock<Data>>);

impl Memory {
    /// A copy of the data as it is now, of which changes do not come through.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self(Arc::new(RwLock::new(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())))
    }
}

impl OpenEngine for Memory {
    fn open(&self, _folder: &Path, _mark: u64, _occasion: Occasion) -> Result<Opened, EngineOpenError> {
        Ok(Opened { engine: Box::new(self.clone()), torn_bytes: 0 })
    }
}

impl Engine for Memory {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let data = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(data.get(&(space, key.to_vec())).cloned())
    }

    fn range(&self, space: Space, keys: Range<&[u8]>, order: Order, visit: Visit<'_>) -> Result<(), EngineError> {
        if keys.start >= keys.end {
            return Ok(());
        }
        let data = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let bounds = (Bound::Included((space, keys.start.to_vec())), Bound::Excluded((space, keys.end.to_vec())));
        let range = data.range(bounds);
        let items: &mut dyn Iterator<Item = _> = match order {
            Order::Ascending => &mut range.into_iter(),
            Order::Descending => &mut range.into_iter().rev(),
        };
        for ((_, key), value) in items {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, ops: &[Op], _sync: bool) -> Result<(), EngineError> {
        let mut data = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for op in ops {
            match op {
                Op::Put { space, key, value } => data.insert((*space, key.clone()), value.clone()),
                Op::Delete { space, key } => data.remove(&(*space, key.clone())),
            };
        }
        Ok(())
    }
}
