//! The order of keys, and a table's length, as functions of the table's contents alone.

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use super::super::codec::Key;
use super::super::source::LENGTH_MARK;
use super::account::{call_inner, pay};

/// The key at `at`, or nothing where its type has no order.
pub(super) unsafe fn key_at<'a>(state: *mut lua_State, at: c_int) -> Option<Key<'a>> {
    match ffi::lua_type(state, at) {
        ffi::LUA_TNUMBER if ffi::lua_isinteger(state, at) != 0 => Some(Key::Integer(ffi::lua_tointeger(state, at))),
        ffi::LUA_TNUMBER => Some(Key::Float(ffi::lua_tonumber(state, at))),
        ffi::LUA_TSTRING => Some(Key::Text(bytes_at(state, at))),
        ffi::LUA_TBOOLEAN => Some(Key::Boolean(ffi::lua_toboolean(state, at) != 0)),
        _ => None,
    }
}

/// The bytes of the text at `at`, which must be one: a number would be changed in place.
pub(super) unsafe fn bytes_at<'a>(state: *mut lua_State, at: c_int) -> &'a [u8] {
    let mut length = 0;
    let text = ffi::lua_tolstring(state, at, &raw mut length).cast::<u8>();
    if text.is_null() { &[] } else { std::slice::from_raw_parts(text, length) }
}

/// Pushes a key.
pub(super) unsafe fn push_key(state: *mut lua_State, key: Key<'_>) {
    match key {
        Key::Integer(key) => ffi::lua_pushinteger(state, key),
        Key::Float(key) => ffi::lua_pushnumber(state, key),
        Key::Text(key) => {
            ffi::lua_pushlstring(state, key.as_ptr().cast(), key.len());
        }
        Key::Boolean(key) => ffi::lua_pushboolean(state, c_int::from(key)),
    }
}

/// How many of the keys 1, 2, … hold something before the first that doesn't.
unsafe fn sequence_length(state: *mut lua_State, table: c_int) -> i64 {
    let mut length = 0;
    while has(state, table, length + 1) {
        length += 1;
    }
    length
}

unsafe fn has(state: *mut lua_State, table: c_int, key: i64) -> bool {
    let found = ffi::lua_rawgeti(state, table, key) != ffi::LUA_TNIL;
    ffi::lua_pop(state, 1);
    found
}

/// The length of a table, found by doubling and halving from 1, whatever it is laid out like in memory.
unsafe fn border_of(state: *mut lua_State, table: c_int) -> i64 {
    let mut low = 0;
    let mut high = 1;
    while has(state, table, high) {
        low = high;
        if high > i64::MAX / 2 {
            break;
        }
        high *= 2;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if has(state, table, middle) { low = middle } else { high = middle }
    }
    low
}

/// `border(table)`: its length, whatever its metatable says.
pub(super) unsafe extern "C-unwind" fn border(state: *mut lua_State) -> c_int {
    let length = border_of(state, 1);
    ffi::lua_pushinteger(state, length);
    1
}

/// `length(value)`: what `#value` gives.
pub(super) unsafe extern "C-unwind" fn length(state: *mut lua_State) -> c_int {
    ffi::lua_settop(state, 1);
    match ffi::lua_type(state, 1) {
        ffi::LUA_TSTRING => {
            let length = ffi::lua_rawlen(state, 1);
            ffi::lua_pushinteger(state, i64::try_from(length).unwrap_or(i64::MAX));
        }
        ffi::LUA_TTABLE => {
            if ffi::luaL_getmetafield(state, 1, c"__len".as_ptr()) == ffi::LUA_TNIL {
                return border(state);
            }
            ffi::lua_pushvalue(state, 1);
            ffi::lua_call(state, 1, 1);
        }
        kind => {
            ffi::luaL_where(state, 1);
            ffi::lua_pushfstring(
                state,
                c"attempt to get length of a %s value".as_ptr(),
                ffi::lua_typename(state, kind),
            );
            ffi::lua_concat(state, 2);
            ffi::lua_error(state);
        }
    }
    1
}

/// `text ^ value` where the text is the mark that stands for the length operator; upvalue 1 is Lua's own `^` of texts.
pub(super) unsafe extern "C-unwind" fn length_or_power(state: *mut lua_State) -> c_int {
    if ffi::lua_type(state, 1) == ffi::LUA_TSTRING && bytes_at(state, 1) == LENGTH_MARK {
        ffi::lua_settop(state, 2);
        ffi::lua_replace(state, 1);
        return length(state);
    }
    call_inner(state)
}

