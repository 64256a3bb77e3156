use super::rounds::LONGEST_ROUND;
use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn rounds() -> Rounds {
    Rounds::new(RoundsOptions { rate: Duration::from_secs(5), pages_per_tick: 3 }, 1_000)
}

fn page(results: u64, has_more: bool) -> Page {
    Page { results, has_more, has_moved: results > 0, next_due: None }
}

#[test]
fn a_round_goes_on_while_there_is_more_and_ends_when_there_is_none() {
    let mut rounds = rounds();
    assert_eq!(rounds.tick(1_000), Tick::Pull);
    assert_eq!(rounds.page(1_000, page(2, true)), Rest::Pull);
    assert_eq!(rounds.page(1_000, page(1, false)), Rest::Until(6_000));
    assert_eq!((rounds.ticks, rounds.pushed), (1, 3));
}

#[test]
fn a_round_has_so_many_pages_and_lasts_so_long() {
    let mut rounds = rounds();
    assert_eq!(rounds.tick(0), Tick::Pull);
    assert_eq!(rounds.page(0, page(1, true)), Rest::Pull);
    assert_eq!(rounds.page(0, page(1, true)), Rest::Pull);
    assert_eq!(rounds.page(0, page(1, true)), Rest::Until(5_000));
    assert_eq!(rounds.tick(5_000), Tick::Pull);
    assert_eq!(rounds.page(5_000 + LONGEST_ROUND, page(1, true)), Rest::Until(10_000 + LONGEST_ROUND));
}

#[test]
fn a_tick_during_a_round_is_skipped_and_counted() {
    let mut rounds = rounds();
    assert_eq!(rounds.tick(0), Tick::Pull);
    assert_eq!(rounds.tick(1), Tick::Skip);
    assert_eq!((rounds.ticks, rounds.skipped), (1, 1));
}

#[test]
fn more_without_anything_new_ends_the_round() {
    let mut rounds = rounds();
    assert_eq!(rounds.tick(0), Tick::Pull);
    assert_eq!(rounds.page(0, page(0, true)), Rest::Until(5_000));
    let stuck = Page { results: 3, has_more: true, has_moved: false, next_due: None };
    assert_eq!(rounds.tick(5_000), Tick::Pull);
    assert_eq!(rounds.page(5_000, stuck), Rest::Until(10_000));
}

#[test]
fn the_next_tick_is_when_something_is_due_and_never_later_than_the_rate() {
    for (next_due, until) in [(None, 5_100), (Some(700), 700), (Some(50), 100), (Some(90_000), 5_100)] {
        let mut rounds = rounds();
        assert_eq!(rounds.tick(100), Tick::Pull);
        assert_eq!(rounds.page(100, Page { next_due, ..Page::default() }), Rest::Until(until), "{next_due:?}");
    }
}

#[test]
fn errors_wait_longer_each_time_and_are_logged_once_a_minute() {
    let mut rounds = rounds();
    let (mut now, mut waits, mut told) = (0, Vec::new(), 0);
    for _ in 0..12 {
        assert_eq!(rounds.tick(now), Tick::Pull);
        let (rest, is_told) = rounds.failed(now, "no".to_owned(), 0);
        let Rest::Until(next) = rest else { panic!("{rest:?}") };
        assert_eq!(rounds.tick(next - 1), Tick::Wait);
        waits.push(next - now);
        told += u32::from(is_told);
        now = next;
    }
    assert_eq!(waits[..4], [500, 1_000, 2_000, 4_000]);
    assert_eq!(waits[10..], [300_000, 300_000]);
    assert_eq!(told, 6, "at 0, after a minute and with each of the long waits: {waits:?}");
    assert_eq!(rounds.tick(now), Tick::Pull);
    assert_eq!(rounds.page(now, page(1, false)), Rest::Until(now + 5_000));
    assert_eq!(rounds.last_error, None);
    assert_eq!(rounds.tick(now + 5_000), Tick::Pull);
    assert_eq!(rounds.failed(now + 5_000, "again".to_owned(), 0).0, Rest::Until(now + 5_500), "the wait begins anew");
}

#[test]
fn a_clock_set_far_back_does_not_stall() {
    let mut rounds = rounds();
    let far = 400_000_000_000;
    assert_eq!(rounds.tick(far), Tick::Pull);
    let _ = rounds.failed(far, "no".to_owned(), 0);
    assert_eq!(rounds.tick(1_000), Tick::Pull);
}

proptest! {
    #[test]
    fn it_never_waits_longer_than_it_may(steps in prop::collection::vec((0u8..4, 0u64..400_000, any::<u64>()), 1..100)) {
        let mut rounds = rounds();
        let mut now = 0u64;
        for (kind, time, jitter) in steps {
            now += time;
            let rest = match (kind, rounds.is_pulling()) {
                (0, _) | (_, false) => {
                    let _ = rounds.tick(now);
                    continue;
                }
                (1, true) => rounds.failed(now, "no".to_owned(), jitter).0,
                (_, true) => {
                    let next_due = (jitter % 2 == 0).then_some(jitter);
                    rounds.page(now, Page { results: 1, has_more: kind == 2, has_moved: true, next_due })
                }
            };
            if let Rest::Until(until) = rest {
                prop_assert!(until >= now && until <= now + 450_001);
                prop_assert!(!rounds.is_pulling());
                prop_assert_eq!(rounds.next_due, until);
            }
        }
    }
}
