//! A value of Lua as canonical bytes.

use std::collections::{HashMap, hash_map};
use std::ffi::{c_int, c_void};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::ffi::{self, lua_State};
use mlua::{Lua, Value};

use super::super::codec::{self, DEPTH_MOST, Key, Measure, tag};
use super::order::{key_at, push_key};
use super::{SHADOWS, STATE_METATABLE, registered};

/// What the bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Purpose {
    /// The state: it shares nothing with the script, and its tables get the state's metatable.
    State,
    /// The output: constants of the script are written like any other table.
    Output,
}

/// Why a value has no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum EncodeError {
    /// They would be more than allowed, shared tables counted each time.
    TooLarge,
    /// This, at this place, is no plain data: `.users[3].callback is a function`.
    NotPlain(String),
    /// The machine failed.
    Fault(String),
}

/// Writes `value` in at most `most` bytes.
pub(in super::super) fn encode(lua: &Lua, value: &Value, purpose: Purpose, most: u64) -> Result<Vec<u8>, EncodeError> {
    let fault = |error: mlua::Error| EncodeError::Fault(error.to_string());
    let limit = lua.set_memory_limit(0).map_err(fault)?;
    let mut written = Ok(Vec::new());
    // SAFETY: with the memory limit lifted nothing that the encoder asks of Lua can fail, so no error jumps over its frames,
    // and a panic stops at `catch_unwind`.
    let ran = unsafe {
        lua.exec_raw::<()>(value, |state| {
            written = catch_unwind(AssertUnwindSafe(|| Encoder::run(state, purpose, most)))
                .unwrap_or_else(|_| Err(EncodeError::Fault("the encoder panicked".to_owned())));
            ffi::lua_settop(state, 0);
        })
    };
    let restored = lua.set_memory_limit(limit);
    ran.map_err(fault)?;
    restored.map_err(fault)?;
    written
}

/// An entry beside the sequence. Values that hold no others are kept, a table is fetched again by its key.
#[derive(Clone, Copy)]
struct Entry {
    key: Key<'static>,
    value: Leaf,
}

/// Spreads the address of a table over a hash: the addresses are Lua's, nobody chooses them.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, number: usize) {
        // The golden ratio: neighbours go far apart, also in the upper bits.
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

#[derive(Clone, Copy)]
enum Leaf {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'static [u8]),
    /// Not a leaf.
    Other,
}

enum Fault {
    TooLarge,
    /// What is wrong, and the way to it, from the inside.
    NotPlain(String, Vec<String>),
}

struct Encoder {
    state: *mut lua_State,
    purpose: Purpose,
    most: u64,
    out: Vec<u8>,
    /// Bytes written, with references unfolded.
    size: u64,
    /// From a table to its number, by order of first visits.
    numbers: HashMap<usize, usize, BuildHasherDefault<AddressHasher>>,
    /// What each table measures; nothing while it is being written, and to meet it then is a cycle.
    tables: Vec<Option<Measure>>,
    /// Entries of the open tables, the innermost last.
    entries: Vec<Entry>,
    /// The same in the order of their keys: a number that most comparisons need no more than, and the entry's place.
    order: Vec<(u64, usize)>,
    state_metatable: *const c_void,
}

/// Where the two tables that the encoder needs lie on the stack.
const STATE_METATABLE_AT: c_int = 2;
const SHADOWS_AT: c_int = 3;

impl Encoder {
    /// Writes the value at the bottom of the stack.
    unsafe fn run(state: *mut lua_State, purpose: Purpose, most: u64) -> Result<Vec<u8>, EncodeError> {
        ffi::lua_settop(state, 1);
        registered(state, &STATE_METATABLE);
        registered(state, &SHADOWS);
        let state_metatable = ffi::lua_topointer(state, STATE_METATABLE_AT);
        let out = vec![codec::VERSION];
        let (numbers, tables, entries, order) = (HashMap::default(), Vec::new(), Vec::new(), Vec::new());
        let mut encoder = Self { state, purpose, most, out, size: 1, numbers, tables, entries, order, state_metatable };
        ffi::lua_pushvalue(state, 1);
        match encoder.value(0) {
            Ok(_) => Ok(encoder.out),
            Err(Fault::TooLarge) => Err(EncodeError::TooLarge),
            Err(Fault::NotPlain(what, way)) => {
                let place: String = way.iter().rev().map(String::as_str).collect();
                Err(EncodeError::NotPlain(format!("{place} {what}")))
            }
        }
    }

