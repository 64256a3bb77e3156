//! Cron entries of definitions, their cursor, and ticks that move it.

use std::sync::Arc;

use super::fake_store::Fate;
use super::world::{World, draft, options};
use crate::cron::{Cursor, Entry, Plan};
use crate::ids::{ProcessId, Slot};
use crate::process::worker::{Define, Found, Note, Request};
use crate::process::{CursorStep, Definition, Draft, Origin, ProcessOrigin, Record, RequestError};

/// Entries that send every tick that was missed, by their intervals in milliseconds.
pub(super) fn entries(intervals: &[u64]) -> Vec<Entry> {
    let text = |interval: &u64| format!(r#"{{"every":"{interval}ms","missed":"all"}}"#);
    let entries = intervals.iter().map(|interval| serde_json::from_str(&text(interval)).unwrap()).collect();
    crate::cron::of_process(entries, &[]).unwrap()
}

/// The definition of a process with these entries.
pub(super) fn definition(source: &str, intervals: &[u64]) -> Definition {
    let mut definition = super::world::definition(source);
    definition.specification.cron = entries(intervals);
    definition
}

pub(super) fn define(source: &str, intervals: &[u64], origin: ProcessOrigin) -> Box<Define> {
    Box::new(Define { definition: definition(source, intervals), ..*super::world::define(source, origin) })
}

/// The first tick that is due at `now` by `cursor`, under the definition in force; its anchor names it.
pub(super) fn tick(world: &World, cursor: &str) -> Option<Box<Draft>> {
    let (slot, definition) = world.store.data.definition()?;
    let origin = world.store.data.entries[slot.0 as usize].message.timestamp;
    let plan = Plan::new(definition.specification.cron, origin).unwrap();
    let due = plan.due(&cursor.parse().unwrap(), world.now, 1);
    let tick = due.ticks.first()?;
    let process = ProcessId::parse("p").unwrap();
    let step = CursorStep { from: Arc::from(cursor), to: due.next_cursor.to_string().into() };
    Some(Box::new(Draft {
        id: crate::cron::tick_id(&process, tick.entry, tick.due),
        origin: Origin::Cron,
        anchor: format!("{},{}", tick.entry, tick.due),
        cursor: Some(step),
        ..*draft(0, "x")
    }))
}

impl World {
    /// A process at rest with these entries, defined at 1000.
    fn with_cron(intervals: &[u64]) -> Self {
        let mut world = Self::unclaimed(options());
        world.ask(Request::Define { define: define("a", intervals, ProcessOrigin::Config), reply: 0 });
        world.claim();
        world.settle();
        world.forget_all();
        world
    }

    fn redefine(&mut self, reply: u32, source: &str, intervals: &[u64]) {
        self.ask(Request::Define { define: define(source, intervals, ProcessOrigin::Config), reply });
    }

    fn hand_in(&mut self, reply: u32, draft: Box<Draft>) {
        self.ask(Request::Schedule { draft, reply, outcome: None });
    }

    /// Hands in the first tick that is due by `cursor`, and says where it leads.
    fn tick_from(&mut self, reply: u32, cursor: &str) -> String {
        let draft = tick(self, cursor).expect("a tick is due");
        let to = draft.cursor.as_ref().unwrap().to.to_string();
        self.hand_in(reply, draft);
        to
    }

    fn cursor(&self) -> String {
        self.store.data.cursor.clone().unwrap_or_else(|| "none".to_owned())
    }
}

/// The text of a cursor: of each interval its origin and what is handled.
fn cursor(places: &[(u64, u64, u64)]) -> String {
    let mut marks: Vec<_> = places
        .iter()
        .map(|(interval, origin, handled)| (entries(&[*interval])[0].content_hash(), *origin, *handled))
        .collect();
    marks.sort();
    let marks = marks.iter().map(|(hash, origin, handled)| format!(";{hash},{origin},{handled}"));
    format!("cron1{}", marks.collect::<String>())
}

#[test]
fn a_definition_brings_the_cursor_of_its_entries_in_its_own_commit() {
    for (intervals, expected) in [
        (&[][..], None),
        (&[100], Some(cursor(&[(100, 1000, 1000)]))),
        (&[100, 250], Some(cursor(&[(100, 1000, 1000), (250, 1000, 1000)]))),
    ] {
        let mut world = World::unclaimed(options());
        world.ask(Request::Define { define: define("a", intervals, ProcessOrigin::Api), reply: 1 });
        world.claim();
        let in_commit = world.commits[0].records.iter().find_map(|record| match record {
            Record::CronCursor(cursor) => Some(cursor.clone()),
            _ => None,
        });
        assert_eq!(in_commit, expected.clone().map(Some), "{intervals:?}");
        world.settle();
        assert_eq!((world.said(1).as_str(), &world.store.data.cursor), ("created", &expected));
    }
}

#[test]
fn another_definition_keeps_places_begins_new_ones_and_drops_those_that_go() {
    // The entries before, those after, and the cursor that follows; a tick of the first was handled at 1100.
    let table: [(&[u64], &[u64], String); 6] = [
        (&[100], &[100], cursor(&[(100, 1000, 1100)])),
        (&[100], &[100, 250], cursor(&[(100, 1000, 1100), (250, 1500, 1500)])),
        (&[100, 250], &[100], cursor(&[(100, 1000, 1100)])),
        (&[100, 250], &[300, 250], cursor(&[(250, 1000, 1000), (300, 1500, 1500)])),
        (&[100], &[300], cursor(&[(300, 1500, 1500)])),
        (&[100], &[], "none".to_owned()),
    ];
    for (before, after, expected) in table {
        let mut world = World::with_cron(before);
        world.now = 1100;
        world.tick_from(1, &world.cursor());
        world.settle();
        world.now = 1500;
        world.redefine(2, "b", after);
        world.settle();
        assert_eq!((world.said(1).as_str(), world.said(2).as_str()), ("scheduled 1", "defined"));
        assert_eq!(world.cursor(), expected, "{before:?} {after:?}");
    }
}

#[test]
fn a_process_without_entries_is_given_some_and_a_clock_that_runs_back_does_not_matter() {
    let mut world = World::at_rest();
    world.now = 500;
    world.redefine(1, "a", &[100]);
    world.settle();
    assert_eq!((world.said(1).as_str(), world.cursor()), ("defined", cursor(&[(100, 1000, 1000)])));
}

#[test]
fn a_definition_that_would_be_another_on_this_node_leaves_the_cursor_where_it_is() {
    let mut world = World::with_cron(&[100]);
    world.now = 1450;
    let at = world.tick_from(1, &world.cursor());
    world.settle();
    world.shut_down();
    let other = Definition { engine: "lua 2".to_owned(), ..definition("a", &[100]) };
    world.succeed_with(Some(other), Vec::new());
    world.settle();
    assert_eq!((world.store.data.definition().unwrap().0, world.cursor()), (Slot(2), at));
}

#[test]
fn a_tick_and_its_cursor_are_one_commit() {
    let mut world = World::with_cron(&[100]);
    world.now = 1100;
    let before = world.cursor();
    let to = world.tick_from(1, &before);
    let records = &world.commits[0].records;
    assert!(matches!(&records[..], [Record::CronCursor(Some(cursor)), Record::Entry(_)] if *cursor == to));
    assert_eq!((world.said(1).as_str(), world.cursor()), ("", before));
    world.commit(Fate::Taken);
    assert_eq!((world.said(1).as_str(), world.cursor()), ("scheduled 1", to));
}

#[test]
fn ticks_on_their_way_lead_on_from_each_other() {
    let mut world = World::with_cron(&[100]);
    world.now = 1300;
    let mut at = world.cursor();
    for ticket in 1..=3 {
        at = world.tick_from(ticket, &at);
    }
    assert_eq!(tick(&world, &at), None);
    world.settle();
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "scheduled 2", "scheduled 3"]);
    assert_eq!(world.cursor(), at);
}

