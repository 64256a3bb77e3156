//! The actor that pulls what is due for one process, page by page, and pushes what results.
//!
//! *Owns* its [`Rounds`], the cursor, a [`Ticker`].
//! *Hears from* its ticker (`Tick`, `TickerDied`), its registry (`StopMonitor`).
//! *Speaks to* its source, the hub (cron ticks of a process of this node), the store and a pusher (results of one elsewhere).
//! *Limits*: `page_limit`, `pages_per_tick`, a minute a round, `limits.outbox` for what waits to be delivered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt as _, Addr, AsyncContext, Context, Handler, Message, Recipient, WrapFuture as _,
};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::hub::Hub;
use super::jitter::jitter;
use super::keeping::keep;
use super::pusher::Push;
use super::sources::{Item, Pulled, Source};
use super::ticker::{Arm, StopTicker, Tick, Ticker, TickerDied};
use crate::client::Endpoint;
use crate::clock::Millis;
use crate::config::MonitorConfig;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::metrics::COUNTERS;
use crate::monitor::{self, Page, Rest, Rounds, RoundsOptions};
use crate::process::{
    Durability, MonitorOrigin, MonitorRecord, MonitorSource, OutboxItem, OutboxKey, Record, RequestError, SentMessage,
};

/// A source has so long for a page.
const PAGE_TIME: Duration = Duration::from_secs(60);
/// No further item of a page is pushed when pushing it has taken so long; the rest is pulled again.
const PUSH_TIME: Duration = Duration::from_secs(60);
/// The bits of a sequence below the time when its monitor was started.
const SEQUENCE_BITS: u32 = 20;
/// Items of outside processes are numbered from here on, so that they never meet those of slots.
const OUTSIDE: u64 = 1 << 63;

/// What can be seen of a monitor.
#[derive(Debug)]
pub struct Seen {
    /// What is kept of it.
    pub record: MonitorRecord,
    /// Its rounds.
    pub rounds: Rounds,
}

/// A monitor as others see it.
#[derive(Clone, Debug)]
pub struct Sight(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    seen: Mutex<Seen>,
    is_stopping: AtomicBool,
}

impl Sight {
    /// The sight of a monitor that is about to start.
    pub fn new(record: MonitorRecord, config: &MonitorConfig, now: Millis) -> Self {
        let options = RoundsOptions { rate: record.rate, pages_per_tick: config.pages_per_tick };
        let rounds = Rounds::new(options, now);
        Self(Arc::new(Shared { seen: Mutex::new(Seen { record, rounds }), is_stopping: false.into() }))
    }

    /// What can be seen now. Held for moments only.
    pub fn look(&self) -> MutexGuard<'_, Seen> {
        // Nothing is left half done under this lock.
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the monitor is being stopped. While it is, it writes nothing.
    pub(super) fn set_stopping(&self, is_stopping: bool) {
        self.0.is_stopping.store(is_stopping, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::Relaxed)
    }
}

/// What a monitor that pulls from `source` is called, in the log and elsewhere.
pub fn name_of(source: &MonitorSource) -> String {
    match source {
        MonitorSource::Local => "local".to_owned(),
        MonitorSource::Url(url) => Endpoint::shown(url),
    }
}

/// The number before the first one of a monitor that is started now: what an earlier one has left in the outbox has lower ones.
pub(super) fn first_sequence(now: Millis) -> u64 {
    now.saturating_mul(1 << SEQUENCE_BITS).min(OUTSIDE / 2)
}

/// Its registry: told that it ended.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct MonitorEnded {
    /// Whose monitor.
    pub process: ProcessId,
    /// Which of them.
    pub incarnation: u64,
    /// Whether it ended by itself because nothing is ever due again; else it died.
    pub is_over: bool,
}

/// To a monitor: something may be due that it does not know of. Look at once, or when the round is over.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Look;

/// To a monitor: end, also in the middle of a round.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct EndMonitor;

/// Tells the registry when the monitor is dropped, whatever the reason.
struct Sentinel {
    ended: Recipient<MonitorEnded>,
    process: ProcessId,
    incarnation: u64,
    is_over: bool,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let Self { process, incarnation, is_over, .. } = self;
        self.ended.do_send(MonitorEnded { process: process.clone(), incarnation: *incarnation, is_over: *is_over });
    }
}

