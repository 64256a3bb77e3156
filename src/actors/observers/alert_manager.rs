//! The actor that tells people what the measured values mean for them.
//!
//! *Owns* the rules at work, behind the [`AlertBoard`] that shows them, and the receivers.
//! *Hears from* the collector (`Collection`), its threads (`Worked`), the composition root (`ReloadAlerts`, `Shutdown`).
//! *Speaks to* the book of series, on a thread that may block, and to its receivers.
//! *Limits*: one evaluation at a time, others are skipped and counted; the alerts of a rule; what waits for a receiver.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Handler, Message};
use tracing::error;

use super::alert_board::AlertBoard;
use super::receivers::{Receiver, Way};
use crate::actors::book::Book;
use crate::actors::collector::Collection;
use crate::actors::hub::Hub;
use crate::actors::messages::Shutdown;
use crate::alert::{Alerts, LOG, Notice, Rule};
use crate::client::receiver::{Alertmanager, Webhook};
use crate::client::{Client, ClientError};
use crate::clock::Millis;
use crate::config::{AlertsConfig, ReceiverConfig, ReceiverKind};
use crate::stats::Labels;

/// To the alert manager: these are the rules and the receivers from now on. A rule that looks at the same as one before keeps
/// its alerts; what fires under one that is gone is told to be over.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct ReloadAlerts(pub AlertsConfig);

/// From a thread: what it found is to be told.
#[derive(Message, Debug)]
#[rtype(result = "()")]
struct Worked {
    notices: Vec<Notice>,
}

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
}

impl AlertManager {
    /// A manager that shows on `board` how alerts stand.
    pub fn new(tools: AlertTools, config: &AlertsConfig, board: AlertBoard) -> Self {
        let reload = Some(config.clone());
        Self { tools, board, receivers: HashMap::new(), reload, leaving: Vec::new(), is_busy: false }
    }

    fn now(&self) -> Millis {
        self.tools.hub.environment().clock.now_ms()
    }

    /// Does `work` on the alerts on a thread that may block, and tells what comes of it.
    fn work(&mut self, ctx: &Context<Self>, work: impl FnOnce(&mut Alerts) -> Vec<Notice> + Send + 'static) {
        self.is_busy = true;
        let (board, manager) = (self.board.clone(), ctx.address());
        actix_rt::spawn(async move {
            let worked = tokio::task::spawn_blocking(move || {
                let mut alerts = board.open();
                let notices = work(&mut alerts);
                board.count(&alerts);
                notices
            });
            let notices = worked.await.unwrap_or_else(|error| {
                error!(target: "alert", event = "evaluation_failed", %error, "the rules are evaluated again next time");
                Vec::new()
            });
            manager.do_send(Worked { notices });
        });
    }

    /// Takes over what it is to do from now on, if there is anything new.
    fn take_over(&mut self, ctx: &Context<Self>) {
        let Some(config) = self.reload.take() else { return };
        let (now, interval) = (self.now(), self.tools.interval);
        self.set_receivers(&config.receivers);
        self.work(ctx, move |alerts| alerts.reload(config.rules, interval, now));
    }

    fn set_receivers(&mut self, configured: &[ReceiverConfig]) {
        let mut before = std::mem::take(&mut self.receivers);
        let log = ReceiverConfig { name: LOG.to_owned(), kind: ReceiverKind::Log };
        for ReceiverConfig { name, kind } in std::iter::once(&log).chain(configured) {
            let same = before.remove(name).filter(|(known, _)| known == kind);
            let receiver = match same {
                Some((_, receiver)) => Ok(receiver),
                None => self.way(kind).map(|way| Receiver::start(name, way, self.board.clone())),
            };
            match receiver {
                Ok(receiver) => drop(self.receivers.insert(name.clone(), (kind.clone(), receiver))),
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

    fn tell(&self, notice: Notice) {
        let notice = Arc::new(notice);
        for name in &notice.receivers {
            let staying = self.receivers.get(name).map(|(_, receiver)| receiver);
            let leaving = self.leaving.iter().find(|(known, _)| known == name).map(|(_, receiver)| receiver);
            if let Some(receiver) = staying.or(leaving) {
                receiver.tell(&notice);
            }
        }
    }
}

impl Actor for AlertManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.take_over(ctx);
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

    fn handle(&mut self, Worked { notices }: Worked, ctx: &mut Self::Context) {
        self.is_busy = false;
        notices.into_iter().for_each(|notice| self.tell(notice));
        self.leaving.drain(..).for_each(|(_, receiver)| receiver.retire());
        self.take_over(ctx);
    }
}

impl Handler<Shutdown> for AlertManager {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.receivers.clear();
        ctx.stop();
    }
}

/// The value of each series that the rule looks at.
fn values(book: &Book, rule: &Rule, at: Millis) -> Vec<(Labels, Option<f64>)> {
    let range = Millis::try_from(rule.range.as_millis()).unwrap_or(Millis::MAX);
    book.reckon(&rule.metric, &rule.labels, at.saturating_sub(range), |samples| rule.stat.of(samples))
}
