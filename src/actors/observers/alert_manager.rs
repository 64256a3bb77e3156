//! The actor that tells people what the measured values mean for them.
//!
//! *Owns* the rules at work, behind the [`AlertBoard`] that shows them, the receivers, and what outlives the node of both.
//! *Hears from* the collector (`Collection`), its threads (`Worked`, `Written`), its receivers (`Settled`), the composition root
//! (`ReloadAlerts`, `Shutdown`).
//! *Speaks to* the book of series, on a thread that may block, to the thread that writes, and to its receivers.
//! *Limits*: one evaluation at a time, others are skipped and counted; the alerts of a rule; what waits for a receiver; one
//! write at a time, and the newest next.
//!
//! What an evaluation finds is written first, as owed to the receivers, and told then; what they took is struck off the file a
//! moment later. So whoever was told of an alert is told of its end whatever happens, and may be told something twice. A disk
//! that is slow or fails delays no notice for longer than [`PATIENCE`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler, Message, ResponseFuture};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::alert_board::AlertBoard;
use super::alert_keeper::{AlertKeeper, AlertMemory};
use super::receivers::{Receiver, Settled, Way};
use crate::actors::book::Book;
use crate::actors::collector::Collection;
use crate::actors::hub::Hub;
use crate::actors::messages::Shutdown;
use crate::alert::{Alerts, LOG, MOST_ALERTS, Notice, Rule, SavedAlerts, SavedRule};
use crate::client::receiver::{Alertmanager, Webhook};
use crate::client::{Client, ClientError};
use crate::clock::Millis;
use crate::config::{AlertsConfig, ReceiverConfig, ReceiverKind};
use crate::stats::Labels;

/// Notices wait so long for being written before they are told.
pub(in crate::actors) const PATIENCE: Duration = Duration::from_secs(1);
/// What receivers took is struck off the file after this time, together with what they take until then.
const SETTLE_TIME: Duration = Duration::from_millis(250);
/// While there is any alert its times are written so often.
const SAVE_AGAIN: Duration = Duration::from_secs(60);

/// To the alert manager: these are the rules and the receivers from now on. A rule that looks at the same as one before keeps
/// its alerts; what fires under one that is gone is told to be over.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct ReloadAlerts(pub AlertsConfig);

/// From a thread: what it found is to be told, and how the alerts stand now, if that is to be written.
#[derive(Message, Debug, Default)]
#[rtype(result = "()")]
struct Worked {
    notices: Vec<Notice>,
    rules: Option<Vec<SavedRule>>,
    /// So many bad values got no alert.
    refused: u64,
}

/// From the thread that writes: it has tried to write this and all before it.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
struct Written(u64);

/// From the manager to itself: what waits for this to be written has waited for long enough.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
struct Overdue(u64);

/// From the manager to itself: what receivers took is to be struck off.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
struct StrikeOff;

/// What alert managers need of the node.
#[derive(Clone)]
pub struct AlertTools {
    /// The way to processes that are receivers.
    pub hub: Hub,
    /// How receivers elsewhere are told.
    pub client: Client,
    /// What rules look at.
    pub book: Book,
    /// The time from one evaluation to the next.
    pub interval: Duration,
    /// A URL of the node, for those who are told.
    pub generator: String,
}

/// The actor that tells of alerts.
pub struct AlertManager {
    tools: AlertTools,
    board: AlertBoard,
    receivers: HashMap<String, (ReceiverKind, Receiver)>,
    /// What it begins with, and later what waits for the thread.
    reload: Option<AlertsConfig>,
    /// Receivers that are gone, until they were told what ends with them.
    leaving: Vec<(String, Receiver)>,
    pub(in crate::actors) is_busy: bool,
    /// What it goes on from and writes to, until it is started.
    memory: Option<AlertMemory>,
    keeper: Option<AlertKeeper>,
    /// How the alerts stand, as far as that is to be written; `None` as long as that is not known.
    rules: Option<Arc<[SavedRule]>>,
    /// What was found and is told once it is written.
    untold: Vec<Arc<Notice>>,
    /// What is to be written before anything goes on.
    awaited: Option<u64>,
    /// Whether the disk was waited for in vain. It is not waited for again before it has come back.
    is_slow: bool,
    strikes_off: bool,
    /// Whether the last evaluation found more than one rule may have alerts.
    is_flooded: bool,
    saved_at: Instant,
    /// Those who wait for its end, and hear of it when they are dropped.
    stopping: Vec<oneshot::Sender<()>>,
    /// Whether it is about the last write.
    is_last: bool,
}

