//! Links: what a document points to is there.

use std::path::Path;

use super::{Finding, tree::SourceFile};
use crate::root;

/// Directories whose files documents name in backticks.
const HOMES: [&str; 7] = ["bins/", "crates/", "docs/", "examples/", "migrations/", "tests/", "xtask/"];

/// What was true when it was written may be gone today.
const HISTORY: [&str; 1] = ["CHANGELOG.md"];

/// What a line of text points to.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    /// A relative link, from the document's own directory.
    Link(&'a str),
    /// A path in backticks, from the workspace's root.
    Path(&'a str),
}

/// Relative links and paths in backticks that lead nowhere, in Markdown.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let root = root::workspace();
    let documents = files.iter().filter(|file| file.has_extension("md"));
    let documents = documents.filter(|file| !HISTORY.contains(&file.path.as_str()));
    documents.flat_map(|file| dead(&root, file)).collect()
}

fn dead(root: &Path, file: &SourceFile) -> Vec<Finding> {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    let mut in_code = false;
    for (line, text) in file.lines() {
        in_code ^= text.starts_with("```");
        // What is planned has a place and no file yet.
        if in_code || text.contains("planned") {
            continue;
        }
        for target in targets(text) {
            let (shown, path) = match target {
                Target::Link(link) => (link, root.join(folder).join(link)),
                Target::Path(path) => (path, root.join(path)),
            };
            if !path.exists() {
                let what = format!("`{shown}` does not exist");
                findings.push(Finding::new(file, line, what, "correct it, or say that it is planned"));
            }
        }
    }
    findings
}

fn targets(text: &str) -> Vec<Target<'_>> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let links = links.map(|(link, _)| link.split('#').next().unwrap_or_default());
    let links = links.filter(|link| !link.is_empty() && !link.contains(':')).map(Target::Link);
    let quoted = text.split('`').skip(1).step_by(2).filter(|text| is_path(text)).map(Target::Path);
    links.chain(quoted).collect()
}

/// A path of a file or, with a final `/`, of a directory; no pattern and no command.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let last = text.rsplit('/').next().unwrap_or_default();
    HOMES.iter().any(|home| text.starts_with(home))
        && text.chars().all(plain)
        && (last.is_empty() || last.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_line(path: &str, line: &str, findings: usize) {
        let found = check(&[SourceFile::new(path, format!("# Title\n{line}\n"))]);

        assert_eq!(found.len(), findings, "{path}: {line}: {found:?}");
        assert!(found.iter().all(|finding| finding.line == 2), "{found:?}");
    }

    #[test]
    fn a_link_leads_from_the_document_to_a_file() {
        check_line("README.md", "see [states](docs/STATES.md#job) and [here](#there)", 0);
        check_line("README.md", "see [states](docs/NOTHING.md)", 1);
        check_line("docs/STATES.md", "back to [the start](../README.md)", 0);
        check_line("docs/STATES.md", "back to [the start](README.md), [again](README.md)", 2);
        check_line("README.md", "[elsewhere](https://nowhere.example/docs/x.md)", 0);
    }

    #[test]
    fn a_path_in_backticks_is_there_unless_it_is_planned() {
        check_line("ARCHITECTURE.md", "look at `crates/spec/src/lib.rs` and `crates/spec/`", 0);
        check_line("ARCHITECTURE.md", "look at `crates/spec/src/nothing.rs` and `crates/nothing/`", 2);
        check_line("ARCHITECTURE.md", "*planned*: `crates/nothing/`", 0);
        check_line(
            "ARCHITECTURE.md",
            "`crates/x` is beacon-x; `crates/*/src/` too; `beacon run examples/x.json`",
            0,
        );
        check_line("CHANGELOG.md", "moved from `crates/nothing/`", 0);
    }

    #[test]
    fn code_blocks_are_not_prose() {
        check_line("README.md", "```\n[x](nothing.md)\n```", 0);
    }
}
