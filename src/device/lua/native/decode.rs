//! Canonical bytes as a value of Lua.

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};
use mlua::{Lua, Table};

use super::super::codec::{Item, Reader, Shape};
use super::{STATE_METATABLE, registered};

/// Builds the table that `reader` stands before. The bytes have passed [`codec::check`](super::super::codec::check), which
/// gave `shape`; an error is Lua's: the memory limit.
pub(in super::super) fn decode(lua: &Lua, reader: Reader<'_>, shape: Shape) -> mlua::Result<Table> {
    // SAFETY: the builder holds a slice and numbers, so an error may jump over its frames. Its depth is bounded by what the
    // bytes were checked for.
    unsafe {
        lua.exec_raw((), |state| {
            registered(state, &STATE_METATABLE);
            ffi::lua_createtable(state, 0, 0);
            let mut builder = Builder { state, reader, shared: shape.shared, tables: 0 };
            builder.next();
            // What is left on the stack is the result.
            ffi::lua_replace(state, 1);
            ffi::lua_settop(state, 1);
        })
    }
}

const STATE_METATABLE_AT: c_int = 1;
const TABLES_AT: c_int = 2;

#[derive(Clone, Copy)]
struct Builder<'a> {
    state: *mut lua_State,
    reader: Reader<'a>,
    /// Whether tables must be remembered, since some are referred to.
    shared: bool,
    tables: i64,
}

impl Builder<'_> {
    /// Pushes the next value. At an end, or where the bytes are not what they were checked to be, pushes nothing.
    unsafe fn next(&mut self) -> bool {
        let Ok(item) = self.reader.step() else { return false };
        match item {
            Item::End => return false,
            Item::Nil => ffi::lua_pushnil(self.state),
            Item::Boolean(boolean) => ffi::lua_pushboolean(self.state, c_int::from(boolean)),
            Item::Integer(integer) => ffi::lua_pushinteger(self.state, integer),
            Item::Float(float) => ffi::lua_pushnumber(self.state, float),
            Item::Text(text) => {
                ffi::lua_pushlstring(self.state, text.as_ptr().cast(), text.len());
            }
            Item::Reference(index) => {
                ffi::lua_rawgeti(self.state, TABLES_AT, i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1));
            }
            Item::Table => self.table(),
        }
        true
    }

    unsafe fn table(&mut self) {
        ffi::luaL_checkstack(self.state, 8, std::ptr::null());
        ffi::lua_createtable(self.state, 0, 0);
        ffi::lua_pushvalue(self.state, STATE_METATABLE_AT);
        ffi::lua_setmetatable(self.state, -2);
        if self.shared {
            self.tables += 1;
            ffi::lua_pushvalue(self.state, -1);
            ffi::lua_rawseti(self.state, TABLES_AT, self.tables);
        }
        let mut index = 0;
        while self.next() {
            index += 1;
            ffi::lua_rawseti(self.state, -2, index);
        }
        while self.next() {
            if !self.next() {
                ffi::lua_pushnil(self.state);
            }
            ffi::lua_rawset(self.state, -3);
        }
    }
}
