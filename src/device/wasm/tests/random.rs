//! Bytes that are no modules, or nearly modules: no panic, no hang.

use proptest::prelude::*;

use super::super::load::prepare;
use super::*;

/// Modules of many kinds of sections, to be damaged.
static MODULES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let old = "(tag $t (param i32))
        (func (result i32) try (result i32) i32.const 1 throw $t catch $t catch_all rethrow 0 end)
        (func try try throw $t delegate 1 catch_all end)";
    let tables = "(table $t 2 funcref) (elem (i32.const 0) $f) (global (mut i64) (i64.const 5)) (start $f)
        (func $f (table.set $t (i32.const 1) (ref.func $f)))";
    let old = old.replace("try throw", "try i32.const 1 throw");
    WIDTHS.iter().flat_map(|width| [&old[..], tables].map(|fields| handler(*width, fields, "", "{}"))).collect()
});

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), is_headed: bool) {
        let header = if is_headed { &b"\0asm\x01\0\0\0"[..] } else { b"" };
        prop_assert!(prepare(&[header, &bytes].concat(), host_is_provided).is_err());
    }

    #[test]
    fn damaged_modules_are_refused_or_still_modules(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = which.get(&MODULES).clone();
        for (at, value) in damages {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(prepared) = prepare(&bytes, host_is_provided) {
            // What the loader lets pass, the engine takes, or says why not.
            let limits = Limits { gas: 100_000, memory: 1 << 20, ..Limits::default() };
            wasmparser::validate(&prepared).unwrap();
            if let Ok(mut process) = create(&bytes, &limits, Interrupt::default()) {
                process.device.init(&entry(0, "", &[]), Mode::Live).unwrap();
                process.call("");
            }
        }
    }
}

fn host_is_provided(module: &str, name: &str) -> bool {
    super::super::host::is_provided(module, name)
}
