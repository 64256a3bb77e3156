//! Takes over what may change while the node runs: the log's filter, the tokens for others, the configured processes, and what
//! observes them.

use std::collections::HashSet;

use sd_notify::NotifyState;
use tracing::{error, info, warn};

use super::NodeError;
use super::definitions::{check_stored, define, load};
use super::notify;
use super::observing::Observing;
use super::peers;
use crate::actors::Hub;
use crate::client::Peers;
use crate::config::{Config, MetricsConfig, Origin};
use crate::logging::Logging;

/// Knows the configuration in force.
pub(super) struct Reloader {
    config: Config,
    peers: Peers,
}

impl Reloader {
    pub(super) fn new(config: Config, peers: Peers) -> Self {
        Self { config, peers }
    }

    /// Loads the configuration again. A bad one, or one that what is stored contradicts, changes nothing.
    pub(super) async fn reload(&mut self, hub: &Hub, observing: &Observing, logging: &Logging) {
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now().ok());
        notify(&states);
        match self.load_again(hub) {
            Ok(config) => self.take_over(config, hub, observing, logging).await,
            Err(error) => error!(target: "node", event = "reload_refused", %error, "nothing was changed"),
        }
        notify(&[NotifyState::Ready]);
    }

    fn load_again(&self, hub: &Hub) -> Result<Config, NodeError> {
        let path = match &self.config.origin {
            Origin::File(path) => Some(path.as_path()),
            Origin::Embedded => None,
        };
        let config = load(path)?;
        // How many processes there may be is only read at the start.
        check_stored(&config, &hub.environment().store, self.config.limits.max_processes)?;
        Ok(config)
    }

    async fn take_over(&mut self, config: Config, hub: &Hub, observing: &Observing, logging: &Logging) {
        if config.log.filter != self.config.log.filter
            && let Err(error) = logging.set_filter(&config.log.filter)
        {
            error!(target: "node", event = "reload_failed", %error);
        }
        match peers::of(&config) {
            Ok(peers) => self.peers.exchange(peers),
            Err(error) => error!(target: "node", event = "reload_failed", %error),
        }
        let names: HashSet<_> = config.processes.iter().map(|process| process.id.clone()).collect();
        let gone: Vec<_> = self.config.processes.iter().filter(|old| !names.contains(&old.id)).collect();
        let returned: Vec<_> =
            config.processes.iter().filter(|new| self.config.processes.iter().all(|old| old.id != new.id)).collect();
        hub.environment().configured.store(names.into());
        // Whether a process is retired is looked at when its worker starts.
        for process in gone.into_iter().chain(returned) {
            let _ = hub.stop_worker(&process.id).await;
        }
        for process in &config.processes {
            if let Err(error) = define(hub, process).await {
                error!(target: "node", event = "reload_failed", process = %process.id, %error);
            }
        }
        // What it leads to may be processes that were just defined.
        observing.reload(&config).await;
        let waiting = self.config.needs_restart(&config);
        if !waiting.is_empty() {
            warn!(target: "node", event = "reload_waits", sections = waiting.join(", "), "changed, in force after a restart");
        }
        info!(target: "node", event = "reloaded", config = %config.origin);
        // What waits for a restart stays as it is in force.
        self.config.log.filter = config.log.filter;
        self.config.peers = config.peers;
        self.config.processes = config.processes;
        self.config.metrics.groups = config.metrics.groups;
        self.config.anomalies = config.anomalies;
        self.config.health = config.health;
        self.config.alerts = config.alerts;
    }
}

impl Config {
    /// The sections that differ and are only read at the start.
    fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let sections = [
            ("node", self.node != new.node),
            ("log.format", self.log.format != new.log.format),
            ("http", self.http != new.http),
            ("workers", self.workers != new.workers),
            ("limits", self.limits != new.limits),
            ("store", self.store != new.store),
            ("monitor", self.monitor != new.monitor),
            ("push", self.push != new.push),
            ("route", self.routes != new.routes),
            ("watch.enabled", self.watch.enabled != new.watch.enabled),
            ("watch.backend", self.watch.backend != new.watch.backend),
            ("watch.poll_interval", self.watch.poll_interval != new.watch.poll_interval),
            ("watch.realtime", self.watch.realtime != new.watch.realtime),
            ("watch.queue", self.watch.queue != new.watch.queue),
            ("metrics", without_groups(&self.metrics) != without_groups(&new.metrics)),
        ];
        sections.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// What of it is only read at the start.
fn without_groups(metrics: &MetricsConfig) -> MetricsConfig {
    MetricsConfig { groups: Vec::new(), ..metrics.clone() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::parse;

    #[test]
    fn every_section_that_is_only_read_at_the_start_is_named_when_it_changes() {
        let read = |text: &str| parse(text, &Origin::File(PathBuf::from("n.toml")), &|_| Ok(Vec::new())).unwrap();
        const TAKEN_OVER: &str =
            "[log]\nfilter = \"warn\"\n[watch]\nprefix = \"P\"\n[[peer]]\nurl = \"http://a\"\ntoken = \"b\"";
        let before = read("");
        assert_eq!(before.needs_restart(&read(TAKEN_OVER)), [""; 0]);
        for (text, named) in [
            ("[node]\nname = \"other\"", "node"),
            ("[log]\nformat = \"compact\"", "log.format"),
            ("[http]\nmax_waiting = 1", "http"),
            ("[workers]\nworkers_max = 1", "workers"),
            ("[limits]\nmax_processes = 1", "limits"),
            ("[store]\nsnapshots_kept = 3", "store"),
            ("[monitor]\npage_limit = 1", "monitor"),
            ("[push]\nattempts = 1", "push"),
            ("[[route]]\ntarget = \"far\"\nurl = \"http://far:1\"", "route"),
            ("[watch]\nqueue = 1", "watch.queue"),
            ("[metrics]\ninterval = \"1s\"", "metrics"),
        ] {
            assert_eq!(before.needs_restart(&read(text)), [named], "{text}");
        }
    }
}
