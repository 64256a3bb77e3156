//! The watcher: what it tells, what becomes messages, and what it does when the watch fails.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use serde_json::Value;

use super::rig::{Rig, id, still, usual};
use crate::actors::fake_machine::{FakeMachine, created, destroyed, process};
use crate::actors::messages::Shutdown;
use crate::actors::{Reconfigure, Watcher, Watching};
use crate::config::limits::LimitOverrides;
use crate::config::{WatchConfig, WatchRoute};
use crate::device::fake::Manner;
use crate::host::{EventKind, HostEvent, Report};
use crate::ids::ProcessId;
use crate::process::{Entry, Origin};

/// Longer than any wait before another try.
const LONG: Duration = Duration::from_secs(61);

/// A watcher of a made-up machine.
struct Watched {
    machine: FakeMachine,
    watcher: Addr<Watcher>,
    watching: Arc<Watching>,
}

impl Watched {
    async fn begin(rig: &Rig, config: WatchConfig) -> Self {
        let machine = FakeMachine::default();
        let begun = Watcher::begin(rig.hub.clone(), config, Arc::new(machine.clone()));
        let (watcher, watching) = still(begun).await.unwrap();
        Self { machine, watcher, watching }
    }

    /// The whole names of all events that the feed holds.
    fn told(&self) -> Vec<String> {
        let listening = self.watching.feed().listen(Some(0)).unwrap();
        listening.before.iter().map(|told| told.event.clone()).collect()
    }

    /// Returns once the feed holds so many events.
    async fn until_told(&self, rig: &Rig, events: usize) -> Vec<String> {
        rig.until_so("events are told", |_| self.told().len() >= events).await;
        self.told()
    }
}

fn route(event: &str, process: &str) -> WatchRoute {
    WatchRoute { event: event.to_owned(), process: id(process) }
}

fn routes(routes: &[(&str, &str)]) -> WatchConfig {
    let routes = routes.iter().map(|(event, process)| route(event, process)).collect();
    WatchConfig { routes, ..WatchConfig::default() }
}

/// What the watcher sent to a process.
fn sent(rig: &Rig, process: &ProcessId) -> Vec<Entry> {
    rig.log(process).into_iter().filter(|entry| entry.origin == Origin::Watch).collect()
}

fn events(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.message.tag("Event").unwrap()).collect()
}

fn renamed(pid: u32, from: &str, to: &str) -> HostEvent {
    HostEvent { kind: EventKind::Renamed { from: from.into() }, ..created(pid, to) }
}

#[test]
fn creations_and_ends_are_told_and_nothing_else() {
    usual(async |rig| {
        let config = WatchConfig { prefix: "Host".to_owned(), ..WatchConfig::default() };
        let watched = Watched::begin(&rig, config).await;
        let initial = HostEvent { kind: EventKind::Created { initial: true }, ..created(1, "init") };
        watched.machine.tell([initial, created(2, "a b"), renamed(2, "a b", "b"), destroyed(2, "b")]);
        watched.machine.report(Report::Lost { events: 3 });
        watched.machine.report(Report::Ready { processes: 1 });
        let told = watched.until_told(&rig, 2).await;
        assert_eq!(told, ["Host.Created.a b", "Host.Destroyed.b"]);
        watched.machine.set_processes(vec![process(5, "x")]);
        assert_eq!(still(watched.watching.processes()).await, [process(5, "x")]);
        let check = watched.watching.check();
        assert_eq!((check.name, check.error), ("watch", None));
        assert_eq!(check.detail.unwrap(), "ok, by poll: it is made up; without a kernel");
    });
}

#[test]
fn routes_make_messages_of_events_once_for_each_process() {
    usual(async |rig| {
        let (ops, all) = (rig.process("ops").await, rig.process("all").await);
        let config = routes(&[
            ("Process.Destroyed.nginx*", "ops"),
            ("*", "nobody"),
            ("Process.*.nginx-1", "ops"),
            ("*.?*", "all"),
        ]);
        let watched = Watched::begin(&rig, config).await;
        let lives = [created(2, "nginx-1"), destroyed(2, "nginx-1"), created(3, "sh")];
        // The same event told again is the same message.
        watched.machine.tell(lives.clone().into_iter().chain(lives));
        rig.until_so("they are sent", |rig| sent(rig, &all).len() == 3 && sent(rig, &ops).len() == 2).await;
        rig.wait(LONG).await;
        let (mut to_ops, to_all) = (sent(&rig, &ops), sent(&rig, &all));
        // Two routes do not wait for each other.
        to_ops.sort_by_key(|entry| entry.message.tag("Event").map(str::to_owned));
        assert_eq!(events(&to_ops), ["Process.Created.nginx-1", "Process.Destroyed.nginx-1"]);
        assert_eq!(events(&to_all), ["Process.Created.nginx-1", "Process.Destroyed.nginx-1", "Process.Created.sh"]);
        let message = &to_ops[1].message;
        assert_eq!((message.tag("Action"), message.tag("Coalesced")), (Some("HostEvent"), None));
        assert_eq!((message.from.as_str(), message.owner.as_str()), ("watch", "watch"));
        let data: Value = serde_json::from_str(&message.data).unwrap();
        assert_eq!((&data["event"], &data["exit_code"]), (&Value::from("Process.Destroyed.nginx-1"), &Value::from(3)));
        assert_eq!(message.data, watched.watching.feed().listen(Some(0)).unwrap().before[1].json);
    });
}

