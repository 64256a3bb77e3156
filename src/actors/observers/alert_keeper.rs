//! Where it is written what is to outlive the node of its alerts: on a thread of its own, one write at a time, and then the
//! newest of what came meanwhile.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use crate::alert::SavedAlerts;
use crate::store::KeptFileError;

/// Brings bytes to disk in the place of those before. May block for as long as it likes.
pub(in crate::actors) type WriteAlerts = Box<dyn FnMut(&[u8]) -> Result<(), KeptFileError> + Send>;

/// What alerts know of the time before a restart, and how they are kept for the next one.
pub struct AlertMemory {
    /// What was read, if there was anything.
    pub(in crate::actors) saved: Option<SavedAlerts>,
    /// Where it is written from now on.
    pub(in crate::actors) write: WriteAlerts,
}

impl AlertMemory {
    /// Goes on from `saved`, and writes by `write`.
    pub fn new(
        saved: Option<SavedAlerts>,
        write: impl FnMut(&[u8]) -> Result<(), KeptFileError> + Send + 'static,
    ) -> Self {
        Self { saved, write: Box::new(write) }
    }
}

/// The way to the thread. It ends with the value, after the write that it is at.
pub(in crate::actors) struct AlertKeeper {
    shared: Arc<Shared>,
    last: u64,
}

#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What the thread is to do.
#[derive(Default)]
struct Desk {
    next: Option<(u64, SavedAlerts)>,
    is_closed: bool,
}

impl AlertKeeper {
    /// Starts the thread. `is_blank`: nothing was written so far. `tried` hears the number of whatever was written, or couldn't
    /// be.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(in crate::actors) fn start(
        write: WriteAlerts,
        is_blank: bool,
        tried: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (own, pen) = (shared.clone(), Pen { write, is_blank, has_failed: false });
        std::thread::Builder::new().name("alerts".to_owned()).spawn(move || work(&own, pen, &tried))?;
        Ok(Self { shared, last: 0 })
    }

    /// Has `saved` written next, in the place of what still waits for that. Returns its number, which are in order.
    pub(in crate::actors) fn put(&mut self, saved: SavedAlerts) -> u64 {
        self.last += 1;
        self.shared.open().next = Some((self.last, saved));
        self.shared.changed.notify_one();
        self.last
    }
}

impl Drop for AlertKeeper {
    fn drop(&mut self) {
        self.shared.open().is_closed = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Desk> {
        // Each step leaves it whole.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next to be written, once there is one. `None`: nothing comes any more.
    fn next(&self) -> Option<(u64, SavedAlerts)> {
        let idle = |desk: &mut Desk| desk.next.is_none() && !desk.is_closed;
        let mut desk = self.changed.wait_while(self.open(), idle).unwrap_or_else(PoisonError::into_inner);
        if desk.is_closed { None } else { desk.next.take() }
    }
}

fn work(shared: &Shared, mut pen: Pen, tried: &impl Fn(u64)) {
    while let Some((number, saved)) = shared.next() {
        pen.write(&saved);
        tried(number);
    }
}

/// What the thread writes with.
struct Pen {
    write: WriteAlerts,
    /// Whether what was written last is nothing.
    is_blank: bool,
    has_failed: bool,
}

impl Pen {
    fn write(&mut self, saved: &SavedAlerts) {
        if self.is_blank && saved.is_empty() {
            return;
        }
        let bytes = saved.to_bytes().map_err(|error| error.to_string());
        let written = bytes.and_then(|bytes| (self.write)(&bytes).map_err(|error| error.to_string()));
        match written {
            Ok(()) => {
                self.is_blank = saved.is_empty();
                if std::mem::take(&mut self.has_failed) {
                    info!(target: "alert", event = "alerts_saved", "they are saved again");
                }
            }
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                warn!(target: "alert", event = "alerts_not_saved", error, "it is tried again with the next change");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Something to save that can be told from others.
    fn saved(name: &str) -> SavedAlerts {
        SavedAlerts { owed: BTreeMap::from([(name.to_owned(), Vec::new())]), ..SavedAlerts::default() }
    }

    /// What it owes to whom.
    fn name(bytes: &[u8]) -> String {
        SavedAlerts::from_bytes(bytes).unwrap().owed.into_keys().collect()
    }

    /// A keeper whose writes wait for each `go`, and what is told of them.
    fn keeper(is_blank: bool, go: Receiver<bool>) -> (AlertKeeper, Receiver<String>, Receiver<u64>) {
        let ((wrote, written), (told, tried)) = (channel(), channel());
        let write: WriteAlerts = Box::new(move |bytes| {
            wrote.send(name(bytes)).unwrap();
            if go.recv() == Ok(true) {
                return Ok(());
            }
            Err(KeptFileError::Write {
                path: "alerts".into(),
                what: "alerts",
                source: io::ErrorKind::StorageFull.into(),
            })
        });
        (AlertKeeper::start(write, is_blank, move |number| told.send(number).unwrap()).unwrap(), written, tried)
    }

    #[test]
    fn one_is_written_at_a_time_and_then_the_newest() {
        let (go, gone) = channel();
        let (mut keeper, written, tried) = keeper(false, gone);
        assert_eq!(keeper.put(saved("a")), 1);
        assert_eq!(written.recv().unwrap(), "a");
        assert_eq!([keeper.put(saved("b")), keeper.put(saved("c")), keeper.put(saved("d"))], [2, 3, 4]);
        go.send(false).unwrap();
        assert_eq!((tried.recv().unwrap(), written.recv().unwrap()), (1, "d".to_owned()));
        go.send(true).unwrap();
        assert_eq!(tried.recv().unwrap(), 4);
        // A keeper that goes writes nothing more, and its thread ends.
        keeper.put(saved("e"));
        assert_eq!(written.recv().unwrap(), "e");
        keeper.put(saved("f"));
        drop(keeper);
        go.send(true).unwrap();
        assert_eq!((tried.recv(), tried.recv().is_err(), written.recv().is_err()), (Ok(5), true, true));
    }

    #[test]
    fn nothing_is_not_written_where_nothing_was() {
        let (go, gone) = channel();
        let (mut keeper, written, tried) = keeper(true, gone);
        let mut put = |saved: SavedAlerts, goes: Option<bool>| {
            keeper.put(saved);
            goes.into_iter().for_each(|goes| go.send(goes).unwrap());
            tried.recv().unwrap();
            written.try_recv().ok()
        };
        assert_eq!(put(SavedAlerts::default(), None), None);
        assert_eq!(put(saved("a"), Some(true)), Some("a".to_owned()));
        assert_eq!(put(SavedAlerts::default(), Some(false)), Some(String::new()), "what failed is tried again");
        assert_eq!(put(SavedAlerts::default(), Some(true)), Some(String::new()));
        assert_eq!(put(SavedAlerts::default(), None), None);
    }
}
