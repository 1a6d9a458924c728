//! Keys, signing, the schema, completions.

use std::{io::Write as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use beacon_boot::{load_or_create_runner_key, read_bounded};
use beacon_domain::{Clock as _, SystemClock};
use beacon_spec::{Profile, SignOptions, SigningKey, job_schema, sign_spec};
use clap::CommandFactory as _;
use serde_json::json;

use super::line;
use crate::args::{Args, Completions, Keygen, Sign};

/// Makes a signing key.
pub(crate) fn keygen(command: &Keygen, as_json: bool) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!command.out.exists(), "{} exists; a key is never overwritten", command.out.display());
    let key = load_or_create_runner_key(&command.out)?;
    let entry = json!([{ "kid": command.kid, "public_key": key.public_key_base64(), "status": "active" }]);
    if as_json {
        line(&entry[0])?;
    } else {
        eprintln!("wrote the secret seed to {}; keep it. The key ring entry:", command.out.display());
        line(serde_json::to_string_pretty(&entry)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Signs a job with a fresh time stamp and nonce.
pub(crate) fn sign(command: &Sign) -> anyhow::Result<ExitCode> {
    let mut job: serde_json::Value = serde_json::from_slice(&read_bounded(&command.job, 16 * 1024 * 1024)?)
        .with_context(|| format!("{} is not JSON", command.job.display()))?;
    let key = secret(&command.key)?;
    let nonce = SigningKey::generate().public_key_base64();
    let nonce = nonce.trim_end_matches('=').chars().filter(char::is_ascii_alphanumeric).take(22).collect();
    let options = SignOptions { timestamp: Some(SystemClock::new().now()), nonce: Some(nonce) };
    let signed = sign_spec(&mut job, &key, Profile::Jcs, &options)?;
    match &command.out {
        Some(out) => {
            std::fs::write(out, signed).with_context(|| format!("cannot write {}", out.display()))?
        }
        None => std::io::stdout().write_all(&signed)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn secret(path: &Path) -> anyhow::Result<SigningKey> {
    let text = String::from_utf8(read_bounded(path, 4096)?).context("the key file is not text")?;
    SigningKey::from_seed_base64(text.trim()).with_context(|| format!("{} holds no key", path.display()))
}

/// Prints the schema.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    line(serde_json::to_string_pretty(&job_schema())?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints completions.
pub(crate) fn completions(command: &Completions) -> anyhow::Result<ExitCode> {
    clap_complete::generate(command.shell, &mut Args::command(), "beacon", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
