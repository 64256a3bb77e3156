//! How the alerts stand, for whoever asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::alert::{AlertView, Alerts};
use crate::process::RequestError;

/// The alerts of the node and what is counted about them. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct AlertBoard(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Held while the rules are evaluated, which may be long: on threads that may block only.
    alerts: Mutex<Alerts>,
    pending: AtomicU64,
    firing: AtomicU64,
    refused: AtomicU64,
    skipped: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
}

impl AlertBoard {
    /// Every alert that is pending, fires, or was over lately, in the order of the rules.
    pub async fn alerts(&self) -> Result<Vec<AlertView>, RequestError> {
        let board = self.clone();
        let listed = tokio::task::spawn_blocking(move || board.open().list()).await;
        listed.map_err(|error| RequestError::Internal(format!("the alerts cannot be listed: {error}")))
    }

    /// How many alerts are pending, and how many fire, as of the last evaluation.
    pub fn counts(&self) -> (u64, u64) {
        (self.0.pending.load(Ordering::Relaxed), self.0.firing.load(Ordering::Relaxed))
    }

    /// How often each receiver did not take a notice: tries that failed, and notices for which there was no room. A receiver
    /// is listed from when it is first configured.
    pub fn failures(&self) -> Vec<(String, u64)> {
        self.tally().iter().map(|(name, count)| (name.clone(), *count)).collect()
    }

    /// How many bad values were left alone because their rule had too many alerts.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// How many evaluations were left out because the one before was still at work.
    pub fn skipped(&self) -> u64 {
        self.0.skipped.load(Ordering::Relaxed)
    }

    /// The alerts themselves. Blocks while they are evaluated.
    pub(in crate::actors) fn open(&self) -> MutexGuard<'_, Alerts> {
        // A rule that panicked halfway goes on from where it stands at the next evaluation.
        self.0.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what `alerts`, this board's own, count.
    pub(in crate::actors) fn count(&self, alerts: &Alerts) {
        let (pending, firing) = alerts.counts();
        self.0.pending.store(pending as u64, Ordering::Relaxed);
        self.0.firing.store(firing as u64, Ordering::Relaxed);
        self.0.refused.store(alerts.refused(), Ordering::Relaxed);
    }

    /// One more evaluation was left out.
    pub(in crate::actors) fn skip(&self) {
        self.0.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more notices did not reach this receiver.
    pub(in crate::actors) fn fail(&self, receiver: &str, notices: usize) {
        let mut tally = self.tally();
        match tally.get_mut(receiver) {
            Some(count) => *count += notices as u64,
            None => drop(tally.insert(receiver.to_owned(), notices as u64)),
        }
    }

    fn tally(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
