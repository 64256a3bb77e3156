//! A source elsewhere, at its best and at its worst.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Handler, Message};
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use super::cron::sight;
use super::rig::{Rig, Settings, id, moment, pass, run, still};
use crate::actors::{Item, MonitorRegistry, Pulled, Source};
use crate::ids::{ProcessId, Slot};
use crate::process::{MonitorOrigin, MonitorRecord, MonitorSource, Origin, SentMessage};
use crate::supervise::Backoff;

/// What a source does when it is asked for a page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Fail,
    Hang,
    Panic,
    /// There is more, and nothing comes.
    EmptyMore,
    /// The result that was taken last comes again, in front of the next ones.
    Again,
    /// One result.
    Drip,
}

/// So many results, numbered from 0, each with its number for process `b`; the cursor of one is the number of the next. It
/// does what it was told, then gives what it has.
pub(super) struct Listing {
    results: u64,
    acts: Mutex<VecDeque<Act>>,
    pulls: AtomicU64,
}

impl Listing {
    pub(super) fn new(results: u64, acts: &[Act]) -> Arc<Self> {
        Arc::new(Self { results, acts: Mutex::new(acts.iter().copied().collect()), pulls: AtomicU64::new(0) })
    }

    pub(super) fn pulls(&self) -> u64 {
        self.pulls.load(Ordering::Relaxed)
    }

    fn page(&self, from: u64, first: u64, limit: u64) -> Pulled {
        let until = (from + limit).min(self.results);
        let message = |number: u64| SentMessage {
            target: "b".to_owned(),
            tags: Vec::new(),
            data: number.to_string(),
            anchor: String::new(),
        };
        let item = |number: u64| Item::Result {
            cursor: (number + 1).to_string(),
            // Of a long list only some send anything.
            messages: (self.results < 1_000 || number.is_multiple_of(100))
                .then(|| message(number))
                .into_iter()
                .collect(),
            others: 0,
        };
        Pulled { items: (first..until).map(item).collect(), has_more: until < self.results, ..Pulled::default() }
    }
}

impl Source for Listing {
    fn pull(&self, cursor: Option<String>, limit: usize) -> BoxFuture<'_, Result<Pulled, String>> {
        self.pulls.fetch_add(1, Ordering::Relaxed);
        let act = self.acts.lock().unwrap().pop_front();
        let (from, limit) = (cursor.map_or(0, |cursor| cursor.parse().unwrap()), limit as u64);
        Box::pin(async move {
            match act {
                None => Ok(self.page(from, from, limit)),
                Some(Act::Drip) => Ok(self.page(from, from, 1)),
                Some(Act::Again) => Ok(self.page(from, from.saturating_sub(1), limit.min(3))),
                Some(Act::EmptyMore) => Ok(Pulled { has_more: true, ..Pulled::default() }),
                Some(Act::Fail) => Err("it has a bad day".to_owned()),
                Some(Act::Hang) => std::future::pending().await,
                Some(Act::Panic) => std::panic::resume_unwind(Box::new("a panic of the source")),
            }
        })
    }
}

/// To a registry: run a monitor on this source.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct RunOn {
    record: MonitorRecord,
    source: Arc<dyn Source>,
}

impl RunOn {
    pub(super) fn new(process: &ProcessId, source: Arc<dyn Source>) -> Self {
        let record = MonitorRecord {
            asked_from: None,
            process: process.clone(),
            rate: Duration::from_secs(5),
            cursor: None,
            source: MonitorSource::Url("http://elsewhere".to_owned()),
            sequence: 0,
            started: 0,
            origin: MonitorOrigin::Cron,
            stopped: false,
        };
        Self { record, source }
    }
}

impl Handler<RunOn> for MonitorRegistry {
    type Result = ();

    fn handle(&mut self, RunOn { record, source }: RunOn, ctx: &mut Self::Context) {
        self.run(record, source, Backoff::for_restarts(), ctx);
    }
}

/// Lets time pass in small steps until `is_done`.
pub(super) async fn drain(rig: &Rig, is_done: impl Fn() -> bool) {
    let mut steps = 0;
    while !is_done() {
        moment().await;
        pass(Duration::from_millis(50)).await;
        steps += 1;
        assert!(steps < 100_000, "nothing comes of it; the store is {:?}", rig.store.is_healthy());
    }
}

/// What was pushed to process `b`, in the order of its log.
fn arrived(rig: &Rig) -> Vec<u64> {
    let entries = (0..).map_while(|slot| rig.store.entry(&id("b"), Slot(slot)).unwrap());
    entries.filter(|entry| entry.origin == Origin::Push).map(|entry| entry.message.data.parse().unwrap()).collect()
}

fn with_pages_of(page_limit: usize) -> Settings {
    let mut settings = Settings::default();
    settings.config.monitor.page_limit = page_limit;
    settings
}

async fn run_on(rig: &Rig, process: &ProcessId, source: Arc<Listing>) {
    let registry = &rig.hub.environment().services.get().unwrap().monitors[0];
    still(registry.send(RunOn::new(process, source))).await.unwrap();
}

