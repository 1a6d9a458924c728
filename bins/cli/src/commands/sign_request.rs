//! `beacon sign-request`: the headers that let a key steer its own jobs over HTTP, for curl.

use std::process::ExitCode;

use anyhow::Context as _;
use beacon_boot::read_bounded;
use beacon_client::authority;
use beacon_domain::{Clock as _, SystemClock};
use beacon_spec::{RequestParts, Sha256Digest, random_nonce, sign_request};
use http::Uri;
use serde_json::json;

use super::{keys::secret, line};
use crate::args::SignRequest;

/// The longest body that is signed, in bytes; such routes take no longer one.
const MAX_BODY: u64 = 64 * 1024;

/// Prints the headers.
pub(crate) fn run(command: &SignRequest, as_json: bool) -> anyhow::Result<ExitCode> {
    let key = secret(&command.key)?;
    let url: Uri = command.url.parse().with_context(|| format!("{} is no URL", command.url))?;
    let authority = authority(&url).with_context(|| {
        format!("{} is no whole URL; write it as in https://beacon.example/api/v1/jobs/…/cancel", command.url)
    })?;
    let body = command.body.as_ref().map(|file| read_bounded(file, MAX_BODY)).transpose()?;
    let parts = RequestParts {
        method: &command.method.to_ascii_uppercase(),
        authority: &authority,
        path: url.path(),
        query: url.query().unwrap_or_default(),
        body: Sha256Digest::of(&body.unwrap_or_default()),
    };
    let headers = sign_request(&key, &parts, SystemClock::new().now(), &random_nonce())?;
    if as_json {
        line(json!({
            "content-digest": headers.content_digest,
            "signature-input": headers.input,
            "signature": headers.signature,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    line(format_args!("content-digest: {}", headers.content_digest))?;
    line(format_args!("signature-input: {}", headers.input))?;
    line(format_args!("signature: {}", headers.signature))?;
    Ok(ExitCode::SUCCESS)
}
