use proptest::prelude::*;

use super::*;

#[test]
fn sizes() {
    let table: [(&str, Result<u64, UnitError>); 22] = [
        ("0B", Ok(0)),
        ("1B", Ok(1)),
        ("1KB", Ok(1_000)),
        ("1KiB", Ok(1_024)),
        ("64MiB", Ok(67_108_864)),
        ("64MB", Ok(64_000_000)),
        ("2GiB", Ok(2_147_483_648)),
        ("2GB", Ok(2_000_000_000)),
        ("1TiB", Ok(1_099_511_627_776)),
        ("1TB", Ok(1_000_000_000_000)),
        ("64 MiB", Ok(67_108_864)),
        ("18446744073709551615B", Ok(u64::MAX)),
        ("", Err(UnitError::NoNumber)),
        ("MiB", Err(UnitError::NoNumber)),
        ("-1B", Err(UnitError::NoNumber)),
        (" 1B", Err(UnitError::NoNumber)),
        ("64", Err(UnitError::NoSizeUnit)),
        ("64mib", Err(UnitError::SizeUnit("mib".to_owned()))),
        ("1.5GiB", Err(UnitError::SizeUnit(".5GiB".to_owned()))),
        ("1µB", Err(UnitError::SizeUnit("µB".to_owned()))),
        ("18446744073709551616B", Err(UnitError::SizeOverflow)),
        ("16777216TiB", Err(UnitError::SizeOverflow)),
    ];
    for (text, expected) in table {
        assert_eq!(parse_size(text), expected, "{text:?}");
    }
}

#[test]
fn sizes_are_shown_in_the_largest_fitting_unit() {
    let table = [
        (0, "0B"),
        (1, "1B"),
        (1_000, "1KB"),
        (1_024, "1KiB"),
        (1_025, "1025B"),
        (64 << 20, "64MiB"),
        (3_000_000, "3MB"),
        (1 << 30, "1GiB"),
        (u64::MAX, "18446744073709551615B"),
    ];
    for (bytes, expected) in table {
        assert_eq!(format_size(bytes), expected);
    }
}

#[test]
fn durations() {
    let text = |text: &str| Err(UnitError::Duration(text.to_owned()));
    let table = [
        ("0s", Ok(Duration::ZERO)),
        ("10ms", Ok(Duration::from_millis(10))),
        ("5m", Ok(Duration::from_secs(300))),
        ("1h 30m", Ok(Duration::from_secs(5_400))),
        ("7d", Ok(Duration::from_secs(604_800))),
        ("1.5s", Ok(Duration::from_millis(1_500))),
        ("36500d", Ok(LONGEST)),
        ("36501d", Err(UnitError::TooLong)),
        ("", text("it is empty")),
        ("s", text("a number is missing")),
        ("-5s", text("a number is missing")),
        ("5", text("it has no unit: ms, s, m, h or d")),
        ("5 apples", text("unknown unit \"apples\": known are ms, s, m, h, d")),
        ("5$", text("character 2 does not belong there")),
        ("99999999999999999999s", text("it is too large or too fine")),
        ("0.1ns", text("it is too large or too fine")),
    ];
    for (text, expected) in table {
        assert_eq!(parse_duration(text), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_shown_size_reads_back(number in any::<u64>(), shift in 0u32..64) {
        let bytes = number >> shift;
        prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
    }

    #[test]
    fn a_shown_duration_reads_back(millis in 0..=36_500u64 * 86_400_000) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>(), near in "[0-9.]{0,6}[ µnumsdhyMYKGTiB.0-9é]{0,12}") {
        for text in [text, near] {
            if let Ok(bytes) = parse_size(&text) {
                prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            }
            prop_assert!(parse_duration(&text).map_or(true, |duration| duration <= LONGEST));
        }
    }
}
