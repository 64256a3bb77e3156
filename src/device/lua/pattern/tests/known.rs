//! Known answers, one feature at a time.

use super::super::PatternError;
use super::Tank;
use super::calls::{Answer, Call, Value};

const FIND: Call = Call::Find { from: 1, plain: false };
const MATCH: Call = Call::Match { from: 1 };
const GMATCH: Call = Call::Gmatch { from: 1 };

fn own(call: &Call, subject: &str, pattern: &str) -> Answer {
    call.own(subject.as_bytes(), pattern.as_bytes(), &mut Tank::full())
}

/// The values as one reads them: texts in quotes, `nil`, numbers.
fn written(values: &[Value]) -> String {
    let words = values.iter().map(|value| match value {
        Value::Nil => "nil".to_owned(),
        Value::Integer(integer) => integer.to_string(),
        Value::Text(text) => format!("'{}'", text.escape_ascii()),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_answers(call: &Call, table: &[(&str, &str, &str)]) {
    for (subject, pattern, answer) in table {
        let values = own(call, subject, pattern).unwrap();
        assert_eq!(written(&values), *answer, "{call:?} with subject {subject:?}, pattern {pattern:?}");
    }
}

#[test]
fn find_gives_places_and_captures() {
    let table = [
        ("hello world", "wor", "7 9"),
        ("hello", "xyz", "nil"),
        ("hello", "", "1 0"),
        ("a.b", ".", "1 1"),
        ("a)b", ")", "2 2"),
        ("hello", "l+", "3 4"),
        ("hello", "^l", "nil"),
        ("hello", "^h", "1 1"),
        ("hello", "o$", "5 5"),
        ("a$b", "$b", "2 3"),
        ("key = value", "(%w+) = (%w+)", "1 11 'key' 'value'"),
        ("hello", "()ll()", "3 4 3 5"),
        ("a\0b", "\0", "2 2"),
    ];
    assert_answers(&FIND, &table);
    let plain = [("a.b", ".", "2 2"), ("a.b", "", "1 0"), ("a%b", "%b", "2 3"), ("ab", "abc", "nil")];
    assert_answers(&Call::Find { from: 1, plain: true }, &plain);
    let third =
        [("abab", "a", "3 3"), ("abab", "^a", "3 3"), ("abba", "^a", "nil"), ("ab", "", "3 2"), ("a", "", "nil")];
    assert_answers(&Call::Find { from: 3, plain: false }, &third);
}

#[test]
fn match_gives_captures_or_the_whole() {
    let table = [
        // Repetitions: as much as possible, as little as possible, at most one.
        ("<a><b>", "<.*>", "'<a><b>'"),
        ("<a><b>", "<.->", "'<a>'"),
        ("aaa", "a-", "''"),
        ("color colour", "colou?r$", "'colour'"),
        ("", "a+", "nil"),
        ("ab", "a+ab", "nil"),
        ("", "a*", "''"),
        // Classes and sets.
        ("x1_y2", "%a%d", "'x1'"),
        ("x1_y2", "[^%w]", "'_'"),
        ("tab\there", "%s", "'\\t'"),
        ("a-b", "[a-]+", "'a-'"),
        ("a]b", "[]]", "']'"),
        ("a]b", "[^]]+", "'a'"),
        ("a^b", "[b^]", "'^'"),
        // Who ends a range with `%` and goes on with `%` escapes the bracket that closes the set.
        ("a]", "[a-%%]", "']'"),
        ("50%", "%%", "'%'"),
        ("0xFf", "0x%x+", "'0xFf'"),
        ("deja vu", "%u", "nil"),
        // Balance, frontier, back references.
        ("f(a(b)c)d)", "%b()", "'(a(b)c)'"),
        ("f(a(b", "%b()", "nil"),
        ("say 'it', ok", "(['\"])(.-)%1", "'\\'' 'it'"),
        ("THE (quick) fox", "%f[%a]%a+%f[%A]", "'THE'"),
        ("a fox", "%f[%z]", "''"),
        ("a fox", "%f[%Z]()", "1"),
        ("abab", "(ab)%1", "'ab'"),
        ("aba", "()b%1", "nil"),
        // Captures within captures count by where they open.
        ("2026-07", "((%d+)-(%d+))", "'2026-07' '2026' '07'"),
    ];
    assert_answers(&MATCH, &table);
}

#[test]
fn gmatch_goes_on_where_it_ended() {
    let table = [
        ("one two", "%a+", "1 'one' 1 'two'"),
        ("k=v, x=y", "(%w+)=(%w+)", "2 'k' 'v' 2 'x' 'y'"),
        ("abc", "", "1 '' 1 '' 1 '' 1 ''"),
        // An empty match right behind another is none.
        ("baab", "a*", "1 '' 1 'aa' 1 ''"),
        ("ab", "()", "1 1 1 2 1 3"),
        // The anchor stands for itself.
        ("a^a", "^a", "1 '^a'"),
    ];
    assert_answers(&GMATCH, &table);
}

#[test]
fn gsub_replaces() {
    let gsub = |replacement: &str, most| Call::Gsub { replacement: replacement.as_bytes().to_vec(), most };
    assert_answers(&gsub("<%0>", None), &[("hello world", "o", "'hell<o> w<o>rld' 2"), ("abc", "%d", "'abc' 0")]);
    assert_answers(&gsub("%2 %1", None), &[("hello world", "(%w+) (%w+)", "'world hello' 1")]);
    assert_answers(&gsub("%1%%", None), &[("5 7", "%d", "'5% 7%' 2"), ("ab", "()b", "'a2%' 1")]);
    assert_answers(
        &gsub("-", None),
        &[("abc", "", "'-a-b-c-' 4"), ("abc", "b*", "'-a-c-' 3"), ("aab", "^a", "'-ab' 1")],
    );
    assert_answers(&gsub("x", Some(2)), &[("aaaa", "a", "'xxaa' 2")]);
    assert_answers(&gsub("x", Some(0)), &[("aaaa", "a", "'aaaa' 0")]);
    // Nobody looks at the capture that is never closed.
    assert_answers(&gsub("x", None), &[("ab", "(a", "'xb' 1")]);
    assert_answers(&Call::GsubFunction, &[("a=b c=d e=f", "(%w)=(%w)", "'a,b c=d e,f' 3")]);
    assert_answers(&Call::GsubTable, &[("$x and $y", "%$(%w)", "'<x> and <y>' 2")]);
}

#[test]
fn what_is_wrong_is_said_in_lua_s_words() {
    let table = [
        ("a%", "malformed pattern (ends with '%')"),
        ("[a", "malformed pattern (missing ']')"),
        ("[]", "malformed pattern (missing ']')"),
        ("[a%", "malformed pattern (missing ']')"),
        ("%f[", "malformed pattern (missing ']')"),
        ("%b", "malformed pattern (missing arguments to '%b')"),
        ("%b(", "malformed pattern (missing arguments to '%b')"),
        ("%fa", "missing '[' after '%f' in pattern"),
        ("(a", "unfinished capture"),
        ("a)", "invalid pattern capture"),
        ("%1", "invalid capture index %1"),
        ("(a)%0", "invalid capture index %0"),
        ("(a%1)", "invalid capture index %1"),
    ];
    for (pattern, text) in table {
        assert_eq!(own(&MATCH, "a", pattern).unwrap_err().to_string(), text, "{pattern}");
    }
    // A fault behind what does not match is never seen.
    assert_eq!(own(&MATCH, "a", "b%"), Ok(vec![Value::Nil]));

    let captures = "()".repeat(33);
    assert_eq!(own(&MATCH, "a", &captures), Err(PatternError::TooManyCaptures));
    let deep = "a?".repeat(200);
    assert_eq!(own(&MATCH, &"a".repeat(200), &deep), Err(PatternError::TooComplex));

    for (replacement, error) in [
        ("%", PatternError::ReplacementEscape),
        ("%x", PatternError::ReplacementEscape),
        ("%2", PatternError::CaptureIndex(2)),
    ] {
        let call = Call::Gsub { replacement: replacement.as_bytes().to_vec(), most: None };
        assert_eq!(own(&call, "a", "a"), Err(error), "{replacement}");
    }
}
