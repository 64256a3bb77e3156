//! One running program.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::Serialize;
use serde_json::value::RawValue;

use super::family::Family;
use super::guard::MARK;
use super::launch::GO;
use super::rpc::RpcError;
use super::stderr::Ear;
use super::talk::{Bounds, Talk, TalkError};
use crate::config::Command;
use crate::config::limits::Limits;
use crate::device::Interrupt;
use crate::ids::{ProcessId, Slot};

/// Memory that a program may write to beyond its limit before the system refuses more, as a multiple of the limit and in
/// bytes: what takes too much is ended, but only looked at now and then.
const DATA_TIMES: u64 = 4;
const DATA_MORE: u64 = 64 << 20;

/// A program with its pipes.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) process: process::Child,
    pub(super) family: Family,
    talk: Option<Arc<Mutex<Talk>>>,
    ear: Ear,
}

impl Child {
    /// Starts the host process that becomes the program by [`go`](Self::go). `helper` is this program itself.
    pub(super) fn spawn(
        helper: &Path,
        mark: &str,
        command: &Command,
        limits: &Limits,
        owner: &ProcessId,
    ) -> io::Result<Self> {
        let data = limits.memory.saturating_mul(DATA_TIMES).saturating_add(DATA_MORE);
        let mut spawned = process::Command::new(helper)
            .args(["launch", "--data", &data.to_string(), "--"])
            .args(&command.command)
            .env_clear()
            .envs(&command.environment)
            .env(MARK, mark)
            .current_dir(&command.directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let name = owner.to_string();
        let made = Self::attach(&mut spawned, name);
        match made {
            Ok((family, talk, ear)) => {
                Ok(Self { process: spawned, family, talk: Some(Arc::new(Mutex::new(talk))), ear })
            }
            Err(error) => {
                // It waits for a byte and has done nothing yet.
                let _ = spawned.kill();
                let _ = spawned.wait();
                Err(error)
            }
        }
    }

    fn attach(spawned: &mut process::Child, name: String) -> io::Result<(Family, Talk, Ear)> {
        let missing = || io::Error::other("a pipe to the program is missing");
        let family = i32::try_from(spawned.id()).ok().and_then(Family::from_number).ok_or_else(missing)?;
        let stdin = spawned.stdin.take().ok_or_else(missing)?;
        let stdout = spawned.stdout.take().ok_or_else(missing)?;
        let stderr = spawned.stderr.take().ok_or_else(missing)?;
        Ok((family, Talk::new(stdin, stdout, name.clone(), family)?, Ear::open(stderr, name)?))
    }

    /// Lets it become the program.
    pub(super) fn go(&self) -> io::Result<()> {
        self.talk.as_ref().map_or(Ok(()), |talk| lock(talk).write_first(&[GO]))
    }

    /// What it writes to standard error from now on belongs to this slot.
    pub(super) fn at(&self, slot: Slot) {
        self.ear.at(slot.0);
    }

    /// Asks it, and waits for the answer.
    pub(super) fn ask(
        &self,
        method: &'static str,
        params: &impl Serialize,
        bounds: Bounds,
        interrupt: &Interrupt,
    ) -> Result<Result<Box<RawValue>, RpcError>, TalkError> {
        let Some(talk) = &self.talk else { return Err(TalkError::Ended("before it was asked")) };
        lock(talk).ask(method, params, bounds, interrupt)
    }

    /// The pipes, for whoever has a question besides. They close with the child's end.
    pub(super) fn talk(&self) -> Weak<Mutex<Talk>> {
        self.talk.as_ref().map_or_else(Weak::new, Arc::downgrade)
    }

    /// The most memory that it had so far, in bytes; 0 where the system does not say.
    pub(super) fn memory(&self) -> u64 {
        self.family.peak_memory()
    }

    /// Says no more to it: its standard input ends.
    pub(super) fn hang_up(&mut self) {
        self.talk = None;
    }

    /// Whether it ended, by itself or not. Its number stays its own until it is [reaped](Self::reap).
    pub(super) fn has_ended(&self) -> bool {
        self.family.has_no_leader()
    }

    /// Gives its number back to the system. It has ended.
    pub(super) fn reap(mut self) -> io::Result<process::ExitStatus> {
        self.process.wait()
    }
}

fn lock(talk: &Mutex<Talk>) -> MutexGuard<'_, Talk> {
    // A panic in the middle of a talk leaves requests and answers as countable as before.
    talk.lock().unwrap_or_else(PoisonError::into_inner)
}
