//! `beacon verify`: a signed job, or exported receipts, checked offline.

mod difference;
pub(super) mod records;

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use beacon_boot::read_bounded;
use beacon_domain::{Clock as _, SystemClock};
use beacon_spec::{Inspection, SignedSpec, VerifyError, inspect, limits::MAX_SPEC_BYTES};
use serde_json::{Value, json};

use self::difference::Difference;
use super::line;
use crate::{args, exit, job_file};

/// The longest record, and the longest canonical form to compare with.
const LIMIT: u64 = 64 * 1024 * 1024;

/// What a check found, and whether all of it is good.
struct Checked {
    good: bool,
    /// The one object of `--json`.
    object: Value,
    /// The same for people.
    text: Vec<String>,
}

/// Checks a file; what it is follows from its content.
pub(crate) fn verify(command: &args::Verify, as_json: bool) -> anyhow::Result<ExitCode> {
    let checked = match check(command) {
        Ok(checked) => checked,
        Err(error) if as_json => {
            line(json!({
                "kind": null, "verdict": "not_checked", "explanation": beacon_boot::told(&error), "profile": null,
                "canonical_length": 0, "canonical_sha256": null,
            }))?;
            return Ok(ExitCode::from(exit::BAD_INPUT));
        }
        Err(error) => return Err(error),
    };
    if as_json {
        line(&checked.object)?;
    } else {
        checked.text.iter().try_for_each(line)?;
    }
    Ok(if checked.good { ExitCode::SUCCESS } else { ExitCode::from(exit::BAD_INPUT) })
}

fn check(command: &args::Verify) -> anyhow::Result<Checked> {
    let file = &command.file;
    let unreadable = || format!("cannot read {}; check the path and its permissions", file.display());
    let mut reader = BufReader::new(File::open(file).with_context(unreadable)?);
    let mut first = Vec::new();
    reader.by_ref().take(LIMIT).read_until(b'\n', &mut first).with_context(unreadable)?;
    if let (true, Err(error)) = (first.is_empty(), SignedSpec::new(Vec::new())) {
        return Ok(Checked::refused(&error));
    }
    if records::is_record(&first) {
        return records::check(command, &first, reader);
    }
    anyhow::ensure!(
        command.job.is_none() && command.runner_key.is_none(),
        "--job and --runner-key are for receipts, and {} holds none",
        file.display()
    );
    // One byte more than allowed is enough to know; the rest of a hostile file is not read.
    let left = (MAX_SPEC_BYTES + 1).saturating_sub(first.len()) as u64;
    let mut bytes = first;
    reader.take(left).read_to_end(&mut bytes).with_context(unreadable)?;
    job(command, bytes)
}

fn job(command: &args::Verify, bytes: Vec<u8>) -> anyhow::Result<Checked> {
    let theirs = command.canonical.as_deref().map(|path| read_bounded(path, LIMIT)).transpose()?;
    let ring = job_file::ring(&command.file, command.keys.as_deref())?;
    let signed = match SignedSpec::new(bytes) {
        Err(VerifyError::TooLarge(read)) => Err(VerifyError::TooLarge(size(&command.file).unwrap_or(read))),
        signed => signed,
    };
    Ok(match signed {
        Ok(signed) => Checked::job(&inspect(&signed, &ring, SystemClock::new().now()), theirs.as_deref()),
        Err(error) => Checked::refused(&error),
    })
}

fn size(file: &Path) -> Option<usize> {
    let file = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    usize::try_from(file.len()).ok()
}

impl Checked {
    /// A file that is no job before anything can be checked.
    fn refused(error: &VerifyError) -> Self {
        let object = json!({
            "kind": "job", "verdict": error.code(), "explanation": error.to_string(), "profile": null,
            "canonical_length": 0, "canonical_sha256": null, "cannot_run": null,
        });
        Self { good: false, object, text: vec![format!("verdict           {} ({error})", error.code())] }
    }

    fn job(found: &Inspection, theirs: Option<&[u8]>) -> Self {
        let digest = (!found.canonical.is_empty()).then_some(found.canonical_sha256);
        let (profile, cannot_run) =
            (found.profile.map(|profile| profile.to_string()), found.cannot_run.as_ref());
        let mut object = json!({
            "kind": "job", "verdict": found.verdict, "explanation": found.explanation, "profile": profile,
            "key": found.key, "canonical_length": found.canonical.len(), "canonical_sha256": digest,
            "cannot_run": cannot_run.map(ToString::to_string),
        });
        let mut text = vec![
            format!("verdict           {} ({})", found.verdict, found.explanation),
            format!("profile           {}", profile.as_deref().unwrap_or("none matches")),
            format!("canonical length  {}", found.canonical.len()),
        ];
        text.extend(digest.map(|digest| format!("canonical sha256  {digest}")));
        text.extend(cannot_run.map(|reason| format!("cannot run        {reason}")));
        let mut good = found.verdict == "good";
        if let Some(theirs) = theirs {
            let difference = Difference::between(&found.canonical, theirs);
            object["first_difference"] = difference.as_ref().map_or(Value::Null, Difference::json);
            text.extend(
                difference.as_ref().map_or_else(|| vec![difference::SAME.to_owned()], Difference::lines),
            );
            good &= difference.is_none();
        }
        Self { good, object, text }
    }
}
