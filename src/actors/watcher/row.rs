//! The messages of one route that wait for their process.

use std::collections::VecDeque;
use std::sync::Arc;

use super::feed::Told;
use super::pace::Pace;
use crate::clock::Millis;
use crate::ids::MessageId;

/// So many messages wait at most.
pub(super) const WAITING: usize = 256;

/// An event on its way to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) id: MessageId,
    pub(super) told: Arc<Told>,
    /// So many events before it were left out.
    pub(super) coalesced: u64,
}

/// What waits, in order. Pure: times come in.
///
/// Where events come faster than the pace, or than the process takes them, only the last is held, and how many it stands for.
/// So each event is a message or is counted in one, and a storm ends with a message that tells of it.
#[derive(Debug, Default)]
pub(super) struct Row {
    waiting: VecDeque<Letter>,
    pace: Pace,
    held: Option<Letter>,
    left_out: u64,
}

impl Row {
    /// Takes an event in. Says whether another was left out for it.
    pub(super) fn offer(&mut self, letter: Letter, now: Millis) -> bool {
        let left_out = self.held.replace(letter).is_some();
        self.left_out += u64::from(left_out);
        self.settle(now);
        left_out
    }

    /// Lets the event that is held become a message, if it may by now.
    pub(super) fn settle(&mut self, now: Millis) {
        if self.waiting.len() < WAITING
            && let Some(letter) = self.held.take()
        {
            if self.pace.take(now) {
                let coalesced = std::mem::take(&mut self.left_out);
                self.waiting.push_back(Letter { coalesced, ..letter });
            } else {
                self.held = Some(letter);
            }
        }
    }

    /// The message whose turn it is.
    pub(super) fn first(&self) -> Option<&Letter> {
        self.waiting.front()
    }

    /// The first message is delivered, or given up.
    pub(super) fn done(&mut self, now: Millis) {
        self.waiting.pop_front();
        self.settle(now);
    }

    /// How many events wait, as messages or counted in one.
    pub(super) fn len(&self) -> u64 {
        let stands_for = |letter: &Letter| letter.coalesced + 1;
        self.waiting.iter().map(stands_for).sum::<u64>() + self.left_out + u64::from(self.held.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pace::RATE;
    use super::*;

    fn letter(number: u64) -> Letter {
        let told = Told { id: number, event: String::new(), name: String::new(), json: String::new() };
        Letter { id: MessageId::derived(&[&number.to_le_bytes()]), told: Arc::new(told), coalesced: 0 }
    }

    fn drain(row: &mut Row, now: Millis) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        while let Some(letter) = row.first() {
            out.push((letter.told.id, letter.coalesced));
            row.done(now);
        }
        out
    }

    #[test]
    fn a_storm_is_told_by_its_first_events_and_its_last() {
        let mut row = Row::default();
        let left_out = (1..=500).filter(|number| row.offer(letter(*number), 10_500)).count() as u64;
        assert_eq!((left_out, row.len()), (500 - RATE - 1, 500));
        let sent: Vec<_> = (1..=RATE).map(|number| (number, 0)).collect();
        assert_eq!(drain(&mut row, 10_900), sent);
        row.settle(11_000);
        assert_eq!(drain(&mut row, 11_000), [(500, 500 - RATE - 1)]);
        row.offer(letter(501), 11_001);
        assert_eq!((drain(&mut row, 11_001), row.len()), (vec![(501, 0)], 0));
    }

    #[test]
    fn a_process_that_takes_nothing_costs_bounded_memory() {
        let mut row = Row::default();
        for number in 0..100_000 {
            row.offer(letter(number), number * 1000);
        }
        assert_eq!((row.waiting.len(), row.len()), (WAITING, 100_000));
        let out = drain(&mut row, 1_000_000_000);
        assert_eq!(out.len(), WAITING + 1);
        assert_eq!(out.last(), Some(&(99_999, 100_000 - 1 - WAITING as u64)));
    }

    proptest! {
        #[test]
        fn every_event_is_a_message_or_counted_in_one(
            steps in proptest::collection::vec((0u64..400, 0u8..4), 0..600),
        ) {
            let (mut row, mut now, mut offered, mut told, mut last) = (Row::default(), 1_000_000, 0, 0, 0);
            for (millis, step) in steps {
                now += millis * u64::from(step == 3);
                if step < 3 {
                    offered += 1;
                    row.offer(letter(offered), now);
                } else if let Some(first) = row.first() {
                    prop_assert!(first.told.id > last);
                    last = first.told.id;
                    told += 1 + first.coalesced;
                    row.done(now);
                } else {
                    row.settle(now);
                }
                prop_assert_eq!(offered, told + row.len());
            }
        }
    }
}
