//! What the watch has counted, as metrics of the node.

use crate::host::Numbers;
use crate::metrics::COUNTERS;

/// How far the node's counters follow those of the watch.
#[derive(Debug, Default)]
pub(super) struct Figures(Option<Numbers>);

impl Figures {
    /// Takes over what was counted since the last time.
    pub(super) fn follow(&mut self, now: Numbers) {
        let before = self.0.as_ref();
        let more = |field: fn(&Numbers) -> u64| field(&now).saturating_sub(before.map_or(0, field));
        COUNTERS.watch_received.inc_by(more(|numbers| numbers.received));
        COUNTERS.watch_lost.inc_by(more(|numbers| numbers.lost));
        COUNTERS.watch_records_lost.inc_by(more(|numbers| numbers.records_lost));
        COUNTERS.watch_rescans.inc_by(more(|numbers| numbers.rescans));
        COUNTERS.watch_denied.inc_by(more(|numbers| numbers.denied));
        COUNTERS.watch_unresolved_names.inc_by(more(|numbers| numbers.unresolved));
        self.0 = Some(now);
    }
}
