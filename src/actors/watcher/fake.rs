//! A machine that reports what it is told to: for tests of whatever stands on the watcher.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::source::{HostWatch, Sink, Source};
use crate::host::{
    BackendKind, Counters, End, EventKind, ExitStatus, Filter, HostError, HostEvent, HostPid, HostProcess, Lack,
    NameSource, Numbers, Options, Report,
};

/// A machine whose processes are made up. Clones are one.
#[derive(Clone, Default)]
pub struct FakeMachine(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sink: Option<Sink>,
    begun: usize,
    /// So many starts are still refused.
    refusals: usize,
    filter: Filter,
    processes: Vec<HostProcess>,
}

impl FakeMachine {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports something.
    pub fn report(&self, report: Report) {
        if let Some(sink) = &mut self.lock().sink {
            sink(report);
        }
    }

    /// Reports events.
    pub fn tell(&self, events: impl IntoIterator<Item = HostEvent>) {
        events.into_iter().for_each(|event| self.report(Report::Event(event)));
    }

    /// The watch fails.
    pub fn fail(&self) {
        self.report(Report::Ended { error: Some(failure()) });
    }

    /// Refuses the next so many starts.
    pub fn refuse(&self, starts: usize) {
        self.lock().refusals = starts;
    }

    /// How often it was asked to begin.
    pub fn begun(&self) -> usize {
        self.lock().begun
    }

    /// The filter in force.
    pub fn filter(&self) -> Filter {
        self.lock().filter.clone()
    }

    /// Has these living processes.
    pub fn set_processes(&self, processes: Vec<HostProcess>) {
        self.lock().processes = processes;
    }
}

fn failure() -> HostError {
    HostError::Connector("it was told not to".to_owned())
}

impl Source for FakeMachine {
    fn begin(&self, options: Options, sink: Sink) -> Result<Arc<dyn HostWatch>, HostError> {
        let mut state = self.lock();
        state.begun += 1;
        if state.refusals > 0 {
            state.refusals -= 1;
            return Err(failure());
        }
        (state.sink, state.filter) = (Some(sink), options.filter);
        Ok(Arc::new(FakeWatch(self.clone())))
    }
}

struct FakeWatch(FakeMachine);

impl HostWatch for FakeWatch {
    fn backend(&self) -> BackendKind {
        BackendKind::Poll
    }

    fn reason(&self) -> &str {
        "it is made up"
    }

    fn lacks(&self) -> &[Lack] {
        const LACKS: &[Lack] = &[Lack { what: "a kernel", why: String::new() }];
        LACKS
    }

    fn numbers(&self) -> Numbers {
        Counters::default().numbers()
    }

    fn processes(&self) -> Vec<HostProcess> {
        self.0.lock().processes.clone()
    }

    fn set_filter(&self, filter: Filter) {
        self.0.lock().filter = filter;
    }

    fn end(&self) {
        self.0.report(Report::Ended { error: None });
    }
}

/// The process `pid`, which began at 1000 + `pid`.
pub fn process(pid: u32, name: &str) -> HostProcess {
    HostProcess {
        pid: HostPid(pid),
        ppid: Some(HostPid(1)),
        name: name.into(),
        name_source: NameSource::Exec,
        exe: Some("/bin/a".into()),
        uid: Some(0),
        start_time: Some(1000 + u64::from(pid)),
        kernel: false,
    }
}

/// It began.
pub fn created(pid: u32, name: &str) -> HostEvent {
    let kind = EventKind::Created { initial: false };
    HostEvent { kind, process: process(pid, name), latency: Some(Duration::from_micros(10)) }
}

/// It ended, with code 3 after 12 ms.
pub fn destroyed(pid: u32, name: &str) -> HostEvent {
    let end = End {
        status: Some(ExitStatus::Code(3)),
        run_time: Some(Duration::from_millis(12)),
        cpu_time: None,
        peak_rss: Some(4096),
    };
    HostEvent { kind: EventKind::Destroyed(end), process: process(pid, name), latency: None }
}
