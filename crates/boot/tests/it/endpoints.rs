//! Endpoints files: read whole or refused with the place that is wrong (O2).

use std::{path::PathBuf, sync::Arc};

use beacon_boot::{FileError, build_backends, load_endpoints};
use beacon_domain::SystemClock;
use tempfile::TempDir;

const GOOD: &str = r#"
[[endpoint]]
provider = "modal-web"
model = "m"
region = "EU"
inference_url = "http://127.0.0.1:1/"
"#;

/// A file in a folder of its own, which lives as long as the folder.
fn file(text: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Whether the file is refused with all of these words.
fn check_refused(text: &str, expected: &[&str]) {
    let (_folder, path) = file(text.as_bytes());

    let error = load_endpoints(&path).unwrap_err().to_string();

    for part in expected.iter().chain(&["endpoints.toml"]) {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[test]
fn a_short_file_is_read_and_aliases_of_regions_are_resolved() {
    let (_folder, path) = file(GOOD.as_bytes());

    let endpoints = load_endpoints(&path).unwrap();

    assert_eq!(endpoints.endpoint[0].id(), "eu-west/m");
}

#[test]
fn an_unknown_setting_is_refused_with_its_line() {
    check_refused(&format!("{GOOD}limits = 2\n"), &["line 7", "limits", "`limit`"]);
    check_refused(&format!("global = 2\n{GOOD}"), &["line 1", "global", "`global_limit`"]);
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    check_refused(&format!("{GOOD}limit = \n"), &["line 7"]);
    check_refused(&format!("{GOOD}limit = \"two\"\n"), &["line 7", "two"]);
    check_refused(&GOOD.replace("EU", "MARS"), &["line 5", "MARS", "asia-pacific"]);
}

#[test]
fn a_setting_that_cannot_be_used_is_refused_with_its_endpoint() {
    check_refused(&format!("{GOOD}limit = 0\n"), &["eu-west/m", "limit", "at least 1"]);
    check_refused(&format!("{GOOD}account = \"modal\"\n"), &["eu-west/m", "[accounts.modal]"]);
    check_refused(&GOOD.repeat(2), &["eu-west/m", "used twice"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = load_endpoints(&PathBuf::from("nowhere/endpoints.toml")).unwrap_err();
    let (folder, binary) = file(&[0xFF, 0xFE, 0x00]);

    assert!(matches!(missing, FileError::Unreadable { .. }), "{missing}");
    assert!(missing.to_string().contains("nowhere/endpoints.toml"), "{missing}");
    let error = load_endpoints(&binary).unwrap_err().to_string();
    assert!(error.contains("not UTF-8"), "{error}");
    assert!(load_endpoints(folder.path()).is_err(), "a folder is no file");
}

#[test]
fn a_file_that_is_far_too_long_is_not_read_to_its_end() {
    let (_folder, path) = file(&vec![b'#'; 5 * 1024 * 1024]);

    assert!(matches!(load_endpoints(&path), Err(FileError::TooLarge { .. })));
}

#[test]
fn a_missing_environment_variable_is_named_with_its_endpoint() {
    let (_folder, path) =
        file(format!("{GOOD}auth = {{ bearer_env = \"BEACON_TEST_NOT_SET\" }}\n").as_bytes());

    let built = build_backends(&load_endpoints(&path).unwrap(), Arc::new(SystemClock::new()));

    let error = built.err().unwrap().to_string();
    assert!(error.contains("eu-west/m") && error.contains("BEACON_TEST_NOT_SET is not set"), "{error}");
}
