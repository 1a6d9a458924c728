//! `beacon --help` and the documents say the same.

use beacon_tests::{beacon, root};

#[test]
fn the_exit_codes_of_the_help_are_those_of_the_document() {
    let help = beacon().arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let (_, codes) = help.split_once("Exit codes:").unwrap();
    let of_help: Vec<_> = codes.lines().filter_map(|line| line.trim().split_once("  ")).collect();

    let document = std::fs::read_to_string(root().join("docs/CONFIG.md")).unwrap();
    let (_, below) = document.split_once("<!-- exit codes -->\n").unwrap();
    let rows = below.lines().skip(2).take_while(|line| line.starts_with('|'));
    let of_document: Vec<_> = rows
        .filter_map(|row| row.trim_matches('|').split_once('|'))
        .map(|(a, b)| (a.trim(), b.trim()))
        .collect();

    assert_eq!(of_help, of_document);
    assert!(of_help.len() >= 6, "{help}");
}
