//! What a message inherits from the chain of pushes that it is part of.
//!
//! A chain begins with a message that was not pushed. It may be so deep at most, and so many messages may follow from its
//! beginning in all. The messages carry what is left themselves: an outcome shares out what its own message has left.

use crate::ids::MessageId;
use crate::process::PushChain;

/// How far a chain of pushes may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLimits {
    /// The most pushes one after the other.
    pub max_depth: u32,
    /// The most messages that follow from the one that began the chain.
    pub max_messages: u64,
}

/// Why an item is not sent. It is buried, not tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The chain is as long as it may be.
    #[error(
        "limit push.max_depth: {max} pushes one after the other led here from message {root}, and no more are allowed; raise \
         push.max_depth or end the chain"
    )]
    Depth {
        /// The message that began the chain.
        root: MessageId,
        /// The limit.
        max: u32,
    },
    /// The chain is longer already than it may be here.
    #[error(
        "limit push.max_depth: the message comes {depth} pushes after message {root}, and only {max} are allowed here; raise \
         push.max_depth of this node or end the chain"
    )]
    TooDeep {
        /// The message that began the chain.
        root: MessageId,
        /// How many pushes lie between them.
        depth: u32,
        /// The limit.
        max: u32,
    },
    /// The chain has sent as much as it may.
    #[error(
        "limit push.max_messages: the outcome sends {sent} items and {left} were left of the {max} that may follow from message \
         {root}; raise push.max_messages or send less"
    )]
    Messages {
        /// The message that began the chain.
        root: MessageId,
        /// How many items the outcome sends.
        sent: u64,
        /// How many it may send.
        left: u64,
        /// The limit for the whole chain.
        max: u64,
    },
}

/// What item `index` of the `sent` items of one outcome inherits, or why it is refused. `message` is the id of the message that
/// the outcome belongs to and `parent` the chain that this message is part of, if it was pushed itself.
///
/// What is left after the outcome's own items is divided among them, so the sum over a whole chain stays within the limit
/// though nobody counts.
pub fn of(
    parent: Option<&PushChain>,
    message: &MessageId,
    sent: u64,
    index: u32,
    limits: ChainLimits,
) -> Result<PushChain, Refused> {
    let (depth, left, root) = match parent {
        Some(chain) => (chain.depth, chain.budget.min(limits.max_messages), &chain.root),
        None => (0, limits.max_messages, message),
    };
    if depth >= limits.max_depth {
        return Err(Refused::Depth { root: root.clone(), max: limits.max_depth });
    }
    let index = u64::from(index);
    let allowed = sent.min(left);
    if index >= allowed {
        return Err(Refused::Messages { root: root.clone(), sent, left, max: limits.max_messages });
    }
    let spare = left - allowed;
    let budget = spare / allowed + u64::from(index < spare % allowed);
    Ok(PushChain { depth: depth + 1, budget, root: root.clone() })
}

/// What a message inherits that comes with a chain of its own, from another node, or why it is refused. Whatever that says,
/// no more follows from the message than if it had come without.
pub fn taken_over(chain: PushChain, limits: ChainLimits) -> Result<PushChain, Refused> {
    if chain.depth > limits.max_depth {
        return Err(Refused::TooDeep { root: chain.root, depth: chain.depth, max: limits.max_depth });
    }
    Ok(PushChain { budget: chain.budget.min(limits.max_messages), ..chain })
}

