//! The report on groups: told when something changed, and only then.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor as _, Addr};
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::rig::{Rig, pass, still, usual};
use crate::actors::{GroupMonitor, StartGroupMonitor, StopGroupMonitor};
use crate::device::fake::Manner;
use crate::ids::{GroupName, ProcessId};
use crate::process::RequestError;

/// A bit more than a second.
const A_LOOK: Duration = Duration::from_millis(1_050);

/// Writes down what is reported on groups.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Line {
    event: String,
    rest: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => value.clone_into(&mut self.event),
            name => self.rest.push_str(&format!(" {name}={value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.rest.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if ["group_report", "group_status", "group_gone"].contains(&line.event.as_str()) {
            self.0.lock().unwrap().push(line.event + &line.rest);
        }
    }
}

impl Ear {
    fn listen() -> (Self, DefaultGuard) {
        let ear = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(ear.clone()));
        (ear, guard)
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn start(monitor: &Addr<GroupMonitor>, group: Option<&GroupName>) -> Result<usize, RequestError> {
    let started = still(monitor.send(StartGroupMonitor { group: group.cloned() })).await.unwrap();
    started.map(|groups| groups.len())
}

async fn stop(monitor: &Addr<GroupMonitor>, group: Option<&GroupName>) -> bool {
    still(monitor.send(StopGroupMonitor { group: group.cloned() })).await.unwrap()
}

fn monitor(rig: &Rig, watches_all: bool) -> Addr<GroupMonitor> {
    GroupMonitor::new(rig.hub.clone(), watches_all).start()
}

fn of(process: &ProcessId) -> GroupName {
    GroupName::of_process(process)
}

#[test]
fn a_report_is_given_when_something_changed_and_only_then() {
    let (ear, _listening) = Ear::listen();
    usual(async |rig| {
        let a = rig.process("a").await;
        let _monitor = monitor(&rig, true);
        pass(A_LOOK).await;
        let first = ["group_report watched=all groups=1 appeared=1 vanished=0 changed=0".to_owned()];
        let heard = ear.heard();
        assert_eq!(heard[..1], first);
        assert_eq!(heard[1..], ["group_status group=a leader=process_worker queue=0 waiters=0"]);
        pass(10 * A_LOOK).await;
        assert_eq!(ear.heard(), [""; 0], "nothing changed");

        rig.fakes.hold(&a, Manner::Obeying);
        for slot in 1..=3 {
            assert_eq!(rig.schedule(&a, "x").await, Ok(slot));
        }
        rig.held(1).await;
        pass(A_LOOK).await;
        let heard = ear.heard();
        assert_eq!(heard[0], "group_report watched=all groups=1 appeared=0 vanished=0 changed=1", "{heard:?}");
        assert_eq!(heard.len(), 2, "{heard:?}");
        pass(5 * A_LOOK).await;
        assert_eq!(ear.heard(), [""; 0]);
        rig.fakes.let_go();
        rig.rest(&a).await;
        still(rig.hub.stop_worker(&a)).await.unwrap();
        rig.gone(&a).await;
        pass(A_LOOK).await;
        let heard = ear.heard();
        assert_eq!(heard[heard.len() - 1], "group_gone group=a leader=process_worker", "{heard:?}");
    });
}

#[test]
fn one_group_can_be_watched_and_the_others_are_not_told_of() {
    let (ear, _listening) = Ear::listen();
    usual(async |rig| {
        let a = rig.process("a").await;
        let b = rig.process("b").await;
        let monitor = monitor(&rig, false);
        pass(3 * A_LOOK).await;
        assert_eq!(ear.heard(), [""; 0], "nothing is watched");
        assert_eq!(start(&monitor, Some(&of(&a))).await, Ok(1));
        pass(A_LOOK).await;
        let told = ["group_report watched=a groups=1 appeared=1 vanished=0 changed=0"];
        let heard = ear.heard();
        assert_eq!((&heard[..1], heard.len()), (&told.map(str::to_owned)[..], 2), "{heard:?}");
        still(rig.hub.stop_worker(&b)).await.unwrap();
        rig.gone(&b).await;
        pass(3 * A_LOOK).await;
        assert_eq!(ear.heard(), [""; 0]);
        // A group that nobody leads can be watched until somebody does.
        assert_eq!(start(&monitor, Some(&of(&b))).await, Ok(0));
        pass(A_LOOK).await;
        assert_eq!(ear.heard(), [""; 0]);
        rig.ask(&b, "x").await.unwrap();
        rig.rest(&b).await;
        pass(A_LOOK).await;
        assert!(ear.heard()[0].starts_with("group_report watched=b groups=1 appeared=1"));
    });
}

#[test]
fn to_start_twice_is_to_start_once_and_so_is_to_stop() {
    let (ear, _listening) = Ear::listen();
    usual(async |rig| {
        let a = rig.process("a").await;
        let monitor = monitor(&rig, false);
        assert!(!stop(&monitor, None).await, "it is not on");
        assert_eq!(start(&monitor, None).await, Ok(1));
        assert_eq!(start(&monitor, None).await, Ok(1));
        pass(3 * A_LOOK).await;
        assert_eq!(ear.heard().len(), 2, "one report of one group");
        assert!(stop(&monitor, None).await);
        assert!(!stop(&monitor, None).await);
        // On again within the same second: it tells everything anew, and once.
        assert_eq!(start(&monitor, None).await, Ok(1));
        pass(3 * A_LOOK).await;
        assert_eq!(ear.heard().len(), 2);
        assert!(stop(&monitor, None).await);
        still(rig.hub.stop_worker(&a)).await.unwrap();
        rig.gone(&a).await;
        pass(5 * A_LOOK).await;
        assert_eq!(ear.heard(), [""; 0], "what is off says nothing");
        assert_eq!(start(&monitor, None).await, Ok(0));
        rig.ask(&a, "x").await.unwrap();
        rig.rest(&a).await;
        pass(A_LOOK).await;
        assert_eq!(ear.heard().len(), 2, "it looks again after it was off");
    });
}

#[test]
fn a_hundred_groups_can_be_watched_by_name_and_all_besides() {
    usual(async |rig| {
        let monitor = monitor(&rig, false);
        let name = |number: u8| GroupName::hashed(&super::rig::id("a"), &[number; 32]);
        for number in 0..100 {
            assert_eq!(start(&monitor, Some(&name(number))).await, Ok(0));
        }
        for _ in 0..2 {
            let refused = start(&monitor, Some(&name(100))).await;
            assert!(matches!(refused, Err(RequestError::Overloaded { key: "group_monitor", .. })), "{refused:?}");
            assert_eq!(start(&monitor, Some(&name(7))).await, Ok(0), "one that is watched is not one more");
            assert_eq!(start(&monitor, None).await, Ok(0));
        }
        assert!(stop(&monitor, Some(&name(7))).await);
        assert_eq!(start(&monitor, Some(&name(100))).await, Ok(0));
    });
}
