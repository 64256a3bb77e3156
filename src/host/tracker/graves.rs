//! Who ended lately: what still comes about them is old news.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::super::clock::SinceBoot;
use super::super::process::HostPid;

/// How long an end is remembered, and how many.
const KEPT: Duration = Duration::from_secs(10);
const MOST: usize = 65_536;

/// The ends of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Graves {
    ends: HashMap<HostPid, SinceBoot>,
    order: VecDeque<(SinceBoot, HostPid)>,
}

impl Graves {
    /// Remembers that `pid` had ended by `at`.
    pub(super) fn bury(&mut self, pid: HostPid, at: SinceBoot) {
        self.ends.insert(pid, at);
        self.order.push_back((at, pid));
        while self.order.front().is_some_and(|(old, _)| self.order.len() > MOST || at.since(*old) > KEPT) {
            let Some((old, pid)) = self.order.pop_front() else { break };
            if self.ends.get(&pid) == Some(&old) {
                self.ends.remove(&pid);
            }
        }
    }

    /// Whether something that happened to `pid` at `at` happened to one that is known to have ended.
    pub(super) fn covers(&self, pid: HostPid, at: SinceBoot) -> bool {
        self.ends.get(&pid).is_some_and(|end| at <= *end)
    }

    /// Whether the last thing known of `pid` is its end.
    pub(super) fn holds(&self, pid: HostPid) -> bool {
        self.ends.contains_key(&pid)
    }

    /// `pid` began anew.
    pub(super) fn open(&mut self, pid: HostPid) {
        self.ends.remove(&pid);
    }
}
