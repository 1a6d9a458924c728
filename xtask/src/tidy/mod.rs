//! `tidy`: the rules of this project that no compiler checks. Each rule is a function from files to findings.

mod arrows;
mod clocks;
mod headers;
mod links;
mod manifest;
mod outside;
mod samples;
mod sizes;
mod tree;
mod words;

use std::{fmt, path::Path, process::ExitCode};

use tree::SourceFile;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the workspace's root.
    file: String,
    /// From 1.
    line: usize,
    /// What is wrong.
    what: String,
    /// What to do about it.
    remedy: String,
}

type Rule = fn(&[SourceFile]) -> Vec<Finding>;

const RULES: [Rule; 8] = [
    arrows::check,
    outside::check,
    sizes::check,
    headers::check,
    samples::check,
    words::check,
    clocks::check,
    links::check,
];

/// Checks the workspace and prints one line per finding, or what was checked.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn report(root: &Path) -> anyhow::Result<ExitCode> {
    let files = tree::read(root)?;
    let findings = findings(&files);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        eprintln!("tidy: {} findings in {} files read", findings.len(), files.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("tidy: {} files, no findings", files.len());
    Ok(ExitCode::SUCCESS)
}

fn findings(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings: Vec<_> = RULES.iter().flat_map(|rule| rule(files)).collect();
    findings.sort();
    findings
}

impl Finding {
    fn new(file: &SourceFile, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { file: file.path.clone(), line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} — {}", self.file, self.line, self.what, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, findings, tree};
    use crate::root;

    #[test]
    fn this_workspace_is_tidy() {
        let files = tree::read(&root::workspace()).unwrap();

        let lines: Vec<_> = findings(&files).iter().map(Finding::to_string).collect();

        assert!(files.iter().any(|file| file.path == "xtask/src/tidy/mod.rs"), "the tree was not read");
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }

    #[test]
    fn a_finding_is_one_line_with_place_fault_and_remedy() {
        let file = tree::SourceFile::new("crates/a/src/b.rs", "");

        let finding = Finding::new(&file, 3, "it is wrong", "right it");

        assert_eq!(finding.to_string(), "crates/a/src/b.rs:3: it is wrong — right it");
    }
}
