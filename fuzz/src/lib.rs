//! What must hold of everything that reads bytes from outside, whatever the bytes are: it ends, it does not panic, and what
//! it takes is what it says.
//!
//! Each function here is a fuzz target (`fuzz_targets`); `tests/fuzzing.rs` runs the same ones on random bytes and on the
//! corpus.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a check fails by panicking")]

use std::sync::LazyLock;

use mainstay::config::limits::Limits;
use mainstay::device::answered::{self, Computed};
use mainstay::device::exec::{lines::Lines, note, rpc};
use mainstay::device::lua::LuaFactory;
use mainstay::device::wasm::{WasmFactory, rewritten};
use mainstay::device::{Call, Device, DeviceError, DeviceFactory, Interrupt, Mode, StateView};
use mainstay::ids::{BlobHash, MessageId, ProcessId, Slot};
use mainstay::process::{Cause, Defaults, DeviceKind, Entry, ErrorStrategy, Message, Specification};
use mainstay::store::decode_snapshot;

/// An error is for a person, who reads no more than this of it.
const ERROR_MOST: usize = 1 << 20;
/// The longest line of a program.
const LINE_MOST: usize = 4096;

/// The loader of WebAssembly modules and the rewriter of their exceptions.
pub fn module(bytes: &[u8]) {
    match rewritten(bytes) {
        Ok(module) => {
            let again = wasmparser::validate(&module).err();
            assert!(again.is_none(), "what is taken is valid: {again:?}");
            // A branch takes some bytes more at most, and what is exported a name.
            assert!(module.len() <= 64 * bytes.len() + 4096, "{} bytes became {}", bytes.len(), module.len());
            assert!(rewritten(&module).is_err(), "the loader's own names are not taken from outside");
        }
        Err(error) => assert!(error.to_string().len() < ERROR_MOST),
    }
}

/// The reader of what a program says: its lines, which are answers of JSON-RPC 2.0, whose results are outcomes. The first
/// byte says how its output is cut into pieces.
pub fn answers(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = heard(bytes, bytes.len().max(1));
    assert_eq!(heard(bytes, usize::from(*piece).max(1)), whole, "how it is cut makes no difference");
    assert!(whole.len() <= bytes.len() + 1);
}

/// What becomes of each line, in words; one that is too long is the last.
fn heard(bytes: &[u8], piece: usize) -> Vec<String> {
    let limits =
        Limits { output_size: 512, messages_per_outcome: 4, message_size: 256, gas: 1000, ..Limits::default() };
    let (mut lines, mut told) = (Lines::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        lines.push(piece);
        loop {
            match lines.next(LINE_MOST) {
                Ok(Some(line)) => told.push(answer(&line, &limits)),
                Ok(None) => break,
                Err(error) => {
                    told.push(error.to_string());
                    return told;
                }
            }
        }
    }
    told.push(format!("{} bytes", lines.rest().len()));
    told
}

fn answer(line: &[u8], limits: &Limits) -> String {
    assert!(line.len() <= LINE_MOST);
    let answer = match rpc::answer(line) {
        Ok(answer) => answer,
        Err(error) => return error.to_string(),
    };
    let result = match answer.result {
        Ok(result) => result,
        Err(error) => return error.to_string(),
    };
    assert!(!result.get().contains('\n'));
    let read = answered::read(&result, limits);
    if let Ok(Computed { outcome, .. }) = &read {
        let sent = outcome.messages.len() + outcome.spawns.len() + outcome.assignments.len();
        assert!(outcome.output.as_str().len() as u64 <= limits.output_size && sent <= 4 && outcome.error.is_none());
    }
    format!("{} {read:?}", answer.id)
}

/// The reader of the note of the slot in work: what is behind a checksum that is right.
pub fn note(bytes: &[u8]) {
    const SUM: usize = 32;
    let mut place = [0; note::PLACE];
    let length = bytes.len().min(note::PLACE - SUM);
    place[SUM..SUM + length].copy_from_slice(&bytes[..length]);
    let sum = blake3::hash(&place[SUM..]);
    place[..SUM].copy_from_slice(sum.as_bytes());
    let read = note::parse(&place);
    place[0] ^= 1;
    assert_eq!(note::parse(&place), None, "the checksum is looked at");
    drop(read);
}

/// The reader of a module's memory: what it takes is written as it was, and the module goes on with it or says why not.
pub fn wasm_state(bytes: &[u8]) {
    static FACTORY: LazyLock<WasmFactory> = LazyLock::new(|| WasmFactory::start(None).unwrap());
    static MODULE: LazyLock<Vec<u8>> = LazyLock::new(|| wat::parse_str(TABLES).unwrap());
    let mut bytes = bytes.to_vec();
    // A state names its module behind the mark at its beginning.
    if let Some(place) = bytes.get_mut(8..40) {
        place.copy_from_slice(&BlobHash::of(&MODULE).0);
    }
    restored(create(&*FACTORY, DeviceKind::Wasm, &MODULE), &bytes);
}

