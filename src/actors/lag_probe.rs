//! The actor that measures how late its arbiter is.
//!
//! *Owns* one timer. *Hears from* nobody. *Speaks to* the log, and to whoever reads its ring of lags.
//! *Limits*: one measurement a second, one warning a minute.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context};
use actix_rt::ArbiterHandle;
use tokio::time::Instant;
use tracing::warn;

use crate::metrics::{Lags, Ring};

/// So often an arbiter is measured.
const EVERY: Duration = Duration::from_secs(1);
/// So often a lag is told at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What all probes share.
#[derive(Clone, Debug)]
pub struct LagWatch {
    /// Where lags are kept.
    pub lags: Arc<Lags>,
    /// A lag above this is told.
    pub threshold: Duration,
}

impl LagWatch {
    /// Measures the arbiter of this thread under a name.
    pub fn here(&self, arbiter: &str) {
        LagProbe::new(self, arbiter).start();
    }

    /// Measures another arbiter under a name.
    pub fn on(&self, handle: &ArbiterHandle, arbiter: &str) {
        let probe = LagProbe::new(self, arbiter);
        LagProbe::start_in_arbiter(handle, |_| probe);
    }
}

/// The actor that measures how late its arbiter is: how long after its time a timer fires there.
#[derive(Debug)]
pub struct LagProbe {
    arbiter: String,
    ring: Arc<Ring>,
    threshold: Duration,
    told: Option<Instant>,
}

impl LagProbe {
    /// A probe that measures the arbiter it is started on, under a name.
    pub fn new(watch: &LagWatch, arbiter: &str) -> Self {
        let ring = watch.lags.ring(arbiter);
        Self { arbiter: arbiter.to_owned(), ring, threshold: watch.threshold, told: None }
    }

    fn arm(ctx: &mut Context<Self>) {
        let due = Instant::now() + EVERY;
        ctx.run_later(EVERY, move |probe, ctx| {
            probe.note(due.elapsed());
            Self::arm(ctx);
        });
    }

    fn note(&mut self, lag: Duration) {
        self.ring.push(lag);
        if lag > self.threshold && self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            warn!(target: "node", event = "arbiter_lag", arbiter = self.arbiter, lag = ?lag, threshold = ?self.threshold,
                "something keeps this thread from its other work");
        }
    }
}

impl Actor for LagProbe {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        Self::arm(ctx);
    }
}
