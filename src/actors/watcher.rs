//! The actor that watches host processes, and tells of them.
//!
//! *Owns* the watch, the feed of its events, and the rows of messages that routes make of them.
//! *Hears from* the watch's own thread through a bounded queue, and from the node (`Reconfigure`, `Shutdown`).
//! *Speaks to* the log, to those who listen to the feed, and to processes through the hub.
//! *Limits*: `[watch] queue` events that wait, 16,384 that are kept for those who come back; [`row::WAITING`] messages that wait
//! for the process of one route, [`pace::RATE`] a second.
//!
//! Those that were there when the watch began are in the map; they are neither logged nor in the feed nor routed. A change of
//! name is a line of the log at `debug`, and shows in the map and in all later events.

mod event;
pub mod fake;
mod feed;
mod figures;
mod inbox;
mod options;
mod pace;
mod quiet;
mod route;
mod row;
mod source;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext, Context, Handler, Message, ResponseFuture,
    WrapFuture as _,
};
use tokio::time::Instant;
use tracing::{info, warn};

use self::figures::Figures;
use self::inbox::{Batch, Inbox};
use self::options::{filter, options};
use self::quiet::Tally;
use self::route::{Route, deliver};
use self::row::Letter;
use super::hub::Hub;
use super::messages::Shutdown;
use crate::config::WatchConfig;
use crate::host::{EventKind, HostError, HostEvent, boot_id};
use crate::ids::MessageId;
use crate::metrics::{COUNTERS, GAUGES, HISTOGRAMS};
use crate::push::Failure;
use crate::supervise::Backoff;

pub use self::feed::{Feed, Listening, Told};
pub use self::source::{HostWatch, Machine, Sink, Source};
pub use self::watching::Watching;

/// So many events are told before others have their turn.
const BATCH: usize = 256;
/// How often counters are taken over and what is held is looked at.
const TICK: Duration = Duration::from_millis(250);
/// A watch that ran so long was well: when it ends it is started again as if for the first time.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// How long the watch may take to end.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Take over what may change while the watch runs: filters, prefix and routes.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Reconfigure(pub WatchConfig);

#[derive(Message)]
#[rtype(result = "()")]
struct Tick;

/// The actor that watches host processes.
pub struct Watcher {
    hub: Hub,
    source: Arc<dyn Source>,
    watching: Arc<Watching>,
    inbox: Arc<Inbox>,
    config: WatchConfig,
    /// Tells this run of the machine from others.
    boot: String,
    routes: Vec<Route>,
    keys: u64,
    /// Since when it runs, if it does.
    since: Option<Instant>,
    restarts: Backoff,
    figures: Figures,
    lost: Tally,
    dropped: Tally,
    is_stopping: bool,
}

impl Watcher {
    /// Starts to watch as `config` says, and an actor that tells of it.
    ///
    /// # Errors
    /// The backend named can't start, or none can.
    pub async fn begin(
        hub: Hub,
        config: WatchConfig,
        source: Arc<dyn Source>,
    ) -> Result<(Addr<Self>, Arc<Watching>), HostError> {
        let inbox = Arc::new(Inbox::new(config.queue));
        let watch = begin(source.clone(), inbox.clone(), &config).await?;
        tell_watching(&*watch);
        let now = hub.environment().clock.now_ms();
        let watching = Arc::new(Watching::new(watch, now));
        let mut watcher = Self {
            boot: boot_id().unwrap_or_else(|| MessageId::random(now).to_string()),
            hub,
            source,
            watching: watching.clone(),
            inbox,
            routes: Vec::new(),
            keys: 0,
            config,
            since: Some(Instant::now()),
            restarts: Backoff::for_restarts(),
            figures: Figures::default(),
            lost: Tally::default(),
            dropped: Tally::default(),
            is_stopping: false,
        };
        watcher.take_routes();
        Ok((watcher.start(), watching))
    }

    /// Makes the routes those of the configuration. One that stays keeps what waits.
    fn take_routes(&mut self) {
        let mut before = std::mem::take(&mut self.routes);
        for config in &self.config.routes {
            let known = before.iter().position(|route| route.is(config)).map(|at| before.swap_remove(at));
            let mut route = known.unwrap_or_else(|| {
                self.keys += 1;
                Route::new(self.keys, config)
            });
            route.check(&self.hub);
            self.routes.push(route);
        }
        give_up(&before);
    }
}

/// Starts a watch on a thread that may block.
async fn begin(
    source: Arc<dyn Source>,
    inbox: Arc<Inbox>,
    config: &WatchConfig,
) -> Result<Arc<dyn HostWatch>, HostError> {
    let options = options(config);
    let sink = Box::new(move |report| inbox.put(report));
    let began = tokio::task::spawn_blocking(move || source.begin(options, sink)).await;
    began.unwrap_or_else(|error| {
        Err(HostError::Thread { thread: "first", source: std::io::Error::other(error.to_string()) })
    })
}

