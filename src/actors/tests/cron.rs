//! Cron entries through the whole node.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor as _, Addr};
use tokio::task::yield_now;

use super::rig::{Rig, Settings, id, moment, pass, run, still, usual};
use crate::actors::monitor_registry::WatchCron;
use crate::actors::{ListMonitors, MonitorRegistry, Shutdown, Sight, TakeUpMonitors};
use crate::client::{self, Client};
use crate::clock::Millis;
use crate::cron::{self, Entry, tick_id};
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::worker::Define;
use crate::process::{Origin, ProcessOrigin};

const EVERY_10_S: &str = r#"[{"every":"10s","data":"x","missed":"all"}]"#;
const TEN_SECONDS: Duration = Duration::from_secs(10);
const HOUR: Millis = 3_600_000;
const TEN_YEARS: Millis = 10 * 365 * 24 * HOUR;

fn entries(json: &str) -> Vec<Entry> {
    cron::of_process(serde_json::from_str(json).unwrap(), &[]).unwrap()
}

/// What the configuration would make of a process with these entries.
fn configured(rig: &Rig, process: &ProcessId, json: &str) -> Define {
    let mut define = Define { origin: ProcessOrigin::Config, ..rig.definition_of("fake") };
    define.definition.specification.cron = entries(json);
    rig.hub.environment().configured.store(Arc::new([process.clone()].into()));
    define
}

/// Makes the process one with these entries.
pub(super) async fn define(rig: &Rig, name: &str, json: &str) -> ProcessId {
    let process = id(name);
    let define = configured(rig, &process, json);
    still(rig.hub.define(&process, define)).await.unwrap();
    process
}

/// The monitor of the process, once it runs.
pub(super) async fn sight(rig: &Rig, process: &ProcessId) -> Sight {
    let looking = async {
        loop {
            match rig.hub.monitor(process).await {
                Some(sight) => return sight,
                None => yield_now().await,
            }
        }
    };
    still(looking).await
}

fn now(rig: &Rig) -> Millis {
    rig.hub.environment().clock.now_ms()
}

/// Returns once nothing is due that the monitor has not handled.
async fn handled(rig: &Rig, sight: &Sight) {
    let is_busy = || {
        let seen = sight.look();
        seen.rounds.is_pulling() || seen.rounds.next_due <= now(rig)
    };
    let looking = async {
        while is_busy() {
            yield_now().await;
        }
    };
    still(looking).await;
}

/// Lets so many steps pass, each time until what is due is handled.
async fn steps(rig: &Rig, sight: &Sight, count: usize, step: Duration) {
    for _ in 0..count {
        pass(step).await;
        handled(rig, sight).await;
    }
}

/// The ids of the ticks in the log, and when each was scheduled.
fn ticks(rig: &Rig, process: &ProcessId) -> Vec<(MessageId, Millis)> {
    let entries = (0..).map_while(|slot| rig.store.entry(process, Slot(slot)).unwrap());
    let ticks = entries.filter(|entry| entry.origin == Origin::Cron);
    ticks.map(|entry| (entry.message.id, entry.message.timestamp)).collect()
}

fn tick_ids(rig: &Rig, process: &ProcessId) -> Vec<MessageId> {
    ticks(rig, process).into_iter().map(|(id, _)| id).collect()
}

fn defined_at(rig: &Rig, process: &ProcessId) -> Millis {
    rig.store.entry(process, Slot::ZERO).unwrap().unwrap().message.timestamp
}

/// The ids of these due times of the one entry.
fn ids(process: &ProcessId, json: &str, dues: impl IntoIterator<Item = Millis>) -> Vec<MessageId> {
    let hash = entries(json)[0].content_hash();
    dues.into_iter().map(|due| tick_id(process, hash, due)).collect()
}

fn registry(rig: &Rig) -> Addr<MonitorRegistry> {
    rig.hub.environment().services.get().unwrap().monitors[0].clone()
}

/// Ends all monitors, lets time pass, and takes them up again as a node that starts does.
pub(super) async fn restart(rig: &Rig, away: Duration) {
    let registry = registry(rig);
    still(registry.send(Shutdown)).await.unwrap();
    pass(away).await;
    still(registry.send(TakeUpMonitors)).await.unwrap();
}

