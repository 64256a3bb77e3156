//! The program while it runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;
use tokio::time::timeout;

use super::api::Api;
use super::events::Events;
use super::{DEADLINE, until};

/// What Linux tells programs about times is counted in this.
const TICK: Duration = Duration::from_millis(10);

/// The program while it runs. It is killed when this is dropped.
pub struct Program {
    /// Its log.
    pub events: Arc<Events>,
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<Ended>>,
}

struct Shared {
    /// Its id in the system, until the system may give it to another.
    pid: Mutex<Option<Pid>>,
}

/// How the program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it said to the person at the terminal.
    pub stderr: String,
}

impl Ended {
    /// Its exit code; none if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Program {
    /// The program in a folder, to be started.
    pub fn command(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let program = std::env::var_os("MAINSTAY_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_mainstay").into());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdin(Stdio::null());
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").envs(environment.iter().copied());
        command
    }

    /// Starts the program in a folder.
    pub fn launch(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::attended(Self::command(folder, arguments, environment))
    }

    /// Starts the program in a folder, where the system lets it open so many files, and `most` if it asks for more.
    pub fn launch_with_files(folder: &Path, arguments: &[&str], files: u32, most: u32) -> Self {
        let command = Self::command(folder, arguments, &[]);
        let mut shell = Command::new("sh");
        shell.current_dir(folder).stdin(Stdio::null());
        shell.args(["-c", &format!("ulimit -S -n {files} && ulimit -H -n {most} && exec \"$0\" \"$@\"")]);
        shell.arg(command.get_program()).args(command.get_args());
        Self::attended(shell)
    }

    /// Starts the program in a folder by way of another, whose arguments it ends.
    pub fn launch_by(folder: &Path, by: &[&str], arguments: &[&str]) -> Self {
        let program = Self::command(folder, arguments, &[]);
        let mut command = Command::new(by[0]);
        command.args(&by[1..]).arg(program.get_program()).args(program.get_args());
        command.current_dir(folder).stdin(Stdio::null());
        Self::attended(command)
    }

    fn attended(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let events = Arc::new(Events::new());
        let shared = Arc::new(Shared { pid: Mutex::new(Some(Pid::from_child(&child))) });
        let (sender, ended) = watch::channel(None);
        let (heard, owned) = (events.clone(), shared.clone());
        std::thread::spawn(move || {
            let _ = sender.send(Some(attend(child, &heard, &owned)));
            heard.end();
        });
        Self { events, shared, ended }
    }

    /// Waits until it listens, and returns a client.
    pub async fn listening(&self) -> Api {
        Api::new(&self.address().await.to_string())
    }

    /// Where it listens.
    pub async fn address(&self) -> SocketAddr {
        let line = self.events.wait("listening").await;
        line["addr"].as_str().and_then(|addr| addr.parse().ok()).expect("the event listening tells an address")
    }

    /// A client of the program, which listens.
    pub async fn api(&self) -> Api {
        self.listening().await
    }

    /// Waits until it is ready.
    pub async fn ready(&self) -> Api {
        let api = self.listening().await;
        until("the program is ready", async || api.get("/readyz").await.is(200).then_some(())).await;
        api
    }

    /// Sends a signal. One that has ended gets none.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.shared.pid.lock().unwrap() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let waited = timeout(DEADLINE, ended.wait_for(Option::is_some)).await;
        let ended = waited.unwrap_or_else(|_| panic!("the program does not end; it said: {:#?}", self.events.last()));
        ended.expect("its thread lives").clone().expect("it has ended")
    }

    /// Ends it as `kill -9` does. Returns when it is gone.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.ended().await;
        self.check_log();
    }

    /// Stops it in good order.
    pub async fn stop(&self) -> Ended {
        self.signal(Signal::TERM);
        let ended = self.ended().await;
        assert_eq!(ended.code(), Some(0), "a stop is clean; it said: {}", ended.stderr);
        self.check_log();
        ended
    }

    /// Looks whether every line of its log is what a line must be.
    pub fn check_log(&self) {
        let faults = self.events.faults();
        assert!(faults.is_empty(), "bad lines in the log: {faults:#?}");
    }

    /// Its id in the system.
    pub fn pid(&self) -> i32 {
        self.shared.pid.lock().unwrap().expect("the program runs").as_raw_nonzero().get()
    }

    /// The time that its threads have computed, all together.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        // Its name is in parentheses and may hold anything; the times are the 14th and the 15th field, in ticks.
        let (_, fields) = stat.rsplit_once(") ").expect("it has a name");
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().expect("a number of ticks"));
        TICK * ticks.sum::<u32>()
    }

    /// Its resident memory, in bytes.
    pub fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The addresses that it uses, in bytes, at most so far.
    pub fn mapped_memory(&self) -> u64 {
        self.memory("VmPeak:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") * 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ended = self.ended.borrow().clone();
            eprintln!("the program {ended:?} when the test failed; its last lines: {:#?}", self.events.last());
        }
        self.signal(Signal::KILL);
    }
}

/// Reads what the program says until it ends.
fn attend(mut child: Child, events: &Events, shared: &Shared) -> Ended {
    let stderr = child.stderr.take().expect("standard error is piped");
    let stderr = std::thread::spawn(move || read_all(stderr));
    read_lines(child.stdout.take().expect("standard output is piped"), events);
    let stderr = stderr.join().expect("standard error is read");
    // It stays a zombie until its id is taken back, so that no signal goes astray.
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("a child to wait for");
    let mut held = shared.pid.lock().unwrap();
    *held = None;
    Ended { status: child.wait().expect("a child to wait for"), stderr }
}

fn read_lines(stdout: ChildStdout, events: &Events) {
    for line in BufReader::new(stdout).split(b'\n') {
        let Ok(line) = line else { return };
        events.push(&String::from_utf8_lossy(&line));
    }
}

fn read_all(mut stderr: ChildStderr) -> String {
    let mut bytes = Vec::new();
    let _ = stderr.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
