//! The old form of exception handling, rewritten, does what it did.
//!
//! Random functions are written as text and run by the engine; a small interpreter that knows the old form says what they come
//! to. Each step mixes a number into an account, so that the account tells which way was taken.

use std::fmt::Write as _;

use proptest::prelude::*;
use wasmtime::{Instance, Module, Store, ThrownException};

use super::super::engine::NodeEngine;
use super::super::load::prepare;
use super::*;

static ENGINE: LazyLock<NodeEngine> = LazyLock::new(|| NodeEngine::start().unwrap());

/// What a block takes, and what it leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    takes: bool,
    leaves: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Mixes a number in.
    Mix(u8),
    /// Throws: tag `a` with the number, or tag `b` without.
    Throw(bool, u8),
    /// Calls a function that does so.
    CallThrow(bool, u8),
    /// Branches to the n-th of the labels around it, counted in circles; in which form.
    Branch(u8, BranchForm),
    /// Throws again what the n-th of the clauses around it caught.
    Rethrow(u8),
    Block(Shape, Vec<Step>),
    Loop(Vec<Step>),
    Try {
        shape: Shape,
        body: Vec<Step>,
        on_a: Option<Vec<Step>>,
        on_b: Option<Vec<Step>>,
        on_all: Option<Vec<Step>>,
    },
    /// Leaves what is thrown to the n-th of the labels around it, or to the caller.
    Delegate(Shape, Vec<Step>, u8),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum BranchForm {
    Always,
    /// If the account is odd.
    IfOdd,
    Table,
}

/// What is between a step and the function.
#[derive(Clone, Copy, Debug)]
struct Label {
    leaves: bool,
    /// A loop's label is where it begins; nothing here goes there.
    is_loop: bool,
    /// What the clause that one is in has caught.
    caught: Option<Thrown>,
    is_clause: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Thrown {
    is_a: bool,
    value: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Branch(usize),
    Throw(Thrown),
    /// On its way to the label, whoever is between.
    Delegated(Thrown, usize),
}

/// What a block is given, what it leaves at its end, and what a branch leaves.
const GIVEN: u32 = 7;
const LEFT: u32 = 11;
const BRANCHED: u32 = 5;

fn plain(shape: Shape) -> Label {
    Label { leaves: shape.leaves, is_loop: false, caught: None, is_clause: false }
}

/// The label that a branch goes to, counted from the innermost.
fn target(labels: &[Label], number: u8) -> Option<usize> {
    let open: Vec<usize> = (0..labels.len()).filter(|at| !labels[labels.len() - 1 - at].is_loop).collect();
    (!open.is_empty()).then(|| open[usize::from(number) % open.len()])
}

/// The label of the clause whose exception is thrown again.
fn clause(labels: &[Label], number: u8) -> Option<usize> {
    let clauses: Vec<usize> = (0..labels.len()).filter(|at| labels[labels.len() - 1 - at].is_clause).collect();
    (!clauses.is_empty()).then(|| clauses[usize::from(number) % clauses.len()])
}

/// The label that something is delegated to; the one after the last is the caller.
fn delegated(labels: &[Label], number: u8) -> usize {
    usize::from(number) % (labels.len() + 1)
}

#[derive(Default)]
struct Interpreter {
    account: u32,
    labels: Vec<Label>,
}

impl Interpreter {
    fn mix(&mut self, value: u32) {
        self.account = self.account.wrapping_mul(31).wrapping_add(value);
    }

