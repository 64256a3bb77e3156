//! How often something that keeps failing is started again.

use std::time::Duration;

use super::Backoff;

/// Who needed no restart for so long is well, and the next one comes at once.
const CALM: Duration = Duration::from_secs(10 * 60);

/// The restarts of one thing: the first at once, each further one a while after the one before.
#[derive(Clone, Debug)]
pub struct Restarts {
    backoff: Backoff,
    /// The last one, on the caller's clock, and how long it keeps the next one away.
    last: Option<(Duration, Duration)>,
}

impl Default for Restarts {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5 * 60));
        Self { backoff, last: None }
    }
}

impl Restarts {
    /// Whether there may be a restart at `now`, a time on a clock of the caller's that never runs backwards. One that is
    /// refused is not made up for: whoever still wants it asks again.
    pub fn may(&mut self, now: Duration) -> bool {
        if let Some((last, wait)) = self.last {
            let passed = now.saturating_sub(last);
            if passed < wait {
                return false;
            }
            if passed >= CALM {
                self.backoff.reset();
            }
        }
        self.last = Some((now, self.backoff.wait()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which a restart comes that is asked for each second, as long as `asked` holds.
    fn granted(seconds: u64, asked: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut restarts = Restarts::default();
        (0..seconds).filter(|second| asked(*second) && restarts.may(Duration::from_secs(*second))).collect()
    }

    #[test]
    fn restarts_come_ever_more_slowly_until_there_was_calm() {
        assert_eq!(granted(700, |_| true), [0, 1, 3, 7, 15, 31, 63, 127, 255, 511]);
        assert_eq!(
            granted(1_300, |second| !(4..=1_000).contains(&second)),
            [0, 1, 3, 1001, 1002, 1004, 1008, 1016, 1032, 1064, 1128, 1256]
        );
        assert_eq!(granted(20, |second| second.is_multiple_of(10)), [0, 10]);
    }
}
