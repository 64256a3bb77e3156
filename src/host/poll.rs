//! Watching without the kernel's help: `/proc` again and again, with a descriptor for each process that is known.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, getrlimit, pidfd_open};
use tokio::time::Instant;

use super::backend::{Backend, Lack, News, Stop};
use super::clock::SinceBoot;
use super::error::HostError;
use super::observation::{Change, Observation, Seen, Snapshot};
use super::proc_fs::ProcFs;
use super::process::HostPid;
use crate::config::BackendKind;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);
/// How many looks apart those who have a descriptor are read again, for their names.
const REFRESH: u64 = 10;
/// How many looks after it began a process is read each time: it may still start its program.
const YOUNG: u64 = 3;
/// The most descriptors, whatever the limit.
const DESCRIPTORS: u64 = 4096;
/// The mark of the descriptor that says stop.
const STOP: u64 = u64::MAX;

/// A look through `/proc` every so often. A process that ends is noticed at once, one that begins at the next look, one that
/// does both in between never.
pub struct Poll {
    interval: Duration,
    proc_fs: ProcFs,
    epoll: OwnedFd,
    has_stop: bool,
    /// How many descriptors may still be opened.
    descriptors: u64,
    known: HashMap<HostPid, Known>,
    looks: u64,
    next_look: Instant,
    lacks: Vec<Lack>,
}

struct Known {
    seen: Seen,
    /// Becomes readable when the process ends.
    end: Option<OwnedFd>,
    first_look: u64,
}

impl Poll {
    /// Prepares to look every `interval`.
    ///
    /// # Errors
    /// The system has no `epoll` to give.
    pub fn open(interval: Duration, proc_fs: ProcFs) -> Result<Self, HostError> {
        let refused = |error: Errno| HostError::Poll { doing: "making an epoll descriptor", source: error.into() };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(refused)?;
        // The rest of the program needs descriptors too.
        let descriptors = getrlimit(Resource::Nofile).current.map_or(DESCRIPTORS, |limit| DESCRIPTORS.min(limit / 4));
        let interval = interval.max(SHORTEST);
        let why = format!("polling sees what lives at a look, every {}", humantime::format_duration(interval));
        let lacks = vec![
            Lack { what: "processes that begin and end between two looks", why },
            Lack {
                what: "how processes ended, their CPU time and peak memory",
                why: "polling can't see them".to_owned(),
            },
        ];
        let (known, next_look) = (HashMap::new(), Instant::now());
        Ok(Self { interval, proc_fs, epoll, has_stop: false, descriptors, known, looks: 0, next_look, lacks })
    }

    /// Waits for ends until the next look; tells of them.
    fn wait(&mut self, stop: &Stop, longest: Duration, news: &mut News) -> Result<(), HostError> {
        let failed = |error: Errno| HostError::Read { doing: "waiting for processes to end", source: error.into() };
        if !self.has_stop {
            let mark = epoll::EventData::new_u64(STOP);
            epoll::add(&self.epoll, stop.as_fd(), mark, epoll::EventFlags::IN).map_err(failed)?;
            self.has_stop = true;
        }
        let rest = self.next_look.saturating_duration_since(Instant::now()).min(longest);
        let time =
            Timespec { tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX), tv_nsec: rest.subsec_nanos().into() };
        let mut events = Vec::with_capacity(256);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&time)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
        let at = SinceBoot::now();
        for event in events {
            let Some(pid) = u32::try_from(event.data.u64()).ok().map(HostPid) else { continue };
            if self.forget(pid) {
                news.received += 1;
                let change =
                    Change::Exited { status: self.proc_fs.stat(pid).and_then(|stat| stat.status()), record: None };
                news.observations.push(Observation { at, pid, change });
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Result<Snapshot, HostError> {
        let failed = |source| HostError::Read { doing: "listing /proc", source };
        let began = SinceBoot::now();
        let pids = self.proc_fs.pids().map_err(failed)?;
        let shown: HashSet<HostPid> = pids.iter().copied().collect();
        let gone: Vec<HostPid> = self.known.keys().filter(|pid| !shown.contains(*pid)).copied().collect();
        for pid in gone {
            self.forget(pid);
        }
        let seen = pids.into_iter().filter_map(|pid| self.look_at(pid)).collect();
        self.looks += 1;
        Ok(Snapshot { began, ended: SinceBoot::now(), seen, partial: self.proc_fs.hides_others() })
    }

    fn look_at(&mut self, pid: HostPid) -> Option<Seen> {
        if let Some(known) = self.known.get_mut(&pid) {
            let is_due = self.looks - known.first_look <= YOUNG || self.looks.is_multiple_of(REFRESH);
            if known.end.is_some() && !is_due {
                return Some(known.seen.clone());
            }
            let stat = self.proc_fs.stat(pid);
            let is_same = stat.as_ref().is_some_and(|stat| stat.start == known.seen.start && !stat.is_zombie());
            let has_other_name = is_same && stat.is_some_and(|stat| stat.name != known.seen.name);
            if is_same && !has_other_name {
                return Some(known.seen.clone());
            }
            if is_same && let Some(seen) = self.proc_fs.seen(pid) {
                known.seen = seen.clone();
                return Some(seen);
            }
            self.forget(pid);
        }
        // Opened before it is read, so that it can't belong to an earlier owner of the number.
        let end = self.descriptor(pid);
        let seen = self.proc_fs.seen(pid);
        let Some(seen) = seen.filter(|seen| !seen.has_ended()) else {
            self.descriptors += u64::from(end.is_some());
            return None;
        };
        self.known.insert(pid, Known { seen: seen.clone(), end, first_look: self.looks });
        Some(seen)
    }

    fn descriptor(&mut self, pid: HostPid) -> Option<OwnedFd> {
        let number = i32::try_from(pid.0).ok().and_then(Pid::from_raw)?;
        if self.descriptors == 0 {
            return None;
        }
        let end = pidfd_open(number, PidfdFlags::empty()).ok()?;
        let mark = epoll::EventData::new_u64(u64::from(pid.0));
        epoll::add(&self.epoll, &end, mark, epoll::EventFlags::IN).ok()?;
        self.descriptors -= 1;
        Some(end)
    }

    /// Whether it was known. Closing its descriptor takes it out of the set.
    fn forget(&mut self, pid: HostPid) -> bool {
        let Some(known) = self.known.remove(&pid) else { return false };
        self.descriptors += u64::from(known.end.is_some());
        true
    }
}

impl Backend for Poll {
    fn kind(&self) -> BackendKind {
        BackendKind::Poll
    }

    fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    fn read(&mut self, stop: &Stop, longest: Duration, news: &mut News) -> Result<(), HostError> {
        self.wait(stop, longest, news)?;
        let began = Instant::now();
        if stop.is_set() || began < self.next_look {
            return Ok(());
        }
        let snapshot = self.look()?;
        news.received += u64::try_from(snapshot.seen.len()).unwrap_or(0);
        news.snapshot = Some(snapshot);
        // On a machine with very many processes at most half of the time goes into looking.
        self.next_look = (began + self.interval).max(Instant::now() + began.elapsed());
        Ok(())
    }
}
