//! What the programs of a node share: the guardian, the folder of notes, and a thread that ends programs.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::child::Child;
use super::guardian::Guardian;
use super::note::Note;
use super::rpc::METHOD_NOT_FOUND;
use super::talk::{Bounds, Talk};
use crate::config::Command;
use crate::config::limits::Limits;
use crate::device::{Interrupt, Ping};
use crate::group::WaitTable;
use crate::ids::ProcessId;

/// How often the thread looks whether those who are to end have ended.
const LOOK: Duration = Duration::from_millis(10);
/// How often it looks after the guardian.
const CHECK: Duration = Duration::from_secs(1);
/// What does not end by force within this time is told of, and waited for.
const STUBBORN: Duration = Duration::from_secs(5);
/// The longest answer to a ping, in bytes.
const PONG_MOST: u64 = 64 << 10;

/// Where programs are run from.
#[derive(Clone, Debug)]
pub struct ExecOptions {
    /// The program of the node, which is its own helper.
    pub helper: PathBuf,
    /// The folder of notes, which no other node uses.
    pub folder: PathBuf,
    /// Who waits for what programs do.
    pub waits: WaitTable,
}

/// What the programs of a node share. Clones share it.
#[derive(Clone, Debug)]
pub struct ExecHost(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: ExecOptions,
    mark: String,
    guardian: Mutex<Guardian>,
    /// The programs that are there, those that are ending included.
    alive: Mutex<HashMap<Whose, Alive>>,
    gone: Condvar,
    ender: Mutex<Option<Sender<Ending>>>,
}

/// Who a program is there for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    pub(super) process: ProcessId,
    /// Whether it is the process's own, or a copy for trials.
    pub(super) is_own: bool,
}

#[derive(Debug)]
struct Alive {
    count: usize,
    /// The way to the last one that was started, once it was greeted.
    talk: Weak<Mutex<Talk>>,
}

/// A program that is to end.
#[derive(Debug)]
struct Ending {
    child: Child,
    whose: Whose,
    /// When it is ended by force.
    force_at: Instant,
    has_complained: bool,
}

impl ExecHost {
    /// For a node whose notes are in the folder of `options`. Starts nothing.
    pub fn new(options: ExecOptions) -> Self {
        let folder = std::path::absolute(&options.folder).unwrap_or_else(|_| options.folder.clone());
        let mark = blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex()[..32].to_owned();
        let guardian = Guardian::new(options.helper.clone(), &folder.join("lock"), mark.clone());
        Self(Arc::new(Shared {
            options: ExecOptions { folder, ..options },
            mark,
            guardian: Mutex::new(guardian),
            alive: Mutex::default(),
            gone: Condvar::new(),
            ender: Mutex::default(),
        }))
    }

