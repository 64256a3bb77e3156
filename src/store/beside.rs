//! Reads of what lies beside the logs: marks, outboxes, dead letters, monitors, cron cursors and slots.

use serde::de::DeserializeOwned;

use super::archive::{Kind, Shelf};
use super::codec::decode;
use super::contract::{Order, Page, PageQuery, ReadError};
use super::engine::Space;
use super::keys;
use super::reader::Reader;
use crate::ids::{MessageId, ProcessId, Slot};
use crate::process::{Computed, DeadLetter, MarkPosition, MarkSource, MonitorRecord, OutboxItem, OutboxKey};

impl Reader<'_> {
    /// The last position that `id` took from `source`.
    pub(super) fn mark(self, id: &ProcessId, source: &MarkSource) -> Result<Option<MarkPosition>, ReadError> {
        self.record(Space::Marks, &keys::mark(id, source), || format!("the mark of {source} in process {id}"))
    }

    /// At most `limit` marks of `id` whose sources begin with `beginning`, in order of source.
    pub(super) fn marks(
        self,
        id: &ProcessId,
        beginning: &str,
        limit: usize,
    ) -> Result<Vec<(MarkSource, MarkPosition)>, ReadError> {
        self.collect(Space::Marks, keys::marks(id, beginning), limit, "a mark", |key, value| {
            let source = keys::rest(id, key).and_then(|rest| std::str::from_utf8(rest).ok()).unwrap_or_default();
            let source = MarkSource::parse(source).map_err(|error| error.to_string())?;
            Ok((source, decode(value).map_err(|error| error.to_string())?))
        })
    }

    /// At most `limit` items of the outbox of `source`, from just after `after`.
    pub(super) fn outbox(
        self,
        source: &ProcessId,
        after: Option<OutboxKey>,
        limit: usize,
    ) -> Result<Vec<(OutboxKey, OutboxItem)>, ReadError> {
        let what = format!("the outbox of process {source}");
        self.collect(Space::Outbox, keys::outbox_after(source, after), limit, &what, |key, value| {
            let key = keys::outbox_key_of(key).ok_or("a key has no slot and number")?;
            let item = decode(value).map_err(|error| format!("item {} of slot {}: {error}", key.index, key.slot))?;
            Ok((key, item))
        })
    }

    /// How many items the outbox of `source` has.
    pub(super) fn outbox_len(self, source: &ProcessId) -> Result<u64, ReadError> {
        let mut items = 0;
        self.scan(Space::Outbox, keys::outbox_after(source, None), Order::Ascending, "an outbox", |_, _| {
            items += 1;
            Ok(true)
        })?;
        Ok(items)
    }

    /// At most `limit` processes that have something in their outboxes, in order of shard and id, from just after `after`.
    pub(super) fn outbox_sources(self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessId>, ReadError> {
        let mut found: Vec<ProcessId> = Vec::new();
        while found.len() < limit {
            let keys = keys::shards_after(found.last().or(after));
            let next = self.collect(Space::Outbox, keys, 1, "an outbox", |key, _| {
                keys::process_of(key).ok_or_else(|| "a key has no process".to_owned())
            })?;
            if next.is_empty() {
                break;
            }
            found.extend(next);
        }
        Ok(found)
    }

    /// What could not be delivered under `id`.
    pub(super) fn dead_letter(self, id: &MessageId) -> Result<Option<DeadLetter>, ReadError> {
        self.record(Space::DeadLetters, &keys::dead_letter(id), || format!("the dead letter {id}"))
    }

    /// At most `limit` dead letters in order of id, from just after `after`.
    pub(super) fn dead_letters(self, after: Option<&MessageId>, limit: usize) -> Result<Vec<DeadLetter>, ReadError> {
        self.collect(Space::DeadLetters, keys::dead_letters_after(after), limit, "a dead letter", decoded)
    }

    /// The monitor of `process`.
    pub(super) fn monitor(self, process: &ProcessId) -> Result<Option<MonitorRecord>, ReadError> {
        self.record(Space::Monitors, &keys::process(process), || format!("the monitor of process {process}"))
    }

    /// At most `limit` monitors in order of process, from just after `after`.
    pub(super) fn monitors(self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<MonitorRecord>, ReadError> {
        self.collect(Space::Monitors, keys::processes_after(after), limit, "a monitor", decoded)
    }

    /// How far the ticks of the cron entries of `process` were handled.
    pub(super) fn cron_cursor(self, process: &ProcessId) -> Result<Option<String>, ReadError> {
        self.record(Space::CronCursors, &keys::process(process), || format!("the cron cursor of process {process}"))
    }

    /// At most `limit` processes that have cron entries, in order of id, from just after `after`.
    pub(super) fn cron_processes(self, after: Option<&ProcessId>, limit: usize) -> Result<Vec<ProcessId>, ReadError> {
        self.collect(Space::CronCursors, keys::processes_after(after), limit, "a cron cursor", |key, _| {
            let text = std::str::from_utf8(key).map_err(|error| error.to_string())?;
            ProcessId::parse(text).map_err(|error| error.to_string())
        })
    }

    /// A part of the outcomes of cron slots. Those without an outcome are passed over.
    pub(super) fn cron_outcomes(self, id: &ProcessId, query: &PageQuery) -> Result<Page<Computed>, ReadError> {
        let mut page = Page { items: Vec::new(), more: false };
        let Some(computed) = self.position(id)?.computed else { return Ok(page) };
        let last = query.last.min(computed);
        if query.first > last || query.limit == 0 {
            return Ok(page);
        }
        let mut slots: Vec<Slot> = Vec::new();
        let what = format!("the cron slots of process {id}");
        self.scan(Space::CronSlots, keys::slots(id, query.first, last), query.order, &what, |key, _| {
            slots.push(keys::slot_of(key).ok_or("a key has no slot")?);
            Ok(slots.len() <= query.limit)
        })?;
        let (mut bytes, mut shelf) = (0, Shelf::new(self, id));
        for slot in slots {
            if page.items.len() >= query.limit || (bytes >= query.bytes && !page.items.is_empty()) {
                page.more = true;
                break;
            }
            let outcome: Option<Computed> = self.of_slot(Kind::Outcome, slot, &mut shelf)?;
            let outcome = outcome.ok_or_else(|| self.damaged(what.clone(), "an outcome is gone"))?;
            bytes = bytes.saturating_add(outcome.outcome.weight());
            page.items.push(outcome);
        }
        Ok(page)
    }

    /// What `take` makes of the first records of a range, at most `limit`.
    fn collect<T>(
        self,
        space: Space,
        keys: std::ops::Range<Vec<u8>>,
        limit: usize,
        what: &str,
        take: impl Fn(&[u8], &[u8]) -> Result<T, String>,
    ) -> Result<Vec<T>, ReadError> {
        let mut found = Vec::new();
        if limit > 0 {
            self.scan(space, keys, Order::Ascending, what, |key, value| {
                found.push(take(key, value)?);
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }
}

fn decoded<T: DeserializeOwned>(_key: &[u8], value: &[u8]) -> Result<T, String> {
    decode(value).map_err(|error| error.to_string())
}
