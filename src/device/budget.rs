//! What one call may use: gas, CPU time, an interrupt, and the flag that says which of them ended it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use rustix::time::{ClockId, clock_gettime};

use crate::config::limits::{LimitKey, Limits};
use crate::device::{Interrupt, Mode};

/// The gas of a call as such. Its instructions are counted in steps, so that a small call would else cost nothing.
const CALL: u64 = 100;

/// A call that may have succeeded before has so many times the CPU time.
const AGAIN_TIME: u64 = 4;

/// Why a call must end. Nothing a script catches brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It exceeded this limit.
    Limit(LimitKey),
    /// It was asked to.
    Interrupted,
}

/// The call has ended: unwind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has ended")]
pub(super) struct Ended;

/// How the end is noted in one byte; 0 says that the call goes on.
const ENDS: [End; 9] = [
    End::Interrupted,
    End::Limit(LimitKey::ComputeTime),
    End::Limit(LimitKey::Gas),
    End::Limit(LimitKey::Memory),
    End::Limit(LimitKey::StateSize),
    End::Limit(LimitKey::OutputSize),
    End::Limit(LimitKey::MessagesPerOutcome),
    End::Limit(LimitKey::MessageSize),
    End::Limit(LimitKey::Queue),
];

/// Stands for a point in time that is not known yet.
const UNKNOWN: u64 = 0;

/// The account of the running call. One thread uses it at a time; the atomics only let it be shared with callbacks.
#[derive(Debug)]
pub(super) struct Budget {
    interrupt: Interrupt,
    gas_most: AtomicU64,
    gas_used: AtomicU64,
    /// CPU time that the call may take, in nanoseconds; `u64::MAX` where time does not count.
    cpu_most: AtomicU64,
    /// The thread's CPU clock, in nanoseconds, at which time is up. Not known before the coarse clock moves for the first
    /// time: most calls end before that, and reading the CPU clock costs them more than all the rest of the account.
    cpu_until: AtomicU64,
    /// The coarse clock, in nanoseconds, when it last moved.
    looked_at: AtomicU64,
    ended: AtomicU8,
}

impl Budget {
    /// An account that `interrupt` can close. [`Budget::start`] opens it.
    pub(super) fn new(interrupt: Interrupt) -> Self {
        Self {
            interrupt,
            gas_most: AtomicU64::new(0),
            gas_used: AtomicU64::new(0),
            cpu_most: AtomicU64::new(u64::MAX),
            cpu_until: AtomicU64::new(UNKNOWN),
            looked_at: AtomicU64::new(0),
            ended: AtomicU8::new(0),
        }
    }

    /// Opens the account for a call on this thread.
    pub(super) fn start(&self, limits: &Limits, mode: Mode) {
        let time = u64::try_from(limits.compute_time.as_nanos()).unwrap_or(u64::MAX);
        let cpu = match mode {
            Mode::Live | Mode::Trial => time,
            Mode::Again => time.saturating_mul(AGAIN_TIME),
            Mode::Replay => u64::MAX,
        };
        self.gas_most.store(limits.gas, Relaxed);
        self.gas_used.store(CALL, Relaxed);
        self.cpu_most.store(cpu, Relaxed);
        self.cpu_until.store(UNKNOWN, Relaxed);
        self.looked_at.store(nanos(ClockId::MonotonicCoarse), Relaxed);
        self.ended.store(0, Relaxed);
    }

    /// Takes `gas` from the account, and looks whether the call may go on.
    pub(super) fn spend(&self, gas: u64) -> Result<(), Ended> {
        if self.ended.load(Relaxed) != 0 {
            return Err(Ended);
        }
        let used = self.gas_used.load(Relaxed).saturating_add(gas);
        self.gas_used.store(used, Relaxed);
        if used > self.gas_most.load(Relaxed) {
            return Err(self.end(End::Limit(LimitKey::Gas)));
        }
        if self.interrupt.is_raised() {
            return Err(self.end(End::Interrupted));
        }
        // The coarse clock costs a few nanoseconds and moves every few milliseconds; the CPU clock is a system call.
        let now = nanos(ClockId::MonotonicCoarse);
        if now == self.looked_at.load(Relaxed) {
            return Ok(());
        }
        self.looked_at.store(now, Relaxed);
        let cpu = nanos(ClockId::ThreadCPUTime);
        match self.cpu_until.load(Relaxed) {
            UNKNOWN => self.cpu_until.store(cpu.saturating_add(self.cpu_most.load(Relaxed)), Relaxed),
            until if cpu > until => return Err(self.end(End::Limit(LimitKey::ComputeTime))),
            _ => {}
        }
        Ok(())
    }

