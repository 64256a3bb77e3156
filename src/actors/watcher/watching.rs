//! What others may see of the watcher: the feed, the map, how it fares.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::readiness::Check;
use super::feed::Feed;
use super::source::HostWatch;
use crate::clock::Millis;
use crate::host::{BackendKind, HostProcess};
use crate::metrics::Snapshot;
use crate::metrics::catalogue::WATCH_BACKEND;
use crate::stats::Labels;

/// What others may see of the watcher. Shared by the watcher and whoever asks.
pub struct Watching {
    feed: Feed,
    state: Mutex<State>,
}

struct State {
    watch: Arc<dyn HostWatch>,
    /// Why it does not run at present.
    trouble: Option<String>,
}

impl Watching {
    /// Of a watch that has just begun, on a node that started at `now`.
    pub(super) fn new(watch: Arc<dyn HostWatch>, now: Millis) -> Self {
        Self { feed: Feed::new(now), state: Mutex::new(State { watch, trouble: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last events, and those to come.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The living host processes that pass the filter, by number. While the watch is being started again, those of before.
    pub async fn processes(&self) -> Vec<HostProcess> {
        let watch = self.watch();
        // The map may be large, and its lock is that of the thread that keeps it.
        tokio::task::spawn_blocking(move || watch.processes()).await.unwrap_or_default()
    }

    /// How it fares. A watch that does not run makes a node no less ready for its processes.
    pub fn check(&self) -> Check {
        let state = self.lock();
        let detail = match &state.trouble {
            Some(trouble) => format!("not watching: {trouble}"),
            None => {
                let lacks: Vec<_> = state.watch.lacks().iter().map(|lack| lack.what).collect();
                let without = if lacks.is_empty() { String::new() } else { format!("; without {}", lacks.join(", ")) };
                format!("ok, by {}: {}{without}", state.watch.backend().as_str(), state.watch.reason())
            }
        };
        Check { name: "watch", error: None, detail: Some(detail) }
    }

    /// Shows which backend runs.
    pub fn show(&self, snapshot: &mut Snapshot) {
        let runs = self.watch().backend();
        for backend in [BackendKind::Connector, BackendKind::Poll] {
            // A short word is always a label's value.
            let Ok(labels) = Labels::from_pairs([("backend".to_owned(), backend.as_str().to_owned())]) else { return };
            snapshot.set(&WATCH_BACKEND, &labels, f64::from(u8::from(backend == runs)));
        }
    }

    pub(super) fn watch(&self) -> Arc<dyn HostWatch> {
        self.lock().watch.clone()
    }

    /// It runs again. Gives back the one before, to be dropped where one may block.
    pub(super) fn replace(&self, watch: Arc<dyn HostWatch>) -> Arc<dyn HostWatch> {
        let mut state = self.lock();
        state.trouble = None;
        std::mem::replace(&mut state.watch, watch)
    }

    /// It does not run, and why.
    pub(super) fn fails(&self, trouble: String) {
        self.lock().trouble = Some(trouble);
    }

    /// Ends everybody's listening: the node stops.
    pub fn close(&self) {
        self.feed.close();
    }
}
