//! The generator: children of this program, many and short-lived.

use std::collections::HashSet;
use std::process::{Child, Command};

/// Runs `/bin/true` so many times, from two threads with eight outstanding each; tells the numbers.
pub fn many(count: usize) -> HashSet<u32> {
    std::thread::scope(|scope| {
        let halves = [count / 2, count - count / 2].map(|half| scope.spawn(move || eight_at_once(half)));
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

fn eight_at_once(count: usize) -> Vec<u32> {
    let mut living: std::collections::VecDeque<Child> = std::collections::VecDeque::new();
    let mut pids = Vec::new();
    for _ in 0..count {
        if living.len() == 8 {
            living.pop_front().unwrap().wait().unwrap();
        }
        let child = Command::new("/bin/true").spawn().unwrap();
        pids.push(child.id());
        living.push_back(child);
    }
    for mut child in living {
        child.wait().unwrap();
    }
    pids
}

/// One that lives until it is ended.
pub fn patient() -> Child {
    Command::new("/bin/sleep").arg("1000").spawn().unwrap()
}

/// Ends one.
pub fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The number of one alone.
pub fn only(child: &Child) -> HashSet<u32> {
    HashSet::from([child.id()])
}
