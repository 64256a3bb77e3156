//! What outlives the node as bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::alert::{Alerts, RestoreError, SavedAlerts};

/// Whatever can stand in a rule, an alert that fires for each of these values, and the notices of that, owed to two.
fn saved(values: &[f64]) -> SavedAlerts {
    let rule = Rule {
        labels: Selector::parse("job=\"a \\\"b\\\" \\\\\",none=\"\"").unwrap(),
        stat: Stat::StdDev,
        condition: Condition::parse("!= 0.1").unwrap(),
        keep_firing_for: Duration::new(1, 1),
        own_labels: labels("team=\"ü\\n\""),
        on_missing: OnMissing::Keep,
        receivers: vec!["one".to_owned(), "two".to_owned()],
        ..rule("Quite \"odd\"")
    };
    let mut alerts = Alerts::new(vec![rule.clone(), Rule { name: "Quiet".to_owned(), ..rule }], INTERVAL);
    let numbered = values.iter().enumerate();
    let series: Vec<_> = numbered.map(|(at, value)| (labels(&format!("at=\"{at}\"")), Some(*value))).collect();
    let notices: Vec<Arc<Notice>> =
        alerts.watches().take(1).flat_map(|watch| watch.evaluate(77, &series)).map(Arc::new).collect();
    let owed = ["one", "two"].map(|name| (name.to_owned(), notices.clone()));
    SavedAlerts { rules: alerts.save().into(), owed: BTreeMap::from(owed) }
}

#[test]
fn what_was_saved_comes_back_as_it_was() {
    let saved = saved(&[0.2, 0.1 + 0.2, f64::INFINITY, -1e300, f64::MIN_POSITIVE]);
    let read = SavedAlerts::from_bytes(&saved.to_bytes().unwrap()).unwrap();
    assert_eq!((read.rules.len(), read.rules[0].alerts.len(), read.owed.len()), (1, 5, 2));
    assert_eq!(read.rules[0].rule, saved.rules[0].rule);
    for (receiver, notices) in &saved.owed {
        let own = |notice: &Arc<Notice>| Notice { receivers: vec![receiver.clone()], ..Notice::clone(notice) };
        let expected: Vec<_> = notices.iter().map(own).collect();
        assert_eq!(read.owed[receiver].iter().map(|notice| Notice::clone(notice)).collect::<Vec<_>>(), expected);
    }
    assert_eq!(read.to_bytes().unwrap(), saved.to_bytes().unwrap());
    assert!(!saved.is_empty() && SavedAlerts::default().is_empty());
}

#[test]
fn what_is_told_late_is_valid_for_as_long() {
    let notice = saved(&[2.0]).owed["one"][0].clone();
    assert_eq!((notice.timestamp, notice.valid_until), (77, Some(240_077)));
    assert_eq!(notice.told_late(1_000_000).valid_until, Some(1_240_000));
    assert_eq!((notice.told_late(0).valid_until, notice.told_late(1_000_000).timestamp), (Some(240_077), 77));
}

#[test]
fn what_was_not_saved_says_why() {
    let sealed = |body: &str| {
        let checksum = xxhash_rust::xxh3::xxh3_64(body.as_bytes());
        format!("mainstay alerts 1 {checksum:016x}\n{body}").into_bytes()
    };
    let refused = |bytes: &[u8]| SavedAlerts::from_bytes(bytes).unwrap_err();
    for bytes in ["", "mainstay", "mainstsx", "{\"rules\":[]}"] {
        assert_eq!(refused(bytes.as_bytes()), RestoreError::Foreign, "{bytes}");
    }
    for bytes in ["mainstay alerts ", "mainstay alerts 1\n", "mainstay alerts x 0\n", "mainstay alerts 1 0\n{}"] {
        assert_eq!(refused(bytes.as_bytes()), RestoreError::Damaged, "{bytes}");
    }
    assert_eq!(refused(b"mainstay alerts 2 0\n"), RestoreError::Version { found: 2 });
    let whole = String::from_utf8(saved(&[2.0]).to_bytes().unwrap()).unwrap();
    let body = whole.split_once('\n').unwrap().1;
    assert!(SavedAlerts::from_bytes(&sealed(body)).is_ok());
    for (text, other, why) in [
        ("\"stddev\"", "\"odd\"", "no statistic is called \"odd\""),
        ("\"keep\"", "\"drop\"", "no way with what is missing is called \"drop\""),
        ("\"!= 0.1\"", "\"0.1\"", "it does not begin with"),
        ("\"2\"", "\"two\"", "invalid float literal"),
        ("\"rules\"", "\"others\"", "missing field `rules`"),
        ("\"firing\"", "\"inactive\"", "unknown variant"),
        ("{{ $value }}", "{{ $other }}", "outside the subset"),
        ("at=\\\"0\\\"", "at", "an equals sign is missing"),
    ] {
        assert!(body.contains(text), "{text} is not in {body}");
        let RestoreError::Malformed(said) = refused(&sealed(&body.replacen(text, other, 1))) else { panic!("{text}") };
        assert!(said.contains(why), "{text}: {said}");
    }
}

proptest! {
    #[test]
    fn bytes_that_changed_are_refused(at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<prop::sample::Index>()) {
        let whole = saved(&[2.0]).to_bytes().unwrap();
        let mut flipped = whole.clone();
        flipped[at.index(whole.len())] ^= 1 << bit;
        prop_assert!(SavedAlerts::from_bytes(&flipped).is_err());
        prop_assert!(SavedAlerts::from_bytes(&whole[..cut.index(whole.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), is_titled in any::<bool>()) {
        let title: &[u8] = if is_titled { b"mainstay alerts 1 " } else { b"" };
        prop_assert!(SavedAlerts::from_bytes(&[title, &bytes].concat()).is_err());
    }
}
