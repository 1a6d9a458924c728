//! Texts that are not strict JSON, and envelopes of no kind.

use beacon_spec::Profile;

use crate::{
    case::{Case, signed},
    contents::job,
};

/// All refused before any key is looked at.
pub(crate) fn refused() -> Vec<Case> {
    let good = signed(Profile::Jcs, &job(r#","note":"x""#));
    let with = |note: &str| good.replacen("\"x\"", note, 1);
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let mut bad_utf8 = with("\"#\"").into_bytes();
    let at = bad_utf8.windows(3).position(|three| three == b"\"#\"").expect("it is there");
    bad_utf8[at + 1] = 0xff;
    let invalid = |name: &str, why, spec: String| Case::refused(name, "invalid_json", why, spec);
    vec![
        invalid(
            "json/duplicate-key",
            "Which of the two was signed?",
            good.replacen("{\"id\"", "{\"id\":\"x\",\"id\"", 1),
        ),
        invalid("json/duplicate-key-within", "At any depth.", with(r#"{"a":1,"a":1}"#)),
        invalid(
            "json/duplicate-key-respelled",
            "An escape does not make another key.",
            with(r#"{"a":1,"\u0061":2}"#),
        ),
        invalid("json/too-deep", "65 levels: the job, its metadata, and 63 arrays.", with(&deep(63))),
        invalid("json/trailing-bytes", "Nothing may follow.", format!("{good}x")),
        invalid("json/two-values", "One value only.", format!("{good}{good}")),
        invalid("json/byte-order-mark", "JSON starts without one.", format!("\u{feff}{good}")),
        invalid("json/cut", "The end is missing.", good[..good.len() - 1].to_owned()),
        invalid("json/trailing-comma", "Not JSON.", with("[1,]")),
        invalid("json/comment", "Not JSON.", with("/* */1")),
        invalid("json/leading-zero", "Not JSON.", with("01")),
        invalid("json/nan", "Not JSON.", with("NaN")),
        invalid("json/infinite", "Not JSON.", with("-Infinity")),
        invalid("json/number-too-large", "No double.", with("1e400")),
        invalid("json/control-character", "A raw newline within a text.", with("\"\n\"")),
        invalid("json/lone-surrogate", "No Unicode text.", with(r#""\ud800""#)),
        invalid("json/reversed-surrogates", "No Unicode text.", with(r#""\udc00\ud800""#)),
        Case::refused("json/not-utf-8", "invalid_json", "The byte FF.", bad_utf8),
        Case::refused("json/empty", "empty", "Nothing at all.", ""),
        Case::refused("json/an-array", "invalid_field:job", "A job is an object.", "[]"),
        Case::refused("json/null", "missing_field:public_key", "Nothing in it.", "{}"),
        Case::good(
            "P/deepest",
            Profile::Jcs,
            "64 levels are allowed.",
            signed(Profile::Jcs, &job(&format!(",\"note\":{}", deep(62)))),
        ),
    ]
}
