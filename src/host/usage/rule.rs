//! Which host processes form a group.

use crate::config::HostGroup;

/// The texts of a process that patterns are searched for in. The last two are read only when a pattern asks.
pub(super) trait Texts {
    /// The name as the kernel keeps it, 15 bytes at most for programs.
    fn name(&mut self) -> &str;
    /// The path of the program.
    fn exe(&mut self) -> Option<&str>;
    /// The arguments, a blank between each two.
    fn cmdline(&mut self) -> Option<&str>;
}

/// Whether a process belongs to a group: every pattern of the group finds something. What costs nothing is asked first.
///
/// Bytes that are no UTF-8 are seen as U+FFFD. A process without what a pattern is for (threads of the kernel and zombies have
/// neither program nor arguments), or whose program may not be read, does not belong to the group.
pub(super) fn fits(group: &HostGroup, texts: &mut dyn Texts) -> bool {
    let HostGroup { match_name, match_exe, match_cmdline, .. } = group;
    match_name.as_ref().is_none_or(|pattern| pattern.is_in(texts.name()))
        && match_exe.as_ref().is_none_or(|pattern| texts.exe().is_some_and(|exe| pattern.is_in(exe)))
        && match_cmdline.as_ref().is_none_or(|pattern| texts.cmdline().is_some_and(|line| pattern.is_in(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    /// Texts, and which of them were asked for.
    struct Fixed(&'static str, Option<&'static str>, Option<&'static str>, String);

    impl Texts for Fixed {
        fn name(&mut self) -> &str {
            self.3.push('n');
            self.0
        }

        fn exe(&mut self) -> Option<&str> {
            self.3.push('e');
            self.1
        }

        fn cmdline(&mut self) -> Option<&str> {
            self.3.push('c');
            self.2
        }
    }

    fn group([name, exe, cmdline]: [Option<&str>; 3]) -> HostGroup {
        let pattern = |text: Option<&str>| text.map(|text| Pattern::new(text).unwrap());
        let [match_name, match_exe, match_cmdline] = [name, exe, cmdline].map(pattern);
        HostGroup { name: "g".to_owned(), match_name, match_exe, match_cmdline }
    }

    #[test]
    fn all_patterns_given_must_fit_and_nothing_is_read_in_vain() {
        let (name, exe, cmdline) = (Some("^sh$"), Some("/bin/"), Some("-c"));
        for (patterns, is_in, asked) in [
            ([name, None, None], true, "n"),
            ([Some("^h"), None, None], false, "n"),
            ([Some("h"), None, None], true, "n"),
            ([None, exe, None], true, "e"),
            ([None, None, cmdline], true, "c"),
            ([name, exe, cmdline], true, "nec"),
            ([name, Some("^/sbin"), cmdline], false, "ne"),
            ([Some("x"), exe, cmdline], false, "n"),
            ([name, exe, Some("^-c")], false, "nec"),
        ] {
            let mut texts = Fixed("sh", Some("/bin/dash"), Some("sh -c true"), String::new());
            assert_eq!((fits(&group(patterns), &mut texts), texts.3.as_str()), (is_in, asked), "{patterns:?}");
        }
        for patterns in [[None, Some(".*"), None], [None, None, Some(".*")]] {
            assert!(!fits(&group(patterns), &mut Fixed("kthreadd", None, None, String::new())), "{patterns:?}");
        }
    }
}
