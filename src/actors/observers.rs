//! The actors that watch over the node: those for health and for alerts.

mod alert_board;
mod alert_keeper;
mod alert_manager;
mod health_board;
mod health_checker;
mod looks;
mod receivers;

use std::time::Duration;

use actix::{Actor as _, Addr, Recipient};
use actix_rt::ArbiterHandle;
use tokio::time::timeout;
use tracing::warn;

pub use self::alert_board::AlertBoard;
pub use self::alert_keeper::AlertMemory;
pub(super) use self::alert_manager::AlertTools;
pub use self::alert_manager::{AlertManager, ReloadAlerts};
pub use self::health_board::HealthBoard;
pub use self::health_checker::{HealthChecker, ReloadHealth};
use super::book::Book;
use super::collector::Collection;
use super::hub::Hub;
use super::messages::Shutdown;
use crate::client::Client;
use crate::config::Config;
use crate::metrics::catalogue::{ALERT_EVALUATIONS_SKIPPED, ALERTS, ALERTS_REFUSED, HEALTHY, RECEIVER_FAILURES};
use crate::metrics::{Metric, Snapshot};
use crate::stats::Labels;

/// They have so long to take over another configuration.
const RELOAD_TIME: Duration = Duration::from_secs(5);

/// The actors that watch over the node, and what they show.
#[derive(Clone, Debug)]
pub struct Observers {
    /// How the checks stand.
    pub health: HealthBoard,
    /// How the alerts stand.
    pub alerts: AlertBoard,
    checker: Addr<HealthChecker>,
    manager: Addr<AlertManager>,
}

impl Observers {
    /// Starts them on `arbiter`, or on this thread where there is none. Rules look at `book`, and go on from `memory`; without one
    /// nothing outlives them.
    pub fn start(
        hub: &Hub,
        config: &Config,
        client: &Client,
        book: &Book,
        memory: Option<AlertMemory>,
        arbiter: Option<&ArbiterHandle>,
    ) -> Self {
        let (health, alerts) = (HealthBoard::default(), AlertBoard::default());
        let checker = HealthChecker::new(hub.clone(), client.clone(), &config.health, health.clone());
        let tools = AlertTools {
            hub: hub.clone(),
            client: client.clone(),
            book: book.clone(),
            interval: config.metrics.interval,
            generator: format!("http://{}/alerts", config.http.listen),
        };
        let manager = AlertManager::new(tools, &config.alerts, alerts.clone(), memory);
        let (checker, manager) = match arbiter {
            Some(arbiter) => (
                HealthChecker::start_in_arbiter(arbiter, |_| checker),
                AlertManager::start_in_arbiter(arbiter, |_| manager),
            ),
            None => (checker.start(), manager.start()),
        };
        Self { health, alerts, checker, manager }
    }

    /// Who is to hear of each collection.
    pub fn listener(&self) -> Recipient<Collection> {
        self.manager.clone().recipient()
    }

    /// Puts their numbers into a collection: how checks and alerts stand, and what receivers did not take. Waits for nobody.
    pub fn feed(&self, snapshot: &mut Snapshot) {
        let mut set = |metric: &'static Metric, label: &str, value: String, number: f64| {
            // A name too long for a label has no number of its own.
            if let Ok(labels) = Labels::from_pairs([(label.to_owned(), value)]) {
                snapshot.set(metric, &labels, number);
            }
        };
        for (check, is_healthy) in self.health.healthy() {
            set(&HEALTHY, "check", check, f64::from(u8::from(is_healthy)));
        }
        let (pending, firing) = self.alerts.counts();
        for (state, count) in [("pending", pending), ("firing", firing)] {
            set(&ALERTS, "state", state.to_owned(), count as f64);
        }
        for (receiver, count) in self.alerts.failures() {
            set(&RECEIVER_FAILURES, "receiver", receiver, count as f64);
        }
        snapshot.set(&ALERTS_REFUSED, &Labels::default(), self.alerts.refused() as f64);
        snapshot.set(&ALERT_EVALUATIONS_SKIPPED, &Labels::default(), self.alerts.skipped() as f64);
    }

    /// Has them go by this configuration from now on. Returns once they do, or are too busy to say so.
    pub async fn reload(&self, config: &Config) {
        let health = self.checker.send(ReloadHealth(config.health.clone()));
        let alerts = self.manager.send(ReloadAlerts(config.alerts.clone()));
        let reloaded = timeout(RELOAD_TIME, futures_util::future::join(health, alerts)).await;
        if !matches!(reloaded, Ok((Ok(()), Ok(())))) {
            warn!(target: "node", event = "observers_busy", "health checks and alerts take over the new file later");
        }
    }

    /// They look at nothing and tell nothing more.
    pub fn stop(&self) {
        self.checker.do_send(Shutdown);
        self.manager.do_send(Shutdown);
    }

    /// Returns once those who were [stopped](Self::stop) have saved what outlives them.
    pub async fn stopped(&self) {
        // Who doesn't hear any more is done.
        let _ = self.manager.send(Shutdown).await;
    }
}
