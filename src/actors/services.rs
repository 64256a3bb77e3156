//! The actors of the node that workers and the hub speak to besides the registries.

use std::sync::Arc;

use actix::{Actor as _, Addr};
use actix_rt::ArbiterHandle;

use super::delivery::Delivery;
use super::messages::Shutdown;
use super::monitor_registry::MonitorRegistry;
use super::pusher::Pusher;
use crate::client::Client;
use crate::config::Config;
use crate::ids::ProcessId;
use crate::push::PushOptions;

/// One pusher and one registry of monitors for each part of the shards.
#[derive(Debug)]
pub struct Services {
    /// Those who deliver what outcomes send.
    pub pushers: Vec<Addr<Pusher>>,
    /// Those who know the monitors.
    pub monitors: Vec<Addr<MonitorRegistry>>,
}

impl Services {
    /// Starts them, a pusher and a registry of monitors on each of `arbiters`, or one of each on this thread where there is
    /// none. From then on `hub` and its workers find them.
    pub fn start(delivery: &Arc<Delivery>, config: &Config, client: &Client, arbiters: &[ArbiterHandle]) {
        let hub = delivery.hub.clone();
        let parts = arbiters.len().max(1);
        let options =
            PushOptions { attempts: config.push.attempts, in_flight: config.push.in_flight, ..PushOptions::default() };
        let pusher = |part| Pusher::new(delivery.clone(), options, (part, parts));
        let registry = |part| MonitorRegistry::new(hub.clone(), client.clone(), config.monitor.clone(), (part, parts));
        let start = |part: usize| match arbiters.get(part) {
            Some(arbiter) => {
                let (pusher, registry) = (pusher(part), registry(part));
                let pusher = Pusher::start_in_arbiter(arbiter, |_| pusher);
                (pusher, MonitorRegistry::start_in_arbiter(arbiter, |_| registry))
            }
            None => (pusher(part).start(), registry(part).start()),
        };
        let (pushers, monitors) = (0..parts).map(start).unzip();
        // Nobody else sets them.
        let _ = hub.environment().services.set(Self { pushers, monitors });
    }

    /// Nothing more is pulled or delivered; what is on its way may still be answered.
    pub fn stop(&self) {
        self.monitors.iter().for_each(|registry| registry.do_send(Shutdown));
        self.pushers.iter().for_each(|pusher| pusher.do_send(Shutdown));
    }

    /// Who delivers what `source` sends.
    pub fn pusher(&self, source: &ProcessId) -> &Addr<Pusher> {
        &self.pushers[usize::from(source.shard().0) % self.pushers.len()]
    }

    /// Who knows the monitor of `process`.
    pub fn monitors(&self, process: &ProcessId) -> &Addr<MonitorRegistry> {
        &self.monitors[usize::from(process.shard().0) % self.monitors.len()]
    }
}
