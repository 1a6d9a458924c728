//! What holds for every input: no panic, one canonical form, and no change of signed content that goes unseen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use beacon_spec::{
    Freshness, JobSpec, KeyRing, Profile, SignOptions, SignedSpec, SigningKey, Timestamp, VerifiedSpec,
    VerifyError, canonical_form, inspect, sign_text, verify,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value, json};

/// The test key: never trust it.
fn key() -> SigningKey {
    SigningKey::from_seed([0x42; 32])
}

fn ring() -> KeyRing {
    let profiles = json!(["L1", "L2", "L3", "L4"]);
    let ring = json!([{ "kid": "test", "public_key": key().public_key_base64(), "profiles": profiles, "example": true }]);
    KeyRing::parse(ring.to_string().as_bytes()).unwrap()
}

fn verified(bytes: &[u8], ring: &KeyRing) -> Result<VerifiedSpec, VerifyError> {
    verify(SignedSpec::new(bytes)?, ring, Timestamp::UNIX_EPOCH, Freshness::NotedOnly)
}

/// A job that uses what the forms treat differently; compact, with one spelling of everything.
fn job() -> Value {
    json!({
        "id": "flip", "version": "v1", "benchmark": { "name": "bits" }, "created_at": "2026-11-24T11:58:00Z",
        "questions": ["math_basic", { "id": "mine", "text": "a < b & c" }], "runs": 2,
        "models": [{ "id": "m", "regions": ["US", "EU"] }],
        "constraints": { "regions": ["US"], "min_regions": 1, "min_success_rate": 0.5, "timeout": 600_000_000_000_u64 },
        "metadata": { "nonce": "n", "empty": "", "null": null, "list": [[], {}] },
    })
}

fn signed(job: &Value, profile: Profile) -> Vec<u8> {
    sign_text(job.to_string().as_bytes(), &key(), profile, &SignOptions::default()).unwrap().bytes
}

/// A signed job without whitespace, so that what is unsigned can be counted byte by byte.
fn compact(profile: Profile) -> Vec<u8> {
    let value: Value = serde_json::from_slice(&signed(&job(), profile)).unwrap();
    value.to_string().into_bytes()
}

/// The job but for its name, which P, L1 and L2 do not sign.
fn unnamed(spec: &JobSpec) -> JobSpec {
    JobSpec { name: "any".to_owned().try_into().unwrap(), ..spec.clone() }
}

/// The rule for every changed text: refused, or what was signed is the same, and so is what runs.
fn refused_or_the_same(original: &VerifiedSpec, changed: &[u8], ring: &KeyRing) -> bool {
    let Ok(verified) = verified(changed, ring) else { return false };
    assert_eq!(
        verified.canonical_digest(),
        original.canonical_digest(),
        "{}",
        String::from_utf8_lossy(changed)
    );
    assert_eq!(unnamed(verified.spec()), unnamed(original.spec()), "{}", String::from_utf8_lossy(changed));
    assert_eq!(verified.bytes(), changed);
    true
}

/// Flips every bit of every byte. Returns the places where a flip was not refused.
fn unsigned_places(text: &[u8]) -> Vec<usize> {
    let ring = ring();
    let original = verified(text, &ring).unwrap();
    let mut places = Vec::new();
    for place in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.to_vec();
            changed[place] ^= 1 << bit;
            if refused_or_the_same(&original, &changed, &ring) {
                places.push(place);
            }
        }
    }
    places.dedup();
    places
}

/// The places of these pieces of a text.
fn places_of(text: &[u8], pieces: &[&str]) -> Vec<usize> {
    let place = |piece: &&str| {
        let at = text.windows(piece.len()).position(|window| window == piece.as_bytes()).unwrap();
        at..at + piece.len()
    };
    pieces.iter().flat_map(place).collect()
}

fn check_flips(profile: Profile, unsigned: &[&str]) {
    let text = compact(profile);
    let unsigned = places_of(&text, unsigned);

    let found = unsigned_places(&text);

    let outside: Vec<_> = found.iter().filter(|place| !unsigned.contains(place)).collect();
    assert!(outside.is_empty(), "{profile} does not sign {outside:?} of {}", String::from_utf8_lossy(&text));
    assert_eq!(found.is_empty(), unsigned.is_empty(), "{profile}");
}

