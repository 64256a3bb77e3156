//! A line of `/proc/PID/stat`, taken apart. Some read a thousand at a time: nothing is copied, nothing is allocated.

/// The most bytes a line can have: a name of 64 and fifty numbers of twenty digits.
pub(in crate::host) const LINE_MAX: usize = 2048;

/// The flag of those who forked and have not started a program since.
const PF_FORKNOEXEC: u64 = 0x40;

/// The flag of threads of the kernel.
const PF_KTHREAD: u64 = 0x0020_0000;

/// What is used of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::host) struct Line<'a> {
    /// The name, as the kernel keeps it.
    pub name: &'a [u8],
    pub pid: u32,
    /// The state's letter.
    pub state: u8,
    /// Its parent, 0 for none.
    pub ppid: u32,
    /// Whether it is a thread of the kernel.
    pub is_kernel: bool,
    /// Whether it still runs the program of the process it was forked from.
    pub is_fork: bool,
    /// Ticks in user mode, of all its threads.
    pub user: u64,
    /// Ticks in the kernel, of all its threads.
    pub system: u64,
    pub threads: u64,
    /// Ticks from the machine's beginning to its own.
    pub start: u64,
    /// Bytes of address space. Zombies and threads of the kernel have none.
    pub virtual_bytes: u64,
    pub resident_pages: u64,
    /// Where its code, its stack and its arguments lie; zeroes for those who may not know.
    pub places: [u64; 4],
    /// The number `wait` will give; 0 while it runs, where it may not be read, and of kernels that do not tell.
    pub wait_status: u32,
}

impl<'a> Line<'a> {
    /// Takes a line apart; `None` if it is none. The name may hold anything, so it ends at the last bracket.
    pub(in crate::host) fn parse(line: &'a [u8]) -> Option<Self> {
        let open = line.iter().position(|byte| *byte == b'(')?;
        let close = line.iter().rposition(|byte| *byte == b')')?;
        let pid = number(line.get(..open)?.trim_ascii())?;
        let mut parsed = Line { name: line.get(open + 1..close)?, pid: u32::try_from(pid).ok()?, ..Line::default() };
        let rest = line.get(close + 1..)?.strip_prefix(b" ")?.trim_ascii_end();
        let mut is_whole = false;
        // The manual counts from 1 and the state is its field 3.
        for (place, field) in (3..).zip(rest.split(|byte| *byte == b' ')) {
            let number = || number(field);
            match place {
                3 => parsed.state = *field.first()?,
                4 => parsed.ppid = u32::try_from(number()?).ok()?,
                9 => {
                    let flags = number()?;
                    (parsed.is_fork, parsed.is_kernel) = (flags & PF_FORKNOEXEC != 0, flags & PF_KTHREAD != 0);
                }
                14 => parsed.user = number()?,
                15 => parsed.system = number()?,
                20 => parsed.threads = number()?,
                22 => parsed.start = number()?,
                23 => parsed.virtual_bytes = number()?,
                24 => parsed.resident_pages = number()?,
                26 => parsed.places[0] = number()?,
                28 => parsed.places[1] = number()?,
                48 => parsed.places[2] = number()?,
                49 => {
                    parsed.places[3] = number()?;
                    is_whole = true;
                }
                52 => {
                    parsed.wait_status = number().and_then(|status| u32::try_from(status).ok()).unwrap_or(0);
                    break;
                }
                _ => {}
            }
        }
        is_whole.then_some(parsed)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line whose fields, counted as the manual does, hold their own numbers, except those given.
    fn line(name: &[u8], fields: &[(usize, &str)]) -> Vec<u8> {
        let mut line = [b"42 (", name, b")"].concat();
        for place in 3..=52 {
            let given = fields.iter().find(|(given, _)| *given == place);
            let text = given.map_or_else(|| place.to_string(), |(_, text)| (*text).to_owned());
            line.extend_from_slice(format!(" {text}").as_bytes());
        }
        line
    }

    #[test]
    fn names_may_hold_anything() {
        let names: [&[u8]; 8] =
            [b"sh", b"a b", b") S 1 (", b"((", b"\"new\nline\"", b"", b"\xffbad\xfe", b"kworker/u64:3-events_unbound"];
        for name in names {
            let bytes = line(name, &[(3, "S")]);
            let expected = Line {
                name,
                pid: 42,
                state: b'S',
                ppid: 4,
                is_kernel: false,
                is_fork: false,
                user: 14,
                system: 15,
                threads: 20,
                start: 22,
                virtual_bytes: 23,
                resident_pages: 24,
                places: [26, 28, 48, 49],
                wait_status: 52,
            };
            assert_eq!(Line::parse(&bytes), Some(expected), "{}", String::from_utf8_lossy(name));
            assert_eq!(Line::parse(&[&bytes[..], b"\n"].concat()), Some(expected));
        }
    }

    #[test]
    fn a_fork_that_started_no_program_is_known_by_its_flag() {
        for (flags, is_fork) in [("4194560", false), ("4194624", true), ("64", true), ("0", false)] {
            assert_eq!(Line::parse(&line(b"x", &[(9, flags)])).unwrap().is_fork, is_fork, "{flags}");
        }
    }

    #[test]
    fn signed_fields_that_nobody_uses_may_be_negative() {
        assert!(Line::parse(&line(b"x", &[(8, "-1"), (16, "-3"), (25, "18446744073709551615")])).is_some());
    }

    #[test]
    fn lines_cut_short_or_spoilt_are_refused() {
        let whole = line(b"x", &[]);
        let last = whole.windows(4).position(|bytes| bytes == b" 49 ").unwrap();
        for end in 0..=last {
            assert_eq!(Line::parse(&whole[..end]), None, "{}", String::from_utf8_lossy(&whole[..end]));
        }
        for (place, bad) in [(14, "-5"), (15, "99999999999999999999"), (22, "1.5"), (3, ""), (48, "x"), (9, "")] {
            assert_eq!(Line::parse(&line(b"x", &[(place, bad)])), None, "{bad:?} in field {place}");
        }
        for bad in ["x (sh) ", "(sh) ", "4294967296 (sh) ", "42 sh ", "42 )sh( "] {
            assert_eq!(Line::parse(&[bad.as_bytes(), &whole[7..]].concat()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Line::parse(&bytes);
        }

        #[test]
        fn any_name_is_read_back(name in proptest::collection::vec(1u8..=255, 0..64)) {
            let bytes = line(&name, &[]);
            prop_assert_eq!(Line::parse(&bytes).unwrap().name, &name[..]);
        }

        #[test]
        fn numbers_are_those_of_the_standard_library(text in "[0-9]{0,22}|[-+0-9x]{0,5}") {
            let expected = if text.starts_with('+') { None } else { text.parse::<u64>().ok() };
            prop_assert_eq!(number(text.as_bytes()), expected);
        }
    }
}
