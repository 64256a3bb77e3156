//! Waits for somebody outside of the node, who may ask this node in turn.

use super::chain::Chain;
use super::waits::{WaitGuard, WaitTable};
use crate::ids::{GroupName, MessageId, ProcessId};

/// The group of what somebody outside answers about `process` without advancing its log.
pub fn trials_of(process: &ProcessId) -> GroupName {
    GroupName::hashed(process, blake3::hash(b"trials").as_bytes())
}

/// A group's wait for somebody outside. Until it is dropped a request that came through it finds a circle here, whatever the
/// groups elsewhere are called.
#[derive(Debug)]
pub struct Outward {
    table: WaitTable,
    group: GroupName,
    /// A name that no other wait of any node has. The group's own would be another group's on another node.
    alias: GroupName,
    _guard: Option<WaitGuard>,
}

impl Outward {
    /// Lets `group` wait from now on.
    pub fn begin(table: &WaitTable, group: GroupName) -> Self {
        let random = MessageId::random(0);
        let alias = GroupName::hashed(&group.process(), blake3::hash(random.as_str().as_bytes()).as_bytes());
        // Nobody can be reached from a name that is new, so this closes no circle.
        let guard = Chain::default().then(&group).ok().and_then(|chain| table.enter(&chain, &alias).ok());
        Self { table: table.clone(), group, alias, _guard: guard }
    }

    /// What requests to outside come through: everyone who waits for the group at present, and this wait.
    pub fn chain(&self) -> Chain {
        self.table.chain_to(&self.group).then(&self.alias).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> GroupName {
        GroupName::parse(text).unwrap()
    }

    fn chain(names: &[&str]) -> Chain {
        Chain::parse(&names.join(",")).unwrap()
    }

    #[test]
    fn a_request_that_comes_back_finds_the_circle_and_others_do_not() {
        let (here, there) = (WaitTable::default(), WaitTable::default());
        let out = Outward::begin(&here, group("p"));
        // There is a process of the same name there.
        let waits = there.enter(&out.chain(), &group("p")).unwrap();
        let back = Outward::begin(&there, group("p"));
        assert_eq!(back.chain().groups()[0], out.chain().groups()[0], "who came before goes along");
        assert_eq!(back.chain().groups().len(), 2);
        here.enter(&back.chain(), &group("p")).unwrap_err();
        // Who waits for it is in the circle, others are not.
        let waits_here = here.enter(&chain(&["q"]), &group("p")).unwrap();
        here.enter(&back.chain(), &group("q")).unwrap_err();
        assert_eq!(out.chain().groups()[0], group("q"));
        drop(here.enter(&back.chain(), &group("r")).unwrap());
        drop((waits_here, waits));
        let again = back.chain();
        drop(out);
        drop(here.enter(&again, &group("p")).unwrap());
        drop(back);
        assert!(here.is_empty() && there.is_empty());
    }

    #[test]
    fn those_who_wait_go_along_nearest_last_and_as_many_as_fit() {
        let table = WaitTable::default();
        let _first = table.enter(&chain(&["a"]), &group("b")).unwrap();
        let _second = table.enter(&chain(&["b"]), &group("p")).unwrap();
        let out = Outward::begin(&table, group("p"));
        assert_eq!(out.chain().groups()[..2], [group("a"), group("b")]);
        let many: Vec<_> = (0..100).map(|number| table.enter(&chain(&[&format!("x{number}")]), &group("p"))).collect();
        let found = out.chain();
        assert_eq!((found.groups().len(), found.groups().last()), (Chain::MAX, Some(&out.alias)));
        drop(many);
    }
}
