//! Monitors: started, stopped, killed, taken up again.

use std::time::Duration;

use actix::{Handler, Message, MessageResult};

use super::cron::{define, restart, sight};
use super::outside::{Listing, RunOn, drain};
use super::rig::{Rig, id, moment, pass, still, usual};
use crate::actors::monitor_registry::WatchCron;
use crate::actors::ticker::Ticker;
use crate::actors::{Monitor, MonitorEnded, MonitorRegistry, Shutdown, StartMonitor};
use crate::ids::ProcessId;
use crate::process::MonitorSource;

/// To a registry: kill the monitor.
#[derive(Message)]
#[rtype(result = "()")]
struct KillMonitor(ProcessId);

/// To a registry, and on to the monitor: kill the ticker.
#[derive(Message)]
#[rtype(result = "()")]
struct KillTicker(ProcessId);

/// Whether the monitor lives at this moment.
#[derive(Message)]
#[rtype(result = "bool")]
struct Lives(ProcessId);

#[derive(Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<KillMonitor> for MonitorRegistry {
    type Result = ();

    fn handle(&mut self, KillMonitor(process): KillMonitor, _: &mut Self::Context) {
        self.running[&process].address.as_ref().unwrap().do_send(Die);
    }
}

impl Handler<KillTicker> for MonitorRegistry {
    type Result = ();

    fn handle(&mut self, kill: KillTicker, _: &mut Self::Context) {
        self.running[&kill.0].address.as_ref().unwrap().do_send(kill);
    }
}

impl Handler<Lives> for MonitorRegistry {
    type Result = MessageResult<Lives>;

    fn handle(&mut self, Lives(process): Lives, _: &mut Self::Context) -> Self::Result {
        let address = self.running.get(&process).and_then(|running| running.address.as_ref());
        MessageResult(address.is_some_and(|address| address.connected()))
    }
}

impl Handler<KillTicker> for Monitor {
    type Result = ();

    fn handle(&mut self, _: KillTicker, _: &mut Self::Context) {
        self.ticker.as_ref().unwrap().do_send(Die);
    }
}

impl Handler<Die> for Monitor {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Self::Context) {
        std::panic::resume_unwind(Box::new("killed"));
    }
}

impl Handler<Die> for Ticker {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Self::Context) {
        std::panic::resume_unwind(Box::new("killed"));
    }
}

async fn tell<M>(rig: &Rig, message: M) -> M::Result
where
    M: Message + Send + 'static,
    M::Result: Send,
    MonitorRegistry: Handler<M>,
{
    still(rig.hub.environment().services.get().unwrap().monitors[0].send(message)).await.unwrap()
}

async fn lives(rig: &Rig, process: &ProcessId) -> bool {
    tell(rig, Lives(process.clone())).await
}

