//! Changed jobs, keys that may not sign, signatures that do not hold, and jobs out of time.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE},
};
use beacon_spec::Profile;
use curve25519_dalek::Scalar;
use sha2::{Digest as _, Sha512};

use crate::{
    case::{Case, Expected, signed, signed_by, with_signature},
    contents::{bounded, job},
    keys::{EARLY, EXPIRED, REVOKED, STRANGER, TEST},
};

const MISMATCH: &str = "signature_mismatch";

fn good(note: &str) -> String {
    signed(Profile::Jcs, &job(&format!(",\"note\":{note}")))
}

/// Every change of signed content is seen.
pub(crate) fn changed() -> Vec<Case> {
    let text = good(r#"["a","b",{"c":"","d":null,"e":{},"f":[]}]"#);
    let changed = |name: &str, why, from: &str, to: &str| {
        assert!(text.contains(from), "{name}: {from}");
        Case::refused(name, MISMATCH, why, text.replacen(from, to, 1))
    };
    let l3 = signed(Profile::L3, &job(""));
    let l4 = signed(Profile::L4, &job(""));
    vec![
        changed("changed/one-byte", "One byte of a text.", "math_basic", "math_basiC"),
        changed("changed/region", "A region.", "\"EU\"", "\"ASIA\""),
        changed("changed/order-of-an-array", "Arrays have an order.", "[\"a\",\"b\"", "[\"b\",\"a\""),
        changed("changed/number", "A number.", "600000000000", "600000000001"),
        changed("changed/number-to-text", "A number is no text.", "600000000000", "\"600000000000\""),
        changed("changed/null-left-out", "A null is signed.", ",\"d\":null", ""),
        changed("changed/empty-text-left-out", "An empty text is signed.", "\"c\":\"\",", ""),
        changed("changed/empty-object-left-out", "An empty object is signed.", ",\"e\":{}", ""),
        changed(
            "changed/unknown-member-added",
            "An unknown member is signed.",
            "\"note\"",
            "\"more\":1,\"note\"",
        ),
        changed("changed/success-rate", "A success rate other than 0 is signed.", "0.67", "0.5"),
        changed("changed/success-rate-to-zero", "P leaves out 0, but 0.67 was signed.", "0.67", "0"),
        changed("changed/unicode-form", "Another Unicode form is another text.", "\"a\"", "\"a\u{301}\""),
        Case::refused(
            "changed/id-under-L3",
            MISMATCH,
            "L3 signs the id.",
            l3.replacen("\"vector\"", "\"other\"", 1),
        )
        .with_ring("older"),
        Case::refused(
            "changed/created-at-under-L4",
            MISMATCH,
            "L4 signs created_at.",
            l4.replacen("T11:58", "T11:57", 1),
        )
        .with_ring("older"),
        Case::refused(
            "changed/rewritten-by-a-struct",
            MISMATCH,
            "A server that decodes, drops what is empty and encodes again breaks the signature.",
            text.replacen(",{\"c\":\"\",\"d\":null,\"e\":{},\"f\":[]}", ",{\"f\":[]}", 1),
        ),
    ]
}

/// Keys that may not sign.
pub(crate) fn trust() -> Vec<Case> {
    let of = |key| signed_by(key, Profile::Jcs, &job(""));
    let policies = |name: &str, code, why, key| Case::refused(name, code, why, of(key)).with_ring("policies");
    vec![
        Case::refused("key/unknown", "trust_violation:unknown", "The key is in no ring.", of(STRANGER)),
        policies("key/revoked", "trust_violation:revoked", "The ring revoked it.", REVOKED),
        policies("key/expired", "trust_violation:expired", "Its not_after has passed.", EXPIRED),
        policies("key/not-yet-valid", "trust_violation:not_yet_valid", "Its not_before has not come.", EARLY),
        Case::refused(
            "key/of-another",
            MISMATCH,
            "The signature is another key's.",
            of(STRANGER).replacen(&STRANGER.public(), &TEST.public(), 1),
        ),
    ]
}

/// Keys that are none.
pub(crate) fn keys() -> Vec<Case> {
    let by_test = good("0");
    let with_key = |key: &str| by_test.replacen(&TEST.public(), key, 1);
    let anybody = |key: [u8; 32]| {
        // The neutral point as R and 0 as S hold over any message under a key of order 1.
        let mut signature = [0; 64];
        signature[0] = 1;
        with_signature(&job(""), &STANDARD.encode(key), &STANDARD.encode(signature))
    };
    let point = |first: u8, last: u8, middle: u8| {
        let mut key = [middle; 32];
        (key[0], key[31]) = (first, last);
        key
    };
    let cases = [
        (
            "key/of-order-1",
            "invalid_field:public_key",
            "Under the neutral point anybody can sign anything.",
            anybody(point(1, 0, 0)),
        ),
        (
            "key/of-order-1-respelled",
            "invalid_field:public_key",
            "The neutral point with y = p + 1.",
            anybody(point(0xee, 0x7f, 0xff)),
        ),
        ("key/of-order-2", "invalid_field:public_key", "y = -1.", anybody(point(0xec, 0x7f, 0xff))),
        ("key/of-order-4", "invalid_field:public_key", "y = 0.", anybody([0; 32])),
        (
            "key/respelled",
            "invalid_field:public_key",
            "A point of large order has one spelling; here is y + p for y = 3.",
            with_key(&STANDARD.encode(point(0xf0, 0x7f, 0xff))),
        ),
        (
            "key/no-point",
            "invalid_field:public_key",
            "No x belongs to y = 2.",
            with_key(&STANDARD.encode(point(2, 0, 0))),
        ),
        ("key/too-short", "invalid_field:public_key", "31 bytes.", with_key(&STANDARD.encode([1; 31]))),
        (
            "key/not-padded",
            "invalid_field:public_key",
            "Base64 without its padding.",
            with_key(TEST.public().trim_end_matches('=')),
        ),
        (
            "key/trailing-bits",
            "invalid_field:public_key",
            "The last bits before the padding are not 0.",
            with_key(&TEST.public().replace("I=", "J=")),
        ),
        (
            "key/with-a-space",
            "invalid_field:public_key",
            "White space within base64.",
            with_key(&format!(" {}", TEST.public())),
        ),
        (
            "key/a-number",
            "invalid_field:public_key",
            "Not a text.",
            by_test.replacen(&format!("\"{}\"", TEST.public()), "5", 1),
        ),
        (
            "key/missing",
            "missing_field:public_key",
            "Without a key nobody signed.",
            by_test.replacen("public_key", "publicKey", 1),
        ),
        ("key/empty", "missing_field:public_key", "An empty key is none.", with_key("")),
        (
            "key/null",
            "missing_field:public_key",
            "A null is none.",
            by_test.replacen(&format!("\"{}\"", TEST.public()), "null", 1),
        ),
    ];
    cases.into_iter().map(|(name, code, why, spec)| Case::refused(name, code, why, spec)).collect()
}

/// Signatures that a lax verifier might take.
pub(crate) fn signatures() -> Vec<Case> {
    let text = job("");
    let bytes = Profile::Jcs.signed_bytes(text.as_bytes()).expect("the texts are JSON");
    let signature = TEST.sign(&bytes);
    let with = |signature: &str| with_signature(&text, &TEST.public(), signature);
    let raw = |signature: [u8; 64]| with(&STANDARD.encode(signature));
    let mut other_r = signature;
    other_r[0] ^= 1;
    let format = "invalid_field:signature";
    let mut cases: Vec<Case> = [
        (
            "signature/missing",
            "missing_field:signature",
            "Without a signature nobody signed.",
            raw(signature).replacen("\"signature\"", "\"sig\"", 1),
        ),
        ("signature/empty", "missing_field:signature", "An empty signature is none.", with("")),
        (
            "signature/not-padded",
            format,
            "Base64 without its padding.",
            with(&STANDARD_NO_PAD.encode(signature)),
        ),
        (
            "signature/url-safe",
            format,
            "The alphabet of URLs is for DSSE only.",
            with(&URL_SAFE.encode([0xff; 64])),
        ),
        ("signature/too-long", format, "65 bytes.", with(&STANDARD.encode([&signature[..], &[0]].concat()))),
        (
            "signature/s-too-large",
            MISMATCH,
            "S + L holds under the bare equation; S must be below L.",
            raw(plus_order(signature)),
        ),
        (
            "signature/small-r",
            MISMATCH,
            "R is the neutral point; the bare equation holds, made with the secret key.",
            raw(small_r(&bytes)),
        ),
        ("signature/other-r", MISMATCH, "One bit of R.", raw(other_r)),
        ("signature/zero", MISMATCH, "64 zero bytes.", raw([0; 64])),
        (
            "signature/of-the-whole-text",
            MISMATCH,
            "Signed is the canonical form, not the text.",
            raw(TEST.sign(text.as_bytes())),
        ),
        (
            "signature/with-a-newline",
            MISMATCH,
            "The canonical form ends without a newline.",
            raw(TEST.sign(&[&bytes[..], b"\n"].concat())),
        ),
    ]
    .into_iter()
    .map(|(name, code, why, spec)| Case::refused(name, code, why, spec))
    .collect();
    for profile in [Profile::L1, Profile::L2, Profile::L3, Profile::L4] {
        let name = format!("profile/{profile}-not-allowed");
        let why =
            "The key may use P and DSSE only; a service, which tries nothing else, says signature_mismatch.";
        cases.push(Case::refused(&name, "profile_not_allowed", why, signed(profile, &text)));
    }
    cases
}

/// S + L, little-endian (RFC 8032, section 5.1.7).
fn plus_order(mut signature: [u8; 64]) -> [u8; 64] {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    signature
}

/// R = 1 and S = H(R, A, M) · a: only the owner of the key can make it, and a strict verifier refuses it.
fn small_r(message: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[0] = 1;
    let key = ed25519_dalek::SigningKey::from_bytes(&[TEST.0; 32]);
    let hash =
        Sha512::new().chain_update(&signature[..32]).chain_update(key.verifying_key()).chain_update(message);
    let hash: [u8; 64] = hash.finalize().into();
    let s = Scalar::from_bytes_mod_order_wide(&hash) * key.to_scalar();
    signature[32..].copy_from_slice(&s.to_bytes());
    signature
}

/// Good signatures that a service refuses, or that come without what a service needs.
pub(crate) fn stamps() -> Vec<Case> {
    let text = job("");
    let at = |time: &str| {
        signed(
            Profile::Jcs,
            &text.replacen("\"timestamp\":\"2026-11-24T11:58:00Z\"", &format!("\"timestamp\":\"{time}\""), 1),
        )
    };
    let without =
        |member: &str| signed(Profile::Jcs, &text.replacen(&format!("\"{member}\""), "\"other\"", 1));
    let not_now = |name: &str, code, why, spec: String| {
        Case::new(name, why, spec, Expected::good(Profile::Jcs).not_now(code))
    };
    let too_old = "timestamp_invalid:too_old";
    let too_early = "timestamp_invalid:too_far_in_future";
    vec![
        Case::good("time/oldest", Profile::Jcs, "Just within the window.", at("2026-11-24T11:50:00Z")),
        not_now("time/too-old", too_old, "A second older than the window.", at("2026-11-24T11:49:59Z")),
        Case::good("time/newest", Profile::Jcs, "Just within the skew.", at("2026-11-24T12:05:00Z")),
        not_now("time/too-early", too_early, "A second beyond the skew.", at("2026-11-24T12:05:01Z")),
        Case::good(
            "time/with-offset",
            Profile::Jcs,
            "The same time in another zone.",
            at("2026-11-24T13:58:00.250+02:00"),
        ),
        not_now(
            "time/missing",
            "missing_field:metadata.timestamp",
            "A service needs a time stamp.",
            without("timestamp"),
        ),
        not_now(
            "time/no-nonce",
            "missing_field:metadata.nonce",
            "A service needs a nonce.",
            without("nonce"),
        ),
        Case::new(
            "time/no-time",
            "A time stamp that is none.",
            at("yesterday"),
            Expected::cannot_run(Profile::Jcs, "invalid_field:metadata.timestamp"),
        ),
        Case::new(
            "time/old-and-over-a-limit",
            "The window is judged before the limits.",
            signed(
                Profile::Jcs,
                &bounded(r#","min_regions":17"#).replacen("T11:58:00Z\",\"nonce", "T10:00:00Z\",\"nonce", 1),
            ),
            Expected::cannot_run(Profile::Jcs, "invalid_field:constraints.min_regions").not_now(too_old),
        ),
    ]
}
