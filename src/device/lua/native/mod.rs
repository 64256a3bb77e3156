//! What is done on Lua's own interface because it must be fast, or must see what the safe interface hides.
//!
//! Three rules make it sound. A function that Lua calls (`extern "C-unwind"`) holds nothing that wants dropping while it
//! calls into Lua, since an error of Lua jumps over its frame. It cannot panic: it indexes nothing and allocates in Lua
//! only. Where Rust's memory is used (writing a state), Lua is asked only for what cannot fail: reading values, pushing
//! what exists, with the memory limit lifted. Strings of Lua do not move, so a key's bytes stay where they are as long as
//! its table is on the stack.
#![expect(unsafe_code, reason = "Lua's own interface; see the rules above")]
#![expect(unsafe_op_in_unsafe_fn, reason = "every line of these functions is a call of that interface")]

mod account;
mod decode;
mod encode;
mod order;
mod reflect;
mod text;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::LazyLock;

use mlua::ffi::{self, lua_CFunction, lua_State};
use mlua::{Function, Lua, Table};

pub(super) use account::{Charge, register_budget};
pub(super) use decode::decode;
pub(super) use encode::{EncodeError, Purpose, encode, step};

/// The revision of the sandbox: whatever makes the same log yield other outcomes or another state is a new one.
const REVISION: u32 = 1;

unsafe extern "C" {
    /// Lua's own name and release: `$LuaVersion: Lua 5.4.9  Copyright …`.
    static lua_ident: c_char;
}

/// The engine as definitions record it: Lua's release and the sandbox's revision.
pub(super) fn engine() -> &'static str {
    static ENGINE: LazyLock<String> = LazyLock::new(|| {
        // SAFETY: Lua's library defines it as a text that ends with a zero.
        let ident = unsafe { CStr::from_ptr(&raw const lua_ident) }.to_string_lossy();
        let release = ident.split_whitespace().nth(2).unwrap_or("5.4");
        format!("lua {release}/{REVISION}")
    });
    &ENGINE
}

/// Names a place in Lua's registry by its address.
struct Place(#[expect(dead_code, reason = "it has a size, and so an address of its own")] u8);

static STATE_METATABLE: Place = Place(0);
static SHADOWS: Place = Place(0);
static BUDGET: Place = Place(0);

unsafe fn registered(state: *mut lua_State, place: &'static Place) -> c_int {
    ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, std::ptr::from_ref(place).cast())
}

unsafe fn register(state: *mut lua_State, place: &'static Place) {
    ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, std::ptr::from_ref(place).cast());
}

/// Raises an error text at the place of the script that called.
unsafe fn raise(state: *mut lua_State, text: &CStr) -> c_int {
    ffi::luaL_where(state, 1);
    ffi::lua_pushstring(state, text.as_ptr());
    ffi::lua_concat(state, 2);
    ffi::lua_error(state)
}

/// Notes the metatable that tables of the state bear, and the table that leads from what is frozen to its contents.
pub(super) fn register_tables(lua: &Lua, state_metatable: &Table, shadows: &Table) -> mlua::Result<()> {
    let note = |table: &Table, place: &'static Place| {
        // SAFETY: the table is on top of the stack; the registry takes it.
        unsafe { lua.exec_raw::<()>(table.clone(), |state| register(state, place)) }
    };
    note(state_metatable, &STATE_METATABLE)?;
    note(shadows, &SHADOWS)
}

/// The functions that the prelude builds the sandbox from, by name.
pub(super) fn functions(lua: &Lua) -> mlua::Result<Table> {
    let all: [(&str, lua_CFunction); 15] = [
        ("arm", account::arm),
        ("disarm", account::disarm),
        ("border", order::border),
        ("length", order::length),
        ("keys", order::keys),
        ("least", order::least),
        ("die", account::die),
        ("charge", account::charge),
        ("ended", account::has_ended),
        ("memory_ended", account::memory_ended),
        ("tostring", text::tostring),
        ("metatable", reflect::metatable),
        ("set_metatable", reflect::set_metatable),
        ("upvalue", reflect::upvalue),
        ("restore_upvalues", reflect::restore_upvalues),
    ];
    let table = lua.create_table()?;
    for (name, function) in all {
        // SAFETY: these functions keep the rules of this module.
        table.raw_set(name, unsafe { lua.create_c_function(function)? })?;
    }
    Ok(table)
}

/// `function` of Lua's library as one that pays for the bytes it handles. `None` where it is no plain C function.
pub(super) fn charged(lua: &Lua, function: &Function, charge: Charge) -> mlua::Result<Option<Function>> {
    let outer = match charge {
        Charge::Format => text::format,
        _ => account::charged,
    };
    around(lua, function, outer, charge as ffi::lua_Integer)
}

/// `^` of texts, which Lua's own `power` is, made to read the length operator where [`source`](super::source) has put it.
pub(super) fn length_operator(lua: &Lua, power: &Function) -> mlua::Result<Option<Function>> {
    around(lua, power, order::length_or_power, 0)
}

/// `outer`, which knows `function` as its upvalue 1 and `with` as its upvalue 2.
fn around(
    lua: &Lua,
    function: &Function,
    outer: lua_CFunction,
    with: ffi::lua_Integer,
) -> mlua::Result<Option<Function>> {
    // SAFETY: the function is on top of the stack. A library function has no upvalues, so that calling it from within
    // another one's frame shows it the arguments and nothing else.
    unsafe {
        lua.exec_raw(function.clone(), |state| {
            let inner = ffi::lua_tocfunction(state, 1);
            ffi::lua_settop(state, 0);
            let Some(inner) = inner else { return ffi::lua_pushnil(state) };
            ffi::lua_pushlightuserdata(state, inner as *mut c_void);
            ffi::lua_pushinteger(state, with);
            ffi::lua_pushcclosure(state, outer, 2);
        })
    }
}
