//! The binary under test, built by cargo and run as a person would run it.

use std::{path::PathBuf, process::Command};

/// The repository's root.
///
/// # Panics
/// Never: this package is a folder of it.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the repository")
        .to_owned()
}

/// `beacon`, built if it is not yet.
///
/// # Panics
/// If cargo cannot build it.
#[must_use]
pub fn beacon() -> Command {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    Command::new(BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = ["build", "--quiet", "--locked", "--package", "beacon-cli", "--message-format=json"];
        let output =
            Command::new(cargo).args(build).current_dir(root()).output().expect("cargo can be started");
        assert!(output.status.success(), "cargo cannot build the command");
        let messages = output.stdout.split(|byte| *byte == b'\n');
        let messages = messages.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
        let executable =
            messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
        executable.expect("cargo names the executable that it built")
    }))
}
