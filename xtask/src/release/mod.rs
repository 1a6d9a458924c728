//! `release`: the binaries with their texts in one archive, its checksums, and what it was made of.

mod sbom;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::root;

/// Files and folders that go with the binaries.
const TEXTS: [&str; 8] = [
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs",
    "examples",
    "deploy",
    "migrations",
];

/// Builds everything.
///
/// # Errors
/// A build fails, or a file cannot be written.
pub(crate) fn report() -> anyhow::Result<ExitCode> {
    let (metadata, binaries) = (metadata()?, build()?);
    let version = version(&metadata)?;
    let name = format!("beacon-{version}-{}", host()?);
    let out = root::workspace().join("target/release-archives");
    let stage = out.join(&name);
    if out.exists() {
        fs::remove_dir_all(&out).context("cannot empty target/release-archives")?;
    }
    fs::create_dir_all(&stage).context("cannot make target/release-archives")?;
    for binary in &binaries {
        let target = stage.join(binary.file_name().context("a binary has a name")?);
        fs::copy(binary, &target).with_context(|| format!("cannot copy {}", binary.display()))?;
    }
    for text in TEXTS {
        copied(&root::workspace().join(text), &stage)?;
    }
    let bill = sbom::of(&metadata, &fs::read_to_string(root::workspace().join("Cargo.lock"))?)?;
    let bill = serde_json::to_string_pretty(&bill)?;
    fs::write(stage.join("sbom.cdx.json"), &bill)?;
    fs::write(out.join(format!("{name}.cdx.json")), &bill)?;
    archive(&out, &name)?;
    fs::remove_dir_all(&stage)?;
    let sums = checksums(&out)?;
    fs::write(out.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    println!("in {}", out.display());
    Ok(ExitCode::SUCCESS)
}

fn metadata() -> anyhow::Result<Value> {
    let output = root::cargo().args(["metadata", "--format-version=1", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn version(metadata: &Value) -> anyhow::Result<String> {
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let own = packages.find(|package| package["name"] == "beacon-cli").context("beacon-cli is a member")?;
    Ok(own["version"].as_str().context("a package has a version")?.to_owned())
}

/// The programs of `bins`, built as they are shipped.
fn build() -> anyhow::Result<Vec<PathBuf>> {
    let mut command = root::cargo();
    command.args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"]);
    for folder in fs::read_dir(root::workspace().join("bins"))? {
        let name = folder?.file_name();
        command.arg("--package").arg(format!("beacon-{}", name.to_string_lossy()));
    }
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the release build failed");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let built: Vec<PathBuf> =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).collect();
    ensure!(!built.is_empty(), "cargo named no program that it built");
    Ok(built)
}

fn host() -> anyhow::Result<String> {
    let rustc = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8(rustc.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names its host")?.to_owned())
}

fn copied(from: &Path, stage: &Path) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-R").arg(from).arg(stage).status().context("cannot start cp")?;
    ensure!(status.success(), "cannot copy {}", from.display());
    Ok(())
}

/// The same content gives the same archive: names in order, no owner, one time stamp.
fn archive(out: &Path, name: &str) -> anyhow::Result<()> {
    let mut tar = Command::new("tar");
    tar.current_dir(out).args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"]);
    let status = tar.args(["-czf", &format!("{name}.tar.gz"), name]).status().context("cannot start tar")?;
    ensure!(status.success(), "tar failed");
    Ok(())
}

/// Lines as `sha256sum --check` reads them.
fn checksums(out: &Path) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(out)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let mut lines = String::new();
    for file in files {
        let digest = hex::encode(Sha256::digest(fs::read(&file)?));
        let name = file.file_name().context("a file has a name")?.to_string_lossy();
        lines += &format!("{digest}  {name}\n");
    }
    Ok(lines)
}
