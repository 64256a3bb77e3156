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
    is_known: bool,
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

    /// The name of each check and whether it is healthy, for the metric of that name. One that is not known yet is left out:
    /// what was ill before a restart must not seem well until it is looked at.
    pub fn healthy(&self) -> Vec<(String, bool)> {
        let healthy = |shown: &Shown| (shown.view.name.clone(), shown.view.status == HealthStatus::Healthy);
        self.open().iter().filter(|shown| shown.is_known).map(healthy).collect()
    }

    /// Shows these checks and no others.
    pub(in crate::actors) fn show<'h>(&self, checks: impl Iterator<Item = &'h Health>) {
        let shown = checks.map(|health| Shown {
            view: health.view(),
            is_critical: health.check().critical,
            is_known: health.is_known(),
        });
        let shown = shown.collect();
        *self.open() = shown;
    }

    /// Shows how one check stands now.
    pub(in crate::actors) fn update(&self, health: &Health) {
        let view = health.view();
        if let Some(shown) = self.open().iter_mut().find(|shown| shown.view.name == view.name) {
            (shown.view, shown.is_known) = (view, health.is_known());
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Shown>> {
        // Each step leaves the list whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
