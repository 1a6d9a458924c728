//! Outside packages that belong to one place: the command line to programs, SQL to the store.

use super::{
    Finding,
    manifest::{Manifest, manifests},
    tree::SourceFile,
};

const COMMAND_LINES: &[&str] = &["clap", "clap_complete", "clap_mangen"];
const COMMAND_LINE_HOMES: &[&str] = &["bins", "xtask"];

const DATABASES: &[&str] =
    &["deadpool-postgres", "diesel", "postgres", "rusqlite", "sqlx", "tokio-postgres", "tokio-rusqlite"];
const DATABASE_HOMES: &[&str] = &["crates/store"];

const TELEMETRY: &[&str] = &[
    "opentelemetry",
    "opentelemetry-http",
    "opentelemetry-otlp",
    "opentelemetry-proto",
    "opentelemetry_sdk",
    "tracing-opentelemetry",
];
/// The end-to-end tests read what was sent.
const TELEMETRY_HOMES: &[&str] = &["crates/boot", "tests"];

/// Packages, where they may be imported, and what to do elsewhere.
const HOMES: [(&[&str], &[&str], &str); 3] = [
    (COMMAND_LINES, COMMAND_LINE_HOMES, "take plain values; parse arguments in bins"),
    (DATABASES, DATABASE_HOMES, "go through the ports of domain; SQL lives in crates/store"),
    (TELEMETRY, TELEMETRY_HOMES, "make spans of `tracing` with the target `SPANS`; boot exports them"),
];

/// Packages imported where they do not belong.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    manifests(files).into_iter().flatten().flat_map(|manifest| misplaced(&manifest)).collect()
}

fn misplaced(manifest: &Manifest<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in &manifest.dependencies {
        let package = dependency.package.as_str();
        let misplaced = |(packages, homes, _): &&(&[&str], &[&str], &str)| {
            packages.contains(&package) && !manifest.file.is_below(homes)
        };
        if let Some((_, homes, remedy)) = HOMES.iter().find(misplaced) {
            let what = format!("{package} is imported outside {}", homes.join(" and "));
            findings.push(Finding::new(manifest.file, dependency.line, what, *remedy));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_import(member: &str, package: &str, findings: usize) {
        let text = format!("[dependencies]\n{package}.workspace = true\n");
        let found = check(&[SourceFile::new(format!("{member}/Cargo.toml"), text)]);

        assert_eq!(found.len(), findings, "{member} imports {package}: {found:?}");
    }

    #[test]
    fn packages_stay_where_they_belong() {
        check_import("bins/cli", "clap", 0);
        check_import("xtask", "clap", 0);
        check_import("crates/boot", "clap", 1);
        check_import("crates/store", "rusqlite", 0);
        check_import("crates/scheduler", "rusqlite", 1);
        check_import("bins/worker", "tokio-postgres", 1);
        check_import("crates/boot", "opentelemetry_sdk", 0);
        check_import("crates/scheduler", "opentelemetry", 1);
        check_import("crates/store2", "rusqlite", 1);
    }
}
