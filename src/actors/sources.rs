//! Where monitors find what is due: the cron entries of a process of this node, or the results of one elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::environment::Environment;
use crate::client::compute_unit::{ComputeUnit, CronResult};
use crate::clock::Millis;
use crate::cron::{Cursor, Plan, tick_id};
use crate::ids::{ProcessId, Slot};
use crate::process::{CursorStep, Definition, Draft, Origin, ProcessOrigin, SentMessage};

/// Where a monitor finds what is due. It only reads; what is to come of it is the monitor's.
pub trait Source: Send + Sync {
    /// What comes after `cursor`, at most `limit` results. The error is for a person.
    fn pull(&self, cursor: Option<String>, limit: usize) -> BoxFuture<'_, Result<Pulled, String>>;
}

/// A page.
#[derive(Debug, Default)]
pub struct Pulled {
    /// What is due, in order.
    pub items: Vec<Item>,
    /// Whether there is more already.
    pub has_more: bool,
    /// When there will be something, as far as is known.
    pub next_due: Option<Millis>,
    /// Missed ticks that are left out.
    pub left_out: u64,
    /// Whether the cursor was far ahead of the clock and was reset.
    pub was_reset: bool,
    /// Whether nothing will ever come again.
    pub is_over: bool,
}

/// Something that is due.
#[derive(Debug)]
pub enum Item {
    /// A message for the process itself.
    Tick {
        /// When it was due.
        due: Millis,
        /// The cursor behind it.
        cursor: String,
        /// The message, which carries the cursor as well: both are stored in one step.
        draft: Box<Draft>,
    },
    /// A result of a process elsewhere.
    Result {
        /// The cursor behind it.
        cursor: String,
        /// What it sends.
        messages: Vec<SentMessage>,
        /// Spawns and assignments, which only the node of the process itself can carry out.
        others: u64,
    },
}

/// The cron entries of a process of this node.
pub struct LocalCron {
    environment: Arc<Environment>,
    process: ProcessId,
    /// The plan of a definition slot.
    known: Mutex<Option<(Slot, Arc<Plan>)>>,
    /// Where the stored cursor leads without a tick: past ticks that are left out, or back to the clock.
    ahead: Mutex<Option<(Arc<str>, Cursor)>>,
}

/// Working out so many ticks takes a moment, in which others have their turn.
const TICKS_A_TURN: usize = 16;

impl LocalCron {
    /// The entries of `process`.
    pub fn new(environment: Arc<Environment>, process: ProcessId) -> Self {
        Self { environment, process, known: Mutex::default(), ahead: Mutex::default() }
    }

