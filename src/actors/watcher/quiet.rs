//! What is said at most once in a while.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is said after something was.
const PAUSE: Duration = Duration::from_secs(60);

/// Keeps the log from being flooded with one thing: it says the first at once, the next after a minute.
#[derive(Debug, Default)]
pub(super) struct Quiet(Option<Instant>);

impl Quiet {
    /// Whether it may be said now; if so it is.
    pub(super) fn may(&mut self) -> bool {
        let now = Instant::now();
        let may = self.0.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        if may {
            self.0 = Some(now);
        }
        may
    }
}

/// A count of which is told at most once in a while, and everything in the end.
#[derive(Debug, Default)]
pub(super) struct Tally {
    untold: Option<u64>,
    quiet: Quiet,
}

impl Tally {
    /// So many more; 0 where nobody knows how many.
    pub(super) fn add(&mut self, count: u64) {
        self.untold = Some(self.untold.unwrap_or(0).saturating_add(count));
    }

    /// What is to be told now.
    pub(super) fn due(&mut self) -> Option<u64> {
        if self.untold.is_some() && self.quiet.may() { self.untold.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_at_once_and_the_rest_as_one() {
        let mut tally = Tally::default();
        assert_eq!(tally.due(), None);
        tally.add(5);
        assert_eq!((tally.due(), tally.due()), (Some(5), None));
        tally.add(2);
        tally.add(1);
        assert_eq!(tally.due(), None);
        tokio::time::sleep(PAUSE).await;
        assert_eq!((tally.due(), tally.due()), (Some(3), None));
        tokio::time::sleep(PAUSE).await;
        tally.add(0);
        assert_eq!(tally.due(), Some(0));
    }
}
