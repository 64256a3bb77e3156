//! A watch under test, and what it has told.

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use mainstay::host::{BackendKind, EventKind, HostEvent, Options, Report, Watch, start};
use tokio::time::Instant;

/// Longer than anything takes.
pub const LONG: Duration = Duration::from_secs(30);

/// All that was told of some processes, by number.
pub type Told = BTreeMap<u32, Vec<HostEvent>>;

pub struct Watcher {
    pub watch: Watch,
    pub reports: Receiver<Report>,
}

/// Options for a backend.
pub fn with(backend: BackendKind) -> Options {
    Options { backend, ..Options::default() }
}

/// Whether what is missing must not be missing.
pub fn requires_all() -> bool {
    std::env::var("MAINSTAY_REQUIRE_ALL").is_ok_and(|value| value == "1")
}

/// Says that a test can't run here, loudly.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

impl Watcher {
    /// Starts one and waits until it has told of those that were there.
    pub fn start(options: Options) -> Option<Self> {
        let (sender, reports) = mpsc::channel();
        let watch = match start(options, move |report| drop(sender.send(report))) {
            Ok(watch) => watch,
            Err(error) if is_root() && requires_all() => panic!("the watch does not start: {error}"),
            Err(error) => {
                skip(&format!("the watch does not start: {error}"));
                return None;
            }
        };
        let told = |report: &Report| matches!(report, Report::Ready { .. });
        while !told(&reports.recv_timeout(LONG).unwrap()) {}
        Some(Self { watch, reports })
    }

    /// One on the process connector, unless this machine has none.
    pub fn connector() -> Option<Self> {
        Self::start(with(BackendKind::Connector))
    }

    /// Waits until the end of each of `pids` was told, or, after a loss, nothing more comes; gives all about them.
    pub fn until_gone(&self, pids: &HashSet<u32>) -> Told {
        let mut told = Told::new();
        let mut gone = HashSet::new();
        while gone.len() < pids.len() {
            match self.reports.recv_timeout(LONG) {
                Ok(Report::Event(event)) if pids.contains(&event.process.pid.0) => {
                    if matches!(event.kind, EventKind::Destroyed(_)) {
                        gone.insert(event.process.pid.0);
                    }
                    told.entry(event.process.pid.0).or_default().push(event);
                }
                Ok(Report::Ended { error }) => panic!("the watch ended: {error:?}"),
                Ok(_) => {}
                Err(_) => panic!("{} of {} ends were told; {:?}", gone.len(), pids.len(), self.watch.numbers()),
            }
        }
        told
    }

    /// Waits for an event.
    pub fn wait_for(&self, mut is_it: impl FnMut(&HostEvent) -> bool) -> HostEvent {
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            if let Report::Event(event) = self.reports.recv_timeout(LONG).unwrap()
                && is_it(&event)
            {
                return event;
            }
        }
        panic!("what was waited for has not come");
    }
}

/// Whether this program may do anything, here where the kernel speaks to it: not in a namespace of its own.
pub fn is_root() -> bool {
    let all = rustix::thread::CapabilitySet::NET_ADMIN;
    // The kernel gives these two numbers to its first user and pid namespace.
    let is_first = |(name, number): (&str, u32)| {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}"));
        link.is_ok_and(|link| link.to_string_lossy() == format!("{name}:[{number}]"))
    };
    let network = |pid| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    [("user", 4_026_531_837), ("pid", 4_026_531_836)].into_iter().all(is_first)
        && network("self") == network("1")
        && rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(all))
}

/// One word for each event, for comparing.
pub fn words(events: &[HostEvent]) -> Vec<String> {
    let word = |event: &HostEvent| match &event.kind {
        EventKind::Created { .. } => format!("created {}", event.process.name),
        EventKind::Renamed { .. } => format!("renamed {}", event.process.name),
        EventKind::Destroyed(_) => format!("destroyed {}", event.process.name),
    };
    events.iter().map(word).collect()
}
