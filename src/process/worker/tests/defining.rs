//! A process is made, and made another.

use super::fake_store::Fate;
use super::world::{World, define, definition, options};
use crate::ids::{BlobHash, Slot};
use crate::process::worker::{Found, Note, Request};
use crate::process::{EntryKind, ProcessOrigin, Record, RequestError};

fn ask(world: &mut World, source: &str, origin: ProcessOrigin, reply: u32) {
    world.ask(Request::Define { define: define(source, origin), reply });
}

fn created(origin: ProcessOrigin) -> World {
    let mut world = World::unclaimed(options());
    ask(&mut world, "a", origin, 0);
    world.claim();
    world.settle();
    world
}

fn definitions(world: &World) -> Vec<u64> {
    let entries = world.store.data.entries.iter();
    entries.filter(|entry| entry.kind == EntryKind::Definition).map(|entry| entry.slot.0).collect()
}

#[test]
fn a_process_is_created_with_its_slot_0_and_its_source_in_one_commit() {
    let mut world = World::unclaimed(options());
    ask(&mut world, "a", ProcessOrigin::Api, 1);
    world.claim();
    let records = &world.commits[0].records;
    assert!(matches!(&records[..], [Record::Process(_), Record::Blob(hash, _), Record::Entry(entry)]
        if *hash == BlobHash::of(b"a") && entry.slot == Slot::ZERO));
    assert_eq!(world.said(1), "");
    world.commit(Fate::Taken);
    assert_eq!(world.said(1), "created");
    world.settle();
    assert_eq!(world.store.data.computed(), Some(Slot::ZERO));
}

#[test]
fn the_same_again_changes_nothing() {
    use ProcessOrigin::{Api, Config, Spawned};
    for (held, asked) in [(Api, Api), (Config, Config), (Spawned, Spawned), (Spawned, Api), (Api, Spawned)] {
        let mut world = created(held);
        ask(&mut world, "a", asked, 1);
        assert_eq!((world.said(1).as_str(), world.commits.len()), ("defined", 0), "{held:?} {asked:?}");
        assert_eq!(world.core.status().unwrap().origin, held);
    }
}

#[test]
fn the_same_again_while_the_first_is_on_its_way_is_answered_with_it() {
    let mut world = World::unclaimed(options());
    ask(&mut world, "a", ProcessOrigin::Api, 1);
    world.claim();
    ask(&mut world, "a", ProcessOrigin::Api, 2);
    assert_eq!(world.said(2), "");
    world.commit(Fate::Taken);
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["created", "defined"]);
}

#[test]
fn the_same_again_is_answered_with_the_definition_it_is_the_same_as() {
    let mut world = World::unclaimed(options());
    ask(&mut world, "a", ProcessOrigin::Config, 1);
    world.claim();
    ask(&mut world, "b", ProcessOrigin::Config, 2);
    ask(&mut world, "b", ProcessOrigin::Config, 3);
    world.commit(Fate::Taken);
    assert_eq!([1, 2, 3].map(|ticket| world.said(ticket)), ["created", "", ""]);
    world.commit(Fate::Taken);
    assert_eq!([2, 3].map(|ticket| world.said(ticket)), ["defined", "defined"]);
}

#[test]
fn another_definition_over_http_or_by_a_spawn_is_a_conflict() {
    for origin in [ProcessOrigin::Api, ProcessOrigin::Spawned] {
        let mut world = created(origin);
        ask(&mut world, "b", origin, 1);
        assert_eq!((world.said(1).as_str(), world.commits.len()), ("conflict", 0));
    }
}

#[test]
fn another_definition_in_the_configuration_is_a_new_slot() {
    let mut world = created(ProcessOrigin::Config);
    ask(&mut world, "b", ProcessOrigin::Config, 1);
    world.settle();
    assert_eq!((world.said(1).as_str(), definitions(&world)), ("defined", vec![0, 1]));
    assert!(world.notes.contains(&Note::DefinitionChanged { slot: Slot(1) }));
    assert!(world.store.data.blobs.contains_key(&BlobHash::of(b"b")));
    assert_eq!(world.store.data.outcome(Slot(1)).unwrap().definition, Slot(1));
}

