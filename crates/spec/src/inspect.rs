//! Looking at a signed spec without running it: what holds, in which form, over which bytes (P7).

use crate::{
    KeySource, Profile, Sha256Digest, SignedSpec, Timestamp, VerifyError,
    verify::{Claimed, claimed, matching_form, trusted},
};

/// What an inspection found.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// `good`, or the code of what does not hold.
    pub verdict: String,
    /// The same for people, with what to do.
    pub explanation: String,
    /// Why a job whose signature is good still cannot run here, if so (a missing question or model, a limit).
    pub cannot_run: Option<String>,
    /// The form under which the signature holds.
    pub profile: Option<Profile>,
    /// The canonical bytes: of that form, else of the default one. Empty if there are none.
    pub canonical: Vec<u8>,
    /// Their SHA-256.
    pub canonical_sha256: Sha256Digest,
}

/// Inspects a spec, its key and its signature. The age is not judged.
#[must_use]
pub fn inspect(signed: &SignedSpec, keys: &dyn KeySource, now: Timestamp) -> Inspection {
    let claimed = match claimed(signed) {
        Ok(claimed) => claimed,
        Err(error) => return found(None, &[], Err(error)),
    };
    let (profile, canonical) = match matching_form(&claimed) {
        Ok((profile, canonical)) => (profile, canonical),
        Err(error) => {
            let canonical = claimed.forms.first().map_or(&[][..], |(_, bytes)| bytes);
            return found(None, canonical, Err(error));
        }
    };
    let inspection = found(Some(profile), canonical, judged(&claimed, profile, keys, now));
    let cannot_run = crate::normalise::job(&claimed.value).err().map(|error| error.to_string());
    Inspection { cannot_run, ..inspection }
}

fn judged(
    claimed: &Claimed,
    profile: Profile,
    keys: &dyn KeySource,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let key = keys.key(&claimed.public_key).ok_or(VerifyError::Trust(crate::Trust::Unknown))?;
    trusted(&key, now)?;
    if matches!(profile, Profile::Jcs | Profile::Dsse) || key.profiles.contains(&profile) {
        Ok(())
    } else {
        Err(VerifyError::ProfileNotAllowed(profile))
    }
}

fn found(profile: Option<Profile>, canonical: &[u8], judged: Result<(), VerifyError>) -> Inspection {
    let (verdict, explanation) = match judged {
        Ok(()) => ("good".to_owned(), "the signature holds and the key is trusted".to_owned()),
        Err(error) => (error.code().into_owned(), error.to_string()),
    };
    Inspection {
        verdict,
        explanation,
        cannot_run: None,
        profile,
        canonical: canonical.to_vec(),
        canonical_sha256: Sha256Digest::of(canonical),
    }
}
