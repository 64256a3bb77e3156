//! The alert manager and its receivers.

use std::time::Duration;

use actix::{Actor as _, Addr, Handler, Message};
use serde_json::{Value, json};

use super::rig::{Rig, moment, still, usual};
use crate::actors::observers::AlertTools;
use crate::actors::{AlertBoard, AlertManager, AlertMemory, Book, Collection, ReloadAlerts};
use crate::alert::AlertState;
use crate::client::tests::server::{Act, Server, answer, client};
use crate::config::{AlertsConfig, Origin, parse};
use crate::ids::ProcessId;
use crate::ids::Slot;
use crate::process::{self, Order, PageQuery};
use crate::stats::{Labels, SeriesStore};

const INTERVAL: Duration = Duration::from_secs(5);

/// What the configuration makes of this text.
pub(super) fn config(text: &str) -> AlertsConfig {
    parse(text, &Origin::Embedded, &|_| Err(std::io::ErrorKind::NotFound.into())).unwrap().alerts
}

/// A rule `load > 1` that fires at once, with these receivers.
pub(super) fn rule(receivers: &str) -> String {
    format!("[[alert]]\nname = \"Busy\"\nmetric = \"load\"\nwhen = \"> 1\"\nreceivers = {receivers}\n")
}

pub(super) fn receiver(name: &str, kind: &str, line: &str) -> String {
    format!("[[receiver]]\nname = {name:?}\nkind = {kind:?}\n{line}\n")
}

/// Asks the manager whether it works.
#[derive(Message)]
#[rtype(result = "bool")]
struct AskBusy;

impl Handler<AskBusy> for AlertManager {
    type Result = bool;

    fn handle(&mut self, _: AskBusy, _: &mut Self::Context) -> bool {
        self.is_busy
    }
}

pub(super) struct Alerting<'r> {
    rig: &'r Rig,
    pub(super) board: AlertBoard,
    book: Book,
    pub(super) manager: Addr<AlertManager>,
}

impl<'r> Alerting<'r> {
    async fn start(rig: &'r Rig, text: &str) -> Self {
        Self::going_on(rig, text, None).await
    }

    /// Goes on from what the memory holds.
    pub(super) async fn going_on(rig: &'r Rig, text: &str, memory: Option<AlertMemory>) -> Self {
        let book = Book::new(SeriesStore::new(100, 5_000));
        let tools = AlertTools {
            hub: rig.hub.clone(),
            client: client(),
            book: book.clone(),
            interval: INTERVAL,
            generator: "http://node/alerts".to_owned(),
        };
        let board = AlertBoard::default();
        let manager = AlertManager::new(tools, &config(text), board.clone(), memory).start();
        let alerting = Self { rig, board, book, manager };
        alerting.settled().await;
        alerting
    }

    /// Measures the load of so many hosts, `at` so many seconds after the beginning.
    pub(super) async fn measure(&self, at: u64, hosts: u64, load: f64) {
        let at = 1_800_000_000_000 + at * 1_000;
        for host in 0..hosts {
            let labels = Labels::parse(&format!("host=\"{host}\"")).unwrap();
            self.book.open().record(at, "load", &labels, load).unwrap();
        }
        self.manager.send(Collection { at }).await.unwrap();
        self.settled().await;
    }

    pub(super) async fn reload(&self, text: &str) {
        self.manager.send(ReloadAlerts(config(text))).await.unwrap();
        self.settled().await;
    }

    /// Returns once the manager has nothing to do.
    pub(super) async fn settled(&self) {
        let resting = async {
            while self.manager.send(AskBusy).await.unwrap() {
                moment().await;
            }
        };
        still(resting).await;
        assert_eq!(self.board.skipped(), 0);
    }

    pub(super) async fn states(&self) -> Vec<AlertState> {
        still(self.board.alerts()).await.unwrap().into_iter().map(|alert| alert.state).collect()
    }

    fn failures(&self, receiver: &str) -> u64 {
        self.board.failures().into_iter().find(|(name, _)| name == receiver).unwrap().1
    }

    /// The messages in the log of `process` behind slot 0, once there are so many.
    pub(super) async fn messages(&self, process: &ProcessId, count: usize) -> Vec<process::Message> {
        let query =
            PageQuery { first: Slot(1), last: Slot(u64::MAX), limit: 999, bytes: u64::MAX, order: Order::Ascending };
        let mut looks = 0;
        loop {
            let page = self.rig.store.entries(process, &query).unwrap();
            if page.items.len() >= count {
                return page.items.into_iter().map(|entry| entry.message).collect();
            }
            moment().await;
            looks += 1;
            assert!(looks < 30_000, "{:?}", page.items);
        }
    }
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut looks = 0;
    while !holds() {
        moment().await;
        looks += 1;
        assert!(looks < 30_000, "waited in vain: {what}");
    }
}