#[test]
fn a_process_keeps_its_origin() {
    for (held, asked, says) in [
        (ProcessOrigin::Config, ProcessOrigin::Api, "process p is defined by the configuration"),
        (ProcessOrigin::Spawned, ProcessOrigin::Config, "process p was spawned by another process"),
        (ProcessOrigin::Config, ProcessOrigin::Spawned, "process p is defined by the configuration"),
        (ProcessOrigin::Api, ProcessOrigin::Config, "process p was created over HTTP"),
    ] {
        let mut world = created(held);
        ask(&mut world, "a", asked, 1);
        let Some((_, Err(RequestError::Conflict(text)))) = world.answers.last() else { panic!("it is a conflict") };
        assert!(text.starts_with(says), "{text}");
    }
}

#[test]
fn a_definition_that_would_be_another_on_this_node_is_a_new_slot_before_anything_else() {
    let mut world = created(ProcessOrigin::Api);
    world.shut_down();
    let engine = crate::process::Definition { engine: "lua 2".to_owned(), ..definition("a") };
    let message = Request::Schedule { draft: super::world::draft(1, "x"), reply: 1, outcome: None };
    world.succeed_with(Some(engine.clone()), vec![message]);
    world.settle();
    assert_eq!((world.said(1).as_str(), definitions(&world)), ("scheduled 2", vec![0, 1]));
    assert_eq!(world.store.data.definition(), Some((Slot(1), engine)));
    world.shut_down();
    world.succeed();
    assert!(world.commits.is_empty(), "now it is what it is to be");
}

#[test]
fn a_retired_process_can_be_read_and_takes_no_messages() {
    let mut world = created(ProcessOrigin::Config);
    world.store_messages(&["x"]);
    world.shut_down();
    world.remains = None;
    world.start_anew();
    let other = crate::process::Definition { engine: "lua 2".to_owned(), ..definition("a") };
    let found = Found { is_retired: true, ..world.store.claim(Some(other)) };
    world.core.claimed(world.now, &world.store, Ok(found));
    world.schedule(1, 1, "x");
    world.compute(2, 1);
    world.settle();
    assert_eq!([1, 2].map(|ticket| world.said(ticket)), ["conflict", "success 1"]);
    assert_eq!(definitions(&world), [0]);
}

#[test]
fn a_process_whose_creation_was_refused_is_not_there() {
    let mut world = World::unclaimed(options());
    ask(&mut world, "a", ProcessOrigin::Api, 1);
    world.claim();
    world.commit(Fate::Refused);
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("store", "store"));
    world.succeed_with(None, vec![Request::Status { reply: 2 }]);
    assert_eq!(world.said(2), "not_found");
}

#[test]
fn a_process_whose_creation_is_unknown_is_found_or_not_by_the_next_worker() {
    for (fate, said) in [(Fate::UnknownKept, "defined"), (Fate::UnknownLost, "created")] {
        let mut world = World::unclaimed(options());
        ask(&mut world, "a", ProcessOrigin::Api, 1);
        world.claim();
        world.commit(fate);
        assert_eq!(world.said(1), "unknown");
        world.succeed_with(None, vec![Request::Define { define: define("a", ProcessOrigin::Api), reply: 2 }]);
        world.settle();
        assert_eq!((world.said(2).as_str(), definitions(&world)), (said, vec![0]));
    }
}

#[test]
fn a_change_of_definition_that_is_refused_leaves_the_process_as_it_was() {
    let mut world = created(ProcessOrigin::Config);
    world.shut_down();
    let other = crate::process::Definition { engine: "lua 2".to_owned(), ..definition("a") };
    world.succeed_with(Some(other), vec![Request::State { reply: 1 }]);
    world.commit(Fate::Refused);
    world.settle();
    assert_eq!((world.said(1).as_str(), world.left().as_str()), ("state", "running"));
    ask(&mut world, "a", ProcessOrigin::Config, 2);
    assert_eq!((world.said(2).as_str(), world.commits.len()), ("defined", 0));
    ask(&mut world, "b", ProcessOrigin::Config, 3);
    world.settle();
    assert_eq!((world.said(3).as_str(), definitions(&world)), ("defined", vec![0, 1]));
}
