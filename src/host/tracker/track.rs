//! What the tracker does with each thing that is seen.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::time::Duration;

use super::super::clock::SinceBoot;
use super::super::observation::{Change, ExitRecord, Observation, Seen, Snapshot};
use super::super::process::{End, EventKind, ExitStatus, HostEvent, HostPid, HostProcess, NameSource};
use super::super::text::Text;
use super::entry::{Entry, FIRST_PAUSE, FirstThreadEnded};
use super::graves::Graves;
use crate::clock::Millis;

/// How far the start of a process may lie before the fork that tells of it: the kernel can be interrupted in between.
const FORKING: Duration = Duration::from_secs(1);
/// How many times the hold a fork that is busy may take to run a program before it is told without.
const MOST_HOLDS: u32 = 10;
/// The longest pause before `/proc` is asked again whether other threads go on without their first.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How the tracker looks at a process that nobody tells it about.
pub trait Look {
    /// What is to be seen of `pid` now.
    fn look(&mut self, pid: HostPid) -> Option<Seen>;

    /// Whether there is a process `pid`, even one that is not shown.
    fn exists(&mut self, pid: HostPid) -> bool;
}

/// All that can be looked at.
pub trait Table: Look + Send {
    /// All processes. Of those that `is_known` (number and start) only what can change need be told.
    fn snapshot(&mut self, is_known: &dyn Fn(HostPid, SinceBoot) -> bool) -> io::Result<Snapshot>;

    /// Whether the processes of others are hidden.
    fn hides_others(&self) -> bool;
}

/// All living host processes.
///
/// A process is known by its number and its start. It is told as created as soon as it runs a program of its own; a fork that
/// does not within `hold` (ten times that while it is busy), ends or is found by looking is told under the name it has then.
/// Each creation is told once, and each end once after it.
#[derive(Debug)]
pub struct Tracker {
    processes: HashMap<HostPid, Entry>,
    due: BTreeSet<(SinceBoot, HostPid)>,
    graves: Graves,
    hold: Duration,
    wall_at_boot: Millis,
}

impl Tracker {
    /// An empty map. `wall_at_boot` is the Unix time of the machine's beginning.
    pub fn new(hold: Duration, wall_at_boot: Millis) -> Self {
        Self { processes: HashMap::new(), due: BTreeSet::new(), graves: Graves::default(), hold, wall_at_boot }
    }

