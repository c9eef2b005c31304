//! The program itself: exit codes and what it prints.

use std::path::Path;
use std::process::{Command, Output};

use model::rulebook::Files;
use serde_json::Value;

use crate::cast::{GUARDRAILS, changed, files, only_properties};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clover-prove")).args(args).output().unwrap()
}

fn write(folder: &Path, files: &Files) -> String {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

#[test]
fn the_report_is_json_when_asked_and_the_exit_code_is_the_verdict() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let active = only_properties(files(), &["T9-smallest-group"]);
    let wider = changed(&[(GUARDRAILS, "context.k >= 50", "context.k >= 49")]);
    let active = write(a.path(), &active);
    let proposal = write(b.path(), &only_properties(wider, &["T9-smallest-group"]));
    let output = run(&[&proposal, "--against", &active, "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "false");
    assert_eq!(report["promises"][0]["verdict"], "false");
    let entities = report["promises"][0]["example"]["request"]["entities"].as_array().unwrap();
    assert!(!entities.is_empty(), "the request cannot be put again");
    assert_eq!(report["widening"]["findings"][0]["policy"], "P5-aggregate");
    assert_eq!(report["against"].as_str().unwrap().len(), 64);
    // Most guardrails have no property here, which is told.
    let untested = report["guardrails"].as_array().unwrap().iter().filter(|g| g["dropped"] == "by_nobody");
    assert!(untested.count() > 15, "{report}");
}

#[test]
fn without_a_solver_the_exit_code_is_two() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&[&write(folder.path(), &files()), "--solver", "/nowhere/cvc5"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT PROVED"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/cvc5"));
}

#[test]
fn bad_input_is_told_apart_from_a_verdict() {
    assert_eq!(run(&[]).status.code(), Some(64));
    assert_eq!(run(&["/nowhere", "--seconds", "0"]).status.code(), Some(64));
    let output = run(&["/nowhere/rulebook"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot use `/nowhere/rulebook`"));
    let folder = tempfile::tempdir().unwrap();
    let broken = changed(&[(GUARDRAILS, "context.k >= 50", "context.kk >= 50")]);
    let output = run(&[&write(folder.path(), &broken)]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(78) && told.contains("kk") && told.contains("fix:"), "{told}");
}
