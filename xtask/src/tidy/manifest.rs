//! Manifests: whose dependencies a `Cargo.toml` names, and on which line.

use toml::{Table, Value};

use super::{Finding, tree::SourceFile};

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Part of the program, or of its build.
    Normal,
    /// For tests, examples and benchmarks.
    Dev,
}

/// One line of a manifest's dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The package's name, whatever it is called here.
    pub(super) package: String,
    pub(super) kind: Kind,
    /// From 1.
    pub(super) line: usize,
}

/// One member of the workspace.
#[derive(Debug)]
pub(super) struct Manifest<'a> {
    /// The file it was read from.
    pub(super) file: &'a SourceFile,
    /// Its directory, such as `crates/store`.
    pub(super) directory: &'a str,
    pub(super) dependencies: Vec<Dependency>,
}

/// The manifests among these files; a finding for each that is not TOML.
pub(super) fn manifests(files: &[SourceFile]) -> Vec<Result<Manifest<'_>, Finding>> {
    files.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml").map(|at| parse(file, at))).collect()
}

fn parse<'a>(file: &'a SourceFile, directory: &'a str) -> Result<Manifest<'a>, Finding> {
    let table: Table = toml::from_str(&file.text).map_err(|error| {
        Finding::new(file, 1, format!("not TOML: {}", error.message()), "correct the manifest")
    })?;
    let mut dependencies = sections(&table, file);
    let targets = table.get("target").and_then(Value::as_table);
    for target in targets.into_iter().flat_map(Table::values).filter_map(Value::as_table) {
        dependencies.extend(sections(target, file));
    }
    Ok(Manifest { file, directory, dependencies })
}

fn sections(table: &Table, file: &SourceFile) -> Vec<Dependency> {
    let kinds = [
        ("dependencies", Kind::Normal),
        ("build-dependencies", Kind::Normal),
        ("dev-dependencies", Kind::Dev),
    ];
    let mut found = Vec::new();
    for (section, kind) in kinds {
        let Some(dependencies) = table.get(section).and_then(Value::as_table) else { continue };
        found.extend(dependencies.iter().map(|(name, detail)| {
            let package = detail.get("package").and_then(Value::as_str).unwrap_or(name).to_owned();
            Dependency { package, kind, line: line_of(file, section, name) }
        }));
    }
    found
}

/// The line of `name` below the header of `section`; the first line if it is written in some rarer way.
fn line_of(file: &SourceFile, section: &str, name: &str) -> usize {
    let header = format!("{section}]");
    let long_form = format!("{section}.{name}]");
    let mut inside = false;
    for (line, text) in file.lines() {
        let text = text.trim();
        if text.starts_with('[') {
            inside = text.ends_with(&header);
        }
        let rest = text.strip_prefix(name).map(str::trim_start);
        let named = inside && rest.is_some_and(|rest| rest.starts_with(['.', '=']));
        if named || text.ends_with(&long_form) {
            return line;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::{Dependency, Kind, SourceFile, manifests};

    #[test]
    fn every_section_is_read_with_its_lines() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nserde.workspace = true\nx = { package = \"clap\", version = \"4\" }\n\
                    [dev-dependencies]\nserde = \"1\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n[build-dependencies.cc]\nversion = \"1\"\n";
        let files =
            [SourceFile::new("crates/a/Cargo.toml", text), SourceFile::new("crates/a/other.toml", "")];

        let read = manifests(&files);

        let manifest = read[0].as_ref().unwrap();
        let dependency = |package: &str, kind, line| Dependency { package: package.to_owned(), kind, line };
        let expected = [
            dependency("serde", Kind::Normal, 4),
            dependency("clap", Kind::Normal, 5),
            dependency("cc", Kind::Normal, 10),
            dependency("serde", Kind::Dev, 7),
            dependency("libc", Kind::Normal, 9),
        ];
        assert_eq!(read.len(), 1);
        assert_eq!(manifest.directory, "crates/a");
        assert_eq!(manifest.dependencies, expected);
    }

    #[test]
    fn a_broken_manifest_is_a_finding() {
        let files = [SourceFile::new("crates/a/Cargo.toml", "[dependencies\n")];

        assert!(manifests(&files)[0].as_ref().is_err_and(|finding| finding.what.starts_with("not TOML")));
    }
}
