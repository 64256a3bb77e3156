//! The bounded queue between the watch's thread and the actor.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::host::{HostError, HostEvent, Report};

/// Reports that wait for the actor. Whoever fills it never waits: an event that finds it full is dropped and counted.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    bell: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<HostEvent>,
    ready: Option<usize>,
    lost: Option<u64>,
    dropped: u64,
    ended: Option<Option<HostError>>,
}

/// What was reported since the last batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Events, in order.
    pub(super) events: Vec<HostEvent>,
    /// How many still wait.
    pub(super) left: usize,
    /// Those that were there at the start were told; how many the map holds.
    pub(super) ready: Option<usize>,
    /// So many events were lost before they came here, and the map is right again.
    pub(super) lost: Option<u64>,
    /// So many events found the queue full.
    pub(super) dropped: u64,
    /// The watch has ended, and why. No event of it is left.
    pub(super) ended: Option<Option<HostError>>,
}

impl Inbox {
    /// A queue for at most `capacity` events.
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), bell: Notify::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing is left half done under this lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a report.
    pub(super) fn put(&self, report: Report) {
        let mut waiting = self.lock();
        match report {
            Report::Event(event) if waiting.events.len() < self.capacity => waiting.events.push_back(event),
            Report::Event(_) => waiting.dropped += 1,
            Report::Ready { processes } => waiting.ready = Some(processes),
            Report::Lost { events } => waiting.lost = Some(waiting.lost.unwrap_or(0).saturating_add(events)),
            Report::Ended { error } => waiting.ended = Some(error),
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Waits until there is something, and takes at most `most` events of it.
    pub(super) async fn next(&self, most: usize) -> Batch {
        loop {
            if let Some(batch) = self.take(most) {
                return batch;
            }
            self.bell.notified().await;
        }
    }

    fn take(&self, most: usize) -> Option<Batch> {
        let mut waiting = self.lock();
        let count = waiting.events.len().min(most);
        let events: Vec<_> = waiting.events.drain(..count).collect();
        let left = waiting.events.len();
        // A burst once in a year need not be paid for ever.
        if left == 0 && waiting.events.capacity() > 4 * most {
            waiting.events = VecDeque::new();
        }
        let ended = if left == 0 { waiting.ended.take() } else { None };
        let (ready, lost) = (waiting.ready.take(), waiting.lost.take());
        let dropped = std::mem::take(&mut waiting.dropped);
        let batch = Batch { events, left, ready, lost, dropped, ended };
        let is_empty = batch.events.is_empty()
            && batch.ready.is_none()
            && batch.lost.is_none()
            && batch.dropped == 0
            && batch.ended.is_none();
        (!is_empty).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::created;
    use super::*;

    #[tokio::test]
    async fn what_finds_it_full_is_counted_and_the_rest_comes_in_order() {
        let inbox = Inbox::new(3);
        inbox.put(Report::Ready { processes: 7 });
        for pid in 1..=5 {
            inbox.put(Report::Event(created(pid, "a")));
        }
        inbox.put(Report::Lost { events: 2 });
        inbox.put(Report::Lost { events: 3 });
        inbox.put(Report::Ended { error: None });
        let first = inbox.next(2).await;
        let pids = |batch: &Batch| batch.events.iter().map(|event| event.process.pid.0).collect::<Vec<_>>();
        assert_eq!((pids(&first), first.left, first.dropped), (vec![1, 2], 1, 2));
        assert_eq!((first.ready, first.lost), (Some(7), Some(5)));
        assert!(first.ended.is_none(), "an event was still to come");
        let second = inbox.next(2).await;
        assert_eq!((pids(&second), second.left, second.dropped), (vec![3], 0, 0));
        assert!(matches!(second.ended, Some(None)) && second.lost.is_none());
        assert!(inbox.take(2).is_none());
    }
}
