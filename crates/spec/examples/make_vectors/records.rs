//! Receipts, a close over them, and exports that do not hold; also Merkle roots of few leaves.

use beacon_spec::{
    Close, CloseBody, MerkleRoot, ReceiptBody, ReceiptSigner, RecordsCheck, Sha256Digest, canonical_form,
};
use serde_json::{Value, json};

use crate::keys::{STRANGER, TEST};

const SPEC: &str = "any signed job";

/// The file; the run stops if the library judges an export otherwise.
pub(crate) fn file() -> Value {
    let receipts = receipts();
    let close = close(&receipts);
    let mut lines = receipts.clone();
    lines.push(line(&close));
    let mut exports = vec![export("good", "Three receipts and their close.", &lines, &lines, true)];
    exports.extend(broken(&lines));
    json!({
        "about": "Exports of `beacon receipts`: one record per line, here a text, or the place of one in records. TEST KEYS ONLY: the runner's seed is 32 times 0x42.",
        "runner_key": TEST.public(),
        "records": lines.iter().map(|line| described(line)).collect::<Vec<_>>(),
        "exports": exports,
        "roots": (0..=9).map(root_of).collect::<Vec<_>>(),
    })
}

fn body(execution: u32) -> ReceiptBody {
    let time = |text: &str| text.parse().expect("a time");
    ReceiptBody {
        schema: "beacon-receipt/1".to_owned(),
        job: "000102030405060708090a0b0c0d0e0f".to_owned(),
        spec_digest: Sha256Digest::of(SPEC.as_bytes()),
        execution,
        attempt: 1,
        question: "math_basic".to_owned().try_into().expect("an id"),
        run: 1,
        model: "llama3.2-1b".to_owned().try_into().expect("an id"),
        model_observed: None,
        region: "us-east".parse().expect("a region"),
        region_observed: None,
        endpoint: "us-east/llama3.2-1b".to_owned(),
        request_hash: Sha256Digest::of(b"request"),
        output_hash: None,
        queued_at: time("2026-11-24T12:00:00Z"),
        dispatched_at: time("2026-11-24T12:00:00.123456789Z"),
        finished_at: time("2026-11-24T12:00:01.5Z"),
        prompt_tokens: None,
        completion_tokens: None,
        provider_ms: None,
        cost_micros: None,
        outcome: "completed".to_owned(),
        error_code: None,
    }
}

/// A completed one with everything, a failed one, and one with a member that this version does not know.
fn receipts() -> Vec<String> {
    let signer = ReceiptSigner::new(TEST.signing());
    let full = ReceiptBody {
        model_observed: Some("ollama/llama3.2 <1b> & \u{2028} 台湾 😀".to_owned()),
        region_observed: Some("us-east".parse().expect("a region")),
        output_hash: Some(Sha256Digest::of("4".as_bytes())),
        prompt_tokens: Some(0),
        completion_tokens: Some(9_007_199_254_740_991),
        provider_ms: Some(1_400),
        cost_micros: Some(7),
        ..body(0)
    };
    let failed = ReceiptBody {
        outcome: "failed".to_owned(),
        error_code: Some("overloaded".to_owned()),
        attempt: 3,
        ..body(1)
    };
    let unknown = json!(signer.sign(body(4)));
    vec![
        line(&signer.sign(full)),
        line(&signer.sign(failed)),
        resigned(unknown, &[("of_a_later_version", json!({ "b": [1e21, -0.0], "a": "" }))]),
    ]
}

fn close(receipts: &[String]) -> Close {
    let mut root = MerkleRoot::new();
    receipts.iter().for_each(|receipt| root.push(leaf(receipt)));
    ReceiptSigner::new(TEST.signing()).close(CloseBody {
        schema: "beacon-close/1".to_owned(),
        job: body(0).job,
        spec_digest: body(0).spec_digest,
        state: "completed_with_failures".to_owned(),
        expected: 6,
        completed: 2,
        failed: 1,
        cancelled: 1,
        timed_out: 1,
        unsupported: 1,
        receipts: 3,
        merkle_root: root.root(),
        ended_at: "2026-11-24T12:00:02Z".parse().expect("a time"),
    })
}

