//! A shell that is a list of what is under way, and a store that is a map. It checks each effect against a plain model.

use std::collections::BTreeSet;

use super::*;
use crate::push::Destination;

/// How a target takes what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// Fails for now; counted or not.
    Ill {
        counts: bool,
    },
    Gone,
}

/// A read under way: what it asked for, and what it found if it looked already.
#[derive(Debug)]
struct Read {
    source: ProcessId,
    after: Option<OutboxKey>,
    limit: usize,
    found: Option<(Vec<Found>, bool)>,
}

/// What an onlooker knows.
pub(super) struct World {
    pub(super) pushing: Pushing,
    pub(super) options: PushOptions,
    pub(super) now: Millis,
    /// What is in the outboxes.
    pub(super) store: BTreeMap<ProcessId, BTreeMap<OutboxKey, Target>>,
    pub(super) health: BTreeMap<Target, Health>,
    reads: Vec<Read>,
    pub(super) deliveries: Vec<(ProcessId, OutboxKey, Target)>,
    removals: Vec<(ProcessId, OutboxKey)>,
    wake_at: Option<Millis>,
    done: BTreeSet<(ProcessId, OutboxKey)>,
    idle: BTreeSet<ProcessId>,
    /// So many items were put into outboxes in all.
    numbers: u64,
    /// So many were read in all, the same one perhaps several times.
    pub(super) found: usize,
    pub(super) most_places: usize,
    pub(super) trace: bool,
}

/// The first letter of a target's name is where it is: `l` for this node, any other for that one.
pub(super) fn destination(target: &str) -> Destination {
    match target.split_at(1).0 {
        "l" => Destination::Local,
        far => Destination::Remote(far.into()),
    }
}

impl World {
    pub(super) fn new(options: PushOptions) -> Self {
        Self {
            pushing: Pushing::new(options),
            options,
            now: 1_000,
            store: BTreeMap::new(),
            health: BTreeMap::new(),
            reads: Vec::new(),
            deliveries: Vec::new(),
            removals: Vec::new(),
            wake_at: None,
            done: BTreeSet::new(),
            idle: BTreeSet::new(),
            numbers: 0,
            found: 0,
            most_places: 0,
            trace: false,
        }
    }

    /// Puts an item into an outbox without saying so.
    pub(super) fn put(&mut self, source: &ProcessId, target: &str) {
        let key = key(self.numbers);
        self.numbers += 1;
        self.store.entry(source.clone()).or_default().insert(key, target.into());
    }

    pub(super) fn wake(&mut self, source: &ProcessId) {
        self.idle.remove(source);
        self.pushing.wake(source, self.now);
        self.look();
    }

    fn health_of(&self, target: &str) -> Health {
        self.health.get(target).copied().unwrap_or(Health::Good)
    }

    /// A read looks into the store; its answer is still to come.
    pub(super) fn look_up(&mut self, index: usize) {
        let count = self.reads.len();
        if let Some(read) = self.reads.get_mut(index % count.max(1)) {
            Self::find(&self.store, read);
        }
    }

    fn find(store: &BTreeMap<ProcessId, BTreeMap<OutboxKey, Target>>, read: &mut Read) {
        if read.found.is_none() {
            let mut items = store.get(&read.source).into_iter().flatten().filter(|(key, _)| Some(**key) > read.after);
            let first: Vec<_> = items.by_ref().take(read.limit).collect();
            let found = |(key, target): (&OutboxKey, &Target)| Found {
                key: *key,
                target: target.clone(),
                destination: destination(target),
            };
            read.found = Some((first.into_iter().map(found).collect(), items.next().is_some()));
        }
    }

    /// A read is answered, well or not.
    pub(super) fn answer_read(&mut self, index: usize, is_good: bool) -> bool {
        if self.reads.is_empty() {
            return false;
        }
        let mut read = self.reads.remove(index % self.reads.len());
        if is_good {
            Self::find(&self.store, &mut read);
            let (items, has_more) = read.found.unwrap();
            self.found += items.len();
            self.pushing.loaded(&read.source, items, has_more, self.now);
        } else {
            self.pushing.load_failed(&read.source, "no".to_owned(), 7, self.now);
        }
        self.look();
        true
    }

    /// A delivery is answered as its target's health says.
    pub(super) fn answer_delivery(&mut self, index: usize) -> bool {
        if self.deliveries.is_empty() {
            return false;
        }
        let (source, key, target) = self.deliveries.remove(index % self.deliveries.len());
        match self.health_of(&target) {
            Health::Good => self.pushing.delivered(&source, key, self.now),
            Health::Ill { counts } => self.pushing.failed(&source, key, later(counts), 99, self.now),
            Health::Gone => self.pushing.failed(&source, key, never(), 99, self.now),
        }
        self.look();
        true
    }

