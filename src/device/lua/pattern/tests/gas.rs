//! What a call costs: everything it does, always the same, and never more than there is.

use proptest::prelude::*;

use super::super::{Exhausted, Fuel, Matches, PatternError, Substitution, find, find_plain, has_specials};
use super::Tank;
use super::calls::Call;
use super::strings::{calls, patterns, subjects};

const EXHAUSTED: PatternError = PatternError::Exhausted(Exhausted);

proptest! {
    #[test]
    fn exactly_its_gas_suffices(call in calls(), subject in subjects(), pattern in patterns()) {
        let mut full = Tank::full();
        let answer = call.own(&subject, &pattern, &mut full);

        let mut exact = Tank::of(full.spent);
        prop_assert_eq!(&call.own(&subject, &pattern, &mut exact), &answer);
        prop_assert_eq!(exact.left, 0);

        if let Some(less) = full.spent.checked_sub(1) {
            prop_assert_eq!(call.own(&subject, &pattern, &mut Tank::of(less)), Err(EXHAUSTED));
        }
    }
}

#[test]
fn a_pattern_that_never_ends_is_stopped() {
    let optional = "a?".repeat(26) + &"a".repeat(26) + "b";
    let lazy = "(.-)".repeat(8) + "x";
    let greedy = ".*".repeat(8) + "x";
    let again = "(.*)(.*)(.*)%1%2%3x";
    for pattern in [&optional, &lazy, &greedy, again] {
        let mut tank = Tank::of(1_000_000);
        assert_eq!(find(&[b'a'; 10_000], pattern.as_bytes(), 0, &mut tank), Err(EXHAUSTED), "{pattern}");
        assert!(tank.left < 64, "{pattern} was stopped with {} units left", tank.left);
    }
}

/// Remembers the largest request.
struct Largest(u64);

impl Fuel for Largest {
    fn spend(&mut self, gas: u64) -> Result<(), Exhausted> {
        self.0 = self.0.max(gas);
        Ok(())
    }
}

#[test]
fn a_match_never_works_long_before_it_pays() {
    let subject = [&[b'('; 200][..], &[b'a'; 200]].concat();
    let set = [b"[", &[b'x'; 500][..], b"]*b"].concat();
    for pattern in [&b"%b()"[..], b"(.+)%1b", b".*b", b".-b", b"%a*$", b"%f[%d]", &set] {
        let mut largest = Largest(0);
        find(&subject, pattern, 0, &mut largest).unwrap();
        assert_eq!(largest.0, 64, "{}", pattern.escape_ascii());
    }
}

fn gas(call: impl FnOnce(&mut Tank) -> Result<(), PatternError>) -> u64 {
    let mut tank = Tank::full();
    call(&mut tank).unwrap();
    tank.spent
}

#[test]
fn work_costs_what_it_is() {
    let subject = &[b'a'; 1000];
    let found = |pattern: &[u8]| gas(|tank| find(subject, pattern, 0, tank).map(drop));

    // One that matches at once costs next to nothing, whatever the subject.
    assert!(found(b"a") < 5);
    assert!(found(b"a*$") >= 1000);
    assert!(found(b"^b").saturating_add(5) < found(b"b"));
    assert!(found(b"b") >= 1000);
    // Each place has to look at the rest of the subject.
    assert!(found(b"a*b") >= 1000 * 1000 / 2);
    assert!(found(b"%bab") >= 1000 * 1000 / 2);
    // A set is read for its end and searched for the byte.
    let set = [b"^[", &[b'x'; 1000][..], b"]"].concat();
    assert!(found(&set) >= 2000);
    // Half of the subject is compared with the other half.
    assert!(found(b"^(.-)%1$") >= 500);

    let plain = |needle: &[u8]| gas(|tank| find_plain(subject, needle, 0, tank).map(drop));
    assert_eq!(plain(b"aaaa"), 4);
    assert_eq!(plain(b"b"), 1000);
    assert!(plain(&[&[b'a'; 500][..], b"b"].concat()) >= 500 * 500);
    assert_eq!(plain(&[b'a'; 1001]), 0);

    assert_eq!(gas(|tank| has_specials(subject, tank).map(drop)), 1000);
    assert_eq!(gas(|tank| has_specials(b"aa*aa", tank).map(drop)), 3);
}

/// Replaces each byte of `subject` by `replacement`.
fn replace_all(subject: &[u8], replacement: &[u8], room: usize, tank: &mut Tank) -> Result<usize, PatternError> {
    let (mut matches, mut out) = (Matches::gsub(), Substitution::new(subject, room));
    while let Some(found) = matches.next(subject, b".", tank)? {
        out.expand(&found, replacement, tank)?;
    }
    let text = out.finish(tank)?.unwrap_or_default();
    assert!(text.capacity() <= room, "{} bytes of memory with room for {room}", text.capacity());
    Ok(text.len())
}

#[test]
fn a_substitution_pays_for_its_text_and_keeps_to_its_room() {
    let (subject, replacement) = ([b'a'; 100], "%0".repeat(50));
    let run = |room, tank: &mut Tank| replace_all(&subject, replacement.as_bytes(), room, tank);

    let mut tank = Tank::full();
    assert_eq!(run(5000, &mut tank), Ok(5000));
    assert!(tank.spent >= 5000);
    assert_eq!(run(4999, &mut Tank::full()), Err(PatternError::NoRoom { room: 4999 }));
    assert_eq!(run(usize::MAX, &mut Tank::of(5000)), Err(EXHAUSTED));
}

#[test]
fn the_deepest_pattern_fits_a_small_stack() {
    let find_deep = |piece: &str, tail: &[u8]| {
        // The bound on depth is met behind the captures.
        let pattern = "(a)(b)".repeat(16) + &piece.repeat(100) + "$";
        let subject = [b"ab".repeat(16), tail.repeat(200)].concat();
        let run = move || find(&subject, pattern.as_bytes(), 0, &mut Tank::of(1_000_000));
        // What code without optimisation takes; with it a quarter is enough.
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap();
        thread.join().unwrap()
    };
    assert_eq!(find_deep("a?b?", b"ab"), Err(PatternError::TooComplex));
    assert_eq!(find_deep("a*b*", b"ab"), Err(PatternError::TooComplex));
    assert_eq!(find_deep("a-a-", b"a"), Err(PatternError::TooComplex));
}

#[test]
fn limits_are_told_from_faults() {
    assert!(EXHAUSTED.is_limit());
    assert!(PatternError::NoRoom { room: 0 }.is_limit());
    let fault = Call::Match { from: 1 }.own(b"a", b"[", &mut Tank::full()).unwrap_err();
    assert!(!fault.is_limit());
}