fn broken(lines: &[String]) -> Vec<Value> {
    let [first, second, third, close] = lines else { unreachable!("three receipts and a close") };
    let bad = |name: &str, why: &str, these: &[&String]| {
        let these: Vec<String> = these.iter().map(|line| (*line).clone()).collect();
        export(name, why, lines, &these, false)
    };
    let changed = second.replacen("\"failed\"", "\"completed\"", 1);
    let added = second.replacen('{', "{\"note\":1,", 1);
    let respelled = first.replacen("1400", "14e2", 1);
    let stranger = line(&ReceiptSigner::new(STRANGER.signing()).sign(body(1)));
    let close_changed = close.replacen("\"completed\":2", "\"completed\":3", 1);
    let resigned_close = resigned(
        serde_json::from_str(close).expect("JSON"),
        &[("completed", json!(3)), ("cancelled", json!(0))],
    );
    vec![
        bad("changed", "A word of a receipt was changed.", &[first, &changed, third, close]),
        bad("member-added", "A member that nobody signed.", &[first, &added, third, close]),
        bad("left-out", "A receipt is missing.", &[first, third, close]),
        bad("twice", "A receipt is there twice.", &[first, second, second, third, close]),
        bad("reordered", "Not in the order of the plan.", &[second, first, third, close]),
        bad("no-close", "The export is cut.", &[first, second, third]),
        bad("after-the-close", "A receipt after the close.", &[first, second, close, third]),
        bad("another-runner", "A receipt of another runner.", &[first, &stranger, third, close]),
        bad("close-changed", "A count of the close was changed.", &[first, second, third, &close_changed]),
        bad(
            "close-miscounts",
            "The runner signed a close whose counts are not those of its receipts.",
            &[first, second, third, &resigned_close],
        ),
        bad("no-record", "A line that is none.", &[first, second, third, &"{}".to_owned(), close]),
        export(
            "respelled",
            "The spelling of a number and empty lines are not signed.",
            lines,
            &[respelled, String::new(), second.clone(), third.clone(), close.clone()],
            true,
        ),
    ]
}

fn export(name: &str, why: &str, records: &[String], lines: &[String], good: bool) -> Value {
    let mut check = RecordsCheck::new();
    lines.iter().for_each(|line| check.push(line.as_bytes()));
    let found = check.finish();
    assert_eq!(found.problems_total == 0, good, "{name}: {:?}", found.problems);
    let place = |line: &String| match records.iter().position(|record| record == line) {
        Some(place) => json!(place),
        None => json!(line),
    };
    let lines: Vec<Value> = lines.iter().map(place).collect();
    json!({ "name": name, "why": why, "lines": lines, "verdict": if good { "good" } else { "bad" } })
}

fn described(line: &str) -> Value {
    let mut unsigned: Value = serde_json::from_str(line).expect("JSON");
    unsigned.as_object_mut().expect("an object").remove("signature");
    let signed = canonical_form(unsigned.to_string().as_bytes()).expect("JSON");
    let sha256 = Sha256Digest::of(&signed);
    json!({ "line": line, "signed_length": signed.len(), "signed_sha256": sha256, "leaf_sha256": leaf(line) })
}

fn line(record: &impl serde::Serialize) -> String {
    serde_json::to_string(record).expect("records can be written")
}

/// The record with these members, signed anew by the same key.
fn resigned(mut record: Value, more: &[(&str, Value)]) -> String {
    let members = record.as_object_mut().expect("an object");
    members.remove("signature");
    members.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let signature = TEST.sign_base64(&canonical_form(record.to_string().as_bytes()).expect("JSON"));
    record["signature"] = json!(signature);
    record.to_string()
}

fn leaf(line: &str) -> Sha256Digest {
    Sha256Digest::of(&canonical_form(line.as_bytes()).expect("JSON"))
}

/// The root over the SHA-256 of "0", "1", … as leaves.
fn root_of(count: u32) -> Value {
    let mut root = MerkleRoot::new();
    (0..count).for_each(|n| root.push(Sha256Digest::of(n.to_string().as_bytes())));
    json!({ "leaves": count, "root": root.root() })
}
