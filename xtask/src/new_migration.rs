//! `new-migration`: the two files of the next step of the PostgreSQL schema, and its line in the list.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::root;

const FOLDER: &str = "migrations/postgres";
const LIST: &str = "crates/store/src/migrate/files.rs";

/// What `new-migration` takes.
#[derive(Debug, Args)]
pub(crate) struct NewMigration {
    /// What it does, in lower case with underscores, such as `add_priority`
    name: String,
}

/// Makes the files; they must then be written.
///
/// # Errors
/// The name cannot be used, or a file cannot be written.
pub(crate) fn report(arguments: &NewMigration) -> anyhow::Result<ExitCode> {
    let name = &arguments.name;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    ensure!(
        !name.is_empty() && name.chars().all(fits),
        "{name:?} must be lower case letters, digits and underscores"
    );
    let workspace = root::workspace();
    let version = latest(&workspace.join(FOLDER))? + 1;
    let list = workspace.join(LIST);
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {LIST}"))?;
    let text = with_entry(&text, version, name)?;
    for (way, content) in [
        (
            "up",
            "-- Only add what the version before ignores; what goes, goes one version later (expand, then contract).\n",
        ),
        ("down", "-- Takes back exactly what the way up does.\n"),
    ] {
        let path = workspace.join(format!("{FOLDER}/{version:04}_{name}.{way}.sql"));
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    fs::write(&list, text)?;
    let formatted = Command::new("rustfmt").args(["--edition", "2024"]).arg(&list).status();
    ensure!(formatted.is_ok_and(|status| status.success()), "rustfmt cannot format {LIST}");
    println!("{}", list.display());
    Ok(ExitCode::SUCCESS)
}

/// The highest version that is there.
fn latest(folder: &Path) -> anyhow::Result<u32> {
    let mut latest = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let version = name.split('_').next().and_then(|version| version.parse().ok());
        latest = latest.max(version.unwrap_or(0));
    }
    Ok(latest)
}

/// The list with one more entry at its end.
fn with_entry(text: &str, version: u32, name: &str) -> anyhow::Result<String> {
    let Some((before, after)) = text.split_once("}];").or_else(|| text.split_once("},\n];")) else {
        bail!("{LIST} has no list of migrations that ends in `}}];`");
    };
    let before_it = version - 1;
    let file = format!("../../../../{FOLDER}/{version:04}_{name}");
    Ok(format!(
        "{before}}}, Migration {{ version: {version}, serves_from: {before_it}, name: \"{name}\", makes: None, up: include_str!(\"{file}.up.sql\"), \
         down: include_str!(\"{file}.down.sql\") }}];{after}"
    ))
}

#[cfg(test)]
mod tests {
    use super::with_entry;

    #[test]
    fn an_entry_is_added_at_the_end_of_a_list_of_one_and_of_more() {
        for list in [
            "&[Migration { version: 1 }];\nrest",
            "&[\n    Migration { version: 0 },\n    Migration { version: 1 },\n];\nrest",
        ] {
            let text = with_entry(list, 2, "add_x").unwrap();

            assert!(
                text.contains("version: 1 }, Migration { version: 2, serves_from: 1, name: \"add_x\""),
                "{text}"
            );
            assert!(text.contains("0002_add_x.down.sql") && text.ends_with("];\nrest"), "{text}");
        }
    }
}
