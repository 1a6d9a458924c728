//! The published test vectors, judged by this library, and by a script that shares nothing with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use beacon_spec::{
    Freshness, KeyRing, MerkleRoot, Profile, RecordsCheck, Sha256Digest, SignedSpec, Timestamp, VerifiedSpec,
    VerifyError, canonical_form, inspect, verify,
};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn read(name: &str) -> Value {
    let text = std::fs::read(folder().join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn list<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    let list = file[name].as_array().unwrap();
    assert!(!list.is_empty(), "{name}");
    list
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A case of a file, with what it takes to judge it.
struct Case<'a> {
    case: &'a Value,
    spec: Vec<u8>,
    ring: KeyRing,
    now: Timestamp,
    window: Freshness,
}

impl<'a> Case<'a> {
    fn new(file: &'a Value, case: &'a Value) -> Self {
        let spec = match case["spec"].as_str() {
            Some(spec) => spec.as_bytes().to_vec(),
            None => STANDARD.decode(text(&case["spec_base64"])).unwrap(),
        };
        let seconds = |name: &str| Duration::from_secs(file["window"][name].as_u64().unwrap());
        Self {
            case,
            spec,
            ring: KeyRing::parse(file["rings"][text(&case["ring"])].to_string().as_bytes()).unwrap(),
            now: text(&file["now"]).parse().unwrap(),
            window: Freshness::Window { max_age: seconds("max_age_s"), max_skew: seconds("max_skew_s") },
        }
    }

    fn check(&self) {
        let name = text(&self.case["name"]);
        let (local, service) = (self.verified(Freshness::NotedOnly), self.verified(self.window));

        self.check_inspection(name);

        let code = |verified: &Result<VerifiedSpec, VerifyError>| match verified {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.code().into_owned(),
        };
        assert_eq!(code(&local), text(&self.case["local"]), "{name}");
        assert_eq!(code(&service), text(&self.case["service"]), "{name}");
        match local {
            Ok(verified) => self.check_job(name, &verified),
            Err(error) => assert!(self.case.get("job").is_none(), "{name}: {error}"),
        }
    }

    fn verified(&self, freshness: Freshness) -> Result<VerifiedSpec, VerifyError> {
        SignedSpec::new(self.spec.clone()).and_then(|signed| verify(signed, &self.ring, self.now, freshness))
    }

    /// What `beacon verify` prints.
    fn check_inspection(&self, name: &str) {
        let Ok(signed) = SignedSpec::new(self.spec.clone()) else {
            assert_eq!(self.case["verdict"], "empty", "{name}");
            return;
        };

        let found = inspect(&signed, &self.ring, self.now);

        let digest = (!found.canonical.is_empty()).then_some(found.canonical_sha256);
        assert_eq!(found.verdict, text(&self.case["verdict"]), "{name}: {}", found.explanation);
        assert_eq!(json!(found.profile), self.case["profile"], "{name}");
        assert_eq!(json!(found.canonical.len()), self.case["canonical_length"], "{name}");
        assert_eq!(json!(digest), self.case["canonical_sha256"], "{name}");
        let cannot_run = found.cannot_run.as_ref().map(VerifyError::code);
        assert_eq!(json!(cannot_run), self.case["cannot_run"], "{name}");
        if let Some(canonical) = self.case["canonical"].as_str() {
            assert_eq!(String::from_utf8(found.canonical).unwrap(), canonical, "{name}");
        }
    }

    /// The derived job, as far as the vectors tell it; and the bytes as they arrived (P1).
    fn check_job(&self, name: &str, verified: &VerifiedSpec) {
        let (spec, expected) = (verified.spec(), &self.case["job"]);
        let questions: Vec<_> =
            spec.questions.iter().map(|question| json!([question.id, question.text])).collect();
        let models: Vec<_> = spec.models.iter().map(|model| json!([model.id, model.regions])).collect();
        let constraints = &spec.constraints;
        let found = json!({
            "name": spec.name, "version": spec.version, "runs": spec.runs, "questions": questions, "models": models,
            "min_regions": constraints.min_regions, "min_success_rate": constraints.min_success_rate,
            "max_cost_micros": constraints.max_cost_micros,
            "timeout_s": constraints.timeout.map(|timeout| timeout.as_secs()),
        });

        assert_eq!(&found, expected, "{name}");
        assert_eq!(verified.bytes(), self.spec, "{name}");
        assert_eq!(verified.digest(), Sha256Digest::of(&self.spec), "{name}");
        assert_eq!(json!(verified.canonical_digest()), self.case["canonical_sha256"], "{name}");
        assert_eq!(json!(verified.profile()), self.case["profile"], "{name}");
    }
}

fn check_file(name: &str) -> usize {
    let file = read(name);
    let cases = list(&file, "cases");
    cases.iter().for_each(|case| Case::new(&file, case).check());
    cases.len()
}

// P1, P2, P7
#[test]
fn jobs_signed_under_every_profile_hold() {
    let file = read("jobs.json");

    assert_eq!(check_file("jobs.json"), list(&file, "cases").len());

    let profiles: Vec<&Value> = list(&file, "cases").iter().map(|case| &case["profile"]).collect();
    for profile in Profile::ALL {
        assert!(profiles.iter().filter(|found| **found == &json!(profile)).count() >= 4, "{profile}");
    }
}

// P3, P4, P5, P8
#[test]
fn changed_jobs_wrong_keys_lax_signatures_and_hostile_texts_are_refused() {
    assert!(check_file("refused.json") > 80);
}

// P8, P9, P10
#[test]
fn jobs_that_cannot_run_are_refused_with_the_path_of_the_member() {
    assert!(check_file("unusable.json") > 30);
}

// P2
#[test]
fn numbers_and_texts_have_their_published_spellings() {
    let file = read("canonical.json");
    let check = |json: &str, case: &Value| {
        let jcs = canonical_form(json.as_bytes()).unwrap();
        // L4 leaves out nothing of these texts, so its bytes are the bare Go form.
        let go = Profile::L4.signed_bytes(json.as_bytes()).unwrap();
        assert_eq!(
            (str::from_utf8(&jcs).unwrap(), str::from_utf8(&go).unwrap()),
            (text(&case["jcs"]), text(&case["go"]))
        );
    };

    for case in list(&file, "numbers") {
        let double = f64::from_bits(u64::from_str_radix(text(&case["bits"]), 16).unwrap());
        check(&format!("{double:e}"), case);
        check(&format!("{double:?}"), case);
    }
    for case in list(&file, "texts") {
        check(text(&case["json"]), case);
    }
}

// L8
#[test]
fn exports_of_records_hold_only_as_they_were_signed() {
    let file = read("records.json");
    let records = list(&file, "records");
    let line = |line: &'_ Value| match line.as_u64() {
        Some(place) => text(&records[usize::try_from(place).unwrap()]["line"]).to_owned(),
        None => text(line).to_owned(),
    };

    for export in list(&file, "exports") {
        let mut check = RecordsCheck::new().signed_by(text(&file["runner_key"])).unwrap();
        list(export, "lines").iter().for_each(|one| check.push(line(one).as_bytes()));
        let found = check.finish();

        let verdict = if found.problems_total == 0 { "good" } else { "bad" };
        assert_eq!(verdict, text(&export["verdict"]), "{}: {:?}", export["name"], found.problems);
        assert_eq!(found.problems.len(), found.problems_total);
    }
    for record in records {
        let leaf = Sha256Digest::of(&canonical_form(text(&record["line"]).as_bytes()).unwrap());
        assert_eq!(json!(leaf), record["leaf_sha256"]);
    }
}