/// The actor that pulls what is due for one process.
pub struct Monitor {
    hub: Hub,
    config: MonitorConfig,
    process: ProcessId,
    /// Its name in the log: where it pulls from.
    name: String,
    source: Arc<dyn Source>,
    sight: Sight,
    /// What was pushed last; `None`: whatever the source begins with.
    cursor: Option<String>,
    sentinel: Sentinel,
    pub(super) ticker: Option<Addr<Ticker>>,
    /// Whether a [`Look`] came in the middle of a round.
    is_asked_again: bool,
}

impl Monitor {
    /// A monitor that pulls from `source`, seen by `sight`. Its end is told to `ended` with `incarnation`.
    pub fn new(
        hub: Hub,
        config: MonitorConfig,
        source: Arc<dyn Source>,
        sight: Sight,
        ended: Recipient<MonitorEnded>,
        incarnation: u64,
    ) -> Self {
        let record = sight.look().record.clone();
        let process = record.process;
        let name = name_of(&record.source);
        let sentinel = Sentinel { ended, process: process.clone(), incarnation, is_over: false };
        let cursor = record.cursor;
        Self { hub, config, process, name, source, sight, cursor, sentinel, ticker: None, is_asked_again: false }
    }

    fn now(&self) -> Millis {
        self.hub.environment().clock.now_ms()
    }

    fn start_ticker(&mut self, ctx: &mut Context<Self>) {
        let clock = self.hub.environment().clock.clone();
        let ticker = Ticker::new(clock, ctx.address().recipient(), ctx.address().recipient()).start();
        ticker.do_send(Arm { at: self.sight.look().rounds.next_due });
        self.ticker = Some(ticker);
    }

    fn arm(&self, at: Millis) {
        if let Some(ticker) = &self.ticker {
            ticker.do_send(Arm { at });
        }
    }

    /// After an error it may be that more was written than is known here.
    fn read_again(&mut self) {
        let mut seen = self.sight.look();
        if seen.rounds.last_error.is_none() || seen.record.source == MonitorSource::Local {
            return;
        }
        if let Ok(Some(record)) = self.hub.environment().store.monitor(&self.process) {
            self.cursor.clone_from(&record.cursor);
            seen.record = record;
        }
    }

    /// Takes the next page, pushes all of it, and goes on as the rounds say.
    fn pull(&mut self, ctx: &mut Context<Self>) {
        self.read_again();
        let (source, cursor, limit) = (self.source.clone(), self.cursor.clone(), self.config.page_limit);
        let pulling = async move {
            match timeout(PAGE_TIME, source.pull(cursor, limit)).await {
                Ok(pulled) => pulled,
                Err(_) => Err(format!("no page within {} s", PAGE_TIME.as_secs())),
            }
        };
        let handled = pulling.into_actor(self).then(|pulled, monitor, _| {
            let (hub, process, name) = (monitor.hub.clone(), monitor.process.clone(), monitor.name.clone());
            let (record, cursor) = (monitor.sight.look().record.clone(), monitor.cursor.clone());
            let sight = monitor.sight.clone();
            let pushing = async move {
                match pulled {
                    Ok(pulled) => Round { hub, process, name, sight, record, cursor, waiting: 0 }.push(pulled).await,
                    Err(error) => Pushed { record, cursor, page: Page::default(), is_over: false, error: Some(error) },
                }
            };
            pushing.into_actor(monitor)
        });
        ctx.spawn(handled.map(|pushed, monitor, ctx| monitor.pushed(pushed, ctx)));
    }

    fn pushed(&mut self, pushed: Pushed, ctx: &mut Context<Self>) {
        let now = self.now();
        let Pushed { record, cursor, page, is_over, error } = pushed;
        self.cursor = cursor.clone();
        if is_over && self.is_for_cron() {
            self.sentinel.is_over = true;
            info!(target: "monitor", event = "stopping", process = %self.process, monitor = self.name,
                reason = "no cron entries");
            return ctx.stop();
        }
        let rest = {
            let mut seen = self.sight.look();
            seen.record = MonitorRecord { cursor, ..record };
            match error {
                None => seen.rounds.page(now, page),
                Some(error) => {
                    COUNTERS.monitor_errors.inc();
                    let (rest, is_told) = seen.rounds.failed(now, error.clone(), u64::from(jitter()));
                    if is_told {
                        warn!(target: "monitor", event = "monitor_error", process = %self.process, monitor = self.name, error);
                    }
                    rest
                }
            }
        };
        match rest {
            Rest::Pull => self.pull(ctx),
            Rest::Until(at) => {
                let is_asked_again = std::mem::take(&mut self.is_asked_again);
                self.arm(if is_asked_again { now } else { at });
            }
        }
    }

