//! A machine on paper: what the tracker is told, and what it tells.

use std::collections::HashMap;
use std::time::Duration;

use crate::host::{
    Change, EventKind, ExitRecord, ExitStatus, HostEvent, HostPid, Look, Observation, Seen, SinceBoot, Snapshot,
    Tracker,
};

pub(super) const HOLD: Duration = Duration::from_millis(50);

/// Milliseconds since the machine began.
pub(super) fn ms(at: u64) -> SinceBoot {
    SinceBoot(at * 1_000_000)
}

/// What `/proc` shows.
#[derive(Clone, Default)]
pub(super) struct Shown(pub(super) HashMap<u32, Seen>);

impl Look for Shown {
    fn look(&mut self, pid: HostPid) -> Option<Seen> {
        self.0.get(&pid.0).cloned()
    }

    fn exists(&mut self, pid: HostPid) -> bool {
        self.0.contains_key(&pid.0)
    }
}

impl Shown {
    pub(super) fn with(mut self, seen: Seen) -> Self {
        self.0.insert(seen.pid.0, seen);
        self
    }

    pub(super) fn snapshot(&self, at: u64) -> Snapshot {
        Snapshot { began: ms(at), ended: ms(at), seen: self.0.values().cloned().collect(), partial: false }
    }
}

pub(super) fn seen(pid: u32, start: u64, name: &str) -> Seen {
    Seen {
        pid: HostPid(pid),
        ppid: HostPid(1),
        start: ms(start / 10 * 10),
        name: name.into(),
        exe: None,
        uid: Some(1000),
        kernel: false,
        threads: 1,
        zombie: false,
        busy: false,
        status: None,
    }
}

pub(super) fn record(name: &str) -> ExitRecord {
    ExitRecord {
        name: name.into(),
        ppid: HostPid(1),
        uid: 1000,
        elapsed: Duration::from_millis(7),
        cpu: Duration::from_millis(2),
        peak_rss: Some(4096),
    }
}

pub(super) fn fork(parent: u32) -> Change {
    Change::Forked { parent: HostPid(parent) }
}

pub(super) fn exec(name: &str) -> Change {
    Change::Execed { name: Some(name.into()), exe: Some(format!("/bin/{name}").as_str().into()) }
}

pub(super) fn exit(code: u8) -> Change {
    Change::Exited { status: Some(ExitStatus::Code(code)), record: None }
}

/// A tracker and all that it has told, one line an event.
pub(super) struct Room {
    pub(super) tracker: Tracker,
    pub(super) shown: Shown,
    pub(super) events: Vec<HostEvent>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { tracker: Tracker::new(HOLD, 1_000_000), shown: Shown::default(), events: Vec::new() }
    }

    /// One where a shell, number 10, has been there from the start.
    pub(super) fn with_shell() -> Self {
        let mut room = Self::new();
        room.shown = Shown::default().with(seen(10, 0, "sh"));
        room.reconcile(0, true);
        room.events.clear();
        room
    }

    pub(super) fn see(&mut self, at: u64, pid: u32, change: Change) {
        let observation = Observation { at: ms(at), pid: HostPid(pid), change };
        self.tracker.apply(observation, ms(at), &mut self.events);
    }

    pub(super) fn tick(&mut self, at: u64) {
        self.tracker.tick(ms(at), &mut self.shown, &mut self.events);
    }

    pub(super) fn reconcile(&mut self, at: u64, first: bool) {
        let snapshot = self.shown.snapshot(at);
        self.tracker.reconcile(&snapshot, first, &mut self.shown, &mut self.events);
    }

    /// What was told since the last time.
    pub(super) fn told(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| line(&event)).collect()
    }

    pub(super) fn living(&self) -> Vec<u32> {
        let mut living: Vec<u32> = self.tracker.processes().map(|process| process.pid.0).collect();
        living.sort_unstable();
        living
    }
}

fn line(event: &HostEvent) -> String {
    let process = &event.process;
    let who = format!("{} {} {}", process.pid, process.name, process.name_source.as_str());
    match &event.kind {
        EventKind::Created { initial: true } => format!("initial {who}"),
        EventKind::Created { initial: false } => format!("created {who}"),
        EventKind::Renamed { from } => format!("renamed {who} from {from}"),
        EventKind::Destroyed(end) => match end.status {
            None => format!("destroyed {who}"),
            Some(ExitStatus::Code(code)) => format!("destroyed {who} code {code}"),
            Some(ExitStatus::Signal(signal)) => format!("destroyed {who} signal {signal}"),
        },
    }
}
