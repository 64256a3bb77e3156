//! What the host tells: the node itself, and groups of host processes.

use tracing::warn;

use crate::clock::Millis;
use crate::config::HostGroup;
use crate::host::usage::{GroupUsage, HostGroups, Own, OwnReader, Unread, Usage, UsageError};
use crate::metrics::Snapshot;
use crate::metrics::catalogue::{
    CPU, HEAP_MAPPED, HEAP_USED, HOST_CPU, HOST_FDS, HOST_LOOK_CPU, HOST_PROCESSES, HOST_RESIDENT, HOST_START,
    HOST_STATES, HOST_THREADS, HOST_UNREAD, NODE, PROCESS_CPU, PROCESS_FDS, PROCESS_MAX_FDS, PROCESS_RESIDENT,
    PROCESS_START, PROCESS_THREADS, PROCESS_VIRTUAL, UPTIME,
};
use crate::stats::Labels;

/// Reads what the host tells. What can't be read is told once, until it can be read again.
#[derive(Debug, Default)]
pub(super) struct Host {
    own: Option<OwnReader>,
    rules: Vec<HostGroup>,
    groups: Option<HostGroups>,
    /// CPU seconds of all looks so far.
    look_cpu: f64,
    own_trouble: Trouble,
    groups_trouble: Trouble,
}

#[derive(Debug, Default)]
struct Trouble(bool);

impl Trouble {
    fn note<T>(&mut self, result: Result<T, UsageError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.0 = false;
                Some(value)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.0, true) {
                    warn!(target: "node", event = "host_unread", %error);
                }
                None
            }
        }
    }
}

impl Host {
    /// Measures these groups from now on.
    pub(super) fn measure(&mut self, rules: Vec<HostGroup>) {
        match &mut self.groups {
            Some(groups) if !rules.is_empty() => groups.replace(rules.clone()),
            groups => *groups = None,
        }
        self.rules = rules;
    }

    /// Reads everything into a snapshot. Blocks.
    pub(super) fn show(&mut self, snapshot: &mut Snapshot) {
        if self.own.is_none() {
            self.own = self.own_trouble.note(OwnReader::open());
        }
        let own = self.own.as_mut().map(OwnReader::read);
        if let Some(own) = own.and_then(|own| self.own_trouble.note(own)) {
            show_own(snapshot, &own);
        }
        if self.groups.is_none() && !self.rules.is_empty() {
            self.groups = self.groups_trouble.note(HostGroups::open(self.rules.clone()));
        }
        let usage = self.groups.as_mut().map(HostGroups::scan);
        if let Some(usage) = usage.and_then(|usage| self.groups_trouble.note(usage)) {
            self.look_cpu += usage.cpu.as_secs_f64();
            snapshot.set(&HOST_LOOK_CPU, &Labels::default(), self.look_cpu);
            show_usage(snapshot, &usage);
        }
    }
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // Names are the catalogue's, values those of the configuration, whose names are short.
    Labels::from_pairs(pairs).unwrap_or_default()
}

fn seconds(time: Millis) -> f64 {
    time as f64 / 1_000.0
}

fn show_own(snapshot: &mut Snapshot, own: &Own) {
    let none = Labels::default();
    let cpu = own.cpu_user + own.cpu_system;
    for (metric, value) in [
        (&PROCESS_CPU, cpu.as_secs_f64()),
        (&PROCESS_RESIDENT, own.resident_bytes as f64),
        (&PROCESS_VIRTUAL, own.virtual_bytes as f64),
        (&PROCESS_FDS, own.descriptors as f64),
        (&PROCESS_MAX_FDS, own.descriptors_max.map_or(f64::NAN, |most| most as f64)),
        (&PROCESS_THREADS, own.threads as f64),
        (&PROCESS_START, seconds(own.start_time)),
        (&UPTIME, own.uptime.as_secs_f64()),
        (&HEAP_MAPPED, own.heap_mapped_bytes as f64),
        (&HEAP_USED, own.heap_used_bytes as f64),
    ] {
        snapshot.set(metric, &none, value);
    }
    snapshot.set(&CPU, &labels([("mode", "user")]), own.cpu_user.as_secs_f64());
    snapshot.set(&CPU, &labels([("mode", "system")]), own.cpu_system.as_secs_f64());
    let pid = own.pid.0.to_string();
    snapshot.set(&NODE, &labels([("version", env!("CARGO_PKG_VERSION")), ("pid", &pid)]), 1.0);
}

fn show_usage(snapshot: &mut Snapshot, usage: &Usage) {
    for group in &usage.groups {
        show_group(snapshot, group);
    }
    let Unread { processes, beyond, texts, descriptors } = usage.unread;
    for (what, number) in [("processes", processes), ("beyond", beyond), ("texts", texts), ("descriptors", descriptors)]
    {
        snapshot.set(&HOST_UNREAD, &labels([("what", what)]), f64::from(number));
    }
}

fn show_group(snapshot: &mut Snapshot, group: &GroupUsage) {
    let name = [("group", &*group.name)];
    for (metric, value) in [
        (&HOST_PROCESSES, f64::from(group.processes)),
        (&HOST_RESIDENT, group.resident_bytes as f64),
        (&HOST_FDS, group.descriptors as f64),
        (&HOST_THREADS, group.threads as f64),
        (&HOST_START, group.oldest_start.map_or(f64::NAN, seconds)),
    ] {
        snapshot.set(metric, &labels(name), value);
    }
    for (mode, time) in [("user", group.cpu_user), ("system", group.cpu_system)] {
        snapshot.set(&HOST_CPU, &labels([("group", &group.name), ("mode", mode)]), time.as_secs_f64());
    }
    for (letter, number) in group.states.iter() {
        let state = letter.to_string();
        snapshot.set(&HOST_STATES, &labels([("group", &group.name), ("state", &state)]), f64::from(number));
    }
}
