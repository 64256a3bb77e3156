//! Starting and stopping a watch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::backend::{Backend, Lack, News, Stop};
use super::choice::{Choice, choose, make_realtime};
use super::clock::wall_at_boot;
use super::counters::{Counters, Numbers};
use super::desk::Desk;
use super::error::HostError;
use super::filter::Filter;
use super::process::{HostEvent, HostProcess};
use super::tracker::Tracker;
use crate::config::BackendKind;

/// How long the reader waits when nothing happens.
const LONGEST: Duration = Duration::from_secs(1);
/// How long, and up to how many, forks and the like stay with the reader.
const QUIET: Duration = Duration::from_millis(10);
const FEW: usize = 256;

/// How a watch is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which backend; one that is named and can't start is an error.
    pub backend: BackendKind,
    /// Whom to tell of.
    pub filter: Filter,
    /// How often `/proc` is looked through where nothing better is there; at least 10 ms.
    pub poll_interval: Duration,
    /// Whether the reader's thread, and it alone, gets real-time priority (`SCHED_FIFO`, 1).
    pub realtime: bool,
    /// How many events may wait between the reader and the map.
    pub queue: usize,
    /// Bytes that the kernel is to keep for a reader that is late, before it doubles them for its own accounts.
    pub receive_buffer: usize,
    /// How long a fork may take to run a program before it is told under its parent's name; ten times that while it is busy.
    pub hold: Duration,
    /// How often the map is compared with `/proc` though nothing was lost.
    pub rescan: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: BackendKind::Auto,
            filter: Filter::default(),
            poll_interval: Duration::from_millis(100),
            realtime: false,
            queue: 65_536,
            receive_buffer: 8 << 20,
            hold: Duration::from_millis(50),
            rescan: Duration::from_secs(60),
        }
    }
}

/// What a watch tells its sink.
#[derive(Debug)]
pub enum Report {
    /// Something happened to a process.
    Event(HostEvent),
    /// All that were there at the start have been told of.
    Ready {
        /// How many the map holds.
        processes: usize,
    },
    /// Events were lost, and the map is right again.
    Lost {
        /// How many, 0 where the kernel doesn't say.
        events: u64,
    },
    /// The last word: nothing more will come.
    Ended {
        /// Why, unless it was asked to.
        error: Option<HostError>,
    },
}

/// A running watch. Dropping it stops it.
#[derive(Debug)]
pub struct Watch {
    backend: BackendKind,
    reason: String,
    lacks: Vec<Lack>,
    stop: Stop,
    memory: Memory,
    threads: Vec<JoinHandle<()>>,
}

/// What a watch knows and has counted, for another to go on from.
#[derive(Clone, Debug)]
pub struct Memory {
    pub(super) tracker: Arc<Mutex<Tracker>>,
    pub(super) counters: Arc<Counters>,
    pub(super) filter: Arc<ArcSwap<Filter>>,
}

/// Starts to watch. `sink` is called on a thread of the watch's own; it must not block and not panic.
///
/// # Errors
/// The backend named can't start, or with [`BackendKind::Auto`] none can.
pub fn start(options: Options, sink: impl FnMut(Report) + Send + 'static) -> Result<Watch, HostError> {
    let memory = Memory {
        tracker: Arc::new(Mutex::new(Tracker::new(options.hold, wall_at_boot()))),
        counters: Arc::default(),
        filter: Arc::default(),
    };
    begin(options, memory, false, sink)
}

/// As [`start`], from where a watch that has ended left off: who began and who ended meanwhile is told like everybody else, as
/// far as a look shows it.
///
/// # Errors
/// As [`start`]; the memory is still good then.
pub fn resume(memory: Memory, options: Options, sink: impl FnMut(Report) + Send + 'static) -> Result<Watch, HostError> {
    begin(options, memory, true, sink)
}

fn begin(
    options: Options,
    memory: Memory,
    goes_on: bool,
    sink: impl FnMut(Report) + Send + 'static,
) -> Result<Watch, HostError> {
    let Choice { backend, table, reason } = choose(&options, &memory.counters)?;
    memory.filter.store(Arc::new(options.filter.clone()));
    let stop = Stop::new()?;
    let kind = backend.kind();
    let mut lacks = backend.lacks().to_vec();
    if table.hides_others() {
        let why = "/proc is mounted with hidepid; run as root, or mount it with hidepid=0".to_owned();
        lacks.push(Lack { what: "processes of other users at the start", why });
    }
    let (sender, inbox) = mpsc::channel();
    let in_flight = Arc::new(AtomicUsize::new(0));
    let outlet = Outlet { sender, in_flight: Arc::clone(&in_flight), capacity: options.queue.max(1), owed: None };
    let (reader, lack) = spawn_reader(backend, outlet, stop.clone(), options.realtime)?;
    lacks.extend(lack);
    let desk = Desk::new(options, kind, table, memory.clone(), goes_on);
    let desk = spawn_desk(desk, inbox, in_flight, sink).inspect_err(|_| stop.set())?;
    Ok(Watch { backend: kind, reason, lacks, stop, memory, threads: vec![reader, desk] })
}

impl Watch {
    /// The backend that runs.
    pub fn backend(&self) -> BackendKind {
        self.backend
    }

    /// Why this backend, for a person.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What has to be done without.
    pub fn lacks(&self) -> &[Lack] {
        &self.lacks
    }

