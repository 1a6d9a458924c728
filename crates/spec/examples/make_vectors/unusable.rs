//! Jobs that were signed well, but from which nothing can run: `beacon verify` says good, and why it cannot run.

use beacon_spec::Profile;

use crate::{
    case::{Case, Expected, signed},
    contents::{REST, asking, bounded, job},
};

/// Name, code, reason and text before signing.
type Unusable = (&'static str, &'static str, &'static str, String);

/// All of them, signed under P.
pub(crate) fn cases() -> Vec<Case> {
    let all = questions().into_iter().chain(models()).chain(members()).chain(numbers());
    all.map(|(name, code, why, text)| {
        Case::new(name, why, signed(Profile::Jcs, &text), Expected::cannot_run(Profile::Jcs, code))
    })
    .collect()
}

fn questions() -> Vec<Unusable> {
    let bias = |text: String| {
        text.replacen("\"vectors\"", "\"bias-detection\"", 1).replacen(
            "\"hash\"",
            "\"data\":{\"prompt\":\"Why?\"},\"hash\"",
            1,
        )
    };
    vec![
        ("questions/none", "invalid_field:questions", "Nothing is asked.", asking(r#""questions":[]"#)),
        (
            "questions/not-a-list",
            "invalid_field:questions",
            "A text is no list.",
            asking(r#""questions":"math_basic""#),
        ),
        (
            "questions/prompt-of-a-bias-job",
            "invalid_field:questions",
            "A bias benchmark of version v1 must have questions.",
            bias(asking(r#""questions":[]"#)),
        ),
        (
            "questions/unknown-id",
            "invalid_field:questions[1]",
            "It can only be meant as an id, and no question has it.",
            asking(r#""questions":["math_basic","math_advanced"]"#),
        ),
        ("questions/empty", "invalid_field:questions[0]", "An empty text.", asking(r#""questions":[""]"#)),
        (
            "questions/blank",
            "invalid_field:questions[0]",
            "Only whitespace.",
            asking(r#""questions":[" \n\u2003"]"#),
        ),
        ("questions/number", "invalid_field:questions[0]", "Not a text.", asking(r#""questions":[5]"#)),
        (
            "questions/no-text",
            "invalid_field:questions[0].text",
            "An id needs a text.",
            asking(r#""questions":[{"id":"mine"}]"#),
        ),
        (
            "questions/no-id",
            "invalid_field:questions[0].id",
            "A text in an object needs an id.",
            asking(r#""questions":[{"text":"Why?"}]"#),
        ),
        (
            "questions/duplicate-id",
            "invalid_field:questions[1]",
            "One id, two texts.",
            asking(r#""questions":[{"id":"mine","text":"Why?"},{"id":"mine","text":"How?"}]"#),
        ),
        (
            "questions/catalogue-id-with-own-text",
            "invalid_field:questions[0].id",
            "An id of the catalogue means the catalogue's text.",
            asking(r#""questions":[{"id":"math_basic","text":"What is 3+3?"}]"#),
        ),
        (
            "questions/control-character-in-id",
            "invalid_field:questions[0].id",
            "Ids are shown in tables.",
            asking(r#""questions":[{"id":"a\nb","text":"Why?"}]"#),
        ),
    ]
}

fn models() -> Vec<Unusable> {
    let models = |models: &str| asking(&format!(r#""questions":["math_basic"],"models":{models}"#));
    vec![
        (
            "models/none",
            "invalid_field:models",
            "No model is named.",
            job("").replacen("\"models\"", "\"other\"", 1),
        ),
        ("models/not-a-list", "invalid_field:models", "A text is no list.", models(r#""a""#)),
        ("models/no-id", "invalid_field:models[0].id", "A model needs an id.", models(r#"[{"name":"A"}]"#)),
        ("models/empty-id", "invalid_field:models[1]", "An empty id.", models(r#"["a",""]"#)),
        (
            "models/unknown-region",
            "invalid_field:models[0].regions[1]",
            "No region of this name; the message lists the known ones.",
            models(r#"[{"id":"a","regions":["US","MARS"]}]"#),
        ),
        (
            "models/unknown-region-in-metadata",
            "invalid_field:metadata.models[0].regions[0]",
            "Members are checked whether they are used or not.",
            job("").replacen("\"llama3.2-1b\"", r#"{"id":"a","regions":["?"]}"#, 1),
        ),
        (
            "regions/unknown",
            "invalid_field:constraints.regions[1]",
            "No region of this name.",
            job("").replacen("\"EU\"", "\"MARS\"", 1),
        ),
        (
            "regions/not-texts",
            "invalid_field:constraints.regions[1]",
            "Not a text.",
            job("").replacen("\"EU\"", "5", 1),
        ),
        (
            "regions/none",
            "invalid_field:constraints.regions",
            "No region at all.",
            job("").replacen("[\"US\",\"EU\"]", "[]", 1),
        ),
    ]
}

fn members() -> Vec<Unusable> {
    vec![
        (
            "members/no-benchmark",
            "missing_field:benchmark.name",
            "A job names its benchmark.",
            job("").replacen("\"name\":\"vectors\",", "", 1),
        ),
        (
            "members/benchmark-is-text",
            "invalid_field:benchmark",
            "An object.",
            job("").replacen("{\"name\":\"vectors\",\"input\":{\"hash\":\"sha256:none\"}}", "\"vectors\"", 1),
        ),
        (
            "members/constraints-are-a-list",
            "invalid_field:constraints",
            "An object.",
            bounded("").replacen("\"constraints\":{\"regions\":[\"US\",\"EU\"]}", "\"constraints\":[]", 1),
        ),
        (
            "members/metadata-is-text",
            "invalid_field:metadata",
            "An object.",
            format!(
                r#"{{"id":"vector","questions":["math_basic"],"models":["m"],{REST},"metadata":"none"}}"#
            ),
        ),
        (
            "members/id-is-a-number",
            "invalid_field:id",
            "A text.",
            job("").replacen("\"id\":\"vector\"", "\"id\":5", 1),
        ),
        (
            "members/id-too-long",
            "limit_exceeded:id",
            "256 characters.",
            job("").replacen("\"vector\"", &format!("\"{}\"", "é".repeat(256)), 1),
        ),
    ]
}

fn numbers() -> Vec<Unusable> {
    vec![
        (
            "members/timeout-is-text",
            "invalid_field:constraints.timeout",
            "Nanoseconds, a number.",
            bounded(r#","timeout":"10m""#),
        ),
        (
            "members/timeout-too-long",
            "invalid_field:constraints.timeout",
            "More than a week.",
            bounded(r#","timeout":604800000000001"#),
        ),
        (
            "members/min-regions-is-a-fraction",
            "invalid_field:constraints.min_regions",
            "A whole number.",
            bounded(r#","min_regions":1.5"#),
        ),
        (
            "members/min-success-rate-too-high",
            "invalid_field:constraints.min_success_rate",
            "A share.",
            bounded(r#","min_success_rate":1.01"#),
        ),
        (
            "members/cost-below-zero",
            "invalid_field:constraints.max_cost",
            "A cap.",
            bounded(r#","max_cost":-1"#),
        ),
        (
            "members/too-many-runs",
            "invalid_field:runs",
            "At most 100.",
            asking(r#""questions":["math_basic"],"runs":101"#),
        ),
        (
            "members/seed-too-large",
            "invalid_field:sampling.seed",
            "Above 2^53 a signature cannot tell two seeds apart.",
            asking(r#""questions":["math_basic"],"sampling":{"seed":9007199254740993}"#),
        ),
        (
            "members/nonce-is-a-number",
            "invalid_field:metadata.nonce",
            "A text.",
            job("").replacen("\"VectorNonce-0123456789\"", "5", 1),
        ),
        (
            "members/too-many-executions",
            "limit_exceeded:questions × models × regions × runs",
            "1,020,000 executions.",
            too_many(),
        ),
    ]
}

/// 51 questions × 100 models × 2 regions × 100 runs.
fn too_many() -> String {
    let list = |length| (0..length).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(",");
    asking(&format!(r#""questions":[{}],"models":[{}],"runs":100"#, list(51), list(100)))
}