    /// A removal comes into force; the pushing is told.
    pub(super) fn remove(&mut self, index: usize) -> bool {
        if self.removals.is_empty() {
            return false;
        }
        let (source, key) = self.removals.remove(index % self.removals.len());
        self.store.get_mut(&source).unwrap().remove(&key);
        self.pushing.removed(&source, key, self.now);
        self.look();
        true
    }

    /// Time goes on to when something is due, if anything is.
    pub(super) fn sleep(&mut self) -> bool {
        let Some(at) = self.wake_at.take() else { return false };
        self.now = self.now.max(at);
        self.pushing.tick(self.now);
        self.look();
        true
    }

    /// Answers all there is, without time going on.
    pub(super) fn answer_all(&mut self) {
        let steps = (0..).take_while(|_| self.answer_read(0, true) | self.answer_delivery(0) | self.remove(0));
        assert!(steps.take(100_000).count() < 100_000, "it goes on for ever: {:?}", self.pushing);
    }

    /// Answers all there is, as long as something happens and the time is not over.
    pub(super) fn run_until(&mut self, end: Millis) {
        self.answer_all();
        while self.wake_at.is_some_and(|at| at <= end) && self.sleep() {
            self.answer_all();
        }
    }

    /// Looks at what is to be done, and whether it may be.
    pub(super) fn look(&mut self) {
        for effect in self.pushing.take_effects() {
            if self.trace {
                eprintln!("{} {effect:?}", self.now);
            }
            match effect {
                Effect::Load { source, after, limit } => {
                    assert!(self.reads.iter().all(|read| read.source != source), "two reads of {source}");
                    self.reads.push(Read { source, after, limit, found: None });
                }
                Effect::Deliver { source, key, target, destination: to, attempt } => {
                    assert!(attempt > 0);
                    assert_eq!(to, destination(&target));
                    self.begin(source, key, target);
                }
                Effect::Sent { source, key } => self.end(source, key),
                Effect::Bury { source, key, target, error, attempts } => {
                    assert!(attempts > 0 && !error.is_empty());
                    assert_eq!(self.store[&source][&key], target);
                    self.end(source, key);
                }
                Effect::WakeAt(at) => {
                    assert!(self.wake_at.is_none_or(|before| at < before), "{at} is not before {:?}", self.wake_at);
                    self.wake_at = Some(at);
                }
                Effect::Idle(source) => assert!(self.idle.insert(source)),
                Effect::Note(_) => {}
            }
        }
        self.check();
    }

    /// A delivery begins: all that lies before it in its lane is done, and it was never done itself.
    fn begin(&mut self, source: ProcessId, key: OutboxKey, target: Target) {
        for (other, _) in self.store[&source].range(..=key).filter(|(_, its)| **its == target) {
            let is_done = self.done.contains(&(source.clone(), *other));
            assert_eq!(is_done, *other != key, "{source} sends {key:?} to {target}, and {other:?}?");
        }
        assert!(self.deliveries.iter().all(|(s, _, t)| (s, t) != (&source, &target)), "two at a time to {target}");
        self.deliveries.push((source, key, target));
    }

    fn end(&mut self, source: ProcessId, key: OutboxKey) {
        assert!(self.done.insert((source.clone(), key)), "{key:?} is done twice");
        self.removals.push((source, key));
    }

    fn check(&mut self) {
        let mut under_way: BTreeMap<Destination, usize> = BTreeMap::new();
        for (_, _, target) in &self.deliveries {
            *under_way.entry(destination(target)).or_default() += 1;
        }
        for (to, count) in under_way {
            let max = if to == Destination::Local { self.options.in_flight_local } else { self.options.in_flight };
            assert!(count <= max, "{count} under way to {to:?}");
        }
        assert!(self.reads.len() <= self.options.loads);
        assert_eq!(self.pushing.in_flight(), self.deliveries.len());
        let timers: usize = self.pushing.sources.values().map(Source::timers).sum();
        assert_eq!(self.pushing.timers.len(), timers, "{:?}", self.pushing.timers);
        let each: Vec<usize> = self.pushing.sources.values().map(Source::places).collect();
        let sum = each.iter().sum();
        assert_eq!(self.pushing.places(), sum);
        self.most_places = self.most_places.max(sum);
        let (of_all, of_one) = (2 * self.options.window_total + 2 * each.len(), 2 * self.options.window);
        assert!(sum <= of_all && each.iter().all(|places| *places <= of_one), "{each:?} places are taken");
    }

    /// Everything ended, and nothing is kept.
    pub(super) fn assert_over(&self) {
        let left: Vec<_> = self.store.values().flatten().collect();
        assert!(left.is_empty(), "{left:?} was left in the store; {:?}", self.pushing);
        assert!(self.reads.is_empty() && self.deliveries.is_empty() && self.removals.is_empty());
        assert_eq!((self.pushing.sources(), self.pushing.places(), self.pushing.in_flight()), (0, 0, 0));
        assert_eq!(self.idle.len(), self.store.len());
        assert_eq!(self.done.len() as u64, self.numbers);
    }
}