    /// Takes in one observation that is handled at `now`.
    pub fn apply(&mut self, observation: Observation, now: SinceBoot, out: &mut Vec<HostEvent>) {
        let Observation { at, pid, change } = observation;
        let latency = Some(now.since(at));
        match change {
            Change::Forked { parent } => self.forked(pid, parent, at, latency, out),
            Change::Execed { name, exe } => self.execed(pid, name, exe, at, latency, out),
            Change::Renamed(name) => {
                if let Some(entry) = self.living(pid, at) {
                    let from = entry.rename(&name, NameSource::Comm);
                    self.tell_renamed(pid, from, latency, out);
                }
            }
            Change::UidChanged(uid) => {
                if let Some(entry) = self.living(pid, at) {
                    entry.uid = Some(uid);
                }
            }
            Change::ThreadStarted => {
                if let Some(entry) = self.uncounted(pid, at) {
                    entry.threads += 1;
                }
            }
            Change::ThreadEnded { cpu } => self.thread_ended(pid, cpu, at, latency, out),
            Change::Exited { status, record } => self.exited(pid, status, record, at, latency, out),
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_due(&self) -> Option<SinceBoot> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Does what has become due by `now`.
    pub fn tick(&mut self, now: SinceBoot, look: &mut dyn Look, out: &mut Vec<HostEvent>) {
        while let Some((_, pid)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.set_due(pid, None);
            let Some(entry) = self.processes.get(&pid) else { continue };
            let seen = look.look(pid).filter(|seen| entry.began(seen.start));
            if entry.first_thread_ended.is_some() {
                self.check_threads(pid, seen.as_ref(), now, out);
            } else if !entry.is_told {
                self.settle(pid, seen.as_ref(), now, out);
            }
        }
    }

    /// Makes the map agree with a look at everything. The `first` one tells of those who were there before the watch.
    ///
    /// All that was observed before the look began must have been applied, all that was observed after it must not.
    pub fn reconcile(&mut self, snapshot: &Snapshot, first: bool, look: &mut dyn Look, out: &mut Vec<HostEvent>) {
        for seen in &snapshot.seen {
            self.reconcile_one(seen, snapshot.ended, first, out);
        }
        let shown: HashSet<HostPid> = snapshot.seen.iter().map(|seen| seen.pid).collect();
        let gone = self.processes.values().filter(|entry| {
            let may_be_missing = entry.start > snapshot.began || (snapshot.partial && look.exists(entry.pid));
            !shown.contains(&entry.pid) && !may_be_missing
        });
        let mut gone: Vec<HostPid> = gone.map(|entry| entry.pid).collect();
        gone.sort_unstable();
        for pid in gone {
            self.finish(pid, snapshot.ended, None, None, None, out);
        }
    }

    /// Events were lost: what was added up from events is not to be trusted for those alive now.
    pub fn distrust_sums(&mut self) {
        for entry in self.processes.values_mut() {
            entry.cpu = None;
        }
    }

    /// Tells of everyone who has not been told of yet.
    pub fn settle_all(&mut self, out: &mut Vec<HostEvent>) {
        let mut waiting: Vec<HostPid> = self.processes.values().filter(|e| !e.is_told).map(|e| e.pid).collect();
        waiting.sort_unstable();
        for pid in waiting {
            self.tell_created(pid, false, None, out);
        }
    }

    /// Whether the process `pid` that began at `start` (as `/proc` rounds it) is known with its details.
    pub fn knows(&self, pid: HostPid, start: SinceBoot) -> bool {
        let has_details = |entry: &Entry| entry.uid.is_some() && entry.is_start_known;
        self.processes.get(&pid).is_some_and(|entry| has_details(entry) && entry.began(start))
    }

    /// The living processes that have been told of, in no order.
    pub fn processes(&self) -> impl Iterator<Item = HostProcess> + '_ {
        self.processes.values().filter(|entry| entry.is_told).map(|entry| entry.process(self.wall_at_boot))
    }

    /// How many processes the map holds.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    fn forked(
        &mut self,
        pid: HostPid,
        parent: HostPid,
        at: SinceBoot,
        latency: Option<Duration>,
        out: &mut Vec<HostEvent>,
    ) {
        if self.graves.covers(pid, at) {
            return;
        }
        if let Some(entry) = self.processes.get_mut(&pid) {
            let is_the_same = entry.seen_at.is_some_and(|seen| at <= seen) || at.since(entry.start) < FORKING;
            if is_the_same || at < entry.start {
                entry.ppid = Some(parent);
                return;
            }
            // Nobody gets the number of one who lives: the end of the former owner was missed.
            self.finish(pid, at, None, None, latency, out);
        }
        let entry = Entry::forked(pid, at, parent, self.processes.get(&parent));
        self.insert(entry);
        self.set_due(pid, Some(at.plus(self.hold)));
    }

    fn execed(
        &mut self,
        pid: HostPid,
        name: Option<Text>,
        exe: Option<Text>,
        at: SinceBoot,
        latency: Option<Duration>,
        out: &mut Vec<HostEvent>,
    ) {
        if self.graves.covers(pid, at) {
            return;
        }
        if !self.processes.contains_key(&pid) {
            self.insert(Entry::unknown(pid, at));
            self.set_due(pid, Some(at.plus(self.hold)));
        }
        let Some(entry) = self.living(pid, at) else { return };
        // Whoever starts a program has lost its other threads, and goes on under the number of the first.
        entry.threads = 1;
        entry.first_thread_ended = None;
        entry.kernel = false;
        entry.exe = exe;
        let Some(name) = name else {
            entry.name = None;
            let unsettled = (!entry.is_told).then(|| at.plus(self.hold));
            return self.set_due(pid, unsettled);
        };
        entry.source = NameSource::Exec;
        let from = entry.rename(&name, NameSource::Exec);
        if entry.is_told {
            self.set_due(pid, None);
            self.tell_renamed(pid, from, latency, out);
        } else {
            self.tell_created(pid, false, latency, out);
        }
    }