/// What the child and the parent inherit, where a chain goes on in both: what may follow is divided among them.
pub fn shared(chain: &PushChain) -> (PushChain, PushChain) {
    let half = chain.budget / 2;
    let with = |budget| PushChain { budget, ..chain.clone() };
    (with(chain.budget - half), with(half))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::derived(&[text.as_bytes()])
    }

    fn limits(max_depth: u32, max_messages: u64) -> ChainLimits {
        ChainLimits { max_depth, max_messages }
    }

    fn chain(depth: u32, budget: u64) -> PushChain {
        PushChain { depth, budget, root: id("root") }
    }

    #[test]
    fn what_is_left_is_divided_among_the_items_of_an_outcome() {
        for (budget, sent, expected) in [
            (10, 1, vec![Some(9)]),
            (10, 3, vec![Some(3), Some(2), Some(2)]),
            (3, 3, vec![Some(0), Some(0), Some(0)]),
            (2, 4, vec![Some(0), Some(0), None, None]),
            (0, 2, vec![None, None]),
        ] {
            for parent in [None, Some(chain(4, budget))] {
                let limits = limits(9, if parent.is_some() { 1000 } else { budget });
                let inherited = |index| of(parent.as_ref(), &id("m"), sent, index, limits).ok();
                let budgets: Vec<_> =
                    (0..u32::try_from(sent).unwrap()).map(|i| inherited(i).map(|c| c.budget)).collect();
                assert_eq!(budgets, expected, "{sent} items of {budget}");
                if let Some(first) = inherited(0) {
                    let (depth, root) = parent.map_or((1, id("m")), |chain| (chain.depth + 1, chain.root));
                    assert_eq!((first.depth, first.root), (depth, root));
                }
            }
        }
    }

    #[test]
    fn a_child_and_its_parent_share_what_may_follow() {
        for (budget, child, parent) in [(0, 0, 0), (1, 1, 0), (2, 1, 1), (7, 4, 3), (u64::MAX, 1 << 63, (1 << 63) - 1)]
        {
            assert_eq!(shared(&chain(3, budget)), (chain(3, child), chain(3, parent)));
        }
    }

    #[test]
    fn a_chain_from_elsewhere_is_taken_over_as_far_as_it_may_go_here() {
        for (given, expected) in [
            ((0, 0), Some((0, 0))),
            ((3, 7), Some((3, 7))),
            ((3, 5000), Some((3, 10))),
            ((5, u64::MAX), Some((5, 10))),
            ((6, 7), None),
            ((u32::MAX, 0), None),
        ] {
            let taken = taken_over(chain(given.0, given.1), limits(5, 10)).ok();
            assert_eq!(taken, expected.map(|(depth, budget)| chain(depth, budget)), "{given:?}");
        }
        let deep = taken_over(chain(6, 7), limits(5, 10)).unwrap_err().to_string();
        assert!(deep.starts_with("limit push.max_depth: the message comes 6 pushes after message"), "{deep}");
        assert!(deep.contains(id("root").as_str()) && deep.contains("only 5"), "{deep}");
    }

    #[test]
    fn refusals_name_the_limit() {
        let deep = of(Some(&chain(5, 10)), &id("m"), 1, 0, limits(5, 10)).unwrap_err().to_string();
        assert!(deep.starts_with("limit push.max_depth: 5 pushes"), "{deep}");
        assert!(deep.contains(id("root").as_str()), "{deep}");
        let many = of(Some(&chain(1, 2)), &id("m"), 3, 2, limits(5, 10)).unwrap_err().to_string();
        assert!(
            many.starts_with("limit push.max_messages: the outcome sends 3 items and 2 were left of the 10"),
            "{many}"
        );
    }

    #[test]
    fn a_lower_limit_holds_for_chains_that_began_before() {
        let inherited = of(Some(&chain(1, 5000)), &id("m"), 1, 0, limits(5, 10)).unwrap();
        assert_eq!(inherited.budget, 9);
    }

    proptest! {
        #[test]
        fn a_straight_chain_gets_as_far_as_the_lower_limit(depth in 0u32..80, messages in 0u64..80) {
            let mut parent: Option<PushChain> = None;
            let mut pushes = 0;
            while let Ok(next) = of(parent.as_ref(), &id("m"), 1, 0, limits(depth, messages)) {
                parent = Some(next);
                pushes += 1;
            }
            prop_assert_eq!(pushes, messages.min(u64::from(depth)));
        }

        #[test]
        fn what_a_message_brings_along_only_restricts_it(depth: u32, budget: u64, max in (0u32..80, 0u64..80)) {
            let limits = limits(max.0, max.1);
            let length = |mut parent: Option<PushChain>| {
                let mut pushes = 0;
                while let Ok(next) = of(parent.as_ref(), &id("m"), 1, 0, limits) {
                    parent = Some(next);
                    pushes += 1;
                }
                pushes
            };
            for (depth, budget) in [(depth, budget), (depth % 100, budget % 100)] {
                if let Ok(taken) = taken_over(chain(depth, budget), limits) {
                    prop_assert!(length(Some(taken)) <= length(None));
                }
            }
        }

        #[test]
        fn a_chain_over_two_nodes_gets_as_far_as_on_the_stricter_one(
            near in (1u32..40, 1u64..80), far in (1u32..40, 1u64..80),
        ) {
            let both = [limits(near.0, near.1), limits(far.0, far.1)];
            let (mut parent, mut pushes) = (None, 0);
            while let Ok(next) = of(Option::as_ref(&parent), &id("m"), 1, 0, both[pushes % 2])
                && let Ok(next) = taken_over(next, both[(pushes + 1) % 2])
            {
                parent = Some(next);
                pushes += 1;
            }
            let strictest = u64::from(near.0.min(far.0)).min(near.1).min(far.1 + 1);
            prop_assert!((strictest..=strictest + 1).contains(&(pushes as u64)), "{} of {}", pushes, strictest);
        }

        #[test]
        fn no_tree_of_pushes_exceeds_the_budget(depth in 1u32..12, messages in 0u64..300, widths in prop::collection::vec(0u64..6, 1..40)) {
            let mut widths = widths.iter().copied().cycle();
            let (mut open, mut pushes) = (vec![None], 0);
            while let Some(parent) = open.pop() {
                let sent = widths.next().unwrap_or(1);
                for index in 0..u32::try_from(sent).unwrap() {
                    if let Ok(next) = of(Option::as_ref(&parent), &id("m"), sent, index, limits(depth, messages)) {
                        prop_assert!(next.depth <= depth);
                        open.push(Some(next));
                        pushes += 1;
                    }
                }
            }
            prop_assert!(pushes <= messages, "{} of {}", pushes, messages);
        }
    }
}
