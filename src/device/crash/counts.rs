//! How often the node ended under which call.

use serde::{Deserialize, Serialize};

use crate::ids::{ProcessId, Slot};

/// The version of the text that counts are stored as.
const VERSION: u32 = 1;
/// So many calls are remembered; of more, the oldest are forgotten.
const MOST: usize = 4096;

/// What a thread does with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Computes a slot that has no outcome yet.
    Compute,
    /// Computes a slot again whose outcome is stored.
    Replay,
    /// Restores the snapshot that was taken after a slot.
    Restore,
    /// Takes a snapshot after a slot.
    Snapshot,
    /// Makes the state readable, for somebody who asked.
    Read,
    /// Works on a copy of the state after a slot, for somebody who asked.
    Trial,
}

impl Call {
    const ALL: [Self; 6] = [Self::Compute, Self::Replay, Self::Restore, Self::Snapshot, Self::Read, Self::Trial];

    /// Its word, as the log and the file of the counts have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Replay => "replay",
            Self::Restore => "restore",
            Self::Snapshot => "snapshot",
            Self::Read => "read",
            Self::Trial => "trial",
        }
    }

    /// Whether the node makes the call again by itself after a restart. Only what is repeated can bring it down for ever.
    pub fn is_repeated(self) -> bool {
        !matches!(self, Self::Read | Self::Trial)
    }

    pub(super) fn code(self) -> u8 {
        Self::ALL.iter().position(|call| *call == self).map_or(0, |at| at as u8)
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// A call under which the node ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Whose.
    pub process: ProcessId,
    /// The slot it was about.
    pub slot: Slot,
    /// What it was.
    pub call: Call,
    /// How often.
    pub crashes: u32,
}

impl Counted {
    /// Whether it is about this call. Where a snapshot brings the node down, so may that after the next slot.
    pub(super) fn is_of(&self, call: Call, slot: Slot) -> bool {
        self.call == call && (self.slot == slot || call == Call::Snapshot)
    }
}

/// Why a text is not that of counts.
#[derive(Debug, thiserror::Error)]
pub enum CountsError {
    /// Not the JSON that it should be.
    #[error("it holds no counts: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("it has version {0}, this program reads {VERSION}")]
    Version(u32),
}

/// How often the node ended under which call, oldest first.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    version: u32,
    /// The last run of the node whose end is counted here.
    counted_run: u64,
    calls: Vec<Counted>,
}

impl Default for Counts {
    /// Nothing was counted.
    fn default() -> Self {
        Self { version: VERSION, counted_run: 0, calls: Vec::new() }
    }
}

impl Counts {
    /// Takes the text that [`Counts::to_text`] gave.
    pub fn parse(text: &[u8]) -> Result<Self, CountsError> {
        let counts: Self = serde_json::from_slice(text)?;
        if counts.version == VERSION { Ok(counts) } else { Err(CountsError::Version(counts.version)) }
    }

    /// The counts as text.
    pub fn to_text(&self) -> Result<Vec<u8>, CountsError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The last run whose end was counted; 0: none.
    pub fn counted_run(&self) -> u64 {
        self.counted_run
    }

    /// Counts the end of `run` against each of these calls that is repeated. The end of a run counts once, however often this
    /// is called.
    pub fn count(&mut self, run: u64, calls: &[Counted]) {
        if run <= self.counted_run {
            return;
        }
        self.counted_run = run;
        for (at, one) in calls.iter().enumerate() {
            let Counted { process, slot, call, .. } = one;
            // A thread that was given up may have been at the same as the one after it.
            if !call.is_repeated() || calls.iter().take(at).any(|before| before == one) {
                continue;
            }
            let known = self.calls.iter().position(|one| one.process == *process && one.is_of(*call, *slot));
            // What is counted now goes to the end, where it is forgotten last.
            let before = known.map_or(0, |at| self.calls.remove(at).crashes);
            let (process, crashes) = (process.clone(), before.saturating_add(1));
            self.calls.push(Counted { process, slot: *slot, call: *call, crashes });
        }
        let excess = self.calls.len().saturating_sub(MOST);
        self.calls.drain(..excess);
    }

    /// Forgets what is over. Returns whether there was any such call.
    pub fn forget(&mut self, is_over: impl Fn(&Counted) -> bool) -> bool {
        let before = self.calls.len();
        self.calls.retain(|one| !is_over(one));
        self.calls.len() < before
    }

    /// The calls of `process`.
    pub fn of(&self, process: &ProcessId) -> Vec<Counted> {
        self.calls.iter().filter(|one| one.process == *process).cloned().collect()
    }

    /// How often the node ended under this call.
    pub fn crashes(&self, process: &ProcessId, call: Call, slot: Slot) -> u32 {
        let known = self.calls.iter().find(|one| one.process == *process && one.is_of(call, slot));
        known.map_or(0, |one| one.crashes)
    }
}
