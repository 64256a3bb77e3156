//! Long jumps of Emscripten modules.
//!
//! Code between `setjmp` and what may jump back to it calls through imports `invoke_<types>`. A jump unwinds to the nearest of them,
//! which then tells the module (`setThrew`), and the module finds out where to go on.

use wasmtime::{Extern, Ref, Val, ValType};

use super::{Args, Caller, Reply, call_export};

/// A long jump on its way to the nearest `invoke_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the module jumps out of a function that no one called to be jumped out of")]
pub(in crate::device::wasm) struct LongJump;

/// Whether this is the name of such an import.
pub(super) fn is_invoke(name: &str) -> bool {
    name.strip_prefix("invoke_")
        .is_some_and(|types| !types.is_empty() && types.bytes().all(|one| b"vijfdp".contains(&one)))
}

/// Begins a jump.
pub(super) fn throw(_: &mut Caller<'_>, _: Args<'_>) -> wasmtime::Result<Reply> {
    Err(wasmtime::Error::new(LongJump))
}

/// Stands for an import whose name is [`is_invoke`]; `invoke` serves it.
pub(super) fn unreached(_: &mut Caller<'_>, _: Args<'_>) -> wasmtime::Result<Reply> {
    Err(wasmtime::Error::msg("an invoke import was linked as another function"))
}

/// Calls the function of the module's table that the first argument names, with the others. A jump ends here; what it gives
/// back, in place of results of these types, are zeros.
pub(super) fn invoke(
    mut caller: Caller<'_>,
    args: &[Val],
    answers: &mut [Val],
    results: &[ValType],
) -> wasmtime::Result<()> {
    let index = Args(args).unsigned(0);
    let table = caller.get_export("__indirect_function_table").and_then(Extern::into_table);
    let table =
        table.ok_or_else(|| wasmtime::Error::msg("the module exports no __indirect_function_table to invoke from"))?;
    let Some(Ref::Func(Some(function))) = table.get(&mut caller, index) else {
        return Err(wasmtime::Error::msg(format!(
            "the module invokes function {index} of its table, where there is none"
        )));
    };
    let stack = call_export(&mut caller, &["emscripten_stack_get_current", "stackSave"], &[])?.unwrap_or_default();
    match function.call(&mut caller, args.get(1..).unwrap_or_default(), answers) {
        Err(error) if error.is::<LongJump>() => {
            call_export(&mut caller, &["_emscripten_stack_restore", "stackRestore"], &[stack])?;
            call_export(&mut caller, &["setThrew"], &[1, 0])?;
            for (answer, of_type) in answers.iter_mut().zip(results) {
                *answer = Reply::Whole(0).into_val(of_type);
            }
            Ok(())
        }
        ended => ended,
    }
}