    fn thread_ended(
        &mut self,
        pid: HostPid,
        cpu: Option<Duration>,
        at: SinceBoot,
        latency: Option<Duration>,
        out: &mut Vec<HostEvent>,
    ) {
        let Some(entry) = self.uncounted(pid, at) else { return };
        entry.threads -= 1;
        entry.cpu = entry.cpu.zip(cpu).map(|(sum, cpu)| sum.saturating_add(cpu));
        if entry.threads <= 0
            && let Some(first) = entry.first_thread_ended.take()
        {
            self.finish(pid, at, first.status, first.record, latency, out);
        }
    }

    fn exited(
        &mut self,
        pid: HostPid,
        status: Option<ExitStatus>,
        record: Option<ExitRecord>,
        at: SinceBoot,
        latency: Option<Duration>,
        out: &mut Vec<HostEvent>,
    ) {
        let Some(entry) = self.processes.get_mut(&pid) else {
            // Known to have ended already, or its beginning was missed.
            if !self.graves.holds(pid) {
                self.insert(Entry::unknown(pid, at));
                self.finish(pid, at, status, record, latency, out);
            }
            return;
        };
        if at < entry.start {
            return;
        }
        if entry.threads <= 1 {
            return self.finish(pid, at, status, record, latency, out);
        }
        entry.threads -= 1;
        entry.first_thread_ended = Some(FirstThreadEnded { at, status, record, pause: FIRST_PAUSE });
        self.set_due(pid, Some(at.plus(FIRST_PAUSE)));
    }

    /// The first thread has ended: has the rest?
    fn check_threads(&mut self, pid: HostPid, seen: Option<&Seen>, now: SinceBoot, out: &mut Vec<HostEvent>) {
        let Some(entry) = self.processes.get_mut(&pid) else { return };
        let Some(first) = entry.first_thread_ended.as_mut() else { return };
        match seen {
            Some(seen) if !seen.has_ended() => {
                first.pause = (first.pause * 2).min(LONGEST_PAUSE);
                let again = now.plus(first.pause);
                self.set_due(pid, Some(again));
            }
            _ => {
                let first = entry.first_thread_ended.take();
                let Some(FirstThreadEnded { at, status, record, .. }) = first else { return };
                self.finish(pid, at, status, record, Some(now.since(at)), out);
            }
        }
    }

    /// A fork that has not run a program in time.
    fn settle(&mut self, pid: HostPid, seen: Option<&Seen>, now: SinceBoot, out: &mut Vec<HostEvent>) {
        let Some(entry) = self.processes.get_mut(&pid) else { return };
        match seen {
            // On a loaded machine a fork may wait long for its first turn.
            Some(seen) if seen.busy && now.since(entry.start) < self.hold * MOST_HOLDS => {
                let again = now.plus(self.hold);
                return self.set_due(pid, Some(again));
            }
            Some(seen) => {
                entry.learn(seen, now);
                entry.rename(&seen.name, NameSource::Comm);
            }
            // It has just ended, and the kernel's word about it is on its way, with a name.
            None if !entry.is_late => {
                entry.is_late = true;
                let again = now.plus(self.hold);
                return self.set_due(pid, Some(again));
            }
            None => {}
        }
        let latency = Some(now.since(entry.start));
        self.tell_created(pid, false, latency, out);
    }

    fn reconcile_one(&mut self, seen: &Seen, at: SinceBoot, first: bool, out: &mut Vec<HostEvent>) {
        let pid = seen.pid;
        if let Some(entry) = self.processes.get_mut(&pid) {
            if !entry.began(seen.start) {
                self.finish(pid, at, None, None, None, out);
            } else if seen.has_ended() {
                return self.finish(pid, at, seen.status, None, None, out);
            } else {
                // What the kernel's own threads are called changes with what they work on.
                let keeps_name = entry.kernel && entry.name.is_some();
                entry.learn(seen, at);
                let from = if keeps_name { None } else { entry.rename(&seen.name, NameSource::Snapshot) };
                return self.tell_renamed(pid, from, None, out);
            }
        }
        if seen.has_ended() {
            return;
        }
        self.insert(Entry::found(seen, at));
        // One that has just begun may be about to run a program.
        if !first && at.since(seen.start) < self.hold {
            return self.set_due(pid, Some(at.plus(self.hold)));
        }
        self.tell_created(pid, first, None, out);
        if seen.zombie {
            self.set_due(pid, Some(at.plus(FIRST_PAUSE)));
        }
    }

