//! The alert manager over restarts: what is written when, and what that is good for.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use super::alerts::{Alerting, data, heard, ok, receiver, rule, until};
use super::rig::{Rig, still, usual};
use crate::actors::messages::Shutdown;
use crate::actors::{AlertMemory, Collection};
use crate::alert::{AlertState, SavedAlerts};
use crate::client::tests::server::{Act, Server, answer};
use crate::ids::ProcessId;
use crate::process::{Order, PageQuery};
use crate::store::{KeptFile, KeptFileError, Store};

/// A disk with what was written last.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Option<Vec<u8>>>>);

impl Disk {
    fn memory(&self) -> AlertMemory {
        let disk = self.clone();
        AlertMemory::new(self.read(), move |bytes| {
            *disk.0.lock().unwrap() = Some(bytes.to_vec());
            Ok(())
        })
    }

    fn read(&self) -> Option<SavedAlerts> {
        self.0.lock().unwrap().as_ref().map(|bytes| SavedAlerts::from_bytes(bytes).unwrap())
    }

    /// How many notices are owed to `receiver`.
    fn owed(&self, receiver: &str) -> usize {
        self.read().and_then(|saved| saved.owed.get(receiver).map(Vec::len)).unwrap_or_default()
    }

    /// Returns once nobody is owed anything.
    async fn is_settled(&self) {
        until("everybody's taking is written", || self.read().is_some_and(|saved| saved.owed.is_empty())).await;
    }
}

fn messages(store: &Store, process: &ProcessId) -> usize {
    let bounds = (crate::ids::Slot(1), crate::ids::Slot(u64::MAX));
    let query = PageQuery { first: bounds.0, last: bounds.1, limit: 999, bytes: u64::MAX, order: Order::Ascending };
    store.entries(process, &query).unwrap().items.len()
}

fn to_process(rig: &Rig) -> (Store, String) {
    let text = receiver("them", "process", "process = \"a\"") + &rule("[\"them\"]");
    (rig.store.clone(), text)
}

#[test]
fn what_is_found_is_written_first_and_told_then() {
    usual(async |rig| {
        tokio::time::resume();
        let process = rig.process("a").await;
        let (store, text) = to_process(&rig);
        let (sender, written) = channel();
        let (asked, disk) = (process.clone(), Disk::default());
        let mut memory = disk.memory();
        let mut write = memory.write;
        memory.write = Box::new(move |bytes| {
            let owed = SavedAlerts::from_bytes(bytes).unwrap().owed.get("them").map_or(0, Vec::len);
            sender.send((owed, messages(&store, &asked))).unwrap();
            write(bytes)
        });
        let alerting = Alerting::going_on(&rig, &text, Some(memory)).await;
        alerting.measure(0, 1, 1.0).await;
        assert!(written.try_recv().is_err(), "there is nothing to write");
        alerting.measure(5, 1, 2.0).await;
        alerting.messages(&process, 1).await;
        assert_eq!(written.recv().unwrap(), (1, 0), "it is owed before anybody is told");
        disk.is_settled().await;
        let mut last = (1, 0);
        written.try_iter().for_each(|one| last = one);
        assert_eq!(last, (0, 1));
        // Nothing that is worth a write.
        alerting.measure(10, 1, 3.0).await;
        assert!(written.try_recv().is_err());
    });
}

#[test]
fn whoever_was_told_is_not_told_again_and_hears_of_the_end() {
    usual(async |rig| {
        tokio::time::resume();
        let process = rig.process("a").await;
        let (_, text) = to_process(&rig);
        let disk = Disk::default();
        let first = Alerting::going_on(&rig, &text, Some(disk.memory())).await;
        first.measure(0, 1, 2.0).await;
        disk.is_settled().await;
        // It goes without a word, as with a crash; what it would still do is nobody's business.
        let second = Alerting::going_on(&rig, &text, Some(disk.memory())).await;
        assert_eq!(second.states().await, [AlertState::Firing]);
        second.manager.send(Collection { at: 1_900_000_000_000 }).await.unwrap();
        second.settled().await;
        assert_eq!(second.states().await, [AlertState::Firing], "nothing is measured yet");
        second.measure(100_000_005, 1, 2.0).await;
        assert_eq!((second.states().await, messages(&rig.store, &process)), (vec![AlertState::Firing], 1));
        second.measure(100_000_010, 1, 0.0).await;
        let told = second.messages(&process, 2).await;
        assert_eq!((told.len(), data(&told[1])["state"].as_str()), (2, Some("resolved")));
    });
}

#[test]
fn what_was_not_taken_is_told_after_the_restart() {
    usual(async |rig| {
        tokio::time::resume();
        let failing = Server::play([vec![Act::Send(answer(503, &[], ""))]]).await;
        let (well, disk) = (Server::play([ok()]).await, Disk::default());
        let hook =
            |server: &Server, more: &str| receiver("hook", "webhook", &format!("url = \"{}\"", server.url("/"))) + more;
        let first = Alerting::going_on(&rig, &hook(&failing, &rule("[\"hook\"]")), Some(disk.memory())).await;
        first.measure(0, 2, 2.0).await;
        until("it is tried", || first.board.failures().contains(&("hook".to_owned(), 1))).await;
        first.measure(5, 1, 0.0).await;
        first.manager.send(Shutdown).await.unwrap();
        assert_eq!(disk.owed("hook"), 2);
        // The rule is gone: its other alert is over with it.
        let second = Alerting::going_on(&rig, &hook(&well, ""), Some(disk.memory())).await;
        let has_ended = |host: u64| heard(&well).contains(&format!("resolved \"{host}\""));
        until("both ends are told", || has_ended(0) && has_ended(1)).await;
        disk.is_settled().await;
        let mut ends = heard(&well);
        ends.retain(|told| told.starts_with("resolved"));
        assert_eq!(ends.len(), 2, "each once");
        assert_eq!((second.states().await, disk.read().unwrap().rules.len()), (vec![], 0));
    });
}