/// Pushes `nil` and the name of a type that cannot be ordered.
unsafe fn unordered(state: *mut lua_State, at: c_int) -> c_int {
    let name = ffi::lua_typename(state, ffi::lua_type(state, at));
    ffi::lua_pushnil(state);
    ffi::lua_pushstring(state, name);
    2
}

/// `least(table)`: the first key in order and its value, `nil` where it is empty, or `nil` and the type without an order.
pub(super) unsafe extern "C-unwind" fn least(state: *mut lua_State) -> c_int {
    let mut count = 0;
    let mut least: Option<Key<'_>> = None;
    ffi::lua_pushnil(state);
    while ffi::lua_next(state, 1) != 0 {
        count += 1;
        ffi::lua_pop(state, 1);
        let Some(key) = key_at(state, -1) else { return unordered(state, -1) };
        if least.is_none_or(|least| key.compare(&least).is_lt()) {
            least = Some(key);
        }
    }
    pay(state, count);
    let Some(key) = least else {
        ffi::lua_pushnil(state);
        return 1;
    };
    push_key(state, key);
    ffi::lua_pushvalue(state, -1);
    ffi::lua_rawget(state, 1);
    2
}

/// Whether `keys` lists a key: it comes after the one given, or is none of the sequence.
fn is_wanted(key: &Key<'_>, after: Option<&Key<'_>>, sequence: i64) -> bool {
    match (key, after) {
        (key, Some(after)) => key.compare(after).is_gt(),
        (Key::Integer(key), None) => !(1..=sequence).contains(key),
        _ => true,
    }
}

/// `keys(table)`: n, where the keys 1..n come first, then the other keys in order as a list (or `nil`) and their number.
/// `keys(table, key)`: 0, and the keys after this one. `nil` and a type where a key of that type has no order.
pub(super) unsafe extern "C-unwind" fn keys(state: *mut lua_State) -> c_int {
    let after = if ffi::lua_gettop(state) > 1 { key_at(state, 2) } else { None };
    ffi::lua_settop(state, 2);
    let mut sequence = if after.is_some() { 0 } else { sequence_length(state, 1) };
    let (mut all, mut count, mut other_numbers) = (0u64, 0, false);
    ffi::lua_pushnil(state);
    while ffi::lua_next(state, 1) != 0 {
        ffi::lua_pop(state, 1);
        all += 1;
        match key_at(state, -1) {
            Some(key) if is_wanted(&key, after.as_ref(), sequence) => {
                count += 1;
                other_numbers |= matches!(key, Key::Integer(_) | Key::Float(_));
            }
            Some(_) => {}
            None => return unordered(state, -1),
        }
    }
    if other_numbers && sequence > 0 {
        // Some of them may come before or between those of the sequence.
        count += usize::try_from(sequence).unwrap_or(0);
        sequence = 0;
    }
    pay(state, all);
    ffi::lua_pushinteger(state, sequence);
    if count == 0 {
        ffi::lua_pushnil(state);
        ffi::lua_pushinteger(state, 0);
        return 3;
    }
    // The keys are sorted in memory of Lua's own: an error that jumps over this frame leaves nothing behind.
    let room = ffi::lua_newuserdatauv(state, count * size_of::<Key<'_>>(), 0).cast::<Key<'_>>();
    let mut at = 0;
    ffi::lua_pushnil(state);
    while ffi::lua_next(state, 1) != 0 {
        ffi::lua_pop(state, 1);
        if let Some(key) = key_at(state, -1)
            && at < count
            && is_wanted(&key, after.as_ref(), sequence)
        {
            room.add(at).write(key);
            at += 1;
        }
    }
    let sorted = std::slice::from_raw_parts_mut(room, at);
    sorted.sort_unstable_by(Key::compare);
    ffi::lua_createtable(state, c_int::try_from(at).unwrap_or(0), 0);
    let mut index = 0;
    for key in sorted.iter() {
        index += 1;
        push_key(state, *key);
        ffi::lua_rawseti(state, -2, index);
    }
    ffi::lua_remove(state, -2);
    ffi::lua_pushinteger(state, index);
    3
}
