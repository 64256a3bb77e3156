//! What tests of pushing ask of the rig: processes that send, logs that are read back, a node that comes to rest.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorContext as _, Handler, Message};

use super::rig::{Rig, Settings, draft, id, moment, pass, still};
use crate::actors::{Pusher, Readiness, take_up_pending};
use crate::config::limits::LimitOverrides;
use crate::device::fake::Wish;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::{DeadLetter, Draft, Entry, Order, PageQuery, SentMessage, Spawn};

/// Ends a pusher where it stands.
#[derive(Message)]
#[rtype(result = "()")]
struct End;

impl Handler<End> for Pusher {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Rig {
    /// Ends the pushers where they stand: what they began is never heard of.
    pub(super) async fn crash_pushers(&self) {
        for pusher in &self.hub.environment().services.get().unwrap().pushers {
            still(pusher.send(End)).await.unwrap();
        }
    }

    /// Has what waits in logs taken up after failures of the store, as the node does.
    pub(super) fn recover(&self) {
        actix_rt::spawn(take_up_pending(self.hub.clone(), Arc::new(Readiness::default())));
    }

    /// Ends the node in the middle of whatever it does, and starts another one over the same store.
    pub(super) async fn start_again(self) -> Self {
        let rig = self.restart(Settings::default()).await;
        rig.recover();
        rig
    }

    /// A process of this id with these limits and source.
    pub(super) async fn process_within(&self, name: &str, source: &str, limits: LimitOverrides) -> ProcessId {
        let (process, mut define) = (id(name), self.definition_of(source));
        define.definition.specification.limits = limits;
        define.definition = self.hub.environment().resolve(&define.definition.specification);
        assert_eq!(still(self.hub.define(&process, define)).await, Ok(true));
        self.rest(&process).await;
        process
    }

    /// Has `process` send something, the store being whole. Returns the slot.
    pub(super) async fn wish(&self, process: &ProcessId, wish: &Wish) -> u64 {
        self.schedule(process, &wish.data()).await.unwrap()
    }

    /// Has `process` send something, under a name that is the same each time, until it is acknowledged.
    pub(super) async fn wish_until_taken(&self, process: &ProcessId, name: &str, wish: &Wish) {
        let draft = Draft { id: MessageId::derived(&[name.as_bytes()]), is_new: false, ..draft(&wish.data()) };
        let mut tries = 0;
        while let Err(error) = still(self.hub.schedule(process, draft.clone())).await {
            let code = error.code();
            assert!(["unknown", "store", "internal", "overloaded"].contains(&code), "{code}: {error}");
            self.some_time().await;
            tries += 1;
            assert!(tries < 1_000, "it is never taken: {error}");
        }
    }

    /// What others sent to `process`, in the order of its log: from whom, and the `Data`.
    pub(super) fn received(&self, process: &ProcessId) -> Vec<(String, String)> {
        let entries = self.log(process).into_iter().filter(|entry| entry.origin == crate::process::Origin::Push);
        entries.map(|entry| (entry.message.from, entry.message.data)).collect()
    }

    /// The whole log of `process`.
    pub(super) fn log(&self, process: &ProcessId) -> Vec<Entry> {
        let (first, last) = (Slot::ZERO, Slot(u64::MAX));
        let query = PageQuery { first, last, limit: usize::MAX, bytes: u64::MAX, order: Order::Ascending };
        self.store.entries(process, &query).unwrap().items
    }

    /// Every dead letter.
    pub(super) async fn letters(&self) -> Vec<DeadLetter> {
        still(self.hub.dead_letters(None, 1_000)).await.unwrap().items
    }

    /// A little time of both clocks.
    pub(super) async fn some_time(&self) {
        moment().await;
        pass(Duration::from_millis(50)).await;
    }

    /// So much virtual time, in which other threads have their moments.
    pub(super) async fn wait(&self, time: Duration) {
        let began = tokio::time::Instant::now();
        while began.elapsed() < time {
            self.some_time().await;
        }
    }

    /// Returns once `holds` is true.
    pub(super) async fn until_so(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let mut steps = 0;
        while !holds(self) {
            self.some_time().await;
            steps += 1;
            assert!(steps < 6_000, "in five minutes it never is so: {what}");
        }
    }

    /// Returns once nothing waits to be computed or delivered, and what was removed is removed.
    pub(super) async fn quiet(&self) {
        let is_quiet = |rig: &Self| {
            rig.store.pending(None, 1).is_ok_and(|pending| pending.is_empty())
                && rig.store.outbox_sources(None, 1).is_ok_and(|sources| sources.is_empty())
        };
        // What leaves an outbox between the two questions waits in a log by the third, and only then in an outbox again.
        self.until_so("nothing is left to do", |rig| is_quiet(rig) && is_quiet(rig)).await;
    }
}

/// A message for `target`.
pub(super) fn to(target: &str, data: &str) -> SentMessage {
    SentMessage { target: target.to_owned(), tags: Vec::new(), data: data.to_owned(), anchor: String::new() }
}

/// A wish for messages, each a target and its `Data`.
pub(super) fn sending(messages: &[(&str, &str)]) -> Wish {
    Wish { messages: messages.iter().map(|(target, data)| to(target, data)).collect(), ..Wish::default() }
}

/// A process of the fake device, with a first message.
pub(super) fn child(data: &str, anchor: &str) -> Spawn {
    Spawn {
        device: "lua".to_owned(),
        source: Some("fake".to_owned()),
        module: None,
        tags: Vec::new(),
        data: data.to_owned(),
        anchor: anchor.to_owned(),
    }
}

/// A wish for processes.
pub(super) fn spawning(spawns: Vec<Spawn>) -> Wish {
    Wish { spawns, ..Wish::default() }
}
