//! Random calls with random strings, small enough that any pattern ends.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::calls::Call;

/// What patterns are made of: whole items, halves of them, and what may go wrong.
const PIECES: &[&[u8]] = &[
    b"a", b"b", b"-", b".", b"x", b"1", b"\0", b"\xe9", b"]", b"%", b"[", b"[^", b"^", b"$", b"*", b"+", b"?", b"(",
    b")", b"()", b"(.)", b"(a*)", b"(.-)", b"%1", b"%2", b"%0", b"%a", b"%A", b"%d", b"%s", b"%W", b"%x", b"%p", b"%z",
    b"%%", b"%-", b"%b()", b"%bab", b"%baa", b"%b", b"%f[a]", b"%f[%w]", b"%f[%z]", b"%f[^a]", b"%f", b"[ab]", b"[^a]",
    b"[a-c]", b"[b-a]", b"[]]", b"[^]]", b"[%a-]", b"[-a]", b"[a-%%]", b"[%]]", b"[a-]", b"[%-b]", b"[^%s]", b"[--b]",
    b"[a-b-c]", b"a*", b"b-", b".+", b".?", b".*", b".-", b"%w+",
];

const SUBJECT_BYTES: &[u8] = b"aaabbc(()) -1%x].\0\xe9";

const REPLACEMENT_PIECES: &[&[u8]] = &[b"%0", b"%1", b"%2", b"%%", b"x", b"", b"\0", b"%", b"%9", b"%a"];

pub(super) fn patterns() -> impl Strategy<Value = Vec<u8>> {
    vec(select(PIECES), 0..8).prop_map(|pieces| pieces.concat())
}

pub(super) fn subjects() -> impl Strategy<Value = Vec<u8>> {
    vec(select(SUBJECT_BYTES), 0..13)
}

pub(super) fn calls() -> impl Strategy<Value = Call> {
    let replacements = vec(select(REPLACEMENT_PIECES), 0..4).prop_map(|pieces| pieces.concat());
    prop_oneof![
        (1..15_usize, any::<bool>()).prop_map(|(from, plain)| Call::Find { from, plain }),
        Just(Call::Find { from: 1, plain: false }),
        (1..15_usize).prop_map(|from| Call::Match { from }),
        (1..15_usize).prop_map(|from| Call::Gmatch { from }),
        (replacements, proptest::option::of(0..4_usize))
            .prop_map(|(replacement, most)| Call::Gsub { replacement, most }),
        Just(Call::GsubFunction),
        Just(Call::GsubTable),
    ]
}
