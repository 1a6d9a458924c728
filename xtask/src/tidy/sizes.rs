//! Sizes: a file that needs scrolling for minutes holds more than one noun.

use super::{Finding, tree::SourceFile};

/// The most lines of a file.
const LIMIT: usize = 500;

/// The most lines of a file of tests.
const TEST_LIMIT: usize = 800;

/// Rust files that are too long.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    files.iter().filter(|file| file.has_extension("rs")).filter_map(too_long).collect()
}

fn too_long(file: &SourceFile) -> Option<Finding> {
    let limit = if file.is_test() { TEST_LIMIT } else { LIMIT };
    let lines = file.text.lines().count();
    (lines > limit).then(|| {
        Finding::new(file, limit + 1, format!("{lines} lines, more than {limit}"), "split it by noun")
    })
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_lines(path: &str, lines: usize, findings: usize) {
        let file = SourceFile::new(path, "x\n".repeat(lines));

        assert_eq!(check(&[file]).len(), findings, "{path} with {lines} lines");
    }

    #[test]
    fn long_files_are_found_and_tests_may_be_longer() {
        check_lines("crates/a/src/lib.rs", 500, 0);
        check_lines("crates/a/src/lib.rs", 501, 1);
        check_lines("crates/a/src/tests.rs", 800, 0);
        check_lines("tests/src/cli.rs", 801, 1);
        check_lines("examples/job.json", 9000, 0);
    }
}
