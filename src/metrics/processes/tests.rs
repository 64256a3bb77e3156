use super::*;

fn id(name: &str) -> ProcessId {
    ProcessId::parse(name).unwrap()
}

fn shown(processes: &Processes, metric: &Metric) -> Vec<(String, f64)> {
    let mut snapshot = Snapshot::default();
    processes.settle(Duration::from_secs(2), 1);
    processes.show(&mut snapshot);
    let of = snapshot.iter().filter(|(own, ..)| own.name == metric.name);
    of.map(|(_, labels, value)| (labels.get("process").unwrap().to_owned(), value)).collect()
}

fn pairs(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn each_process_has_its_numbers_and_the_rest_is_summed() {
    let processes = Processes::new(2);
    let mut meters: Vec<Meter> = ["a", "b", "c", "d"].map(|name| processes.meter(&id(name))).into();
    for (slots, meter) in (1..).zip(&mut meters) {
        meter.scheduled();
        meter.computed(slots, slots / 2, Duration::from_millis(500 * slots));
        meter.outcome_after(Duration::from_secs(slots));
        for (queue, state) in [(9, 9), (slots * 10, slots * 100)] {
            meter.set_queue(queue);
            meter.set_state(state);
        }
        meter.set_snapshot(slots);
    }
    for (metric, expected) in [
        (&THROUGHPUT, [0.5, 1.0, 3.5]),
        (&MESSAGES_SCHEDULED, [1.0, 1.0, 2.0]),
        (&SLOTS_COMPUTED, [1.0, 2.0, 7.0]),
        (&SLOTS_FAILED, [0.0, 1.0, 3.0]),
        (&COMPUTE_TIME, [0.5, 1.0, 3.5]),
        (&OUTCOME_TIME, [1.0, 2.0, 7.0]),
        (&QUEUE, [10.0, 20.0, 70.0]),
        (&STATE_SIZE, [100.0, 200.0, 700.0]),
        (&SNAPSHOT_SIZE, [1.0, 2.0, 7.0]),
    ] {
        let [a, b, other] = expected;
        assert_eq!(shown(&processes, metric), pairs(&[("a", a), ("b", b), (OTHER, other)]), "{}", metric.name);
    }
    assert_eq!(shown(&processes, &THROUGHPUT), pairs(&[("a", 0.0), ("b", 0.0), (OTHER, 0.0)]), "nothing since");
    meters.remove(3);
    assert_eq!(shown(&processes, &QUEUE), pairs(&[("a", 10.0), ("b", 20.0), (OTHER, 30.0)]));
    assert_eq!(shown(&processes, &SLOTS_COMPUTED), pairs(&[("a", 1.0), ("b", 2.0), (OTHER, 7.0)]));
}

#[test]
fn a_process_without_worker_is_forgotten_after_a_while_and_makes_room() {
    let processes = Processes::new(1);
    let mut first = processes.meter(&id("a"));
    first.set_queue(5);
    first.computed(3, 0, Duration::ZERO);
    drop(first);
    assert_eq!(shown(&processes, &SLOTS_COMPUTED), pairs(&[("a", 3.0)]));
    processes.meter(&id("a")).computed(1, 0, Duration::ZERO);
    let again = processes.meter(&id("a"));
    assert_eq!(shown(&processes, &SLOTS_COMPUTED), pairs(&[("a", 4.0)]), "it goes on where it was");
    assert_eq!(shown(&processes, &QUEUE), pairs(&[("a", 0.0)]));
    drop(again);
    assert_eq!(shown(&processes, &SLOTS_COMPUTED), pairs(&[("a", 4.0)]));
    assert_eq!(shown(&processes, &SLOTS_COMPUTED), pairs(&[]));
    let _meter = processes.meter(&id("b"));
    assert_eq!(shown(&processes, &SLOTS_COMPUTED), pairs(&[("b", 0.0)]));
}
