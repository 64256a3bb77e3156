//! What waits for a receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::alert::{AlertState, Notice, NoticeQueue};

/// `f` and `r` with the alert's number: it fires, it is over.
fn notice(text: &str, timestamp: u64) -> Arc<Notice> {
    let (state, name) = text.split_at(1);
    Arc::new(Notice {
        name: name.to_owned(),
        state: if state == "f" { AlertState::Firing } else { AlertState::Resolved },
        severity: "warning".to_owned(),
        message: String::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        value: None,
        metrics: BTreeMap::new(),
        timestamp,
        since: 0,
        valid_until: None,
        is_repeated: false,
        receivers: Vec::new(),
    })
}

fn text(notice: &Notice) -> String {
    let state = if notice.state == AlertState::Firing { "f" } else { "r" };
    format!("{state}{}", notice.name)
}

fn texts(notices: &[Arc<Notice>]) -> String {
    notices.iter().map(|notice| text(notice)).collect::<Vec<_>>().join(" ")
}

/// What waits and what was dropped after all these came.
fn after(most: usize, came: &str) -> (String, String) {
    let mut queue = NoticeQueue::new(most);
    let came = came.split_whitespace().enumerate();
    let dropped: Vec<_> = came.filter_map(|(at, came)| queue.push(notice(came, at as u64))).collect();
    (texts(&queue.take(usize::MAX)), texts(&dropped))
}

#[test]
fn what_is_needless_goes_and_where_there_is_no_room_what_comes_again() {
    for (most, came, waits, dropped) in [
        (9, "f1 f2 r3", "f1 f2 r3", ""),
        (9, "f1 f2 f1", "f2 f1", ""),
        (9, "f1 f2 r1", "f2 r1", ""),
        (9, "r1 f1", "r1 f1", ""),
        (9, "r1 f1 r1", "r1", ""),
        (9, "r1 f1 f1", "r1 f1", ""),
        (2, "f1 f2 f3", "f2 f3", "f1"),
        (2, "r1 f2 r3", "r1 r3", "f2"),
        (2, "r1 r2 r3", "r2 r3", "r1"),
        (2, "r1 r2 f3", "r1 r2", "f3"),
        (0, "f1 r2", "r2", "f1"),
    ] {
        assert_eq!(after(most, came), (waits.to_owned(), dropped.to_owned()), "{came}");
    }
}

#[test]
fn alerts_are_told_apart_by_name_severity_and_labels() {
    let plain = notice("f1", 0);
    let graver = Notice { severity: "critical".to_owned(), ..Notice::clone(&plain) };
    let elsewhere = Notice { labels: BTreeMap::from([("zone".to_owned(), "a".to_owned())]), ..Notice::clone(&plain) };
    let mut queue = NoticeQueue::new(9);
    for one in [plain.clone(), Arc::new(graver), Arc::new(elsewhere), plain] {
        assert_eq!(queue.push(one), None);
    }
    assert_eq!(queue.len(), 3);
}

#[test]
fn what_is_given_back_stands_in_front_unless_it_is_needless() {
    for (taken, came, waits, dropped) in [
        ("f1 f2", "f3", "f1 f2 f3", ""),
        ("f1 f2", "r1", "f2 r1", ""),
        ("r1 f2", "f1", "r1 f2 f1", ""),
        ("f1 r2 f3", "r4 f5", "r2 r4 f5", "f1 f3"),
    ] {
        let mut queue = NoticeQueue::new(3);
        let taken: Vec<_> = taken.split(' ').map(|taken| notice(taken, 0)).collect();
        for came in came.split(' ') {
            assert_eq!(queue.push(notice(came, 1)), None);
        }
        let lost = queue.give_back(taken);
        assert_eq!((texts(&queue.take(9)), texts(&lost)), (waits.to_owned(), dropped.to_owned()));
    }
}

proptest! {
    #[test]
    fn the_last_word_about_an_alert_waits_or_was_dropped(
        came in proptest::collection::vec("[fr][1-4]", 1..60),
        most in 1..8usize,
        takes in proptest::collection::vec(any::<bool>(), 60),
    ) {
        let mut queue = NoticeQueue::new(most);
        let (mut dropped, mut told) = (Vec::new(), Vec::new());
        for (at, (came, takes)) in came.iter().zip(takes).enumerate() {
            dropped.extend(queue.push(notice(came, at as u64)));
            prop_assert!(queue.len() <= most);
            if takes {
                told.extend(queue.take(1));
            }
        }
        let waiting = queue.take(usize::MAX);
        for name in ["1", "2", "3", "4"] {
            let Some(last) = came.iter().rposition(|came| came.ends_with(name)) else { continue };
            let all = [&waiting, &dropped, &told];
            let found = all.iter().flat_map(|all| all.iter()).filter(|notice| notice.timestamp == last as u64);
            prop_assert_eq!(found.count(), 1);
            prop_assert!(waiting.iter().filter(|notice| notice.name == *name).count() <= 2);
        }
    }
}
