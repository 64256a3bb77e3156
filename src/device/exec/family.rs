//! Process groups of the system: a program and what it started.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid};

/// The process group that a program leads. Its number is nobody else's as long as the program, dead or alive, was not
/// waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Family(i32);

impl Family {
    /// The group of this number. Numbers below 2 are no family's.
    pub fn from_number(number: i32) -> Option<Self> {
        (number > 1).then_some(Self(number))
    }

    /// The group's number, which is its leader's, too.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Sends a signal to all of them. Nobody may be left.
    pub fn signal(self, signal: Signal) {
        if let Some(leader) = Pid::from_raw(self.0) {
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Whether the leader, a child of this host process that was not waited for, has ended.
    pub(super) fn has_no_leader(self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Pid::from_raw(self.0).is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    /// The most memory that the leader had so far, in bytes; 0 where the system does not say.
    pub fn peak_memory(self) -> u64 {
        #[cfg(target_os = "linux")]
        return proc::peak_memory(self.0);
        #[cfg(not(target_os = "linux"))]
        return 0;
    }

    /// Whether nobody of them lives any more; those who ended and were not waited for do not count.
    pub fn is_gone(self) -> bool {
        match Pid::from_raw(self.0).map(test_kill_process_group) {
            None | Some(Err(Errno::SRCH)) => true,
            _ => !self.has_members(),
        }
    }

    #[cfg(target_os = "linux")]
    fn has_members(self) -> bool {
        let group = self.number().to_string();
        proc::pids().into_iter().any(|pid| proc::is_alive_in(pid, &group))
    }

    #[cfg(not(target_os = "linux"))]
    fn has_members(self) -> bool {
        true
    }
}

/// Ends by force whoever's environment holds `entry`, wherever it went. Returns how many there were.
#[cfg(target_os = "linux")]
pub(super) fn end_marked(entry: &str) -> usize {
    let own = rustix::process::getpid();
    let marked = proc::pids().into_iter().filter_map(Pid::from_raw).filter(|pid| *pid != own);
    let marked = marked.filter(|pid| proc::has_variable(*pid, entry));
    marked.filter(|pid| rustix::process::kill_process(*pid, Signal::KILL).is_ok()).count()
}

/// Where there is no `/proc`, nobody can be found by the environment.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_marked(_: &str) -> usize {
    0
}

#[cfg(target_os = "linux")]
mod proc {
    use std::fs;

    use rustix::process::Pid;

    pub(super) fn pids() -> Vec<i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// Whether a process lives and is in this group.
    pub(super) fn is_alive_in(pid: i32, group: &str) -> bool {
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return false };
        // The name before it may hold anything, so it ends at the last bracket. Then: state, parent, group.
        let Some(close) = stat.iter().rposition(|byte| *byte == b')') else { return false };
        let mut fields = stat[close + 1..].split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        let (state, group_of) = (fields.next(), fields.nth(1));
        group_of == Some(group.as_bytes()) && !matches!(state, None | Some(b"Z" | b"X"))
    }

    /// The most memory that a process had resident, in bytes.
    pub(super) fn peak_memory(pid: i32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kibibytes.unwrap_or(0).saturating_mul(1024)
    }

    /// Whether a process, which is not one that ended, has this variable with this value.
    pub(super) fn has_variable(pid: Pid, entry: &str) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    }
}
