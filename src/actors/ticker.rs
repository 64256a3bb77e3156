//! The actor that makes a monitor tick.
//!
//! *Owns* one timer.
//! *Hears from* its monitor (`Arm`, `StopTicker`).
//! *Speaks to* its monitor.
//! *Limits*: one tick for each time that it was armed.

use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle};
use tokio::time::Instant;

use crate::clock::{Clock, Millis};
use crate::metrics::HISTOGRAMS;

/// To a monitor: it is time to look.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Tick;

/// To a ticker: tick then, and at no time that was named before.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Arm {
    /// When, by the node's clock. A time that is over is now.
    pub at: Millis,
}

/// To a ticker: its monitor ends.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct StopTicker;

/// From a ticker that is dropped before its monitor.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct TickerDied;

/// The actor that makes a monitor tick.
pub struct Ticker {
    clock: Clock,
    monitor: Recipient<Tick>,
    died: Option<Recipient<TickerDied>>,
    timer: Option<SpawnHandle>,
}

impl Ticker {
    /// A ticker that is not armed yet.
    pub fn new(clock: Clock, monitor: Recipient<Tick>, died: Recipient<TickerDied>) -> Self {
        Self { clock, monitor, died: Some(died), timer: None }
    }
}

impl Actor for Ticker {
    type Context = Context<Self>;
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some(died) = self.died.take() {
            died.do_send(TickerDied);
        }
    }
}

impl Handler<Arm> for Ticker {
    type Result = ();

    fn handle(&mut self, Arm { at }: Arm, ctx: &mut Self::Context) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let wait = Duration::from_millis(at.saturating_sub(self.clock.now_ms()));
        let armed = Instant::now();
        self.timer = Some(ctx.run_later(wait, move |ticker, _| {
            ticker.timer = None;
            // By the clock on the wall a tick would be years late once that is set.
            let late = armed.elapsed().saturating_sub(wait);
            HISTOGRAMS.tick_lateness_seconds.observe(late.as_secs_f64());
            ticker.monitor.do_send(Tick);
        }));
    }
}

impl Handler<StopTicker> for Ticker {
    type Result = ();

    fn handle(&mut self, _: StopTicker, ctx: &mut Self::Context) {
        self.died = None;
        ctx.stop();
    }
}
