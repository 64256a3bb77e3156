//! WASI preview 1, of which there is a clock, randomness and a place to print; no files, no network, no environment.

use super::access::{read, read_word, width, write, write_word};
use super::{Args, Caller, Reply, Serve, charge};
use crate::device::wasm::abi::Exit;

const SUCCESS: Reply = Reply::Whole(0);
const BAD_DESCRIPTOR: Reply = Reply::Whole(8);
const NO_ENTRY: Reply = Reply::Whole(44);
const NOT_THERE: Reply = Reply::Whole(52);
const NOT_SEEKABLE: Reply = Reply::Whole(70);

/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;
/// Parts of one write that are looked at.
const PARTS_MOST: u64 = 1024;
/// Random bytes are made in portions of so many.
const PORTION: usize = 4096;

/// The function called `name`.
pub(super) fn served(name: &str) -> Option<Serve> {
    Some(match name {
        "clock_time_get" => clock_time,
        "clock_res_get" => clock_resolution,
        "random_get" => random,
        "args_sizes_get" | "environ_sizes_get" => no_texts,
        "args_get" | "environ_get" | "sched_yield" | "fd_close" | "fd_sync" | "fd_datasync" => |_, _| Ok(SUCCESS),
        "fd_write" => write_parts,
        "fd_read" => read_nothing,
        "fd_fdstat_get" => describe,
        "fd_seek" | "fd_tell" => |_, _| Ok(NOT_SEEKABLE),
        "proc_exit" => exit,
        "fd_advise"
        | "fd_allocate"
        | "fd_fdstat_set_flags"
        | "fd_fdstat_set_rights"
        | "fd_filestat_get"
        | "fd_filestat_set_size"
        | "fd_filestat_set_times"
        | "fd_pread"
        | "fd_prestat_get"
        | "fd_prestat_dir_name"
        | "fd_pwrite"
        | "fd_readdir"
        | "fd_renumber" => |_, _| Ok(BAD_DESCRIPTOR),
        "path_create_directory"
        | "path_filestat_get"
        | "path_filestat_set_times"
        | "path_link"
        | "path_open"
        | "path_readlink"
        | "path_remove_directory"
        | "path_rename"
        | "path_symlink"
        | "path_unlink_file" => |_, _| Ok(NO_ENTRY),
        "poll_oneoff" | "proc_raise" | "sock_accept" | "sock_recv" | "sock_send" | "sock_shutdown" => {
            |_, _| Ok(NOT_THERE)
        }
        _ => return None,
    })
}

/// Every clock stands at the message's time.
fn clock_time(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let now = caller.data().timestamp.saturating_mul(MILLISECOND);
    write(caller, args.unsigned(2), &now.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_resolution(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    write(caller, args.unsigned(1), &MILLISECOND.to_le_bytes())?;
    Ok(SUCCESS)
}

/// Numbers that anybody can tell who knows process and slot: they only have to differ.
pub(super) fn random(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    let (mut at, mut left) = (args.unsigned(0), args.unsigned(1));
    // Whether there is room is known before the first byte is made.
    read(caller, at, left)?;
    let mut portion = [0; PORTION];
    while left > 0 {
        let host = caller.data_mut();
        let (process, slot) = (&host.process, host.slot);
        let numbers = host.random.get_or_insert_with(|| {
            let mut hasher = blake3::Hasher::new_derive_key("mainstay 2026 random numbers of a WebAssembly call");
            hasher.update(&slot.0.to_le_bytes()).update(process.as_str().as_bytes());
            hasher.finalize_xof()
        });
        numbers.fill(&mut portion);
        let part = left.min(PORTION as u64);
        write(caller, at, portion.get(..part as usize).unwrap_or_default())?;
        (at, left) = (at + part, left - part);
        charge(caller, part)?;
    }
    Ok(SUCCESS)
}

fn no_texts(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    write_word(caller, args.unsigned(0), 0)?;
    write_word(caller, args.unsigned(1), 0)?;
    Ok(SUCCESS)
}

fn write_parts(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    if !matches!(args.unsigned(0), 1 | 2) {
        return Ok(BAD_DESCRIPTOR);
    }
    let (parts, count) = (args.unsigned(1), args.unsigned(2).min(PARTS_MOST));
    let (width, mut written) = (width(caller), 0u64);
    for part in 0..count {
        let part = parts.saturating_add(part * 2 * width);
        let (at, length) = (read_word(caller, part)?, read_word(caller, part.saturating_add(width))?);
        let text = read(caller, at, length)?;
        let text = text.get(..super::PRINTS_MOST).unwrap_or(text).to_vec();
        caller.data_mut().print(&text);
        written = written.saturating_add(length);
    }
    write_word(caller, args.unsigned(3), written)?;
    Ok(SUCCESS)
}

fn read_nothing(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    if args.unsigned(0) != 0 {
        return Ok(BAD_DESCRIPTOR);
    }
    write_word(caller, args.unsigned(3), 0)?;
    Ok(SUCCESS)
}

/// The standard streams are terminals that take everything.
fn describe(caller: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    if args.unsigned(0) > 2 {
        return Ok(BAD_DESCRIPTOR);
    }
    let mut description = [0; 24];
    description[0] = 2;
    write(caller, args.unsigned(1), &description)?;
    Ok(SUCCESS)
}

/// Ends the call: a process does not exit.
pub(super) fn exit(_: &mut Caller<'_>, args: Args<'_>) -> wasmtime::Result<Reply> {
    Err(wasmtime::Error::new(Exit::Code(args.signed(0))))
}