pub(super) fn data(message: &process::Message) -> Value {
    serde_json::from_str(&message.data).unwrap()
}

/// State and host of each notice that a server has seen.
pub(super) fn heard(server: &Server) -> Vec<String> {
    let notices = server.seen().into_iter().map(|seen| serde_json::from_str::<Value>(&seen.body).unwrap());
    let text = |notice: Value| format!("{} {}", notice["state"].as_str().unwrap(), notice["labels"]["host"]);
    notices.map(text).collect()
}

pub(super) fn ok() -> Vec<Act> {
    vec![Act::Send(answer(200, &[], ""))]
}

#[test]
fn a_process_hears_of_an_alert_that_fires_goes_on_and_is_over() {
    usual(async |rig| {
        let process = rig.process("a").await;
        let text = receiver("them", "process", "process = \"a\"") + &rule("[\"them\", \"log\"]");
        let alerting = Alerting::start(&rig, &text).await;
        alerting.measure(0, 1, 1.0).await;
        alerting.measure(5, 1, 2.0).await;
        let first = alerting.messages(&process, 1).await;
        let [message] = &first[..] else { panic!("{first:?}") };
        assert_eq!((message.from.as_str(), message.tag("Action")), ("~alert", Some("Alert")));
        let expected = json!({
            "name": "Busy", "state": "firing", "severity": "warning", "message": "Alert Busy triggered",
            "labels": { "host": "0" }, "annotations": {}, "value": 2.0, "metrics": { "load": 2.0 },
            "timestamp": 1_800_000_005_000u64,
        });
        assert_eq!(data(message), expected);
        assert_eq!((alerting.board.counts(), alerting.states().await), ((0, 1), vec![AlertState::Firing]));
        for at in 2..=13 {
            alerting.measure(at * 5, 1, 3.0).await;
        }
        let again = alerting.messages(&process, 2).await;
        assert_eq!((again.len(), data(&again[1])["timestamp"].as_u64()), (2, Some(1_800_000_065_000)));
        for at in 14..=30 {
            alerting.measure(at * 5, 1, 0.0).await;
        }
        let all = alerting.messages(&process, 3).await;
        assert_eq!(all.len(), 3, "over is told once");
        assert_eq!(data(&all[2])["message"], "Alert Busy cleared");
        assert_eq!((alerting.board.counts(), alerting.failures("them")), ((0, 0), 0));
    });
}

#[test]
fn a_reload_keeps_alerts_and_ends_those_of_rules_that_are_gone() {
    usual(async |rig| {
        let (old, new) = (rig.process("old").await, rig.process("new").await);
        let first = receiver("one", "process", "process = \"old\"") + &rule("[\"one\"]");
        let alerting = Alerting::start(&rig, &first).await;
        alerting.measure(0, 1, 2.0).await;
        alerting.messages(&old, 1).await;
        let second = receiver("two", "process", "process = \"new\"") + &rule("[\"two\"]");
        alerting.reload(&second).await;
        alerting.measure(5, 1, 2.0).await;
        assert_eq!(alerting.states().await, [AlertState::Firing], "it is the same alert");
        alerting.measure(10, 1, 0.0).await;
        let told = alerting.messages(&new, 1).await;
        assert_eq!((told.len(), data(&told[0])["state"].as_str()), (1, Some("resolved")));
        alerting.measure(15, 1, 2.0).await;
        alerting.messages(&new, 2).await;
        alerting.reload("").await;
        let told = alerting.messages(&new, 3).await;
        assert_eq!(
            (told.len(), data(&told[2])["state"].as_str()),
            (3, Some("resolved")),
            "a receiver that goes hears the end"
        );
        assert_eq!((alerting.states().await, alerting.messages(&old, 1).await.len()), (vec![], 1));
    });
}

#[test]
fn a_receiver_that_hangs_delays_nobody_and_holds_little() {
    usual(async |rig| {
        tokio::time::resume();
        let (sick, well) = (Server::play([vec![Act::Hold]]).await, Server::play([ok()]).await);
        let text = receiver("sick", "webhook", &format!("url = \"{}\"", sick.url("/")))
            + &receiver("well", "webhook", &format!("url = \"{}\"", well.url("/")))
            + &rule("[\"sick\", \"well\"]");
        let alerting = Alerting::start(&rig, &text).await;
        alerting.measure(0, 900, 2.0).await;
        until("everybody heard", || well.seen().len() == 900).await;
        alerting.measure(5, 900, 0.0).await;
        until("everybody heard of the end", || well.seen().len() == 1800).await;
        assert!(sick.seen().len() <= 2, "one is on its way at a time");
        assert_eq!(
            (alerting.failures("well"), alerting.failures("sick")),
            (0, 0),
            "what is over needs no word that it was not"
        );
        // Others now, so that there is no room for all.
        let labels = |host: u64| Labels::parse(&format!("host=\"other-{host}\"")).unwrap();
        for host in 0..1_000 {
            alerting.book.open().record(1_800_000_010_000, "load", &labels(host), 2.0).unwrap();
        }
        alerting.manager.send(Collection { at: 1_800_000_010_000 }).await.unwrap();
        until("the rest is counted", || alerting.failures("sick") >= 800).await;
        let process = rig.process("p").await;
        assert_eq!(rig.ask(&process, "x").await.as_deref(), Ok("1"));
    });
}

