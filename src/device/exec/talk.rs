//! One request to a program and its answer: bytes over two pipes, with an eye on the time, the size and the memory.

use std::io;
use std::os::fd::AsFd;
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::warn;

use super::family::Family;
use super::lines::Lines;
use super::pause::timespec;
use super::rpc::{self, Garbled, RpcError};
use crate::device::Interrupt;

/// How often a call looks whether it is interrupted, and how much memory the program takes.
const LOOK: Duration = Duration::from_millis(25);
/// A call that is interrupted may still end by itself within this time.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So many answers to earlier requests are passed over in one call.
const STALE_MOST: usize = 16;
const CHUNK: usize = 64 << 10;

/// What a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Its time.
    pub(super) time: Duration,
    /// The longest answer, in bytes.
    pub(super) answer: u64,
    /// The program's memory, in bytes.
    pub(super) memory: u64,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TalkError {
    #[error("there was no answer to {method} within {time:?}")]
    TooLate { method: &'static str, time: Duration },
    #[error("the answer to {method} is longer than {most} bytes")]
    TooLong { method: &'static str, most: u64 },
    #[error("limit memory: the program took {0} bytes")]
    Memory(u64),
    #[error(transparent)]
    Garbled(#[from] Garbled),
    #[error("the program answered more than {STALE_MOST} requests that were answered before")]
    Repeats,
    #[error("the program ended {0}")]
    Ended(&'static str),
    #[error("the call was interrupted")]
    Interrupted,
    #[error("the pipes to the program failed: {0}")]
    Pipe(#[from] io::Error),
}

/// The pipes to a program.
#[derive(Debug)]
pub(super) struct Talk {
    stdin: ChildStdin,
    stdout: ChildStdout,
    lines: Lines,
    chunk: Vec<u8>,
    /// The number of the last request.
    last: u64,
    process: String,
    family: Family,
}

impl Talk {
    /// Over these pipes, with the program of `process`, which leads `family`.
    pub(super) fn new(stdin: ChildStdin, stdout: ChildStdout, process: String, family: Family) -> io::Result<Self> {
        never_block(&stdin)?;
        never_block(&stdout)?;
        Ok(Self { stdin, stdout, lines: Lines::default(), chunk: vec![0; CHUNK], last: 0, process, family })
    }

    /// Writes bytes that are no request; they fit the pipe.
    pub(super) fn write_first(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(write(&self.stdin, bytes).map(drop)?)
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(
        &mut self,
        method: &'static str,
        params: &impl Serialize,
        bounds: Bounds,
        interrupt: &Interrupt,
    ) -> Result<Result<Box<RawValue>, RpcError>, TalkError> {
        self.last += 1;
        let request = rpc::request(self.last, method, params).map_err(io::Error::from)?;
        let mut unsent = request.as_slice();
        let mut deadline = Instant::now() + bounds.time;
        let (mut stale, mut is_interrupted) = (0, false);
        loop {
            if let Some(answer) = self.next_answer(method, bounds.answer)? {
                if answer.id == self.last && unsent.is_empty() {
                    return Ok(answer.result);
                }
                if answer.id >= self.last {
                    let why = "nothing of this \"id\" was asked yet".to_owned();
                    return Err(Garbled::Line { line: format!("an answer to request {}", answer.id), why }.into());
                }
                stale += 1;
                if stale > STALE_MOST {
                    return Err(TalkError::Repeats);
                }
                warn!(target: "compute", event = "answer_passed_over", process = self.process, id = answer.id,
                    "an answer to a request that waits for none any more");
                continue;
            }
            let used = self.family.peak_memory();
            if used > bounds.memory {
                return Err(TalkError::Memory(used));
            }
            let now = Instant::now();
            if interrupt.is_raised() && !is_interrupted {
                is_interrupted = true;
                deadline = deadline.min(now + LAST_WORDS);
            }
            if now >= deadline {
                return Err(match is_interrupted {
                    true => TalkError::Interrupted,
                    false => TalkError::TooLate { method, time: bounds.time },
                });
            }
            // What it has said before is still to be read; what it started may hold its standard output for ever.
            let has_ended = self.family.has_no_leader();
            let wait = if has_ended { Duration::ZERO } else { LOOK.min(deadline - now) };
            if !self.exchange(&mut unsent, wait)? && has_ended {
                return Err(TalkError::Ended("and left somebody who holds its standard output"));
            }
        }
    }

    fn next_answer(&mut self, method: &'static str, most: u64) -> Result<Option<rpc::Answer>, TalkError> {
        let bytes = usize::try_from(most).unwrap_or(usize::MAX);
        let line = self.lines.next(bytes).map_err(|_| TalkError::TooLong { method, most })?;
        Ok(line.map(|line| rpc::answer(&line)).transpose()?)
    }

    /// Writes and reads what can be within `wait`. Says whether there was anything to read.
    fn exchange(&mut self, unsent: &mut &[u8], wait: Duration) -> Result<bool, TalkError> {
        let mut ready = [PollFd::new(&self.stdout, PollFlags::IN), PollFd::new(&self.stdin, PollFlags::OUT)];
        let polled = if unsent.is_empty() { &mut ready[..1] } else { &mut ready[..] };
        match poll(polled, Some(&timespec(wait))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let (can_read, can_write) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
        if can_read {
            self.read_some()?;
        }
        if can_write && !unsent.is_empty() {
            match write(&self.stdin, unsent) {
                Ok(count) => *unsent = unsent.get(count..).unwrap_or_default(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // What it has said before is still to be read.
                Err(Errno::PIPE) if can_read => {}
                Err(Errno::PIPE) => {
                    return Err(TalkError::Ended("or closed its standard input before it read the request"));
                }
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(can_read)
    }

    fn read_some(&mut self) -> Result<(), TalkError> {
        match read(&self.stdout, &mut self.chunk) {
            Ok(0) if self.lines.rest().is_empty() => Err(TalkError::Ended("or closed its standard output")),
            Ok(0) => Err(TalkError::Ended("in the middle of a line")),
            Ok(count) => {
                self.lines.push(self.chunk.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

/// Reads and writes return at once from now on.
pub(super) fn never_block(pipe: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&pipe)?;
    Ok(fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?)
}
