//! Each rule by its behaviour.

use super::*;
use crate::group::Held;

/// Something that the shell tells a line.
type Event = fn(&mut Line);

/// What a line did since the last look, as short words.
fn seen(line: &mut Line) -> Vec<String> {
    line.take_effects().iter().map(said).collect()
}

fn said(step: &Step) -> String {
    match step {
        Effect::Run { message, keeps_result } => {
            format!("run {message}{}", if *keeps_result { " keeping" } else { "" })
        }
        Effect::Answer(asker, Ok(Resolved { group, outcome })) => {
            format!("{} gets {outcome} at {}", asker.number, number_of(group))
        }
        Effect::Answer(asker, Err(error)) => format!("{} is refused: {}", asker.number, kind_of(error)),
        Effect::Rename(group) => format!("rename to {}", number_of(group)),
        Effect::Gone(reason) => format!("gone: {}", reason.as_str()),
        Effect::Again(wanted) => format!("{} again", wanted.reply.number),
        Effect::Note(Note::Halted { .. }) => "noted: halted".to_owned(),
        Effect::Note(Note::PassedOver { .. }) => "noted: passed over".to_owned(),
    }
}

fn number_of(group: &GroupName) -> u8 {
    (0..=u8::MAX).find(|number| name(*number) == *group).unwrap()
}

fn kind_of(error: &RequestError) -> String {
    match error {
        RequestError::WrongGroup { asked, led } => format!("asked {}, led {}", number_of(asked), number_of(led)),
        RequestError::Overloaded { key, .. } => (*key).to_owned(),
        RequestError::NotFound(text) if text.contains("was deleted") => "deleted".to_owned(),
        _ if *error == halted() => "halted".to_owned(),
        _ if *error == machine() => "machine".to_owned(),
        other => panic!("nobody is told {other}"),
    }
}

/// A line under name 0 whose first request runs.
fn running(options: LineOptions) -> Line {
    let mut line = Line::new(name(0), options);
    line.request(wanted(0, 0));
    assert_eq!(seen(&mut line).len(), 1);
    line
}

#[test]
fn what_comes_of_a_run_depends_on_the_base_and_the_request() {
    let moves = || ran("out", Some(1));
    let both = LineOptions { halts_on_error: true, ..STATIC };
    let table = [
        (MOVING, wanted(0, 0), moves(), vec!["run 0 keeping", "rename to 1"]),
        (MOVING, wanted(0, 0), ran("out", Some(0)), vec!["run 0 keeping", "0 gets out at 0"]),
        (MOVING, wanted(0, 0), ran("out", None), vec!["run 0 keeping", "0 gets out at 0"]),
        (MOVING, wanted(0, 0), failing(), vec!["run 0 keeping", "0 gets failed at 0"]),
        (MOVING, trial(0, 0), moves(), vec!["run 0", "0 gets out at 0"]),
        (MOVING, trial(0, 0), failing(), vec!["run 0", "0 gets failed at 0"]),
        (HALTING, wanted(0, 0), moves(), vec!["run 0 keeping", "rename to 1"]),
        (HALTING, wanted(0, 0), failing(), vec!["run 0 keeping", "noted: halted", "0 is refused: halted"]),
        (HALTING, trial(0, 0), failing(), vec!["run 0", "0 gets failed at 0"]),
        (STATIC, wanted(0, 0), moves(), vec!["run 0", "0 gets out at 0"]),
        (STATIC, trial(0, 0), moves(), vec!["run 0", "0 gets out at 0"]),
        (STATIC, wanted(0, 0), failing(), vec!["run 0", "0 gets failed at 0"]),
        (both, wanted(0, 0), failing(), vec!["run 0", "0 gets failed at 0"]),
    ];
    for (options, request, came, expected) in table {
        let case = format!("{options:?} {request:?} {came:?}");
        let mut line = Line::new(name(0), options);
        line.request(request);
        line.ran(came);
        assert_eq!(seen(&mut line), expected, "{case}");
        assert_eq!(*line.group(), name(0), "{case}");
    }
}

#[test]
fn a_failed_call_moves_no_base_whatever_name_comes_with_it() {
    let mut line = running(MOVING);
    line.ran(Ran { moved_to: Some(name(1)), ..failing() });
    assert_eq!(seen(&mut line), ["0 gets failed at 0"]);
}

#[test]
fn three_requests_on_a_static_base_are_served_one_after_the_other() {
    let mut line = running(STATIC);
    line.request(wanted(1, 0));
    line.request(wanted(2, 0));
    assert_eq!(seen(&mut line), [""; 0]);
    assert_eq!((line.queue_len(), line.is_idle()), (2, false));
    line.ran(ran("a", None));
    assert_eq!(seen(&mut line), ["0 gets a at 0", "run 1"]);
    line.ran(ran("b", None));
    assert_eq!(seen(&mut line), ["1 gets b at 0", "run 2"]);
    line.ran(ran("c", None));
    assert_eq!(seen(&mut line), ["2 gets c at 0"]);
    assert!(line.is_idle());
}