#[test]
fn a_storm_becomes_few_messages_that_tell_of_all() {
    usual(async |rig| {
        let ops = rig.process("ops").await;
        let watched = Watched::begin(&rig, routes(&[("*", "ops")])).await;
        let storm = 10_000;
        watched.machine.tell((1..=storm).map(|pid| created(pid, &pid.to_string())));
        let counted = |rig: &Rig| -> u64 {
            let count =
                |entry: &Entry| 1 + entry.message.tag("Coalesced").map_or(0, |count| count.parse::<u64>().unwrap());
            sent(rig, &ops).iter().map(count).sum()
        };
        rig.until_so("all are told of", |rig| counted(rig) == u64::from(storm)).await;
        let entries = sent(&rig, &ops);
        assert!(entries.len() < 500, "{} messages", entries.len());
        assert_eq!(events(&entries).last(), Some(&format!("Process.Created.{storm}").as_str()));
        assert_eq!(watched.told().len(), storm as usize, "the feed has each");
        rig.wait(LONG).await;
        assert_eq!(sent(&rig, &ops).len(), entries.len());
    });
}

#[test]
fn a_process_that_takes_nothing_gets_all_later_and_holds_up_nobody() {
    usual(async |rig| {
        let limits = LimitOverrides { queue: Some(1), ..LimitOverrides::default() };
        let (full, other) = (rig.process_within("full", "fake", limits).await, rig.process("other").await);
        rig.fakes.hold(&full, Manner::Obeying);
        let watched = Watched::begin(&rig, routes(&[("*", "full"), ("*", "other")])).await;
        watched.machine.tell((1..=20).map(|pid| created(pid, "a")));
        rig.until_so("the other has all", |rig| sent(rig, &other).len() == 20).await;
        assert!(sent(&rig, &full).len() < 20);
        rig.fakes.let_go();
        rig.until_so("they are taken in the end", |rig| sent(rig, &full).len() == 20).await;
        let pids: Vec<_> = sent(&rig, &full)
            .iter()
            .map(|entry| serde_json::from_str::<Value>(&entry.message.data).unwrap()["pid"].as_u64().unwrap())
            .collect();
        assert!(pids.into_iter().eq(1..=20), "in order");
    });
}

#[test]
fn a_watch_that_fails_is_started_again() {
    usual(async |rig| {
        let watched = Watched::begin(&rig, WatchConfig::default()).await;
        let detail = || watched.watching.check().detail.unwrap();
        watched.machine.refuse(3);
        watched.machine.tell([created(1, "a")]);
        watched.machine.fail();
        rig.until_so("it is tried again", |_| watched.machine.begun() == 2).await;
        assert!(detail().starts_with("not watching: ") && detail().contains("it was told not to"), "{}", detail());
        assert_eq!(watched.watching.check().error, None);
        rig.until_so("it runs again", |_| watched.machine.begun() == 5 && detail().starts_with("ok")).await;
        watched.machine.tell([created(2, "b")]);
        let told = watched.until_told(&rig, 2).await;
        assert_eq!(told, ["Process.Created.a", "Process.Created.b"]);
        rig.wait(LONG).await;
        assert_eq!(watched.machine.begun(), 5);
    });
}

#[test]
fn a_watch_that_cannot_start_is_an_error_at_once() {
    usual(async |rig| {
        let machine = FakeMachine::default();
        machine.refuse(1);
        let begun = Watcher::begin(rig.hub.clone(), WatchConfig::default(), Arc::new(machine.clone()));
        let error = still(begun).await.err().unwrap().to_string();
        assert!(error.contains("it was told not to"), "{error}");
        rig.wait(LONG).await;
        assert_eq!(machine.begun(), 1);
    });
}

#[test]
fn filters_prefix_and_routes_change_while_it_runs() {
    usual(async |rig| {
        let (old, new) = (rig.process("old").await, rig.process("new").await);
        let watched = Watched::begin(&rig, routes(&[("*", "old")])).await;
        watched.machine.tell([created(1, "a")]);
        rig.until_so("the old route is used", |rig| sent(rig, &old).len() == 1).await;
        let config = WatchConfig {
            prefix: "Host".to_owned(),
            exclude: vec!["secret*".to_owned()],
            queue: 1,
            ..routes(&[("Host.*", "new")])
        };
        still(watched.watcher.send(Reconfigure(config))).await.unwrap();
        assert_eq!(watched.machine.filter().exclude.len(), 1);
        watched.machine.tell([created(2, "b"), created(3, "c")]);
        rig.until_so("the new route is used", |rig| sent(rig, &new).len() == 2).await;
        assert_eq!(events(&sent(&rig, &new)), ["Host.Created.b", "Host.Created.c"]);
        assert_eq!((sent(&rig, &old).len(), watched.machine.begun()), (1, 1));
    });
}

#[test]
fn a_stop_ends_the_watch_and_everybody_who_listens() {
    usual(async |rig| {
        let watched = Watched::begin(&rig, WatchConfig::default()).await;
        let mut listening = watched.watching.feed().listen(None).unwrap();
        still(watched.watcher.send(Shutdown)).await.unwrap();
        assert!(listening.live.recv().await.is_err());
        assert!(watched.watching.feed().listen(None).is_none());
        rig.wait(LONG).await;
        assert_eq!(watched.machine.begun(), 1, "it is not started again");
    });
}
