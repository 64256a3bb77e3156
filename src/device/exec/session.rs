//! A program that knows which process it computes, and from which state.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::child::Child;
use super::host::{ExecHost, Whose};
use super::rpc::{METHOD_NOT_FOUND, RpcError};
use super::talk::{Bounds, TalkError};
use crate::config::Command;
use crate::config::limits::Limits;
use crate::device::Interrupt;
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::{DeviceKind, Tag};

/// The state of a program that keeps none.
pub(super) const NO_STATE: &str = "null";

/// A program may take so long to start, whatever its calls may.
const START: Duration = Duration::from_secs(10);
/// What an answer may be longer than what it is for, in bytes.
const BESIDE: u64 = 64 << 10;
/// How long programs before this one may take to end by force.
const LEFT_OVER: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);

/// Whose program, and what it may use.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) host: ExecHost,
    pub(super) process: ProcessId,
    pub(super) command: Command,
    pub(super) limits: Limits,
    pub(super) tags: Arc<[Tag]>,
    pub(super) interrupt: Interrupt,
    /// Whether it is the process's own program, of which there is one, or a copy for trials.
    pub(super) is_own: bool,
}

/// Why a program is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("{0}")]
    Failed(String),
    /// It says so itself.
    #[error("the program refuses to start: {0}")]
    Refused(RpcError),
    #[error("interrupted")]
    Interrupted,
}

/// A program that is ready for slots.
#[derive(Debug)]
pub(super) struct Session {
    role: Arc<Role>,
    /// Nothing once it is being ended.
    child: Option<Child>,
    pub(super) can_dry_run: bool,
}

#[derive(Serialize)]
struct InitParams<'a> {
    process: &'a ProcessId,
    definition: Definition<'a>,
    chain: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition<'a> {
    id: &'a ProcessId,
    device: &'static str,
    tags: &'a [Tag],
    limits: &'a Limits,
}

#[derive(Serialize)]
struct RestoreParams<'a> {
    state: &'a RawValue,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Abilities {
    dry_run: bool,
}

impl Role {
    /// The groups that wait for what the program does, as it hands them on with requests of its own.
    pub(super) fn chain(&self) -> String {
        let own = GroupName::of_process(&self.process);
        self.host.waits().chain_to(&own).then(&own).map(|chain| chain.to_string()).unwrap_or_default()
    }

    fn whose(&self) -> Whose {
        Whose { process: self.process.clone(), is_own: self.is_own }
    }

    /// Waits until the program before this one, and all that it started, is gone.
    fn wait_for_the_last(&self) -> Result<(), StartError> {
        let deadline = Instant::now() + self.command.grace + LEFT_OVER;
        while !self.host.wait_until_gone(&self.whose(), LOOK) {
            if self.interrupt.is_raised() {
                return Err(StartError::Interrupted);
            }
            if Instant::now() >= deadline {
                return Err(StartError::Failed("the program before does not end; it is waited for".to_owned()));
            }
        }
        Ok(())
    }

    fn bounds(&self, answer: u64) -> Bounds {
        let Limits { compute_time, memory, .. } = self.limits;
        Bounds { time: compute_time, answer, memory }
    }

    /// What a call for an outcome may take.
    pub(super) fn compute_bounds(&self) -> Bounds {
        let Limits { output_size, state_size, message_size, .. } = self.limits;
        let sent = message_size.saturating_mul(4);
        self.bounds(output_size.saturating_add(state_size).saturating_add(sent).saturating_add(BESIDE))
    }

    fn start_bounds(&self) -> Bounds {
        let bounds = self.bounds(BESIDE);
        Bounds { time: bounds.time.max(START), ..bounds }
    }
}

impl Session {
    /// Starts a program, once those before it are gone, and brings it to `state`.
    pub(super) fn open(role: &Arc<Role>, slot: Slot, state: &RawValue) -> Result<Self, StartError> {
        let Role { host, command, limits, .. } = &**role;
        if role.is_own {
            role.wait_for_the_last()?;
        }
        if role.interrupt.is_raised() {
            return Err(StartError::Interrupted);
        }
        let child = host.launch(role.whose(), command, limits).map_err(|error| {
            StartError::Failed(format!(
                "program {:?} cannot be started in {:?}: {error}",
                command.command[0], command.directory
            ))
        })?;
        child.at(slot);
        let mut session = Self { role: role.clone(), child: Some(child), can_dry_run: false };
        session.greet()?;
        if let Some(child) = &session.child {
            host.show(&role.whose(), child);
        }
        session.restore(state)?;
        Ok(session)
    }

    fn greet(&mut self) -> Result<(), StartError> {
        let role = self.role.clone();
        let Role { process, tags, limits, .. } = &*role;
        let definition = Definition { id: process, device: DeviceKind::Exec.as_str(), tags, limits };
        let params = InitParams { process, definition, chain: &role.chain() };
        let answer = self.ask("init", &params, role.start_bounds()).map_err(unstarted)?;
        match answer {
            Ok(abilities) => {
                let abilities = serde_json::from_str::<Option<Abilities>>(abilities.get());
                self.can_dry_run = abilities.ok().flatten().unwrap_or_default().dry_run;
                Ok(())
            }
            Err(error) if error.code == METHOD_NOT_FOUND => Ok(()),
            Err(error) => Err(StartError::Refused(error)),
        }
    }

    /// Puts it at a state. One that keeps none has nothing to be told.
    pub(super) fn restore(&mut self, state: &RawValue) -> Result<(), StartError> {
        if state.get() == NO_STATE {
            return Ok(());
        }
        let bounds = self.role.start_bounds();
        match self.ask("restore", &RestoreParams { state }, bounds).map_err(unstarted)? {
            Ok(_) => Ok(()),
            Err(error) => Err(StartError::Failed(format!("the program does not take its state back: {error}"))),
        }
    }

    /// Its state; that of a program without `snapshot` is `null`.
    pub(super) fn snapshot(&mut self) -> Result<Result<Box<RawValue>, RpcError>, TalkError> {
        let bounds = self.role.bounds(self.role.limits.state_size.saturating_add(BESIDE));
        let answer = self.ask("snapshot", &Nothing {}, bounds)?;
        Ok(match answer {
            Err(error) if error.code == METHOD_NOT_FOUND => Ok(RawValue::NULL.to_owned()),
            answer => answer,
        })
    }

    /// Asks it.
    pub(super) fn ask(
        &mut self,
        method: &'static str,
        params: &impl Serialize,
        bounds: Bounds,
    ) -> Result<Result<Box<RawValue>, RpcError>, TalkError> {
        let interrupt = self.role.interrupt.clone();
        match &self.child {
            Some(child) => child.ask(method, params, bounds, &interrupt),
            None => Err(TalkError::Ended("before it was asked")),
        }
    }

    /// Whether it still runs, as far as can be seen.
    pub(super) fn is_alive(&self) -> bool {
        self.child.as_ref().is_some_and(|child| !child.has_ended())
    }

    /// What it writes to standard error from now on belongs to this slot.
    pub(super) fn at(&self, slot: Slot) {
        if let Some(child) = &self.child {
            child.at(slot);
        }
    }

    /// The most memory that it had so far, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.child.as_ref().map_or(0, Child::memory)
    }
}

impl Drop for Session {
    /// The program ends; nobody waits for it here.
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            self.role.host.end(child, self.role.whose(), self.role.command.grace);
        }
    }
}

fn unstarted(error: TalkError) -> StartError {
    match error {
        TalkError::Interrupted => StartError::Interrupted,
        error => StartError::Failed(format!("the program does not start: {error}")),
    }
}