#[test]
fn the_ticks_of_a_day_are_in_the_log_once_each_in_order_and_on_time() {
    usual(async |rig| {
        let process = define(&rig, "a", EVERY_10_S).await;
        let sight = sight(&rig, &process).await;
        steps(&rig, &sight, 8_640, TEN_SECONDS).await;
        let (found, begin) = (ticks(&rig, &process), defined_at(&rig, &process));
        let dues: Vec<Millis> = (1..=8_640).map(|n| begin + n * 10_000).collect();
        assert_eq!(tick_ids(&rig, &process), ids(&process, EVERY_10_S, dues.clone()));
        for ((_, at), due) in found.into_iter().zip(dues) {
            assert!(at >= due && at - due <= 1, "due at {due}, scheduled at {at}");
        }
        assert_eq!(sight.look().rounds.pushed, 8_640);
    });
}

#[test]
fn a_change_of_the_clocks_in_a_zone_neither_loses_nor_repeats_a_day() {
    let settings = || {
        let mut settings = Settings::default();
        settings.config.monitor.default_cron_rate = Duration::from_secs(3_600);
        settings
    };
    let json = r#"[{"cron":"30 2 * * *","timezone":"Europe/Berlin"}]"#;
    // The night in spring has no 02:30: it is due when the clocks have changed. That in autumn has two: the first counts.
    let table = [
        ("2027-03-26T12:00:00Z", ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
        ("2027-10-29T12:00:00Z", ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
    ];
    let millis = |text: &str| Millis::try_from(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap();
    for (begin, dues) in table {
        run(settings(), async |rig| {
            rig.hub.environment().clock.set(millis(begin));
            let process = define(&rig, "a", json).await;
            let sight = sight(&rig, &process).await;
            steps(&rig, &sight, 3 * 48, Duration::from_secs(1_800)).await;
            let dues = dues.map(millis);
            assert_eq!(tick_ids(&rig, &process), ids(&process, json, dues), "{begin}");
            for ((_, at), due) in ticks(&rig, &process).into_iter().zip(dues) {
                assert!(at >= due && at - due <= 1, "due at {due}, scheduled at {at}");
            }
        });
    }
}

#[test]
fn a_clock_that_is_set_back_an_hour_sends_nothing_twice_and_goes_on_after_it() {
    usual(async |rig| {
        let process = define(&rig, "a", EVERY_10_S).await;
        let sight = sight(&rig, &process).await;
        steps(&rig, &sight, 5, TEN_SECONDS).await;
        let set = now(&rig);
        rig.hub.environment().clock.set(set - HOUR);
        steps(&rig, &sight, 355, TEN_SECONDS).await;
        assert_eq!(ticks(&rig, &process).len(), 5, "they had their ticks already");
        steps(&rig, &sight, 10, TEN_SECONDS).await;
        let begin = defined_at(&rig, &process);
        assert_eq!(tick_ids(&rig, &process), ids(&process, EVERY_10_S, (1..=10).map(|n| begin + n * 10_000)));
    });
}

#[test]
fn a_clock_that_is_set_ahead_ten_years_and_back_neither_storms_nor_stalls() {
    let json = r#"[{"every":"10s"}]"#;
    usual(async |rig| {
        let process = define(&rig, "a", json).await;
        let sight = sight(&rig, &process).await;
        steps(&rig, &sight, 3, TEN_SECONDS).await;
        let clock = rig.hub.environment().clock.clone();
        clock.set(clock.now_ms() + TEN_YEARS);
        steps(&rig, &sight, 6, TEN_SECONDS).await;
        let ahead = ticks(&rig, &process).len();
        assert!((8..=10).contains(&ahead), "3 before, the latest of those missed, one each 10 s: {ahead}");
        clock.set(clock.now_ms() - TEN_YEARS);
        steps(&rig, &sight, 60, TEN_SECONDS).await;
        let back = ticks(&rig, &process).len() - ahead;
        assert!((58..=61).contains(&back), "one each 10 s for 10 min: {back}");
        let begin = defined_at(&rig, &process);
        let last = (now(&rig) - begin) / 10_000;
        let expected = ids(&process, json, (last - 57..=last).map(|n| begin + n * 10_000));
        assert!(tick_ids(&rig, &process).ends_with(&expected), "they stay on the grid of the entry");
    });
}

#[test]
fn what_was_missed_while_the_node_was_down_is_made_up_for_as_the_entry_wants() {
    // The interval and the time away, in seconds, and how many ticks come at once then.
    let table = [("all", 10, 95, 9), ("latest", 10, 95, 1), ("none", 300, 390, 0), ("none", 10, 95, 1)];
    for (missed, interval, away, expected) in table {
        let json = format!(r#"[{{"every":"{interval}s","missed":"{missed}"}}]"#);
        usual(async |rig| {
            let process = define(&rig, "a", &json).await;
            sight(&rig, &process).await;
            restart(&rig, Duration::from_secs(away)).await;
            handled(&rig, &sight(&rig, &process).await).await;
            assert_eq!(ticks(&rig, &process).len(), expected, "{json} after {away} s");
            let sight = sight(&rig, &process).await;
            steps(&rig, &sight, 1, Duration::from_secs(interval)).await;
            assert_eq!(ticks(&rig, &process).len(), expected + 1, "{json}: then as usual");
        });
    }
}

#[test]
fn two_registries_over_one_store_schedule_each_tick_once_however_often_they_restart() {
    usual(async |rig| {
        let process = define(&rig, "a", EVERY_10_S).await;
        let client = Client::new(client::Options::default()).unwrap();
        let config = Settings::default().config.monitor;
        let second = MonitorRegistry::new(rig.hub.clone(), client, config, (0, 1)).start();
        for _ in 0..10 {
            still(second.send(WatchCron(process.clone()))).await.unwrap();
            let other = still(second.send(ListMonitors)).await.unwrap().remove(0);
            let first = sight(&rig, &process).await;
            for _ in 0..10 {
                pass(TEN_SECONDS).await;
                handled(&rig, &first).await;
                handled(&rig, &other).await;
                for sight in [&first, &other] {
                    assert_eq!(sight.look().rounds.last_error, None);
                }
            }
            still(second.send(Shutdown)).await.unwrap();
            restart(&rig, Duration::ZERO).await;
        }
        let begin = defined_at(&rig, &process);
        assert_eq!(tick_ids(&rig, &process), ids(&process, EVERY_10_S, (1..=100).map(|n| begin + n * 10_000)));
    });
}

#[test]
fn a_tick_that_finds_the_cursor_elsewhere_is_looked_for_anew() {
    let two = r#"[{"every":"10s","data":"x","missed":"all"},{"every":"15s","data":"y","missed":"all"}]"#;
    usual(async |rig| {
        let process = define(&rig, "a", EVERY_10_S).await;
        let sight = sight(&rig, &process).await;
        pass(Duration::from_secs(3)).await;
        // The definition is on its way to the disk when the tick is due by the one before.
        rig.faults.hold();
        let (hub, of) = (rig.hub.clone(), process.clone());
        let define = configured(&rig, &process, two);
        let defining = actix_rt::spawn(async move { hub.define(&of, define).await });
        for _ in 0..10 {
            moment().await;
            pass(Duration::from_secs(1)).await;
        }
        rig.faults.let_go();
        assert_eq!(still(defining).await.unwrap(), Ok(false));
        handled(&rig, &sight).await;
        steps(&rig, &sight, 10, TEN_SECONDS).await;
        let found = tick_ids(&rig, &process);
        let seen = sight.look();
        assert_eq!(seen.rounds.last_error, None);
        assert_eq!(seen.rounds.pushed, found.len() as u64, "only what got a slot counts");
        drop(seen);
        let begin = defined_at(&rig, &process);
        let of_first = ids(&process, EVERY_10_S, (1..=11).map(|n| begin + n * 10_000));
        let known: Vec<MessageId> = found.iter().filter(|id| of_first.contains(id)).cloned().collect();
        assert_eq!(known, of_first);
        assert_eq!(found.len() - known.len(), 7, "those of the new entry began with it: {found:?}");
    });
}

#[test]
fn entries_that_are_added_come_on_time_and_those_that_are_gone_come_no_more() {
    let both = r#"[{"every":"10s","data":"x","missed":"all"},{"every":"1s","data":"y"}]"#;
    let turned = r#"[{"every":"1s","data":"y"},{"every":"10s","data":"x","missed":"all"}]"#;
    usual(async |rig| {
        let process = define(&rig, "a", EVERY_10_S).await;
        let first = sight(&rig, &process).await;
        define(&rig, "a", both).await;
        steps(&rig, &first, 10, Duration::from_secs(1)).await;
        assert_eq!(ticks(&rig, &process).len(), 11, "a new entry is looked for at once, not after a rate");
        define(&rig, "a", turned).await;
        steps(&rig, &first, 10, Duration::from_secs(1)).await;
        assert_eq!(ticks(&rig, &process).len(), 22, "their order says nothing");
        define(&rig, "a", "[]").await;
        pass(Duration::from_secs(60)).await;
        moment().await;
        assert_eq!(ticks(&rig, &process).len(), 22);
        assert!(still(rig.hub.monitor(&process)).await.is_none(), "it ends with the entries");
        define(&rig, "a", EVERY_10_S).await;
        let again = sight(&rig, &process).await;
        steps(&rig, &again, 3, TEN_SECONDS).await;
        assert_eq!(ticks(&rig, &process).len(), 25);
    });
}