    /// The next tick is for the case that the round hangs: it is skipped and counted.
    fn arm_by_rate(&self, now: Millis) {
        let rate = self.sight.look().record.rate.as_millis();
        self.arm(now.saturating_add(u64::try_from(rate).unwrap_or(u64::MAX)));
    }

    /// Whether it is there for cron entries only, and so ends with them.
    fn is_for_cron(&self) -> bool {
        self.sight.look().record.origin == MonitorOrigin::Cron
    }
}

impl Actor for Monitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let rate = crate::units::format_duration(self.sight.look().record.rate);
        info!(target: "monitor", event = "started_monitor", process = %self.process, monitor = self.name, rate,
            cursor = self.cursor);
        self.start_ticker(ctx);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some(ticker) = self.ticker.take() {
            ticker.do_send(StopTicker);
        }
    }
}

impl Handler<Tick> for Monitor {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Self::Context) {
        let now = self.now();
        let (tick, next_due) = {
            let mut seen = self.sight.look();
            (seen.rounds.tick(now), seen.rounds.next_due)
        };
        match tick {
            monitor::Tick::Pull => {
                debug!(target: "monitor", event = "round", process = %self.process, monitor = self.name);
                self.arm_by_rate(now);
                self.pull(ctx);
            }
            monitor::Tick::Skip => {
                COUNTERS.ticks_skipped.inc();
                debug!(target: "monitor", event = "tick_skipped", process = %self.process, monitor = self.name);
                self.arm_by_rate(now);
            }
            monitor::Tick::Wait => self.arm(next_due),
        }
    }
}

impl Handler<Look> for Monitor {
    type Result = ();

    fn handle(&mut self, _: Look, _: &mut Self::Context) {
        if self.sight.look().rounds.is_pulling() {
            self.is_asked_again = true;
        } else {
            self.arm(self.now());
        }
    }
}

impl Handler<TickerDied> for Monitor {
    type Result = ();

    fn handle(&mut self, _: TickerDied, ctx: &mut Self::Context) {
        warn!(target: "monitor", event = "ticker_died", process = %self.process, monitor = self.name, "starting another");
        self.start_ticker(ctx);
    }
}

impl Handler<EndMonitor> for Monitor {
    type Result = ();

    fn handle(&mut self, _: EndMonitor, ctx: &mut Self::Context) {
        info!(target: "monitor", event = "stopping", process = %self.process, monitor = self.name, reason = "asked");
        ctx.stop();
    }
}

/// One page on its way.
struct Round {
    hub: Hub,
    process: ProcessId,
    name: String,
    sight: Sight,
    record: MonitorRecord,
    cursor: Option<String>,
    /// So many items wait in the outbox at most, as far as was counted.
    waiting: u64,
}

/// What became of an item.
enum One {
    /// It is kept; the cursor behind it.
    Pushed(String),
    /// It is the one that was kept last.
    Again,
    /// The process's cursor has moved on another way: nothing was scheduled, and what is due has to be looked for anew.
    Elsewhere,
}

/// What became of a page.
struct Pushed {
    record: MonitorRecord,
    cursor: Option<String>,
    page: Page,
    is_over: bool,
    error: Option<String>,
}

