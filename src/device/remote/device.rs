//! A slot from the request to somebody else to its outcome.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::debug;

use super::host::{RemoteHost, Unheard};
use super::refusal::Refusal;
use super::{node, unit};
use crate::client::compute_unit::ComputeUnit;
use crate::client::process::FarProcess;
use crate::client::{Client, ClientError};
use crate::config::limits::{LimitKey, Limits};
use crate::config::{Remote, RemoteKind};
use crate::device::answered::Failure;
use crate::device::budget::limit_text;
use crate::device::{Call, Device, DeviceError, DeviceInfo, Interrupt, Mode, StateView};
use crate::group::{Grouper, Outward, trials_of};
use crate::ids::{GroupName, MessageId, ProcessId, Slot};
use crate::process::{Cause, Entry, Origin, Outcome};

/// What an answer has besides the outcome's output and what it sends, in bytes.
const BESIDE: u64 = 64 << 10;
/// What an outcome sends takes at most so much, whatever the memory.
const SENT_MOST: u64 = 64 << 20;
/// A look whether a process is there, and at its state, may take so long, whatever its calls may.
const LOOK: Duration = Duration::from_secs(10);

/// Whose device, and whom it asks.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) host: RemoteHost,
    pub(super) process: ProcessId,
    pub(super) remote: Remote,
    pub(super) limits: Limits,
    pub(super) interrupt: Interrupt,
}

/// A process that is computed elsewhere.
#[derive(Debug)]
pub(super) struct RemoteDevice {
    role: Role,
    known: Known,
}

/// What is known of the other side. This is the state: the rest is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The slot there of the last message that was computed.
    slot: Option<Slot>,
}

/// Why a call comes to nothing, or to nothing good.
enum Stop {
    Interrupted,
    Refused(Refusal),
}

impl From<Unheard> for Stop {
    fn from(unheard: Unheard) -> Self {
        match unheard {
            Unheard::Interrupted => Self::Interrupted,
            Unheard::Failed(error) => Self::Refused(Refusal::Fault(error)),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Refused(error.into())
    }
}

impl RemoteDevice {
    pub(super) fn new(role: Role) -> Self {
        Self { role, known: Known::default() }
    }

    /// The outcome of a message, which has its slot there before this returns.
    fn outcome(&self, entry: &Entry) -> Result<(Known, Outcome), Stop> {
        match self.role.remote.kind {
            RemoteKind::Mainstay => self.of_node(entry),
            RemoteKind::Ao => self.of_unit(entry).map(|outcome| (self.known, outcome)),
        }
    }

    fn of_node(&self, entry: &Entry) -> Result<(Known, Outcome), Stop> {
        let Role { process, limits, .. } = &self.role;
        let (id, limits) = (far_id(process, entry), limits.clone());
        let outward = self.outward(GroupName::of_process(process));
        let told = self.ask(|far| node::compute(far, id, entry.clone(), limits, outward))?;
        debug!(target: "compute", event = "computed_elsewhere", %process, slot = entry.slot.0, remote_slot = told.slot.0);
        // The other node delivers what the process sends. From here it would come a second time.
        let Outcome { output, gas_used, .. } = told.outcome;
        Ok((Known { slot: Some(told.slot) }, Outcome { output, gas_used, ..Outcome::empty() }))
    }

    fn of_unit(&self, entry: &Entry) -> Result<Outcome, Stop> {
        let Role { process, limits, remote, .. } = self.role.clone();
        let outward = self.outward(GroupName::of_process(&process));
        let (slot, id, most) = (entry.slot, entry.message.id.clone(), self.answer_most());
        let asked = self.role.host.wait_for(&self.role.interrupt, |client| async move {
            let unit = ComputeUnit::new(client, &remote.url)?.within(limits.compute_time, most);
            unit::compute(unit.behind(&outward.chain())?, process, slot, id, limits).await
        });
        Ok(asked??)
    }

    /// Asks the process of the other node.
    fn ask<W, T>(&self, work: impl FnOnce(FarProcess) -> W) -> Result<T, Stop>
    where
        W: Future<Output = Result<T, Refusal>> + Send + 'static,
        T: Send + 'static,
    {
        let Role { host, process, remote, interrupt, .. } = &self.role;
        let far = |client: Client| FarProcess::new(client, &remote.url, process.clone(), self.answer_most());
        let asked = host.wait_for(interrupt, |client| {
            let work = far(client).map(work);
            async move { work?.await }
        });
        Ok(asked??)
    }

    fn outward(&self, group: GroupName) -> Outward {
        Outward::begin(self.role.host.waits(), group)
    }

    /// The most bytes of an answer.
    fn answer_most(&self) -> u64 {
        let Limits { output_size, memory, .. } = self.role.limits;
        output_size.saturating_add(memory.min(SENT_MOST)).saturating_add(BESIDE)
    }

