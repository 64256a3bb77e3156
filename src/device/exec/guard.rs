//! The guardian: a host process of its own that outlives the node by a moment, to end the programs that the node can no
//! longer end.
//!
//! The node tells it each family by a line on a pipe. When the pipe closes, however the node ended, it ends those that are
//! left. A lock in the folder makes the next node wait until it is done; and whatever outlived a guardian, too, is known by
//! a variable of its environment.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, BufRead, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, setsid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::family::{Family, end_marked};
use super::pause::pause;

/// The variable by which the programs of a node, and what they start, are known.
pub(super) const MARK: &str = "MAINSTAY_NODE";

/// The answer by which the node knows that nobody of an earlier one is left.
pub(super) const READY: &str = "ready";

/// How long those who were ended by force are waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// Watches over the programs of the node that holds the other end of standard input. Returns when they are gone. What an
/// earlier node left is ended first, but not by a guardian that is there `again`: what it finds is what it has to guard.
pub fn run(lock: &Path, mark: &str, again: bool) -> io::Result<()> {
    // The node's terminal and its service manager mean the node when they signal.
    let _ = setsid();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let ignored = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
    let _ignored: Vec<_> = ignored.into_iter().map(signal).collect::<Result<_, _>>()?;

    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(lock)?;
    rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
    if !again {
        end_all(&BTreeSet::new(), mark);
    }
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    let families = listen(io::stdin().lock());
    end_all(&families, mark);
    Ok(())
}

/// Takes down who is to be guarded until the node is gone.
fn listen(lines: impl BufRead) -> BTreeSet<Family> {
    let mut families = BTreeSet::new();
    for line in lines.lines() {
        let Ok(line) = line else { break };
        let Some((sign, number)) = line.split_at_checked(1) else { continue };
        let Some(family) = number.parse().ok().and_then(Family::from_number) else { continue };
        match sign {
            "+" => drop(families.insert(family)),
            "-" => drop(families.remove(&family)),
            _ => {}
        }
    }
    families
}

fn end_all(families: &BTreeSet<Family>, mark: &str) {
    let entry = format!("{MARK}={mark}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        families.iter().for_each(|family| family.signal(Signal::KILL));
        let marked = end_marked(&entry);
        if (marked == 0 && families.iter().all(|family| family.is_gone())) || Instant::now() >= deadline {
            return;
        }
        pause(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guarded_is_what_was_added_and_not_taken_away() {
        let lines = "+12\n+13\n-12\n\n+x\n+-5\n+1\n+0\n?7\n-99\n+\n+14\n+1";
        let numbers: Vec<i32> = listen(lines.as_bytes()).into_iter().map(Family::number).collect();
        assert_eq!(numbers, [13, 14]);
    }
}
