//! Real Lua as the judge: the same calls with the same strings have the same answers, errors included.

use proptest::test_runner::{Config, TestRunner};

use super::Tank;
use super::calls::{Call, RealLua};
use super::strings::{calls, patterns, subjects};

#[track_caller]
fn assert_as_in_lua(lua: &RealLua, call: &Call, subject: &[u8], pattern: &[u8]) {
    let own = call.own(subject, pattern, &mut Tank::full()).map_err(|error| error.to_string());
    let real = lua.answer(call, subject, pattern);
    assert_eq!(
        own,
        real,
        "{call:?} with subject \"{}\", pattern \"{}\"",
        subject.escape_ascii(),
        pattern.escape_ascii()
    );
}

#[test]
fn random_calls() {
    let lua = RealLua::new();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(calls(), subjects(), patterns()), |(call, subject, pattern)| {
        assert_as_in_lua(&lua, &call, &subject, &pattern);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn every_class_of_every_byte() {
    let lua = RealLua::new();
    let every_byte: Vec<u8> = (0..=255).collect();
    for class in 0..=255 {
        for pattern in [vec![b'%', class], vec![b'[', b'%', class, b']'], vec![b'[', b'^', class, b'-', b'z', b']']] {
            assert_as_in_lua(&lua, &Call::Gmatch { from: 1 }, &every_byte, &pattern);
        }
    }
}

/// Every string of at most `length` of these bytes.
fn strings_up_to(length: usize, bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut longest) = (vec![Vec::new()], vec![Vec::new()]);
    for _ in 0..length {
        let longer =
            longest.iter().flat_map(|string: &Vec<u8>| bytes.iter().map(|&byte| [string, &[byte][..]].concat()));
        longest = longer.collect();
        all.extend_from_slice(&longest);
    }
    all
}

#[test]
fn every_short_pattern() {
    let lua = RealLua::new();
    for pattern in &strings_up_to(3, b"a]^-%*+?()$.[1bf") {
        assert_as_in_lua(&lua, &Call::Find { from: 1, plain: false }, b"(a]%ab^1", pattern);
        assert_as_in_lua(&lua, &Call::Gmatch { from: 1 }, b"(aa)-", pattern);
        assert_as_in_lua(&lua, &Call::Gsub { replacement: b"<%1>".to_vec(), most: None }, b"^a.", pattern);
    }
}

#[test]
fn every_short_set() {
    let lua = RealLua::new();
    for members in strings_up_to(4, b"a-%]^c") {
        let pattern = [b"[", &members[..], b"]"].concat();
        assert_as_in_lua(&lua, &Call::Gmatch { from: 1 }, b"abc-%]^", &pattern);
    }
}

#[test]
fn the_bounds_on_depth_and_captures() {
    let lua = RealLua::new();
    let subject = [b'a'; 300];
    for count in 195..=202 {
        for (piece, end) in [("a?", ""), ("a?", "a"), ("a?", "b"), ("a-", "$"), ("a*", "")] {
            let pattern = piece.repeat(count) + end;
            // Without a match these would go through more ways than there is time for.
            let subject = if end == "b" { &subject[..0] } else { &subject[..] };
            assert_as_in_lua(&lua, &Call::Match { from: 1 }, subject, pattern.as_bytes());
        }
    }
    for count in 30..=34 {
        for piece in ["()", "(a)", "("] {
            assert_as_in_lua(&lua, &Call::Match { from: 1 }, &subject, piece.repeat(count).as_bytes());
        }
    }
}
