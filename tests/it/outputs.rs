//! Standard output and standard error that are closed or full: nobody panics, and exit codes stay true.

use std::{fs::OpenOptions, process::Stdio};

use beacon_tests::beacon;
use serde_json::Value;

use crate::{example, run};

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// The exit code of a run whose standard output and error go there.
fn code_of_a_run(stdout: Stdio, stderr: Stdio) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = beacon();
    command.args(["run", &example("three-models.signed.json"), "-v"]).current_dir(folder.path());
    command.stdout(stdout).stderr(stderr).status().unwrap().code()
}

#[test]
fn a_run_whose_remarks_nobody_can_read_completes() {
    assert_eq!(code_of_a_run(Stdio::null(), full()), Some(0));
}

#[test]
fn a_run_whose_result_cannot_be_printed_says_so_by_its_exit_code() {
    assert_eq!(code_of_a_run(full(), Stdio::null()), Some(1));
}

#[test]
fn a_run_whose_reader_has_heard_enough_completes() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);

    assert_eq!(code_of_a_run(writer.try_clone().unwrap().into(), writer.into()), Some(0));
}

// A1, for the command line: one shape of error.
#[test]
fn with_json_an_error_is_an_object_on_standard_output_too() {
    let folder = tempfile::tempdir().unwrap();

    let refused = run(folder.path(), &["plan", "missing.json", "--json"]);

    let object: Value = refused.json();
    assert_eq!((refused.code, &object["error"]["exit_code"]), (Some(2), &2.into()));
    let message = object["error"]["message"].as_str().unwrap();
    assert_eq!(message.matches("No such file").count(), 1, "{message}");
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
}