#[test]
fn what_fails_is_tried_again_unless_it_is_needless_or_refused() {
    usual(async |rig| {
        tokio::time::resume();
        let refusing = vec![Act::Send(answer(400, &[], ""))];
        let failing = vec![Act::Send(answer(503, &[], ""))];
        let server = Server::play([failing.clone(), ok(), refusing, ok()]).await;
        let text = receiver("hook", "webhook", &format!("url = \"{}\"", server.url("/"))) + &rule("[\"hook\"]");
        let alerting = Alerting::start(&rig, &text).await;
        alerting.measure(0, 1, 2.0).await;
        until("it failed", || alerting.failures("hook") == 1).await;
        alerting.measure(5, 1, 0.0).await;
        until("the end is told", || server.seen().len() == 2).await;
        assert_eq!(heard(&server), ["firing \"0\"", "resolved \"0\""]);
        alerting.measure(10, 1, 2.0).await;
        until("it is refused", || alerting.failures("hook") == 2).await;
        alerting.measure(15, 1, 0.0).await;
        until("the end is told", || server.seen().len() == 4).await;
        assert_eq!(heard(&server)[2..], ["firing \"0\"", "resolved \"0\""], "what is refused is not tried again");
    });
}

#[test]
fn an_alertmanager_hears_many_at_once_and_when_each_ends() {
    usual(async |rig| {
        tokio::time::resume();
        let server = Server::play([ok()]).await;
        let text =
            receiver("manager", "alertmanager", &format!("url = \"{}\"", server.url(""))) + &rule("[\"manager\"]");
        let alerting = Alerting::start(&rig, &text).await;
        let posted = || -> Vec<Value> {
            let bodies = server.seen().into_iter().map(|seen| serde_json::from_str::<Vec<Value>>(&seen.body).unwrap());
            bodies.flatten().collect()
        };
        alerting.measure(0, 100, 2.0).await;
        until("all are posted", || posted().len() == 100).await;
        assert!(server.seen().len() <= 3, "{}", server.seen().len());
        let first = posted()[0].clone();
        assert_eq!(first["labels"], json!({ "alertname": "Busy", "severity": "warning", "host": "0" }));
        assert_eq!(
            (&first["startsAt"], &first["endsAt"]),
            (&json!("2027-01-15T08:00:00Z"), &json!("2027-01-15T08:04:00Z"))
        );
        assert_eq!(first["generatorURL"], "http://node/alerts");
        alerting.measure(5, 100, 0.0).await;
        until("the ends are posted", || posted().len() == 200).await;
        assert_eq!(posted()[199]["endsAt"], "2027-01-15T08:00:05Z");
    });
}

#[test]
fn an_evaluation_that_comes_while_another_is_at_work_is_skipped_and_counted() {
    usual(async |rig| {
        let alerting = Alerting::start(&rig, &rule("[\"log\"]")).await;
        alerting.measure(0, 1, 2.0).await;
        {
            // Nobody gets on while the alerts are held.
            let (board, (release, held)) = (alerting.board.clone(), std::sync::mpsc::channel::<()>());
            let (sender, taken) = tokio::sync::oneshot::channel();
            let holder = std::thread::spawn(move || {
                let alerts = board.open();
                let _ = sender.send(());
                let _ = held.recv();
                drop(alerts);
            });
            still(taken).await.unwrap();
            for second in 1..=3 {
                still(alerting.manager.send(Collection { at: 1_800_000_000_000 + second * 1_000 })).await.unwrap();
            }
            assert_eq!(alerting.board.skipped(), 2);
            drop(release);
            holder.join().unwrap();
        }
        while still(alerting.manager.send(AskBusy)).await.unwrap() {
            moment().await;
        }
        let (at, labels) = (1_800_000_005_000, Labels::parse("host=\"0\"").unwrap());
        alerting.book.open().record(at, "load", &labels, 0.0).unwrap();
        still(alerting.manager.send(Collection { at })).await.unwrap();
        until("it goes on", || alerting.board.counts() == (0, 0)).await;
        assert_eq!(alerting.board.skipped(), 2);
    });
}
