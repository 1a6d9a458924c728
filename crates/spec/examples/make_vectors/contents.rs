//! Contents that tell one canonical form from another, signed under every profile.

use beacon_spec::Profile;

use crate::case::{Case, signed, signed_l4_javascript};

/// Most members of a job; the contents below put theirs before them.
pub(crate) const REST: &str = r#""version":"v1","benchmark":{"name":"vectors","input":{"hash":"sha256:none"}},"constraints":{"regions":["US","EU"],"min_regions":1,"min_success_rate":0.67,"timeout":600000000000},"created_at":"2026-11-24T11:58:00Z""#;
/// Metadata with models, time stamp and nonce.
pub(crate) const METADATA: &str =
    r#""models":["llama3.2-1b"],"timestamp":"2026-11-24T11:58:00Z","nonce":"VectorNonce-0123456789""#;

/// A job with these further members of `metadata`.
pub(crate) fn job(metadata: &str) -> String {
    format!(r#"{{"id":"vector","questions":["math_basic"],{REST},"metadata":{{{METADATA}{metadata}}}}}"#)
}

/// A job with these members in place of its questions, and the rest as it is.
pub(crate) fn asking(members: &str) -> String {
    format!(r#"{{"id":"vector",{members},{REST},"metadata":{{{METADATA}}}}}"#)
}

/// A job whose constraints have these further members.
pub(crate) fn bounded(constraints: &str) -> String {
    let text = job("");
    let constraints = format!(r#""constraints":{{"regions":["US","EU"]{constraints}}}"#);
    let (start, end) = (
        text.find("\"constraints\"").expect("it is there"),
        text.find(",\"created_at\"").expect("it is there"),
    );
    [&text[..start], &constraints, &text[end..]].concat()
}

/// Name, reason and text.
type Content = (&'static str, &'static str, String);

fn observable() -> Vec<Content> {
    vec![
        ("plain", "Nothing special: all forms differ only in the members that they leave out.", job("")),
        (
            "html",
            "Go escapes < > and &, in keys too; JavaScript does not.",
            job(r#","note":"a && b < c > d","<k&>":1"#),
        ),
        (
            "line-separators",
            "U+2028 and U+2029, raw and escaped; Go escapes them.",
            job(",\"raw\":\"\u{2028}\u{2029}\",\"escaped\":\"\\u2028\\u2029\""),
        ),
        (
            "controls",
            "Backspace and form feed are \\b and \\f in JavaScript, \\u0008 and \\u000c in Go.",
            job(
                r#","note":"\b\f\n\r\t\u0000\u001f\u001F\u007f","slash":"\/","letter":"\u0041","quote":"\"\\""#,
            ),
        ),
        (
            "scripts",
            "Emoji, CJK and combining marks stay raw; nothing is normalised to another Unicode form.",
            job(r#","note":"😀 台湾 é e\u0301 \ud83d\ude00 \ufb33""#),
        ),
        (
            "key-order",
            "U+FB33 sorts after U+1F600 by UTF-16 code units, before it by UTF-8 bytes.",
            job(
                ",\"\u{fb33}\":1,\"\u{1f600}\":2,\"\u{e9}\":3,\"z\":4,\"\":5,\"Z\":6,\"\\u0000\":7,\"\u{ffff}\":8",
            ),
        ),
        (
            "empties",
            "Empty texts, arrays, objects and nulls are signed content.",
            job(
                r#","text":"","array":[],"object":{},"null":null,"inner":[{"a":"","b":null,"c":{}},null,""]"#,
            ),
        ),
        (
            "numbers",
            "Numbers are doubles in their shortest form; -0 is 0 in JavaScript and -0 in Go.",
            job(
                r#","n":[1e21,1E20,1e-7,0.000001,-0,-0.0,0e9,600000000000,9007199254740993,-9007199254740993,18446744073709551616,0.67,1.0,1.10,5e-324,1.7976931348623157e308,333333333.33333329,123456789012345678901234567890]"#,
            ),
        ),
        (
            "unknown-members",
            "Members that nobody knows are signed at every level.",
            job(r#","x":{"y":[{"z":true}]}"#).replacen("\"name\":", "\"unknown\":{\"a\":1},\"name\":", 1),
        ),
        (
            "zero-rate",
            "P leaves out a success rate of 0; the older forms sign it.",
            bounded(r#","min_success_rate":0"#),
        ),
    ]
}

/// Signed under P only: what matters here is the job.
fn of_p() -> Vec<Content> {
    let all = r#""jobspec_id":"alias","runs":0,"wallet_auth":{"address":"0x0","signature":"0x0","message":"m","chainId":1,"nonce":"n","expiresAt":"2026-11-25T00:00:00Z"},"questions":["identity_basic"]"#;
    let container = r#""benchmark":{"version":"v1","description":"","container":{"image":"i","tag":"","command":["sh"],"environment":{"A":"b"},"resources":{"cpu":"1000m","memory":"2Gi","gpu":"t4"}},"scoring":{"method":"default","parameters":{}},"metadata":{},"#;
    let models = |models: &str| {
        format!(
            r#"{{"id":"vector","questions":["math_basic"],{REST},"metadata":{{"models":{models},"timestamp":"2026-11-24T11:58:00Z","nonce":"VectorNonce-0123456789"}}}}"#
        )
    };
    vec![
        ("zero-rate-as-double", "0.0 and -0 are 0.", bounded(r#","min_success_rate":-0.0"#)),
        (
            "zero-cost",
            "A cost cap, a minimum and a number of runs of 0 are signed, and mean what their absence means.",
            bounded(r#","max_cost":0,"min_regions":0,"timeout":0"#).replacen(
                "\"id\"",
                "\"runs\":0,\"id\"",
                1,
            ),
        ),
        ("small-cost", "A cap above 0 stays above 0.", bounded(r#","max_cost":0.0000001"#)),
        ("no-minima", "Absent minima are not written into the signed value.", bounded("")),
        (
            "every-member",
            "All members that older clients send; what is ignored is signed.",
            asking(all).replacen("\"benchmark\":{", container, 1),
        ),
        (
            "models-as-objects",
            "metadata.models as objects with their own regions; duplicates are joined.",
            models(
                r#"[{"id":"a","name":"A"},{"id":"b","regions":["ASIA"]},"a",{"id":"b","regions":["us-east","APAC"]}]"#,
            ),
        ),
        (
            "models-at-the-top",
            "models stands before metadata.models.",
            asking(
                r#""questions":["math_basic"],"models":[{"id":"m","name":"","provider":"hybrid","container_image":"","regions":["eu_west"]}]"#,
            ),
        ),
        (
            "questions-of-every-kind",
            "A catalogue id, a text, an id with a text, and duplicates.",
            asking(
                r#""questions":["math_basic","What is 2 + 3?",{"id":"mine","text":"Who & why?"},"What is 2 + 3?",{"id":"math_basic","text":"What is 2+2?"}]"#,
            ),
        ),
        (
            "prompt",
            "Without questions, the prompt is the question.",
            asking(r#""questions":[]"#).replacen(
                "\"hash\"",
                "\"data\":{\"prompt\":\"Why?\",\"max_tokens\":7},\"hash\"",
                1,
            ),
        ),
        (
            "no-id",
            "A job without id or created_at is named after its benchmark and its SHA-256.",
            job("").replacen("\"id\":\"vector\",", "", 1).replacen(
                ",\"created_at\":\"2026-11-24T11:58:00Z\"",
                "",
                1,
            ),
        ),
        (
            "large-whole-numbers",
            "A number is what its double is, whatever its spelling.",
            bounded(r#","timeout":6e11,"min_regions":2.0"#),
        ),
    ]
}

/// All of them, signed.
fn signed_cases() -> Vec<Case> {
    let older = [Profile::L1, Profile::L2, Profile::L3, Profile::L4];
    let mut cases = Vec::new();
    for (name, why, text) in observable() {
        cases.push(Case::good(format!("P/{name}"), Profile::Jcs, why, signed(Profile::Jcs, &text)));
        for profile in older {
            cases.push(Case::good(format!("{profile}/{name}"), profile, why, signed(profile, &text)));
        }
    }
    for (name, why, text) in of_p() {
        cases.push(Case::good(format!("P/{name}"), Profile::Jcs, why, signed(Profile::Jcs, &text)));
    }
    let html = job(r#","note":"a && b < c > d""#);
    let why = "Some browsers signed the whole job in JavaScript's escapes: L4 has two spellings.";
    cases.push(Case::good("L4/javascript-escapes", Profile::L4, why, signed_l4_javascript(&html)));
    cases
}

/// All of them, and what may change without breaking a signature.
pub(crate) fn cases() -> Vec<Case> {
    let text = signed(Profile::Jcs, &job(r#","note":"é""#));
    let mut cases = signed_cases();
    let mut free = |name: &str, why, text: String| {
        assert_ne!(text, signed(Profile::Jcs, &job(r#","note":"é""#)), "{name} changes nothing");
        cases.push(Case::good(format!("P/{name}"), Profile::Jcs, why, text));
    };
    free("id-changed", "P does not sign the id.", text.replacen("\"vector\"", "\"another\"", 1));
    free(
        "created-at-changed",
        "P does not sign created_at.",
        text.replacen("\"created_at\":\"2026", "\"created_at\":\"1999", 1),
    );
    free(
        "whitespace",
        "Whitespace outside texts is not signed.",
        format!("\r\n\t {} \n", text.replace("\",\"", "\" ,\n\"")),
    );
    free(
        "order",
        "The order of members is not signed.",
        text.replacen("{\"id\":\"vector\",", "{", 1).replacen(
            "\"version\":\"v1\",",
            "\"id\":\"vector\",\"version\":\"v1\",",
            1,
        ),
    );
    free(
        "spelling",
        "Escapes and spellings of a number are not signed.",
        text.replacen("0.67", "67E-2", 1).replace('é', "\\u00E9"),
    );
    cases
}
