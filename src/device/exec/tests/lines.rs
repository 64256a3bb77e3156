//! Bytes become the same lines however they are cut, and no more of them are held than a line may have.

use proptest::prelude::*;

use crate::device::exec::lines::{Lines, TooLong};

const MOST: usize = 12;

/// What comes out when `bytes` come in such pieces; an error ends it.
fn read(bytes: &[u8], pieces: &[usize]) -> (Vec<Vec<u8>>, Option<TooLong>, Vec<u8>) {
    let (mut lines, mut found, mut rest) = (Lines::default(), Vec::new(), bytes);
    let mut pieces = pieces.iter().cycle();
    loop {
        loop {
            match lines.next(MOST) {
                Ok(Some(line)) => found.push(line),
                Ok(None) => break,
                Err(error) => return (found, Some(error), Vec::new()),
            }
        }
        if rest.is_empty() {
            return (found, None, lines.rest());
        }
        let piece;
        (piece, rest) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
        lines.push(piece);
    }
}

#[test]
fn known_streams() {
    let table: [(&str, &[&str], bool, &str); 9] = [
        ("", &[], false, ""),
        ("a\nbc\n", &["a", "bc"], false, ""),
        ("a\r\n\n  \n\t\r\nb\n", &["a", "b"], false, ""),
        ("half", &[], false, "half"),
        ("a\nhalf", &["a"], false, "half"),
        ("123456789012\n", &["123456789012"], false, ""),
        ("1234567890123\n", &[], true, ""),
        ("a\n1234567890123", &["a"], true, ""),
        ("123456789012", &[], false, "123456789012"),
    ];
    for (text, expected, is_too_long, rest) in table {
        let (found, error, left) = read(text.as_bytes(), &[1]);
        let found: Vec<_> = found.iter().map(|line| std::str::from_utf8(line).unwrap()).collect();
        assert_eq!(
            (found.as_slice(), error.is_some(), left.as_slice()),
            (expected, is_too_long, rest.as_bytes()),
            "{text:?}"
        );
    }
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        bytes in prop::collection::vec(prop::sample::select(b"ab \r\n".to_vec()), 0..80),
        pieces in prop::collection::vec(1usize..20, 1..6),
    ) {
        let whole = read(&bytes, &[usize::MAX]);
        prop_assert_eq!(&read(&bytes, &pieces), &whole);
        let lines = bytes.split(|byte| *byte == b'\n');
        prop_assert_eq!(whole.1.is_some(), lines.into_iter().any(|line| line.len() > MOST));
    }
}
