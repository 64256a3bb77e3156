//! A program of its own that watches and can be stopped and let go: this test program, run again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mainstay::host::{BackendKind, EventKind, Options, Report, start};
use rustix::process::{Pid, Signal, kill_process};

use crate::watcher::with;

const MARK: &str = "MAINSTAY_TEST_WATCH_ROOM";

/// Not a test: what the helper runs. Each report is a line on standard output; a line on standard input asks for the map.
#[test]
fn the_helper_itself() {
    let Some(room) = std::env::var(MARK).ok().and_then(|text| text.parse().ok()) else { return };
    let options = Options { receive_buffer: room, ..with(BackendKind::Connector) };
    let watch = start(options, |report| match report {
        Report::Event(event) => {
            let word = match event.kind {
                EventKind::Created { .. } => "created",
                EventKind::Renamed { .. } => "renamed",
                EventKind::Destroyed(_) => "destroyed",
            };
            println!("\n@{word} {} {}", event.process.pid, event.process.name);
        }
        Report::Ready { .. } => println!("\n@ready 0 -"),
        Report::Lost { events } => println!("\n@lost {events} -"),
        Report::Ended { error } => println!("\n@ended 0 {error:?}"),
    });
    let watch = match watch {
        Ok(watch) => watch,
        Err(error) => return println!("\n@refused 0 {error}"),
    };
    for _ in std::io::stdin().lines() {
        for process in watch.processes() {
            println!("\n@living {} {}", process.pid, process.name);
        }
        println!("\n@all 0 -");
    }
}

/// The helper while it runs.
pub struct Helper {
    child: Child,
    orders: ChildStdin,
    lines: BufReader<ChildStdout>,
}

/// A word, a number, a name.
pub type Line = (String, u32, String);

impl Helper {
    /// Starts one for whose late reader the kernel keeps `room` bytes; `Err` says why it can't watch.
    pub fn start(room: usize) -> Result<Self, String> {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "helper::the_helper_itself", "--nocapture"])
            .env(MARK, room.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (orders, lines) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut helper = Self { child, orders, lines };
        loop {
            match helper.line() {
                (word, _, why) if word == "refused" => return Err(why),
                (word, ..) if word == "ready" => return Ok(helper),
                _ => {}
            }
        }
    }

    /// Stops all of it, reader and all.
    pub fn stall(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Asks for the map; the lines up to `all` are it.
    pub fn ask(&mut self) {
        self.orders.write_all(b"\n").unwrap();
    }

    /// The next thing that it says.
    pub fn line(&mut self) -> Line {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the helper has ended");
            let Some(said) = line.trim_end().strip_prefix('@') else { continue };
            let mut words = said.splitn(3, ' ');
            let (Some(word), Some(number)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse() else { continue };
            return (word.to_owned(), number, words.next().unwrap_or_default().to_owned());
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
