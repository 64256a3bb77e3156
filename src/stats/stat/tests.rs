use super::*;

const COUNTER: [Sample; 5] = [(1_000, 10.0), (2_000, 14.0), (3_000, 3.0), (4_000, 3.0), (6_000, 5.0)];

#[test]
fn each_statistic_has_a_name_and_a_number() {
    let expected = [5.0, 5.0, 35.0, 7.0, 5.0, 3.0, 14.0, 5.0, 13.2, 13.84];
    for (name, expected) in Stat::NAMES.into_iter().zip(expected) {
        let stat = Stat::parse(name).unwrap();
        let found = stat.of(&COUNTER).unwrap();
        assert!((found - expected).abs() < 1e-12, "{name}: {found}, not {expected}");
    }
    for (name, expected) in
        [("stddev", 18.8_f64.sqrt()), ("slope", -23.0 / 14.8), ("rate", 9.0 / 5.0), ("delta", -5.0), ("increase", 9.0)]
    {
        let found = Stat::parse(name).unwrap().of(&COUNTER).unwrap();
        assert!((found - expected).abs() < 1e-12, "{name}: {found}, not {expected}");
    }
}

#[test]
fn names_and_statistics_belong_together() {
    for name in Stat::NAMES {
        assert_eq!(Stat::parse(name).unwrap().to_string(), name);
    }
    for name in ["", "Last", "p90", " last"] {
        assert_eq!(Stat::parse(name), None);
    }
}

#[test]
fn what_too_few_samples_cannot_say_is_none() {
    let one = [(5_000, 7.0)];
    let two_at_once = [(5_000, 7.0), (5_000, 8.0)];
    for (name, of_one, of_two) in [
        ("last", Some(7.0), Some(8.0)),
        ("count", Some(1.0), Some(2.0)),
        ("stddev", Some(0.0), Some(0.5)),
        ("p99", Some(7.0), Some(7.99)),
        ("slope", None, None),
        ("rate", None, None),
        ("delta", None, Some(1.0)),
        ("increase", None, Some(1.0)),
    ] {
        let stat = Stat::parse(name).unwrap();
        assert_eq!(stat.of(&[]), None, "{name}");
        assert_eq!(stat.of(&one), of_one, "{name}");
        assert_eq!(stat.of(&two_at_once), of_two, "{name}");
    }
}

#[test]
fn what_is_not_finite_counts_for_nothing() {
    let samples = [(0, f64::NAN), (1_000, 1.0), (2_000, f64::INFINITY), (3_000, 5.0), (4_000, f64::NEG_INFINITY)];
    let clean = [(1_000, 1.0), (3_000, 5.0)];
    for name in Stat::NAMES {
        let stat = Stat::parse(name).unwrap();
        assert_eq!(stat.of(&samples), stat.of(&clean), "{name}");
        assert_eq!(stat.of(&samples[..1]), None, "{name}");
    }
}
