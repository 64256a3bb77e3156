//! How the checks stand, for whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::supervise::{Health, HealthStatus, HealthView};

/// How the checks stand. Written by the health checker, read by anyone; nobody waits for the checker. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct HealthBoard(Arc<Mutex<Vec<Shown>>>);

#[derive(Debug)]
struct Shown {
    view: HealthView,
    is_critical: bool,
}

impl HealthBoard {
    /// Every check, in the order of the configuration.
    pub fn checks(&self) -> Vec<HealthView> {
        self.open().iter().map(|shown| shown.view.clone()).collect()
    }

    /// The name of each critical check, and what is wrong if it is unhealthy.
    pub fn critical(&self) -> Vec<(String, Option<String>)> {
        let critical = |shown: &Shown| {
            let HealthView { name, status, error, failures, .. } = &shown.view;
            let wrong = (*status == HealthStatus::Unhealthy)
                .then(|| error.clone().unwrap_or_else(|| format!("not well again yet, {failures} failures in a row")));
            (name.clone(), wrong)
        };
        self.open().iter().filter(|shown| shown.is_critical).map(critical).collect()
    }

    /// The name of each check and whether it is healthy, for the metric of that name.
    pub fn healthy(&self) -> Vec<(String, bool)> {
        let healthy = |shown: &Shown| (shown.view.name.clone(), shown.view.status == HealthStatus::Healthy);
        self.open().iter().map(healthy).collect()
    }

    /// Shows these checks and no others.
    pub(in crate::actors) fn show<'h>(&self, checks: impl Iterator<Item = &'h Health>) {
        let shown = checks.map(|health| Shown { view: health.view(), is_critical: health.check().critical });
        let shown = shown.collect();
        *self.open() = shown;
    }

    /// Shows how one check stands now.
    pub(in crate::actors) fn update(&self, health: &Health) {
        let view = health.view();
        if let Some(shown) = self.open().iter_mut().find(|shown| shown.view.name == view.name) {
            shown.view = view;
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Shown>> {
        // Each step leaves the list whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
