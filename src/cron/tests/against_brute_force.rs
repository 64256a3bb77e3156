//! The search against looking at every single second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::{at, cron};

/// Zones, with a time at which their clocks change, or don't.
const PLACES: [(&str, &str); 10] = [
    ("Europe/Berlin", "2025-03-30T01:00:00Z"),
    ("Europe/Berlin", "2025-10-26T01:00:00Z"),
    ("America/New_York", "2025-03-09T07:00:00Z"),
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
    ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
    ("Asia/Kolkata", "2025-12-31T18:30:00Z"),
    ("America/Havana", "2025-03-09T05:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("UTC", "2028-02-29T00:00:00Z"),
];

/// A field: whether it is a star, its step, or its values.
#[derive(Clone, Debug)]
enum Field {
    Star,
    Steps(i8),
    Values(BTreeSet<i8>),
}

impl Field {
    fn text(&self) -> String {
        match self {
            Self::Star => "*".to_owned(),
            Self::Steps(step) => format!("*/{step}"),
            Self::Values(values) => values.iter().map(i8::to_string).collect::<Vec<_>>().join(","),
        }
    }

    fn has(&self, value: i8, low: i8) -> bool {
        match self {
            Self::Star => true,
            Self::Steps(step) => (value - low) % step == 0,
            Self::Values(values) => values.contains(&value),
        }
    }

    fn is_star(&self) -> bool {
        !matches!(self, Self::Values(_))
    }
}

fn field(low: i8, high: i8) -> impl Strategy<Value = Field> {
    prop_oneof![
        2 => Just(Field::Star),
        1 => (1..=high - low).prop_map(Field::Steps),
        // Never all values, which counts as a star.
        4 => prop::collection::btree_set(low..=high, 1..=4).prop_map(Field::Values),
    ]
}

/// Hours of the night, in which clocks change, come often.
fn hour() -> impl Strategy<Value = Field> {
    prop_oneof![1 => field(0, 23), 2 => prop::collection::btree_set(0..=4i8, 1..=3).prop_map(Field::Values)]
}

fn fits(fields: &[Field; 6], wall: DateTime) -> bool {
    let [second, minute, hour, day, month, weekday] = fields;
    let by_day = day.has(wall.day(), 1);
    let by_weekday = weekday.has(wall.weekday().to_sunday_zero_offset(), 0);
    let fits_day = if day.is_star() || weekday.is_star() { by_day && by_weekday } else { by_day || by_weekday };
    let fits_time = second.has(wall.second(), 0) && minute.has(wall.minute(), 0) && hour.has(wall.hour(), 0);
    fits_day && month.has(wall.month(), 1) && fits_time
}

/// The seconds around a change and what clocks show.
struct Night {
    from: i64,
    to: i64,
    /// Each second, with its wall time.
    seconds: Vec<(i64, DateTime)>,
    /// Each wall time, those too that no second has, with the first second that has it, or the next one that there is.
    walls: Vec<(DateTime, i64)>,
}

impl Night {
    fn new((zone, change): (&str, &str)) -> Self {
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        let middle = (at(change) / 1000) as i64;
        let (from, to) = (middle - 3 * 3600, middle + 4 * 3600);
        let wall = |second: i64| zone.to_datetime(Timestamp::from_second(second).unwrap());
        let seconds: Vec<(i64, DateTime)> = (from..to).map(|second| (second, wall(second))).collect();
        let mut first: BTreeMap<DateTime, i64> = BTreeMap::new();
        for (second, wall) in &seconds {
            first.entry(*wall).or_insert(*second);
        }
        let following = |wall: &DateTime| wall.checked_add(jiff::Span::new().seconds(1)).ok();
        let walls = std::iter::successors(first.keys().next().copied(), following);
        let walls = walls.map_while(|wall| Some((wall, *first.range(wall..).next()?.1))).collect();
        Self { from, to, seconds, walls }
    }

    /// Every time of the night that an expression is due at, in milliseconds.
    fn due(&self, fields: &[Field; 6]) -> Vec<u64> {
        let due: BTreeSet<i64> = if fields[..3].iter().any(Field::is_star) {
            self.seconds.iter().filter(|(_, wall)| fits(fields, *wall)).map(|(second, _)| *second).collect()
        } else {
            self.walls.iter().filter(|(wall, _)| fits(fields, *wall)).map(|(_, second)| *second).collect()
        };
        due.into_iter().map(|second| second as u64 * 1000).collect()
    }
}

/// The nights of [`PLACES`].
static NIGHTS: LazyLock<Vec<Night>> = LazyLock::new(|| PLACES.into_iter().map(Night::new).collect());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_search_finds_what_trying_each_second_finds(
        place in 0..PLACES.len(),
        times in (field(0, 59), field(0, 59), hour()),
        days in prop_oneof![4 => Just((Field::Star, Field::Star, Field::Star)), 2 => (field(1, 31), field(1, 12), field(0, 6))],
        cut in 0..1_000u64,
    ) {
        let (zone, night) = (PLACES[place].0, &NIGHTS[place]);
        let fields = [times.0, times.1, times.2, days.0, days.1, days.2];
        let text = fields.iter().map(Field::text).collect::<Vec<_>>().join(" ");
        let expected = night.due(&fields);
        // Some expressions are never due; there is nothing to compare then.
        let form = super::cron_form(&text, zone);
        let Ok(entry) = crate::cron::Entry::try_from(form) else {
            prop_assert!(expected.is_empty());
            return Ok(());
        };

        let (start, end) = (night.from as u64 * 1000 - 1, night.to as u64 * 1000 - 1);
        let mut found = Vec::new();
        let mut after = start;
        while let Some(due) = entry.next_after(0, after).filter(|due| *due <= end) {
            prop_assert!(due > after);
            found.push(due);
            after = due;
        }
        prop_assert_eq!(&found, &expected, "{} in {}", text, zone);
        let cut = start + (end - start) * cut / 1_000;
        let before = expected.iter().filter(|due| **due <= cut).count() as u64;
        prop_assert_eq!(entry.count(0, start, cut), before);
        prop_assert_eq!(entry.count(0, cut, end), expected.len() as u64 - before);
    }

    #[test]
    fn counting_months_of_days_is_counting_each(from in 0..20_000u64, days in 0..900u64, text in 0..5usize) {
        const TEXTS: [&str; 5] = ["0 0 * * *", "30 6 31 * *", "0 2 29 2 *", "15 3 1-15 * MON", "0 1,2,3 * */3 SUN"];
        let entry = cron(TEXTS[text], "Europe/Berlin");
        let (from, to) = (from * 86_400_000, (from + days) * 86_400_000);
        let found = std::iter::successors(entry.next_after(0, from), |last| entry.next_after(0, *last));
        prop_assert_eq!(entry.count(0, from, to), found.take_while(|due| *due <= to).count() as u64);
    }
}

#[test]
fn the_brute_force_itself_is_right_about_a_gap_and_a_fold() {
    let only = |value| Field::Values(BTreeSet::from([value]));
    let fields = [only(0), only(30), only(2), Field::Star, Field::Star, Field::Star];
    for (night, expected) in [(0, "2025-03-30T01:00:00Z"), (1, "2025-10-26T00:30:00Z")] {
        assert_eq!(NIGHTS[night].due(&fields), [at(expected)], "{:?}", PLACES[night]);
    }
}