// L8
#[test]
fn roots_over_few_leaves_are_the_published_ones() {
    for case in list(&read("records.json"), "roots") {
        let mut root = MerkleRoot::new();
        (0..case["leaves"].as_u64().unwrap())
            .for_each(|n| root.push(Sha256Digest::of(n.to_string().as_bytes())));

        assert_eq!(json!(root.root()), case["root"], "{} leaves", case["leaves"]);
    }
}

#[test]
fn the_independent_checker_agrees_with_every_vector() {
    let Some(said) = python(&[&folder().join("check.py").display().to_string()]) else { return };

    assert!(said.ends_with(" vectors checked, 0 differ\n"), "{said}");
    let checked: usize = said.split(' ').next().unwrap().parse().unwrap();
    let published =
        ["jobs.json", "refused.json", "unusable.json"].map(|name| list(&read(name), "cases").len());
    assert!(checked > published.iter().sum(), "{said}");
}

#[test]
fn the_manual_verifies_an_example_in_a_few_lines_of_python() {
    let example = std::fs::read(root().join("examples/two-questions.signed.json")).unwrap();
    let found = inspect(&SignedSpec::new(example).unwrap(), &KeyRing::default(), Timestamp::UNIX_EPOCH);

    let Some(said) = python(&["-c", &fenced("python")[0]]) else { return };

    assert_eq!(said, format!("{} {} True\n", found.canonical.len(), found.canonical_sha256));
}

// P5
#[test]
fn the_ring_of_the_manual_loads() {
    let ring = fenced("json").into_iter().find(|block| block.contains("\"kid\"")).unwrap();

    assert!(KeyRing::parse(ring.as_bytes()).unwrap().holds_example_key());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The fenced blocks of this language in the manual.
fn fenced(language: &str) -> Vec<String> {
    let manual = std::fs::read_to_string(root().join("docs/SIGNING.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = manual.split(&fence).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// What Python 3.8 or newer prints, run at the root; nothing if there is none, which is said.
fn python(arguments: &[&str]) -> Option<String> {
    let fits = |python: &&str| {
        let version =
            Command::new(python).args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"]).status();
        version.is_ok_and(|status| status.success())
    };
    let Some(python) = ["python3", "python"].into_iter().find(fits) else {
        eprintln!("SKIPPED: no Python 3.8 or newer, nothing was checked independently");
        return None;
    };
    let output = Command::new(python).arg("-B").args(arguments).current_dir(root()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Some(said)
}
