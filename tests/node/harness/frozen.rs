//! A thread of the program that stands still in the middle of what it does, as one does that waits for a disk or a lock for
//! ever.

use std::collections::HashMap;
use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::DEADLINE;

/// A thread that has used so much CPU time since it was first seen, in ticks, is in the middle of something.
const BUSY: u64 = 5;

/// A thread that stands still until this is dropped.
pub struct Frozen {
    release: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Frozen {
    /// Catches the thread of program `pid` that computes, as soon as one does. The error says why the system does not allow it.
    pub fn catch(pid: i32) -> Result<Self, String> {
        let (release, released) = channel();
        let (sender, caught) = channel();
        // Whoever holds a thread must be the one to let it go.
        let keeper = std::thread::spawn(move || keep(pid, &sender, &released));
        caught.recv_timeout(DEADLINE).map_err(|error| format!("no thread was caught: {error}"))??;
        Ok(Self { release: Some(release), keeper: Some(keeper) })
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.release = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

fn keep(pid: i32, caught: &Sender<Result<(), String>>, released: &Receiver<()>) {
    let mut seen = HashMap::new();
    let thread = loop {
        if let Some(thread) = computing(pid, &mut seen) {
            break thread;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    };
    let stopped = stop(thread);
    let is_stopped = stopped.is_ok();
    let _ = caught.send(stopped);
    let _ = released.recv();
    if is_stopped {
        trace(libc::PTRACE_DETACH, thread);
    }
}

/// The compute thread that has been running for a while, if one has. `seen` is the CPU time of each when it was first seen.
fn computing(pid: i32, seen: &mut HashMap<i32, u64>) -> Option<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    threads.flatten().find_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        let (name, figures) = stat.rsplit_once(") ")?;
        let is_computing = name.ends_with("(compute") || name.ends_with("(compute-slow");
        let mut figures = figures.split(' ');
        let runs = figures.next()? == "R";
        let ticks: u64 = figures.nth(10)?.parse().ok()?;
        let thread = thread.file_name().to_str()?.parse().ok()?;
        let before = *seen.entry(thread).or_insert(ticks);
        (is_computing && runs && ticks >= before + BUSY).then_some(thread)
    })
}

fn stop(thread: i32) -> Result<(), String> {
    let refused = |what: &str| format!("{what}: {}", std::io::Error::last_os_error());
    if trace(libc::PTRACE_SEIZE, thread) != 0 {
        return Err(refused("ptrace is not allowed here"));
    }
    if trace(libc::PTRACE_INTERRUPT, thread) != 0 {
        return Err(refused("the thread cannot be stopped"));
    }
    let mut status = 0;
    #[expect(unsafe_code, reason = "no library offers to wait for a thread")]
    // SAFETY: `status` lives as long as the call.
    let waited = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    if waited == thread { Ok(()) } else { Err(refused("the thread does not stop")) }
}

fn trace(request: libc::c_uint, thread: i32) -> libc::c_long {
    let none = std::ptr::null_mut::<libc::c_void>();
    #[expect(unsafe_code, reason = "no library offers ptrace")]
    // SAFETY: none of these requests reads or writes memory by its arguments.
    unsafe {
        libc::ptrace(request, thread, none, none)
    }
}