#[test]
fn a_known_tick_writes_nothing_and_the_next_one_leads_on_from_it() {
    for is_stored in [true, false] {
        let mut world = World::with_cron(&[100]);
        world.now = 1200;
        let start = world.cursor();
        world.tick_from(1, &start);
        if is_stored {
            world.settle();
        }
        let commits = world.commits.len();
        let second = world.tick_from(2, &start);
        assert_eq!(world.commits.len(), commits, "{is_stored}");
        world.tick_from(3, &second);
        world.settle();
        assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "scheduled 1", "scheduled 2"]);
        assert_eq!(world.cursor(), cursor(&[(100, 1000, 1200)]));
    }
}

#[test]
fn a_tick_that_comes_again_after_the_cursor_was_set_back_does_not_hold_up_those_behind_it() {
    let mut world = World::with_cron(&[100]);
    world.now = 1300;
    let start = world.cursor();
    let first = world.tick_from(1, &start);
    world.settle();
    // As a clock that was set back and forth leaves it.
    world.shut_down();
    world.store.data.cursor = Some(start.clone());
    world.succeed();
    world.tick_from(2, &start);
    assert_eq!((world.commits.len(), world.cursor()), (0, start));
    let second = world.tick_from(3, &first);
    world.settle();
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["scheduled 1", "scheduled 2"]);
    assert_eq!(world.cursor(), second);
}

