//! What waits for a receiver, within bounds.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::notice::{AlertState, Notice};

/// Notices that wait for one receiver, oldest first.
///
/// Of one alert at most two wait: that it was over, and that it fires again. A newer notice takes the place of an older one
/// that it makes needless: what an alert is now, whoever has not heard the rest yet.
#[derive(Debug)]
pub struct NoticeQueue {
    waiting: VecDeque<Waiting>,
    most: usize,
}

#[derive(Debug)]
struct Waiting {
    /// A hash of what tells alerts apart, to find them fast.
    key: u64,
    notice: Arc<Notice>,
}

impl NoticeQueue {
    /// An empty queue for `most` notices, at least one.
    pub fn new(most: usize) -> Self {
        Self { waiting: VecDeque::new(), most: most.max(1) }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts a notice at the end. Where there is no room another one goes, which is returned: the oldest that tells of a
    /// firing alert, since those are told again; else the oldest.
    #[must_use = "what is dropped is counted"]
    pub fn push(&mut self, notice: Arc<Notice>) -> Option<Arc<Notice>> {
        let key = key(&notice);
        let is_needless = |waiting: &Waiting| {
            waiting.key == key
                && is_same(&waiting.notice, &notice)
                && (waiting.notice.state == AlertState::Firing || notice.state == AlertState::Resolved)
        };
        self.waiting.retain(|waiting| !is_needless(waiting));
        self.waiting.push_back(Waiting { key, notice });
        if self.waiting.len() <= self.most {
            return None;
        }
        let firing = self.waiting.iter().position(|waiting| waiting.notice.state == AlertState::Firing);
        self.waiting.remove(firing.unwrap_or(0)).map(|waiting| waiting.notice)
    }

    /// All that wait, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Notice>> {
        self.waiting.iter().map(|waiting| &waiting.notice)
    }

    /// Takes the oldest ones, at most so many.
    pub fn take(&mut self, most: usize) -> Vec<Arc<Notice>> {
        let count = most.min(self.waiting.len());
        self.waiting.drain(..count).map(|waiting| waiting.notice).collect()
    }

    /// Puts back what was [taken](Self::take) and not told, but for what has become needless meanwhile. Returns what there is
    /// no room for.
    #[must_use = "what is dropped is counted"]
    pub fn give_back(&mut self, notices: Vec<Arc<Notice>>) -> Vec<Arc<Notice>> {
        let later: Vec<Arc<Notice>> = self.waiting.drain(..).map(|waiting| waiting.notice).collect();
        notices.into_iter().chain(later).filter_map(|notice| self.push(notice)).collect()
    }
}

/// Whether both tell of the same alert.
fn is_same(one: &Notice, other: &Notice) -> bool {
    one.name == other.name && one.severity == other.severity && one.labels == other.labels
}

fn key(notice: &Notice) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&notice.name, &notice.severity, &notice.labels).hash(&mut hasher);
    hasher.finish()
}
