//! A script's text on its way to the compiler.
//!
//! Lua's length operator may give any border of a table that has holes, and which one depends on the layout in memory, which
//! depends on the hash seed. An operator of a table without a metatable cannot be redefined, but the token can: `#` becomes
//! `"\0#" ^`, which binds alike on both sides (to the operand as tightly as a unary operator, and weaker than `^` to its
//! right), and strings raise a certain text to a power as `native` tells them to.

use std::borrow::Cow;

/// The text whose powers are lengths.
pub(super) const LENGTH_MARK: &[u8] = b"\0#";

/// What stands for the length operator. Blanks keep it apart from what is before and behind.
const LENGTH: &[u8] = br#" "\0#"^ "#;

/// The script with its length operators replaced. Its lines stay the same.
pub(super) fn prepared(source: &[u8]) -> Cow<'_, [u8]> {
    // A binary chunk goes to the compiler as it is, which refuses it.
    if !source.contains(&b'#') || source.first() == Some(&0x1b) {
        return Cow::Borrowed(source);
    }
    let mut out = Vec::with_capacity(source.len() + 64);
    let mut rest = source;
    while let Some(&byte) = rest.first() {
        if byte == b'#' {
            out.extend_from_slice(LENGTH);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (token, behind) = rest.split_at(token_length(rest).clamp(1, rest.len()));
        out.extend_from_slice(token);
        rest = behind;
    }
    Cow::Owned(out)
}

/// The bytes of the text, comment or other character that `rest` begins with.
fn token_length(rest: &[u8]) -> usize {
    match rest {
        [b'-', b'-', comment @ ..] => {
            2 + long_length(comment).unwrap_or_else(|| comment.iter().take_while(|byte| **byte != b'\n').count())
        }
        [quote @ (b'"' | b'\''), text @ ..] => 1 + text_length(text, *quote),
        [b'[', ..] => long_length(rest).unwrap_or(1),
        _ => 1,
    }
}

/// The bytes of a text up to its closing quote, or up to the end of the line where it is missing.
fn text_length(text: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' => return at,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The bytes of a long text `[==[…]==]`, if there is one; all that is left where it is not closed.
fn long_length(rest: &[u8]) -> Option<usize> {
    let (b'[', inner) = rest.split_first()? else { return None };
    let level = inner.iter().take_while(|byte| **byte == b'=').count();
    if inner.get(level) != Some(&b'[') {
        return None;
    }
    let opening = level + 2;
    let closing = [&b"]"[..], &b"=".repeat(level), b"]"].concat();
    let text = rest.get(opening..)?;
    let end = text.windows(closing.len()).position(|window| window == closing);
    Some(end.map_or(rest.len(), |end| opening + end + closing.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn prepared(source: &str) -> String {
        String::from_utf8_lossy(&super::prepared(source.as_bytes())).into_owned()
    }

    #[test]
    fn only_the_operator_is_replaced() {
        for same in [
            "",
            "x = 1",
            "'#'",
            "\"#\\\"#\" 'a\\'#'",
            "--#",
            "--[[#\n#]] x",
            "[[#]]",
            "[==[#]]#]==]",
            "--[=[#]=]",
            "'\\\n#'",
            "\x1b#",
        ] {
            assert_eq!(prepared(same), same);
        }
        let length = r#" "\0#"^ "#;
        for mixed in [
            "§t",
            "return§t",
            "'#'§t'#'",
            "--#\n§t",
            "--[[#]]§t",
            "a[§a]",
            "a[b[§[[#]]]]",
            "§§'x'",
            "'open\n§t",
            "-§t--#",
            "a[=§t",
        ] {
            assert_eq!(prepared(&mixed.replace('§', "#")), mixed.replace('§', length), "{mixed}");
        }
    }

    proptest! {
        #[test]
        fn lines_stay_where_they_are(source in "[-#\\[\\]='\"\\\\ax\n ]{0,80}") {
            let changed = prepared(&source);
            prop_assert_eq!(changed.lines().count(), source.lines().count());
            prop_assert_eq!(changed.replace(r#" "\0#"^ "#, "#"), source);
        }
    }
}
