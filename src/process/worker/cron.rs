//! How far the ticks of the process's cron entries were handled, in the order in which they get their slots.

use std::sync::Arc;

use super::core::{Core, Waiting};
use super::types::Note;
use crate::clock::Millis;
use crate::cron::{Cursor, Entry, Plan};
use crate::process::{CursorStep, RequestError};

/// The cursor of the cron entries, if there are any.
///
/// A tick says from which cursor it leads to which, and is taken only where it begins at the present one. So ticks form one
/// chain, and whoever works by an older cursor, or by the entries of another definition, can neither set it back nor send
/// what was sent or left out already. Texts are compared as they are: one cursor has one text.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    /// The one that was handed in last, or reached by ticks that were known.
    present: Option<Arc<str>>,
    /// The one with the last slot that is on disk.
    settled: Option<Arc<str>>,
}

impl Cursors {
    /// What is stored when the process is claimed.
    pub(super) fn found(stored: Option<String>) -> Self {
        let present: Option<Arc<str>> = stored.map(Arc::from);
        Self { settled: present.clone(), present }
    }

    /// The one that the next tick has to begin at.
    pub(super) fn present(&self) -> Option<&Arc<str>> {
        self.present.as_ref()
    }

    /// Whether a tick leads on from the present cursor.
    pub(super) fn leads_on(&self, step: &CursorStep) -> bool {
        self.present.as_ref() == Some(&step.from)
    }

    /// The tick has a slot, just now or since long. In the latter case nothing is written: the next new one stores it too.
    pub(super) fn pass(&mut self, step: &CursorStep) {
        if self.leads_on(step) {
            self.present = Some(step.to.clone());
        }
    }

    /// A definition puts this one in its place.
    pub(super) fn replace(&mut self, cursor: Option<Arc<str>>) {
        self.present = cursor;
    }

    /// A slot with which the cursor is this one is on disk.
    pub(super) fn settle(&mut self, cursor: Option<Arc<str>>) {
        self.settled = cursor;
    }

    /// Nothing of what is on its way will be written.
    pub(super) fn go_back(&mut self) {
        self.present = self.settled.clone();
    }
}

impl<R: Waiting> Core<R> {
    /// The cursor with which a definition of these entries begins at `timestamp`; `None` where it has none.
    pub(super) fn adopted_cursor(
        &mut self,
        entries: &[Entry],
        timestamp: Millis,
    ) -> Result<Option<Arc<str>>, RequestError> {
        if entries.is_empty() {
            return Ok(None);
        }
        let plan = Plan::new(entries.to_vec(), timestamp);
        let plan = plan.map_err(|error| RequestError::BadRequest(format!("cron: {error}")))?;
        let present = self.cursors.present().map_or(Ok(Cursor::default()), |text| text.parse());
        let present = present.unwrap_or_else(|error| {
            self.note(Note::History { error: format!("{error}; its entries begin anew") });
            Cursor::default()
        });
        Ok(Some(plan.adopt(&present).to_string().into()))
    }
}
