//! Whoever hands in ticks, and what the log and the cursor must say of them.

use std::collections::BTreeMap;

use super::super::cron::tick;
use super::Life;
use crate::cron::{Entry as CronEntry, EntryHash};
use crate::ids::MessageId;
use crate::process::worker::Request;
use crate::process::{Definition, Draft, EntryKind, Origin};

/// By which cursor a tick is found to be due.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Stored,
    /// The one that the last tick handed in leads to.
    Own,
    /// One that was stored when a tick was found by it.
    Old(usize),
}

/// What whoever hands in ticks remembers.
#[derive(Default)]
pub(super) struct Ticks {
    pub(super) ids: BTreeMap<u32, MessageId>,
    pub(super) sent: Vec<Draft>,
}

impl Life {
    pub(super) fn tick(&mut self, by: By) {
        let own = self.ticks.sent.last().and_then(|draft| draft.cursor.as_ref()).map(|step| step.to.to_string());
        let cursor = match by {
            By::Stored => self.world.store.data.cursor.clone(),
            By::Own => own,
            By::Old(at) => {
                self.ticks.sent.get(at).and_then(|draft| draft.cursor.as_ref()).map(|step| step.from.to_string())
            }
        };
        if let Some(draft) = cursor.and_then(|cursor| tick(&self.world, &cursor)) {
            self.ticks.sent.push(draft.as_ref().clone());
            self.hand_in(*draft);
        }
    }

    pub(super) fn hand_in(&mut self, draft: Draft) {
        let reply = self.ticket();
        self.ticks.ids.insert(reply, draft.id.clone());
        self.world.ask(Request::Schedule { draft: Box::new(draft), reply, outcome: None });
    }

    /// Without faults, whoever goes by the stored cursor sends everything that is due.
    pub(super) fn send_all_ticks(&mut self) {
        self.world.now += 300;
        for _ in 0..10_000 {
            self.come_to_rest();
            let sent = self.ticks.sent.len();
            self.tick(By::Stored);
            if self.ticks.sent.len() == sent {
                return;
            }
            self.come_to_rest();
            let said = self.world.said(self.tickets);
            assert!(said.starts_with("scheduled "), "{said}");
        }
        panic!("there is no end of ticks");
    }

    /// The cursor is exactly what the log says: each tick of each entry has one slot, in order, from the definition on that
    /// brought the entry, and none is handled that has none.
    pub(super) fn check_cursor(&self) {
        let data = &self.world.store.data;
        let mut places: BTreeMap<EntryHash, (u64, u64)> = BTreeMap::new();
        let mut entries = Vec::new();
        for entry in &data.entries {
            let time = entry.message.timestamp;
            if entry.kind == EntryKind::Definition {
                let definition: Definition = serde_json::from_str(&entry.message.data).unwrap();
                entries = definition.specification.cron;
                let place = |hash| (hash, places.get(&hash).copied().unwrap_or((time, time)));
                places = entries.iter().map(CronEntry::content_hash).map(place).collect();
            } else if entry.origin == Origin::Cron {
                let (hash, due) = entry.message.anchor.split_once(',').unwrap();
                let (hash, due) = (hash.parse().unwrap(), due.parse().unwrap());
                let of = entries.iter().find(|entry| entry.content_hash() == hash).expect("its entry is in force");
                let (origin, handled) = places[&hash];
                assert_eq!(of.next_after(origin, handled), Some(due), "slot {}", entry.slot);
                places.insert(hash, (origin, due));
            }
        }
        let marks = places.iter().map(|(hash, (origin, handled))| format!(";{hash},{origin},{handled}"));
        let expected = (!places.is_empty()).then(|| format!("cron1{}", marks.collect::<String>()));
        assert_eq!(data.cursor, expected);
    }
}