#[test]
fn nobody_is_served_twice_while_another_waits_from_before() {
    const CLIENTS: usize = 64;
    let mut line = Line::new(name(0), LineOptions { queue_max: CLIENTS, ..STATIC });
    (0..CLIENTS).for_each(|client| line.request(wanted(client, 0)));
    let mut served = Vec::new();
    while served.len() < 10 * CLIENTS {
        line.ran(ran("out", None));
        for step in line.take_effects() {
            if let Effect::Answer(asker, answer) = step {
                assert!(answer.is_ok());
                served.push(asker.number);
                line.request(wanted(asker.number, 0));
            }
        }
    }
    let in_turn: Vec<usize> = (0..CLIENTS).cycle().take(served.len()).collect();
    assert_eq!(served, in_turn);
}

#[test]
fn nothing_runs_and_nobody_is_answered_before_the_new_name_is_held() {
    let mut line = running(MOVING);
    line.request(wanted(1, 0));
    line.ran(ran("out", Some(1)));
    line.request(wanted(2, 1));
    assert_eq!(seen(&mut line), ["rename to 1"]);
    assert!(!line.is_idle());
    line.renamed(Ok(()));
    assert_eq!(seen(&mut line), ["0 gets out at 1", "1 is refused: asked 0, led 1", "run 2 keeping"]);
    assert_eq!(*line.group(), name(1));
}

#[test]
fn which_base_is_meant_shows_when_the_turn_comes_not_before() {
    let mut line = running(MOVING);
    line.request(wanted(1, 1));
    line.request(wanted(2, 2));
    line.ran(ran("a", Some(1)));
    line.renamed(Ok(()));
    line.ran(ran("b", None));
    let expected = ["rename to 1", "0 gets a at 1", "run 1 keeping", "1 gets b at 1", "2 is refused: asked 2, led 1"];
    assert_eq!(seen(&mut line), expected);
    assert!(line.is_idle());
}

#[test]
fn a_base_that_another_line_holds_is_served_there() {
    let mut line = running(MOVING);
    line.request(wanted(1, 0));
    line.request(wanted(2, 1));
    line.ran(ran("out", Some(1)));
    line.renamed(Err(Held));
    line.request(wanted(3, 0));
    assert_eq!(seen(&mut line), ["rename to 1", "0 gets out at 1", "gone: joined", "1 again", "2 again", "3 again"]);
    assert!(line.is_gone() && !line.is_idle());
    assert_eq!(*line.group(), name(0), "it never held the other");
}

#[test]
fn a_halted_line_refuses_those_who_wait_and_those_who_come_until_it_is_ended() {
    let mut line = running(HALTING);
    line.request(wanted(1, 0));
    line.request(trial(2, 0));
    line.request(wanted(3, 1));
    line.ran(failing());
    let refused = ["1 is refused: halted", "2 is refused: halted", "3 is refused: asked 1, led 0"];
    assert_eq!(seen(&mut line), [["noted: halted", "0 is refused: halted"].as_slice(), &refused].concat());
    line.request(wanted(4, 0));
    assert_eq!(seen(&mut line), ["4 is refused: halted"]);
    assert!(line.is_idle() && line.stop(Stop::Timeout));
    assert_eq!(seen(&mut line), ["gone: timeout"]);
}

#[test]
fn after_a_fault_of_the_machine_the_next_one_has_its_turn_on_the_same_base() {
    let mut line = running(HALTING);
    line.request(wanted(1, 0));
    line.failed(machine());
    assert_eq!(seen(&mut line), ["0 is refused: machine", "run 1 keeping"]);
    assert_eq!(*line.group(), name(0));
}

#[test]
fn whoever_left_is_passed_over_without_computing() {
    let mut line = running(STATIC);
    for number in 1..=3 {
        let request = wanted(number, 0);
        request.reply.is_gone.set(number < 3);
        line.request(request);
    }
    line.ran(ran("out", None));
    let expected = ["0 gets out at 0", "1 is refused: queue", "noted: passed over", "2 is refused: queue"];
    assert_eq!(seen(&mut line), [expected.as_slice(), &["noted: passed over", "run 3"]].concat());
}

#[test]
fn the_queue_is_bounded_and_those_who_left_make_room() {
    let mut line = running(LineOptions { queue_max: 2, ..STATIC });
    let leaver = wanted(1, 0);
    let is_gone = leaver.reply.is_gone.clone();
    line.request(leaver);
    line.request(wanted(2, 0));
    line.request(wanted(3, 0));
    assert_eq!(seen(&mut line), ["3 is refused: queue"]);
    is_gone.set(true);
    line.request(wanted(4, 0));
    assert_eq!(seen(&mut line), ["1 is refused: queue", "noted: passed over"]);
    assert_eq!(line.queue_len(), 2);
    line.ran(ran("out", None));
    assert_eq!(seen(&mut line), ["0 gets out at 0", "run 2"]);
}