    /// Notes that the call has ended. The first reason stays.
    pub(super) fn end(&self, by: End) -> Ended {
        if self.ended.load(Relaxed) == 0 {
            let at = ENDS.iter().position(|end| *end == by).unwrap_or_default();
            self.ended.store(u8::try_from(at + 1).unwrap_or(1), Relaxed);
        }
        Ended
    }

    /// Why the call has ended, if it has.
    pub(super) fn ended(&self) -> Option<End> {
        ENDS.get(usize::from(self.ended.load(Relaxed)).checked_sub(1)?).copied()
    }

    /// Gas that the call took, at most what it may.
    pub(super) fn used(&self) -> u64 {
        self.gas_used.load(Relaxed).min(self.gas_most.load(Relaxed))
    }
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanos.unwrap_or(0))
}

/// The text of an outcome whose call this limit ended.
pub(super) fn limit_text(key: LimitKey, limits: &Limits) -> String {
    let why = match key {
        LimitKey::ComputeTime => format!("the call took more than {:?} of CPU time", limits.compute_time),
        LimitKey::Gas => format!("the call needs more than {} gas", limits.gas),
        LimitKey::Memory => format!("the call needs more than {} bytes of memory", limits.memory),
        LimitKey::StateSize => format!("the state would take more than {} bytes", limits.state_size),
        LimitKey::OutputSize => format!("the output takes more than {} bytes", limits.output_size),
        LimitKey::MessagesPerOutcome => {
            format!("more than {} messages, spawns and assignments", limits.messages_per_outcome)
        }
        LimitKey::MessageSize => format!("a message takes more than {} bytes", limits.message_size),
        LimitKey::Queue => format!("more than {} messages wait", limits.queue),
        LimitKey::Outbox => format!("more than {} messages wait to be delivered", limits.outbox),
    };
    format!("limit {key}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_end_is_told_apart() {
        for end in ENDS {
            let budget = Budget::new(Interrupt::default());
            budget.start(&Limits::default(), Mode::Live);
            assert_eq!(budget.ended(), None);
            budget.end(end);
            budget.end(End::Interrupted);
            assert_eq!(budget.ended(), Some(end), "the first reason stays");
            assert!(limit_text(LimitKey::Gas, &Limits::default()).starts_with("limit gas: "));
        }
    }

    #[test]
    fn gas_ends_a_call_when_more_is_spent_than_there_is() {
        let budget = Budget::new(Interrupt::default());
        budget.start(&Limits { gas: CALL + 10, ..Limits::default() }, Mode::Live);
        assert_eq!(budget.spend(10), Ok(()));
        assert_eq!(budget.spend(1), Err(Ended));
        assert_eq!(budget.spend(0), Err(Ended), "what has ended stays ended");
        assert_eq!((budget.ended(), budget.used()), (Some(End::Limit(LimitKey::Gas)), CALL + 10));
        budget.start(&Limits { gas: u64::MAX, ..Limits::default() }, Mode::Live);
        assert_eq!(budget.spend(u64::MAX), Ok(()), "nothing overflows");
        assert_eq!(budget.spend(u64::MAX), Ok(()));
    }

    #[test]
    fn cpu_time_ends_a_live_call_and_no_replayed_one() {
        let none = Limits { compute_time: Duration::ZERO, gas: 5_000_000, ..Limits::default() };
        let ended = |mode| {
            let budget = Budget::new(Interrupt::default());
            budget.start(&none, mode);
            while budget.spend(1).is_ok() {}
            budget.ended()
        };
        assert_eq!(ended(Mode::Live), Some(End::Limit(LimitKey::ComputeTime)));
        assert_eq!(ended(Mode::Replay), Some(End::Limit(LimitKey::Gas)));
    }

    #[test]
    fn an_interrupt_ends_a_call() {
        let interrupt = Interrupt::default();
        let budget = Budget::new(interrupt.clone());
        budget.start(&Limits::default(), Mode::Replay);
        assert_eq!(budget.spend(1), Ok(()));
        interrupt.raise();
        assert_eq!(budget.spend(1), Err(Ended));
        assert_eq!(budget.ended(), Some(End::Interrupted));
    }
}