fn tell_watching(watch: &dyn HostWatch) {
    let lacks: Vec<_> = watch.lacks().iter().map(|lack| format!("{}: {}", lack.what, lack.why)).collect();
    let lacks = (!lacks.is_empty()).then(|| lacks.join("; "));
    info!(target: "watch", event = "watching", backend = watch.backend().as_str(), reason = watch.reason(), lacks);
}

/// What waits for these processes is not sent any more.
fn give_up(routes: &[Route]) {
    for route in routes.iter().filter(|route| route.row.len() > 0) {
        let events = route.row.len();
        COUNTERS.watch_unrouted.inc_by(events);
        warn!(target: "watch", event = "route_ended", process = %route.process, route = %route.glob, events,
            "these events may not have reached the process and are given up");
    }
}

impl Actor for Watcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.listen(ctx);
        ctx.notify_later(Tick, TICK);
    }
}

impl Handler<Tick> for Watcher {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Self::Context) {
        self.figures.follow(self.watching.watch().numbers());
        let now = self.hub.environment().clock.now_ms();
        for at in 0..self.routes.len() {
            self.routes[at].row.settle(now);
            self.routes[at].tell_left_out();
            self.send(at, ctx);
        }
        self.tell_lost();
        ctx.notify_later(Tick, TICK);
    }
}

impl Handler<Reconfigure> for Watcher {
    type Result = ();

    fn handle(&mut self, Reconfigure(new): Reconfigure, _: &mut Self::Context) {
        // The rest is only read when the node starts.
        let WatchConfig { prefix, include, exclude, uid, parent, kernel_threads, routes, .. } = new;
        self.config =
            WatchConfig { prefix, include, exclude, uid, parent, kernel_threads, routes, ..self.config.clone() };
        self.watching.watch().set_filter(filter(&self.config));
        self.take_routes();
    }
}

impl Handler<Shutdown> for Watcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        self.is_stopping = true;
        self.watching.close();
        let watch = self.watching.watch();
        self.figures.follow(watch.numbers());
        give_up(&self.routes);
        ctx.stop();
        watch.end();
        let inbox = self.inbox.clone();
        Box::pin(async move {
            // Its reader says farewell to the kernel, which would go on speaking to nobody else.
            let ending = async { while inbox.next(BATCH).await.ended.is_none() {} };
            if tokio::time::timeout(LAST_WORD, ending).await.is_err() {
                warn!(target: "watch", event = "watch_left", "it did not end in time");
            }
        })
    }
}

impl Watcher {
    /// Waits for reports, and again when they were told.
    fn listen(&self, ctx: &mut Context<Self>) {
        let inbox = self.inbox.clone();
        let next = async move {
            // In a storm there is always something: others on this thread have their turn in between.
            tokio::task::yield_now().await;
            inbox.next(BATCH).await
        };
        ctx.spawn(next.into_actor(self).map(|batch, watcher, ctx| {
            watcher.take(batch, ctx);
            watcher.listen(ctx);
        }));
    }

    fn take(&mut self, batch: Batch, ctx: &mut Context<Self>) {
        let Batch { events, left, ready, lost, dropped, ended } = batch;
        GAUGES.watch_queue_depth.set(i64::try_from(left).unwrap_or(i64::MAX));
        if let Some(processes) = ready {
            info!(target: "watch", event = "snapshot_taken", processes);
        }
        for event in &events {
            self.tell(event);
        }
        for at in 0..self.routes.len() {
            self.send(at, ctx);
        }
        if let Some(events) = lost {
            self.lost.add(events);
        }
        if dropped > 0 {
            COUNTERS.watch_dropped.inc_by(dropped);
            self.dropped.add(dropped);
        }
        self.tell_lost();
        if let Some(error) = ended {
            let error = error.map_or_else(|| "it ended by itself".to_owned(), |error| error.to_string());
            self.start_again(&error, ctx);
        }
    }

    fn tell_lost(&mut self) {
        if let Some(events) = self.lost.due() {
            warn!(target: "watch", event = "events_lost", events,
                "the kernel told more than was read in time; the map of processes is right again");
        }
        if let Some(events) = self.dropped.due() {
            warn!(target: "watch", event = "events_dropped", events, "limit queue: more events waited to be told than may");
        }
    }

