//! The status report of the groups: what changed since the last one.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::GroupName;

/// One group as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupStatus {
    /// Its name.
    pub group: GroupName,
    /// Who leads it.
    pub leader: String,
    /// How many requests wait in the leader's mailbox.
    pub queue: u64,
    /// How many wait for the result of what runs.
    pub waiters: u64,
}

/// The last list of groups.
#[derive(Debug, Default)]
pub struct Report {
    last: BTreeMap<GroupName, GroupStatus>,
}

/// What is different, each list in order of the groups' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Groups that were not there.
    pub appeared: Vec<GroupStatus>,
    /// Groups that are not there any more, as they were last.
    pub vanished: Vec<GroupStatus>,
    /// Groups as they were and as they are.
    pub changed: Vec<(GroupStatus, GroupStatus)>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.appeared.is_empty() && self.vanished.is_empty() && self.changed.is_empty()
    }
}

impl Report {
    /// Takes `now` as the last list, in whatever order, and says what changed; `None` if nothing did. Of two that have the
    /// same name the later one counts.
    pub fn update(&mut self, now: Vec<GroupStatus>) -> Option<Changes> {
        let now: BTreeMap<_, _> = now.into_iter().map(|status| (status.group.clone(), status)).collect();
        let mut before = std::mem::take(&mut self.last);
        let mut changes = Changes::default();
        for (group, status) in &now {
            match before.remove(group) {
                None => changes.appeared.push(status.clone()),
                Some(old) if old != *status => changes.changed.push((old, status.clone())),
                Some(_) => {}
            }
        }
        changes.vanished = before.into_values().collect();
        self.last = now;
        (!changes.is_empty()).then_some(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(name: &str, queue: u64) -> GroupStatus {
        GroupStatus { group: GroupName::parse(name).unwrap(), leader: "worker".to_owned(), queue, waiters: 0 }
    }

    #[test]
    fn nothing_new_is_no_report() {
        let mut report = Report::default();
        assert_eq!(report.update(Vec::new()), None);
        assert!(report.update(vec![status("b", 0), status("a", 1)]).is_some());
        assert_eq!(report.update(vec![status("a", 1), status("b", 0)]), None, "the order does not count");
    }

    #[test]
    fn what_appeared_vanished_and_changed_is_told_by_name() {
        let mut report = Report::default();
        let first = report.update(vec![status("d", 0), status("b", 0), status("c", 0)]).unwrap();
        assert_eq!(first.appeared, [status("b", 0), status("c", 0), status("d", 0)]);
        let second = report.update(vec![status("d", 7), status("a", 0), status("c", 0)]).unwrap();
        let expected = Changes {
            appeared: vec![status("a", 0)],
            vanished: vec![status("b", 0)],
            changed: vec![(status("d", 0), status("d", 7))],
        };
        assert_eq!(second, expected);
        assert_eq!(report.update(Vec::new()).unwrap().vanished, [status("a", 0), status("c", 0), status("d", 7)]);
    }

    #[test]
    fn another_leader_or_number_of_waiters_is_a_change() {
        let old = status("a", 0);
        for new in
            [GroupStatus { leader: "other".to_owned(), ..old.clone() }, GroupStatus { waiters: 1, ..old.clone() }]
        {
            let mut report = Report::default();
            report.update(vec![old.clone()]);
            assert_eq!(report.update(vec![new.clone()]).unwrap().changed, [(old.clone(), new)]);
        }
    }

    fn list() -> impl Strategy<Value = BTreeMap<String, u64>> {
        prop::collection::btree_map("[a-e]", 0u64..3, 0..5)
    }

    proptest! {
        #[test]
        fn applying_the_changes_gives_the_list(lists in prop::collection::vec(list(), 0..8)) {
            let mut report = Report::default();
            let mut known: BTreeMap<GroupName, GroupStatus> = BTreeMap::new();
            for list in lists {
                let now: Vec<_> = list.iter().map(|(name, queue)| status(name, *queue)).collect();
                let changes = report.update(now.clone()).unwrap_or_default();
                for gone in changes.vanished {
                    prop_assert_eq!(known.remove(&gone.group), Some(gone));
                }
                for (before, after) in changes.changed {
                    prop_assert_ne!(&before, &after);
                    prop_assert_eq!(known.insert(after.group.clone(), after), Some(before));
                }
                for new in changes.appeared {
                    prop_assert_eq!(known.insert(new.group.clone(), new), None);
                }
                prop_assert_eq!(known.values().cloned().collect::<Vec<_>>(), now);
            }
        }
    }
}