#[test]
fn a_full_queue_is_looked_through_once_for_many_refusals() {
    let mut line = running(LineOptions { queue_max: 160, ..STATIC });
    let all: Vec<_> = (1..=160).map(|number| wanted(number, 0)).collect();
    let leaver = all[0].reply.is_gone.clone();
    all.into_iter().for_each(|request| line.request(request));
    line.request(wanted(161, 0));
    assert_eq!(seen(&mut line), ["161 is refused: queue"]);
    leaver.set(true);
    for number in 162..172 {
        line.request(wanted(number, 0));
        assert_eq!(seen(&mut line), [format!("{number} is refused: queue")]);
    }
    line.request(wanted(172, 0));
    assert_eq!(seen(&mut line), ["1 is refused: queue", "noted: passed over"]);
}

#[test]
fn a_line_without_a_queue_serves_one_at_a_time() {
    let mut line = running(LineOptions { queue_max: 0, ..STATIC });
    line.request(wanted(1, 0));
    line.ran(ran("out", None));
    line.request(wanted(2, 0));
    assert_eq!(seen(&mut line), ["1 is refused: queue", "0 gets out at 0", "run 2"]);
}

#[test]
fn an_idle_line_ends_for_any_reason() {
    let table = [
        (Stop::Timeout, "gone: timeout"),
        (Stop::Evicted, "gone: evicted"),
        (Stop::Deleted, "gone: deleted"),
        (Stop::Shutdown, "gone: shutdown"),
    ];
    for (stop, expected) in table {
        let mut line = Line::new(name(0), MOVING);
        assert!(line.stop(stop) && line.stop(Stop::Deleted));
        assert_eq!(seen(&mut line), [expected]);
        line.request(wanted(0, 0));
        assert_eq!(seen(&mut line), ["0 again"]);
    }
}

#[test]
fn a_request_keeps_a_line_that_has_been_left_alone() {
    for stop in [Stop::Timeout, Stop::Evicted] {
        let mut line = running(STATIC);
        assert!(!line.stop(stop));
        line.ran(ran("out", None));
        assert_eq!(seen(&mut line), ["0 gets out at 0"]);
        assert!(line.is_idle());
    }
}

#[test]
fn a_line_that_must_end_refuses_who_waits_and_answers_what_runs() {
    let table = [(Stop::Deleted, "deleted", "gone: deleted"), (Stop::Shutdown, "shutdown_grace", "gone: shutdown")];
    let endings: [(Event, &str); 4] = [
        (|line| line.ran(ran("out", Some(1))), "0 gets out at 1"),
        (|line| line.ran(ran("out", None)), "0 gets out at 0"),
        (|line| line.ran(failing()), "0 gets failed at 0"),
        (|line| line.failed(machine()), "0 is refused: machine"),
    ];
    for (stop, refusal, gone) in table {
        for (end, answer) in endings {
            let mut line = running(MOVING);
            line.request(wanted(1, 0));
            assert!(line.stop(stop));
            line.request(wanted(2, 0));
            let refused = [format!("1 is refused: {refusal}"), format!("2 is refused: {refusal}")];
            assert_eq!(seen(&mut line), refused);
            assert!(line.stop(Stop::Timeout), "it ends already");
            end(&mut line);
            line.request(wanted(3, 0));
            assert_eq!(seen(&mut line), [answer, gone, "3 again"]);
        }
    }
}

#[test]
fn a_line_that_must_end_while_it_changes_its_name_answers_under_the_new_one() {
    for (result, held) in [(Ok(()), 1), (Err(Held), 0)] {
        let mut line = running(MOVING);
        line.ran(ran("out", Some(1)));
        line.request(wanted(1, 1));
        assert!(!line.stop(Stop::Evicted) && line.stop(Stop::Deleted));
        line.renamed(result);
        assert_eq!(seen(&mut line), ["rename to 1", "1 is refused: deleted", "0 gets out at 1", "gone: deleted"]);
        assert_eq!(*line.group(), name(held));
    }
}

#[test]
fn events_that_nothing_waits_for_change_nothing() {
    let late_run: Event = |line| line.ran(ran("late", Some(2)));
    let late_fault: Event = |line| line.failed(machine());
    let late_name: Event = |line| line.renamed(Ok(()));
    let mut line = Line::new(name(0), MOVING);
    [late_run, late_fault, late_name].iter().for_each(|event| event(&mut line));
    assert_eq!(seen(&mut line), [""; 0]);
    assert!(line.is_idle());

    let mut line = running(MOVING);
    late_name(&mut line);
    line.ran(ran("out", Some(1)));
    [late_run, late_fault].iter().for_each(|event| event(&mut line));
    line.renamed(Ok(()));
    assert!(line.stop(Stop::Timeout));
    [late_run, late_fault, late_name].iter().for_each(|event| event(&mut line));
    assert_eq!(seen(&mut line), ["rename to 1", "0 gets out at 1", "gone: timeout"]);
}
