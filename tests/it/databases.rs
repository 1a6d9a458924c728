//! A database that is occupied, full, read-only, or none at all.

use std::{path::Path, process::Command};

use beacon_tests::{Finished, Process, Simulator, beacon};

use crate::{SIX_CELLS, example, run};

#[test]
fn a_second_run_on_an_occupied_database_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "warm = { fixed_s = 1.0 }");
    let endpoints = simulator.endpoints.display().to_string();
    let job = example("two-questions.signed.json");
    let command = ["run", &job, "--endpoints", &endpoints, "--json"];
    let first = Process::start(folder.path(), &command);
    simulator.reaches("in_flight", 6);

    let second = run(folder.path(), &command);
    let reader = run(folder.path(), &["jobs"]);
    let first = first.wait();

    assert_eq!(second.code, Some(5));
    assert!(second.stderr.contains("beacon.db.lock"), "{}", second.stderr);
    assert!(reader.stdout.contains("two-questions-example"), "{}", reader.stderr);
    assert_eq!((first.code, simulator.count("calls")), (Some(0), 12));
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beacon.db");
    std::fs::write(&path, "precious notes, not a database at all".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();

    let refused = run(folder.path(), &["run", &example("three-models.signed.json")]);

    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("not a SQLite database"), "{}", refused.stderr);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_in_a_folder_that_is_not_there_says_so() {
    let folder = tempfile::tempdir().unwrap();

    let refused = run(folder.path(), &["run", &example("three-models.signed.json"), "--db", "no/such/b.db"]);
    let shown = run(folder.path(), &["show", "x", "--db", "no/such/b.db"]);

    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("its folder exists"), "{}", refused.stderr);
    assert!(shown.stderr.contains("no database"), "{}", shown.stderr);
}

/// Runs a job whose folder `disk` is a file system of its own, made for this process alone and mounted with these
/// options. `None` where this machine does not let us.
fn on_disk(folder: &Path, options: &str, args: &[&str]) -> Option<Finished> {
    std::fs::create_dir_all(folder.join("disk")).unwrap();
    let program = beacon().get_program().to_owned();
    let mount = format!("mount -t tmpfs -o {options} tmpfs disk && exec \"$0\" \"$@\"");
    let allowed = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("skipped: this machine lets us make no mount namespace");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &mount]).arg(program).args(args).current_dir(folder);
    Some(Process::of(command).wait())
}

#[test]
fn a_full_disk_is_named_and_the_run_gives_up_after_its_patience() {
    let folder = tempfile::tempdir().unwrap();
    let job = example("bias-detection.signed.json");
    // Enough for the job, not for its answers.
    let run = ["run", &job, "--db", "disk/beacon.db", "--patience", "1"];
    let Some(stopped) = on_disk(folder.path(), "size=400k", &run) else { return };

    assert_eq!(stopped.code, Some(5), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("is full"), "{}", stopped.stderr);
}

#[test]
fn a_read_only_disk_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let job = example("three-models.signed.json");
    let run = ["run", &job, "--db", "disk/beacon.db"];
    let Some(refused) = on_disk(folder.path(), "ro", &run) else { return };

    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("writable"), "{}", refused.stderr);
}
