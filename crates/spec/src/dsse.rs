//! The DSSE envelope: the payload's bytes are signed as sent, without a canonical form.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    VerifyError,
    canonical::parse_strict,
    keys::decode_key,
    verify::{Claimed, decode_signature},
};

/// The payload type of a job.
pub const PAYLOAD_TYPE: &str = "application/vnd.beacon.jobspec+json";

/// Opens an envelope with exactly one signature; `keyid` is the public key in padded base64.
pub(crate) fn open(envelope: &Value) -> Result<Claimed, VerifyError> {
    if envelope.get("payloadType").and_then(Value::as_str) != Some(PAYLOAD_TYPE) {
        return Err(VerifyError::field("payloadType", format_args!("must be {PAYLOAD_TYPE}")));
    }
    let payload =
        envelope.get("payload").and_then(Value::as_str).ok_or(VerifyError::MissingField("payload"))?;
    let payload = STANDARD.decode(payload).map_err(|error| VerifyError::field("payload", error))?;
    let signatures = envelope.get("signatures").and_then(Value::as_array);
    let Some([signature]) = signatures.map(Vec::as_slice) else {
        return Err(VerifyError::field("signatures", "must hold exactly one signature"));
    };
    let part = |name: &str| signature.get(name).and_then(Value::as_str).unwrap_or_default();
    let key = decode_key(part("keyid")).ok_or_else(|| {
        VerifyError::field("signatures[0].keyid", "must be the public key in padded base64")
    })?;
    let sig = decode_signature(part("sig"))
        .ok_or_else(|| VerifyError::field("signatures[0].sig", "must be 64 bytes in padded base64"))?;
    let value = parse_strict(&payload).map_err(|error| VerifyError::InvalidJson(error.to_string()))?;
    Ok(Claimed::dsse(value, key, sig, pre_authentication_encoding(&payload)))
}

/// PAE of the DSSE protocol, version 1.
pub(crate) fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}
