//! Where reports of host processes come from: the machine, or a test.

use std::sync::{Arc, Mutex, PoisonError};

use crate::host::{
    BackendKind, Filter, HostError, HostProcess, Lack, Memory, Numbers, Options, Report, Watch, resume, start,
};

/// Takes reports, on a thread of the watch. It never blocks and never panics.
pub type Sink = Box<dyn FnMut(Report) + Send>;

/// A watch that runs. Dropping it stops it and waits for its last word, so that it is dropped where one may block.
pub trait HostWatch: Send + Sync {
    /// The backend that runs.
    fn backend(&self) -> BackendKind;

    /// Why this backend, for a person.
    fn reason(&self) -> &str;

    /// What has to be done without.
    fn lacks(&self) -> &[Lack];

    /// What it counts. Counts only grow, over restarts too.
    fn numbers(&self) -> Numbers;

    /// The living processes that pass the filter, by number.
    fn processes(&self) -> Vec<HostProcess>;

    /// Tells of others from now on.
    fn set_filter(&self, filter: Filter);

    /// Asks it to stop. Once it has, it tells its sink.
    fn end(&self);
}

/// Starts watches, one after the other: each goes on from where the one before left off.
pub trait Source: Send + Sync {
    /// Starts one. It may block for a moment.
    fn begin(&self, options: Options, sink: Sink) -> Result<Arc<dyn HostWatch>, HostError>;
}

/// The machine that the node runs on.
#[derive(Debug, Default)]
pub struct Machine(Mutex<Option<Memory>>);

impl Source for Machine {
    fn begin(&self, options: Options, sink: Sink) -> Result<Arc<dyn HostWatch>, HostError> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = match memory.take() {
            None => start(options, sink)?,
            Some(known) => {
                *memory = Some(known.clone());
                resume(known, options, sink)?
            }
        };
        *memory = Some(watch.memory());
        Ok(Arc::new(watch))
    }
}

impl HostWatch for Watch {
    fn backend(&self) -> BackendKind {
        self.backend()
    }

    fn reason(&self) -> &str {
        self.reason()
    }

    fn lacks(&self) -> &[Lack] {
        self.lacks()
    }

    fn numbers(&self) -> Numbers {
        self.numbers()
    }

    fn processes(&self) -> Vec<HostProcess> {
        self.processes()
    }

    fn set_filter(&self, filter: Filter) {
        self.set_filter(filter);
    }

    fn end(&self) {
        self.end();
    }
}