    /// Starts the guardian, if it does not run, and waits until the programs of an earlier node are gone. An error names the
    /// folder.
    pub fn start(&self) -> io::Result<()> {
        let folder = &self.0.options.folder;
        let made = std::fs::create_dir_all(folder);
        let started = made.and_then(|()| lock(&self.0.guardian).start()).and_then(|()| self.ender().map(drop));
        started.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))
    }

    /// Who waits for what programs do.
    pub(super) fn waits(&self) -> &WaitTable {
        &self.0.options.waits
    }

    /// Whether a node ran programs here before.
    pub fn has_past(&self) -> bool {
        self.0.options.folder.exists()
    }

    /// The note of a process's slot in work.
    pub(super) fn note(&self, owner: &ProcessId) -> io::Result<Note> {
        std::fs::create_dir_all(&self.0.options.folder)?;
        Note::open(&self.0.options.folder.join(format!("{owner}.note")))
    }

    /// Starts a program that ends with the node.
    pub(super) fn launch(&self, whose: Whose, command: &Command, limits: &Limits) -> io::Result<Child> {
        self.start()?;
        let Shared { options, mark, .. } = &*self.0;
        let child = Child::spawn(&options.helper, mark, command, limits, &whose.process)?;
        let mut alive = lock(&self.0.alive);
        let others = alive.get(&whose).map_or(0, |others| others.count);
        // Until it is shown nobody else may write to it.
        alive.insert(whose.clone(), Alive { count: others + 1, talk: Weak::new() });
        drop(alive);
        let guarded = lock(&self.0.guardian).add(child.family);
        match guarded.and_then(|()| child.go()) {
            Ok(()) => Ok(child),
            Err(error) => {
                self.end(child, whose, Duration::ZERO);
                Err(error)
            }
        }
    }

    /// Lets others ask it from now on.
    pub(super) fn show(&self, whose: &Whose, child: &Child) {
        if let Some(alive) = lock(&self.0.alive).get_mut(whose) {
            alive.talk = child.talk();
        }
    }

    /// Waits until no such program is left, `patience` at most. Whether it is so.
    pub(super) fn wait_until_gone(&self, whose: &Whose, patience: Duration) -> bool {
        let alive = lock(&self.0.alive);
        let wait = self.0.gone.wait_timeout_while(alive, patience, |alive| alive.contains_key(whose));
        !wait.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Ends a program and whatever it started: by its standard input and a signal, after `grace` by force. Does not wait.
    pub(super) fn end(&self, mut child: Child, whose: Whose, grace: Duration) {
        child.hang_up();
        child.family.signal(Signal::TERM);
        // One that stands still hears nothing else.
        child.family.signal(Signal::CONT);
        let force_at = Instant::now() + grace;
        let ending = Ending { child, whose, force_at, has_complained: false };
        match self.ender() {
            Ok(ender) => drop(ender.send(ending)),
            Err(error) => {
                warn!(target: "compute", event = "thread_refused", %error, "a program is left to the guardian")
            }
        }
    }

    /// The way to the thread that ends programs, which is started where there is none.
    fn ender(&self) -> io::Result<Sender<Ending>> {
        let mut ender = lock(&self.0.ender);
        if let Some(ender) = &*ender {
            return Ok(ender.clone());
        }
        let (sender, receiver) = mpsc::channel();
        let shared = Arc::downgrade(&self.0);
        std::thread::Builder::new().name("exec-end".to_owned()).spawn(move || end_all(&receiver, &shared))?;
        *ender = Some(sender.clone());
        Ok(sender)
    }

    /// Asks the program of a process whether it is well, which may take `time`. Blocks.
    pub fn ping(&self, process: &ProcessId, time: Duration) -> Ping {
        let whose = Whose { process: process.clone(), is_own: true };
        let talk = lock(&self.0.alive).get(&whose).and_then(|alive| alive.talk.upgrade());
        let Some(talk) = talk else { return Ping::Idle };
        let mut talk = match talk.try_lock() {
            Ok(talk) => talk,
            Err(TryLockError::Poisoned(talk)) => talk.into_inner(),
            // A call has a time limit of its own.
            Err(TryLockError::WouldBlock) => return Ping::Busy,
        };
        let bounds = Bounds { time, answer: PONG_MOST, memory: u64::MAX };
        match talk.ask("ping", &serde_json::Map::new(), bounds, &Interrupt::default()) {
            Ok(Ok(_)) => Ping::Well,
            Ok(Err(error)) if error.code == METHOD_NOT_FOUND => Ping::Well,
            Ok(Err(error)) => Ping::Ill(format!("the program says: {}", error.message)),
            Err(error) => Ping::Ill(error.to_string()),
        }
    }

    /// Ends the guardian once no program is left, which is waited for `patience` long; then it ends those that are. Nothing
    /// is run afterwards.
    pub fn stop(&self, patience: Duration) {
        let alive = lock(&self.0.alive);
        let wait = self.0.gone.wait_timeout_while(alive, patience, |alive| !alive.is_empty());
        drop(wait);
        lock(&self.0.guardian).stop();
    }
}

impl Shared {
    fn is_gone(&self, ending: Ending) {
        lock(&self.guardian).remove(ending.child.family);
        let family = ending.child.family.number();
        match ending.child.reap() {
            Ok(status) => {
                debug!(target: "compute", event = "program_ended", process = %ending.whose.process, pid = family, %status);
            }
            Err(error) => {
                warn!(target: "compute", event = "program_lost", process = %ending.whose.process, pid = family, %error)
            }
        }
        let mut alive = lock(&self.alive);
        if let Some(left) = alive.get_mut(&ending.whose) {
            left.count -= 1;
            if left.count == 0 {
                alive.remove(&ending.whose);
            }
        }
        drop(alive);
        self.gone.notify_all();
    }
}

/// The life of the thread: ends programs until nobody can hand in more.
fn end_all(receiver: &Receiver<Ending>, shared: &Weak<Shared>) {
    let mut endings: Vec<Ending> = Vec::new();
    loop {
        match receiver.recv_timeout(if endings.is_empty() { CHECK } else { LOOK }) {
            Ok(ending) => endings.push(ending),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if endings.is_empty() => return,
            Err(RecvTimeoutError::Disconnected) => super::pause::pause(LOOK),
        }
        endings.extend(receiver.try_iter());
        let gone: Vec<Ending> = endings.extract_if(.., |ending| ending.is_over()).collect();
        let Some(shared) = shared.upgrade() else { continue };
        gone.into_iter().for_each(|ending| shared.is_gone(ending));
        if endings.is_empty() {
            lock(&shared.guardian).check();
        }
    }
}

impl Ending {
    /// Takes it a step further. Whether nobody is left.
    fn is_over(&mut self) -> bool {
        let (has_ended, now) = (self.child.has_ended(), Instant::now());
        if has_ended && self.child.family.is_gone() {
            return true;
        }
        // What outlives the program has no one to work for.
        if has_ended || now >= self.force_at {
            self.child.family.signal(Signal::KILL);
        }
        if now > self.force_at + STUBBORN && !self.has_complained {
            self.has_complained = true;
            let (process, pid) = (&self.whose.process, self.child.family.number());
            warn!(target: "compute", event = "program_stays", %process, pid, "a program does not end although it was killed");
        }
        false
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
