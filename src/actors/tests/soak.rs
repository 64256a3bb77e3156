//! Many askers, few bases, and everything that can go wrong, by seeds.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use super::rig::{Rig, Settings, draft, moment, pass, run, still};
use crate::actors::Hub;
use crate::device::fake::{Act, Manner};
use crate::group::Chain;
use crate::ids::{GroupName, ProcessId, Slot};
use crate::process::RequestError;

/// Numbers that look like chance and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.throw(of.len() as u64)).unwrap()]
    }
}

/// Asks one thing that chance chose.
fn ask(hub: &Hub, dice: &mut Dice, processes: &[ProcessId]) -> JoinHandle<Result<(), RequestError>> {
    let process = dice.one(processes).clone();
    let (kind, data) = (dice.throw(10), dice.throw(3).to_string());
    let slot = dice.throw(4).checked_sub(1).map(Slot);
    let hub = match dice.throw(4) {
        0 => hub.behind(Chain::default().then(&GroupName::of_process(dice.one(processes))).unwrap()),
        _ => hub.clone(),
    };
    actix_rt::spawn(async move {
        match kind {
            0..=3 => hub.dry_run(&process, draft(&data)).await.map(drop),
            4 => hub.state(&process).await.map(drop),
            5 => hub.compute(&process, slot).await.map(drop),
            6 => hub.hold_base(&process, None, Some(true), None).await.map(drop),
            7 => {
                let group = hub.hold_base(&process, slot, Some(false), Some(Duration::from_secs(1))).await?;
                hub.resolve_on(&group, draft(&data)).await.map(drop)
            }
            8 => hub.schedule_and_wait(&process, draft(&data), Duration::from_secs(5)).await.map(drop),
            _ => hub.schedule(&process, draft(&data)).await.map(drop),
        }
    })
}

/// Does one harmful thing that chance chose.
async fn harm(rig: &Rig, dice: &mut Dice, processes: &[ProcessId]) {
    let groups = still(rig.hub.groups()).await;
    let process = dice.one(processes);
    match dice.throw(8) {
        0 if !groups.is_empty() => rig.kill_group(&dice.one(&groups).group).await,
        1 if !groups.is_empty() => drop(still(rig.hub.drop_group(&dice.one(&groups).group)).await),
        2 => rig.fakes.hold(process, Manner::Obeying),
        3 => rig.fakes.plan(process, dice.throw(8), [Act::Fail("no"), Act::Poison]),
        4 => rig.fakes.plan(process, dice.throw(8), [Act::Fault("no"), Act::Panic("no")]),
        5 => pass(Duration::from_millis(dice.throw(3_000))).await,
        _ => rig.fakes.let_go(),
    }
}

/// Whether the answer is one that somebody may have to live with when so much goes wrong.
fn is_fair(answer: &Result<(), RequestError>) -> bool {
    use RequestError::{
        BaseHalted, Conflict, Halted, InfiniteRecursion, Internal, LeaderDied, NotFound, Overloaded, SlotOutOfRange,
        WrongGroup,
    };
    match answer {
        Ok(())
        | Err(NotFound(_) | WrongGroup { .. } | LeaderDied { .. } | Overloaded { .. } | SlotOutOfRange { .. }) => true,
        Err(InfiniteRecursion { .. } | Halted { .. } | BaseHalted { .. } | Conflict(_)) => true,
        // A fault that was planned.
        Err(Internal(text)) => text.contains("cannot be used"),
        Err(_) => false,
    }
}

fn soak(seed: u64, settings: Settings) {
    // Shown where the test fails.
    eprintln!("seed {seed}");
    run(settings, async |rig| {
        let mut dice = Dice(seed);
        let mut processes = Vec::new();
        for name in ["a", "b", "c"] {
            processes.push(rig.process(name).await);
        }
        let mut asking: Vec<JoinHandle<_>> = Vec::new();
        for _ in 0..150 {
            for _ in 0..dice.throw(8) {
                asking.push(ask(&rig.hub, &mut dice, &processes));
            }
            if dice.throw(2) == 0 {
                harm(&rig, &mut dice, &processes).await;
            }
            // Some leave, wherever they are.
            if dice.throw(3) == 0 && !asking.is_empty() {
                let left = usize::try_from(dice.throw(asking.len() as u64)).unwrap();
                asking[left].abort();
            }
            match dice.throw(3) {
                0 => moment().await,
                1 => tokio::task::yield_now().await,
                _ => {}
            }
        }
        rig.fakes.let_go();
        let all = actix_rt::spawn(join_all(asking));
        for one in rig.soon(all).await {
            match one {
                Ok(answer) => assert!(is_fair(&answer), "seed {seed}: {answer:?}"),
                Err(left) => assert!(left.is_cancelled(), "seed {seed}: whoever did not leave has an answer"),
            }
        }
        for process in &processes {
            let (hub, process) = (rig.hub.clone(), process.clone());
            let latest = actix_rt::spawn(async move { hub.compute(&process, None).await.map(drop) });
            assert_eq!(rig.soon(latest).await, Ok(()), "seed {seed}");
        }
        rig.nothing_left().await;
    });
}

#[test]
fn whatever_happens_everybody_is_answered_and_nothing_is_left() {
    for seed in 0..12 {
        soak(seed, Settings::default());
    }
}

#[test]
fn whatever_happens_where_places_and_memory_are_short_everybody_is_answered_and_nothing_is_left() {
    for seed in 100..112 {
        let mut settings = Settings { workers_max: 3, total_memory: 6_000, ..Settings::default() };
        settings.hub.spawn_worker = seed % 3 != 0;
        settings.options.process_workers = seed % 2 != 0;
        soak(seed, settings);
    }
}
