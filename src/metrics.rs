//! Counters of what happens and of what was lost.
//!
//! They live in one registry of the process, so that a library function deep down can count without carrying a handle.

use std::sync::LazyLock;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)*) => {
        /// Every counter of the node.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $help])+ pub $name: Counter,)*
        }

        impl Counters {
            fn register(&self, registry: &mut Registry) {
                $(registry.register(stringify!($name), concat!($($help),+).trim(), self.$name.clone());)*
            }
        }
    };
}

counters! {
    /// Commits that were handed to the store.
    store_commits,
    /// Batches that the store's writer made of them.
    store_batches,
    /// Syncs of the store to disk.
    store_syncs,
    /// Commits that a newer epoch or another log head fenced off.
    store_fenced,
    /// Commits whose fate a failed write or sync left unknown.
    store_unknown,
    /// Commits that were refused because the store takes no writes.
    store_refused,
    /// Times the store was opened again after a failure.
    store_reopened,
    /// Bytes of an unfinished write that were cut off when the store was opened.
    store_torn_bytes,
    /// Snapshots that were set aside because they are damaged.
    snapshots_damaged,
    /// Calls of a device that ran for so long that another thread took their thread's place.
    compute_overruns,
    /// Messages that were given a slot.
    messages_scheduled,
    /// Slots that were computed.
    slots_computed,
    /// Slots whose outcome is an error.
    slots_failed,
    /// Times a process paused because its outbox was full.
    outbox_pauses,
    /// Workers that were started.
    workers_started,
    /// Workers that died without a word.
    workers_died,
    /// Leaders of groups that died without a word, workers of processes among them.
    leaders_died,
    /// Requests that shared the execution of an equal one.
    executions_shared,
    /// Faults of the machine that were met while computing.
    compute_faults,
    /// Requests that were refused because a limit was reached.
    requests_refused,
}

/// The node's counters.
pub static COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::default);

/// A registry that holds every counter under the prefix `mainstay`.
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("mainstay");
    COUNTERS.register(&mut registry);
    registry
}
