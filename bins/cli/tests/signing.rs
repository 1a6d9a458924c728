//! The commands around signatures, run as a person runs them: keygen, sign, verify, schema.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

/// A new folder for one test, with a key, a ring that trusts it, and a job.
struct Desk(PathBuf);

impl Desk {
    fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let desk = Self(folder);
        let entry = desk.json(&["keygen", "--out", "my.key", "--json"], 0);
        desk.write("keys.json", &json!([entry]).to_string());
        desk.write("job.json", &job().to_string());
        desk
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_beacon")).args(args).current_dir(&self.0).output().unwrap()
    }

    /// Runs a command that must end with this code, and reads the one object that it prints last.
    fn json(&self, args: &[&str], code: i32) -> Value {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    /// Runs a command that must be refused with this reason.
    fn refused(&self, args: &[&str], reason: &str) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(reason), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let names =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn job() -> Value {
    json!({
        "id": "desk", "benchmark": { "name": "desk" }, "questions": ["a < b & c?"], "models": ["m"],
        "constraints": { "regions": ["US"] },
    })
}

// P5
#[test]
fn keygen_makes_a_key_that_only_its_owner_reads_and_never_overwrites_one() {
    let desk = Desk::new("keygen");
    let seed = desk.read("my.key");

    desk.refused(&["keygen", "--out", "my.key"], "my.key exists; a key is never overwritten");
    desk.refused(&["keygen", "--out", "other.key", "--kid", ""], "a key id must have 1 to 255 characters");

    assert_eq!(desk.read("my.key"), seed);
    assert_eq!(desk.files(), ["job.json", "keys.json", "my.key"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(desk.0.join("my.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

// P2, P7
#[test]
fn what_sign_writes_under_any_profile_is_what_verify_calls_good() {
    let desk = Desk::new("profiles");
    let mut ring: Value = serde_json::from_str(&desk.read("keys.json")).unwrap();
    ring[0]["profiles"] = json!(["L1", "L2", "L3", "L4"]);
    desk.write("older.json", &ring.to_string());

    for profile in ["P", "L1", "L2", "L3", "L4", "DSSE"] {
        let mut args = vec!["sign", "job.json", "--key", "my.key", "--out", "signed.json"];
        args.extend(if profile == "DSSE" { vec!["--dsse"] } else { vec!["--profile", profile] });
        let said = stderr(&desk.run(&args));
        let found = desk.json(&["verify", "signed.json", "--keys", "older.json", "--json"], 0);

        assert_eq!((&found["verdict"], &found["profile"]), (&json!("good"), &json!(profile)), "{said}");
        let (length, digest) = (&found["canonical_length"], found["canonical_sha256"].as_str().unwrap());
        assert!(
            said.contains(&format!("as {profile}: {length} canonical bytes, SHA-256 {digest}")),
            "{said}"
        );
        assert_eq!(said.contains("is an older form"), profile.starts_with('L'), "{said}");
        let expected = if profile.starts_with('L') { "profile_not_allowed" } else { "good" };
        let code = if expected == "good" { 0 } else { 2 };
        assert_eq!(desk.json(&["verify", "signed.json", "--json"], code)["verdict"], expected);
    }
    assert_eq!(desk.files(), ["job.json", "keys.json", "my.key", "older.json", "signed.json"]);
}

#[test]
fn sign_refuses_what_could_not_run_or_would_be_lost_and_touches_nothing() {
    let desk = Desk::new("refusals");
    desk.json(&["keygen", "--out", "other.key", "--json"], 0);
    fs::write(desk.0.join("theirs.json"), desk.run(&["sign", "job.json", "--key", "other.key"]).stdout)
        .unwrap();
    desk.write("no-models.json", &job().to_string().replace("models", "other"));
    desk.write("twice.json", &job().to_string().replacen('{', "{\"id\":\"x\",", 1));
    desk.write("wrapper.json", &json!({ "jobspec": job() }).to_string());
    fs::create_dir(desk.0.join("folder")).unwrap();
    let before = desk.files();
    let sign = |job: &str, out: &str, reason: &str| {
        desk.refused(&["sign", job, "--key", "my.key", "--out", out], reason);
    };

    sign("theirs.json", "out.json", "signed already, by the key");
    sign("no-models.json", "out.json", "models must name at least one model");
    sign("twice.json", "out.json", "duplicate key \"id\"");
    sign("wrapper.json", "out.json", "sign the job inside it");
    sign("job.json", "job.json", "is the job itself");
    sign("job.json", "./folder/../job.json", "is the job itself");
    sign("job.json", "folder", "cannot write folder");
    sign("job.json", "nowhere/out.json", "cannot write nowhere/out.json");
    desk.refused(&["sign", "job.json", "--key", "keys.json"], "holds no key");
    desk.refused(
        &["sign", "job.json", "--key", "my.key", "--dsse", "--profile", "L2"],
        "cannot be used with",
    );

    assert_eq!(desk.read("job.json"), job().to_string());
    assert_eq!(desk.files(), before);
}

#[test]
fn a_signed_job_may_be_replaced_and_is_signed_anew() {
    let desk = Desk::new("again");
    let sign = |job: &str, out: &str| stderr(&desk.run(&["sign", job, "--key", "my.key", "--out", out]));
    let metadata =
        |name: &str| serde_json::from_str::<Value>(&desk.read(name)).unwrap()["metadata"]["nonce"].clone();
    sign("job.json", "signed.json");
    let first = metadata("signed.json");

    sign("job.json", "signed.json");
    let second = metadata("signed.json");
    let said = sign("signed.json", "again.json");

    assert_ne!(first, second);
    assert_ne!(second, metadata("again.json"));
    assert!(said.contains("had signed the job before"), "{said}");
}

// P7
#[test]
fn verify_prints_one_object_whatever_is_wrong() {
    let desk = Desk::new("one-object");
    let signed = String::from_utf8(desk.run(&["sign", "job.json", "--key", "my.key"]).stdout).unwrap();
    desk.write("changed.json", &signed.replace("a < b", "a > b"));
    desk.write("cut.json", &signed[..40]);
    desk.write("empty.json", "");
    desk.write("large.json", &" ".repeat(50_000_000));
    desk.write("ring.json", "{}");
    let check = |args: &[&str], verdict: &str, explanation: &str| {
        let args = [&["verify"], args, &["--json"]].concat();
        let output = desk.run(&args);
        let text = String::from_utf8(output.stdout).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!((output.status.code(), &found["verdict"]), (Some(2), &json!(verdict)), "{text}");
        assert!(found["explanation"].as_str().unwrap().contains(explanation), "{text}");
        for member in ["profile", "canonical_length", "canonical_sha256"] {
            assert!(found.get(member).is_some(), "{member}: {text}");
        }
    };

    check(&["changed.json"], "signature_mismatch", "was changed after signing");
    check(&["cut.json"], "invalid_json", "EOF");
    check(&["empty.json"], "empty", "empty");
    check(&["large.json"], "too_large", "has 50000000 bytes, at most 16777216");
    check(&["job.json"], "missing_field:public_key", "sign the job with `beacon sign`");
    check(&["missing.json"], "not_checked", "cannot read missing.json");
    check(&["changed.json", "--keys", "missing.json"], "not_checked", "missing.json");
    check(&["changed.json", "--keys", "ring.json"], "not_checked", "not a key ring");
    check(&["changed.json", "--runner-key", "x"], "not_checked", "are for receipts");
}

// P7
#[test]
fn the_first_byte_that_differs_from_given_canonical_bytes_is_shown() {
    let desk = Desk::new("canonical");
    desk.run(&["sign", "job.json", "--key", "my.key", "--profile", "P", "--out", "signed.json"]);
    let signed: Value = serde_json::from_str(&desk.read("signed.json")).unwrap();
    let (nonce, time) = (&signed["metadata"]["nonce"], &signed["metadata"]["timestamp"]);
    let canonical = format!(
        r#"{{"benchmark":{{"name":"desk"}},"constraints":{{"regions":["US"]}},"metadata":{{"nonce":{nonce},"timestamp":{time}}},"models":["m"],"questions":["a < b & c?"]}}"#
    );
    desk.write("same.txt", &canonical);
    desk.write("escaped.txt", &canonical.replace('<', "\\u003c"));

    let same = desk.json(&["verify", "signed.json", "--canonical", "same.txt", "--json"], 0);
    let other = desk.json(&["verify", "signed.json", "--canonical", "escaped.txt", "--json"], 2);
    let text = desk.run(&["verify", "signed.json", "--canonical", "escaped.txt"]).stdout;

    assert_eq!(same["first_difference"], Value::Null);
    assert_eq!(other["verdict"], "good");
    assert_eq!(other["first_difference"]["at"], canonical.find('<').unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("a < b & c?") && text.contains("a \\\\u003c b"), "{text}");
}

// L8
#[test]
fn exported_receipts_are_checked_against_their_close_their_job_and_the_runners_key() {
    let desk = Desk::new("receipts");
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/spec/tests/vectors/records.json");
    let vectors: Value = serde_json::from_slice(&fs::read(vectors).unwrap()).unwrap();
    let lines: Vec<_> = vectors["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["line"].as_str().unwrap())
        .collect();
    let key = vectors["runner_key"].as_str().unwrap();
    desk.write("good.jsonl", &lines.join("\n"));
    desk.write("cut.jsonl", &lines[..2].join("\n"));
    desk.write("job.txt", "any signed job");
    let check = |args: &[&str], problems: u64| {
        let code = if problems == 0 { 0 } else { 2 };
        let found = desk.json(&[&["verify"], args, &["--json"]].concat(), code);
        assert_eq!(found["problems_total"], problems, "{args:?}: {found}");
        assert_eq!(found["verdict"], if problems == 0 { "good" } else { "bad" }, "{args:?}");
        found
    };

    let good = check(&["good.jsonl", "--runner-key", key, "--job", "job.txt"], 0);
    check(&["cut.jsonl"], 1);
    // The public key of RFC 8032, section 7.1, test 1.
    let another = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    check(&["good.jsonl", "--runner-key", another], 5);
    check(&["good.jsonl", "--job", "job.json"], 4);

    assert_eq!(
        (&good["receipts"], &good["runner_key"], &good["kind"]),
        (&json!(3), &json!(key), &json!("receipts"))
    );
    let text = String::from_utf8(desk.run(&["verify", "good.jsonl"]).stdout).unwrap();
    assert!(text.contains(&format!("runner key  {key}")) && text.contains("that you trust"), "{text}");
}

// P10
#[test]
fn schema_prints_the_limits() {
    let desk = Desk::new("schema");

    let text = String::from_utf8(desk.run(&["schema"]).stdout).unwrap();

    let schema: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["properties"]["questions"]["maxItems"], 10_000);
    assert_eq!(
        schema["properties"]["constraints"]["properties"]["timeout"]["maximum"],
        604_800_000_000_000_u64
    );
}
