//! What the process connector says.

use super::netlink::{DONE, message, messages, u32_at, u64_at};

/// The connector's number for process events, as index, as value and as group.
pub(super) const GROUP: u32 = 1;
/// Length of the connector's own header.
const HEADER: usize = 20;

/// What to ask of the connector.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Listen = 1,
    Ignore = 2,
}

/// One event as the kernel sent it. `tgid` is the process, `pid` the thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) cpu: u32,
    /// Counts the events of that CPU.
    pub(super) number: u32,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) at: u64,
    pub(super) what: What<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// An answer to somebody's order: `token` is one more than the order's, `error` an errno.
    Answer {
        token: u32,
        error: u32,
    },
    Fork {
        parent: u32,
        pid: u32,
        tgid: u32,
    },
    Exec {
        tgid: u32,
    },
    Uid {
        pid: u32,
        tgid: u32,
        uid: u32,
    },
    Comm {
        pid: u32,
        tgid: u32,
        name: &'a [u8],
    },
    Exit {
        pid: u32,
        tgid: u32,
        status: u32,
    },
    Other,
}

/// An order, to be answered with `token` + 1.
pub(super) fn order(order: Order, token: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEADER + 4);
    for word in [GROUP, GROUP, token, token] {
        body.extend(word.to_ne_bytes());
    }
    body.extend(4u16.to_ne_bytes());
    body.extend(0u16.to_ne_bytes());
    body.extend((order as u32).to_ne_bytes());
    message(DONE, 0, token, &body)
}

/// The events in a datagram.
pub(super) fn events(datagram: &[u8]) -> impl Iterator<Item = Event<'_>> {
    messages(datagram).filter_map(|message| event(message.body))
}

fn event(body: &[u8]) -> Option<Event<'_>> {
    if u32_at(body, 0)? != GROUP || u32_at(body, 4)? != GROUP {
        return None;
    }
    let number = u32_at(body, 8)?;
    let event = body.get(HEADER..)?;
    let word = |n: usize| u32_at(event, 16 + 4 * n);
    let what = match u32_at(event, 0)? {
        0 => What::Answer { token: u32_at(body, 12)?, error: word(0)? },
        1 => What::Fork { parent: word(1)?, pid: word(2)?, tgid: word(3)? },
        2 => What::Exec { tgid: word(1)? },
        4 => What::Uid { pid: word(0)?, tgid: word(1)?, uid: word(2)? },
        0x200 => What::Comm { pid: word(0)?, tgid: word(1)?, name: event.get(24..40)? },
        0x8000_0000 => What::Exit { pid: word(0)?, tgid: word(1)?, status: word(2)? },
        _ => What::Other,
    };
    Some(Event { cpu: u32_at(event, 4)?, number, at: u64_at(event, 8)?, what })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn datagram(what: u32, words: [u32; 6]) -> Vec<u8> {
        let mut body: Vec<u8> = [1u32, 1, 77, 5].iter().flat_map(|word| word.to_ne_bytes()).collect();
        body.extend(40u16.to_ne_bytes());
        body.extend(0u16.to_ne_bytes());
        body.extend([what, 3].iter().flat_map(|word| word.to_ne_bytes()));
        body.extend(123_456u64.to_ne_bytes());
        body.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        message(DONE, 0, 77, &body)
    }

    #[test]
    fn each_kind_is_read() {
        let name = *b"a b)\n\0xxxxxxxxxx";
        let in_words = |n: usize| u32::from_ne_bytes(name[4 * n..4 * n + 4].try_into().unwrap());
        for (what, words, expected) in [
            (0, [13, 0, 0, 0, 0, 0], What::Answer { token: 5, error: 13 }),
            (1, [1, 2, 3, 4, 0, 0], What::Fork { parent: 2, pid: 3, tgid: 4 }),
            (2, [1, 2, 0, 0, 0, 0], What::Exec { tgid: 2 }),
            (4, [1, 2, 1000, 0, 0, 0], What::Uid { pid: 1, tgid: 2, uid: 1000 }),
            (
                0x200,
                [1, 2, in_words(0), in_words(1), in_words(2), in_words(3)],
                What::Comm { pid: 1, tgid: 2, name: &name },
            ),
            (0x8000_0000, [1, 2, 256, 17, 9, 9], What::Exit { pid: 1, tgid: 2, status: 256 }),
            (0x80, [1, 2, 0, 0, 0, 0], What::Other),
        ] {
            let bytes = datagram(what, words);
            let read: Vec<_> = events(&bytes).collect();
            assert_eq!(read, [Event { cpu: 3, number: 77, at: 123_456, what: expected }]);
            for end in 0..bytes.len() {
                assert_eq!(events(&bytes[..end]).count(), 0, "{what} cut at {end}");
            }
        }
    }

    #[test]
    fn the_events_of_other_connectors_are_passed_over() {
        let mut bytes = datagram(1, [0; 6]);
        bytes[16] = 2;
        assert_eq!(events(&bytes).count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = events(&message(DONE, 0, 1, &bytes)).count();
            let _ = events(&bytes).count();
        }
    }
}
