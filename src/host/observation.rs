//! What backends see, before the tracker makes sense of it.

use std::time::Duration;

use super::clock::SinceBoot;
use super::process::{ExitStatus, HostPid};
use super::text::Text;

/// One thing that the kernel told.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When, by the kernel.
    pub at: SinceBoot,
    /// To which process.
    pub pid: HostPid,
    /// What.
    pub change: Change,
}

/// What happened to a process.
#[derive(Clone, Debug)]
pub enum Change {
    /// It began as a copy of `parent`.
    Forked {
        /// Who holds it as a child.
        parent: HostPid,
    },
    /// It has a thread more.
    ThreadStarted,
    /// One of its threads ended, not the first.
    ThreadEnded {
        /// What the thread used.
        cpu: Option<Duration>,
    },
    /// It runs another program now.
    Execed {
        /// The new name, where it could still be read.
        name: Option<Text>,
        /// The program's path.
        exe: Option<Text>,
    },
    /// It gave itself a name.
    Renamed(Text),
    /// Its real user is another.
    UidChanged(u32),
    /// Its first thread ended, and with it the process unless others go on.
    Exited {
        /// How.
        status: Option<ExitStatus>,
        /// What the kernel recorded.
        record: Option<ExitRecord>,
    },
}

/// The kernel's record of a thread's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRecord {
    /// The name at the end.
    pub name: Text,
    /// The parent at the end.
    pub ppid: HostPid,
    /// The real user.
    pub uid: u32,
    /// From start to end.
    pub elapsed: Duration,
    /// User and system time of this thread.
    pub cpu: Duration,
    /// Most memory of the whole process, in bytes; `None` for those without memory of their own.
    pub peak_rss: Option<u64>,
}

/// One process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub pid: HostPid,
    /// Its parent.
    pub ppid: HostPid,
    /// When it began, rounded down to a tick (10 ms).
    pub start: SinceBoot,
    /// Its name.
    pub name: Text,
    /// Its program, where it may be read.
    pub exe: Option<Text>,
    /// Its real user, where it may be read.
    pub uid: Option<u32>,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// How many threads it has.
    pub threads: u32,
    /// Its first thread has ended. With no other left, the whole process has.
    pub zombie: bool,
    /// It runs, waits for its turn or for a disk, and for nothing that others do.
    pub busy: bool,
    /// How it ended, where that may be read.
    pub status: Option<ExitStatus>,
}

impl Seen {
    /// Whether it has ended and only waits for its parent to notice.
    pub fn has_ended(&self) -> bool {
        self.zombie && self.threads <= 1
    }
}

/// All processes as `/proc` shows them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When the look began: whoever started later may be missing.
    pub began: SinceBoot,
    /// When the look ended.
    pub ended: SinceBoot,
    /// Who was there.
    pub seen: Vec<Seen>,
    /// `/proc` hides the processes of others, so who is missing need not be gone.
    pub partial: bool,
}
