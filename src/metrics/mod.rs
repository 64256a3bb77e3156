//! What the node measures: numbers that move where something happens, and numbers that are collected.
//!
//! [`catalogue()`] is the one table of all of them. What moves lives in statics, so that a function deep down can count
//! without carrying a handle; what is collected is published as one [`Snapshot`] after the other. Between the two stand the
//! numbers of [`Processes`], which move with their workers and are bounded, and the [`Lags`] of arbiters.

pub mod catalogue;
mod lags;
mod level;
mod metric;
mod processes;
mod snapshot;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use prometheus_client::registry::Registry;

pub use catalogue::{Counters, Gauges, Histograms, catalogue, markdown};
pub use lags::{Lags, Ring};
pub use level::Level;
pub use metric::{Kind, Metric, Unit};
pub use processes::{Meter, Processes, SERIES_PER_PROCESS};
pub use snapshot::{Collected, Snapshot};

/// The node's gauges that move where something happens.
pub static GAUGES: LazyLock<Gauges> = LazyLock::new(Gauges::default);

/// The node's histograms.
pub static HISTOGRAMS: LazyLock<Histograms> = LazyLock::new(Histograms::default);

/// The node's counters.
pub static COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::default);

/// A registry of everything that lives in statics, of each process's numbers as they stand, and of what is published in
/// `collected`.
pub fn registry(collected: &Arc<Collected>, processes: &Arc<Processes>) -> Registry {
    let mut registry = Registry::default();
    COUNTERS.register(&mut registry);
    GAUGES.register(&mut registry);
    HISTOGRAMS.register(&mut registry);
    registry.register_collector(Box::new(Arc::clone(processes)));
    registry.register_collector(Box::new(Arc::clone(collected)));
    registry
}