    fn steps(&mut self, steps: &[Step]) -> Flow {
        for step in steps {
            let flow = self.step(step);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    /// Goes through what a label encloses. What is thrown there, or delegated to it, comes back as thrown.
    fn within(&mut self, label: Label, steps: &[Step]) -> Flow {
        self.labels.push(label);
        let flow = self.steps(steps);
        self.labels.pop();
        match flow {
            Flow::Delegated(thrown, 0) => Flow::Throw(thrown),
            Flow::Delegated(thrown, further) => Flow::Delegated(thrown, further - 1),
            flow => flow,
        }
    }

    /// What follows a block.
    fn leave(&mut self, shape: Shape, flow: Flow) -> Flow {
        let value = match flow {
            Flow::Next => LEFT,
            Flow::Branch(0) => BRANCHED,
            Flow::Branch(further) => return Flow::Branch(further - 1),
            flow => return flow,
        };
        if shape.leaves {
            self.mix(value);
        }
        Flow::Next
    }

    fn enter(&mut self, shape: Shape) {
        if shape.takes {
            self.mix(GIVEN);
        }
    }

    fn step(&mut self, step: &Step) -> Flow {
        match step {
            Step::Mix(value) => {
                self.mix(u32::from(*value));
                Flow::Next
            }
            Step::Throw(is_a, value) | Step::CallThrow(is_a, value) => {
                Flow::Throw(Thrown { is_a: *is_a, value: u32::from(*value) })
            }
            Step::Branch(number, form) => match target(&self.labels, *number) {
                Some(_) if matches!(form, BranchForm::IfOdd) && self.account.is_multiple_of(2) => Flow::Next,
                Some(at) => Flow::Branch(at),
                None => Flow::Next,
            },
            Step::Rethrow(number) => match clause(&self.labels, *number) {
                Some(at) => Flow::Throw(self.labels[self.labels.len() - 1 - at].caught.unwrap()),
                None => Flow::Next,
            },
            Step::Block(shape, steps) => {
                self.enter(*shape);
                let flow = self.within(plain(*shape), steps);
                self.leave(*shape, flow)
            }
            Step::Loop(steps) => {
                let shape = Shape { takes: false, leaves: false };
                let flow = self.within(Label { is_loop: true, ..plain(shape) }, steps);
                self.leave(shape, flow)
            }
            Step::Try { shape, body, on_a, on_b, on_all } => {
                self.enter(*shape);
                let mut flow = self.within(plain(*shape), body);
                if let Flow::Throw(thrown) = flow {
                    let own = if thrown.is_a { on_a } else { on_b };
                    if let Some(clause) = own.as_ref().or(on_all.as_ref()) {
                        if thrown.is_a && own.is_some() {
                            self.mix(thrown.value);
                        }
                        let label = Label { caught: Some(thrown), is_clause: true, ..plain(*shape) };
                        flow = self.within(label, clause);
                    }
                }
                self.leave(*shape, flow)
            }
            Step::Delegate(shape, body, number) => {
                self.enter(*shape);
                let to = delegated(&self.labels, *number);
                let flow = match self.within(plain(*shape), body) {
                    Flow::Throw(thrown) => Flow::Delegated(thrown, to),
                    // On its way further out, it has this label behind it.
                    flow => flow,
                };
                self.leave(*shape, flow)
            }
        }
    }
}

/// Writes functions as text.
#[derive(Default)]
struct Writer {
    text: String,
    labels: Vec<Label>,
}

impl Writer {
    fn put(&mut self, text: impl std::fmt::Display) {
        writeln!(self.text, "{text}").unwrap();
    }

    fn shape(&mut self, keyword: &str, shape: Shape) {
        if shape.takes {
            self.put(format_args!("i32.const {GIVEN}"));
        }
        let (takes, leaves) =
            (if shape.takes { "(param i32)" } else { "" }, if shape.leaves { "(result i32)" } else { "" });
        self.put(format_args!("{keyword} {takes} {leaves}"));
        if shape.takes {
            self.put("call $mix");
        }
    }

    fn within(&mut self, label: Label, steps: &[Step]) {
        self.labels.push(label);
        self.steps(steps);
        if label.leaves {
            self.put(format_args!("i32.const {LEFT}"));
        }
        self.labels.pop();
    }

    fn end(&mut self, shape: Shape, end: &str) {
        self.put(end);
        if shape.leaves {
            self.put("call $mix");
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        let number_of = |is_a: bool| if is_a { "a" } else { "b" };
        match step {
            Step::Mix(value) => self.put(format_args!("i32.const {value} call $mix")),
            Step::Throw(true, value) => self.put(format_args!("i32.const {value} throw $a")),
            Step::Throw(false, _) => self.put("throw $b"),
            Step::CallThrow(is_a, value) => {
                self.put(format_args!("i32.const {value} call $throw_{}", number_of(*is_a)));
            }
            Step::Branch(number, form) => {
                let Some(at) = target(&self.labels, *number) else { return };
                let leaves = self.labels[self.labels.len() - 1 - at].leaves;
                let value = if leaves { format!("i32.const {BRANCHED}") } else { String::new() };
                match form {
                    BranchForm::Always => self.put(format_args!("{value} br {at}")),
                    BranchForm::Table => self.put(format_args!("{value} i32.const 1 br_table {at} {at} {at}")),
                    BranchForm::IfOdd => {
                        self.put(format_args!("call $is_odd if {value} br {} end", at + 1));
                    }
                }
            }
            Step::Rethrow(number) => {
                let Some(at) = clause(&self.labels, *number) else { return };
                self.put(format_args!("rethrow {at}"));
            }
            Step::Block(shape, steps) => {
                self.shape("block", *shape);
                self.within(plain(*shape), steps);
                self.end(*shape, "end");
            }
            Step::Loop(steps) => {
                let shape = Shape { takes: false, leaves: false };
                self.shape("loop", shape);
                self.within(Label { is_loop: true, ..plain(shape) }, steps);
                self.end(shape, "end");
            }
            Step::Try { shape, body, on_a, on_b, on_all } => {
                self.shape("try", *shape);
                self.within(plain(*shape), body);
                let label = Label { is_clause: true, ..plain(*shape) };
                for (clause, begin) in [(on_a, "catch $a call $mix"), (on_b, "catch $b"), (on_all, "catch_all")] {
                    if let Some(clause) = clause {
                        self.put(begin);
                        self.within(label, clause);
                    }
                }
                self.end(*shape, "end");
            }
            Step::Delegate(shape, body, number) => {
                let to = delegated(&self.labels, *number);
                self.shape("try", *shape);
                self.within(plain(*shape), body);
                self.end(*shape, &format!("delegate {to}"));
            }
        }
    }
}

/// A module whose `run` takes these steps, and whose global `account` tells where it came.
pub(super) fn module(steps: &[Step]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.steps(steps);
    let text = format!(
        r#"(module
          (memory 1)
          (tag $a (param i32)) (tag $b)
          (global $account (export "account") (mut i32) (i32.const 0))
          (func (export "malloc") (param i32) (result i32) (i32.const 0))
          (func (export "handle") (param i32 i32) (result i32) (i32.const 0))
          (func $mix (param i32)
            (global.set $account (i32.add (i32.mul (global.get $account) (i32.const 31)) (local.get 0))))
          (func $is_odd (result i32) (i32.and (global.get $account) (i32.const 1)))
          (func $throw_a (param i32) (throw $a (local.get 0)))
          (func $throw_b (param i32) (throw $b))
          (func (export "run") {}))"#,
        writer.text
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Where a module comes to: its account, and whether it threw.
pub(super) fn run(source: &[u8]) -> (u32, bool) {
    let prepared = prepare(source, |_, _| false).unwrap_or_else(|error| panic!("{error}"));
    let module = Module::from_binary(ENGINE.engine(), &prepared).unwrap_or_else(|error| panic!("{error:?}"));
    let mut store = Store::new(ENGINE.engine(), ());
    store.set_fuel(1_000_000).unwrap();
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let ended = run.call(&mut store, ());
    if let Err(error) = &ended {
        assert!(error.is::<ThrownException>(), "{error:?}");
    }
    let account = instance.get_global(&mut store, "account").unwrap().get(&mut store).unwrap_i32();
    (account.cast_unsigned(), ended.is_err())
}

pub(super) fn interpreted(steps: &[Step]) -> (u32, bool) {
    let mut interpreter = Interpreter::default();
    let flow = interpreter.steps(steps);
    (interpreter.account, matches!(flow, Flow::Throw(_) | Flow::Delegated(..)))
}

fn shape() -> impl Strategy<Value = Shape> {
    any::<(bool, bool)>().prop_map(|(takes, leaves)| Shape { takes, leaves })
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![
        3 => any::<u8>().prop_map(Step::Mix),
        2 => any::<(bool, u8)>().prop_map(|(is_a, value)| Step::Throw(is_a, value)),
        2 => any::<(bool, u8)>().prop_map(|(is_a, value)| Step::CallThrow(is_a, value)),
        2 => (any::<u8>(), prop_oneof![Just(BranchForm::Always), Just(BranchForm::IfOdd), Just(BranchForm::Table)])
            .prop_map(|(number, form)| Step::Branch(number, form)),
        2 => any::<u8>().prop_map(Step::Rethrow),
    ];
    let step = leaf.prop_recursive(5, 48, 4, |inner| {
        let steps = prop::collection::vec(inner, 0..4);
        let clause = prop::option::weighted(0.6, steps.clone());
        prop_oneof![
            1 => (shape(), steps.clone()).prop_map(|(shape, steps)| Step::Block(shape, steps)),
            1 => steps.clone().prop_map(Step::Loop),
            4 => (shape(), steps.clone(), clause.clone(), clause.clone(), clause)
                .prop_map(|(shape, body, on_a, on_b, on_all)| Step::Try { shape, body, on_a, on_b, on_all }),
            3 => (shape(), steps, any::<u8>()).prop_map(|(shape, body, to)| Step::Delegate(shape, body, to)),
        ]
    });
    prop::collection::vec(step, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rewritten_functions_do_what_the_old_form_says(steps in steps()) {
        prop_assert_eq!(run(&module(&steps)), interpreted(&steps), "{:?}", steps);
    }
}

#[test]
fn known_functions_come_to_known_numbers() {
    let mix = |value| Step::Mix(value);
    let none = Shape { takes: false, leaves: false };
    let both = Shape { takes: true, leaves: true };
    let catch_all = |body, clause| Step::Try { shape: none, body, on_a: None, on_b: None, on_all: Some(clause) };
    for (steps, expected) in [
        (vec![mix(1)], (1, false)),
        (vec![Step::Throw(true, 9)], (0, true)),
        (vec![catch_all(vec![Step::Throw(false, 0), mix(9)], vec![mix(2)])], (2, false)),
        // Caught, thrown again from within another clause, caught outside.
        (
            vec![catch_all(
                vec![Step::Try {
                    shape: both,
                    body: vec![Step::CallThrow(true, 3)],
                    on_a: Some(vec![catch_all(vec![Step::Throw(false, 0)], vec![mix(4), Step::Rethrow(1)])]),
                    on_b: Some(vec![mix(99)]),
                    on_all: None,
                }],
                vec![mix(6)],
            )],
            (((7 * 31 + 3) * 31 + 4) * 31 + 6, false),
        ),
        // Delegated past a `try` that would have caught it.
        (
            vec![catch_all(
                vec![catch_all(vec![Step::Delegate(none, vec![Step::Throw(true, 1)], 1)], vec![mix(98)])],
                vec![mix(8)],
            )],
            (8, false),
        ),
        // Delegated to the caller.
        (vec![catch_all(vec![Step::Delegate(none, vec![mix(1), Step::Throw(true, 1)], 1)], vec![mix(97)])], (1, true)),
    ] {
        assert_eq!(interpreted(&steps), expected, "{steps:?}");
        assert_eq!(run(&module(&steps)), expected, "{steps:?}");
    }
}

#[test]
fn exceptions_that_are_over_take_no_memory() {
    let fields = "(tag $t (param i64))";
    let body = "(local $left i32)
        (local.set $left (i32.const 200000))
        (loop $again
          try i64.const 1 throw $t catch $t drop end
          (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))";
    // Each takes some bytes, and all of them together some times this much.
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    assert_eq!(process_with(&handler(Width::Narrow, fields, body, &answering("1")), &limits).output(""), "1");
}

#[test]
fn an_exception_that_nothing_catches_is_an_error() {
    for width in WIDTHS {
        let fields = "(tag $t)";
        let caught = "try throw $t catch $t end";
        assert_eq!(process(&handler(width, fields, caught, &answering("1"))).output(""), "1");
        let said = process(&handler(width, fields, "try throw $t delegate 0", &answering("1"))).error();
        assert!(said.contains("an exception that nothing in it catches"), "{said}");
    }
}
