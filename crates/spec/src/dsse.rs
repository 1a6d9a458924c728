//! The DSSE envelope: the payload's bytes are signed as sent, without a canonical form
//! (<https://github.com/secure-systems-lab/dsse>, protocol version 1).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::{Value, json};

use crate::{VerifyError, claimed::Claimed, field::Field, public_key::PublicKey};

/// The payload type of a job.
pub const PAYLOAD_TYPE: &str = "application/vnd.beacon.jobspec+json";

/// Opens an envelope with exactly one signature; `keyid` is the public key in padded base64. The payload is not parsed
/// before its signature holds.
pub(crate) fn open(envelope: &Value) -> Result<Claimed, VerifyError> {
    let text = |name: &'static str| envelope.get(name).and_then(Value::as_str);
    if text("payloadType") != Some(PAYLOAD_TYPE) {
        return Err(VerifyError::field("payloadType", format_args!("must be {PAYLOAD_TYPE}")));
    }
    let payload = text("payload").ok_or(VerifyError::MissingField("payload"))?;
    let payload = decode(payload).ok_or_else(|| VerifyError::field("payload", "must be padded base64"))?;
    let root = Field::root(envelope);
    let signatures = root.member("signatures")?;
    let mut listed = signatures.items(usize::MAX)?;
    let (Some(signature), None) = (listed.next(), listed.next()) else {
        return Err(signatures.invalid("must hold exactly one signature"));
    };
    let (keyid, sig) = (signature.member("keyid")?, signature.member("sig")?);
    let key = PublicKey::from_base64(keyid.text(usize::MAX)?.unwrap_or_default())
        .map_err(|reason| keyid.invalid(format_args!("{reason}; it is the public key that signed")))?;
    let bytes = decode(sig.text(usize::MAX)?.unwrap_or_default());
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| sig.invalid("must be 64 bytes in padded base64"))?;
    Ok(Claimed::payload(payload, key, bytes))
}

/// The envelope around a signed payload, as text.
pub(crate) fn seal(payload: &[u8], public_key: &str, signature: &str) -> Value {
    json!({
        "payloadType": PAYLOAD_TYPE,
        "payload": STANDARD.encode(payload),
        "signatures": [{ "keyid": public_key, "sig": signature }],
    })
}

/// PAE of the DSSE protocol, version 1: lengths in bytes, as decimal ASCII.
pub(crate) fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The envelope's format allows both alphabets of base64.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
