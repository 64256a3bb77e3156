//! What a program writes to standard error, line by line into the log: never more of it than a person can read.

use std::io::{self, PipeReader, PipeWriter};
use std::process::ChildStderr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::read;
use tokio::time::Instant;
use tracing::{info, warn};

use super::lines::Lines;
use super::talk::never_block;

/// The longest line that is logged whole, in bytes.
const LINE_MOST: usize = 8 << 10;
/// So many lines a second go into the log.
const RATE: u32 = 50;
/// So many may come at once.
const BURST: u32 = 200;
const STACK: usize = 128 << 10;

/// Standard error of one program. What it wrote is in the log when this is dropped, or soon after.
#[derive(Debug)]
pub(super) struct Ear {
    slot: Arc<AtomicU64>,
    /// Its end ends the listening.
    _alive: PipeWriter,
}

impl Ear {
    /// Listens on a thread of its own.
    pub(super) fn open(stderr: ChildStderr, process: String) -> io::Result<Self> {
        never_block(&stderr)?;
        let (ended, alive) = io::pipe()?;
        let slot = Arc::new(AtomicU64::new(0));
        let mut listener = Listener {
            stderr,
            process,
            slot: slot.clone(),
            lines: Lines::default(),
            is_long: false,
            allowance: Allowance::new(Instant::now()),
            unsaid: 0,
        };
        let thread = std::thread::Builder::new().name("exec-stderr".to_owned()).stack_size(STACK);
        thread.spawn(move || listener.listen(&ended))?;
        Ok(Self { slot, _alive: alive })
    }

    /// What comes from now on belongs to this slot.
    pub(super) fn at(&self, slot: u64) {
        self.slot.store(slot, Ordering::Relaxed);
    }
}

struct Listener {
    stderr: ChildStderr,
    process: String,
    slot: Arc<AtomicU64>,
    lines: Lines,
    /// Whether the rest of a line that was too long is being passed over.
    is_long: bool,
    allowance: Allowance,
    /// Lines that did not go into the log.
    unsaid: u64,
}

impl Listener {
    fn listen(&mut self, ended: &PipeReader) {
        loop {
            let mut ready = [PollFd::new(&self.stderr, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
            if poll(&mut ready, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
                return;
            }
            let is_over = !ready[1].revents().is_empty();
            let is_open = self.take();
            if is_over || !is_open {
                let rest = self.lines.rest();
                if !rest.is_empty() {
                    self.say(&rest);
                }
                return self.confess();
            }
        }
    }

    /// Takes what is there, or a good part of it. Whether more may come.
    fn take(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match read(&self.stderr, &mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.lines.push(chunk.get(..count).unwrap_or_default());
                self.tell();
                true
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => true,
            Err(_) => false,
        }
    }

    fn tell(&mut self) {
        loop {
            match self.lines.next(LINE_MOST) {
                Ok(Some(_)) if self.is_long => self.is_long = false,
                Ok(Some(line)) => self.say(&line),
                Ok(None) => return,
                // What is at hand is said, and the rest up to the line's end passed over.
                Err(_) => self.cut(),
            }
        }
    }

    fn cut(&mut self) {
        let mut bytes = self.lines.rest();
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let rest = end.map(|end| bytes.split_off(end + 1)).unwrap_or_default();
        if !self.is_long {
            bytes.truncate(LINE_MOST);
            self.say(&bytes);
        }
        self.is_long = end.is_none();
        self.lines.push(&rest);
    }

    fn say(&mut self, line: &[u8]) {
        if !self.allowance.take(Instant::now()) {
            self.unsaid += 1;
            return;
        }
        self.confess();
        let (process, slot) = (&self.process, self.slot.load(Ordering::Relaxed));
        info!(target: "compute", event = "stderr", process, slot, text = %String::from_utf8_lossy(line));
    }

    /// Says how much was left out.
    fn confess(&mut self) {
        if self.unsaid > 0 {
            let (process, lines) = (&self.process, self.unsaid);
            warn!(target: "compute", event = "stderr_dropped", process, lines, "standard error came too fast for the log");
            self.unsaid = 0;
        }
    }
}

/// So much now, and so much more with each second.
#[derive(Debug)]
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.since).as_millis() * u128::from(RATE) / 1000;
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(BURST);
            self.since += Duration::from_millis(u64::from(gained) * 1000 / u64::from(RATE));
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_costs_a_burst_and_then_so_much_a_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let taken = |allowance: &mut Allowance, at: u64| {
            let now = start + Duration::from_millis(at);
            (0..10_000).take_while(|_| allowance.take(now)).count()
        };
        assert_eq!(taken(&mut allowance, 0), BURST as usize);
        assert_eq!(taken(&mut allowance, 19), 0);
        assert_eq!(taken(&mut allowance, 20), 1);
        assert_eq!(taken(&mut allowance, 1020), RATE as usize);
        assert_eq!(taken(&mut allowance, 3_600_000), BURST as usize);
    }
}
