//! Keys, signing, the schema, completions.

use std::{fs, io::Write as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use beacon_boot::read_bounded;
use beacon_domain::{Clock as _, SystemClock};
use beacon_spec::{
    KeyRing, Profile, SignOptions, SignedText, SigningKey, Timestamp, job_schema, limits, random_nonce,
    sign_text,
};
use clap::CommandFactory as _;
use serde_json::json;

use super::{line, remark};
use crate::{
    args::{Args, Completions, Database, Keygen, Sign},
    database,
    job_file::age,
    out::bytes,
};

/// Signatures older than this are refused by services as they come; a kept time stamp is then worth a note.
const STALE_MINUTES: i64 = 10;

/// Makes a signing key.
pub(crate) fn keygen(command: &Keygen, as_json: bool) -> anyhow::Result<ExitCode> {
    let key = SigningKey::generate();
    let ring = json!([{ "kid": command.kid, "public_key": key.public_key_base64(), "status": "active" }]);
    KeyRing::parse(ring.to_string().as_bytes()).context("a ring could not hold this key")?;
    write_secret(&command.out, &key)?;
    let printed = if as_json {
        line(&ring[0])
    } else {
        remark(format_args!(
            "wrote the secret seed to {}; keep it. The key ring entry:",
            command.out.display()
        ));
        line(serde_json::to_string_pretty(&ring)?)
    };
    if printed.is_err() {
        // A key whose public half nobody has is of no use; the error that is told is the one below.
        let _ = fs::remove_file(&command.out);
    }
    printed?;
    Ok(ExitCode::SUCCESS)
}

/// Signs a job. It gets a time stamp and a nonce if it has none.
pub(crate) fn sign(command: &Sign, as_json: bool) -> anyhow::Result<ExitCode> {
    if let Some(out) = &command.out {
        anyhow::ensure!(
            !same_file(out, &command.job),
            "--out {} is the job itself, which would be lost; name another file",
            out.display()
        );
        anyhow::ensure!(
            !same_file(out, &command.key),
            "--out {} is the secret key, which would be lost; name another file",
            out.display()
        );
    }
    let job = read_bounded(&command.job, limits::MAX_SPEC_BYTES as u64)?;
    let key = secret(&command.key)?;
    let now = SystemClock::new().now();
    let profile = if command.dsse { Profile::Dsse } else { command.profile };
    let options = SignOptions { timestamp: Some(now), nonce: Some(random_nonce()), refresh: command.refresh };
    let signed =
        sign_text(&job, &key, profile, &options).with_context(|| format!("{}", command.job.display()))?;
    match &command.out {
        Some(out) => write_whole(out, &signed.bytes)?,
        None => bytes(&signed.bytes)?,
    }
    note(&signed, profile, now);
    if let Some(out) = command.out.as_ref().filter(|_| as_json) {
        line(json!({
            "out": out, "name": signed.spec.name, "profile": profile.to_string(),
            "canonical_length": signed.canonical_length, "canonical_sha256": signed.canonical_sha256,
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the signer should know, on standard error.
fn note(signed: &SignedText, profile: Profile, now: Timestamp) {
    let (length, digest) = (signed.canonical_length, signed.canonical_sha256);
    remark(format_args!(
        "signed {} as {profile}: {length} canonical bytes, SHA-256 {digest}",
        signed.spec.name
    ));
    if signed.signed_again {
        remark(format_args!(
            "note: this key had signed the job before; the time stamp and the nonce are new"
        ));
    }
    if !profile.is_default() {
        remark(format_args!(
            "note: {profile} is an older form. Beacon takes it only from keys whose ring entry has \"profiles\": [\"{profile}\"]"
        ));
    }
    let kept = signed.spec.signed_at.map(|signed_at| now.duration_since(signed_at));
    if let Some(kept) = kept.filter(|kept| kept.as_mins() >= STALE_MINUTES) {
        let age = age(kept);
        remark(format_args!(
            "note: the time stamp of the job was kept and is {age} old; services refuse it, --refresh replaces it"
        ));
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    real(one).is_some_and(|one| Some(one) == real(other))
}

/// Writes a file beside its place and moves it there: it is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // Nothing else can be done if even this fails; the error below says what is wrong.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a new seed that only its owner can read.
fn write_secret(path: &Path, key: &SigningKey) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(format!("{}\n", key.seed_base64()).as_bytes())?;
        file.sync_all()
    });
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!("{} exists; a key is never overwritten", path.display())
        }
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

pub(super) fn secret(path: &Path) -> anyhow::Result<SigningKey> {
    let text = String::from_utf8(read_bounded(path, 4096)?).context("the key file is not text")?;
    SigningKey::from_seed_base64(text.trim()).with_context(|| format!("{} holds no key", path.display()))
}

/// Prints the public key of a database's runner.
pub(crate) fn runner_key(command: &Database, as_json: bool) -> anyhow::Result<ExitCode> {
    let key = beacon_boot::runner_public_key(&database::runner_key(command))?;
    if as_json {
        line(json!({ "public_key": key }))?
    } else {
        line(key)?
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the schema.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    line(serde_json::to_string_pretty(&job_schema())?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints completions.
pub(crate) fn completions(command: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Args::command(), "beacon", &mut script);
    bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
