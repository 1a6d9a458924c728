//! Signing jobs.

use serde_json::{Value, json};

use crate::{
    JobSpec, Profile, Sha256Digest, SigningKey, Timestamp, VerifyError, dsse, normalise, parse::parse_strict,
    verify_error::quoted,
};

/// A job that cannot be signed, or a key that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Not a seed.
    #[error("a signing key is 32 bytes in padded base64, as `beacon keygen` writes it")]
    NotAKey,
    /// Not an object, or its metadata is none.
    #[error("a job is a JSON object, and its metadata too")]
    NotAnObject,
    /// Not a bare job.
    #[error("this is an envelope around a job; sign the job inside it")]
    Envelope,
    /// Somebody else stands for this job.
    #[error(
        "the job is signed already, by the key {0}; to sign it as your own, take `signature` and `public_key` out of it"
    )]
    SignedByAnother(String),
    /// A signature would be in vain.
    #[error("the job could not run: {0}")]
    CannotRun(#[source] VerifyError),
}

/// What signing adds to `metadata`, where the job does not have it.
#[derive(Debug, Clone, Default)]
pub struct SignOptions {
    /// `metadata.timestamp`.
    pub timestamp: Option<Timestamp>,
    /// `metadata.nonce`.
    pub nonce: Option<String>,
    /// Whether these replace what the job has.
    pub refresh: bool,
}

/// A job that was signed, and what it will be.
#[derive(Debug, Clone)]
pub struct SignedText {
    /// The signed text.
    pub bytes: Vec<u8>,
    /// What a verifier derives from it.
    pub spec: JobSpec,
    /// Length of the bytes that were signed.
    pub canonical_length: usize,
    /// SHA-256 of the bytes that were signed.
    pub canonical_sha256: Sha256Digest,
    /// Whether the key had signed this job before; then its time stamp and nonce are new.
    pub signed_again: bool,
}

/// Signs the text of a bare job after checking that it can run. What the same key signed before is signed anew, with
/// a new time stamp and nonce.
///
/// # Errors
/// The text is no bare job, another key signed it, or it could not run: then a signature would be in vain.
pub fn sign_text(
    text: &[u8],
    key: &SigningKey,
    profile: Profile,
    options: &SignOptions,
) -> Result<SignedText, SignError> {
    let mut job = parse_strict(text).map_err(SignError::CannotRun)?;
    let top = job.as_object_mut().ok_or(SignError::NotAnObject)?;
    if !top.contains_key("benchmark") && ["jobspec", "payloadType"].iter().any(|name| top.contains_key(*name))
    {
        return Err(SignError::Envelope);
    }
    let signed_again = signed_before(&job, key)?;
    let options = SignOptions { refresh: options.refresh || signed_again, ..options.clone() };
    let signed = seal(&mut job, key, profile, &options)?;
    let spec = normalise::job(&job, Sha256Digest::of(&signed.bytes)).map_err(SignError::CannotRun)?;
    Ok(SignedText {
        spec,
        canonical_length: signed.canonical.len(),
        canonical_sha256: Sha256Digest::of(&signed.canonical),
        bytes: signed.bytes,
        signed_again,
    })
}

/// Signs a job and returns it as text; for DSSE, the envelope. Adds what the options give and `metadata` lacks.
///
/// # Errors
/// The job is not an object.
pub fn sign_spec(
    job: &mut Value,
    key: &SigningKey,
    profile: Profile,
    options: &SignOptions,
) -> Result<Vec<u8>, SignError> {
    seal(job, key, profile, options).map(|signed| signed.bytes)
}

/// Whether this key signed the job before; another key's signature is not replaced.
fn signed_before(job: &Value, key: &SigningKey) -> Result<bool, SignError> {
    let there = |name: &str| job.get(name).filter(|value| !value.is_null() && **value != json!(""));
    match (there("public_key"), there("signature")) {
        (None, None) => Ok(false),
        (Some(other), _) if *other != json!(key.public_key_base64()) => {
            Err(SignError::SignedByAnother(other.as_str().map_or_else(|| other.to_string(), quoted)))
        }
        (None, Some(_)) => Err(SignError::SignedByAnother("that is missing".to_owned())),
        (Some(_), signature) => Ok(signature.is_some()),
    }
}

struct Sealed {
    bytes: Vec<u8>,
    canonical: Vec<u8>,
}

fn seal(
    job: &mut Value,
    key: &SigningKey,
    profile: Profile,
    options: &SignOptions,
) -> Result<Sealed, SignError> {
    stamp(job, options)?;
    let top = job.as_object_mut().ok_or(SignError::NotAnObject)?;
    let (canonical, sealed) = if profile == Profile::Dsse {
        top.remove("signature");
        top.remove("public_key");
        let payload = serde_json::to_vec(job).expect("a JSON value can be written");
        let canonical = dsse::pre_authentication_encoding(&payload);
        let envelope = dsse::seal(&payload, &key.public_key_base64(), &key.sign_base64(&canonical));
        (canonical, serde_json::to_vec_pretty(&envelope))
    } else {
        let canonical = profile.form(job, profile.dialect());
        let top = job.as_object_mut().ok_or(SignError::NotAnObject)?;
        top.insert("signature".to_owned(), Value::String(key.sign_base64(&canonical)));
        top.insert("public_key".to_owned(), Value::String(key.public_key_base64()));
        (canonical, serde_json::to_vec_pretty(job))
    };
    let mut bytes = sealed.expect("a JSON value can be written");
    bytes.push(b'\n');
    Ok(Sealed { bytes, canonical })
}

fn stamp(job: &mut Value, options: &SignOptions) -> Result<(), SignError> {
    let top = job.as_object_mut().ok_or(SignError::NotAnObject)?;
    let metadata = top.entry("metadata").or_insert(Value::Null);
    if metadata.is_null() {
        *metadata = json!({});
    }
    let metadata = metadata.as_object_mut().ok_or(SignError::NotAnObject)?;
    let timestamp = options.timestamp.map(|timestamp| timestamp.to_string());
    for (name, given) in [("timestamp", timestamp), ("nonce", options.nonce.clone())] {
        let Some(given) = given else { continue };
        let empty = |value: &Value| value.is_null() || *value == json!("");
        if options.refresh || metadata.get(name).is_none_or(empty) {
            metadata.insert(name.to_owned(), Value::String(given));
        }
    }
    Ok(())
}