/// How long it takes until the monitor lives again once it is killed.
async fn killed_for(rig: &Rig, process: &ProcessId) -> Duration {
    tell(rig, KillMonitor(process.clone())).await;
    still(async {
        while lives(rig, process).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let began = tokio::time::Instant::now();
    while !lives(rig, process).await {
        pass(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

fn start(process: &ProcessId, rate: Option<u64>, cursor: Option<&str>, url: Option<&str>) -> StartMonitor {
    let source = url.map_or(MonitorSource::Local, |url| MonitorSource::Url(url.to_owned()));
    let (rate, cursor) = (rate.map(Duration::from_secs), cursor.map(str::to_owned));
    StartMonitor { process: process.clone(), rate, cursor, source }
}

#[test]
fn the_three_forms_of_starting_are_kept_over_a_restart() {
    usual(async |rig| {
        let (a, b) = (rig.process("a").await, rig.process("b").await);
        let url = "http://127.0.0.1:9";
        let elsewhere = id("c");
        let forms = [
            (start(&a, None, None, None), 5, None),
            (start(&b, Some(7), None, None), 7, None),
            (start(&elsewhere, None, Some("7"), Some(url)), 5, Some("7")),
        ];
        for (start, ..) in &forms {
            assert_eq!(still(rig.hub.start_monitor(start.clone())).await, Ok(true));
            assert_eq!(still(rig.hub.start_monitor(start.clone())).await, Ok(false), "the same again");
            let other = StartMonitor { rate: Some(Duration::from_secs(99)), ..start.clone() };
            assert_eq!(still(rig.hub.start_monitor(other)).await.unwrap_err().code(), "conflict");
        }
        for _ in 0..2 {
            for (start, rate, cursor) in &forms {
                let sight = sight(&rig, &start.process).await;
                let record = sight.look().record.clone();
                assert_eq!(record.rate, Duration::from_secs(*rate));
                assert_eq!((record.cursor.as_deref(), &record.source), (*cursor, &start.source));
            }
            restart(&rig, Duration::from_secs(1)).await;
        }
        for (start, ..) in &forms {
            assert_eq!(still(rig.hub.stop_monitor(&start.process)).await, Ok(true));
            assert_eq!(still(rig.hub.stop_monitor(&start.process)).await, Ok(false));
        }
        restart(&rig, Duration::ZERO).await;
        assert!(still(rig.hub.monitors()).await.is_empty());
    });
}

#[test]
fn two_who_start_a_monitor_at_the_same_time_do_not_both_win() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let (first, second) = (start(&process, Some(3), None, None), start(&process, Some(4), None, None));
        let asked = async { tokio::join!(rig.hub.start_monitor(first), rig.hub.start_monitor(second)) };
        let (first, second) = still(asked).await;
        assert_eq!((first, second.unwrap_err().code()), (Ok(true), "overloaded"));
        let kept = rig.store.monitor(&process).unwrap().unwrap();
        assert_eq!(kept.rate, Duration::from_secs(3));
    });
}

#[test]
fn a_stopped_cron_monitor_stays_stopped_until_it_is_started() {
    usual(async |rig| {
        let process = define(&rig, "a", r#"[{"every":"1s"}]"#).await;
        sight(&rig, &process).await;
        assert_eq!(still(rig.hub.stop_monitor(&process)).await, Ok(true));
        restart(&rig, Duration::from_secs(10)).await;
        define(&rig, "a", r#"[{"every":"2s"}]"#).await;
        pass(Duration::from_secs(10)).await;
        assert!(!lives(&rig, &process).await);
        assert_eq!(still(rig.hub.start_monitor(start(&process, None, None, None))).await, Ok(true));
        restart(&rig, Duration::from_secs(1)).await;
        sight(&rig, &process).await;
    });
}

#[test]
fn a_monitor_is_stopped_for_good_in_the_middle_of_a_long_drain() {
    usual(async |rig| {
        rig.process("b").await;
        let (process, listing) = (id("elsewhere"), Listing::new(1_000_000, &[]));
        tell(&rig, RunOn::new(&process, listing.clone())).await;
        let sight = sight(&rig, &process).await;
        drain(&rig, || sight.look().rounds.pushed > 0).await;
        assert!(sight.look().rounds.is_pulling());
        assert_eq!(still(rig.hub.stop_monitor(&process)).await, Ok(true));
        let pulled = listing.pulls();
        pass(Duration::from_secs(60)).await;
        for _ in 0..10 {
            moment().await;
        }
        assert_eq!(listing.pulls(), pulled);
        assert_eq!(rig.store.monitor(&process).unwrap(), None, "nothing of the drain brings it back");
    });
}

#[test]
fn a_monitor_that_waits_to_be_started_again_can_be_stopped() {
    usual(async |rig| {
        for is_node in [false, true] {
            let process = define(&rig, "a", r#"[{"every":"1h"}]"#).await;
            sight(&rig, &process).await;
            tell(&rig, KillMonitor(process.clone())).await;
            still(async {
                while lives(&rig, &process).await {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            if is_node {
                tell(&rig, Shutdown).await;
            } else {
                assert_eq!(still(rig.hub.stop_monitor(&process)).await, Ok(true));
            }
            pass(Duration::from_secs(10)).await;
            assert!(!lives(&rig, &process).await, "is_node: {is_node}");
            let _ = still(rig.hub.start_monitor(start(&process, None, None, None))).await;
        }
    });
}

#[test]
fn a_monitor_that_dies_is_started_again_ever_later_and_at_once_after_a_while_of_health() {
    usual(async |rig| {
        let process = define(&rig, "a", r#"[{"every":"1h"}]"#).await;
        sight(&rig, &process).await;
        for expected in [100, 200, 400, 800] {
            let took = killed_for(&rig, &process).await;
            let expected = Duration::from_millis(expected);
            assert!(took >= expected && took <= expected * 2, "{took:?}, expected {expected:?}");
        }
        pass(Duration::from_secs(600)).await;
        let took = killed_for(&rig, &process).await;
        assert!(took <= Duration::from_millis(200), "{took:?}");
    });
}

#[test]
fn a_ticker_that_dies_is_started_again() {
    usual(async |rig| {
        let process = rig.process("a").await;
        assert_eq!(still(rig.hub.start_monitor(start(&process, Some(1), None, None))).await, Ok(true));
        let sight = sight(&rig, &process).await;
        pass(Duration::from_secs(5)).await;
        tell(&rig, KillTicker(process.clone())).await;
        let before = sight.look().rounds.ticks;
        pass(Duration::from_secs(5)).await;
        assert!(sight.look().rounds.ticks >= before + 4);
    });
}

#[test]
fn a_definition_that_comes_while_the_monitor_ends_for_want_of_entries_is_not_passed_over() {
    usual(async |rig| {
        let process = define(&rig, "a", r#"[{"every":"1h"}]"#).await;
        sight(&rig, &process).await;
        for (incarnation, is_defined_anew) in [(1, true), (2, false)] {
            if is_defined_anew {
                tell(&rig, WatchCron(process.clone())).await;
            }
            tell(&rig, MonitorEnded { process: process.clone(), incarnation, is_over: true }).await;
            assert_eq!(lives(&rig, &process).await, is_defined_anew);
        }
    });
}