    /// Writes the value on top of the stack. In place of a constant its contents lie there afterwards.
    unsafe fn value(&mut self, depth: u32) -> Result<Measure, Fault> {
        let what = match self.leaf() {
            Leaf::Other => match ffi::lua_type(self.state, -1) {
                ffi::LUA_TTABLE => return self.table(depth),
                ffi::LUA_TNIL if depth == 0 => {
                    self.out.push(tag::NIL);
                    return self.count(1);
                }
                ffi::LUA_TFUNCTION => "is a function",
                ffi::LUA_TTHREAD => "is a coroutine",
                _ => "is userdata",
            },
            leaf => return self.write(leaf),
        };
        Err(Fault::NotPlain(what.to_owned(), Vec::new()))
    }

    unsafe fn leaf(&self) -> Leaf {
        match key_at(self.state, -1) {
            Some(Key::Integer(integer)) => Leaf::Integer(integer),
            Some(Key::Float(float)) => Leaf::Float(float),
            Some(Key::Text(text)) => Leaf::Text(text),
            Some(Key::Boolean(boolean)) => Leaf::Boolean(boolean),
            None => Leaf::Other,
        }
    }

    fn write(&mut self, leaf: Leaf) -> Result<Measure, Fault> {
        let before = self.out.len();
        match leaf {
            Leaf::Boolean(boolean) => self.out.push(if boolean { tag::TRUE } else { tag::FALSE }),
            Leaf::Integer(integer) => codec::write_integer(&mut self.out, integer),
            Leaf::Float(float) => codec::write_float(&mut self.out, float),
            Leaf::Text(text) if self.size.saturating_add(text.len() as u64) > self.most => return Err(Fault::TooLarge),
            Leaf::Text(text) => codec::write_text(&mut self.out, text),
            Leaf::Other => {}
        }
        self.count((self.out.len() - before) as u64)
    }

    fn count(&mut self, size: u64) -> Result<Measure, Fault> {
        self.size = self.size.saturating_add(size);
        if self.size > self.most { Err(Fault::TooLarge) } else { Ok(Measure { size, height: 0 }) }
    }

    unsafe fn table(&mut self, depth: u32) -> Result<Measure, Fault> {
        let deep = || Fault::NotPlain(format!("lies deeper than {DEPTH_MOST} tables"), Vec::new());
        let number = self.tables.len();
        match self.numbers.entry(ffi::lua_topointer(self.state, -1).addr()) {
            hash_map::Entry::Occupied(known) => {
                let number = *known.get();
                let Some(measure) = self.tables.get(number).copied().flatten() else {
                    return Err(Fault::NotPlain("holds itself".to_owned(), Vec::new()));
                };
                if depth + measure.height > DEPTH_MOST {
                    return Err(deep());
                }
                self.out.push(tag::REFERENCE);
                codec::write_number(&mut self.out, number as u64);
                self.count(measure.size)?;
                return Ok(measure);
            }
            hash_map::Entry::Vacant(new) => new.insert(number),
        };
        self.tables.push(None);
        if depth >= DEPTH_MOST || ffi::lua_checkstack(self.state, 8) == 0 {
            return Err(deep());
        }
        self.enter()?;
        let before = self.size;
        self.out.push(tag::TABLE);
        self.count(3)?;
        let table = ffi::lua_gettop(self.state);
        let (mut sequence, mut height) = (0, 0);
        while ffi::lua_rawgeti(self.state, table, sequence + 1) != ffi::LUA_TNIL {
            sequence += 1;
            let measure = self.value(depth + 1).map_err(|fault| at(fault, Key::Integer(sequence)))?;
            height = height.max(measure.height);
            ffi::lua_settop(self.state, table);
        }
        ffi::lua_settop(self.state, table);
        self.out.push(tag::END);
        height = height.max(self.others(table, sequence, depth)?);
        self.out.push(tag::END);
        let measure = Measure { size: self.size - before, height: height + 1 };
        if let Some(known) = self.tables.get_mut(number) {
            *known = Some(measure);
        }
        Ok(measure)
    }