    fn stopped(&self, slot: Slot, stop: Stop) -> Result<Call, DeviceError> {
        match stop {
            Stop::Interrupted => Ok(Call::Interrupted),
            Stop::Refused(Refusal::NotSupported) => Err(DeviceError::NotSupported("remote")),
            Stop::Refused(Refusal::Fault(text)) => Err(self.fault(slot, &text)),
            Stop::Refused(Refusal::Failed(Failure::Error(text, gas))) => {
                Ok(Call::Done(Cause::Error, Outcome::failed(text, gas)))
            }
            Stop::Refused(Refusal::Failed(Failure::Limit(key))) => {
                let Role { remote, limits, .. } = &self.role;
                let text = match key {
                    LimitKey::ComputeTime => {
                        format!("limit {key}: {} had no outcome within {:?}", remote.url, limits.compute_time)
                    }
                    key => limit_text(key, limits),
                };
                Ok(Call::Done(Cause::Limit(key), Outcome::failed(text, 0)))
            }
        }
    }

    fn fault(&self, slot: Slot, text: &str) -> DeviceError {
        DeviceError::Fault(format!("slot {slot} of process {}: {text}", self.role.process))
    }

    fn never_again(&self, slot: Slot) -> DeviceError {
        self.fault(
            slot,
            "its outcome is stored and nobody is asked for it again, but the state after it cannot be read",
        )
    }
}

/// The id of a message at the other node, however often it is sent there. Ids of clients are the same on both; the others are
/// unique for their road only, and there all come by one.
fn far_id(process: &ProcessId, entry: &Entry) -> MessageId {
    match entry.origin {
        Origin::Client => entry.message.id.clone(),
        _ => {
            let (slot, id) = (entry.slot.0.to_be_bytes(), entry.message.id.as_str().as_bytes());
            MessageId::derived(&[b"remote", process.as_str().as_bytes(), &slot, id])
        }
    }
}

/// What every remote device is.
pub(super) fn info() -> DeviceInfo {
    DeviceInfo { deterministic: false, engine: "remote 1".to_owned(), grouper: Grouper::Process, needs_worker: true }
}

impl Device for RemoteDevice {
    /// Another node must have the process; until it has there is no first slot.
    fn init(&mut self, definition: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        if mode == Mode::Replay {
            return Err(self.never_again(definition.slot));
        }
        if self.role.remote.kind == RemoteKind::Mainstay {
            let found = self.ask(|far| async move {
                let found = far.find(LOOK).await;
                found.map_err(|error| node::refusal(error, None))
            });
            match found {
                Ok(()) => {}
                // Nothing that is said to this look is the outcome of a slot.
                Err(Stop::Refused(Refusal::Failed(Failure::Error(text, _)))) => {
                    return Err(self.fault(definition.slot, &text));
                }
                Err(Stop::Refused(Refusal::Failed(Failure::Limit(key)))) => {
                    return Err(self.fault(definition.slot, &limit_text(key, &self.role.limits)));
                }
                Err(stop) => return self.stopped(definition.slot, stop),
            }
        }
        Ok(Call::Done(Cause::Success, Outcome::empty()))
    }

    fn compute(&mut self, entry: &Entry, mode: Mode) -> Result<Call, DeviceError> {
        if mode == Mode::Replay {
            return Err(self.never_again(entry.slot));
        }
        match self.outcome(entry) {
            Ok((known, outcome)) => {
                self.known = known;
                Ok(Call::Done(Cause::Success, outcome))
            }
            Err(stop) => self.stopped(entry.slot, stop),
        }
    }

    /// The other node tries it, on its own latest state.
    fn dry_run(&mut self, entry: &Entry) -> Result<Call, DeviceError> {
        if self.role.remote.kind != RemoteKind::Mainstay {
            return Err(DeviceError::NotSupported("remote"));
        }
        let (message, limits) = (entry.message.clone(), self.role.limits.clone());
        let outward = self.outward(trials_of(&self.role.process));
        match self.ask(|far| node::dry_run(far, message, limits, outward)) {
            Ok(outcome) => Ok(Call::Done(Cause::Success, outcome)),
            Err(stop) => self.stopped(entry.slot, stop),
        }
    }

    fn snapshot(&self) -> Result<Arc<[u8]>, DeviceError> {
        let json = serde_json::to_vec(&self.known).map_err(|error| DeviceError::Fault(error.to_string()))?;
        Ok(json.into())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DeviceError> {
        self.known = serde_json::from_slice(snapshot).map_err(|error| DeviceError::Restore(error.to_string()))?;
        Ok(())
    }

    /// The state is with the other node; of a compute unit nobody can ask for it.
    fn state(&self) -> Result<StateView, DeviceError> {
        if self.role.remote.kind != RemoteKind::Mainstay {
            return Err(DeviceError::NotSupported("remote"));
        }
        let outward = self.outward(trials_of(&self.role.process));
        let asked = self.ask(|far| async move { Ok(far.state(LOOK, &outward.chain()).await?) });
        asked.map_err(|stop| match stop {
            Stop::Refused(Refusal::NotSupported) => DeviceError::NotSupported("remote"),
            Stop::Refused(Refusal::Fault(text) | Refusal::Failed(Failure::Error(text, _))) => DeviceError::Fault(text),
            Stop::Refused(Refusal::Failed(Failure::Limit(key))) => {
                DeviceError::Fault(limit_text(key, &self.role.limits))
            }
            Stop::Interrupted => DeviceError::Fault("the node is stopping".to_owned()),
        })
    }

    fn info(&self) -> DeviceInfo {
        info()
    }

    fn memory(&self) -> u64 {
        size_of::<Self>() as u64
    }
}
