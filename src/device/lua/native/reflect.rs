//! What Lua's `debug` library would show, for the prelude alone.

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use super::order::bytes_at;

/// `metatable(value)`: its metatable, whatever `__metatable` says.
pub(super) unsafe extern "C-unwind" fn metatable(state: *mut lua_State) -> c_int {
    if ffi::lua_gettop(state) == 0 || ffi::lua_getmetatable(state, 1) == 0 {
        ffi::lua_pushnil(state);
    }
    1
}

/// `set_metatable(value, metatable)`: sets it, whatever `__metatable` says; returns the value.
pub(super) unsafe extern "C-unwind" fn set_metatable(state: *mut lua_State) -> c_int {
    ffi::lua_settop(state, 2);
    ffi::lua_setmetatable(state, 1);
    1
}

/// `upvalue(function, index)`: name, value and identity of a variable that a function keeps; nothing beyond the last.
pub(super) unsafe extern "C-unwind" fn upvalue(state: *mut lua_State) -> c_int {
    let index = c_int::try_from(ffi::lua_tointeger(state, 2)).unwrap_or(0);
    let name = ffi::lua_getupvalue(state, 1, index);
    if name.is_null() {
        return 0;
    }
    ffi::lua_pushstring(state, name);
    ffi::lua_rotate(state, -2, 1);
    ffi::lua_pushlightuserdata(state, ffi::lua_upvalueid(state, 1, index));
    3
}

/// `restore_upvalues(list, count)`: gives variables back the values they had, and returns the least name of those that had
/// others. The list holds name, function, index and value of each in a row; `count` is how many there are.
pub(super) unsafe extern "C-unwind" fn restore_upvalues(state: *mut lua_State) -> c_int {
    let count = ffi::lua_tointeger(state, 2);
    ffi::lua_settop(state, 1);
    ffi::lua_pushnil(state);
    for entry in 0..count {
        let at = entry * 4;
        ffi::lua_rawgeti(state, 1, at + 2);
        ffi::lua_rawgeti(state, 1, at + 3);
        let index = c_int::try_from(ffi::lua_tointeger(state, -1)).unwrap_or(0);
        ffi::lua_settop(state, 3);
        ffi::lua_rawgeti(state, 1, at + 4);
        if !ffi::lua_getupvalue(state, 3, index).is_null() && !is_same(state, 4, 5) {
            ffi::lua_pushvalue(state, 4);
            ffi::lua_setupvalue(state, 3, index);
            ffi::lua_rawgeti(state, 1, at + 1);
            // The list's order is chance, so the least name is the one to tell.
            if ffi::lua_isnil(state, 2) != 0 || bytes_at(state, -1) < bytes_at(state, 2) {
                ffi::lua_replace(state, 2);
            }
        }
        ffi::lua_settop(state, 2);
    }
    1
}

/// Whether two values cannot be told apart: 1 and 1.0 can, a NaN and itself can't.
unsafe fn is_same(state: *mut lua_State, a: c_int, b: c_int) -> bool {
    if ffi::lua_type(state, a) != ffi::LUA_TNUMBER || ffi::lua_type(state, b) != ffi::LUA_TNUMBER {
        return ffi::lua_rawequal(state, a, b) != 0;
    }
    match (ffi::lua_isinteger(state, a) != 0, ffi::lua_isinteger(state, b) != 0) {
        (true, true) => ffi::lua_tointeger(state, a) == ffi::lua_tointeger(state, b),
        (false, false) => ffi::lua_tonumber(state, a).to_bits() == ffi::lua_tonumber(state, b).to_bits(),
        _ => false,
    }
}
