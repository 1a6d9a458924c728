//! Strict parsing: JSON that means one thing only, in bounded memory (P1, P4).

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

use crate::{
    VerifyError,
    limits::{MAX_DEPTH, MAX_JSON_VALUES},
    verify_error::quoted,
};

/// Parses UTF-8 JSON without duplicate keys, with nothing after the value, of bounded depth and count.
///
/// # Errors
/// [`VerifyError::InvalidJson`]: what is wrong, with line and column.
pub(crate) fn parse_strict(json: &[u8]) -> Result<Value, VerifyError> {
    parse(json).map_err(|error| VerifyError::InvalidJson(error.to_string()))
}

fn parse(json: &[u8]) -> Result<Value, serde_json::Error> {
    let left = Cell::new(MAX_JSON_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = Strict { depth: 0, left: &left }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Builds a value while refusing what is ambiguous.
#[derive(Clone, Copy)]
struct Strict<'c> {
    depth: usize,
    /// Values that may still come.
    left: &'c Cell<usize>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom(format_args!("more than {MAX_JSON_VALUES} values; split the job")));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            match object.entry(key) {
                Entry::Vacant(place) => place.insert(members.next_value_seed(inner)?),
                Entry::Occupied(place) => {
                    return Err(A::Error::custom(format_args!("duplicate key {}", quoted(place.key()))));
                }
            };
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: impl AsRef<[u8]>, reason: &str) {
        let json = json.as_ref();
        let error = parse_strict(json).unwrap_err().to_string();
        assert!(error.contains(reason), "{}: {error}", String::from_utf8_lossy(json));
    }

    // P4
    #[test]
    fn json_that_means_more_than_one_thing_is_refused_with_its_reason_and_place() {
        check(r#"{"a":{"b":1,"b":2}}"#, "duplicate key \"b\" at line 1 column 15");
        check(r#"{"a":1,"\u0061":2}"#, "duplicate key \"a\"");
        check("{} x", "trailing characters");
        check("[1,]", "trailing comma");
        check("01", "invalid number");
        check("NaN", "expected");
        check("1e400", "out of range");
        check("\u{feff}{}", "expected value");
        check(b"\"\xff\"", "unicode");
        check(r#""\ud800""#, "hex escape");
        check(r#""\ud800\u0041""#, "surrogate");
        check("\"\u{8}\"", "control character");
        check("", "EOF");
    }

    // P4
    #[test]
    fn depth_and_count_are_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let ones = |count: usize| format!("[{}]", vec!["1"; count].join(","));

        assert!(parse_strict(nested(MAX_DEPTH).as_bytes()).is_ok());
        check(nested(MAX_DEPTH + 1), "nested deeper than 64 levels");
        check(nested(100_000), "nested deeper than 64 levels");
        assert!(parse_strict(ones(MAX_JSON_VALUES - 1).as_bytes()).is_ok());
        check(ones(MAX_JSON_VALUES), "more than 250000 values");
    }

    #[test]
    fn a_long_key_is_cut_in_the_message() {
        let key = "k".repeat(10_000);

        let error = parse_strict(format!(r#"{{"{key}":1,"{key}":2}}"#).as_bytes()).unwrap_err();

        assert!(error.to_string().len() < 200, "{error}");
    }

    // P1: a build of serde_json with arbitrary precision would hand numbers over as objects.
    #[test]
    fn numbers_arrive_as_numbers() {
        let value = parse_strict(b"[1, -1, 0.5, 1e21, 18446744073709551616]").unwrap();

        assert!(value.as_array().unwrap().iter().all(Value::is_number), "{value}");
    }
}
