//! The reader of `/proc`: few system calls, no library.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::clock::SinceBoot;
use super::counters::{Counters, add};
use super::error::HostError;
use super::observation::{Seen, Snapshot};
use super::process::HostPid;
use super::stat::{Stat, arguments_of_cmdline, uid_of_status};
use super::text::Text;
use super::tracker::{Look, Table};

/// The longest command line that is read.
const CMDLINE_MAX: usize = 16 << 10;

/// `/proc`, held open. Whatever can't be read is `None`; what may not be read is counted besides.
#[derive(Clone, Debug)]
pub struct ProcFs {
    root: Arc<OwnedFd>,
    path: PathBuf,
    hides: bool,
    counters: Arc<Counters>,
}

impl ProcFs {
    /// Opens `/proc`.
    pub fn open(counters: Arc<Counters>) -> Result<Self, HostError> {
        Self::at(Path::new("/proc"), counters)
    }

    /// Opens a folder that looks like `/proc`.
    pub fn at(path: &Path, counters: Arc<Counters>) -> Result<Self, HostError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let refused = |error: Errno| HostError::Proc { path: path.display().to_string(), source: error.into() };
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(refused)?;
        let mut opened = Self { root: Arc::new(root), path: path.to_owned(), hides: false, counters };
        // The first process is always there: who can't see it is not shown the processes of others.
        opened.hides = opened.stat(HostPid(1)).is_none();
        Ok(opened)
    }

    /// Whether the processes of others are hidden (`hidepid`).
    pub fn hides_others(&self) -> bool {
        self.hides
    }

    /// The name, as it is now.
    pub fn comm(&self, pid: HostPid) -> Option<Text> {
        let mut buffer = [0; 80];
        let name = self.read(pid, "comm", &mut buffer)?;
        Some(Text::from_bytes(name.strip_suffix(b"\n").unwrap_or(name)))
    }

    /// The path of the program. Threads of the kernel and zombies have none.
    pub fn exe(&self, pid: HostPid) -> Option<Text> {
        let path = format!("{pid}/exe");
        let link = self.permitted(readlinkat(&*self.root, path, Vec::new()))?;
        Some(Text::from_bytes(link.as_bytes()))
    }

    /// The line of figures.
    pub fn stat(&self, pid: HostPid) -> Option<Stat> {
        let mut buffer = [0; 1024];
        Stat::parse(self.read(pid, "stat", &mut buffer)?)
    }

    /// The real user.
    pub fn uid(&self, pid: HostPid) -> Option<u32> {
        let mut buffer = [0; 2048];
        uid_of_status(self.read(pid, "status", &mut buffer)?)
    }

    /// The arguments, the first 16 KiB of them. Threads of the kernel and zombies have none.
    pub fn cmdline(&self, pid: HostPid) -> Option<Vec<Text>> {
        let mut buffer = vec![0; CMDLINE_MAX];
        self.read(pid, "cmdline", &mut buffer).map(arguments_of_cmdline)
    }

    /// The numbers of all processes, in no order.
    pub fn pids(&self) -> io::Result<Vec<HostPid>> {
        let mut pids = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                pids.push(HostPid(pid));
            }
        }
        Ok(pids)
    }

    /// One process with all that is known of it.
    pub fn seen(&self, pid: HostPid) -> Option<Seen> {
        self.stat(pid).map(|stat| self.detailed(stat))
    }

    /// All processes. Of those that `is_known` (number and start) only what can change is read.
    pub fn snapshot(&self, is_known: &dyn Fn(HostPid, SinceBoot) -> bool) -> io::Result<Snapshot> {
        let began = SinceBoot::now();
        let mut seen = Vec::new();
        for pid in self.pids()? {
            let Some(stat) = self.stat(pid) else { continue };
            seen.push(if is_known(pid, stat.start) { without_details(stat) } else { self.detailed(stat) });
        }
        Ok(Snapshot { began, ended: SinceBoot::now(), seen, partial: self.hides })
    }

    fn detailed(&self, stat: Stat) -> Seen {
        let pid = stat.pid;
        let has_program = !stat.kernel && !stat.is_zombie();
        Seen { exe: has_program.then(|| self.exe(pid)).flatten(), uid: self.uid(pid), ..without_details(stat) }
    }

    fn read<'a>(&self, pid: HostPid, file: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let path = format!("{pid}/{file}");
        let file = self.permitted(openat(&*self.root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))?;
        let mut length = 0;
        // Long texts come a page at a time; short ones are there after one call, and the second would only say so.
        while length < buffer.len() {
            let read = self.permitted(rustix::io::read(&file, &mut buffer[length..]))?;
            length += read;
            if read == 0 || length < PAGE {
                break;
            }
        }
        buffer.get(..length)
    }

    fn permitted<T>(&self, result: Result<T, Errno>) -> Option<T> {
        if matches!(result, Err(Errno::ACCESS | Errno::PERM)) {
            add(&self.counters.denied, 1);
        }
        result.ok()
    }
}

/// The kernel writes at most so much in one go.
const PAGE: usize = 4096;

impl Look for ProcFs {
    fn look(&mut self, pid: HostPid) -> Option<Seen> {
        self.seen(pid)
    }

    fn exists(&mut self, pid: HostPid) -> bool {
        let Some(pid) = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw) else { return false };
        rustix::process::test_kill_process(pid) != Err(Errno::SRCH)
    }
}

impl Table for ProcFs {
    fn snapshot(&mut self, is_known: &dyn Fn(HostPid, SinceBoot) -> bool) -> io::Result<Snapshot> {
        Self::snapshot(self, is_known)
    }

    fn hides_others(&self) -> bool {
        self.hides
    }
}

fn without_details(stat: Stat) -> Seen {
    Seen {
        pid: stat.pid,
        ppid: stat.ppid,
        start: stat.start,
        exe: None,
        uid: None,
        kernel: stat.kernel,
        threads: stat.threads,
        zombie: stat.is_zombie(),
        busy: matches!(stat.state, 'R' | 'D'),
        status: stat.status(),
        name: stat.name,
    }
}
