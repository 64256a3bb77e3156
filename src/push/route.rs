//! Where processes live that this node does not host.

use crate::ids::ProcessId;

/// Which targets go to which node. The first pattern that matches wins.
///
/// In a pattern `*` stands for any characters, none included, and `?` for exactly one; all others stand for themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Vec<(String, String)>);

impl Routes {
    /// Takes pairs of a pattern and the URL of a node, in the order in which they are looked at.
    pub fn new(routes: Vec<(String, String)>) -> Self {
        Self(routes)
    }

    /// The URL of the node for `target`. What is too long for the id of a process has none.
    pub fn find(&self, target: &str) -> Option<&str> {
        if target.len() > ProcessId::MAX {
            return None;
        }
        self.0.iter().find(|(pattern, _)| matches(pattern.as_bytes(), target.as_bytes())).map(|(_, url)| url.as_str())
    }
}

/// Whether `text` is what `pattern` describes. Only the last star met is ever taken back, so the time is bounded by the product
/// of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut in_pattern, mut in_text) = (0, 0);
    // The place behind the last star, and how far into the text that star reaches.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(in_text) {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                in_pattern += 1;
                star = Some((in_pattern, in_text));
            }
            Some(b'?') => (in_pattern, in_text) = (in_pattern + 1, in_text + 1),
            Some(one) if one == byte => (in_pattern, in_text) = (in_pattern + 1, in_text + 1),
            _ => {
                let Some((behind, reach)) = star else { return false };
                star = Some((behind, reach + 1));
                (in_pattern, in_text) = (behind, reach + 1);
            }
        }
    }
    pattern.iter().skip(in_pattern).all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_whole_ids() {
        for (pattern, good, bad) in [
            ("", &[""][..], &["a"][..]),
            ("a", &["a"], &["", "A", "aa", "b"]),
            ("?", &["a", "-"], &["", "ab"]),
            ("*", &["", "a", "abc"], &[]),
            ("a*", &["a", "ab", "a*"], &["", "ba"]),
            ("*a", &["a", "ba", "aa", "aba"], &["", "ab"]),
            ("a*b*c", &["abc", "aXbYc", "abbc", "abcbc"], &["ab", "acb", "abcd"]),
            ("a?c", &["abc", "a?c"], &["ac", "abbc"]),
            ("*-??", &["x-12", "--12", "a-b-cd"], &["x-1", "x-123"]),
            ("**", &["", "ab"], &[]),
            ("*?", &["a", "ab"], &[""]),
        ] {
            for text in good {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern:?} does not match {text:?}");
            }
            for text in bad {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern:?} matches {text:?}");
            }
        }
    }

    #[test]
    fn the_first_route_that_matches_wins() {
        let route = |target: &str, url: &str| (target.to_owned(), url.to_owned());
        let routes = Routes::new(vec![route("bank-*", "http://a"), route("*-1", "http://b"), route("*", "http://c")]);
        for (target, url) in [("bank-1", "http://a"), ("shop-1", "http://b"), ("x", "http://c")] {
            assert_eq!(routes.find(target), Some(url), "{target}");
        }
        assert_eq!(routes.find(&"x".repeat(65)), None);
        assert_eq!(Routes::default().find("x"), None);
    }

    /// The same by trying whatever a star may stand for.
    fn matches_plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=text.len()).any(|taken| matches_plainly(rest, &text[taken..])),
            (Some((one, rest)), Some((byte, text))) => (*one == b'?' || one == byte) && matches_plainly(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_trying_everything_finds(pattern in "[ab?*]{0,8}", text in "[ab]{0,10}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), matches_plainly(pattern, text));
        }
    }

    #[test]
    fn a_pattern_full_of_stars_takes_no_longer_than_any_other() {
        let pattern = format!("{}b", "*a".repeat(2000));
        assert!(!matches(pattern.as_bytes(), "a".repeat(ProcessId::MAX).as_bytes()));
    }
}
