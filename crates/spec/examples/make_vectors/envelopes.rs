//! The two envelopes: the wrapper of older clients, and DSSE.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use beacon_spec::{PAYLOAD_TYPE, Profile, SignOptions, sign_text};
use serde_json::json;

use crate::{
    case::{Case, Expected, signed},
    contents::{bounded, job},
    keys::{STRANGER, TEST},
};

fn wrapped(members: &str) -> String {
    let inner = signed(Profile::Jcs, &bounded(r#","min_regions":1,"min_success_rate":0.67"#));
    format!(r#"{{"jobspec":{inner}{members},"enable_analysis":true}}"#)
}

fn sealed(payload: &str, payload_type: &str, signature: &str) -> String {
    let signature = json!({ "keyid": TEST.public(), "sig": signature });
    json!({ "payloadType": payload_type, "payload": STANDARD.encode(payload), "signatures": [signature] })
        .to_string()
}

fn pae(payload: &str, payload_type: &str) -> Vec<u8> {
    format!("DSSEv1 {} {payload_type} {} {payload}", payload_type.len(), payload.len()).into_bytes()
}

fn dsse(payload: &str) -> String {
    sealed(payload, PAYLOAD_TYPE, &TEST.sign_base64(&pae(payload, PAYLOAD_TYPE)))
}

/// Envelopes that hold.
pub(crate) fn accepted() -> Vec<Case> {
    let html = job(r#","note":"<&>\u2028 😀 \b","n":[1e21,-0,9007199254740993],"e":["",{},null]"#);
    let made = sign_text(job("").as_bytes(), &TEST.signing(), Profile::Dsse, &SignOptions::default());
    let made = made.expect("the job can run").bytes;
    let url_safe = dsse(&html).replace(&STANDARD.encode(&html), &URL_SAFE.encode(&html));
    assert_ne!(url_safe, dsse(&html), "the payload must show the difference");
    let p = |name, why, text: String| Case::good(name, Profile::Jcs, why, text);
    let d = |name, why, text: String| Case::good(name, Profile::Dsse, why, text);
    vec![
        p("wrapper/says-nothing", "The wrapper adds nothing.", wrapped("")),
        p(
            "wrapper/repeats",
            "It may repeat what was signed, in aliases and in another order.",
            wrapped(r#","target_regions":["eu-west","USA"],"min_regions":1,"min_success_rate":0.67"#),
        ),
        p("wrapper/zeros", "0 says nothing.", wrapped(r#","min_regions":0,"min_success_rate":0"#)),
        d(
            "DSSE/made-by-sign",
            "What `beacon sign --dsse` writes.",
            String::from_utf8(made).expect("JSON is text"),
        ),
        d(
            "DSSE/as-sent",
            "The payload's bytes are signed as sent, whitespace and all.",
            dsse(&format!(" {html}\n")),
        ),
        d("DSSE/url-safe", "The envelope may use the alphabet of URLs.", url_safe),
        d(
            "DSSE/unknown-members",
            "Members of the envelope that nobody knows are ignored.",
            dsse(&html).replacen('{', "{\"more\":1,", 1),
        ),
    ]
}

/// Envelopes that do not.
pub(crate) fn refused() -> Vec<Case> {
    [refused_wrappers(), refused_dsse()].concat()
}

fn refused_wrappers() -> Vec<Case> {
    let contradicts = "wrapper_contradicts";
    vec![
        Case::refused(
            "wrapper/other-regions",
            contradicts,
            "It asks for a region that was not signed.",
            wrapped(r#","target_regions":["US","ASIA"]"#),
        ),
        Case::refused(
            "wrapper/fewer-regions",
            contradicts,
            "It leaves out a region that was signed.",
            wrapped(r#","target_regions":["US"]"#),
        ),
        Case::refused(
            "wrapper/no-regions",
            contradicts,
            "It leaves out all regions.",
            wrapped(r#","target_regions":[]"#),
        ),
        Case::refused(
            "wrapper/other-minimum",
            contradicts,
            "Another minimum of regions.",
            wrapped(r#","min_regions":2"#),
        ),
        Case::refused(
            "wrapper/other-rate",
            contradicts,
            "Another success rate.",
            wrapped(r#","min_success_rate":0.5"#),
        ),
        Case::refused(
            "wrapper/regions-are-text",
            "invalid_field:target_regions",
            "Not a list.",
            wrapped(r#","target_regions":"US""#),
        ),
        Case::refused(
            "wrapper/unknown-region",
            "invalid_field:target_regions[0]",
            "No region of this name.",
            wrapped(r#","target_regions":["MARS"]"#),
        ),
        Case::refused(
            "wrapper/changed",
            "signature_mismatch",
            "The job within was changed.",
            wrapped("").replacen("math_basic", "identity_basic", 1),
        ),
        Case::refused("wrapper/empty", "invalid_field:job", "No job within.", r#"{"jobspec":5}"#),
    ]
}

fn refused_dsse() -> Vec<Case> {
    let text = job("");
    let other_type = "application/json";
    let twice = dsse(&text).replacen("\"signatures\":[", "\"signatures\":[{},", 1);
    let changed =
        dsse(&text).replacen(&STANDARD.encode(&text), &STANDARD.encode(text.replacen("math", "Math", 1)), 1);
    let raw = sealed(&text, PAYLOAD_TYPE, &TEST.sign_base64(text.as_bytes()));
    let typed = sealed(&text, other_type, &TEST.sign_base64(&pae(&text, other_type)));
    let relabelled = sealed(&text, PAYLOAD_TYPE, &TEST.sign_base64(&pae(&text, other_type)));
    let stranger = dsse(&text).replacen(&TEST.public(), &STRANGER.public(), 1);
    vec![
        Case::refused("DSSE/changed", "signature_mismatch", "The payload was changed.", changed),
        Case::refused("DSSE/without-pae", "signature_mismatch", "The payload alone was signed.", raw),
        Case::refused("DSSE/other-type", "invalid_field:payloadType", "A payload of another type.", typed),
        Case::refused("DSSE/relabelled", "signature_mismatch", "Signed as another type.", relabelled),
        Case::refused("DSSE/two-signatures", "invalid_field:signatures", "Exactly one.", twice),
        Case::refused(
            "DSSE/stranger",
            "trust_violation:unknown",
            "keyid is the key; this one is in no ring.",
            stranger,
        ),
        Case::refused(
            "DSSE/no-keyid",
            "invalid_field:signatures[0].keyid",
            "keyid is the key; it must be there.",
            dsse(&text).replacen("keyid", "kid", 1),
        ),
        Case::refused(
            "DSSE/not-base64",
            "invalid_field:payload",
            "No payload.",
            dsse(&text).replacen("\"payload\":\"", "\"payload\":\"#", 1),
        ),
        Case::refused(
            "DSSE/duplicate-key-within",
            "invalid_json",
            "The payload is strict JSON too; it is parsed after its signature held.",
            dsse(&text.replacen('{', "{\"id\":\"x\",", 1)),
        ),
        Case::new(
            "DSSE/wrapper-within",
            "A payload is a job, not an envelope.",
            dsse(r#"{"jobspec":{}}"#),
            Expected::cannot_run(Profile::Dsse, "missing_field:benchmark.name")
                .not_now("missing_field:metadata.timestamp"),
        ),
    ]
}
