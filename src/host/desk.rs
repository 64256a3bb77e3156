//! The thread between the reader and the sink: it keeps the map, and puts it right.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::backend::News;
use super::clock::SinceBoot;
use super::counters::{Counters, add};
use super::error::HostError;
use super::filter::Filter;
use super::observation::Snapshot;
use super::process::HostEvent;
use super::tracker::{Table, Tracker};
use super::watch::{Memory, Options, Parcel, Report};
use crate::config::BackendKind;

/// How many parcels are taken in before what is due gets its turn.
const AT_ONCE: usize = 256;
/// How long the desk rests between two handfuls of news, unless they are wanted in real time.
const REST: Duration = Duration::from_millis(1);
/// How long a flood may put off the look that makes the map right.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Desk {
    options: Options,
    /// The backend tells single events, so the looks at everything are the desk's.
    looks: bool,
    has_looked: bool,
    table: Box<dyn Table>,
    tracker: Arc<Mutex<Tracker>>,
    counters: Arc<Counters>,
    filter: Arc<ArcSwap<Filter>>,
    /// Since when the map is known to be wrong, and how many events it missed.
    wrong: Option<(SinceBoot, u64)>,
    next_rescan: SinceBoot,
    told: Vec<HostEvent>,
}

impl Desk {
    /// A desk that keeps the map in `memory`; one that goes on from another has to put it right first.
    pub(super) fn new(
        options: Options,
        backend: BackendKind,
        table: Box<dyn Table>,
        memory: Memory,
        goes_on: bool,
    ) -> Self {
        let now = SinceBoot::now();
        let looks = backend != BackendKind::Poll;
        let Memory { tracker, counters, filter } = memory;
        Self {
            next_rescan: if goes_on { now } else { now.plus(options.rescan) },
            options,
            looks,
            has_looked: goes_on,
            table,
            tracker,
            counters,
            filter,
            wrong: (goes_on && looks).then_some((now, 0)),
            told: Vec::new(),
        }
    }

    /// Works until the reader ends; says why it did unless it was asked to.
    pub(super) fn run(
        &mut self,
        inbox: &Receiver<Parcel>,
        in_flight: &AtomicUsize,
        sink: &mut dyn FnMut(Report),
    ) -> Option<HostError> {
        if self.looks && !self.has_looked {
            self.look_at_all(sink);
        }
        let error = loop {
            let mut next = inbox.recv_timeout(self.pause());
            let mut taken = 0;
            while let Ok(Parcel::News(news)) = next {
                self.take(news, in_flight, sink);
                taken += 1;
                next = if taken < AT_ONCE {
                    inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout)
                } else {
                    Err(RecvTimeoutError::Timeout)
                };
            }
            self.tick(sink);
            self.put_right(taken < AT_ONCE, sink);
            match next {
                Ok(Parcel::Failed(error)) => break Some(error),
                Err(RecvTimeoutError::Disconnected) => break None,
                // More is likely to follow, and the reader need not wake whoever wakes by itself.
                Err(RecvTimeoutError::Timeout) if taken > 0 && !self.options.realtime => thread::park_timeout(REST),
                Ok(Parcel::News(_)) | Err(RecvTimeoutError::Timeout) => {}
            }
        };
        let mut told = self.told_now();
        self.tracker().settle_all(&mut told);
        self.told = told;
        self.tell(sink);
        error
    }

    fn take(&mut self, news: News, in_flight: &AtomicUsize, sink: &mut dyn FnMut(Report)) {
        in_flight.fetch_sub(news.size(), Ordering::AcqRel);
        add(&self.counters.received, news.received);
        add(&self.counters.records_lost, news.records_lost);
        let mut told = self.told_now();
        let now = SinceBoot::now();
        let mut tracker = self.tracker();
        for observation in news.observations {
            tracker.apply(observation, now, &mut told);
        }
        drop(tracker);
        self.told = told;
        self.tell(sink);
        if let Some(snapshot) = news.snapshot {
            self.reconcile(&snapshot, sink);
        }
        if let Some(lost) = news.lost {
            add(&self.counters.lost, lost);
            let (since, before) = self.wrong.unwrap_or((now, 0));
            self.wrong = Some((since, before.saturating_add(lost)));
        }
    }

    fn tick(&mut self, sink: &mut dyn FnMut(Report)) {
        let mut told = self.told_now();
        lock(&self.tracker).tick(SinceBoot::now(), &mut *self.table, &mut told);
        self.told = told;
        self.tell(sink);
    }

    /// Compares the map with all that is there where it is known to be wrong, or from time to time.
    fn put_right(&mut self, is_drained: bool, sink: &mut dyn FnMut(Report)) {
        let now = SinceBoot::now();
        let is_wrong = self.wrong.is_some_and(|(since, _)| is_drained || now.since(since) >= PATIENCE);
        if !is_wrong && (now < self.next_rescan || !is_drained) {
            return;
        }
        if self.looks {
            if self.wrong.is_some() {
                self.tracker().distrust_sums();
            }
            add(&self.counters.rescans, 1);
            if !self.look_at_all(sink) {
                self.next_rescan = SinceBoot::now().plus(PATIENCE);
                return;
            }
        }
        self.next_rescan = SinceBoot::now().plus(self.options.rescan);
        if let Some((_, events)) = self.wrong.take() {
            sink(Report::Lost { events });
        }
    }

    /// Whether it could look.
    fn look_at_all(&mut self, sink: &mut dyn FnMut(Report)) -> bool {
        let tracker = Arc::clone(&self.tracker);
        let is_known = |pid, start| lock(&tracker).knows(pid, start);
        let Ok(snapshot) = self.table.snapshot(&is_known) else { return false };
        self.reconcile(&snapshot, sink);
        true
    }

    fn reconcile(&mut self, snapshot: &Snapshot, sink: &mut dyn FnMut(Report)) {
        let first = !std::mem::replace(&mut self.has_looked, true);
        let mut told = self.told_now();
        lock(&self.tracker).reconcile(snapshot, first, &mut *self.table, &mut told);
        self.told = told;
        self.tell(sink);
        if first {
            let processes = self.tracker().len();
            sink(Report::Ready { processes });
        }
    }

    fn tell(&mut self, sink: &mut dyn FnMut(Report)) {
        let filter = self.filter.load();
        for event in self.told.drain(..) {
            self.counters.count(&event);
            if filter.passes_event(&event) {
                sink(Report::Event(event));
            }
        }
    }

    /// How long there is nothing to do without news.
    fn pause(&self) -> Duration {
        let due = self.tracker().next_due().map_or(self.next_rescan, |due| due.min(self.next_rescan));
        due.since(SinceBoot::now())
    }

    fn told_now(&mut self) -> Vec<HostEvent> {
        std::mem::take(&mut self.told)
    }

    fn tracker(&self) -> MutexGuard<'_, Tracker> {
        lock(&self.tracker)
    }
}

fn lock(tracker: &Mutex<Tracker>) -> MutexGuard<'_, Tracker> {
    tracker.lock().unwrap_or_else(PoisonError::into_inner)
}
