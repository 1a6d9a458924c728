//! Headers: the first line of every Rust file says what the file owns.

use super::{Finding, tree::SourceFile};

/// Rust files that do not start with `//!`.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let headless = |file: &&SourceFile| file.has_extension("rs") && !file.text.starts_with("//! ");
    let finding =
        |file| Finding::new(file, 1, "no `//!` header", "say in the first line what this file owns");
    files.iter().filter(headless).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_text(path: &str, text: &str, findings: usize) {
        assert_eq!(check(&[SourceFile::new(path, text)]).len(), findings, "{path}: {text:?}");
    }

    #[test]
    fn a_rust_file_starts_by_saying_what_it_owns() {
        check_text("crates/a/src/lib.rs", "//! Leases.\n", 0);
        check_text("crates/a/src/lib.rs", "use std::fmt;\n", 1);
        check_text("crates/a/src/lib.rs", "\n//! Leases.\n", 1);
        check_text("crates/a/src/lib.rs", "", 1);
        check_text("examples/endpoints.toml", "a = 1\n", 0);
    }
}
