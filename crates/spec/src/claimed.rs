//! What an envelope claims: a job, a key and a signature, before anybody judged them.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    Profile, SignedSpec, VerifyError, dsse,
    field::Field,
    parse::parse_strict,
    profile::FORMS,
    public_key::{PublicKey, decode_signature},
};

/// A claim of a signature over a job.
pub(crate) struct Claimed {
    content: Content,
    pub(crate) key: PublicKey,
    pub(crate) signature: [u8; 64],
}

/// What was signed.
enum Content {
    /// A value that carries its own signature, perhaps within a wrapper.
    Value { job: Value, wrapper: Option<Value> },
    /// The payload of a DSSE envelope, not parsed yet.
    Payload(Vec<u8>),
}

impl Claimed {
    /// Opens the envelope, whichever it is: a bare signed job, a wrapper around one, or DSSE.
    pub(crate) fn open(signed: &SignedSpec) -> Result<Self, VerifyError> {
        let mut outer = parse_strict(&signed.bytes)?;
        // Unknown members are signed content (P1): what has a benchmark is a job, whatever else it has.
        let is_job = outer.get("benchmark").is_some();
        if !is_job && outer.get("payloadType").is_some() {
            return dsse::open(&outer);
        }
        let inner = if is_job { None } else { outer.get_mut("jobspec").map(Value::take) };
        let (job, wrapper) = match inner {
            Some(job) => (job, Some(outer)),
            None => (outer, None),
        };
        let (public_key, signature) = (text(&job, "public_key")?, text(&job, "signature")?);
        let key =
            PublicKey::from_base64(public_key).map_err(|reason| VerifyError::field("public_key", reason))?;
        let signature =
            decode_signature(signature).map_err(|reason| VerifyError::field("signature", reason))?;
        Ok(Self { content: Content::Value { job, wrapper }, key, signature })
    }

    /// A claim over a payload.
    pub(crate) const fn payload(payload: Vec<u8>, key: PublicKey, signature: [u8; 64]) -> Self {
        Self { content: Content::Payload(payload), key, signature }
    }

    /// The first form among those allowed in which the signature holds, and its bytes. Each form is made only when
    /// the one before it does not hold.
    pub(crate) fn held(&self, allowed: impl Fn(Profile) -> bool) -> Option<(Profile, Vec<u8>)> {
        let holds = |(_, bytes): &(Profile, Vec<u8>)| self.key.signed(bytes, &self.signature);
        match &self.content {
            Content::Payload(payload) => {
                let bytes = dsse::pre_authentication_encoding(payload);
                Some((Profile::Dsse, bytes)).filter(|(profile, _)| allowed(*profile)).filter(holds)
            }
            Content::Value { job, .. } => FORMS
                .into_iter()
                .filter(|(profile, _)| allowed(*profile))
                .map(|(profile, dialect)| (profile, profile.form(job, dialect)))
                .find(holds),
        }
    }

    /// The bytes that the default form signs.
    pub(crate) fn default_form(&self) -> Vec<u8> {
        match &self.content {
            Content::Payload(payload) => dsse::pre_authentication_encoding(payload),
            Content::Value { job, .. } => Profile::Jcs.form(job, Profile::Jcs.dialect()),
        }
    }

    /// The signed value. A payload is parsed only now.
    pub(crate) fn job(&self) -> Result<Cow<'_, Value>, VerifyError> {
        match &self.content {
            Content::Payload(payload) => parse_strict(payload).map(Cow::Owned),
            Content::Value { job, .. } => Ok(Cow::Borrowed(job)),
        }
    }

    /// The unsigned wrapper, to be held against the job.
    pub(crate) const fn wrapper(&self) -> Option<&Value> {
        match &self.content {
            Content::Value { wrapper, .. } => wrapper.as_ref(),
            Content::Payload(_) => None,
        }
    }
}

fn text<'a>(job: &'a Value, name: &'static str) -> Result<&'a str, VerifyError> {
    let text = Field::root(job).member(name)?.text(usize::MAX)?;
    text.ok_or(VerifyError::MissingField(name))
}
