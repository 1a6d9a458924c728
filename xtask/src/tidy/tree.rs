//! The files that the rules look at, read once.

use std::{fs, path::Path};

use anyhow::Context;

/// Where files are read from, relative to the workspace's root; documents at the root itself are read too.
const ROOTS: [&str; 7] = ["bins", "crates", "docs", "examples", "migrations", "tests", "xtask"];

/// The kinds of files that have rules.
const EXTENSIONS: [&str; 4] = ["json", "md", "rs", "toml"];

/// Directories whose content nobody here wrote by hand.
const SKIPPED: [&str; 3] = ["generated", "target", "vendor"];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFile {
    /// Relative to the workspace's root, with `/`.
    pub(super) path: String,
    /// Its content.
    pub(super) text: String,
}

impl SourceFile {
    /// A file with this content.
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether the name ends in `.extension`.
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }

    /// Whether it lies below one of these directories of the workspace.
    pub(super) fn is_below(&self, directories: &[&str]) -> bool {
        let below = |directory| self.path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        directories.iter().any(|directory| below(*directory))
    }

    /// Whether all of it is test code: in a `tests` directory, or `tests.rs` beside what it tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.split('/').rev().skip(1).any(|part| part == "tests")
    }

    /// Its lines, numbered from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Reads every file that has rules, in order of its path.
///
/// # Errors
/// A directory or file cannot be read, or is not UTF-8.
pub(super) fn read(root: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).context("cannot list the workspace's root")? {
        let name =
            entry.context("cannot list the workspace's root")?.file_name().to_string_lossy().into_owned();
        if has_extension(&name, &["md"]) {
            files.push(read_file(root, name)?);
        }
    }
    for directory in ROOTS {
        if root.join(directory).is_dir() {
            read_directory(root, directory, &mut files)?;
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_directory(root: &Path, directory: &str, files: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    let entries = fs::read_dir(root.join(directory)).with_context(|| format!("cannot list {directory}"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {directory}"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{directory}/{name}");
        let kind = entry.file_type().with_context(|| format!("cannot look at {path}"))?;
        if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            read_directory(root, &path, files)?;
        }
        if kind.is_file() && has_extension(&name, &EXTENSIONS) {
            files.push(read_file(root, path)?);
        }
    }
    Ok(())
}

fn read_file(root: &Path, path: String) -> anyhow::Result<SourceFile> {
    let text = fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
    Ok(SourceFile::new(path, text))
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::{SourceFile, read};

    #[test]
    fn only_files_with_rules_are_read_and_nothing_generated() {
        let root = env::temp_dir().join(format!("beacon-xtask-tree-{}", process::id()));
        for path in [
            "README.md",
            "z.toml",
            "crates/a/src/lib.rs",
            "crates/a/target/x.rs",
            "crates/a/src/generated/y.rs",
            "deploy/z.toml",
            "docs/X.md",
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "//! Text.\n").unwrap();
        }
        fs::write(root.join("crates/a/note.txt"), "").unwrap();

        let files = read(&root);
        fs::remove_dir_all(&root).unwrap();

        let paths: Vec<_> = files.unwrap().into_iter().map(|file| (file.path, file.text)).collect();
        let expected = ["README.md", "crates/a/src/lib.rs", "docs/X.md"];
        assert_eq!(paths, expected.map(|path| (path.to_owned(), "//! Text.\n".to_owned())));
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        let check =
            |path: &str, expected| assert_eq!(SourceFile::new(path, "").is_test(), expected, "{path}");

        check("tests/src/lib.rs", true);
        check("crates/store/tests/queue.rs", true);
        check("crates/store/src/queue/tests.rs", true);
        check("crates/store/src/queue.rs", false);
        check("crates/store/src/contests.rs", false);
    }
}
