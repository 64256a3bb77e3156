//! Gas: the hook that counts instructions, and library functions that pay for what they handle.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use mlua::Lua;
use mlua::ffi::{self, lua_CFunction, lua_Debug, lua_State};

use super::{BUDGET, register, registered};
use crate::config::limits::LimitKey;
use crate::device::budget::{Budget, End};

/// The hook runs after so many instructions, and each time takes as much gas. That it counts at all is what costs (a
/// factor of two); how often makes no difference.
const STEP: c_int = 100;

/// What is smaller is paid for by the instruction that calls.
const FREE: u64 = 256;

/// What a library function pays for, one gas a byte or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Charge {
    /// Its arguments.
    Arguments,
    /// Its results.
    Results,
    /// The text that `string.rep` will make.
    Repeat,
    /// The range of a text between its second and third argument.
    Range,
    /// Its arguments by number, whatever their size.
    Count,
    /// The characters that `utf8.offset` passes.
    Offset,
    /// What `string.format` is given; addresses are kept out, too.
    Format,
}

/// Notes the account that the functions of this module use.
///
/// The caller keeps `budget` as long as `lua` runs.
pub(in super::super) fn register_budget(lua: &Lua, budget: &Arc<Budget>) -> mlua::Result<()> {
    let pointer = Arc::as_ptr(budget).cast_mut();
    // SAFETY: the pointer is only kept here; it is read while `budget` lives.
    unsafe {
        lua.exec_raw((), |state| {
            ffi::lua_pushlightuserdata(state, pointer.cast());
            register(state, &BUDGET);
        })
    }
}

/// `arm()`: starts to count the instructions of this thread from zero; coroutines that it makes count their own.
pub(super) unsafe extern "C-unwind" fn arm(state: *mut lua_State) -> c_int {
    ffi::lua_sethook(state, Some(hook), ffi::LUA_MASKCOUNT, STEP);
    0
}

/// `disarm()`: lets instructions pass uncounted.
pub(super) unsafe extern "C-unwind" fn disarm(state: *mut lua_State) -> c_int {
    ffi::lua_sethook(state, None, 0, 0);
    0
}

unsafe fn budget<'a>(state: *mut lua_State) -> Option<&'a Budget> {
    // A library function may have filled the stack with its results.
    if ffi::lua_checkstack(state, 4) == 0 {
        return None;
    }
    registered(state, &BUDGET);
    let budget: *const Budget = ffi::lua_touserdata(state, -1).cast();
    ffi::lua_pop(state, 1);
    budget.as_ref()
}

unsafe extern "C-unwind" fn hook(state: *mut lua_State, _: *mut lua_Debug) {
    if budget(state).is_some_and(|budget| budget.spend(STEP as u64).is_err()) {
        die(state);
    }
}

/// Unwinds, after which no instruction of this thread goes through any more.
pub(super) unsafe extern "C-unwind" fn die(state: *mut lua_State) -> c_int {
    ffi::lua_sethook(state, Some(hook), ffi::LUA_MASKCOUNT, 1);
    ffi::lua_pushstring(state, c"the call has ended".as_ptr());
    ffi::lua_error(state)
}

pub(super) unsafe fn pay(state: *mut lua_State, gas: u64) {
    if gas > FREE && budget(state).is_some_and(|budget| budget.spend(gas).is_err()) {
        die(state);
    }
}

/// `charge(gas)`
pub(super) unsafe extern "C-unwind" fn charge(state: *mut lua_State) -> c_int {
    let gas = u64::try_from(ffi::lua_tointeger(state, 1)).unwrap_or(0);
    if budget(state).is_some_and(|budget| budget.spend(gas).is_err()) {
        die(state);
    }
    0
}

/// `ended()`: whether the call has ended.
pub(super) unsafe extern "C-unwind" fn has_ended(state: *mut lua_State) -> c_int {
    let ended = budget(state).is_some_and(|budget| budget.ended().is_some());
    ffi::lua_pushboolean(state, c_int::from(ended));
    1
}

/// `memory_ended()`: Lua had no memory left, so the call ends.
pub(super) unsafe extern "C-unwind" fn memory_ended(state: *mut lua_State) -> c_int {
    if let Some(budget) = budget(state) {
        budget.end(End::Limit(LimitKey::Memory));
    }
    die(state)
}

/// A library function that pays. Upvalues: the function itself, and a [`Charge`].
pub(super) unsafe extern "C-unwind" fn charged(state: *mut lua_State) -> c_int {
    let charge = ffi::lua_tointeger(state, ffi::lua_upvalueindex(2));
    let arguments = ffi::lua_gettop(state);
    let before = match charge {
        c if c == Charge::Arguments as i64 => texts(state, 1, arguments),
        c if c == Charge::Repeat as i64 => repeated(state),
        c if c == Charge::Range as i64 => range(state),
        c if c == Charge::Count as i64 => u64::try_from(arguments).unwrap_or(0),
        c if c == Charge::Offset as i64 => ffi::lua_tointeger(state, 2).unsigned_abs().min(texts(state, 1, 1)),
        _ => 0,
    };
    pay(state, before);
    let results = call_inner(state);
    if charge == Charge::Results as i64 {
        let top = ffi::lua_gettop(state);
        pay(state, texts(state, top - results + 1, top));
    }
    results
}

/// Runs the library function of upvalue 1 in this frame, so that its errors name it and the script's line.
pub(super) unsafe fn call_inner(state: *mut lua_State) -> c_int {
    let inner = ffi::lua_touserdata(state, ffi::lua_upvalueindex(1));
    if inner.is_null() {
        return 0;
    }
    // SAFETY: `super::charged` put a function of this type there.
    let inner = std::mem::transmute::<*mut c_void, lua_CFunction>(inner);
    inner(state)
}

/// The bytes of texts between two places of the stack, and one for each value.
pub(super) unsafe fn texts(state: *mut lua_State, from: c_int, to: c_int) -> u64 {
    let mut sum = 0u64;
    for at in from..=to {
        let length = if ffi::lua_type(state, at) == ffi::LUA_TSTRING { ffi::lua_rawlen(state, at) } else { 0 };
        sum = sum.saturating_add(length as u64 + 1);
    }
    sum
}

unsafe fn repeated(state: *mut lua_State) -> u64 {
    let times = u64::try_from(ffi::lua_tointeger(state, 2)).unwrap_or(0);
    /// The longest text of a number, which may be given in place of one.
    const NUMBER: u64 = 24;
    let length = |at| match ffi::lua_type(state, at) {
        ffi::LUA_TSTRING => ffi::lua_rawlen(state, at) as u64,
        ffi::LUA_TNUMBER => NUMBER,
        _ => 0,
    };
    length(1).saturating_add(length(3)).saturating_mul(times)
}

unsafe fn range(state: *mut lua_State) -> u64 {
    if ffi::lua_type(state, 1) != ffi::LUA_TSTRING {
        return 0;
    }
    let length = i64::try_from(ffi::lua_rawlen(state, 1)).unwrap_or(i64::MAX);
    let place = |at: c_int, default: i64| {
        let given = if ffi::lua_isinteger(state, at) != 0 { ffi::lua_tointeger(state, at) } else { default };
        if given < 0 { length.saturating_add(given).saturating_add(1) } else { given }.clamp(0, length)
    };
    u64::try_from(place(3, length) - place(2, 1)).unwrap_or(0)
}