    fn tell(&mut self, event: &HostEvent) {
        let counter = match event.kind {
            EventKind::Created { initial: true } => return,
            EventKind::Created { initial: false } => Some(&COUNTERS.watch_created),
            EventKind::Destroyed(_) => Some(&COUNTERS.watch_destroyed),
            EventKind::Renamed { .. } => None,
        };
        let name = event::whole_name(&self.config.prefix, event);
        event::log(&name, event);
        let Some(counter) = counter else { return };
        counter.inc();
        if let Some(latency) = event.latency {
            HISTOGRAMS.watch_latency_seconds.observe(latency.as_secs_f64());
        }
        let told = self.watching.feed().tell(|id| Told {
            id,
            name: event.process.name.as_str().to_owned(),
            json: event::json(&name, event),
            event: name,
        });
        self.offer(event, &told);
    }

    /// Puts an event into the rows of the routes that it fits: once for each process.
    fn offer(&mut self, event: &HostEvent, told: &Arc<Told>) {
        let now = self.hub.environment().clock.now_ms();
        for at in 0..self.routes.len() {
            let (before, rest) = self.routes.split_at_mut(at);
            let Some(route) = rest.first_mut().filter(|route| route.glob.matches(&told.event)) else { continue };
            let has_it = |other: &Route| other.process == route.process && other.glob.matches(&told.event);
            if before.iter().any(has_it) {
                continue;
            }
            let id = event::message_id(&self.boot, event, told.id);
            if route.row.offer(Letter { id, told: told.clone(), coalesced: 0 }, now) {
                COUNTERS.watch_coalesced.inc();
                route.left_out.add(1);
            }
        }
    }

    /// Sends the message of this route whose turn it is, unless one is on its way.
    fn send(&mut self, at: usize, ctx: &mut Context<Self>) {
        let Some(route) = self.routes.get_mut(at).filter(|route| !route.is_busy) else { return };
        let Some(letter) = route.row.first().cloned() else { return };
        route.is_busy = true;
        let (key, sending) = (route.key, deliver(self.hub.clone(), route.process.clone(), letter));
        ctx.spawn(sending.into_actor(self).map(move |sent, watcher, ctx| watcher.sent(key, sent, ctx)));
    }

    fn sent(&mut self, key: u64, sent: Result<(), Failure>, ctx: &mut Context<Self>) {
        let now = self.hub.environment().clock.now_ms();
        let Some(at) = self.routes.iter().position(|route| route.key == key) else { return };
        let route = &mut self.routes[at];
        let events = route.row.first().map_or(0, |letter| letter.coalesced + 1);
        match sent {
            Ok(()) => {
                COUNTERS.watch_routed.inc();
            }
            Err(Failure::Final { reason }) => {
                COUNTERS.watch_unrouted.inc_by(events);
                if route.given_up.may() {
                    warn!(target: "watch", event = "route_failed", process = %route.process, route = %route.glob,
                        error = reason, "the event is given up");
                }
            }
            Err(Failure::Later { reason, .. }) => {
                let wait = route.backoff.wait();
                if route.failing.may() {
                    warn!(target: "watch", event = "route_failing", process = %route.process, route = %route.glob,
                        error = reason, "the event is tried again");
                }
                ctx.run_later(wait, move |watcher, ctx| watcher.again(key, ctx));
                return;
            }
        }
        route.backoff.reset();
        route.row.done(now);
        self.again(key, ctx);
    }

    /// This route may send.
    fn again(&mut self, key: u64, ctx: &mut Context<Self>) {
        let Some(at) = self.routes.iter().position(|route| route.key == key) else { return };
        self.routes[at].is_busy = false;
        self.send(at, ctx);
    }

    /// Starts the watch again after a while: it has ended, or did not start.
    fn start_again(&mut self, error: &str, ctx: &mut Context<Self>) {
        if self.is_stopping {
            return;
        }
        if self.since.take().is_some_and(|since| since.elapsed() >= WELL_AFTER) {
            self.restarts.reset();
        }
        let wait = self.restarts.wait();
        COUNTERS.watch_restarts.inc();
        self.watching.fails(format!("{error}; it is started again"));
        warn!(target: "watch", event = "watch_failed", error, again_in = ?wait,
            "no events until it is started again; then the map is made right");
        ctx.run_later(wait, |watcher, ctx| {
            let (source, inbox, config) = (watcher.source.clone(), watcher.inbox.clone(), watcher.config.clone());
            let beginning = async move { begin(source, inbox, &config).await };
            ctx.spawn(beginning.into_actor(watcher).map(|began, watcher, ctx| match began {
                Ok(watch) => {
                    tell_watching(&*watch);
                    // The configuration may have changed meanwhile.
                    watch.set_filter(filter(&watcher.config));
                    watcher.since = Some(Instant::now());
                    let before = watcher.watching.replace(watch);
                    tokio::task::spawn_blocking(move || drop(before));
                }
                Err(error) => watcher.start_again(&error.to_string(), ctx),
            }));
        });
    }
}
