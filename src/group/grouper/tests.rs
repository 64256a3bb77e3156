use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::MessageId;
use crate::process::Origin;

fn process(text: &str) -> ProcessId {
    ProcessId::parse(text).unwrap()
}

fn base() -> BaseName {
    BaseName { process: process("counter"), state: StateName::AtSlot(Slot(7)), is_line: false }
}

fn draft(tags: &[(&str, &str)]) -> Draft {
    Draft {
        id: MessageId::derived(&[b"id"]),
        is_new: true,
        origin: Origin::Client,
        from: "alice".to_owned(),
        owner: "alice".to_owned(),
        anchor: String::new(),
        tags: tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect(),
        data: "data".to_owned(),
        mark: None,
        push: None,
        cursor: None,
        closes_circle: false,
    }
}

fn dry_run(draft: &Draft) -> GroupName {
    Grouper::Default.group(&base(), Some(&Asked::DryRun(draft)), true)
}

#[test]
fn requests_to_compute_a_process_are_named_by_it_and_others_are_not() {
    let name = |asked: Asked<'_>, process_workers| Grouper::Process.group(&base(), Some(&asked), process_workers);
    let draft = draft(&[]);
    assert_eq!(name(Asked::Compute(Slot(8)), true), GroupName::of_process(&process("counter")));
    assert_eq!(name(Asked::Compute(Slot(8)), true), name(Asked::Compute(Slot(9)), true));
    for asked in [Asked::State, Asked::DryRun(&draft)] {
        assert_eq!(name(asked, true), Grouper::Default.group(&base(), Some(&asked), true));
        assert!(!name(asked, true).is_process());
    }
    assert_eq!(Grouper::Process.group(&base(), None, true), Grouper::Default.group(&base(), None, true));
    assert_ne!(name(Asked::Compute(Slot(8)), false), name(Asked::Compute(Slot(9)), false), "without workers: by slot");
    assert_eq!(
        name(Asked::Compute(Slot(8)), false),
        Grouper::Default.group(&base(), Some(&Asked::Compute(Slot(8))), true)
    );
}