// P1, P2. A flip may turn the value of an unsigned member into any other; everything else is signed.
#[test]
fn under_p_a_flipped_bit_is_refused_everywhere_but_in_the_values_of_id_and_created_at() {
    check_flips(Profile::Jcs, &["flip", "2026-11-24T11:58:00Z"]);
}

#[test]
fn under_l1_and_l2_a_flipped_bit_is_refused_everywhere_but_in_the_value_of_id() {
    check_flips(Profile::L1, &["flip"]);
    check_flips(Profile::L2, &["flip"]);
}

#[test]
fn under_l3_l4_and_dsse_a_flipped_bit_is_refused_everywhere() {
    check_flips(Profile::L3, &[]);
    check_flips(Profile::L4, &[]);
    check_flips(Profile::Dsse, &[]);
}

// P8
#[test]
fn a_flipped_bit_of_a_wrapper_changes_nothing_that_runs() {
    let inner = String::from_utf8(compact(Profile::Jcs)).unwrap();
    let text = format!(
        r#"{{"jobspec":{inner},"target_regions":["US","eu"],"min_regions":1,"enable_analysis":true}}"#
    );

    let places = unsigned_places(text.as_bytes());

    let signed = 11..11 + inner.len();
    let unsigned = places_of(text.as_bytes(), &["flip", "2026-11-24T11:58:00Z"]);
    let inside: Vec<_> = places.iter().filter(|place| signed.contains(place)).collect();
    assert!(inside.iter().all(|place| unsigned.contains(place)), "{inside:?}");
    // A wrapper that says less, or says it in other words, is no contradiction.
    assert!(places.len() > inside.len());
}

/// Any JSON value: all scalars, nested a little.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::ANY.prop_filter_map("JSON has finite numbers only", |double| {
            serde_json::Number::from_f64(double).map(Value::Number)
        }),
        ".{0,12}".prop_map(Value::from),
        "[\\x00-\\x1f<>&\"\\\\\u{2028}\u{2029}\u{7f}\u{e000}-\u{ffff}\u{1f600}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((".{0,6}", inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Bytes that often come close to JSON.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d800",
        "0",
        "-",
        "1e",
        ".5",
        "9",
        "true",
        "null",
        " ",
        "\n",
        "\"benchmark\":",
        "\"jobspec\":",
        "\"payloadType\":",
        "\"signature\":\"",
        "\"public_key\":\"",
        "é",
        "\u{1f600}",
    ]);
    prop_oneof![vec(any::<u8>(), 0..200), vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes()),]
}

/// Choices of a writer, taken one by one.
struct Choices<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Choices<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(*self.0.next().unwrap()) % limit
    }

    fn space(&mut self) -> &'static str {
        ["", "", " ", "\n", "\t\r "][self.below(5)]
    }
}

/// Writes a value in another order of members, with other whitespace, and with other spellings of texts and numbers.
fn respelled(value: &Value, choices: &mut Choices<'_>) -> String {
    let text = match value {
        Value::Object(members) => object(members, choices),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| respelled(item, choices)).collect();
            format!("[{}{}]", choices.space(), items.join(","))
        }
        Value::String(text) => string(text, choices),
        Value::Number(number) => {
            let double = number.as_f64().unwrap();
            [number.to_string(), format!("{double:e}"), format!("{double:E}"), format!("{double:?}")]
                [choices.below(4)]
            .clone()
        }
        other => other.to_string(),
    };
    format!("{}{text}{}", choices.space(), choices.space())
}

fn object(members: &Map<String, Value>, choices: &mut Choices<'_>) -> String {
    let mut members: Vec<_> = members.iter().collect();
    for i in (1..members.len()).rev() {
        members.swap(i, choices.below(i + 1));
    }
    let member = |(key, value): (&String, &Value)| {
        format!(
            "{}{}{}:{}",
            choices.space(),
            string(key, choices),
            choices.space(),
            respelled(value, choices)
        )
    };
    let members: Vec<_> = members.into_iter().map(member).collect();
    format!("{{{}{}}}", members.join(","), choices.space())
}

