//! Everything that is measured, for those who show it.

use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use thiserror::Error;

use super::book::Book;
use crate::clock::Clock;
use crate::export::{self, Family, ParseError};
use crate::metrics::{Collected, Processes, Snapshot, registry};

/// Why the metrics can't be shown.
#[derive(Debug, Error)]
pub enum ExhibitError {
    /// A part of them could not be written.
    #[error("the metrics could not be written: {0}")]
    Write(#[from] fmt::Error),
    /// What was written can't be read back.
    #[error("the metrics could not be read back: {0}")]
    Read(#[from] ParseError),
}

/// Everything that is measured: what moves as it stands now, what is collected as of the last collection, and the series.
#[derive(Debug)]
pub struct Exhibit {
    registry: Registry,
    collected: Arc<Collected>,
    /// The numbers of each process.
    pub processes: Arc<Processes>,
    /// The series.
    pub book: Book,
    /// Wall time.
    pub clock: Clock,
}

impl Exhibit {
    /// An exhibit of these numbers and series, with nothing collected yet.
    pub fn new(processes: Arc<Processes>, book: Book, clock: Clock) -> Self {
        let collected = Arc::default();
        Self { registry: registry(&collected, &processes), collected, processes, book, clock }
    }

    /// Shows a collection in the place of the one before.
    pub fn publish(&self, snapshot: Snapshot) {
        self.collected.publish(snapshot);
    }

    /// Every metric as OpenMetrics 1.0.0. Takes some milliseconds where there are thousands of processes.
    ///
    /// # Errors
    /// A part could not be written.
    pub fn openmetrics(&self) -> Result<String, ExhibitError> {
        Ok(export::openmetrics(&self.registry)?)
    }

    /// Every metric with its numbers. Takes as long as [`Exhibit::openmetrics`] and longer.
    ///
    /// # Errors
    /// A part could not be written, or not be read back.
    pub fn families(&self) -> Result<Vec<Family>, ExhibitError> {
        Ok(export::families(&self.openmetrics()?)?)
    }
}
