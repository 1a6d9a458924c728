//! `beacon verify`: a signed job, or exported receipts, checked offline.

use std::process::ExitCode;

use anyhow::Context as _;
use beacon_boot::read_bounded;
use beacon_domain::{Clock as _, SystemClock};
use beacon_spec::{Close, MerkleRoot, Receipt, SignedSpec, inspect};
use serde_json::json;

use super::line;
use crate::{args, exit, job_file};

const LIMIT: u64 = 4 * 1024 * 1024 * 1024;

/// Checks a file; what it is follows from its content.
pub(crate) fn verify(command: &args::Verify, as_json: bool) -> anyhow::Result<ExitCode> {
    let bytes = read_bounded(&command.file, LIMIT)?;
    if bytes.split(|byte| *byte == b'\n').next().is_some_and(is_record) {
        return receipts(&bytes, as_json);
    }
    let ring = job_file::ring(&command.file, command.keys.as_deref())?;
    let found = match SignedSpec::new(bytes) {
        Ok(signed) => inspect(&signed, &ring, SystemClock::new().now()),
        Err(error) => anyhow::bail!("{}: {error}", command.file.display()),
    };
    let profile = found.profile.map(|profile| profile.to_string());
    if as_json {
        line(json!({
            "verdict": found.verdict, "explanation": found.explanation, "profile": profile, "cannot_run": found.cannot_run,
            "canonical_length": found.canonical.len(), "canonical_sha256": found.canonical_sha256,
        }))?;
    } else {
        line(format_args!("verdict           {} ({})", found.verdict, found.explanation))?;
        line(format_args!("profile           {}", profile.as_deref().unwrap_or("none matches")))?;
        line(format_args!("canonical length  {}", found.canonical.len()))?;
        line(format_args!("canonical sha256  {}", found.canonical_sha256))?;
        if let Some(reason) = &found.cannot_run {
            line(format_args!("cannot run        {reason}"))?;
        }
    }
    if let Some(path) = &command.canonical {
        compare(&found.canonical, &read_bounded(path, LIMIT)?, as_json)?;
    }
    Ok(if found.verdict == "good" { ExitCode::SUCCESS } else { ExitCode::from(exit::BAD_INPUT) })
}

fn is_record(line: &[u8]) -> bool {
    let schema =
        |value: serde_json::Value| value.get("schema").and_then(|schema| schema.as_str().map(str::to_owned));
    let schema = serde_json::from_slice(line).ok().and_then(schema);
    schema.is_some_and(|schema| schema.starts_with("beacon-receipt/") || schema.starts_with("beacon-close/"))
}

fn compare(ours: &[u8], theirs: &[u8], as_json: bool) -> anyhow::Result<()> {
    let differs = ours.iter().zip(theirs).position(|(a, b)| a != b);
    let first = differs.or_else(|| (ours.len() != theirs.len()).then(|| ours.len().min(theirs.len())));
    match (as_json, first) {
        (true, first) => line(json!({ "first_difference": first })),
        (false, None) => line("the canonical bytes are the same"),
        (false, Some(at)) => line(format_args!("the canonical bytes differ first at byte {at}")),
    }
}

/// Every signature, then the close's count and root.
fn receipts(bytes: &[u8], as_json: bool) -> anyhow::Result<ExitCode> {
    let (mut root, mut good, mut bad, mut close) = (MerkleRoot::new(), 0_u32, Vec::new(), None);
    for (i, text) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, text)| !text.is_empty()) {
        if let Ok(receipt) = serde_json::from_slice::<Receipt>(text) {
            root.push(receipt.hash());
            match receipt.verify() {
                Ok(()) => good += 1,
                Err(error) => bad.push(format!("line {}: {error}", i + 1)),
            }
        } else {
            let last: Close =
                serde_json::from_slice(text).with_context(|| format!("line {} is no record", i + 1))?;
            close = Some(last);
        }
    }
    match &close {
        None => bad.push("there is no close: the job has not ended, or the export is cut".to_owned()),
        Some(close) => {
            if let Err(error) = close.verify() {
                bad.push(format!("the close: {error}"));
            }
            if close.body.receipts != good || close.body.merkle_root != root.root() {
                bad.push("the close does not cover exactly these receipts".to_owned());
            }
        }
    }
    let verdict = if bad.is_empty() { "good" } else { "bad" };
    if as_json {
        line(json!({ "verdict": verdict, "receipts": good, "problems": bad }))?;
    } else {
        line(format_args!("verdict {verdict}: {good} receipts hold"))?;
        bad.iter().try_for_each(|problem| line(format_args!("  {problem}")))?;
    }
    Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::BAD_INPUT) })
}
