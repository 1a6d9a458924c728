//! Numbers and texts with their two canonical spellings, written down by hand.

use beacon_spec::{Profile, canonical_form};
use serde_json::{Value, json};

/// RFC 8785, appendix B: the bits of a double, and its spelling in JavaScript.
const NUMBERS: [(u64, &str); 24] = [
    (0x0000_0000_0000_0000, "0"),
    (0x8000_0000_0000_0000, "0"),
    (0x0000_0000_0000_0001, "5e-324"),
    (0x8000_0000_0000_0001, "-5e-324"),
    (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
    (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
    (0x4340_0000_0000_0000, "9007199254740992"),
    (0xc340_0000_0000_0000, "-9007199254740992"),
    (0x4430_0000_0000_0000, "295147905179352830000"),
    (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
    (0x44b5_2d02_c7e1_4af6, "1e+23"),
    (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
    (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
    (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
    (0x444b_1ae4_d6e2_ef50, "1e+21"),
    (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
    (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
    (0x41b3_de43_5555_5553, "333333333.3333332"),
    (0x41b3_de43_5555_5554, "333333333.33333325"),
    (0x41b3_de43_5555_5555, "333333333.3333333"),
    (0x41b3_de43_5555_5556, "333333333.3333334"),
    (0x41b3_de43_5555_5557, "333333333.33333343"),
    (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
    (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
];

/// A JSON text, its JCS form, and its Go form where that is another one.
const TEXTS: [(&str, &str, Option<&str>); 11] = [
    // RFC 8785, section 3.2.2 and 3.2.3.
    (
        r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
        None,
    ),
    (
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        Some(
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\",\"\u{1f600}\":\"Emoji: Grinning Face\"}",
        ),
    ),
    // The differences that signed jobs show.
    (
        "{\"a\":\"<b>&amp;</b>\u{2028}\u{2029}\",\"<\":\"\\b\\f\"}",
        "{\"<\":\"\\b\\f\",\"a\":\"<b>&amp;</b>\u{2028}\u{2029}\"}",
        Some(r#"{"\u003c":"\u0008\u000c","a":"\u003cb\u003e\u0026amp;\u003c/b\u003e\u2028\u2029"}"#),
    ),
    ("{\"a\":-0}", "{\"a\":0}", Some("{\"a\":-0}")),
    (
        " {\"b\" : [ 1.0 , 9007199254740993 , 600000000000 , 0.67 , 1e-7 , 1e21 ] , \"a\" : \"\" }\n",
        "{\"a\":\"\",\"b\":[1,9007199254740992,600000000000,0.67,1e-7,1e+21]}",
        None,
    ),
    ("{\"a\":{},\"b\":[],\"c\":null,\"d\":\"\"}", "{\"a\":{},\"b\":[],\"c\":null,\"d\":\"\"}", None),
    ("{\"a\":\"\\u007f\\u0080\\u00e9e\\u0301\"}", "{\"a\":\"\u{7f}\u{80}\u{e9}e\u{301}\"}", None),
    ("{\"b\":1,\"a\":1,\"B\":1,\"\":1,\"aa\":1}", "{\"\":1,\"B\":1,\"a\":1,\"aa\":1,\"b\":1}", None),
    ("[]", "[]", None),
    ("\"\\/\"", "\"/\"", None),
    ("18446744073709551616", "18446744073709552000", None),
];

/// The file; the run stops if the library spells anything otherwise.
pub(crate) fn file() -> Value {
    let numbers = NUMBERS.map(|(bits, jcs)| {
        let double = f64::from_bits(bits);
        let go = if double == 0.0 && double.is_sign_negative() { "-0" } else { jcs };
        spelled(&format!("{double:e}"), jcs, go);
        json!({ "bits": format!("{bits:016x}"), "jcs": jcs, "go": go })
    });
    let texts = TEXTS.map(|(text, jcs, go)| {
        let go = go.unwrap_or(jcs);
        spelled(text, jcs, go);
        json!({ "json": text, "jcs": jcs, "go": go })
    });
    json!({
        "about": "Canonical spellings: of doubles, by their bits (RFC 8785, appendix B; NaN and Infinity have no JSON), and of texts.",
        "numbers": numbers.as_slice(),
        "texts": texts.as_slice(),
    })
}

fn spelled(text: &str, jcs: &str, go: &str) {
    let form = canonical_form(text.as_bytes()).expect("it is JSON");
    assert_eq!(String::from_utf8(form).expect("JSON is text"), jcs, "{text}");
    // L4 leaves out nothing of these texts.
    let form = Profile::L4.signed_bytes(text.as_bytes()).expect("it is JSON");
    assert_eq!(String::from_utf8(form).expect("JSON is text"), go, "{text}");
}
