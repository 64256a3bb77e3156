use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actix::{Actor as _, System};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::anomalies::Anomalies;
use super::*;
use crate::actors::tests::bare;
use crate::actors::{Exhibit, LagWatch};
use crate::metrics::catalogue::{ANOMALIES, ANOMALY_UNSEEN, LAG, LAG_MAX};
use crate::metrics::{Lags, Snapshot};
use crate::stats::{Labels, Selector, SeriesStore};

/// What is awaited from another thread comes within this time.
const PATIENCE: Duration = Duration::from_secs(60);

fn labels(text: &str) -> Labels {
    Labels::parse(text).unwrap()
}

fn rule(name: &str, metric: &str, labels: &str, window: usize) -> AnomalyConfig {
    let labels = Selector::parse(labels).unwrap();
    AnomalyConfig { name: name.to_owned(), metric: metric.to_owned(), labels, window, threshold: 3.0 }
}

/// How many anomalies each rule has found.
fn found(anomalies: &mut Anomalies) -> Vec<(String, f64)> {
    let mut snapshot = Snapshot::default();
    anomalies.show(&mut snapshot);
    let of = snapshot.iter().filter(|(metric, ..)| metric.name == ANOMALIES.name);
    of.map(|(_, labels, value)| (labels.get("anomaly").unwrap().to_owned(), value)).collect()
}

