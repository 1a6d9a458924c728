//! Strict parsing, and the canonical bytes that are signed: RFC 8785 (JCS), and the Go form of older signers.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting accepted.
pub const MAX_DEPTH: usize = 64;

/// How strings are escaped and keys are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 8785: JavaScript escapes, keys by UTF-16 code units.
    JavaScript,
    /// `encoding/json` before Go 1.22: `<>&` and U+2028/9 escaped, keys by UTF-8 bytes.
    Go,
}

/// Parses JSON that means one thing only: UTF-8, no duplicate keys, nothing after the value, bounded depth.
///
/// # Errors
/// What is wrong, with line and column.
pub(crate) fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The canonical bytes of a value. Numbers are IEEE doubles, shortest form.
pub(crate) fn canonicalize(value: &Value, dialect: Dialect) -> Vec<u8> {
    let mut text = String::new();
    write_value(&mut text, value, dialect);
    text.into_bytes()
}

fn write_value(out: &mut String, value: &Value, dialect: Dialect) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number, dialect),
        Value::String(text) => write_string(out, text, dialect),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, item, dialect);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(out, members, dialect),
    }
}

fn write_object(out: &mut String, members: &Map<String, Value>, dialect: Dialect) {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    match dialect {
        Dialect::JavaScript => members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16())),
        Dialect::Go => members.sort_by_key(|(key, _)| key.as_bytes()),
    }
    out.push('{');
    for (i, (key, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(out, key, dialect);
        out.push(':');
        write_value(out, value, dialect);
    }
    out.push('}');
}

fn write_number(out: &mut String, number: &Number, dialect: Dialect) {
    let double = number.as_f64().expect("without arbitrary precision every number is a double");
    if dialect == Dialect::Go && double == 0.0 && double.is_sign_negative() {
        out.push_str("-0");
    } else {
        out.push_str(ryu_js::Buffer::new().format_finite(double));
    }
}

fn write_string(out: &mut String, text: &str, dialect: Dialect) {
    out.push('"');
    for c in text.chars() {
        match (c, dialect) {
            ('"', _) => out.push_str("\\\""),
            ('\\', _) => out.push_str("\\\\"),
            ('\n', _) => out.push_str("\\n"),
            ('\r', _) => out.push_str("\\r"),
            ('\t', _) => out.push_str("\\t"),
            ('\u{8}', Dialect::JavaScript) => out.push_str("\\b"),
            ('\u{c}', Dialect::JavaScript) => out.push_str("\\f"),
            ('\0'..='\u{1f}', _) | ('<' | '>' | '&' | '\u{2028}' | '\u{2029}', Dialect::Go) => {
                write!(out, "\\u{:04x}", c as u32).expect("writing to a string cannot fail");
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Builds a value while refusing what is ambiguous.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
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
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jcs(json: &str) -> String {
        String::from_utf8(canonicalize(&parse_strict(json.as_bytes()).unwrap(), Dialect::JavaScript)).unwrap()
    }

    // P2: the number samples of RFC 8785, appendix B, and its sorting sample.
    #[test]
    fn numbers_take_their_shortest_javascript_form() {
        let cases = [
            ("333333333.33333329", "333333333.3333333"),
            ("1E30", "1e+30"),
            ("4.50", "4.5"),
            ("2e-3", "0.002"),
            ("0.000000000000000000000000001", "1e-27"),
            ("-0", "0"),
            ("600000000000", "600000000000"),
            ("9007199254740993", "9007199254740992"),
        ];
        for (json, expected) in cases {
            assert_eq!(jcs(json), expected, "{json}");
        }
    }

    #[test]
    fn keys_are_sorted_by_utf_16_code_units() {
        let sorted = jcs("{\"\u{fb33}\":1,\"\u{1f600}\":2,\"a\":3}");

        assert_eq!(sorted, "{\"a\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn the_go_form_escapes_html_and_line_separators() {
        let value = parse_strict("\"<&>\u{2028}\u{8}\"".as_bytes());

        assert!(value.is_err(), "a raw control character is not JSON");
        let value = Value::String("<&>\u{2028}\u{8}".to_owned());
        assert_eq!(canonicalize(&value, Dialect::Go), br#""\u003c\u0026\u003e\u2028\u0008""#);
    }

    // P4
    #[test]
    fn duplicate_keys_depth_and_trailing_bytes_are_refused() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for (json, reason) in
            [(r#"{"a":{"b":1,"b":2}}"#, "duplicate key"), (&*deep, "nested"), ("{} x", "trailing")]
        {
            let error = parse_strict(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own_canonical_form(text in ".{0,40}", number in any::<f64>(), key in ".{0,10}") {
            prop_assume!(number.is_finite());
            let value = serde_json::json!({ key: [text, number] });
            let once = canonicalize(&value, Dialect::JavaScript);
            let again = canonicalize(&parse_strict(&once).unwrap(), Dialect::JavaScript);
            prop_assert_eq!(once, again);
        }

        #[test]
        fn the_parser_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_strict(&bytes);
        }
    }
}