    /// Looks at the metatable of the table on top: there is none but the state's, or the table is frozen.
    unsafe fn enter(&mut self) -> Result<(), Fault> {
        if ffi::lua_getmetatable(self.state, -1) == 0 {
            if self.purpose == Purpose::State {
                ffi::lua_pushvalue(self.state, STATE_METATABLE_AT);
                ffi::lua_setmetatable(self.state, -2);
            }
            return Ok(());
        }
        let metatable = ffi::lua_topointer(self.state, -1);
        ffi::lua_pop(self.state, 1);
        if metatable == self.state_metatable {
            return Ok(());
        }
        ffi::lua_pushvalue(self.state, -1);
        let frozen = ffi::lua_rawget(self.state, SHADOWS_AT) == ffi::LUA_TTABLE;
        match (self.purpose, frozen) {
            (Purpose::Output, true) => ffi::lua_replace(self.state, -2),
            (Purpose::Output, false) => ffi::lua_pop(self.state, 1),
            (Purpose::State, true) => {
                let what = "is a constant of the script or a library; store a copy of it";
                return Err(Fault::NotPlain(what.to_owned(), Vec::new()));
            }
            (Purpose::State, false) => return Err(Fault::NotPlain("has a metatable".to_owned(), Vec::new())),
        }
        Ok(())
    }

    /// Writes what is beside the sequence, in order. Returns the greatest height.
    unsafe fn others(&mut self, table: c_int, sequence: i64, depth: u32) -> Result<u32, Fault> {
        let first = self.entries.len();
        ffi::lua_pushnil(self.state);
        while ffi::lua_next(self.state, table) != 0 {
            let value = self.leaf();
            ffi::lua_pop(self.state, 1);
            let Some(key) = key_at(self.state, -1) else {
                let name = std::ffi::CStr::from_ptr(ffi::lua_typename(self.state, ffi::lua_type(self.state, -1)));
                let what = format!("has a key that is a {}", name.to_string_lossy());
                return Err(Fault::NotPlain(what, Vec::new()));
            };
            if !matches!(key, Key::Integer(key) if (1..=sequence).contains(&key)) {
                self.order.push((key.rough(), self.entries.len()));
                self.entries.push(Entry { key, value });
            }
        }
        self.sort_from(first);
        let (mut height, mut next) = (0, first);
        while let Some(&Entry { key, value }) = self.order.get(next).and_then(|(_, at)| self.entries.get(*at)) {
            next += 1;
            let leaf = match key {
                Key::Integer(key) => Leaf::Integer(key),
                Key::Float(key) => Leaf::Float(key),
                Key::Text(key) => Leaf::Text(key),
                Key::Boolean(key) => Leaf::Boolean(key),
            };
            self.write(leaf)?;
            let measure = match value {
                Leaf::Other => {
                    push_key(self.state, key);
                    ffi::lua_rawget(self.state, table);
                    self.value(depth + 1)
                }
                leaf => self.write(leaf),
            };
            height = height.max(measure.map_err(|fault| at(fault, key))?.height);
            ffi::lua_settop(self.state, table);
        }
        self.entries.truncate(first);
        self.order.truncate(first);
        Ok(height)
    }

    /// Sorts the entries of the innermost table, which begin at `first`.
    fn sort_from(&mut self, first: usize) {
        let entries = &self.entries;
        if let Some(order) = self.order.get_mut(first..) {
            order.sort_unstable_by(|(rough_a, a), (rough_b, b)| {
                rough_a.cmp(rough_b).then_with(|| match (entries.get(*a), entries.get(*b)) {
                    (Some(a), Some(b)) => a.key.compare(&b.key),
                    _ => a.cmp(b),
                })
            });
        }
    }
}

/// Adds a step to the way to what is wrong.
fn at(fault: Fault, key: Key<'_>) -> Fault {
    match fault {
        Fault::TooLarge => Fault::TooLarge,
        Fault::NotPlain(what, mut way) => {
            way.push(step(key));
            Fault::NotPlain(what, way)
        }
    }
}

/// A key as Lua writes it behind a table: `.name`, `[3]`, `["two words"]`.
pub(in super::super) fn step(key: Key<'_>) -> String {
    /// The longest part of a key that a text repeats.
    const SHOWN: usize = 80;
    let mut step = String::new();
    // Writing to a string cannot fail.
    let _ = match key {
        Key::Integer(key) => write!(step, "[{key}]"),
        Key::Float(key) => write!(step, "[{key:?}]"),
        Key::Boolean(key) => write!(step, "[{key}]"),
        Key::Text(key) => {
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let is_name = !key.is_empty() && !key[0].is_ascii_digit() && key.iter().all(is_word);
            let text = String::from_utf8_lossy(&key[..key.len().min(SHOWN)]);
            if is_name { write!(step, ".{text}") } else { write!(step, "[{text:?}]") }
        }
    };
    step
}