impl AlertManager {
    /// A manager that shows on `board` how alerts stand, and goes on from `memory`. Without one nothing outlives it.
    pub fn new(tools: AlertTools, config: &AlertsConfig, board: AlertBoard, memory: Option<AlertMemory>) -> Self {
        Self {
            tools,
            board,
            receivers: HashMap::new(),
            reload: Some(config.clone()),
            leaving: Vec::new(),
            is_busy: false,
            memory,
            keeper: None,
            rules: None,
            untold: Vec::new(),
            awaited: None,
            is_slow: false,
            strikes_off: false,
            is_flooded: false,
            saved_at: Instant::now(),
            stopping: Vec::new(),
            is_last: false,
        }
    }

    fn now(&self) -> Millis {
        self.tools.hub.environment().clock.now_ms()
    }

    /// Does `work` on the alerts on a thread that may block, and tells what comes of it.
    fn work(&mut self, ctx: &Context<Self>, work: impl FnOnce(&mut Alerts) -> Vec<Notice> + Send + 'static) {
        self.is_busy = true;
        let (board, manager) = (self.board.clone(), ctx.address());
        let (keeps, is_last, is_due) = (self.keeper.is_some(), self.is_last, self.saved_at.elapsed() >= SAVE_AGAIN);
        actix_rt::spawn(async move {
            let worked = tokio::task::spawn_blocking(move || {
                let mut alerts = board.open();
                let before = alerts.refused();
                let notices = work(&mut alerts);
                board.count(&alerts);
                let refused = alerts.refused().saturating_sub(before);
                let saves = keeps && (alerts.take_change() || is_last || (is_due && alerts.has_alerts()));
                Worked { notices, rules: saves.then(|| alerts.save()), refused }
            });
            manager.do_send(worked.await.unwrap_or_else(|error| {
                error!(target: "alert", event = "evaluation_failed", %error, "the rules are evaluated again next time");
                Worked::default()
            }));
        });
    }

    /// Takes over what it is to do from now on, if there is anything new.
    fn take_over(&mut self, ctx: &Context<Self>) {
        let Some(config) = self.reload.take() else { return };
        let (now, interval) = (self.now(), self.tools.interval);
        self.set_receivers(&config.receivers, ctx);
        self.work(ctx, move |alerts| alerts.reload(config.rules, interval, now));
    }

    /// Takes over as [`take_over`](Self::take_over) does, from where the alerts stood before a restart.
    fn go_on_from(&mut self, saved: SavedAlerts, ctx: &Context<Self>) {
        let Some(config) = self.reload.take() else { return };
        let (now, interval) = (self.now(), self.tools.interval);
        self.set_receivers(&config.receivers, ctx);
        let SavedAlerts { rules, owed } = saved;
        // What is in the file is known, so that what is owed can be struck off though no alert changes.
        self.rules = Some(rules.clone());
        info!(target: "alert", event = "alerts_restored", rules = rules.len(), owed = owed.values().map(Vec::len).sum::<usize>());
        for (name, notices) in owed {
            match self.receivers.get(&name) {
                Some((_, receiver)) => notices.iter().for_each(|one| receiver.tell(&Arc::new(one.told_late(now)))),
                None => {
                    warn!(target: "alert", event = "receiver_failing", receiver = name, notices = notices.len(),
                        "it is not configured any more, and not told what it was still to hear");
                }
            }
        }
        self.work(ctx, move |alerts| {
            alerts.restore(&rules, interval, now);
            alerts.reload(config.rules, interval, now)
        });
    }