impl Round {
    /// Pushes each item, in order. What was pushed before an error stays pushed, and the cursor stands behind it.
    async fn push(mut self, pulled: Pulled) -> Pushed {
        let Pulled { items, has_more, next_due, left_out, was_reset, is_over } = pulled;
        let mut page = Page { results: 0, has_more, has_moved: false, next_due };
        COUNTERS.ticks_left_out.inc_by(left_out);
        if was_reset {
            COUNTERS.cursors_reset.inc();
            warn!(target: "monitor", event = "cursor_reset", process = %self.process, monitor = self.name,
                "it was far ahead of the clock");
        }
        if !items.is_empty() {
            debug!(target: "monitor", event = "cron_page", process = %self.process, monitor = self.name,
                results = items.len(), has_more, left_out);
        }
        if matches!(items.first(), Some(Item::Result { .. })) {
            match self.hub.environment().store.outbox_len(&self.process) {
                Ok(waiting) => self.waiting = waiting,
                Err(error) => return self.ended(page, is_over, Some(error.to_string())),
            }
            self.tell_left_out(&items);
        }
        let began = Instant::now();
        for item in items {
            if self.sight.is_stopping() {
                return self.ended(Page { has_more: false, ..page }, is_over, None);
            }
            if began.elapsed() >= PUSH_TIME {
                page = Page { has_more: true, next_due: page.next_due.map(|_| 0), ..page };
                break;
            }
            match self.push_one(item).await {
                Ok(One::Pushed(cursor)) => {
                    page.results += 1;
                    page.has_moved |= self.cursor.as_ref() != Some(&cursor);
                    self.cursor = Some(cursor);
                }
                Ok(One::Again) => {}
                Ok(One::Elsewhere) => {
                    page = Page { has_more: true, has_moved: true, ..page };
                    break;
                }
                Err(error) => return self.ended(page, is_over, Some(error.to_string())),
            }
        }
        self.ended(page, is_over, None)
    }

    fn ended(self, page: Page, is_over: bool, error: Option<String>) -> Pushed {
        Pushed { record: self.record, cursor: self.cursor, page, is_over, error }
    }

    async fn push_one(&mut self, item: Item) -> Result<One, RequestError> {
        match item {
            Item::Tick { due, cursor, draft } => {
                let Some(slot) = self.hub.deliver(&self.process, &draft).await? else {
                    debug!(target: "monitor", event = "cursor_elsewhere", process = %self.process, monitor = self.name, due);
                    return Ok(One::Elsewhere);
                };
                COUNTERS.ticks_scheduled.inc();
                info!(target: "monitor", event = "tick", process = %self.process, monitor = self.name, due, slot = slot.0);
                Ok(One::Pushed(cursor))
            }
            Item::Result { cursor, .. } if self.cursor.as_ref() == Some(&cursor) => Ok(One::Again),
            Item::Result { cursor, messages, .. } => {
                self.keep_result(&cursor, messages).await?;
                Ok(One::Pushed(cursor))
            }
        }
    }

    fn tell_left_out(&self, items: &[Item]) {
        let others = |item: &Item| if let Item::Result { others, .. } = item { *others } else { 0 };
        let others: u64 = items.iter().map(others).sum();
        if others > 0 {
            COUNTERS.outside_left_out.inc_by(others);
            warn!(target: "monitor", event = "left_out", process = %self.process, monitor = self.name, others,
                "spawns and assignments of a process elsewhere are for its own node");
        }
    }

    /// Puts a result's messages into the outbox and the cursor behind it, in one step.
    async fn keep_result(&mut self, cursor: &str, messages: Vec<SentMessage>) -> Result<(), RequestError> {
        let environment = self.hub.environment().clone();
        let most = environment.defaults.limits.outbox;
        if self.waiting >= most {
            let what = format!("{} messages of {} wait to be delivered already", self.waiting, self.process);
            return Err(RequestError::Overloaded { key: "outbox", what });
        }
        let sequence = self.record.sequence.saturating_add(1);
        let slot = Slot(OUTSIDE | sequence);
        let url = self.name.as_bytes();
        let mut records: Vec<Record> = (0u32..)
            .zip(messages)
            .map(|(index, message)| {
                let parts = [
                    b"outside".as_slice(),
                    url,
                    self.process.as_str().as_bytes(),
                    cursor.as_bytes(),
                    &index.to_le_bytes(),
                ];
                let id = MessageId::derived(&parts);
                Record::Outbox(OutboxKey { slot, index }, OutboxItem::Inline { message, id })
            })
            .collect();
        let sent = records.len() as u64;
        let record = MonitorRecord { cursor: Some(cursor.to_owned()), sequence, ..self.record.clone() };
        records.push(Record::Monitor(Box::new(record.clone())));
        keep(&environment.store, &self.process, records, Durability::Sync).await?;
        self.record = record;
        self.waiting += sent;
        if sent > 0
            && let Some(services) = environment.services.get()
        {
            services.pusher(&self.process).do_send(Push { source: self.process.clone(), through: Slot(u64::MAX) });
        }
        Ok(())
    }
}
