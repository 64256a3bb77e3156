//! What Emscripten's C library asks of its surroundings.

use super::access::{copy, memory, read_text, write};
use super::{Args, Caller, Reply, Serve, charge, invoke, time, wasi};
use crate::device::wasm::abi::Exit;
use crate::device::wasm::limiter;

/// Errors of the C library.
const NO_ENTRY: Reply = Reply::Whole(-44);
const NOT_THERE: Reply = Reply::Whole(-52);
const OUT_OF_RANGE: Reply = Reply::Whole(-68);
const NOTHING: Reply = Reply::Whole(0);

/// Bytes of a memory's page.
const PAGE: u64 = 64 << 10;
/// Bytes that are copied for one unit of gas.
const COPIED: u64 = 16;

/// The function called `name`.
pub(super) fn served(name: &str) -> Option<Serve> {
    Some(match name {
        "_emscripten_throw_longjmp" | "emscripten_longjmp" => invoke::throw,
        "emscripten_resize_heap" => resize,
        "emscripten_get_heap_max" => heap_max,
        "emscripten_notify_memory_growth" | "_emscripten_runtime_keepalive_clear" | "_setitimer_js" => {
            |_, _| Ok(NOTHING)
        }
        "_emscripten_memcpy_js" | "emscripten_memcpy_js" | "emscripten_memcpy_big" => copy_bytes,
        "emscripten_date_now" | "emscripten_get_now" => now,
        "_emscripten_get_now_is_monotonic" | "emscripten_get_now_is_monotonic" => |_, _| Ok(Reply::Whole(1)),
        "emscripten_get_now_res" => |_, _| Ok(Reply::Real(1_000_000.0)),
        "getentropy" | "_emscripten_getentropy" => wasi::random,
        "emscripten_err" | "emscripten_out" | "emscripten_console_log" | "emscripten_console_error" => print,
        "_abort_js" | "abort" => |_, _| Err(wasmtime::Error::new(Exit::Abort)),
        "__assert_fail" => assertion,
        "__cxa_throw" => |_, _| Err(wasmtime::Error::new(Exit::Thrown)),
        "exit" | "_exit" => wasi::exit,
        "strftime" | "strftime_l" => time::format,
        "_mktime_js" | "_timegm_js" => time::make,
        "_localtime_js" | "_gmtime_js" => time::split,
        "_tzset_js" => time::zone,
        "_emscripten_system" => system,
        // No drive is attached: nothing can be opened, so there is nothing to read or close.
        "__asyncjs__weavedrive_open" | "__asyncjs__weavedrive_read" | "__asyncjs__weavedrive_close" => {
            |_, _| Ok(NOTHING)
        }
        "_mmap_js" | "_munmap_js" | "_msync_js" => |_, _| Ok(NOT_THERE),
        "__syscall_getcwd" => working_folder,
        "__syscall_openat"
        | "__syscall_stat64"
        | "__syscall_lstat64"
        | "__syscall_newfstatat"
        | "__syscall_faccessat"
        | "__syscall_readlinkat"
        | "__syscall_unlinkat"
        | "__syscall_rmdir"
        | "__syscall_renameat" => |_, _| Ok(NO_ENTRY),
        name if name.starts_with("__syscall_") => |_, _| Ok(NOT_THERE),
        name if invoke::is_invoke(name) => invoke::unreached,
        _ => return None,
    })
}

/// Grows the memory to at least so many bytes, and by a fifth at least, so that a program that grows step by step does so in
/// few steps.
fn resize(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let (memory, wanted) = (memory(caller)?, args.unsigned(0));
    let held = memory.data_size(&*caller) as u64;
    let limit = caller.data().limiter.memory;
    let better = held.saturating_add(held / 5).min(limit).max(wanted);
    for goal in [better, wanted] {
        let pages = goal.saturating_sub(held).div_ceil(PAGE);
        match memory.grow(&mut *caller, pages) {
            Ok(_) => return Ok(Reply::Whole(1)),
            Err(error) if error.is::<limiter::Stopped>() => {
                if goal == wanted {
                    return Err(error);
                }
            }
            Err(error) if error.is::<limiter::NoMemory>() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(NOTHING)
}

fn heap_max(caller: &mut Caller<'_>, _: Args<'_>) -> wasmtime::Result<Reply> {
    let memory = memory(caller)?;
    let own = memory.ty(&*caller).maximum().map_or(u64::MAX, |pages| pages.saturating_mul(PAGE));
    let most = own.min(caller.data().limiter.memory);
    Ok(Reply::Whole(i64::try_from(most).unwrap_or(i64::MAX)))
}

fn copy_bytes(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let length = args.unsigned(2);
    charge(caller, length / COPIED)?;
    copy(caller, args.unsigned(0), args.unsigned(1), length)?;
    Ok(NOTHING)
}

fn now(caller: &mut Caller<'_>, _: Args<'_>) -> wasmtime::Result<Reply> {
    Ok(Reply::Real(caller.data().timestamp as f64))
}

fn print(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let mut text = read_text(caller, args.unsigned(0))?;
    text.push(b'\n');
    caller.data_mut().print(&text);
    Ok(NOTHING)
}

fn assertion(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let text = read_text(caller, args.unsigned(0))?;
    Err(wasmtime::Error::new(Exit::Assertion(String::from_utf8_lossy(&text).into_owned())))
}

/// Whether there is a shell: no. To run something in it fails.
fn system(_: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    Ok(if args.unsigned(0) == 0 { NOTHING } else { NOT_THERE })
}

fn working_folder(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let folder = b"/\0";
    if args.unsigned(1) < folder.len() as u64 {
        return Ok(OUT_OF_RANGE);
    }
    write(caller, args.unsigned(0), folder)?;
    Ok(Reply::Whole(folder.len() as i64))
}
