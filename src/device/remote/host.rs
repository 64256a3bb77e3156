//! What all remote devices share: a client, and the thread on which its connections live.

use std::future::Future;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::client::{Client, Options, Peers};
use crate::device::Interrupt;
use crate::group::WaitTable;

/// How often a thread that waits looks whether it is to wait no longer.
const LOOK: Duration = Duration::from_millis(20);

/// What all remote devices share. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct RemoteHost {
    waits: WaitTable,
    peers: Peers,
    /// Set up by the first call: a node without remote processes has none.
    link: Arc<Mutex<Option<Arc<Link>>>>,
}

#[derive(Debug)]
struct Link {
    client: Client,
    runtime: Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

/// Why there is nothing to be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// The call was to end.
    Interrupted,
    /// The machine failed.
    Failed(String),
}

impl RemoteHost {
    /// Starts nothing.
    pub(super) fn new(waits: WaitTable, peers: Peers) -> Self {
        Self { waits, peers, link: Arc::default() }
    }

    /// Who waits for what is computed elsewhere.
    pub(super) fn waits(&self) -> &WaitTable {
        &self.waits
    }

    /// What could not be set up is tried again by the next call.
    fn link(&self) -> Result<Arc<Link>, String> {
        // Nothing is left half done under this lock.
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        match &*link {
            Some(link) => Ok(link.clone()),
            None => Ok(link.insert(Arc::new(Link::open(self.peers.clone())?)).clone()),
        }
    }

    /// Lets `work` run with the client, and waits for it until `interrupt` is raised.
    pub(super) fn wait_for<W: Future<Output: Send> + Send + 'static>(
        &self,
        interrupt: &Interrupt,
        work: impl FnOnce(Client) -> W,
    ) -> Result<W::Output, Unheard> {
        let link = self.link().map_err(Unheard::Failed)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let work = work(link.client.clone());
        let task = link.runtime.spawn(async move {
            let _ = sender.send(work.await);
        });
        loop {
            if interrupt.is_raised() {
                task.abort();
                return Err(Unheard::Interrupted);
            }
            match receiver.recv_timeout(LOOK) {
                Ok(done) => return Ok(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Unheard::Failed("a request to outside ended early".to_owned()));
                }
            }
        }
    }
}

impl Link {
    fn open(peers: Peers) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("requests to outside have no thread: {error}");
        let client = Client::new(Options { peers, ..Options::default() }).map_err(|error| error.to_string())?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let life = move || {
            // Either way it is over.
            let _ = runtime.block_on(stopped);
        };
        std::thread::Builder::new().name("remote".to_owned()).spawn(life).map_err(failed)?;
        Ok(Self { client, runtime: handle, _stop: stop })
    }
}