#[test]
fn a_receiver_that_moves_hears_there_what_it_had_not_taken() {
    usual(async |rig| {
        tokio::time::resume();
        let failing = Server::play([vec![Act::Send(answer(503, &[], ""))]]).await;
        let well = Server::play([ok()]).await;
        let text = |server: &Server| {
            receiver("hook", "webhook", &format!("url = \"{}\"", server.url("/"))) + &rule("[\"hook\"]")
        };
        let alerting = Alerting::going_on(&rig, &text(&failing), None).await;
        alerting.measure(0, 1, 2.0).await;
        until("it is tried", || alerting.board.failures().contains(&("hook".to_owned(), 1))).await;
        alerting.reload(&text(&well)).await;
        until("it is told elsewhere", || !well.seen().is_empty()).await;
        assert_eq!(heard(&well), ["firing \"0\""]);
    });
}

#[test]
fn a_stop_writes_how_long_everything_was_so() {
    usual(async |rig| {
        tokio::time::resume();
        let process = rig.process("a").await;
        let (_, text) = to_process(&rig);
        let (text, disk) = (text + "for = \"20s\"\n", Disk::default());
        let first = Alerting::going_on(&rig, &text, Some(disk.memory())).await;
        for at in 0..4 {
            first.measure(at * 5, 1, 2.0).await;
        }
        first.manager.send(Shutdown).await.unwrap();
        assert!(first.manager.send(Shutdown).await.is_err(), "it has ended");
        let second = Alerting::going_on(&rig, &text, Some(disk.memory())).await;
        second.measure(1_000_000, 1, 2.0).await;
        second.measure(1_000_005, 1, 2.0).await;
        assert_eq!(
            second.messages(&process, 1).await.len(),
            1,
            "fifteen seconds before the stop, and five or more after it"
        );
    });
}

/// A memory whose writes wait for `go`.
fn stuck(go: Receiver<()>) -> AlertMemory {
    AlertMemory::new(None, move |_| {
        let _ = go.recv();
        Ok(())
    })
}

#[test]
fn a_disk_that_hangs_or_fails_keeps_nobody_from_being_told() {
    usual(async |rig| {
        tokio::time::resume();
        let process = rig.process("a").await;
        let (_, text) = to_process(&rig);
        let (go, gone) = channel();
        let alerting = Alerting::going_on(&rig, &text, Some(stuck(gone))).await;
        alerting.measure(0, 1, 2.0).await;
        alerting.measure(5, 1, 0.0).await;
        assert_eq!(alerting.messages(&process, 2).await.len(), 2);
        assert_eq!(alerting.board.skipped(), 0);
        drop(go);
        let refusing = AlertMemory::new(None, |_| {
            Err(KeptFileError::Write {
                path: "alerts".into(),
                what: "alerts",
                source: std::io::ErrorKind::StorageFull.into(),
            })
        });
        let other = Alerting::going_on(&rig, &text, Some(refusing)).await;
        other.measure(50, 1, 2.0).await;
        assert_eq!(other.messages(&process, 3).await.len(), 3);
        still(other.manager.send(Shutdown)).await.unwrap();
    });
}

#[test]
fn the_file_of_a_node_is_such_a_disk() {
    usual(async |rig| {
        tokio::time::resume();
        rig.process("a").await;
        let (_, text) = to_process(&rig);
        let file = KeptFile::alerts(rig.folder.path());
        let writer = file.clone();
        let memory = AlertMemory::new(None, move |bytes| writer.write(bytes));
        let alerting = Alerting::going_on(&rig, &text, Some(memory)).await;
        alerting.measure(0, 3, 2.0).await;
        alerting.manager.send(Shutdown).await.unwrap();
        let saved = file.read(SavedAlerts::from_bytes).unwrap().unwrap();
        assert_eq!(saved.rules.len(), 1);
        let again = Alerting::going_on(&rig, &text, Some(AlertMemory::new(Some(saved), |_| Ok(())))).await;
        assert_eq!(again.states().await, [AlertState::Firing; 3]);
    });
}

#[test]
fn what_is_owed_where_no_rule_has_alerts_is_struck_off_once_it_is_told() {
    usual(async |rig| {
        tokio::time::resume();
        let failing = Server::play([vec![Act::Send(answer(503, &[], ""))]]).await;
        let (well, disk) = (Server::play([ok()]).await, Disk::default());
        let hook =
            |server: &Server, more: &str| receiver("hook", "webhook", &format!("url = \"{}\"", server.url("/"))) + more;
        let first = Alerting::going_on(&rig, &hook(&failing, &rule("[\"hook\"]")), Some(disk.memory())).await;
        first.measure(0, 1, 2.0).await;
        until("it is tried", || first.board.failures().contains(&("hook".to_owned(), 1))).await;
        // The rule goes while the receiver is down: nothing but its end is left.
        first.reload(&hook(&failing, "")).await;
        first.manager.send(Shutdown).await.unwrap();
        assert_eq!((disk.read().unwrap().rules.len(), disk.owed("hook")), (0, 1));
        let next = Alerting::going_on(&rig, &hook(&well, ""), Some(disk.memory())).await;
        until("its end is told", || heard(&well).len() == 1).await;
        disk.is_settled().await;
        drop(next);
    });
}