    /// The counters now.
    pub fn numbers(&self) -> Numbers {
        self.memory.counters.numbers()
    }

    /// What it knows, for another to go on from once it has ended.
    pub fn memory(&self) -> Memory {
        self.memory.clone()
    }

    /// Tells of others from now on. Those that pass now and did not before are told of only when they end.
    pub fn set_filter(&self, filter: Filter) {
        self.memory.filter.store(Arc::new(filter));
    }

    /// The living processes that pass the filter, by number.
    pub fn processes(&self) -> Vec<HostProcess> {
        let filter = self.memory.filter.load();
        let tracker = self.memory.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut processes: Vec<_> = tracker.processes().filter(|process| filter.passes(process)).collect();
        drop(tracker);
        processes.sort_unstable_by_key(|process| process.pid);
        processes
    }

    /// Asks it to stop; once it has, the last word is told.
    pub fn end(&self) {
        self.stop.set();
    }

    /// Stops and waits for the last word to be told: what the sink takes for the events read so far, and little more.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.set();
        for thread in self.threads.drain(..) {
            // Both threads tell of their panics themselves.
            let _ = thread.join();
        }
    }
}

/// What goes from the reader to the desk.
pub(super) enum Parcel {
    News(News),
    Failed(HostError),
}

/// The reader's end of the queue. It never waits: what finds the queue full is lost, and that is told as soon as can be.
struct Outlet {
    sender: Sender<Parcel>,
    in_flight: Arc<AtomicUsize>,
    capacity: usize,
    owed: Option<u64>,
}

impl Outlet {
    /// Whether there is still someone at the other end.
    fn send(&mut self, mut news: News) -> bool {
        if let Some(owed) = self.owed.take() {
            news.lost = Some(owed.saturating_add(news.lost.unwrap_or(0)));
        }
        if news.is_empty() {
            return true;
        }
        let size = news.size();
        let waiting = self.in_flight.fetch_add(size, Ordering::AcqRel);
        // A single parcel may be larger than the whole queue.
        if waiting > 0 && waiting.saturating_add(size) > self.capacity {
            self.in_flight.fetch_sub(size, Ordering::AcqRel);
            let dropped = u64::try_from(news.observations.len()).unwrap_or(u64::MAX);
            self.owed = Some(dropped.saturating_add(news.lost.unwrap_or(0)));
            return true;
        }
        self.sender.send(Parcel::News(news)).is_ok()
    }
}

type Started = (JoinHandle<()>, Option<Lack>);

fn spawn_reader(backend: Box<dyn Backend>, outlet: Outlet, stop: Stop, realtime: bool) -> Result<Started, HostError> {
    let (tell, told) = mpsc::sync_channel(1);
    let body = move || {
        let refused = if realtime { make_realtime().err() } else { None };
        let _ = tell.send(refused);
        let failed = outlet.sender.clone();
        let error = match catch_unwind(AssertUnwindSafe(|| read_on(backend, outlet, &stop))) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => HostError::Panicked("reader", said(&*panic)),
        };
        let _ = failed.send(Parcel::Failed(error));
    };
    let refused_thread = |source| HostError::Thread { thread: "reader", source };
    let thread = thread::Builder::new().name("host-reader".to_owned()).spawn(body).map_err(refused_thread)?;
    let lack = told.recv().ok().flatten().map(|error| Lack {
        what: "real-time priority of the reader",
        why: format!("{error}; it needs CAP_SYS_NICE or a limit RLIMIT_RTPRIO of at least 1"),
    });
    Ok((thread, lack))
}

fn read_on(mut backend: Box<dyn Backend>, mut outlet: Outlet, stop: &Stop) -> Result<(), HostError> {
    let mut news = News::default();
    let mut since = Instant::now();
    while !stop.is_set() {
        let was_empty = news.is_empty();
        let longest = if was_empty { LONGEST } else { patience(&news).saturating_sub(since.elapsed()) };
        backend.read(stop, longest, &mut news)?;
        if was_empty {
            since = Instant::now();
        }
        if since.elapsed() >= patience(&news) && !outlet.send(std::mem::take(&mut news)) {
            break;
        }
    }
    outlet.send(news);
    Ok(())
}

/// How long news may stay with the reader: to wake the desk costs as much as to read an event, and most forks are news only
/// with what follows.
fn patience(news: &News) -> Duration {
    if !news.can_wait() || news.size() > FEW {
        Duration::ZERO
    } else if news.size() > 0 {
        QUIET
    } else {
        LONGEST
    }
}

fn spawn_desk(
    mut desk: Desk,
    inbox: Receiver<Parcel>,
    in_flight: Arc<AtomicUsize>,
    mut sink: impl FnMut(Report) + Send + 'static,
) -> Result<JoinHandle<()>, HostError> {
    let body = move || {
        let run = catch_unwind(AssertUnwindSafe(|| desk.run(&inbox, &in_flight, &mut sink)));
        let error = run.unwrap_or_else(|panic| Some(HostError::Panicked("desk", said(&*panic))));
        // The sink itself may be what panicked.
        let _ = catch_unwind(AssertUnwindSafe(|| sink(Report::Ended { error })));
    };
    let refused = |source| HostError::Thread { thread: "desk", source };
    thread::Builder::new().name("host-desk".to_owned()).spawn(body).map_err(refused)
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
