//! The last events of the watcher, for those who listen and those who come back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::clock::Millis;

/// So many events are kept for those who come back.
const KEPT: usize = 16_384;
/// A listener that is so many events behind loses some.
const BEHIND: usize = 8_192;

/// An event as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number. Each is one more than the last, and those of a later start of the node are higher.
    pub id: u64,
    /// Its whole name, such as `Process.Created.nginx`.
    pub event: String,
    /// The name of the host process.
    pub name: String,
    /// All of it as JSON, in one line.
    pub json: String,
}

/// The last events. Shared by the watcher and those who listen.
#[derive(Debug)]
pub struct Feed(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    last: VecDeque<Arc<Told>>,
    /// The number before the first event.
    origin: u64,
    /// The number of the last event.
    newest: u64,
    /// `None`: nobody has listened yet.
    live: Option<broadcast::Sender<Arc<Told>>>,
    is_closed: bool,
}

/// What a listener gets.
#[derive(Debug)]
pub struct Listening {
    /// Events that were told before, from the one after the last that the listener has.
    pub before: Vec<Arc<Told>>,
    /// How many after that one are no longer kept.
    pub gone: u64,
    /// Those to come. It ends with the node.
    pub live: broadcast::Receiver<Arc<Told>>,
}

impl Feed {
    /// A feed without events, of a node that started at `now`. Numbers begin with its microseconds, so that they go on
    /// growing over restarts of the node, and whoever comes back after one knows nothing twice.
    pub fn new(now: Millis) -> Self {
        let origin = now.saturating_mul(1000);
        let kept = Kept { last: VecDeque::new(), origin, newest: origin, live: None, is_closed: false };
        Self(Mutex::new(kept))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing is left half done under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells an event, which `make` makes with its number.
    pub fn tell(&self, make: impl FnOnce(u64) -> Told) -> Arc<Told> {
        let mut kept = self.lock();
        kept.newest += 1;
        let told = Arc::new(make(kept.newest));
        if kept.last.len() == KEPT {
            kept.last.pop_front();
        }
        kept.last.push_back(told.clone());
        if let Some(live) = &kept.live {
            // Nobody may listen, which is fine.
            let _ = live.send(told.clone());
        }
        told
    }

    /// Listens from now on, with what was told after the event `last`; without it only to what comes. `None`: the node stops.
    pub fn listen(&self, last: Option<u64>) -> Option<Listening> {
        let mut kept = self.lock();
        if kept.is_closed {
            return None;
        }
        let live = kept.live.get_or_insert_with(|| broadcast::channel(BEHIND).0).subscribe();
        // A number that this node has not given is of a node before it: everything is new to the listener.
        let given = kept.origin..=kept.newest;
        let last = last.map(|last| if given.contains(&last) { last } else { kept.origin });
        let before: Vec<_> = match last {
            Some(last) => kept.last.iter().filter(|told| told.id > last).cloned().collect(),
            None => Vec::new(),
        };
        let gone = last.map_or(0, |last| (kept.newest - last).saturating_sub(before.len() as u64));
        Some(Listening { before, gone, live })
    }

    /// Whether every listening is to end.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Ends every listening.
    pub fn close(&self) {
        let mut kept = self.lock();
        kept.is_closed = true;
        kept.live = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number before the first.
    const ORIGIN: u64 = 7000;

    fn feed(told: u64) -> Feed {
        let feed = Feed::new(ORIGIN / 1000);
        tell(&feed, told);
        feed
    }

    fn tell(feed: &Feed, times: u64) {
        for _ in 0..times {
            feed.tell(|id| Told { id, event: "e".to_owned(), name: "n".to_owned(), json: "{}".to_owned() });
        }
    }

    fn ids(told: &[Arc<Told>]) -> Vec<u64> {
        told.iter().map(|told| told.id - ORIGIN).collect()
    }

    #[test]
    fn who_comes_back_gets_what_came_meanwhile() {
        let feed = feed(5);
        let mut listening = feed.listen(Some(ORIGIN + 3)).unwrap();
        assert_eq!((ids(&listening.before), listening.gone), (vec![4, 5], 0));
        tell(&feed, 1);
        assert_eq!(listening.live.try_recv().unwrap().id, ORIGIN + 6);
        assert_eq!(feed.listen(None).unwrap().before, []);
    }

    #[test]
    fn what_is_no_longer_kept_is_counted() {
        let feed = feed(KEPT as u64 + 10);
        let listening = feed.listen(Some(ORIGIN + 4)).unwrap();
        assert_eq!((listening.before.len(), listening.gone), (KEPT, 6));
        assert_eq!(listening.before[0].id, ORIGIN + 11);
    }

    #[test]
    fn a_number_of_another_node_begins_anew() {
        for last in [0, 1, ORIGIN - 1, ORIGIN, ORIGIN + 3, u64::MAX] {
            let listening = feed(2).listen(Some(last)).unwrap();
            assert_eq!((ids(&listening.before), listening.gone), (vec![1, 2], 0), "{last}");
        }
    }

    #[test]
    fn a_closed_feed_ends_those_who_listen() {
        let feed = feed(0);
        let mut listening = feed.listen(None).unwrap();
        feed.close();
        tell(&feed, 1);
        assert!(matches!(listening.live.try_recv(), Err(broadcast::error::TryRecvError::Closed)));
        assert!(feed.listen(None).is_none());
    }
}
