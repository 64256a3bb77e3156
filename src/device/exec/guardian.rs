//! The node's side of the guardian: started before the first program, told of each, started again if it dies.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::time::Instant;
use tracing::warn;

use super::family::Family;
use super::guard::READY;
use super::pause::timespec;

/// How long the guardian of an earlier node may take to end what that one left.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest that it says.
const SAID_MOST: usize = 512;

/// The guardian and those it was told of.
#[derive(Debug)]
pub(super) struct Guardian {
    program: PathBuf,
    lock: PathBuf,
    mark: String,
    families: BTreeSet<Family>,
    running: Option<Child>,
    /// Whether what an earlier node left is gone.
    has_swept: bool,
}

impl Guardian {
    /// A guardian that is not started yet. `lock` is its file, `mark` what the environment of this node's programs holds.
    pub(super) fn new(program: PathBuf, lock: &Path, mark: String) -> Self {
        Self { program, lock: lock.to_owned(), mark, families: BTreeSet::new(), running: None, has_swept: false }
    }

    /// Has it run. Where it does not, waits until what an earlier node left is gone.
    pub(super) fn start(&mut self) -> io::Result<()> {
        if let Some(running) = &mut self.running {
            if running.try_wait()?.is_none() {
                return Ok(());
            }
            warn!(target: "compute", event = "guardian_died", "the guardian of programs ended; starting another");
            self.running = None;
        }
        let mut started = Command::new(&self.program)
            .arg("guard")
            .args(self.has_swept.then_some("--again"))
            .args(["--mark", &self.mark, "--lock"])
            .arg(&self.lock)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let told = self.greet(&mut started);
        if let Err(error) = told {
            let _ = started.kill();
            let _ = started.wait();
            return Err(error);
        }
        (self.running, self.has_swept) = (Some(started), true);
        Ok(())
    }

    /// Waits for its word and tells it all it must know.
    fn greet(&self, started: &mut Child) -> io::Result<()> {
        let said = hear(started)?;
        if said.trim() != READY {
            return Err(io::Error::other(format!("the guardian of programs does not start: {said:?}")));
        }
        self.families.iter().try_for_each(|family| tell(started, '+', *family))
    }

    /// From now on this family ends with the node.
    pub(super) fn add(&mut self, family: Family) -> io::Result<()> {
        self.start()?;
        self.families.insert(family);
        let told = self.running.as_mut().map_or(Ok(()), |running| tell(running, '+', family));
        // It may have died since; another one is told of all.
        told.or_else(|_| self.start())
    }

    /// This family is gone.
    pub(super) fn remove(&mut self, family: Family) {
        self.families.remove(&family);
        if let Some(running) = &mut self.running {
            let _ = tell(running, '-', family);
        }
    }

    /// Looks whether it lives, if there is somebody to guard.
    pub(super) fn check(&mut self) {
        if !self.families.is_empty()
            && let Err(error) = self.start()
        {
            warn!(target: "compute", event = "guardian_missing", %error, "programs would outlive the node if it were killed");
        }
    }

    /// Ends it.
    pub(super) fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.stdin.take());
            let _ = running.wait();
        }
    }
}

fn tell(running: &mut Child, sign: char, family: Family) -> io::Result<()> {
    let pipe = running.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    pipe.write_all(format!("{sign}{}\n", family.number()).as_bytes())
}

/// What it says first.
fn hear(started: &mut Child) -> io::Result<String> {
    let stdout = started.stdout.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    let (deadline, mut said) = (Instant::now() + PATIENCE, Vec::new());
    while !said.ends_with(b"\n") && said.len() < SAID_MOST {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut ready = [PollFd::new(stdout, PollFlags::IN)];
        match poll(&mut ready, Some(&timespec(left))) {
            Ok(0) => {
                let text = "programs of an earlier node did not end in time, or its guardian is still at it";
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 128];
        match stdout.read(&mut bytes)? {
            0 => break,
            count => said.extend_from_slice(&bytes[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}