#[test]
fn a_tick_by_an_old_cursor_is_not_taken_and_sets_nothing_back() {
    let mut world = World::with_cron(&[100, 250]);
    world.now = 1100;
    let start = world.cursor();
    let one = tick(&world, &start).unwrap();
    world.now = 1300;
    // Somebody else passes over the tick at 1100, and takes the one at 1200.
    let later = cursor(&[(100, 1000, 1200), (250, 1000, 1000)]);
    let step = CursorStep { from: start.as_str().into(), to: later.as_str().into() };
    let other =
        Draft { cursor: Some(step), ..*tick(&world, &cursor(&[(100, 1000, 1100), (250, 1000, 1000)])).unwrap() };
    world.hand_in(1, Box::new(other));
    world.ask(Request::Schedule { draft: one.clone(), reply: 2, outcome: Some(3) });
    world.settle();
    world.hand_in(4, one);
    world.settle();
    assert_eq!([1, 2, 3, 4].map(|ticket| world.said(ticket)), ["scheduled 1", "known", "known", "known"]);
    assert_eq!((world.store.data.scheduled(), world.cursor()), (Some(Slot(1)), later));
}

#[test]
fn a_tick_of_an_entry_that_is_gone_is_not_taken() {
    for after in [&[250][..], &[]] {
        let mut world = World::with_cron(&[100]);
        world.now = 1100;
        let late = tick(&world, &world.cursor()).unwrap();
        world.redefine(1, "a", after);
        world.hand_in(2, late);
        world.settle();
        assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["defined", "known"], "{after:?}");
    }
    let mut world = World::at_rest();
    let step = CursorStep { from: "cron1".into(), to: "cron1".into() };
    world.hand_in(1, Box::new(Draft { cursor: Some(step), ..*draft(1, "x") }));
    assert_eq!((world.said(1).as_str(), world.cursor().as_str()), ("known", "none"));
}

#[test]
fn a_refused_tick_leaves_the_cursor_and_takes_those_with_it_that_lead_on_from_it() {
    let mut world = World::with_cron(&[100]);
    world.now = 1200;
    let start = world.cursor();
    let first = world.tick_from(1, &start);
    world.tick_from(2, &first);
    world.commit(Fate::Refused);
    world.commit(Fate::Taken);
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["store", "store"]);
    assert_eq!(world.cursor(), start);
    world.tick_from(3, &first);
    assert_eq!(world.said(3), "known", "what it leads on from was not written");
    let first = world.tick_from(4, &start);
    let second = world.tick_from(5, &first);
    world.settle();
    assert_eq!([4, 5].map(|ticket| world.said(ticket)), ["scheduled 1", "scheduled 2"]);
    assert_eq!(world.cursor(), second);
}

