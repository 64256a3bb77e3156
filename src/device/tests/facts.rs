//! What is known of devices and bases without running anything.

use super::log::{MemoryLog, definition, process};
use crate::device::fake::Fakes;
use crate::device::lua::LuaFactory;
use crate::device::{BaseError, BaseState, DeviceFactory};
use crate::group::Grouper;
use crate::ids::Slot;
use crate::process::worker::Base;
use crate::process::{DeviceKind, ErrorStrategy};

fn base(bytes: &[u8]) -> Base {
    Base { slot: Slot(7), definition: Slot::ZERO, snapshot: bytes.into() }
}

#[test]
fn processes_group_by_themselves_unless_their_device_is_told_otherwise() {
    assert_eq!(LuaFactory.info(DeviceKind::Lua).grouper, Grouper::Process);
    let fakes = Fakes::default();
    assert_eq!(fakes.info(DeviceKind::Lua).grouper, Grouper::Process);
    fakes.set_grouper(Grouper::Default);
    assert_eq!(fakes.info(DeviceKind::Lua).grouper, Grouper::Default);
    assert!(fakes.created().is_empty(), "no device was made to know it");
}

#[test]
fn a_base_is_its_definition_its_source_and_its_state() {
    let log = MemoryLog::default();
    log.define("code", ErrorStrategy::Ignore);
    let read = BaseState::read(&log, &process(), &base(b"state")).unwrap();
    assert_eq!(
        (&read.process, read.slot, &*read.source, &*read.snapshot),
        (&process(), Slot(7), &b"code"[..], &b"state"[..])
    );
    assert_eq!(*read.definition, definition("code", ErrorStrategy::Ignore));
    assert_eq!(read.state_hash(), *blake3::hash(b"state").as_bytes());
    assert!(read.memory() >= 9);

    let other = BaseState::read(&log, &process(), &base(b"another")).unwrap();
    assert_eq!(other.definition_hash, read.definition_hash);
    assert_ne!(other.state_hash(), read.state_hash());
    assert_eq!(other.memory(), read.memory() + 2);

    let log = MemoryLog::default();
    log.define("code", ErrorStrategy::Throw);
    let stricter = BaseState::read(&log, &process(), &base(b"state")).unwrap();
    assert_ne!(stricter.definition_hash, read.definition_hash);
}

#[test]
fn a_definition_has_one_hash_whatever_the_spaces_in_the_log() {
    let log = MemoryLog::default();
    log.define("code", ErrorStrategy::Ignore);
    let hash = BaseState::read(&log, &process(), &base(b"")).unwrap().definition_hash;
    let value: serde_json::Value = serde_json::from_str(&log.records().entries[0].message.data).unwrap();
    log.records().entries[0].message.data = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(BaseState::read(&log, &process(), &base(b"")).unwrap().definition_hash, hash);
}

#[test]
fn what_a_base_lacks_is_named() {
    let log = MemoryLog::default();
    let error = |log: &MemoryLog| match BaseState::read(log, &process(), &base(b"")) {
        Err(BaseError::Failed(text)) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(error(&log), "base of process tried after slot 7: definition slot 0 is missing in the store");
    log.define("code", ErrorStrategy::Ignore);
    log.records().blobs.clear();
    assert!(error(&log).contains("is missing in the store"));
    log.records().entries[0].message.data = "{}".to_owned();
    assert!(error(&log).contains("slot 0 holds no definition: missing field"));
}
