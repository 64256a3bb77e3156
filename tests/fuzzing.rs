//! What fuzz targets check, on random bytes, on damaged ones and on the corpus: a run of the fuzzer that is short, the same
//! each time, and on any toolchain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use mainstay::device::lua::LuaFactory;
use mainstay::device::wasm::WasmFactory;
use mainstay::device::{DeviceFactory, Mode};
use mainstay::process::DeviceKind;
use mainstay::store::decode_snapshot;
use proptest::prelude::*;
use proptest::sample::Index;

/// The bytes of each file of a target's corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// What a device's states are after some messages.
fn states(factory: &dyn DeviceFactory, kind: DeviceKind, source: &[u8]) -> Vec<Vec<u8>> {
    let mut device = checks::create(factory, kind, source);
    let mut states = vec![device.snapshot().unwrap().to_vec()];
    for slot in 1..4 {
        device.compute(&checks::entry(slot), Mode::Live).unwrap();
        states.push(device.snapshot().unwrap().to_vec());
    }
    states
}

static MODULES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("module"));
static ANSWERS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("answers"));
static NOTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("note"));
static SNAPSHOT_FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("snapshot_file"));
static WASM_STATES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let source = wat::parse_str(checks::TABLES).unwrap();
    let own = states(&WasmFactory::start(None).unwrap(), DeviceKind::Wasm, &source);
    corpus("wasm_state").into_iter().chain(own).collect()
});
static LUA_STATES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let own = states(&LuaFactory, DeviceKind::Lua, checks::SCRIPT.as_bytes());
    corpus("lua_state").into_iter().chain(own).collect()
});

/// What is done to bytes: one is another, some are left out, some come twice, they end early.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Remove(Index, Index),
    Repeat(Index, Index),
    Number(Index, u32),
    Cut(Index),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let number = prop_oneof![Just(0), Just(1), Just(u32::MAX), Just(i32::MAX.cast_unsigned()), any::<u32>()];
    prop::collection::vec(
        prop_oneof![
            4 => any::<(Index, u8)>().prop_map(|(at, value)| Damage::Set(at, value)),
            4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
            1 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Remove(from, to)),
            1 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Repeat(from, to)),
            2 => (any::<Index>(), number).prop_map(|(at, number)| Damage::Number(at, number)),
            1 => any::<Index>().prop_map(Damage::Cut),
        ],
        0..5,
    )
}

/// The most bytes that a damage adds.
const REPEATED: usize = 512;

fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        if bytes.is_empty() {
            return bytes;
        }
        let end = bytes.len();
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(end), to.index(end));
            from.min(to)..from.max(to)
        };
        match damage {
            Damage::Set(at, value) => bytes[at.index(end)] = *value,
            Damage::Flip(at, bit) => bytes[at.index(end)] ^= 1 << bit,
            Damage::Remove(from, to) => drop(bytes.drain(range(from, to))),
            Damage::Repeat(from, to) => {
                let range = range(from, to);
                let (start, stop) = (range.start, range.end.min(range.start + REPEATED));
                let part = bytes[start..stop].to_vec();
                bytes.splice(start..start, part);
            }
            Damage::Number(at, number) => {
                let at = at.index(end);
                for (place, byte) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                    *place = byte;
                }
            }
            Damage::Cut(at) => bytes.truncate(at.index(end)),
        }
    }
    bytes
}

/// Bytes of all kinds for a reader that knows these.
fn bytes_like(known: &'static [Vec<u8>]) -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        1 => noise,
        9 => (prop::sample::select(known), damages()).prop_map(|(bytes, damages)| damaged(&bytes, &damages)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn modules_are_taken_or_refused(bytes in bytes_like(&MODULES)) {
        checks::module(&bytes);
    }

    #[test]
    fn answers_are_heard_or_refused(bytes in bytes_like(&ANSWERS)) {
        checks::answers(&bytes);
    }

    #[test]
    fn notes_are_read_or_passed_over(bytes in bytes_like(&NOTES)) {
        checks::note(&bytes);
    }

    #[test]
    fn snapshot_files_are_decoded_or_refused(bytes in bytes_like(&SNAPSHOT_FILES)) {
        checks::snapshot_file(&bytes);
    }

    #[test]
    fn states_of_scripts_are_restored_or_refused(bytes in bytes_like(&LUA_STATES)) {
        checks::lua_state(&bytes);
    }

    #[test]
    fn states_of_modules_are_restored_or_refused(bytes in bytes_like(&WASM_STATES)) {
        checks::wasm_state(&bytes);
    }
}

#[test]
fn the_corpus_is_what_it_was_collected_for() {
    fn run(target: &str, check: impl Fn(&[u8])) {
        corpus(target).iter().for_each(|bytes| check(bytes));
    }
    run("module", checks::module);
    run("answers", checks::answers);
    run("note", checks::note);
    run("wasm_state", checks::wasm_state);
    run("lua_state", checks::lua_state);
    run("snapshot_file", checks::snapshot_file);
    for file in &*SNAPSHOT_FILES {
        assert!(decode_snapshot(file, vec![7; 20_000], 1 << 20).is_ok(), "{file:?}");
        assert_eq!(checks::sealed(file).as_ref(), Some(file));
    }
    let taken = MODULES.iter().filter(|bytes| mainstay::device::wasm::rewritten(bytes).is_ok()).count();
    assert!(taken >= 8, "{taken} modules of the corpus are taken");
}