#[test]
fn a_refused_definition_leaves_the_cursor() {
    let mut world = World::with_cron(&[100]);
    world.now = 1100;
    let start = world.cursor();
    world.redefine(1, "a", &[250]);
    world.commit(Fate::Refused);
    world.tick_from(2, &start);
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["store", "scheduled 1"]);
}

#[test]
fn a_tick_without_room_leaves_the_cursor() {
    let mut world = World::with_cron(&[100]);
    world.store_messages(&["x"; 8]);
    world.now = 1100;
    let start = world.cursor();
    world.tick_from(1, &start);
    world.settle();
    world.tick_from(2, &start);
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["overloaded", "scheduled 9"]);
}

#[test]
fn after_a_commit_of_unknown_fate_the_store_decides() {
    for (fate, said, slots) in [(Fate::UnknownKept, "known", 1), (Fate::UnknownLost, "scheduled 1", 1)] {
        let mut world = World::with_cron(&[100]);
        world.now = 1100;
        let start = world.cursor();
        let one = tick(&world, &start).unwrap();
        let to = world.tick_from(1, &start);
        world.commit(fate);
        assert_eq!(world.said(1), "unknown");
        world.succeed();
        assert_eq!(world.cursor(), if said == "known" { to.clone() } else { start });
        // By another id it would be another message.
        world.hand_in(2, Box::new(Draft { id: draft(77, "").id, ..*one }));
        world.settle();
        assert_eq!((world.said(2).as_str(), world.cursor()), (said, to), "{fate:?}");
        assert_eq!(world.store.data.scheduled(), Some(Slot(slots)));
    }
}

#[test]
fn the_cursor_outlives_the_worker() {
    let mut world = World::with_cron(&[100]);
    world.now = 1200;
    let first = world.tick_from(1, &world.cursor());
    world.settle();
    world.shut_down();
    world.succeed();
    assert_eq!(world.cursor(), first);
    world.tick_from(2, &first);
    world.settle();
    assert_eq!(world.said(2), "scheduled 2");
}

#[test]
fn a_fenced_worker_hands_ticks_on_with_their_steps() {
    let mut world = World::with_cron(&[100]);
    world.now = 1100;
    let to = world.tick_from(1, &world.cursor());
    world.store.fence();
    world.commit(Fate::Taken);
    world.succeed();
    world.settle();
    assert_eq!((world.said(1).as_str(), world.cursor()), ("scheduled 1", to));
}

#[test]
fn a_cursor_that_cannot_be_read_is_told_of_and_the_next_definition_begins_anew() {
    let mut world = World::with_cron(&[100]);
    world.shut_down();
    world.remains = None;
    world.start_anew();
    let found = Found { cron_cursor: Some("cron9".to_owned()), ..world.store.claim(None) };
    world.core.claimed(world.now, &world.store, Ok(found));
    world.now = 1500;
    world.redefine(1, "b", &[100]);
    world.settle();
    assert_eq!((world.said(1).as_str(), world.cursor()), ("defined", cursor(&[(100, 1500, 1500)])));
    let is_told = |note: &Note| matches!(note, Note::History { error } if error.contains("cron9"));
    assert_eq!(world.notes.iter().filter(|note| is_told(note)).count(), 1);
}

#[test]
fn entries_that_no_process_may_have_are_refused() {
    let mut world = World::with_cron(&[100]);
    let mut twice = define("b", &[100], ProcessOrigin::Config);
    twice.definition.specification.cron.extend(entries(&[100]));
    world.ask(Request::Define { define: twice, reply: 1 });
    let Some((1, Err(RequestError::BadRequest(text)))) = world.answers.last() else { panic!("it is refused") };
    assert!(text.starts_with("cron: two cron entries are the same"), "{text}");
    assert_eq!(world.commits.len(), 0);
}

#[test]
fn the_text_of_a_cursor_is_that_of_the_cursor_it_reads_as() {
    let text = cursor(&[(100, 1000, 1100), (250, 1500, 1500)]);
    assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
}
