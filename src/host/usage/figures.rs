//! What one look through the host yields.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Millis;

/// What all groups used, as seen in one look.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// The groups in the order of the configuration, also those without a member.
    pub groups: Vec<GroupUsage>,
    /// How many host processes were seen, members of a group or not.
    pub processes: u32,
    /// How many descriptors of the daemon's own the reader holds open between looks.
    pub held: u32,
    /// What was not read.
    pub unread: Unread,
    /// How long the look took.
    pub took: Duration,
    /// CPU time of the look.
    pub cpu: Duration,
}

/// What one group used. CPU times only grow; everything else is as it was at the look, and 0 where nobody runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// The group's name.
    pub name: Arc<str>,
    /// How many members it has, zombies among them.
    pub processes: u32,
    /// CPU time in user mode of all who are or were members, counted to the kernel's tick (10 ms).
    pub cpu_user: Duration,
    /// CPU time in the kernel, likewise.
    pub cpu_system: Duration,
    /// Resident memory, in bytes. What members share counts for each of them.
    pub resident_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors of those members whose descriptors could be counted.
    pub descriptors: u64,
    /// How many members' descriptors could not be counted.
    pub descriptors_unread: u32,
    /// When the oldest member began, Unix time; `None` where nobody runs.
    pub oldest_start: Option<Millis>,
    /// How many members are in each state.
    pub states: States,
}

/// What a look could not read. Each number is as of this look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Processes that were listed and whose numbers could not be read though they had not ended.
    pub processes: u32,
    /// Processes beyond the most that are looked at.
    pub beyond: u32,
    /// Processes whose program or arguments a group asks for and that may not be read: they are in no group that asks.
    pub texts: u32,
    /// Members of groups whose descriptors could not be counted.
    pub descriptors: u32,
}

/// Processes by state. The letters are always the same, so nothing grows with what the kernel invents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States([u32; LETTERS.len()]);

/// The kernel's letters; the last stands for all it may invent.
const LETTERS: [char; 9] = ['R', 'S', 'D', 'I', 'T', 't', 'Z', 'X', '?'];

impl States {
    /// Counts a process in the state of this letter.
    pub(super) fn add(&mut self, letter: u8) {
        let place = LETTERS.iter().position(|known| *known == char::from(letter)).unwrap_or(LETTERS.len() - 1);
        self.0[place] += 1;
    }

    /// Every letter with its number, also those that are 0: `R` running, `S` sleeping, `D` waiting for a device, `I` idle
    /// (threads of the kernel), `T` stopped, `t` traced, `Z` zombie, `X` dead, `?` others.
    pub fn iter(&self) -> impl Iterator<Item = (char, u32)> {
        LETTERS.into_iter().zip(self.0)
    }

    /// How many are in the state of this letter.
    pub fn of(&self, letter: char) -> u32 {
        self.iter().find(|(known, _)| *known == letter).map_or(0, |(_, number)| number)
    }
}
