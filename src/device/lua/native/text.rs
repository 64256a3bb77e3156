//! Values as text, without addresses: those differ from run to run.

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};

use super::account::{call_inner, pay, texts};
use super::raise;

/// Pushes the text of the value at `at`: what Lua gives, but the type (or `__name`) instead of an address.
unsafe fn push_text(state: *mut lua_State, at: c_int) {
    match ffi::lua_type(state, at) {
        ffi::LUA_TNUMBER => {
            let is_nan = ffi::lua_tonumber(state, at).is_nan();
            // The sign of a NaN is the machine's.
            if is_nan {
                ffi::lua_pushstring(state, c"nan".as_ptr());
            } else {
                ffi::luaL_tolstring(state, at, std::ptr::null_mut());
            }
        }
        ffi::LUA_TNIL | ffi::LUA_TBOOLEAN | ffi::LUA_TSTRING => {
            ffi::luaL_tolstring(state, at, std::ptr::null_mut());
        }
        kind => {
            if ffi::luaL_getmetafield(state, at, c"__tostring".as_ptr()) != ffi::LUA_TNIL {
                ffi::lua_pop(state, 1);
                ffi::luaL_tolstring(state, at, std::ptr::null_mut());
                return;
            }
            match ffi::luaL_getmetafield(state, at, c"__name".as_ptr()) {
                ffi::LUA_TSTRING => return,
                ffi::LUA_TNIL => {}
                _ => ffi::lua_pop(state, 1),
            }
            ffi::lua_pushstring(state, ffi::lua_typename(state, kind));
        }
    }
}

/// `tostring(value)`
pub(super) unsafe extern "C-unwind" fn tostring(state: *mut lua_State) -> c_int {
    if ffi::lua_gettop(state) == 0 {
        return raise(state, c"bad argument #1 to 'tostring' (value expected)");
    }
    push_text(state, 1);
    1
}

/// `string.format(format, ...)`: upvalue 1 is Lua's own. What `%s` shows is made here; `%p` shows no address.
pub(super) unsafe extern "C-unwind" fn format(state: *mut lua_State) -> c_int {
    let arguments = ffi::lua_gettop(state);
    if ffi::lua_type(state, 1) == ffi::LUA_TSTRING {
        let mut length = 0;
        let text = ffi::lua_tolstring(state, 1, &raw mut length).cast::<u8>();
        let mut rest = std::slice::from_raw_parts(text, length).iter();
        let mut argument = 1;
        while let Some(byte) = rest.next() {
            if *byte != b'%' {
                continue;
            }
            let is_modifier = |byte: &&u8| b"-+ #0123456789.".contains(byte);
            let Some(conversion) = rest.by_ref().find(|byte| !is_modifier(byte)) else { break };
            if *conversion == b'%' {
                continue;
            }
            argument += 1;
            if argument > arguments {
                break;
            }
            match conversion {
                b's' => push_text(state, argument),
                b'p' => ffi::lua_pushboolean(state, 0),
                _ => continue,
            }
            ffi::lua_replace(state, argument);
        }
    }
    pay(state, texts(state, 1, arguments));
    call_inner(state)
}