fn expected(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn each_series_is_held_against_what_it_was() {
    let mut anomalies = Anomalies::default();
    anomalies.replace(vec![rule("all", "m", "", 3), rule("one", "m", "a=\"y\"", 3), rule("none", "n", "", 3)]);
    let (x, y) = (labels("a=\"x\""), labels("a=\"y\""));
    // Each of the two is steady, though they are far from each other.
    for (values, so_far) in [
        ([1.0, 500.0], [0.0, 0.0]),
        ([1.0, 500.0], [0.0, 0.0]),
        ([1.0, 500.0], [0.0, 0.0]),
        ([1.0, 500.0], [0.0, 0.0]),
        ([2.0, 500.0], [1.0, 0.0]),
        ([1.0, 499.0], [2.0, 1.0]),
    ] {
        for (labels, value) in [(&x, values[0]), (&y, values[1])] {
            anomalies.observe("m", labels, value, Vec::new);
        }
        anomalies.settle();
        let [all, one] = so_far;
        assert_eq!(found(&mut anomalies), expected(&[("all", all), ("none", 0.0), ("one", one)]), "{values:?}");
    }
}

#[test]
fn a_reload_keeps_what_the_same_rule_has_seen() {
    let mut anomalies = Anomalies::default();
    let observe = |anomalies: &mut Anomalies, values: &[f64]| {
        for value in values {
            anomalies.observe("m", &labels(""), *value, Vec::new);
            anomalies.settle();
        }
    };
    anomalies.replace(vec![rule("kept", "m", "", 3), rule("changed", "m", "", 3), rule("gone", "m", "", 3)]);
    observe(&mut anomalies, &[1.0, 1.0, 1.0, 5.0]);
    assert_eq!(found(&mut anomalies), expected(&[("changed", 1.0), ("gone", 1.0), ("kept", 1.0)]));
    anomalies.replace(vec![rule("new", "m", "", 3), rule("changed", "m", "", 2), rule("kept", "m", "", 3)]);
    observe(&mut anomalies, &[900.0]);
    assert_eq!(found(&mut anomalies), expected(&[("changed", 1.0), ("kept", 2.0), ("new", 0.0)]));
}

#[test]
fn a_new_rule_knows_what_was_recorded_before_it() {
    for (earlier, verdict) in [(vec![], 0.0), (vec![1.0, 1.0], 0.0), (vec![70.0, 1.0, 1.0, 1.0], 1.0)] {
        let mut anomalies = Anomalies::default();
        anomalies.replace(vec![rule("new", "m", "", 3)]);
        anomalies.observe("m", &labels(""), 5.0, || earlier.clone());
        assert_eq!(found(&mut anomalies), expected(&[("new", verdict)]), "{earlier:?}");
    }
}

#[test]
fn a_rule_with_a_great_window_looks_at_few_series() {
    let mut anomalies = Anomalies::default();
    anomalies.replace(vec![rule("great", "m", "", 400_000)]);
    for number in 0..5 {
        anomalies.observe("m", &labels(&format!("a=\"{number}\"")), 1.0, Vec::new);
    }
    let mut snapshot = Snapshot::default();
    anomalies.show(&mut snapshot);
    let unseen = snapshot.iter().find(|(metric, ..)| metric.name == ANOMALY_UNSEEN.name).unwrap();
    assert_eq!(unseen.2, 3.0);
}

/// Hears of collections.
struct Ear(UnboundedSender<Collection>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Collection> for Ear {
    type Result = ();

    fn handle(&mut self, collection: Collection, _: &mut Self::Context) {
        let _ = self.0.send(collection);
    }
}

fn gatherer(folder: &std::path::Path, feeder: Feeder) -> Gatherer {
    let environment = bare(folder);
    let book = Book::new(SeriesStore::new(100, 1_000));
    let exhibit = Arc::new(Exhibit::new(environment.meters.clone(), book, environment.clock.clone()));
    Gatherer::new(Measured { exhibit, environment, lags: Arc::new(Lags::new(1)), feeders: vec![feeder] })
}

#[test]
fn a_clock_that_jumps_costs_what_lies_ahead_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let environment = bare(folder.path());
    let (clock, book) = (environment.clock.clone(), Book::new(SeriesStore::new(100, 1_000)));
    let exhibit = Arc::new(Exhibit::new(environment.meters.clone(), book, clock.clone()));
    let lags = Arc::new(Lags::new(1));
    let mut gatherer = Gatherer::new(Measured { exhibit: exhibit.clone(), environment, lags, feeders: Vec::new() });
    let day = 24 * 60 * 60 * 1_000;
    let times = || -> Vec<Millis> {
        let book = exhibit.book.open();
        book.get("mainstay_processes", &Labels::default()).unwrap().since(0).map(|(time, _)| time / day).collect()
    };
    for (now, days) in
        [(9, vec![9]), (10, vec![9, 10]), (5_000, vec![9, 10, 5_000]), (11, vec![9, 10, 11]), (0, vec![0])]
    {
        clock.set(now * day);
        gatherer.collect();
        assert_eq!(times(), days);
    }
    let losses = exhibit.book.open().losses();
    assert!(losses.ahead > 0 && losses.full == 0, "{losses:?}");
    let (mut snapshot, series) = (Snapshot::default(), exhibit.book.open().len());
    gatherer.show_node(&mut snapshot);
    let shown = snapshot.iter().find(|(metric, ..)| metric.name == "mainstay_series").unwrap();
    assert_eq!(shown.2, series as f64);
}

async fn heard(ear: &mut UnboundedReceiver<Collection>) -> Collection {
    tokio::time::timeout(PATIENCE, ear.recv()).await.unwrap().unwrap()
}

#[test]
fn a_collection_that_hangs_is_waited_for_and_one_that_breaks_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, closed) = mpsc::channel::<()>();
    let (closed, looks) = (Mutex::new(closed), Arc::new(AtomicUsize::new(0)));
    let counted = looks.clone();
    let feeder: Feeder = Arc::new(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => drop(closed.lock().unwrap().recv()),
        1 => panic!("a test breaks this"),
        _ => {}
    });
    System::new().block_on(async {
        let (sender, mut ear) = unbounded_channel();
        let listener = Ear(sender).start().recipient();
        let file = KeptFile::series(folder.path());
        let gatherer = gatherer(folder.path(), feeder);
        let beat = Duration::from_millis(5);
        let collector = Collector::new(gatherer, beat, vec![listener], Some(file.clone())).unwrap().start();
        let before = COUNTERS.collections_skipped.get();
        tokio::time::timeout(PATIENCE, async {
            while COUNTERS.collections_skipped.get() < before + 3 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert!(looks.load(Ordering::SeqCst) <= 1 && ear.try_recv().is_err());
        drop(gate);
        // The first and, after the one that broke, the third.
        for _ in 0..2 {
            heard(&mut ear).await;
        }
        assert!(looks.load(Ordering::SeqCst) >= 3);
        collector.send(Shutdown).await.unwrap();
        let saved = file.read(|bytes| SeriesStore::from_bytes(bytes, 100, 1_000)).unwrap().unwrap();
        assert!(saved.get("mainstay_processes", &Labels::default()).is_some());
    });
}

#[test]
fn a_thread_that_is_held_up_is_late_and_says_so_once() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        let lags = Arc::new(Lags::new(100));
        let watch = LagWatch { lags: lags.clone(), threshold: Duration::from_millis(50) };
        watch.here("held");
        tokio::time::sleep(Duration::from_millis(10_500)).await;
        let shown = || {
            let mut snapshot = Snapshot::default();
            lags.show(&mut snapshot);
            let of = |name| snapshot.iter().find(|(metric, ..)| metric.name == name).unwrap().2;
            (of(LAG.name), of(LAG_MAX.name))
        };
        let (current, greatest) = shown();
        assert!(current < 0.01 && greatest < 0.01, "{current} {greatest}");
        // As if the thread had been at something else: a timer half a second ahead fires three seconds late.
        tokio::time::advance(Duration::from_millis(3_500)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (current, greatest) = shown();
        assert!((2.9..3.1).contains(&current) && current == greatest, "{current} {greatest}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (current, greatest) = shown();
        assert!(current < 0.01 && (2.9..3.1).contains(&greatest), "{current} {greatest}");
    });
}
