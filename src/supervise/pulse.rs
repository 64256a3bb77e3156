//! What a worker answers to a ping, and whether that is well.

use std::time::Duration;

use crate::ids::Slot;
use crate::units::format_duration;

/// A slot may take so many times the CPU time that it is allowed. Four times is what a slot may use that is computed once
/// more after a crash; the rest is for waiting for whatever else than a core.
const ROOM: u32 = 10;

/// However little CPU time a slot is allowed, it may take so long.
const LEAST: Duration = Duration::from_secs(1);

/// What a worker answers to a ping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// The slot that is being computed, if one is.
    pub at_work: Option<AtWork>,
}

/// A slot that is being computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtWork {
    /// The slot.
    pub slot: Slot,
    /// For how long, without the time in which its thread waited for a core.
    pub time: Duration,
    /// The CPU time that it is allowed, where that is known.
    pub compute_time: Option<Duration>,
}

impl Pulse {
    /// Whether that is well. Computing for long is; computing beyond [`deadline`] is not.
    pub fn verdict(&self) -> Result<(), String> {
        let Some(AtWork { slot, time, compute_time: Some(compute_time) }) = self.at_work else { return Ok(()) };
        let deadline = deadline(compute_time);
        if time <= deadline {
            return Ok(());
        }
        let (time, deadline) = (format_duration(whole(time)), format_duration(whole(deadline)));
        Err(format!(
            "slot {slot} has been computed for {time}, and {deadline} ({ROOM} times limit compute_time) is the most that \
             it may take"
        ))
    }
}

/// The time after which a slot that is allowed so much CPU time hangs.
pub fn deadline(compute_time: Duration) -> Duration {
    compute_time.saturating_mul(ROOM).max(LEAST)
}

fn whole(time: Duration) -> Duration {
    time - Duration::from_nanos(u64::from(time.subsec_nanos() % 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_may_take_ten_times_its_cpu_time_and_a_second_at_least() {
        let pulse = |millis, compute_time: Option<u64>| {
            let (time, compute_time) = (Duration::from_millis(millis), compute_time.map(Duration::from_millis));
            Pulse { at_work: Some(AtWork { slot: Slot(7), time, compute_time }) }
        };
        assert_eq!(Pulse::default().verdict(), Ok(()));
        for (pulse, is_well) in [
            (pulse(0, Some(5_000)), true),
            (pulse(50_000, Some(5_000)), true),
            (pulse(50_001, Some(5_000)), false),
            (pulse(1_000, Some(1)), true),
            (pulse(1_001, Some(1)), false),
            (pulse(u64::MAX, None), true),
            (pulse(60_000, Some(u64::MAX)), true),
        ] {
            assert_eq!(pulse.verdict().is_ok(), is_well, "{pulse:?}");
        }
        let said = pulse(60_000, Some(5_000)).verdict().unwrap_err();
        assert_eq!(
            said,
            "slot 7 has been computed for 1m, and 50s (10 times limit compute_time) is the most that it may take"
        );
    }
}