    /// Has it written how things stand. Returns the number of the write; `None`: nothing is written.
    fn save(&mut self) -> Option<u64> {
        let rules = self.rules.clone()?;
        let staying = self.receivers.iter().map(|(name, (_, receiver))| (name, receiver));
        let leaving = self.leaving.iter().map(|(name, receiver)| (name, receiver));
        let mut owed: BTreeMap<String, Vec<Arc<Notice>>> = BTreeMap::new();
        for (name, receiver) in staying.chain(leaving) {
            owed.entry(name.clone()).or_default().extend(receiver.owed());
        }
        for notice in &self.untold {
            for name in &notice.receivers {
                owed.entry(name.clone()).or_default().push(notice.clone());
            }
        }
        owed.retain(|_, notices| !notices.is_empty());
        Some(self.keeper.as_mut()?.put(SavedAlerts { rules, owed }))
    }

    /// Goes on once what was found is written, or can't be.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.awaited = None;
        if self.is_last {
            self.stopping.clear();
            return ctx.stop();
        }
        if !self.stopping.is_empty() {
            return self.finish(ctx);
        }
        let untold = std::mem::take(&mut self.untold);
        untold.iter().for_each(|notice| self.tell(notice));
        self.leaving.drain(..).for_each(|(_, receiver)| receiver.retire());
        if !untold.is_empty() {
            self.strike_off_soon(ctx);
        }
        self.is_busy = false;
        self.take_over(ctx);
    }

    /// Has how things stand written for the last time. What is untold then stays owed.
    fn finish(&mut self, ctx: &mut Context<Self>) {
        self.is_last = true;
        self.work(ctx, |_| Vec::new());
    }

    fn strike_off_soon(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.strikes_off, true) {
            ctx.notify_later(StrikeOff, SETTLE_TIME);
        }
    }

    fn set_receivers(&mut self, configured: &[ReceiverConfig], ctx: &Context<Self>) {
        let settled = ctx.address().downgrade().recipient();
        let mut before = std::mem::take(&mut self.receivers);
        let log = ReceiverConfig { name: LOG.to_owned(), kind: ReceiverKind::Log };
        for ReceiverConfig { name, kind } in std::iter::once(&log).chain(configured) {
            let (same, owed) = match before.remove(name) {
                Some((known, receiver)) if known == *kind => (Some(receiver), Vec::new()),
                // It has moved, and hears the rest there.
                Some((_, receiver)) => (None, receiver.owed()),
                None => (None, Vec::new()),
            };
            let start = |way| Receiver::start(name, way, self.board.clone(), settled.clone());
            let receiver = same.map_or_else(|| self.way(kind).map(start), Ok);
            match receiver {
                Ok(receiver) => {
                    owed.iter().for_each(|notice| receiver.tell(notice));
                    self.receivers.insert(name.clone(), (kind.clone(), receiver));
                }
                Err(error) => {
                    error!(target: "alert", event = "receiver_failing", receiver = %name, %error, "it is told nothing");
                }
            }
        }
        self.leaving = before.into_iter().map(|(name, (_, receiver))| (name, receiver)).collect();
    }

    fn way(&self, kind: &ReceiverKind) -> Result<Way, ClientError> {
        let AlertTools { hub, client, generator, .. } = &self.tools;
        Ok(match kind {
            ReceiverKind::Log => Way::Log,
            ReceiverKind::Webhook(url) => Way::Webhook(Webhook::new(client.clone(), url)?),
            ReceiverKind::Alertmanager(url) => Way::Alertmanager(Alertmanager::new(client.clone(), url, generator)?),
            ReceiverKind::Process(process) => Way::Process(hub.clone(), process.clone()),
        })
    }

    fn tell(&self, notice: &Arc<Notice>) {
        for name in &notice.receivers {
            let staying = self.receivers.get(name).map(|(_, receiver)| receiver);
            let leaving = self.leaving.iter().find(|(known, _)| known == name).map(|(_, receiver)| receiver);
            if let Some(receiver) = staying.or(leaving) {
                receiver.tell(notice);
            }
        }
    }
}

