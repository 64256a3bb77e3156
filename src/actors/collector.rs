//! The actor that has everything measured, again and again.
//!
//! *Owns* the beat, and a thread of its own that does the work: reading the host can block for longer than an arbiter may.
//! *Hears from* the node (`Measure`, `Shutdown`) and its thread (`Done`).
//! *Speaks to* its thread, and to those who want to hear of each collection.
//! *Limits*: one collection at a time; one that is due while another is at work is skipped and counted.

mod anomalies;
mod gatherer;
mod host;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message, Recipient, ResponseFuture};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::book::Book;
use super::messages::Shutdown;
use crate::clock::Millis;
use crate::config::{AnomalyConfig, HostGroup};
use crate::metrics::COUNTERS;
use crate::store::KeptFile;

pub use gatherer::{Feeder, Gatherer, Measured};

/// A collection is done: the series hold its samples.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
#[rtype(result = "()")]
pub struct Collection {
    /// The time of its samples.
    pub at: Millis,
}

/// From the next collection on measure these. What stays the same keeps what is known of it.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Measure {
    /// Groups of host processes.
    pub groups: Vec<HostGroup>,
    /// Rules for anomalies.
    pub anomalies: Vec<AnomalyConfig>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Tick;

/// From the thread: it is done, with a collection at this time if all went well.
#[derive(Message)]
#[rtype(result = "()")]
struct Done(Option<Collection>);

/// To the thread: collect, and tell whom.
struct Job {
    measure: Option<Measure>,
    teller: Addr<Collector>,
}

/// The actor that has everything measured.
pub struct Collector {
    interval: Duration,
    listeners: Vec<Recipient<Collection>>,
    jobs: SyncSender<Job>,
    /// What is to be measured from the next collection on, if that is new.
    measure: Option<Measure>,
    book: Book,
    file: Option<KeptFile>,
    is_busy: bool,
    due: Instant,
}

impl Collector {
    /// A collector that has `gatherer` collect at its start and then each `interval`, and tells `listeners` of each collection.
    /// When it is shut down the series are saved in `file`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(
        gatherer: Gatherer,
        interval: Duration,
        listeners: Vec<Recipient<Collection>>,
        file: Option<KeptFile>,
    ) -> std::io::Result<Self> {
        let book = gatherer.book().clone();
        // Only one job is ever under way.
        let (jobs, inbox) = sync_channel(1);
        std::thread::Builder::new().name("collect".to_owned()).spawn(move || work(gatherer, &inbox))?;
        Ok(Self { interval, listeners, jobs, measure: None, book, file, is_busy: false, due: Instant::now() })
    }

    /// Begins a collection, unless one is at work.
    fn begin(&mut self, ctx: &Context<Self>) {
        if self.is_busy {
            COUNTERS.collections_skipped.inc();
            return;
        }
        let job = Job { measure: self.measure.take(), teller: ctx.address() };
        self.is_busy = self.jobs.try_send(job).is_ok();
        if !self.is_busy {
            COUNTERS.collections_skipped.inc();
        }
    }
}

/// The life of the thread. It ends with the actor.
fn work(mut gatherer: Gatherer, inbox: &Receiver<Job>) {
    while let Ok(Job { measure, teller }) = inbox.recv() {
        if let Some(Measure { groups, anomalies }) = measure {
            gatherer.measure(groups, anomalies);
        }
        // Whatever breaks, the next collection may do better.
        let collected = catch_unwind(AssertUnwindSafe(|| gatherer.collect()));
        if collected.is_err() {
            error!(target: "node", event = "collection_panicked", "nothing was collected this time");
        }
        teller.do_send(Done(collected.ok().map(|at| Collection { at })));
    }
}

impl Actor for Collector {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.due = Instant::now();
        ctx.notify(Tick);
    }
}

impl Handler<Tick> for Collector {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Self::Context) {
        self.begin(ctx);
        // On the beat: what passed while this thread was held up is skipped, and told so.
        let now = Instant::now();
        self.due += self.interval;
        while self.due <= now {
            COUNTERS.collections_skipped.inc();
            self.due += self.interval;
        }
        ctx.notify_later(Tick, self.due - now);
    }
}

impl Handler<Done> for Collector {
    type Result = ();

    fn handle(&mut self, Done(collection): Done, _: &mut Self::Context) {
        self.is_busy = false;
        for (listener, collection) in self.listeners.iter().zip(std::iter::repeat(collection)) {
            if let Some(collection) = collection {
                // Who has not yet come to the last ones hears of this one by the next.
                let _ = listener.try_send(collection);
            }
        }
    }
}

impl Handler<Measure> for Collector {
    type Result = ();

    fn handle(&mut self, measure: Measure, _: &mut Self::Context) {
        self.measure = Some(measure);
    }
}

impl Handler<Shutdown> for Collector {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) -> Self::Result {
        ctx.stop();
        let (book, file) = (self.book.clone(), self.file.take());
        Box::pin(async move {
            let Some(file) = file else { return };
            let saving = move || {
                let bytes = book.open().to_bytes();
                file.write(&bytes).map(|()| bytes.len())
            };
            match tokio::task::spawn_blocking(saving).await {
                Ok(Ok(bytes)) => info!(target: "node", event = "series_saved", bytes),
                Ok(Err(error)) => warn!(target: "node", event = "series_not_saved", %error),
                Err(error) => warn!(target: "node", event = "series_not_saved", %error),
            }
        })
    }
}
