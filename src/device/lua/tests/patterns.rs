//! Pattern functions as scripts call them. What matches is the matter of `pattern`.

use super::*;

#[test]
fn pattern_functions_are_those_of_lua() {
    let cases = [
        ("return {('hello world'):find('o w')}", "[5,7]"),
        ("return {('hello'):find('l')}", "[3,3]"),
        ("return {('hello'):find('(l)(l)')}", r#"[3,4,"l","l"]"#),
        ("return {('a.b'):find('.', 2, true)}", "[2,2]"),
        ("return {('hello'):find('')}", "[1,0]"),
        ("return {('hello'):find('', 6)}", "[6,5]"),
        ("return {('hello'):find('', 7)}", "{}"),
        ("return {('hello'):find('l', -2)}", "[4,4]"),
        ("return {('hello'):find('h', -100)}", "[1,1]"),
        ("return {('hello'):find('()ll()')}", "[3,4,3,5]"),
        ("return ('key=value'):match('(%w+)=(%w+)')", r#""key""#),
        ("return {('key=value'):match('(%w+)=(%w+)')}", r#"["key","value"]"#),
        ("return ('  trim '):match('^%s*(.-)%s*$')", r#""trim""#),
        ("return ('2026-11-21'):match('%d+', 6)", r#""11""#),
        ("return ('x'):match('y')", "null"),
        ("return string.match(123, 2)", r#""2""#),
        (
            "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[k] = v end return t",
            r#"{"a":"1","b":"2"}"#,
        ),
        ("local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t", r#"["one","two"]"#),
        ("local t = {} for p in ('abc'):gmatch('()') do t[#t + 1] = p end return t", "[1,2,3,4]"),
        ("local t = {} for w in ('abc'):gmatch('%a', 2) do t[#t + 1] = w end return t", r#"["b","c"]"#),
        ("local t = {} for w in ('abc'):gmatch('%a', -1) do t[#t + 1] = w end return t", r#"["c"]"#),
        ("local t = {} for w in ('abc'):gmatch('', 9) do t[#t + 1] = w end return t", "{}"),
        ("return {('hello'):gsub('l', 'L')}", r#"["heLLo",2]"#),
        ("return {('hello'):gsub('l', 'L', 1)}", r#"["heLlo",1]"#),
        ("return {('hello'):gsub('', '-')}", r#"["-h-e-l-l-o-",6]"#),
        ("return {('abc'):gsub('%w', '%0%0')}", r#"["aabbcc",3]"#),
        ("return {('a b'):gsub('(%w) (%w)', '%2 %1')}", r#"["b a",1]"#),
        ("return {('hello'):gsub('l', {l = 'x'})}", r#"["hexxo",2]"#),
        ("return {('hello'):gsub('%a', {h = 1, e = false})}", r#"["1ello",5]"#),
        ("return {('hello'):gsub('(h)(e)', function(a, b) return b .. a end)}", r#"["ehllo",1]"#),
        ("return {('hello'):gsub('l', function() end)}", r#"["hello",2]"#),
        ("return {('abc'):gsub('', function() return '.' end)}", r#"[".a.b.c.",4]"#),
        ("return {('aaa'):gsub('^a', 'b')}", r#"["baa",1]"#),
        ("return {('aaa'):gsub('^a', function() return 'b' end)}", r#"["baa",1]"#),
        ("return {('abc'):gsub('b', 5)}", r#"["a5c",1]"#),
        ("return {('abc'):gsub('x', 'y', 0)}", r#"["abc",0]"#),
        ("return ('$name is $age'):gsub('%$(%w+)', {name = 'Bo', age = 7})", r#""Bo is 7""#),
        (
            "return coroutine.wrap(function() return (('ab'):gsub('.', function(c) return coroutine.yield(c) end)) end)()",
            r#""a""#,
        ),
    ];
    let mut process = process(RUNS_DATA);
    for (code, expected) in cases {
        assert_eq!(process.output(code), expected, "{code}");
    }
    let errors = [
        ("('x'):find('[')", "code:1: malformed pattern (missing ']')"),
        ("('x'):gmatch('%')()", "code:1: malformed pattern (ends with '%')"),
        ("('x'):gsub('%', {})", "code:1: malformed pattern (ends with '%')"),
        ("('x'):gsub('x', '%')", "code:1: invalid use of '%' in replacement string"),
        ("('x'):gsub('x', true)", "code:1: bad argument #3 to 'gsub' (string/function/table expected, got boolean)"),
        ("('x'):gsub('x', function() return {} end)", "code:1: invalid replacement value (a table)"),
        ("('x'):find()", "code:1: bad argument #2 to 'find' (string expected, got no value)"),
        ("('x'):gsub('x', function() error('inner', 0) end)", "inner"),
        ("string.match({}, 'x')", "code:1: bad argument #1 to 'match' (string expected, got table)"),
        ("('x'):find('x', {})", "code:1: bad argument #3 to 'find' (integer expected, got table)"),
    ];
    for (code, expected) in errors {
        assert_eq!(process.error(code), expected, "{code}");
    }
}

#[test]
fn patterns_spend_gas() {
    let mut process = process(RUNS_DATA);
    let mut gas = |code: &str| process.call(code, &[]).1.gas_used;
    let (short, long) =
        (gas("return #('a'):rep(100), ('x'):rep(1000):find('y.')"), gas("return ('x'):rep(100000):find('y.')"));
    assert!(long > short + 90_000, "{short} and {long}");
}
