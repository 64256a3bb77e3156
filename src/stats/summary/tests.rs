use proptest::prelude::*;

use super::*;

/// The quotient as the nearest floating point number, or next to it.
fn quotient(above: i128, below: i128) -> f64 {
    let whole = above.div_euclid(below);
    whole as f64 + above.rem_euclid(below) as f64 / below as f64
}

#[track_caller]
fn assert_near(what: &str, found: f64, exact: f64, tolerance: f64) {
    assert!((found - exact).abs() <= tolerance, "{what}: {found}, not {exact} (± {tolerance})");
}

/// Samples of whole numbers, and what whole numbers say about them.
fn check(offset: i64, steps: &[(u64, i64)]) {
    let mut time = 0;
    let mut samples = Vec::new();
    for (step, value) in steps {
        time += i128::from(*step);
        samples.push((time, i128::from(offset + value)));
    }
    let summary = Summary::of(&samples.iter().map(|&(t, v)| (t as u64, v as f64)).collect::<Vec<_>>()).unwrap();
    let n = samples.len() as i128;
    let sum = |of: &dyn Fn(i128, i128) -> i128| samples.iter().map(|&(t, v)| of(t, v)).sum::<i128>();
    let (s, t) = (sum(&|_, v| v), sum(&|t, _| t));
    // Taken around a whole number near the mean, which changes nothing and keeps the products small.
    let near = s.div_euclid(n);
    let (d, dd) = (sum(&|_, v| v - near), sum(&|_, v| (v - near).pow(2)));
    let (td, tt) = (sum(&|t, v| t * (v - near)), sum(&|t, _| t * t));
    // One part in 2^52 of the mean is what a number of that size can tell apart.
    let last_bit = f64::EPSILON * s.abs() as f64 / n as f64 + f64::EPSILON;

    assert_eq!(summary.count as i128, n);
    assert_near("sum", summary.sum, s as f64, last_bit * n as f64);
    assert_near("mean", summary.mean, quotient(s, n), 2.0 * last_bit);
    let deviation = ((n * dd - d * d) as f64).sqrt() / n as f64;
    assert_near("deviation", summary.std_dev, deviation, 1e-12 * deviation);
    let spread = n * tt - t * t;
    match summary.slope {
        Some(slope) => {
            let exact = quotient((n * td - t * d) * 1_000, spread);
            // The steepest slope that values so far apart can have.
            let steepest = deviation / ((spread as f64).sqrt() / n as f64 / 1_000.0);
            assert_near("slope", slope, exact, 1e-12 * steepest);
        }
        None => assert_eq!(spread, 0),
    }
    let mut sorted: Vec<i128> = samples.iter().map(|&(_, v)| v).collect();
    sorted.sort_unstable();
    assert_eq!((summary.min, summary.max), (sorted[0] as f64, sorted[sorted.len() - 1] as f64));
    for (percent, found) in [(50, summary.median), (50, summary.p50), (95, summary.p95), (99, summary.p99)] {
        let rank = percent * (sorted.len() - 1);
        let (low, part) = (sorted[rank / 100], (rank % 100) as i128);
        let high = sorted[(rank / 100 + 1).min(sorted.len() - 1)];
        // Two parts in 2^52 of the larger neighbour.
        let tolerance = 2.0 * f64::EPSILON * low.abs().max(high.abs()) as f64;
        assert_near("percentile", found, quotient(low * 100 + (high - low) * part, 100), tolerance);
    }
}

proptest! {
    #[test]
    fn a_summary_is_what_whole_numbers_say(
        offset in prop_oneof![Just(0), Just(1_000_000_000), Just(-1_000_000_000_000), Just(1_000_000_000_000_000)],
        steps in proptest::collection::vec((0_u64..10_000, -1_000_i64..1_000), 1..150),
        wide in 1_i64..1_000,
    ) {
        let steps: Vec<(u64, i64)> = steps.into_iter().map(|(step, value)| (step, value * wide)).collect();
        check(offset, &steps);
    }

    #[test]
    fn whatever_comes_in_the_numbers_keep_their_order(
        values in proptest::collection::vec(any::<f64>(), 0..60),
    ) {
        let samples: Vec<Sample> = values.iter().enumerate().map(|(at, &value)| (at as u64 * 1_000, value)).collect();
        let finite = values.iter().filter(|value| value.is_finite()).count();
        let Some(summary) = Summary::of(&samples) else {
            prop_assert_eq!(finite, 0);
            return Ok(());
        };
        prop_assert_eq!(summary.count, finite);
        let Summary { min, median, p95, p99, max, mean, std_dev, .. } = summary;
        prop_assert!([min, median, p95, p99, max].is_sorted(), "{summary:?}");
        prop_assert!(min <= mean && mean <= max && std_dev >= 0.0 && std_dev.is_finite(), "{summary:?}");
    }
}

#[test]
fn samples_at_a_large_offset_keep_their_deviation() {
    for offset in [0.0, 1e9, 1e12, 1e15] {
        let values = [4.0, 7.0, 13.0, 16.0].map(|value| offset + value);
        let samples: Vec<Sample> = (0..).map(|at| at * 1_000).zip(values).collect();
        let summary = Summary::of(&samples).unwrap();
        assert_eq!((summary.mean, summary.std_dev), (offset + 10.0, 22.5_f64.sqrt()), "at {offset}");
        assert_near("slope", summary.slope.unwrap(), 4.2, 1e-15 * 4.2);
    }
}

#[test]
fn one_value_equal_values_and_none() {
    assert_eq!(Summary::of(&[]), None);
    assert_eq!(Summary::of(&[(1, f64::NAN), (2, f64::INFINITY)]), None);
    for count in [1_usize, 3, 10] {
        let samples: Vec<Sample> = (0..count).map(|at| (at as u64 * 100, 0.1)).collect();
        let summary = Summary::of(&samples).unwrap();
        let Summary { mean, median, min, max, p50, p95, p99, .. } = summary;
        assert_eq!([mean, median, min, max, p50, p95, p99], [0.1; 7], "{count}");
        assert_eq!((summary.count, summary.std_dev), (count, 0.0));
        assert_eq!(summary.slope, if count == 1 { None } else { Some(0.0) });
    }
}

#[test]
fn the_largest_numbers_leave_all_but_their_sum_finite() {
    let samples = [(0, f64::MAX), (1_000, f64::MAX), (2_000, -f64::MAX), (3_000, f64::MAX)];
    let summary = Summary::of(&samples).unwrap();
    assert_eq!(summary.sum, f64::INFINITY);
    assert_near("mean", summary.mean / f64::MAX, 0.5, 1e-15);
    assert_near("deviation", summary.std_dev / f64::MAX, 0.75_f64.sqrt(), 1e-15);
    assert_near("slope", summary.slope.unwrap() / f64::MAX, -0.2, 1e-15);
}

#[test]
fn a_summary_has_the_keys_of_the_contract() {
    let json = serde_json::to_value(Summary::of(&[(1, 2.0)])).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["count", "max", "mean", "median", "min", "p50", "p95", "p99", "slope", "stdDev", "sum"]);
    assert_eq!(json["slope"], serde_json::Value::Null);
}