fn string(text: &str, choices: &mut Choices<'_>) -> String {
    let unit =
        |unit: u16, upper: bool| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    let mut written = String::new();
    for c in text.chars() {
        match choices.below(6) {
            0 => written.extend(c.encode_utf16(&mut [0; 2]).iter().map(|one| unit(*one, true))),
            1 => written.extend(c.encode_utf16(&mut [0; 2]).iter().map(|one| unit(*one, false))),
            2 if c == '/' => written.push_str("\\/"),
            _ => {
                let quoted = serde_json::to_string(&c).unwrap();
                written.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
    }
    format!("\"{written}\"")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // P4
    #[test]
    fn no_bytes_make_the_parser_or_a_verifier_panic(bytes in nearly_json()) {
        let ring = ring();
        let canonical = canonical_form(&bytes);
        for profile in Profile::ALL {
            prop_assert_eq!(profile.signed_bytes(&bytes).is_ok(), canonical.is_ok());
        }
        prop_assert!(verified(&bytes, &ring).is_err());
        if let Ok(signed) = SignedSpec::new(bytes) {
            prop_assert_ne!(inspect(&signed, &ring, Timestamp::UNIX_EPOCH).verdict, "good");
        }
    }

    #[test]
    fn a_canonical_form_is_its_own_canonical_form(value in value()) {
        let once = canonical_form(value.to_string().as_bytes()).unwrap();

        prop_assert_eq!(&canonical_form(&once).unwrap(), &once);
    }

    #[test]
    fn both_dialects_mean_the_same_value(value in value()) {
        let text = value.to_string();
        let jcs = canonical_form(text.as_bytes()).unwrap();
        // Without a top level that leaves members out, L4 is the bare Go form.
        let go = Profile::L4.signed_bytes(format!("[{text}]").as_bytes()).unwrap();

        prop_assert_eq!(canonical_form(&go).unwrap(), [b"[", &*jcs, b"]"].concat());
    }

    // P1
    #[test]
    fn order_whitespace_and_spelling_keep_the_canonical_form(value in value(), choices in vec(any::<u8>(), 1..60)) {
        let other = respelled(&value, &mut Choices(choices.iter().cycle()));

        let forms = (canonical_form(value.to_string().as_bytes()), canonical_form(other.as_bytes()));
        prop_assert_eq!(forms.0.unwrap(), forms.1.unwrap(), "{}", other);
    }

    // P1
    #[test]
    fn order_whitespace_and_spelling_keep_the_verdict_and_the_job(
        extra in value(),
        profile in prop::sample::select(Profile::ALL.to_vec()),
        choices in vec(any::<u8>(), 1..60),
    ) {
        let mut job = job();
        job["extra"] = extra;
        let text = signed(&job, profile);
        let other = respelled(&serde_json::from_slice(&text).unwrap(), &mut Choices(choices.iter().cycle()));
        let ring = ring();

        let (one, two) = (verified(&text, &ring).unwrap(), verified(other.as_bytes(), &ring).unwrap());

        prop_assert_eq!(one.canonical_digest(), two.canonical_digest());
        prop_assert_eq!(one.spec(), two.spec());
        prop_assert_eq!((one.profile(), two.profile()), (profile, profile));
    }

    // P1, P8
    #[test]
    fn bytes_put_in_taken_out_or_changed_are_refused_or_change_nothing(
        profile in prop::sample::select(Profile::ALL.to_vec()),
        edits in vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..4),
    ) {
        let ring = ring();
        let text = signed(&job(), profile);
        let original = verified(&text, &ring).unwrap();
        let mut changed = text;
        for (place, kind, byte) in edits {
            let place = place.index(changed.len());
            match kind {
                0 => changed.insert(place, byte),
                1 => _ = changed.remove(place),
                _ => changed[place] = byte,
            }
        }

        refused_or_the_same(&original, &changed, &ring);
    }

    // P1
    #[test]
    fn a_member_changed_anywhere_is_refused(extra in value(), other in value()) {
        let same = canonical_form(extra.to_string().as_bytes()).unwrap() == canonical_form(other.to_string().as_bytes()).unwrap();
        let mut job = job();
        job["metadata"]["extra"] = extra;
        let mut value: Value = serde_json::from_slice(&signed(&job, Profile::Jcs)).unwrap();
        value["metadata"]["extra"] = other;

        prop_assert_eq!(verified(value.to_string().as_bytes(), &ring()).is_ok(), same);
    }
}
