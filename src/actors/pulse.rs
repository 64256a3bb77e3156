//! The ping through a worker's mailbox, and what is done about a worker that does not answer well.

use std::time::Duration;

use actix::{Handler, Message};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::warn;

use super::hub::Hub;
use super::process_worker::ProcessWorker;
use crate::group::Incarnation;
use crate::ids::ProcessId;
use crate::process::RequestError;
use crate::supervise::Pulse;

/// A worker that is asked to stop has so long on top of the time after which its device is given up.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// To a registry: ping the process's worker, if it has one. Answered with which one that is.
///
/// It is no work: no worker is started, kept from stopping or kept from being the one that was left alone longest.
#[derive(Message, Debug)]
#[rtype(result = "Option<Incarnation>")]
pub struct PingWorker {
    /// Whose worker.
    pub process: ProcessId,
    /// Where its answer goes. Dropped unanswered where there is no worker.
    pub pong: oneshot::Sender<Pulse>,
}

/// To a worker: answer. A worker whose device is a child host process hands the answer's way on to that.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Answer(pub oneshot::Sender<Pulse>);

impl Handler<Answer> for ProcessWorker {
    type Result = ();

    fn handle(&mut self, Answer(pong): Answer, _: &mut Self::Context) {
        // Whoever asked may have stopped waiting.
        let _ = pong.send(self.pulse());
    }
}

/// To a registry: this worker does not take its messages. Its name is free from now on, and the process has another worker,
/// whose claim on the log shuts this one out.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct ForgetWorker {
    /// Whose worker.
    pub process: ProcessId,
    /// Which one; another one is left alone.
    pub incarnation: Incarnation,
}

/// A ping that is on its way.
#[derive(Debug)]
pub(super) struct Pinged {
    /// Which worker was asked.
    pub(super) incarnation: Incarnation,
    pong: oneshot::Receiver<Pulse>,
}

impl Pinged {
    /// Waits for the worker's answer. `None`: it ended before it came to that.
    pub(super) async fn hear(self) -> Option<Pulse> {
        self.pong.await.ok()
    }
}

impl Hub {
    /// Sends a ping to the worker of `process`; `None` where it has none.
    pub(super) async fn ping_worker(&self, process: &ProcessId) -> Result<Option<Pinged>, RequestError> {
        let record = self.environment().store.process(process);
        if record.map_err(|error| RequestError::Store(error.to_string()))?.is_none() {
            return Err(RequestError::no_process(process));
        }
        let (sender, pong) = oneshot::channel();
        let asked = self.registry(process).send(PingWorker { process: process.clone(), pong: sender }).await;
        let found = asked.map_err(|_| RequestError::node_stops())?;
        Ok(found.map(|incarnation| Pinged { incarnation, pong }))
    }

    /// Stops the worker of `process`, whose device is interrupted and given up if it doesn't come back, and starts another
    /// one. Where the worker does not even hear that, and is the one that was `seen`, it is forgotten.
    pub(super) async fn restart_worker(
        &self,
        process: &ProcessId,
        seen: Option<Incarnation>,
    ) -> Result<(), RequestError> {
        let patience = self.environment().give_up_after + STOP_MARGIN;
        match timeout(patience, self.stop_worker(process)).await {
            Ok(Ok(()) | Err(RequestError::NotFound(_))) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => self.forget_worker(process, seen).await?,
        }
        let woken = timeout(patience, self.wake(process)).await;
        woken.unwrap_or_else(|_| Err(RequestError::Internal("the worker that was started does not answer".to_owned())))
    }

    async fn forget_worker(&self, process: &ProcessId, seen: Option<Incarnation>) -> Result<(), RequestError> {
        let deaf = || RequestError::Internal("neither the worker nor its registry answers".to_owned());
        let Some(incarnation) = seen else {
            return Err(RequestError::Internal("the worker does not stop".to_owned()));
        };
        let forget = self.registry(process).send(ForgetWorker { process: process.clone(), incarnation });
        let is_forgotten = timeout(STOP_MARGIN, forget).await.map_err(|_| deaf())?.map_err(|_| deaf())?;
        if is_forgotten {
            warn!(target: "health", event = "worker_forgotten", %process, group = %process,
                "it takes no messages; another worker takes its place");
        }
        Ok(())
    }
}
