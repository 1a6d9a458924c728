//! Answers as JSON objects, and what to say of a body that is none (C5, C7).

use beacon_domain::{CallError, ErrorCode, Stage};
use beacon_spec::Timestamp;
use serde_json::{Map, Value, error::Category};

/// Reads the body of an answer.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, CallError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed("the answer is JSON, but no object")),
        Err(error) => Err(malformed(&complaint(body, &error))),
    }
}

fn complaint(body: &[u8], error: &serde_json::Error) -> String {
    match body.trim_ascii_start() {
        [] => "the answer is empty".to_owned(),
        [b'<', ..] => "the answer is HTML or XML, not JSON; check inference_url".to_owned(),
        // RFC 1952 section 2.3.1.
        [0x1f, 0x8b, ..] => "the answer is compressed, which was not asked for".to_owned(),
        _ if error.classify() == Category::Eof => {
            format!("the answer is JSON that breaks off after {} bytes", body.len())
        }
        _ => format!("the answer is not JSON (line {}, column {})", error.line(), error.column()),
    }
}

/// A time in unix seconds with a fraction; `None` for anything else.
pub(crate) fn unix_time(value: &Value) -> Option<Timestamp> {
    let micros = value.as_f64()? * 1e6;
    Timestamp::from_microsecond(micros as i64).ok().filter(|_| micros.is_finite())
}

/// An answer that breaks the protocol.
pub(crate) fn malformed(message: &str) -> CallError {
    in_answer(ErrorCode::MalformedAnswer, message)
}

/// An error that was found in the body of an HTTP 200.
pub(crate) fn in_answer(code: ErrorCode, message: &str) -> CallError {
    let mut error = CallError::new(code, Stage::Body, message);
    error.http_status = Some(200);
    error
}

/// The answer is from another model than asked (C6).
pub(crate) fn model_mismatch(asked: &str, found: &str) -> CallError {
    let message =
        format!("asked {asked}, the answer is from {found}; set upstream_model if that is its name there");
    CallError::new(ErrorCode::ModelMismatch, Stage::Check, message)
}

#[cfg(test)]
pub(crate) mod arbitrary {
    //! Objects with the right names and anything in them, for tests that no answer makes a decoder panic.

    use proptest::prelude::*;
    use serde_json::{Map, Value};

    /// An object that may have each of these fields, at any depth up to four.
    pub(crate) fn object(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            prop::sample::select(&["success", "error", "text", "m", "eu", ""][..]).prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), map(fields, inner)]
        });
        map(fields, value)
    }

    fn map(
        fields: &'static [&'static str],
        value: impl Strategy<Value = Value>,
    ) -> impl Strategy<Value = Value> {
        let pair = (prop::sample::select(fields), value);
        prop::collection::vec(pair, 0..8).prop_map(|pairs| {
            Value::Object(
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
            )
        })
    }
}
