//! One vector: a text, the verdict that is expected of it, and the bytes that were signed.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use beacon_spec::{
    Freshness, Inspection, JobSpec, Profile, SignedSpec, VerifyError, canonical_form, inspect, verify,
};
use serde_json::{Map, Value, json};

use crate::keys::{self, Key, TEST};

/// A vector before it was judged.
#[derive(Clone)]
pub(crate) struct Case {
    name: String,
    why: &'static str,
    ring: &'static str,
    spec: Vec<u8>,
    expected: Expected,
}

/// What must come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// What `beacon verify` says.
    verdict: &'static str,
    /// The form that holds; where the verdict is a refusal, whichever does.
    profile: Option<Profile>,
    /// Why no job follows, if so.
    cannot_run: Option<&'static str>,
    /// What a service says, if it refuses.
    service: Option<&'static str>,
}

impl Expected {
    /// It holds, and a service takes it now.
    pub(crate) const fn good(profile: Profile) -> Self {
        Self { verdict: "good", profile: Some(profile), cannot_run: None, service: None }
    }

    /// It does not hold. A service does not try forms that the key may not use, so it cannot name them.
    pub(crate) fn refused(code: &'static str) -> Self {
        let service = if code == "profile_not_allowed" { "signature_mismatch" } else { code };
        Self { verdict: code, profile: None, cannot_run: None, service: Some(service) }
    }

    /// It holds, but no job follows from it.
    pub(crate) const fn cannot_run(profile: Profile, code: &'static str) -> Self {
        Self { cannot_run: Some(code), service: Some(code), ..Self::good(profile) }
    }

    /// A service refuses it for this reason, whatever else is wrong.
    pub(crate) const fn not_now(self, code: &'static str) -> Self {
        Self { service: Some(code), ..self }
    }
}

impl Case {
    pub(crate) fn good(
        name: impl Into<String>,
        profile: Profile,
        why: &'static str,
        spec: impl Into<Vec<u8>>,
    ) -> Self {
        let ring = if profile.is_default() { "default" } else { "older" };
        Self { name: name.into(), why, ring, spec: spec.into(), expected: Expected::good(profile) }
    }

    pub(crate) fn new(name: &str, why: &'static str, spec: impl Into<Vec<u8>>, expected: Expected) -> Self {
        Self { name: name.to_owned(), why, ring: "default", spec: spec.into(), expected }
    }

    pub(crate) fn refused(
        name: &str,
        code: &'static str,
        why: &'static str,
        spec: impl Into<Vec<u8>>,
    ) -> Self {
        Self::new(name, why, spec, Expected::refused(code))
    }

    pub(crate) fn with_ring(self, ring: &'static str) -> Self {
        Self { ring, ..self }
    }

    /// The vector as it is published.
    pub(crate) fn judged(self) -> Value {
        let found = self.inspected();
        let (local, service) = (self.code(Freshness::NotedOnly), self.code(window()));
        let code = |judged: &Result<JobSpec, String>| judged.as_ref().err().cloned();
        self.hold_against(&found, code(&local).as_deref(), code(&service).as_deref());
        let mut case = Map::new();
        let mut set = |name: &str, value: Value| case.insert(name.to_owned(), value);
        set("name", json!(self.name));
        set("why", json!(self.why));
        set("ring", json!(self.ring));
        match str::from_utf8(&self.spec) {
            Ok(text) => set("spec", json!(text)),
            Err(_) => set("spec_base64", json!(STANDARD.encode(&self.spec))),
        };
        set("verdict", json!(found.verdict));
        set("profile", json!(found.profile));
        set("canonical_length", json!(found.canonical.len()));
        let digest = (!found.canonical.is_empty()).then_some(found.canonical_sha256);
        set("canonical_sha256", json!(digest));
        set("cannot_run", json!(found.cannot_run.as_ref().map(VerifyError::code)));
        set("local", json!(local.as_ref().err().map_or("ok", String::as_str)));
        set("service", json!(service.as_ref().err().map_or("ok", String::as_str)));
        if let Ok(spec) = &local {
            set("canonical", json!(String::from_utf8_lossy(&found.canonical)));
            set("job", job(spec));
        }
        Value::Object(case)
    }

