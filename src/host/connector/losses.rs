//! How many events the kernel had to drop.

use std::collections::HashMap;

/// More CPUs than any machine has: the number comes from outside.
const CPUS: usize = 65_536;

/// Counts losses in two ways that agree where both can see: gaps in the numbers that each CPU gives its events, and the
/// drops that the socket counts, which show a loss before the next event does.
#[derive(Debug, Default)]
pub(super) struct Losses {
    next: HashMap<u32, u32>,
    gaps: u64,
    drops: u64,
    last_drops: Option<u32>,
    told: u64,
    /// Something is known to be lost that was not told yet.
    is_owed: bool,
}

impl Losses {
    /// `drops` is what the socket has counted so far.
    pub(super) fn new(drops: Option<u32>) -> Self {
        Self { last_drops: drops, ..Self::default() }
    }

    /// An event of `cpu` came with `number`.
    pub(super) fn number(&mut self, cpu: u32, number: u32) {
        if self.next.len() >= CPUS && !self.next.contains_key(&cpu) {
            return;
        }
        let Some(expected) = self.next.insert(cpu, number.wrapping_add(1)) else { return };
        let gap = number.wrapping_sub(expected);
        // A number from the past is no gap: the count began anew.
        if gap != 0 && gap <= u32::MAX / 2 {
            self.gaps = self.gaps.saturating_add(u64::from(gap));
            self.is_owed = true;
        }
    }

    /// The kernel said that it had to drop events.
    pub(super) fn overflowed(&mut self) {
        self.is_owed = true;
    }

    /// Whether there is a loss to be told once all that still waits has been read.
    pub(super) fn is_owed(&self) -> bool {
        self.is_owed
    }

    /// All that waited has been read: how many more were lost than were told, where a loss is known. `drops` is what the
    /// socket has counted so far.
    pub(super) fn settle(&mut self, drops: Option<u32>) -> Option<u64> {
        if !std::mem::take(&mut self.is_owed) {
            return None;
        }
        if let Some((last, now)) = self.last_drops.zip(drops) {
            self.drops = self.drops.saturating_add(u64::from(now.wrapping_sub(last)));
        }
        self.last_drops = drops;
        let all = self.gaps.max(self.drops);
        let new = all - self.told;
        let was_known_by_drops = new == 0 && self.drops >= self.gaps && self.last_drops.is_some() && self.drops > 0;
        self.told = all;
        (!was_known_by_drops).then_some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(numbers: &[(u32, u32)]) -> Losses {
        let mut losses = Losses::new(None);
        for (cpu, number) in numbers {
            losses.number(*cpu, *number);
        }
        losses
    }

    #[test]
    fn gaps_are_counted_for_each_cpu() {
        for (numbers, lost) in [
            (&[][..], None),
            (&[(0, 500)], None),
            (&[(0, 5), (1, 90), (0, 6), (1, 91)], None),
            (&[(0, 5), (0, 7)], Some(1)),
            (&[(0, 5), (1, 5), (0, 10), (1, 8)], Some(6)),
            (&[(0, u32::MAX), (0, 0), (0, 1)], None),
            (&[(0, u32::MAX), (0, 2)], Some(2)),
            (&[(0, 900), (0, 3), (0, 4)], None),
        ] {
            assert_eq!(run(numbers).settle(None), lost, "{numbers:?}");
        }
    }

    #[test]
    fn a_loss_that_the_socket_showed_first_is_not_told_again_by_its_gap() {
        let mut losses = Losses::new(Some(7));
        losses.number(0, 1);
        losses.overflowed();
        assert_eq!(losses.settle(Some(107)), Some(100));
        losses.number(0, 102);
        assert_eq!(losses.settle(Some(107)), None);
        losses.number(0, 104);
        assert_eq!(losses.settle(Some(108)), Some(1));
    }

    #[test]
    fn an_overflow_is_told_even_if_nobody_knows_how_much_it_was() {
        let mut losses = Losses::new(None);
        losses.overflowed();
        assert_eq!(losses.settle(None), Some(0));
        assert_eq!(losses.settle(None), None);
    }
}
