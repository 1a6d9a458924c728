//! Looking at a signed spec without running it: what holds, in which form, over which bytes (P7).

use crate::{
    KeyId, KeySource, Profile, Sha256Digest, SignedSpec, Timestamp, VerifyError,
    claimed::Claimed,
    normalise,
    verify::{may_use, trusted},
    wrapper,
};

/// What an inspection found.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// `good`, or the code of the first thing that does not hold.
    pub verdict: String,
    /// The same for people, with what to do.
    pub explanation: String,
    /// Why a job whose signature is good still cannot run here, if so (a missing question or model, a limit).
    pub cannot_run: Option<VerifyError>,
    /// The form under which the signature holds.
    pub profile: Option<Profile>,
    /// The ring's id of the key, if the ring has it.
    pub key: Option<KeyId>,
    /// The canonical bytes: of that form, else of the default one. Empty if there are none.
    pub canonical: Vec<u8>,
    /// Their SHA-256.
    pub canonical_sha256: Sha256Digest,
}

/// Inspects a spec as [`verify`](crate::verify) does, but tries every form, so that it can name the one in which a
/// signature holds. The age is not judged.
#[must_use]
pub fn inspect(signed: &SignedSpec, keys: &dyn KeySource, now: Timestamp) -> Inspection {
    let claimed = match Claimed::open(signed) {
        Ok(claimed) => claimed,
        Err(error) => return Inspection::new(&Err(error), None, Vec::new()),
    };
    let trust = trusted(&claimed, keys, now);
    let allowed = |profile: Profile| trust.as_ref().map_or(profile.is_default(), |key| may_use(key, profile));
    let held = claimed.held(allowed).or_else(|| claimed.held(|profile| !allowed(profile)));
    let profile = held.as_ref().map(|(profile, _)| *profile);
    let signature = match profile {
        None => Err(VerifyError::SignatureMismatch),
        Some(profile) if allowed(profile) => Ok(()),
        Some(profile) => Err(VerifyError::ProfileNotAllowed(profile)),
    };
    let judged = trust.as_ref().map_err(Clone::clone).and(signature);
    let (runs, judged) = match judged.and_then(|()| contradiction(&claimed, signed)) {
        Ok(cannot_run) => (cannot_run, Ok(())),
        Err(error) => (None, Err(error)),
    };
    let canonical = held.map_or_else(|| claimed.default_form(), |(_, canonical)| canonical);
    let key = keys.key(claimed.key.bytes()).map(|key| key.kid);
    let mut inspection = Inspection { cannot_run: runs, key, ..Inspection::new(&judged, profile, canonical) };
    if trust.is_err() && profile.is_none() {
        inspection.explanation.push_str("; the signature does not hold either");
    }
    inspection
}

/// Whether the job can run, if it is a job and its wrapper does not contradict it.
fn contradiction(claimed: &Claimed, signed: &SignedSpec) -> Result<Option<VerifyError>, VerifyError> {
    let job = claimed.job()?;
    let spec = match normalise::job(&job, Sha256Digest::of(&signed.bytes)) {
        Ok(spec) => spec,
        Err(cannot_run) => return Ok(Some(cannot_run)),
    };
    match claimed.wrapper() {
        Some(wrapper) => wrapper::agrees(wrapper, &job, &spec).map(|()| None),
        None => Ok(None),
    }
}

impl Inspection {
    fn new(judged: &Result<(), VerifyError>, profile: Option<Profile>, canonical: Vec<u8>) -> Self {
        let (verdict, explanation) = match judged {
            Ok(()) => ("good".to_owned(), "the signature holds and the key is trusted".to_owned()),
            Err(error) => (error.code().into_owned(), error.to_string()),
        };
        let canonical_sha256 = Sha256Digest::of(&canonical);
        Self { verdict, explanation, cannot_run: None, profile, key: None, canonical, canonical_sha256 }
    }
}