    fn inspected(&self) -> Inspection {
        let now = keys::NOW.parse().expect("a time");
        match SignedSpec::new(self.spec.clone()) {
            Ok(signed) => inspect(&signed, &keys::ring(self.ring), now),
            Err(error) => Inspection {
                verdict: error.code().into_owned(),
                explanation: error.to_string(),
                cannot_run: None,
                profile: None,
                key: None,
                canonical: Vec::new(),
                canonical_sha256: beacon_spec::Sha256Digest::of(b""),
            },
        }
    }

    fn code(&self, freshness: Freshness) -> Result<JobSpec, String> {
        let now = keys::NOW.parse().expect("a time");
        let verified = SignedSpec::new(self.spec.clone())
            .and_then(|signed| verify(signed, &keys::ring(self.ring), now, freshness));
        verified.map(|spec| spec.spec().clone()).map_err(|error| error.code().into_owned())
    }

    fn hold_against(&self, found: &Inspection, local: Option<&str>, service: Option<&str>) {
        let Expected { verdict, profile, cannot_run, service: there } = self.expected;
        let refused = (verdict != "good").then_some(there).flatten();
        let reason = found.cannot_run.as_ref().map(|error| error.code().into_owned());
        let profile = if refused.is_some() { found.profile } else { profile };

        let found = (&*found.verdict, found.profile, reason.as_deref(), local, service);
        assert_eq!(found, (verdict, profile, cannot_run, refused.or(cannot_run), there), "{}", self.name);
    }
}

/// The window of a service.
fn window() -> Freshness {
    Freshness::Window {
        max_age: Duration::from_secs(keys::MAX_AGE_S),
        max_skew: Duration::from_secs(keys::MAX_SKEW_S),
    }
}

/// The derived job, as far as a reader can check it by eye.
fn job(spec: &JobSpec) -> Value {
    let questions = spec.questions.iter().map(|question| json!([question.id, question.text]));
    let models = spec.models.iter().map(|model| json!([model.id, model.regions]));
    let constraints = &spec.constraints;
    json!({
        "name": spec.name, "version": spec.version, "runs": spec.runs,
        "questions": questions.collect::<Vec<_>>(), "models": models.collect::<Vec<_>>(),
        "min_regions": constraints.min_regions, "min_success_rate": constraints.min_success_rate,
        "max_cost_micros": constraints.max_cost_micros,
        "timeout_s": constraints.timeout.map(|time| time.as_secs()),
    })
}

/// A job's text with the signature of a key under a profile put in at its end.
pub(crate) fn signed_by(key: Key, profile: Profile, text: &str) -> String {
    let bytes = profile.signed_bytes(text.as_bytes()).expect("the texts are JSON");
    with_signature(text, &key.public(), &key.sign_base64(&bytes))
}

/// The same by the test key.
pub(crate) fn signed(profile: Profile, text: &str) -> String {
    signed_by(TEST, profile, text)
}

/// Signed over everything in JavaScript's escapes, as some browsers did.
pub(crate) fn signed_l4_javascript(text: &str) -> String {
    let bytes = canonical_form(text.as_bytes()).expect("the texts are JSON");
    with_signature(text, &TEST.public(), &TEST.sign_base64(&bytes))
}

/// A job's text with any signature put in at its end.
pub(crate) fn with_signature(text: &str, public_key: &str, signature: &str) -> String {
    let open = text.trim_end().strip_suffix('}').expect("a job is an object");
    format!("{open},\"signature\":\"{signature}\",\"public_key\":\"{public_key}\"}}")
}