/// The reader of a script's state.
pub fn lua_state(bytes: &[u8]) {
    restored(create(&LuaFactory, DeviceKind::Lua, SCRIPT.as_bytes()), bytes);
}

/// The decoder of snapshot files, on two states that a file may stand on: the bytes themselves, and as whoever wrote them would
/// have sealed them.
pub fn snapshot_file(bytes: &[u8]) {
    const LIMIT: u64 = 1 << 20;
    for file in [bytes.to_vec(), sealed(bytes).unwrap_or_default()] {
        for base in [Vec::new(), vec![7; 20_000]] {
            match decode_snapshot(&file, base, LIMIT) {
                Ok(state) => assert!(state.len() as u64 <= LIMIT),
                Err(error) => assert!(error.to_string().len() < ERROR_MOST),
            }
        }
    }
}

/// The file with the checksums that its front and its payload should have.
pub fn sealed(file: &[u8]) -> Option<Vec<u8>> {
    const SEAL: usize = 32;
    let length = u32::from_le_bytes(file.get(12..16)?.try_into().ok()?) as usize;
    let (front, payload) = (file.get(..length.checked_sub(SEAL)?)?, file.get(length..)?);
    let mut front = front.to_vec();
    // Behind the id: what it stands on, length and hash of the state, then what is to be put right.
    let at = 24 + 1 + usize::from(*front.get(24)?) + 1 + SEAL + 8 + SEAL;
    front.get_mut(at..at + 8)?.copy_from_slice(&(payload.len() as u64).to_le_bytes());
    front.get_mut(at + 8..at + 8 + SEAL)?.copy_from_slice(&BlobHash::of(payload).0);
    let seal = BlobHash::of(&front);
    Some([front.as_slice(), &seal.0, payload].concat())
}

/// A module with everything that a state holds.
pub const TABLES: &str = r#"(module
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (global $other (mut f64) (f64.const 1))
  (table $t 2 funcref)
  (elem (i32.const 0) $one $two)
  (type $f (func (result i32)))
  (func $one (type $f) (i32.const 1))
  (func $two (type $f) (i32.const 2))
  (data (i32.const 16) "{\"ok\":true,\"response\":{\"Output\":0}}\00")
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "handle") (param i32 i32) (result i32)
    (global.set $count (i32.add (global.get $count) (call_indirect $t (type $f) (i32.const 1))))
    (table.set $t (i32.const 1) (ref.func $one))
    (i32.store (i32.const 8192) (global.get $count))
    (i32.const 16)))"#;

/// A script that reads all of its state.
pub const SCRIPT: &str = "
function compute(state, msg)
  local function walk(value, depth)
    if type(value) ~= 'table' or depth > 9 then return 1 end
    local count = 0
    for key, inner in pairs(value) do count = count + walk(key, depth + 1) + walk(inner, depth + 1) end
    return count
  end
  state.count = walk(state, 0)
  return state.count
end
";

/// A device of this code, without state.
pub fn create(factory: &dyn DeviceFactory, kind: DeviceKind, source: &[u8]) -> Box<dyn Device> {
    let limits = Limits { gas: 2_000_000, memory: 8 << 20, ..Limits::default() };
    let defaults = Defaults { limits, error_strategy: ErrorStrategy::Ignore };
    let definition = Specification::new(kind, source).resolve(&defaults, &factory.info(kind).engine);
    let process = ProcessId::parse("tested").unwrap();
    let device = factory.create(&process, &definition, source, Interrupt::default(), Mode::Live);
    device.unwrap_or_else(|error| panic!("{error}"))
}

/// The message of a slot.
pub fn entry(slot: u64) -> Entry {
    let message = Message {
        id: MessageId::derived(&[&slot.to_le_bytes()]),
        from: "owner".to_owned(),
        owner: "owner".to_owned(),
        target: "tested".to_owned(),
        anchor: String::new(),
        tags: Vec::new(),
        data: String::new(),
        timestamp: slot,
    };
    Entry::of_client(Slot(slot), message)
}

fn restored(mut device: Box<dyn Device>, bytes: &[u8]) {
    let before = device.snapshot().unwrap();
    if let Err(error) = device.restore(bytes) {
        assert!(matches!(error, DeviceError::Restore(_)), "{error}");
        assert_eq!(device.snapshot().unwrap(), before, "what is refused leaves nothing");
        return;
    }
    let taken = device.snapshot().unwrap();
    assert_eq!(*taken, *bytes, "a state has one form");
    match device.compute(&entry(1), Mode::Live) {
        Ok(Call::Done(Cause::Success, _)) => {
            let state = device.state();
            assert!(matches!(state, Ok(StateView::Json(_) | StateView::Bytes(_))), "{:?}", state.err());
        }
        Ok(Call::Done(..)) => assert_eq!(device.snapshot().unwrap(), taken, "what fails leaves nothing"),
        Ok(Call::Interrupted) => panic!("nobody interrupts it"),
        Err(error) => assert!(matches!(error, DeviceError::Fault(_)), "{error}"),
    }
}
