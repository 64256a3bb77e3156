//! Patterns over names: `*` stands for any characters, none included, `?` for exactly one, and all others for themselves.

use std::fmt;

/// A pattern over whole names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes `pattern`; every text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` fits.
    ///
    /// Only the last star met is ever taken back, and nothing is copied: the time is bounded by the product of both lengths,
    /// however many stars there are, and is that of one pass where there is none.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        // What stands behind the last star, and the text from where that star ends at present.
        let mut star = None;
        loop {
            let (mut behind, mut after) = (pattern.clone(), rest.clone());
            match (behind.next(), after.next()) {
                (Some('*'), _) => {
                    star = Some((behind.clone(), rest.clone()));
                    pattern = behind;
                }
                (Some(one), Some(character)) if one == '?' || one == character => (pattern, rest) = (behind, after),
                (None, None) => return true,
                _ => {
                    let Some((behind, reach)) = &mut star else { return false };
                    if reach.next().is_none() {
                        return false;
                    }
                    (pattern, rest) = (behind.clone(), reach.clone());
                }
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, good, bad) in [
            ("", &[""][..], &["a"][..]),
            ("a", &["a"], &["", "A", "aa", "b"]),
            ("?", &["a", "-", "ä"], &["", "ab"]),
            ("*", &["", "a", "abc"], &[]),
            ("a*", &["a", "ab", "a*"], &["", "ba"]),
            ("*a", &["a", "ba", "aa", "aba"], &["", "ab"]),
            ("a*b*c", &["abc", "aXbYc", "abbc", "abcbc"], &["ab", "acb", "abcd"]),
            ("a?c", &["abc", "a?c", "aüc"], &["ac", "abbc"]),
            ("a*b?", &["axbxbc"], &["ab", "acb"]),
            ("*-??", &["x-12", "--12", "a-b-cd"], &["x-1", "x-123"]),
            ("**", &["", "ab"], &[]),
            ("*?", &["a", "ab"], &[""]),
            ("[a]", &["[a]"], &["a"]),
        ] {
            let glob = Glob::new(pattern);
            for text in good {
                assert!(glob.matches(text), "{pattern:?} does not fit {text:?}");
            }
            for text in bad {
                assert!(!glob.matches(text), "{pattern:?} fits {text:?}");
            }
        }
    }

    #[test]
    fn a_pattern_full_of_stars_takes_no_longer_than_any_other() {
        let glob = Glob::new(&format!("{}b", "*a".repeat(2000)));
        assert!(!glob.matches(&"a".repeat(4000)));
    }

    /// The same by trying whatever a star may stand for.
    fn tries(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=text.len()).any(|taken| tries(rest, &text[taken..])),
            (Some((one, rest)), Some((character, text))) => (*one == '?' || one == character) && tries(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(pattern in "[aü?*]{0,8}", text in "[aü]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&pattern).matches(&text), tries(&chars(&pattern), &chars(&text)));
        }
    }
}
