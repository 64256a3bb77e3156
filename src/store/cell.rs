//! Where the open engine lives. Reads and writes borrow it; when it is exchanged they wait, so that the old one is really
//! gone before the new one takes its files.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::contract::ReadError;
use super::engine::{Engine, EngineError};

/// The engine of a data folder, if it is open.
pub(super) struct EngineCell {
    folder: PathBuf,
    engine: RwLock<Option<Box<dyn Engine>>>,
}

impl EngineCell {
    /// A cell for the engine of the data folder `folder`.
    pub(super) fn new(folder: &Path, engine: Box<dyn Engine>) -> Self {
        Self { folder: folder.to_owned(), engine: RwLock::new(Some(engine)) }
    }

    /// The data folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `call` makes of the engine. `call` must not use the cell.
    pub(super) fn with<T>(&self, call: impl FnOnce(&dyn Engine) -> Result<T, EngineError>) -> Result<T, EngineError> {
        match self.engine.read().unwrap_or_else(PoisonError::into_inner).as_deref() {
            Some(engine) => call(engine),
            None => Err(EngineError::NotWritten("the store is not open".to_owned())),
        }
    }

    /// Closes the engine, then puts in what `open` yields. In between, whoever wants the engine waits.
    pub(super) fn exchange<E>(&self, open: impl FnOnce() -> Result<Box<dyn Engine>, E>) -> Result<(), E> {
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        drop(engine.take());
        *engine = Some(open()?);
        Ok(())
    }

    /// Closes the engine for good.
    pub(super) fn close(&self) {
        drop(self.engine.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// `error` of a read of `what`.
    pub(super) fn read_error(&self, what: &str, error: EngineError) -> ReadError {
        let folder = self.folder.display().to_string();
        match error {
            EngineError::Damaged(reason) => ReadError::Damaged { folder, what: what.to_owned(), reason },
            EngineError::NotWritten(reason) | EngineError::Failed(reason) => ReadError::Engine { folder, reason },
        }
    }
}
