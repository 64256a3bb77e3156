//! What is told about host processes.

use std::fmt;
use std::time::Duration;

use super::text::Text;
use crate::clock::Millis;

/// The number of a host process (of its thread group, not of a thread).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPid(pub u32);

impl fmt::Display for HostPid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameSource {
    /// The process gave it to itself, or has it from its parent and never started another program.
    Comm,
    /// Read as it started a program.
    Exec,
    /// From the kernel's record of its end.
    Taskstats,
    /// Found in `/proc` when all was looked through.
    Snapshot,
    /// Nobody could tell; the name is `unknown`.
    Unknown,
}

impl NameSource {
    /// The word for it on the outside.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Comm => "comm",
            Self::Exec => "exec",
            Self::Taskstats => "taskstats",
            Self::Snapshot => "snapshot",
            Self::Unknown => "unknown",
        }
    }
}

/// One host process as it is known now. What could not be found out is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostProcess {
    /// Its number.
    pub pid: HostPid,
    /// Its parent's number, as it was when it began or was found.
    pub ppid: Option<HostPid>,
    /// Its name: what the kernel keeps, 15 bytes at most for programs.
    pub name: Text,
    /// Where the name comes from.
    pub name_source: NameSource,
    /// The path of its program.
    pub exe: Option<Text>,
    /// Its real user.
    pub uid: Option<u32>,
    /// When it began, Unix time.
    pub start_time: Option<Millis>,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
}

/// How a host process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this code, 0 to 255.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
}

impl ExitStatus {
    /// From the number that `wait` gives.
    pub fn from_wait(status: u32) -> Self {
        let [low, high, ..] = status.to_le_bytes();
        match low & 0x7f {
            0 => Self::Code(high),
            signal => Self::Signal(signal),
        }
    }

    /// The code, where it ended by itself.
    pub fn code(self) -> Option<u8> {
        if let Self::Code(code) = self { Some(code) } else { None }
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<u8> {
        if let Self::Signal(signal) = self { Some(signal) } else { None }
    }
}

/// What is known of an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// How it ended.
    pub status: Option<ExitStatus>,
    /// How long it ran.
    pub run_time: Option<Duration>,
    /// CPU time of all its threads, user and system.
    pub cpu_time: Option<Duration>,
    /// The most memory that it held at once, in bytes.
    pub peak_rss: Option<u64>,
}

/// What happened to a host process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It began. Told once for each process, before anything else about it.
    Created {
        /// It was there before the watch began.
        initial: bool,
    },
    /// It goes by another name from here on.
    Renamed {
        /// The name before.
        from: Text,
    },
    /// It ended. Told once for each process, after everything else about it.
    Destroyed(End),
}

/// One event. `process` shows it as it is after the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEvent {
    /// What happened.
    pub kind: EventKind,
    /// To whom.
    pub process: HostProcess,
    /// From the kernel's time stamp to now; `None` where the kernel told nothing (found by looking).
    pub latency: Option<Duration>,
}