/// All results arrive once each and in order, whatever the source does in between; then the monitor rests.
fn all_arrive(results: u64, acts: &[Act]) {
    run(with_pages_of(10), async |rig| {
        rig.process("b").await;
        let process = id("elsewhere");
        run_on(&rig, &process, Listing::new(results, acts)).await;
        let expected: Vec<u64> = (0..results).collect();
        drain(&rig, || rig.store.entry(&id("b"), Slot(results)).unwrap().is_some()).await;
        // More would come with the next rounds.
        for _ in 0..10 {
            pass(Duration::from_secs(5)).await;
            moment().await;
        }
        assert_eq!(arrived(&rig), expected, "{acts:?}");
        let sight = sight(&rig, &process).await;
        assert_eq!(sight.look().record.cursor, Some(results.to_string()), "{acts:?}");
        assert_eq!(sight.look().rounds.last_error, None);
        if !acts.iter().any(|act| matches!(act, Act::Panic)) {
            assert_eq!(sight.look().rounds.pushed, results, "{acts:?}");
        }
        assert_eq!(rig.store.monitor(&process).unwrap().unwrap().cursor, Some(results.to_string()));
        assert_eq!(rig.store.outbox_len(&process).unwrap(), 0);
    });
}

#[test]
fn each_way_to_misbehave_loses_nothing_and_repeats_nothing() {
    for act in [Act::Fail, Act::Hang, Act::Panic, Act::EmptyMore, Act::Again, Act::Drip] {
        all_arrive(35, &[act, Act::Drip, act, Act::Drip, act]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_mixture_of_misbehaviours_loses_or_repeats_anything(acts in prop::collection::vec(0usize..6, 0..12)) {
        let all = [Act::Fail, Act::Hang, Act::Panic, Act::EmptyMore, Act::Again, Act::Drip];
        let acts: Vec<Act> = acts.into_iter().map(|act| all[act]).collect();
        all_arrive(25, &acts);
    }
}

#[test]
fn ten_thousand_results_come_page_by_page() {
    run(with_pages_of(500), async |rig| {
        rig.process("b").await;
        let (process, listing) = (id("elsewhere"), Listing::new(10_000, &[]));
        run_on(&rig, &process, listing.clone()).await;
        drain(&rig, || rig.store.entry(&id("b"), Slot(100)).unwrap().is_some()).await;
        assert_eq!(arrived(&rig), (0..100).map(|n| n * 100).collect::<Vec<u64>>());
        assert!(listing.pulls() >= 20);
    });
}

#[test]
fn while_a_page_never_comes_ticks_are_skipped_and_counted() {
    run(with_pages_of(10), async |rig| {
        let process = id("elsewhere");
        run_on(&rig, &process, Listing::new(0, &[Act::Hang])).await;
        let sight = sight(&rig, &process).await;
        pass(Duration::from_secs(31)).await;
        let rounds = sight.look().rounds.clone();
        assert_eq!((rounds.ticks, rounds.skipped), (1, 6));
        pass(Duration::from_secs(40)).await;
        assert!(sight.look().rounds.ticks > 1, "a page is waited for, but not for ever");
    });
}

#[test]
fn an_empty_page_and_an_error_write_nothing() {
    for acts in [&[Act::EmptyMore, Act::EmptyMore, Act::EmptyMore], &[Act::Fail, Act::Fail, Act::Fail]] {
        run(with_pages_of(10), async |rig| {
            let (process, listing) = (id("elsewhere"), Listing::new(0, acts));
            let before = rig.faults.writes();
            run_on(&rig, &process, listing.clone()).await;
            pass(Duration::from_secs(60)).await;
            assert!(listing.pulls() >= 4, "{acts:?}");
            assert_eq!(rig.faults.writes(), before, "{acts:?}");
            assert_eq!(rig.store.monitor(&process).unwrap(), None);
        });
    }
}

#[test]
fn the_results_of_a_later_monitor_are_not_numbered_as_those_of_an_earlier_one() {
    run(with_pages_of(10), async |rig| {
        let process = id("elsewhere");
        let source = "http://127.0.0.1:9";
        let start = |cursor: &str| crate::actors::StartMonitor {
            process: process.clone(),
            rate: None,
            cursor: Some(cursor.to_owned()),
            source: MonitorSource::Url(source.to_owned()),
        };
        let mut sequences = Vec::new();
        for cursor in ["1", "2"] {
            assert_eq!(still(rig.hub.start_monitor(start(cursor))).await, Ok(true));
            sequences.push(rig.store.monitor(&process).unwrap().unwrap().sequence);
            assert_eq!(still(rig.hub.stop_monitor(&process)).await, Ok(true));
            pass(Duration::from_millis(1)).await;
        }
        assert!(sequences[1] - sequences[0] >= 1 << 20, "a later one has room of its own: {sequences:?}");
    });
}