#[test]
fn every_part_of_base_and_request_counts() {
    let hash = |byte| [byte; 32];
    let after = |definition, slot, state| StateName::After {
        definition: hash(definition),
        slot: Slot(slot),
        state: hash(state),
    };
    let states = [
        StateName::AtSlot(Slot(0)),
        StateName::AtSlot(Slot(7)),
        after(1, 7, 2),
        after(2, 7, 1),
        after(1, 8, 2),
        after(1, 7, 3),
    ];
    let message = draft(&[]);
    let asked = [
        None,
        Some(Asked::Compute(Slot(0))),
        Some(Asked::Compute(Slot(7))),
        Some(Asked::State),
        Some(Asked::DryRun(&message)),
    ];
    let mut names = Vec::new();
    for id in ["counter", "other"] {
        for state in &states {
            for is_line in [false, true] {
                let base = BaseName { process: process(id), state: state.clone(), is_line };
                for asked in &asked {
                    let name = Grouper::Default.group(&base, asked.as_ref(), true);
                    assert_eq!(name.process(), base.process);
                    assert_eq!(name, Grouper::Default.group(&base, asked.as_ref(), false));
                    names.push(name);
                }
            }
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn a_kept_state_cannot_be_taken_for_a_slot_and_a_request() {
    // Without a number for the variant, both would be written as the same bytes.
    let message = Draft { from: "x".repeat(23), owner: String::new(), data: String::new(), ..draft(&[]) };
    let at_slot = Grouper::Default.group(&base(), Some(&Asked::DryRun(&message)), true);
    let mut bytes = [0; 72];
    (bytes[0], bytes[9], bytes[10], bytes[11]) = (7, 3, 1, 23);
    bytes[19..42].fill(b'x');
    let [definition, state] = [&bytes[..32], &bytes[40..]].map(|half| half.try_into().unwrap());
    let slot = Slot(u64::from_le_bytes(bytes[32..40].try_into().unwrap()));
    let kept = BaseName { state: StateName::After { definition, slot, state }, ..base() };
    assert_ne!(Grouper::Default.group(&kept, None, true), at_slot);
}

#[test]
fn the_order_of_names_does_not_count_but_that_of_one_names_values_does() {
    let name = |tags: &[(&str, &str)]| dry_run(&draft(tags));
    assert_eq!(name(&[("a", "1"), ("b", "2")]), name(&[("b", "2"), ("a", "1")]));
    assert_eq!(name(&[("a", "1"), ("b", "2"), ("a", "3")]), name(&[("b", "2"), ("a", "1"), ("a", "3")]));
    assert_ne!(name(&[("a", "1"), ("a", "2")]), name(&[("a", "2"), ("a", "1")]));
    assert_ne!(name(&[("a", "1"), ("b", "2")]), name(&[("a", "2"), ("b", "1")]));
    assert_ne!(name(&[("a", "1")]), name(&[("a", "1"), ("a", "1")]));
}

#[test]
fn what_the_node_adds_does_not_count_and_what_the_sender_says_does() {
    let same = draft(&[("a", "1")]);
    let name = dry_run(&same);
    let id = MessageId::derived(&[b"another"]);
    assert_eq!(name, dry_run(&Draft { id: id.clone(), ..same.clone() }), "an id that was made up");
    assert_eq!(name, dry_run(&Draft { origin: Origin::Node, ..same.clone() }), "the road");
    let text = || "x".to_owned();
    let others = [
        Draft { is_new: false, ..same.clone() },
        Draft { is_new: false, id, ..same.clone() },
        Draft { from: text(), ..same.clone() },
        Draft { owner: text(), ..same.clone() },
        Draft { anchor: text(), ..same.clone() },
        Draft { data: text(), ..same.clone() },
    ];
    let mut names: Vec<_> = others.iter().map(dry_run).chain([name]).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), others.len() + 1);
}

#[derive(Debug)]
struct ByBase;

impl Group for ByBase {
    fn group(&self, base: &BaseName, _: Option<&Asked<'_>>) -> GroupName {
        Grouper::Default.group(base, None, true)
    }
}

#[derive(Debug)]
struct Elsewhere;

impl Group for Elsewhere {
    fn group(&self, _: &BaseName, _: Option<&Asked<'_>>) -> GroupName {
        GroupName::of_process(&process("elsewhere"))
    }
}

#[test]
fn an_own_grouper_by_the_base_alone_joins_everything_on_it() {
    let own = Grouper::Own(Arc::new(ByBase));
    let (one, other) = (draft(&[("a", "1")]), draft(&[("a", "2")]));
    let of_base = own.group(&base(), None, true);
    for asked in [Asked::DryRun(&one), Asked::DryRun(&other), Asked::State, Asked::Compute(Slot(8))] {
        assert_eq!(own.group(&base(), Some(&asked), true), of_base, "{asked:?}");
    }
    let moved = BaseName { state: StateName::AtSlot(Slot(8)), ..base() };
    assert_ne!(own.group(&moved, None, true), of_base);
}

#[test]
fn a_name_of_another_process_is_not_taken() {
    let own = Grouper::Own(Arc::new(Elsewhere));
    assert_eq!(own.group(&base(), None, true), Grouper::Default.group(&base(), None, true));
}

#[test]
fn own_groupers_are_equal_if_they_are_the_same() {
    let own = Grouper::Own(Arc::new(ByBase));
    assert_eq!(own, own.clone());
    assert_ne!(own, Grouper::Own(Arc::new(ByBase)));
    assert_ne!(own, Grouper::Default);
    assert_eq!(Grouper::Process, Grouper::Process);
    assert_ne!(Grouper::Process, Grouper::default());
}

#[test]
fn named_joins_need_a_grouper_that_the_device_brings() {
    let (of_process, own) = (GroupName::of_process(&process("counter")), Grouper::Own(Arc::new(ByBase)));
    let hashed = Grouper::Default.group(&base(), None, true);
    for (grouper, group, named) in [
        (&Grouper::Default, &hashed, false),
        (&Grouper::Process, &hashed, false),
        (&Grouper::Process, &of_process, true),
        (&own, &hashed, true),
        (&own, &of_process, true),
    ] {
        assert_eq!(grouper.joins(group, AwaitInProgress::Named), named, "{grouper:?} {group}");
        assert!(grouper.joins(group, AwaitInProgress::All));
        assert!(!grouper.joins(group, AwaitInProgress::None));
    }
}

/// Few short texts, so that equal drafts and shifted boundaries come up often.
fn text() -> impl Strategy<Value = String> {
    "[ab]{0,2}"
}

fn any_draft() -> impl Strategy<Value = Draft> {
    let tags = prop::collection::vec((text(), text()), 0..4);
    let id = (0u8..2).prop_map(|number| MessageId::derived(&[&[number]]));
    let origin = prop_oneof![Just(Origin::Client), Just(Origin::Node)];
    (id, any::<bool>(), origin, [text(), text(), text(), text()], tags).prop_map(
        |(id, is_new, origin, [from, owner, anchor, data], tags)| {
            let tags = tags.into_iter().map(|(name, value)| Tag::new(name, value)).collect();
            Draft {
                id,
                is_new,
                origin,
                from,
                owner,
                anchor,
                tags,
                data,
                mark: None,
                push: None,
                cursor: None,
                closes_circle: false,
            }
        },
    )
}

/// A draft and one that is nearly or exactly the same: reordered, with a text cut elsewhere, or with one field of another.
fn two_drafts() -> impl Strategy<Value = (Draft, Draft)> {
    (any_draft(), any_draft(), 0u8..8).prop_map(|(one, other, kind)| {
        let mut near = one.clone();
        match kind {
            0 => near.tags.reverse(),
            1 => std::mem::swap(&mut near.from, &mut near.owner),
            2 => {
                near.data = format!("{}{}", near.anchor, near.data);
                near.anchor = String::new();
            }
            3 => near.tags = other.tags,
            4 => {
                if let Some(tag) = near.tags.first_mut() {
                    tag.value = format!("{}{}", tag.name, tag.value);
                    tag.name = String::new();
                }
            }
            5 => (near.id, near.is_new, near.origin) = (other.id, other.is_new, other.origin),
            6 => near.tags.extend(other.tags),
            _ => near = other,
        }
        (one, near)
    })
}

type Said<'a> = (Option<&'a MessageId>, [&'a str; 4], BTreeMap<&'a str, Vec<&'a str>>);

/// What a draft's sender said.
fn said(draft: &Draft) -> Said<'_> {
    let mut tags = BTreeMap::<_, Vec<_>>::new();
    for tag in &draft.tags {
        tags.entry(tag.name.as_str()).or_default().push(tag.value.as_str());
    }
    ((!draft.is_new).then_some(&draft.id), [&draft.from, &draft.owner, &draft.anchor, &draft.data], tags)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn drafts_share_a_name_exactly_if_their_senders_said_the_same((one, other) in two_drafts()) {
        prop_assert_eq!(dry_run(&one) == dry_run(&other), said(&one) == said(&other));
    }
}
