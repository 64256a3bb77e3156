//! How fast events of one route become messages: so many a second, and the rest is told as a number.

use crate::clock::Millis;

/// So many messages a second of one route.
pub(super) const RATE: u64 = 50;

/// The pace of one route. Pure: times come in.
#[derive(Debug, Default)]
pub(super) struct Pace {
    second: Millis,
    sent: u64,
}

impl Pace {
    /// Whether there may be one more message now; if so it counts.
    pub(super) fn take(&mut self, now: Millis) -> bool {
        if now / 1000 != self.second {
            (self.second, self.sent) = (now / 1000, 0);
        }
        let may = self.sent < RATE;
        self.sent += u64::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_so_many_messages() {
        let mut pace = Pace::default();
        let taken = |pace: &mut Pace, now| (0..500).filter(|_| pace.take(now)).count() as u64;
        assert_eq!(taken(&mut pace, 10_500), RATE);
        assert_eq!(taken(&mut pace, 10_999), 0);
        assert_eq!(taken(&mut pace, 11_000), RATE);
        // A clock that is set back gives a new second too.
        assert_eq!(taken(&mut pace, 3_000), RATE);
    }
}
