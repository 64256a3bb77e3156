//! The example scripts.

use proptest::prelude::*;

use super::*;

const COUNTER: &str = include_str!("../../../../config/processes/counter.lua");
const HEARTBEAT: &str = include_str!("../../../../config/processes/heartbeat.lua");
const LEDGER: &str = include_str!("../../../../config/processes/ledger.lua");

/// The tags of a message, and its output or error.
type Step<'a> = (&'a [(&'a str, &'a str)], Result<&'a str, &'a str>);

fn follow(process: &mut Process, steps: &[Step<'_>]) {
    for (tags, expected) in steps {
        let (_, outcome) = process.call("", tags);
        let found = outcome.error.as_deref().map_or(Ok(outcome.output.as_str()), Err);
        assert_eq!(found, *expected, "{tags:?}");
    }
}

fn ledger() -> Process {
    let mut process = process(LEDGER);
    let call = process.device.init(&entry(0, "", &[]), Mode::Live).unwrap();
    assert!(matches!(call, Call::Done(Cause::Success, _)), "{call:?}");
    process
}

#[test]
fn the_counter_counts() {
    let (increment, get) = (("Action", "Increment"), ("Action", "Get"));
    let steps: &[Step<'_>] = &[
        (&[get], Ok("0")),
        (&[increment], Ok("1")),
        (&[increment, ("Quantity", "41")], Ok("42")),
        (&[increment, ("Quantity", "-2")], Ok("40")),
        (&[increment, ("Quantity", "2.0")], Ok("42")),
        (&[increment, ("Quantity", "1.5")], Err("Quantity must be an integer, not '1.5'")),
        (&[increment, ("Quantity", "many")], Err("Quantity must be an integer, not 'many'")),
        (&[("Action", "Decrement")], Err("Action must be Increment or Get, not Decrement")),
        (&[], Err("Action must be Increment or Get, not nil")),
        (&[get], Ok("42")),
    ];
    let mut process = process(COUNTER);
    follow(&mut process, steps);
    assert_eq!(process.state(), r#"{"count":42}"#);
    let (_, first) = super::process(COUNTER).call("", &[increment]);
    assert_eq!(first.output.as_str(), "1");
}

#[test]
fn the_heartbeat_knows_its_outages() {
    let (beat, report) = ([("Action", "Beat")], [("Action", "Report")]);
    let mut process = process(HEARTBEAT);
    follow(
        &mut process,
        &[(&report, Ok(r#"{"Beats":0,"Longest":0,"Outages":0}"#)), (&beat, Ok("1")), (&beat, Ok("2"))],
    );
    // The time of these messages goes with their slots, in milliseconds.
    process.slot += 59_998;
    follow(&mut process, &[(&beat, Ok("3")), (&report, Ok(r#"{"Beats":3,"Longest":59999,"Outages":0}"#))]);
    process.slot += 60_000;
    follow(
        &mut process,
        &[
            (&beat, Ok("4")),
            (&[], Err("Action must be Beat or Report, not nil")),
            (&report, Ok(r#"{"Beats":4,"Longest":60002,"Outages":1}"#)),
        ],
    );
}

#[test]
fn the_ledger_keeps_its_books() {
    let deposit = |account, amount| [("Action", "Deposit"), ("Account", account), ("Amount", amount)];
    let transfer =
        |from, to, amount| [("Action", "Transfer"), ("From-Account", from), ("To-Account", to), ("Amount", amount)];
    let steps: &[Step<'_>] = &[
        (&deposit("ann", "100"), Ok(r#"{"Account":"ann","Balance":100}"#)),
        (&deposit("ann", "0"), Err("Amount must be a whole number above 0")),
        (&deposit("ann", "1.5"), Err("Amount must be a whole number above 0")),
        (&deposit("ann", "-5"), Err("Amount must be a whole number above 0")),
        (&[("Action", "Deposit"), ("Amount", "5")], Err("Account is missing")),
        (&deposit("ann", "9223372036854775807"), Err("the ledger cannot hold that much")),
        (&transfer("ann", "bob", "30"), Ok(r#"{"ann":70,"bob":30}"#)),
        (&transfer("ann", "bob", "71"), Err("account ann holds only 70")),
        (&transfer("eve", "bob", "1"), Err("account eve holds only 0")),
        (&transfer("bob", "bob", "30"), Ok(r#"{"bob":30}"#)),
        (&[("Action", "Balance"), ("Account", "bob")], Ok(r#"{"Account":"bob","Balance":30}"#)),
        (&[("Action", "Balance"), ("Account", "eve")], Ok(r#"{"Account":"eve","Balance":0}"#)),
        (&[("Action", "Balances")], Ok(r#"{"Balances":{"ann":70,"bob":30},"Total":100}"#)),
        (
            &[("Action", "History"), ("Limit", "2")],
            Ok(r#"[{"amount":30,"from":"bob","slot":10,"to":"bob"},{"amount":30,"from":"ann","slot":7,"to":"bob"}]"#),
        ),
        (&[("Action", "History"), ("Limit", "0")], Ok("{}")),
        (&[("Action", "History"), ("Limit", "-1")], Err("Limit must be a whole number")),
        (&[("Action", "Steal")], Err("Action must be Deposit, Transfer, Balance, Balances or History, not Steal")),
    ];
    follow(&mut ledger(), steps);
}

#[test]
fn the_history_is_bounded() {
    let mut process = ledger();
    for _ in 0..130 {
        process.call("", &[("Action", "Deposit"), ("Account", "a"), ("Amount", "1")]);
    }
    let (_, outcome) = process.call("", &[("Action", "History"), ("Limit", "1000")]);
    let entries: Vec<serde_json::Value> = serde_json::from_str(outcome.output.as_str()).unwrap();
    assert_eq!((entries.len(), &entries[0]["slot"], &entries[99]["slot"]), (100, &130.into(), &31.into()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_total_is_what_was_deposited(moves in prop::collection::vec((0..3usize, 0..3usize, 0..50i64, any::<bool>()), 1..40)) {
        let (mut process, mut deposited) = (ledger(), 0);
        let names = ["a", "b", "c"];
        for (from, to, amount, is_deposit) in moves {
            let text = amount.to_string();
            let tags = if is_deposit {
                vec![("Action", "Deposit"), ("Account", names[to]), ("Amount", &text)]
            } else {
                vec![("Action", "Transfer"), ("From-Account", names[from]), ("To-Account", names[to]), ("Amount", &text)]
            };
            let (cause, _) = process.call("", &tags);
            if is_deposit && cause == Cause::Success {
                deposited += amount;
            }
            let (_, outcome) = process.call("", &[("Action", "Balances")]);
            let books: serde_json::Value = serde_json::from_str(outcome.output.as_str()).unwrap();
            let balances: Vec<i64> = books["Balances"].as_object().unwrap().values().map(|b| b.as_i64().unwrap()).collect();
            prop_assert!(balances.iter().all(|balance| *balance >= 0));
            prop_assert_eq!((balances.iter().sum::<i64>(), books["Total"].as_i64()), (deposited, Some(deposited)));
        }
    }
}
