//! Arrows: which member of the workspace may import which. The table is the one of ARCHITECTURE.md.

use super::{
    Finding,
    manifest::{Kind, Manifest, manifests},
    tree::SourceFile,
};

/// A member, and the crates it may import. Members that do not exist yet have their line already.
const ARROWS: [(&str, &[&str]); 19] = [
    ("crates/spec", &[]),
    ("crates/domain", &["spec"]),
    ("crates/scheduler", &["domain", "spec"]),
    ("crates/store", &["domain", "spec"]),
    ("crates/providers", &["domain", "spec"]),
    ("crates/analysis", &["domain", "spec"]),
    ("crates/simulator", &["domain", "spec"]),
    ("crates/mesh", &["domain"]),
    ("crates/client", &["domain", "spec"]),
    ("crates/webhooks", &["domain", "spec"]),
    ("crates/web", &["scheduler", "analysis", "domain", "spec"]),
    ("crates/boot", &["store", "providers", "webhooks", "mesh", "domain", "spec"]),
    ("crates/testkit", &["domain", "spec"]),
    ("bins/api", &["boot", "web", "scheduler", "domain", "spec"]),
    ("bins/worker", &["boot", "scheduler", "domain", "spec"]),
    ("bins/migrate", &["boot", "store", "domain", "spec"]),
    ("bins/cli", &["boot", "scheduler", "client", "analysis", "simulator", "domain", "spec"]),
    ("bins/mesher", &["mesh", "boot", "domain"]),
    ("xtask", &[]),
];

/// What a member's tests may import besides; every member's tests may import `testkit`.
const TEST_ARROWS: [(&str, &[&str]); 6] = [
    ("crates/client", &["web", "scheduler", "store"]),
    ("crates/scheduler", &["store"]),
    ("crates/web", &["store"]),
    ("crates/webhooks", &["store"]),
    ("crates/simulator", &["providers"]),
    ("crates/boot", &["simulator"]),
];

/// The package of end-to-end tests sees everything.
const SEES_EVERYTHING: &str = "tests";

/// Imports that the table does not have, and members that it does not know.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let check = |manifest: Result<Manifest<'_>, Finding>| match manifest {
        Ok(manifest) => forbidden(&manifest),
        Err(finding) => vec![finding],
    };
    manifests(files).into_iter().flat_map(check).collect()
}

fn forbidden(manifest: &Manifest<'_>) -> Vec<Finding> {
    if manifest.directory == SEES_EVERYTHING {
        return Vec::new();
    }
    let Some(allowed) = arrows_of(&ARROWS, manifest.directory) else {
        let what = format!("{} is not in the table of imports", manifest.directory);
        let remedy = "add it to ARCHITECTURE.md and to xtask/src/tidy/arrows.rs";
        return vec![Finding::new(manifest.file, 1, what, remedy)];
    };
    let for_tests = arrows_of(&TEST_ARROWS, manifest.directory).unwrap_or_default();

    let mut findings = Vec::new();
    for dependency in &manifest.dependencies {
        let Some(noun) = dependency.package.strip_prefix("beacon-") else { continue };
        let in_tests = dependency.kind == Kind::Dev && (noun == "testkit" || for_tests.contains(&noun));
        if !in_tests && !allowed.contains(&noun) {
            let use_of = if dependency.kind == Kind::Dev { "test imports" } else { "imports" };
            let what =
                format!("{} {use_of} {noun}, which is no arrow of ARCHITECTURE.md", manifest.directory);
            let remedy = "go through a port of domain, or move the code";
            findings.push(Finding::new(manifest.file, dependency.line, what, remedy));
        }
    }
    findings
}

fn arrows_of<'a>(table: &[(&str, &'a [&'a str])], directory: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(member, _)| *member == directory).map(|(_, arrows)| *arrows)
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_import(member: &str, section: &str, package: &str, findings: usize) {
        let text = format!("[{section}]\n{package}.workspace = true\n");
        let found = check(&[SourceFile::new(format!("{member}/Cargo.toml"), text)]);

        assert_eq!(found.len(), findings, "{member} {section} {package}: {found:?}");
        assert!(found.iter().all(|finding| finding.line == 2), "{found:?}");
    }

    #[test]
    fn imports_follow_the_arrows() {
        check_import("crates/scheduler", "dependencies", "beacon-domain", 0);
        check_import("crates/scheduler", "dependencies", "beacon-store", 1);
        check_import("crates/spec", "dependencies", "beacon-domain", 1);
        check_import("crates/providers", "build-dependencies", "beacon-store", 1);
        check_import("bins/cli", "dependencies", "beacon-boot", 0);
        check_import("bins/cli", "dependencies", "beacon-store", 1);
        check_import("bins/cli", "dependencies", "beacon-client", 0);
        check_import("crates/client", "dependencies", "beacon-web", 1);
        check_import("crates/client", "dev-dependencies", "beacon-web", 0);
        check_import("xtask", "dependencies", "beacon-boot", 1);
        check_import("tests", "dependencies", "beacon-store", 0);
        check_import("crates/spec", "dependencies", "serde", 0);
    }

    #[test]
    fn tests_may_import_more() {
        check_import("crates/spec", "dev-dependencies", "beacon-testkit", 0);
        check_import("crates/spec", "dependencies", "beacon-testkit", 1);
        check_import("crates/scheduler", "dev-dependencies", "beacon-store", 0);
        check_import("crates/simulator", "dev-dependencies", "beacon-providers", 0);
        check_import("crates/simulator", "dependencies", "beacon-providers", 1);
        check_import("crates/providers", "dev-dependencies", "beacon-store", 1);
    }

    #[test]
    fn a_member_that_the_table_does_not_know_is_found() {
        let found = check(&[SourceFile::new("crates/common/Cargo.toml", "")]);

        assert_eq!(found[0].what, "crates/common is not in the table of imports");
    }
}
