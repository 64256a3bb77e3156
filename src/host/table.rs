//! Watching through the table of processes that any Unix can give: again and again, by the library `sysinfo`.

use std::io;
use std::time::Duration;

use rustix::process::{Pid as RawPid, test_kill_process};
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};
use tokio::time::Instant;

use super::backend::{Backend, Lack, News, Stop};
use super::clock::{SinceBoot, wall_at_boot};
use super::error::HostError;
use super::observation::{Seen, Snapshot};
use super::process::HostPid;
use super::text::Text;
use super::tracker::{Look, Table};
use crate::clock::Millis;
use crate::config::BackendKind;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

/// The system's table of processes.
pub struct SystemTable {
    system: System,
    wall_at_boot: Millis,
}

impl SystemTable {
    /// Opens it.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn new() -> Result<Self, HostError> {
        let refused = |error: sysinfo::Error| HostError::Poll {
            doing: "opening the system's table of processes",
            source: io::Error::other(error.to_string()),
        };
        Ok(Self { system: System::new().map_err(refused)?, wall_at_boot: wall_at_boot() })
    }

    fn refresh(&mut self, which: ProcessesToUpdate<'_>) {
        let kind =
            ProcessRefreshKind::nothing().without_tasks().with_exe(UpdateKind::Always).with_user(UpdateKind::Always);
        self.system.refresh_processes_specifics(which, true, kind);
    }

    fn seen(&self, process: &Process) -> Seen {
        let started = process.start_time().saturating_mul(1000).saturating_sub(self.wall_at_boot);
        let status = process.status();
        Seen {
            pid: HostPid(process.pid().as_u32()),
            ppid: HostPid(process.parent().map_or(0, Pid::as_u32)),
            start: SinceBoot(started.saturating_mul(1_000_000)),
            name: Text::from_bytes(process.name().as_encoded_bytes()),
            exe: process.exe().map(|path| Text::from_bytes(path.as_os_str().as_encoded_bytes())),
            uid: process.user_id().map(|uid| **uid),
            kernel: false,
            threads: 1,
            zombie: matches!(status, ProcessStatus::Zombie | ProcessStatus::Dead),
            busy: matches!(status, ProcessStatus::Run | ProcessStatus::UninterruptibleDiskSleep),
            status: None,
        }
    }

    fn all(&mut self) -> Snapshot {
        let began = SinceBoot::now();
        self.refresh(ProcessesToUpdate::All);
        let seen = self.system.processes().values().map(|process| self.seen(process)).collect();
        Snapshot { began, ended: SinceBoot::now(), seen, partial: self.hides_others() }
    }
}

impl Look for SystemTable {
    fn look(&mut self, pid: HostPid) -> Option<Seen> {
        let pid = Pid::from_u32(pid.0);
        self.refresh(ProcessesToUpdate::Some(&[pid]));
        self.system.process(pid).map(|process| self.seen(process))
    }

    fn exists(&mut self, pid: HostPid) -> bool {
        let Some(pid) = i32::try_from(pid.0).ok().and_then(RawPid::from_raw) else { return false };
        test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
    }
}

impl Table for SystemTable {
    fn snapshot(&mut self, _: &dyn Fn(HostPid, SinceBoot) -> bool) -> io::Result<Snapshot> {
        Ok(self.all())
    }

    fn hides_others(&self) -> bool {
        // The first process is always there. Before the first look nobody is.
        !self.system.processes().is_empty() && self.system.process(Pid::from_u32(1)).is_none()
    }
}

/// A look at the whole table every so often. Who lives shorter than that is missed.
pub struct PollTable {
    interval: Duration,
    table: SystemTable,
    next_look: Instant,
    lacks: Vec<Lack>,
}

impl PollTable {
    /// Prepares to look every `interval`.
    pub fn new(interval: Duration, table: SystemTable) -> Self {
        let interval = interval.max(SHORTEST);
        let why = format!("polling sees what lives at a look, every {}", humantime::format_duration(interval));
        let lacks = vec![
            Lack { what: "processes that begin and end between two looks", why },
            Lack {
                what: "how processes ended, their CPU time and peak memory",
                why: "the table of processes doesn't tell".to_owned(),
            },
        ];
        Self { interval, table, next_look: Instant::now(), lacks }
    }
}

impl Backend for PollTable {
    fn kind(&self) -> BackendKind {
        BackendKind::Poll
    }

    fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    fn read(&mut self, stop: &Stop, longest: Duration, news: &mut News) -> Result<(), HostError> {
        stop.wait(self.next_look.saturating_duration_since(Instant::now()).min(longest));
        let began = Instant::now();
        if stop.is_set() || began < self.next_look {
            return Ok(());
        }
        let snapshot = self.table.all();
        news.received += u64::try_from(snapshot.seen.len()).unwrap_or(0);
        news.snapshot = Some(snapshot);
        // On a machine with very many processes at most half of the time goes into looking.
        self.next_look = (began + self.interval).max(Instant::now() + began.elapsed());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// One that lives until it is ended.
    struct Patient(Child);

    impl Patient {
        fn new() -> Self {
            Self(Command::new("/bin/sleep").arg("1000").spawn().unwrap())
        }

        fn pid(&self) -> HostPid {
            HostPid(self.0.id())
        }
    }

    impl Drop for Patient {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn is_in(snapshot: &Snapshot, pid: HostPid) -> bool {
        snapshot.seen.iter().any(|seen| seen.pid == pid)
    }

    #[test]
    fn the_table_shows_the_living_with_their_details() {
        let mut table = SystemTable::new().unwrap();
        let patient = Patient::new();
        let pid = patient.pid();
        // Until its program runs, the child goes by our own name.
        let seen = loop {
            let seen = table.look(pid).unwrap();
            if seen.name.as_str() == "sleep" {
                break seen;
            }
            std::thread::yield_now();
        };
        assert_eq!((seen.pid, seen.ppid, seen.zombie), (pid, HostPid(std::process::id()), false));
        assert_eq!(seen.uid, Some(rustix::process::getuid().as_raw()));
        // The system keeps the start in seconds, and the two clocks are read apart.
        let age = SinceBoot::now().since(seen.start);
        assert!(age < Duration::from_secs(600), "it began {age:?} ago");
        let all = table.snapshot(&|_, _| false).unwrap();
        assert!(is_in(&all, pid) && is_in(&all, HostPid(std::process::id())));
        assert!(table.exists(pid) && !table.hides_others());
        drop(patient);
        assert!(!is_in(&table.snapshot(&|_, _| false).unwrap(), pid));
        assert!(table.look(pid).is_none() && !table.exists(pid));
    }

    #[test]
    fn each_read_is_a_look_and_a_stop_ends_the_wait() {
        let mut poll = PollTable::new(Duration::from_millis(1), SystemTable::new().unwrap());
        let (stop, mut news) = (Stop::new().unwrap(), News::default());
        let patient = Patient::new();
        while news.snapshot.is_none() {
            poll.read(&stop, Duration::from_secs(60), &mut news).unwrap();
        }
        assert!(news.snapshot.take().is_some_and(|snapshot| is_in(&snapshot, patient.pid())));
        assert!(news.received > 1 && poll.kind() == BackendKind::Poll && poll.lacks().len() == 2);
        stop.set();
        poll.next_look = Instant::now() + Duration::from_secs(600);
        poll.read(&stop, Duration::from_secs(600), &mut news).unwrap();
        assert!(news.snapshot.is_none());
    }
}