impl Actor for AlertManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(AlertMemory { saved, write }) = self.memory.take() else { return self.take_over(ctx) };
        let manager = ctx.address().downgrade();
        let tried = move |number| {
            if let Some(manager) = manager.upgrade() {
                manager.do_send(Written(number));
            }
        };
        let saved = saved.filter(|saved| !saved.is_empty());
        match AlertKeeper::start(write, saved.is_none(), tried) {
            Ok(keeper) => self.keeper = Some(keeper),
            Err(error) => {
                error!(target: "alert", event = "alerts_not_saved", %error, "the system gives no thread to write with");
            }
        }
        match saved {
            Some(saved) => self.go_on_from(saved, ctx),
            None => self.take_over(ctx),
        }
    }
}

impl Handler<ReloadAlerts> for AlertManager {
    type Result = ();

    fn handle(&mut self, ReloadAlerts(config): ReloadAlerts, ctx: &mut Self::Context) {
        self.reload = Some(config);
        if !self.is_busy {
            self.take_over(ctx);
        }
    }
}

impl Handler<Collection> for AlertManager {
    type Result = ();

    fn handle(&mut self, Collection { at }: Collection, ctx: &mut Self::Context) {
        if !self.stopping.is_empty() {
            return;
        }
        if self.is_busy {
            return self.board.skip();
        }
        let book = self.tools.book.clone();
        self.work(ctx, move |alerts| {
            alerts.watches().flat_map(|watch| watch.evaluate(at, &values(&book, watch.rule(), at))).collect()
        });
    }
}

impl Handler<Worked> for AlertManager {
    type Result = ();

    fn handle(&mut self, Worked { notices, rules, refused }: Worked, ctx: &mut Self::Context) {
        if refused > 0 && !self.is_flooded {
            warn!(target: "alert", event = "alerts_refused", series = refused, most = MOST_ALERTS,
                "their rule has too many alerts; these series get none for now");
        }
        self.is_flooded = refused > 0;
        self.untold.extend(notices.into_iter().map(Arc::new));
        let number = rules.and_then(|rules| {
            (self.rules, self.saved_at) = (Some(rules.into()), Instant::now());
            self.save()
        });
        let waits = self.is_last || !(self.untold.is_empty() || self.is_slow);
        match number.filter(|_| waits) {
            Some(number) => {
                self.awaited = Some(number);
                if !self.is_last {
                    ctx.notify_later(Overdue(number), PATIENCE);
                }
            }
            None => self.go_on(ctx),
        }
    }
}

impl Handler<Written> for AlertManager {
    type Result = ();

    fn handle(&mut self, Written(number): Written, ctx: &mut Self::Context) {
        self.is_slow = false;
        if self.awaited.is_some_and(|awaited| awaited <= number) {
            self.go_on(ctx);
        }
    }
}

impl Handler<Overdue> for AlertManager {
    type Result = ();

    fn handle(&mut self, Overdue(number): Overdue, ctx: &mut Self::Context) {
        if self.awaited == Some(number) && !self.is_last {
            self.is_slow = true;
            warn!(target: "alert", event = "alerts_not_saved", "saving them takes long; what is found is told before that is over");
            self.go_on(ctx);
        }
    }
}

impl Handler<Settled> for AlertManager {
    type Result = ();

    fn handle(&mut self, _: Settled, ctx: &mut Self::Context) {
        self.strike_off_soon(ctx);
    }
}

impl Handler<StrikeOff> for AlertManager {
    type Result = ();

    fn handle(&mut self, _: StrikeOff, _: &mut Self::Context) {
        self.strikes_off = false;
        self.save();
    }
}

/// It answers when how things stand is written.
impl Handler<Shutdown> for AlertManager {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        let (sender, ended) = oneshot::channel();
        let is_first = self.stopping.is_empty();
        self.stopping.push(sender);
        if is_first {
            self.receivers.values().for_each(|(_, receiver)| receiver.halt());
            if self.keeper.is_none() {
                self.stopping.clear();
                ctx.stop();
            } else if !self.is_busy {
                self.finish(ctx);
            }
        }
        Box::pin(async move {
            let _ = ended.await;
        })
    }
}

/// The value of each series that the rule looks at.
fn values(book: &Book, rule: &Rule, at: Millis) -> Vec<(Labels, Option<f64>)> {
    let range = Millis::try_from(rule.range.as_millis()).unwrap_or(Millis::MAX);
    book.reckon(&rule.metric, &rule.labels, at.saturating_sub(range), |samples| rule.stat.of(samples))
}
