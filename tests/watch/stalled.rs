//! A reader that is stopped while much happens.

use std::collections::{BTreeMap, HashSet};

use crate::children::{end, many, patient};
use crate::helper::{Helper, Line};
use crate::watcher::{is_root, requires_all, skip};

/// Room for some 300 events.
const LITTLE: usize = 128 << 10;
/// Room for more than happens.
const MUCH: usize = 16 << 20;

fn helper(room: usize) -> Option<Helper> {
    match Helper::start(room) {
        Ok(helper) => Some(helper),
        Err(why) => {
            assert!(!(is_root() && requires_all()), "the watch does not start: {why}");
            skip(&why);
            None
        }
    }
}

/// All that the helper says until `is_last`, told apart by number.
fn said(helper: &mut Helper, mut is_last: impl FnMut(&Line) -> bool) -> Vec<Line> {
    let mut lines = Vec::new();
    loop {
        let line = helper.line();
        let last = is_last(&line);
        lines.push(line);
        if last {
            return lines;
        }
    }
}

#[test]
fn a_loss_is_counted_told_once_and_made_good() {
    let Some(mut helper) = helper(LITTLE) else { return };
    let dies_unseen = [patient(), patient()];
    let mut unseen: HashSet<u32> = dies_unseen.iter().map(std::process::Child::id).collect();
    said(&mut helper, |(word, pid, _)| word == "created" && unseen.remove(pid) && unseen.is_empty());
    helper.stall();
    let short = many(5000);
    let dead: HashSet<u32> = dies_unseen.iter().map(std::process::Child::id).collect();
    dies_unseen.into_iter().for_each(end);
    let alive = [patient(), patient(), patient()];
    helper.go_on();

    let mut unseen: HashSet<u32> = alive.iter().map(std::process::Child::id).collect();
    let mut was_told = false;
    let mut lines = said(&mut helper, |(word, pid, _)| {
        if word == "created" {
            unseen.remove(pid);
        }
        was_told |= word == "lost";
        was_told && unseen.is_empty()
    });
    // One more life shows that it watches again, and the order of events that nothing about the loss is still to come.
    let marker = many(1);
    lines.extend(said(&mut helper, |(word, pid, _)| word == "destroyed" && marker.contains(pid)));
    helper.ask();
    lines.extend(said(&mut helper, |(word, ..)| word == "all"));

    let lost: Vec<u32> = lines.iter().filter(|(word, ..)| word == "lost").map(|(_, count, _)| *count).collect();
    let living: HashSet<u32> = lines.iter().filter(|(word, ..)| word == "living").map(|(_, pid, _)| *pid).collect();
    let mut told: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (word, pid, _) in lines.iter().filter(|(word, ..)| matches!(word.as_str(), "created" | "destroyed")) {
        told.entry(*pid).or_default().push(word);
    }
    let [lost] = lost[..] else { panic!("losses were told {} times: {lost:?}", lost.len()) };
    let missed = short.iter().filter(|pid| !told.contains_key(pid)).count();
    eprintln!("of {} short lives {missed} were missed; {lost} events were lost", short.len());
    assert!(missed > 1000, "the reader was not stalled: only {missed} were missed");
    // Of each that was missed at least its fork, its program and its end.
    assert!(usize::try_from(lost).unwrap() >= 3 * missed, "{lost} events lost, {missed} lives missed");
    for (pid, words) in &told {
        let expected: &[&str] = match pid {
            pid if dead.contains(pid) => &["destroyed"],
            pid if alive.iter().any(|child| child.id() == *pid) => &["created"],
            pid if short.contains(pid) => &["created", "destroyed"],
            _ => continue,
        };
        assert_eq!(words, expected, "{pid}");
    }
    assert!(dead.iter().all(|pid| told.contains_key(pid) && !living.contains(pid)), "the dead are in the map");
    assert!(alive.iter().all(|child| living.contains(&child.id())), "the living are not in the map");
    assert!(short.iter().all(|pid| !living.contains(pid)), "phantoms are in the map");
    alive.into_iter().for_each(end);
}

#[test]
fn with_room_enough_a_stall_loses_nothing_but_time() {
    if !is_root() {
        return skip("the room for a stall needs CAP_NET_ADMIN");
    }
    let Some(mut helper) = helper(MUCH) else { return };
    helper.stall();
    let short = many(400);
    helper.go_on();
    let mut left = short.len();
    let lines = said(&mut helper, |(word, pid, _)| {
        left -= usize::from(word == "destroyed" && short.contains(pid));
        left == 0
    });
    assert!(lines.iter().all(|(word, ..)| word != "lost"), "something was lost");
    let ours = lines.iter().filter(|(_, pid, _)| short.contains(pid));
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (word, _, name) in ours {
        *counts.entry((word, name)).or_default() += 1;
    }
    // Nobody lived to be asked for its name: all have it from the kernel's record.
    let expected = [(("created", "true"), 400), (("destroyed", "true"), 400)];
    assert_eq!(counts, expected.into_iter().collect());
}
