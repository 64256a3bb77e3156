//! Whether the node is ready: its store works, and what waited at the start was taken up.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::Store;

/// Whether the node is ready. Shared by whoever makes it so and whoever asks.
#[derive(Debug, Default)]
pub struct Readiness {
    has_taken_up: AtomicBool,
    is_stopping: AtomicBool,
}

/// One thing that must be well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub name: &'static str,
    /// What is wrong with it, if anything.
    pub error: Option<String>,
    /// What there is to say about it though it is well.
    pub detail: Option<String>,
}

impl Readiness {
    /// Every process that had work waiting has its worker.
    pub fn taken_up(&self) {
        self.has_taken_up.store(true, Ordering::Relaxed);
    }

    /// The node stops.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// What must be well, and whether it is.
    pub fn checks(&self, store: &Store) -> Vec<Check> {
        let check = |name, error: Option<String>| Check { name, error, detail: None };
        let is_bad = |is_bad: bool, text: &str| is_bad.then(|| text.to_owned());
        let waiting = !self.has_taken_up.load(Ordering::Relaxed);
        vec![
            check("store", store.is_healthy().err()),
            check("pending", is_bad(waiting, "work that waited at the start is being taken up")),
            check("node", is_bad(self.is_stopping.load(Ordering::Relaxed), "the node is stopping")),
        ]
    }
}