    fn living(&mut self, pid: HostPid, at: SinceBoot) -> Option<&mut Entry> {
        self.processes.get_mut(&pid).filter(|entry| entry.start <= at)
    }

    /// The process, where a thread that came or went at `at` is not in its count yet.
    fn uncounted(&mut self, pid: HostPid, at: SinceBoot) -> Option<&mut Entry> {
        self.living(pid, at).filter(|entry| entry.seen_at.is_none_or(|seen| seen < at))
    }

    fn insert(&mut self, entry: Entry) {
        self.graves.open(entry.pid);
        self.processes.insert(entry.pid, entry);
    }

    fn set_due(&mut self, pid: HostPid, at: Option<SinceBoot>) {
        let Some(entry) = self.processes.get_mut(&pid) else { return };
        if let Some(old) = std::mem::replace(&mut entry.due, at) {
            self.due.remove(&(old, pid));
        }
        if let Some(new) = at {
            self.due.insert((new, pid));
        }
    }

    fn tell_created(&mut self, pid: HostPid, initial: bool, latency: Option<Duration>, out: &mut Vec<HostEvent>) {
        self.set_due(pid, None);
        let Some(entry) = self.processes.get_mut(&pid) else { return };
        entry.is_told = true;
        let process = entry.process(self.wall_at_boot);
        out.push(HostEvent { kind: EventKind::Created { initial }, process, latency });
    }

    fn tell_renamed(&mut self, pid: HostPid, from: Option<Text>, latency: Option<Duration>, out: &mut Vec<HostEvent>) {
        let Some(entry) = self.processes.get(&pid).filter(|entry| entry.is_told) else { return };
        let Some(from) = from else { return };
        let process = entry.process(self.wall_at_boot);
        out.push(HostEvent { kind: EventKind::Renamed { from }, process, latency });
    }

    fn finish(
        &mut self,
        pid: HostPid,
        at: SinceBoot,
        status: Option<ExitStatus>,
        record: Option<ExitRecord>,
        latency: Option<Duration>,
        out: &mut Vec<HostEvent>,
    ) {
        self.set_due(pid, None);
        let Some(mut entry) = self.processes.remove(&pid) else { return };
        self.graves.bury(pid, at);
        let mut end = End { status, ..End::default() };
        if entry.is_start_known {
            end.run_time = Some(at.since(entry.start));
        }
        if let Some(record) = &record {
            take_record(&mut entry, record, at, &mut end);
        }
        let process = entry.process(self.wall_at_boot);
        if !entry.is_told {
            out.push(HostEvent { kind: EventKind::Created { initial: false }, process: process.clone(), latency });
        }
        out.push(HostEvent { kind: EventKind::Destroyed(end), process, latency });
    }
}

/// Adds what the kernel recorded of the end.
fn take_record(entry: &mut Entry, record: &ExitRecord, at: SinceBoot, end: &mut End) {
    if !entry.kernel {
        entry.rename(&record.name, NameSource::Taskstats);
    }
    entry.ppid = entry.ppid.or(Some(record.ppid));
    entry.uid = entry.uid.or(Some(record.uid));
    if !entry.is_start_known {
        let elapsed = u64::try_from(record.elapsed.as_nanos()).unwrap_or(u64::MAX);
        (entry.start, entry.is_start_known) = (SinceBoot(at.0.saturating_sub(elapsed)), true);
    }
    end.run_time = Some(record.elapsed);
    end.cpu_time = entry.cpu.map(|threads| threads.saturating_add(record.cpu));
    end.peak_rss = record.peak_rss;
}