    /// The plan by the newest definition. `None`: nothing will be due, because there are no entries or the process is retired.
    fn plan(&self) -> Result<Option<Arc<Plan>>, String> {
        let store = &self.environment.store;
        let head = store.head(&self.process).map_err(|error| error.to_string())?;
        let head = head.ok_or_else(|| format!("there is no process {} on this node", self.process))?;
        let is_configured = self.environment.configured.load().contains(&self.process);
        if head.record.origin == ProcessOrigin::Config && !is_configured {
            return Ok(None);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((slot, plan)) = &*known
            && *slot == head.definition
        {
            return Ok(Some(plan.clone()));
        }
        let entry = store.entry(&self.process, head.definition).map_err(|error| error.to_string())?;
        let entry = entry.ok_or_else(|| format!("definition slot {} is missing", head.definition))?;
        let definition: Definition = serde_json::from_str(&entry.message.data)
            .map_err(|error| format!("slot {} holds no definition: {error}", head.definition))?;
        let entries = definition.specification.cron;
        if entries.is_empty() {
            return Ok(None);
        }
        let plan = Plan::new(entries, entry.message.timestamp).map_err(|error| error.to_string())?;
        let plan = Arc::new(plan);
        *known = Some((head.definition, plan.clone()));
        Ok(Some(plan))
    }
}

impl LocalCron {
    /// One tick after the other, each with the cursor behind it, so that wherever the node ends none is passed over.
    async fn due(&self, limit: usize) -> Result<Pulled, String> {
        let Some(plan) = self.plan()? else { return Ok(Pulled { is_over: true, ..Pulled::default() }) };
        let stored = self.environment.store.cron_cursor(&self.process).map_err(|error| error.to_string())?;
        let mut from: Arc<str> = stored.unwrap_or_default().into();
        let mut cursor = self.cursor(&from)?;
        let now = self.environment.clock.now_ms();
        let mut pulled = Pulled::default();
        loop {
            let due = plan.due(&cursor, now, 1);
            pulled.left_out += due.skipped + due.capped;
            pulled.was_reset |= due.was_reset;
            pulled.next_due = due.next_due;
            let Some(tick) = due.ticks.first() else {
                if pulled.items.is_empty() {
                    self.look_ahead(from, due.next_cursor);
                }
                return Ok(pulled);
            };
            cursor = due.next_cursor;
            let Some(entry) = plan.entry(&tick.entry) else { return Ok(pulled) };
            let to: Arc<str> = cursor.to_string().into();
            let step = CursorStep { from: std::mem::replace(&mut from, to.clone()), to };
            let text = step.to.to_string();
            let draft = Draft {
                id: tick_id(&self.process, tick.entry, tick.due),
                is_new: false,
                origin: Origin::Cron,
                from: self.process.to_string(),
                owner: self.process.to_string(),
                anchor: String::new(),
                tags: entry.tags.clone(),
                data: entry.data.clone(),
                mark: None,
                push: None,
                cursor: Some(step),
                closes_circle: false,
            };
            pulled.items.push(Item::Tick { due: tick.due, cursor: text, draft: Box::new(draft) });
            if pulled.items.len() >= limit {
                pulled.has_more = due.next_due.is_some_and(|next| next <= now);
                return Ok(pulled);
            }
            if pulled.items.len().is_multiple_of(TICKS_A_TURN) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Where to go on from, given the stored cursor.
    fn cursor(&self, stored: &Arc<str>) -> Result<Cursor, String> {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, cursor)) = &*ahead
            && of == stored
        {
            return Ok(cursor.clone());
        }
        stored.parse().map_err(|error| format!("the cursor cannot be read: {error}"))
    }

    /// Nothing is written where nothing is scheduled. It is remembered until the next tick writes it, so that what is left
    /// out is counted once, and a cursor that was reset to the clock does not follow it for ever.
    fn look_ahead(&self, stored: Arc<str>, cursor: Cursor) {
        let ahead = (cursor.to_string() != *stored).then_some((stored, cursor));
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
    }
}

impl Source for LocalCron {
    /// The cursor is the one that is stored with the log, whatever the monitor saw last.
    fn pull(&self, _: Option<String>, limit: usize) -> BoxFuture<'_, Result<Pulled, String>> {
        Box::pin(self.due(limit))
    }
}

/// The cron results of a process elsewhere, as its compute unit tells them.
pub struct Outside {
    unit: ComputeUnit,
    process: ProcessId,
}

impl Outside {
    /// The results of `process` at `unit`.
    pub fn new(unit: ComputeUnit, process: ProcessId) -> Self {
        Self { unit, process }
    }
}

impl Source for Outside {
    fn pull(&self, cursor: Option<String>, limit: usize) -> BoxFuture<'_, Result<Pulled, String>> {
        Box::pin(async move {
            let page = self.unit.cron_page(&self.process, cursor.as_deref(), limit).await;
            let page = page.map_err(|error| error.to_string())?;
            let items = page.results.into_iter().map(item).collect();
            Ok(Pulled { items, has_more: page.has_more, ..Pulled::default() })
        })
    }
}

fn item(result: CronResult) -> Item {
    let CronResult { cursor, outcome } = result;
    let others = (outcome.spawns + outcome.assignments) as u64;
    Item::Result { cursor, messages: outcome.messages, others }
}
