//! The canonical bytes of a JSON value: RFC 8785 (JCS), and the Go form of older signers.

use serde_json::{Number, Value};

use crate::{VerifyError, parse::parse_strict};

/// How strings are escaped and keys are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 8785: JavaScript escapes, keys by UTF-16 code units.
    JavaScript,
    /// `encoding/json` before Go 1.22: `<>&` and U+2028/9 escaped, keys by UTF-8 bytes.
    Go,
}

/// The RFC 8785 form of a JSON text. It is its own canonical form.
///
/// # Errors
/// The text is not strict JSON (duplicate keys, depth, count, lone surrogates, trailing bytes).
pub fn canonical_form(json: &[u8]) -> Result<Vec<u8>, VerifyError> {
    Ok(canonicalize(&parse_strict(json)?, Dialect::JavaScript))
}

/// The canonical bytes of a value. Numbers are IEEE doubles, shortest form.
pub(crate) fn canonicalize(value: &Value, dialect: Dialect) -> Vec<u8> {
    let mut text = String::new();
    write_value(&mut text, value, dialect);
    text.into_bytes()
}

/// The canonical bytes of an object of these members.
pub(crate) fn canonicalize_members(members: Vec<(&str, &Value)>, dialect: Dialect) -> Vec<u8> {
    let mut text = String::new();
    write_members(&mut text, members, dialect);
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
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.as_str(), value)).collect();
            write_members(out, members, dialect);
        }
    }
}

fn write_members(out: &mut String, mut members: Vec<(&str, &Value)>, dialect: Dialect) {
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
    let mut written = 0;
    for (at, c) in text.char_indices() {
        let escape = match (c, dialect) {
            ('"', _) => "\\\"",
            ('\\', _) => "\\\\",
            ('\n', _) => "\\n",
            ('\r', _) => "\\r",
            ('\t', _) => "\\t",
            ('\u{8}', Dialect::JavaScript) => "\\b",
            ('\u{c}', Dialect::JavaScript) => "\\f",
            ('\0'..='\u{f}', _) => "\\u000",
            ('\u{10}'..='\u{1f}', _) => "\\u001",
            ('<', Dialect::Go) => "\\u003c",
            ('>', Dialect::Go) => "\\u003e",
            ('&', Dialect::Go) => "\\u0026",
            ('\u{2028}', Dialect::Go) => "\\u2028",
            ('\u{2029}', Dialect::Go) => "\\u2029",
            _ => continue,
        };
        out.push_str(&text[written..at]);
        written = at + c.len_utf8();
        out.push_str(escape);
        // The two escapes of five characters still lack their last digit.
        if escape.len() == "\\u000".len() {
            out.push(char::from_digit(c as u32 % 16, 16).expect("it is below 16"));
        }
    }
    out.push_str(&text[written..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(text: &str) -> String {
        String::from_utf8(canonicalize(&Value::from(text), Dialect::Go)).unwrap()
    }

    // P2. The numbers, escapes and orders are in tests/vectors/canonical.json; here is what JSON texts cannot show.
    #[test]
    fn every_control_character_is_escaped_and_nothing_else() {
        for code in 0..=0x2030 {
            let Some(c) = char::from_u32(code) else { continue };
            let text = String::from(c);
            let written = String::from_utf8(canonicalize(&Value::from(&*text), Dialect::JavaScript)).unwrap();

            let raw = written == format!("\"{c}\"");
            assert_eq!(raw, !(code < 0x20 || c == '"' || c == '\\'), "{code:#x}");
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text, "{code:#x}");
            assert_eq!(serde_json::from_str::<String>(&go(&text)).unwrap(), text, "{code:#x}");
        }
    }

    #[test]
    fn the_go_form_escapes_html_and_line_separators() {
        assert_eq!(
            go("<&>\u{2028}\u{2029}\u{8}\u{c}\n\u{7f}é"),
            "\"\\u003c\\u0026\\u003e\\u2028\\u2029\\u0008\\u000c\\n\u{7f}é\""
        );
    }
}
