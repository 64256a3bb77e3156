//! One process in the map.

use std::time::Duration;

use super::super::clock::{SinceBoot, tick};
use super::super::observation::{ExitRecord, Seen};
use super::super::process::{ExitStatus, HostPid, HostProcess, NameSource};
use super::super::text::Text;
use crate::clock::Millis;

/// When `/proc` is first asked whether other threads go on without their first.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// What the first thread left behind while others go on.
#[derive(Debug, Clone)]
pub(super) struct FirstThreadEnded {
    pub(super) at: SinceBoot,
    pub(super) status: Option<ExitStatus>,
    pub(super) record: Option<ExitRecord>,
    /// How long to wait before `/proc` is asked again whether others really go on.
    pub(super) pause: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) pid: HostPid,
    pub(super) ppid: Option<HostPid>,
    /// When it began, or a later time where `is_start_known` is false.
    pub(super) start: SinceBoot,
    pub(super) is_start_known: bool,
    pub(super) name: Option<Text>,
    pub(super) source: NameSource,
    pub(super) exe: Option<Text>,
    pub(super) uid: Option<u32>,
    pub(super) kernel: bool,
    pub(super) threads: i64,
    /// CPU time of its ended threads, `None` where some of them ended unseen.
    pub(super) cpu: Option<Duration>,
    /// Whether its creation has been told.
    pub(super) is_told: bool,
    /// Whether it has been waited for a second time before telling without having seen it.
    pub(super) is_late: bool,
    /// When `/proc` last showed it.
    pub(super) seen_at: Option<SinceBoot>,
    /// When the tracker wants to come back to it.
    pub(super) due: Option<SinceBoot>,
    pub(super) first_thread_ended: Option<FirstThreadEnded>,
}

impl Entry {
    /// A process that began at `start` or before, of which nothing else is known.
    pub(super) fn unknown(pid: HostPid, start: SinceBoot) -> Self {
        Self {
            pid,
            ppid: None,
            start,
            is_start_known: false,
            name: None,
            source: NameSource::Unknown,
            exe: None,
            uid: None,
            kernel: false,
            threads: 1,
            cpu: None,
            is_told: false,
            is_late: false,
            seen_at: None,
            due: None,
            first_thread_ended: None,
        }
    }

    /// A child just forked by `parent`: it takes over all that a copy does.
    pub(super) fn forked(pid: HostPid, start: SinceBoot, ppid: HostPid, parent: Option<&Self>) -> Self {
        let known =
            Self { ppid: Some(ppid), is_start_known: true, cpu: Some(Duration::ZERO), ..Self::unknown(pid, start) };
        let Some(parent) = parent else { return known };
        let source = if parent.name.is_some() { NameSource::Comm } else { NameSource::Unknown };
        Self {
            name: parent.name.clone(),
            source,
            exe: parent.exe.clone(),
            uid: parent.uid,
            kernel: parent.kernel,
            ..known
        }
    }

    /// A process that `/proc` showed.
    pub(super) fn found(seen: &Seen, at: SinceBoot) -> Self {
        Self {
            ppid: Some(seen.ppid),
            is_start_known: true,
            name: Some(seen.name.clone()),
            source: NameSource::Snapshot,
            exe: seen.exe.clone(),
            uid: seen.uid,
            kernel: seen.kernel,
            threads: living_threads(seen),
            first_thread_ended: seen.zombie.then_some(FirstThreadEnded {
                at,
                status: seen.status,
                record: None,
                pause: FIRST_PAUSE,
            }),
            seen_at: Some(at),
            ..Self::unknown(seen.pid, seen.start)
        }
    }

    /// Whether one with the same number that began at `start`, as `/proc` shows it, is this process.
    ///
    /// `/proc` rounds the start down, and a fork is told a little after it: so the same process is seen to start no later
    /// than is known here, and one that took over its number starts after that.
    pub(super) fn began(&self, start: SinceBoot) -> bool {
        start <= SinceBoot(self.start.0.saturating_add(tick()))
    }

    /// Takes over what `/proc` shows of the same process, but the name.
    pub(super) fn learn(&mut self, seen: &Seen, at: SinceBoot) {
        if !self.is_start_known {
            (self.start, self.is_start_known) = (seen.start, true);
        }
        self.ppid = self.ppid.or(Some(seen.ppid));
        self.uid = self.uid.or(seen.uid);
        if self.exe.is_none() {
            self.exe.clone_from(&seen.exe);
        }
        self.kernel = seen.kernel;
        self.threads = living_threads(seen);
        self.seen_at = Some(at);
    }

    /// Gives it a name; tells the former one if it differs and was known.
    pub(super) fn rename(&mut self, name: &Text, source: NameSource) -> Option<Text> {
        if self.name.as_ref() == Some(name) {
            return None;
        }
        self.source = source;
        self.name.replace(name.clone())
    }

    /// How it is shown to others.
    pub(super) fn process(&self, wall_at_boot: Millis) -> HostProcess {
        HostProcess {
            pid: self.pid,
            ppid: self.ppid,
            name: self.name.clone().unwrap_or_else(|| "unknown".into()),
            name_source: if self.name.is_some() { self.source } else { NameSource::Unknown },
            exe: self.exe.clone(),
            uid: self.uid,
            start_time: self.is_start_known.then(|| wall_at_boot.saturating_add(self.start.0 / 1_000_000)),
            kernel: self.kernel,
        }
    }
}

/// The kernel counts a first thread that has ended until the others have too.
fn living_threads(seen: &Seen) -> i64 {
    i64::from(seen.threads) - i64::from(seen.zombie)
}
