//! The JSON Schema of a signed job, made of the same numbers that are enforced.

use serde_json::{Value, json};

use crate::{JobName, ModelId, PAYLOAD_TYPE, QuestionId, WebhookEvent, catalogue::QUESTIONS, limits};

/// Texts that hold no control character, as ids must not.
const NO_CONTROLS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// Texts that can only be meant as an id of the catalogue.
const LIKE_AN_ID: &str = "^[a-z0-9]+(_[a-z0-9]+)+$";

/// The schema, draft 2020-12: the bare signed job, and under `$defs` the two envelopes. Unknown members are allowed
/// everywhere: they are signed content. What a schema cannot say is in the descriptions.
#[must_use]
pub fn job_schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Signed Beacon job",
        "description": format!(
            "UTF-8 JSON of at most {} bytes, {} values and {} levels, without duplicate keys. Null and, where a text \
             is optional, the empty text count as absent. questions × models × regions × runs is at most {}. Unknown \
             members are allowed, signed and ignored.",
            limits::MAX_SPEC_BYTES, limits::MAX_JSON_VALUES, limits::MAX_DEPTH, limits::MAX_EXECUTIONS,
        ),
        "type": "object",
        "required": ["benchmark", "signature", "public_key"],
        "properties": {
            "id": id("the signer's id for the job; unsigned under profile P", JobName::MAX_CHARS),
            "jobspec_id": id("stands in for id where that is absent", JobName::MAX_CHARS),
            "version": text("else benchmark.version, else 1.0", limits::MAX_VERSION_CHARS),
            "benchmark": benchmark(),
            "questions": questions(),
            "models": models("else metadata.models"),
            "runs": whole("how often each cell runs; 0 is 1", limits::MAX_RUNS),
            "sampling": sampling(),
            "constraints": constraints(),
            "webhooks": webhooks(),
            "metadata": metadata(),
            "created_at": ignored("unsigned under profile P"),
            "wallet_auth": ignored("never checked; it proves nothing here"),
        },
        "$defs": { "wrapper": wrapper(), "dsse": dsse() },
    });
    schema["properties"]["signature"] = json!({
        "type": "string", "minLength": 88, "maxLength": 88,
        "description": "Ed25519 over the canonical bytes: 64 bytes in padded base64",
    });
    schema["properties"]["public_key"] = json!({
        "type": "string", "minLength": 44, "maxLength": 44,
        "description": "the key that signed: 32 raw bytes in padded base64",
    });
    schema
}

fn text(description: &str, max: usize) -> Value {
    json!({ "type": ["string", "null"], "maxLength": max, "description": description })
}

fn id(description: &str, max: usize) -> Value {
    json!({ "type": ["string", "null"], "maxLength": max, "pattern": NO_CONTROLS, "description": description })
}

fn whole(description: &str, max: u64) -> Value {
    json!({ "type": ["integer", "null"], "minimum": 0, "maximum": max, "description": description })
}

fn number(description: &str, max: f64) -> Value {
    json!({ "type": ["number", "null"], "minimum": 0, "maximum": max, "description": description })
}

fn object(description: &str, properties: Value) -> Value {
    json!({ "type": ["object", "null"], "description": description, "properties": properties })
}

/// A known member without a meaning here. Any value will do.
fn ignored(description: &str) -> Value {
    json!({ "description": format!("ignored; {description}") })
}

fn benchmark() -> Value {
    let resources = "cpu, memory, gpu: nothing is started from them";
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string", "minLength": 1, "maxLength": limits::MAX_BENCHMARK_CHARS, "pattern": NO_CONTROLS,
                "description": "where it contains \"bias\" and the version is v1, questions must be given",
            },
            "version": text("stands in for version where that is absent", limits::MAX_VERSION_CHARS),
            "description": ignored("for people"),
            "container": {
                "description": "ignored; endpoints are configured by the operator",
                "properties": {
                    "image": ignored("no container is started"), "tag": ignored("no container is started"),
                    "command": ignored("no command is run"), "environment": ignored("no command is run"),
                    "resources": ignored(resources),
                },
            },
            "input": object("the prompt of jobs without questions", json!({
                "type": ignored("prompt is what is meant"),
                "hash": ignored("never checked"),
                "data": object("older place of the prompt and of sampling", json!({
                    "prompt": text("the question where questions is absent or empty", limits::MAX_QUESTION_CHARS),
                    "temperature": number("else 0.1", limits::MAX_TEMPERATURE),
                    "max_tokens": whole("0 is 500", limits::MAX_TOKENS),
                })),
            })),
            "scoring": ignored("answers are scored by versioned rules, not by the job"),
            "metadata": ignored("for people"),
        },
    })
}

fn questions() -> Value {
    let texts = |more: Value| {
        let mut schema =
            json!({ "type": "string", "maxLength": limits::MAX_QUESTION_CHARS, "pattern": r"\S" });
        schema.as_object_mut().expect("it is one").extend(more.as_object().cloned().expect("it is one"));
        schema
    };
    json!({
        "type": ["array", "null"],
        "maxItems": limits::MAX_QUESTIONS,
        "description": "in this order, each once; the same id with two texts is refused",
        "items": { "anyOf": [
            { "enum": QUESTIONS.map(|(id, ..)| id), "description": "an id of the catalogue" },
            texts(json!({ "not": { "pattern": LIKE_AN_ID }, "description": "a text that is no catalogue id" })),
            {
                "type": "object",
                "required": ["id", "text"],
                "properties": {
                    "id": {
                        "type": "string", "minLength": 1, "maxLength": QuestionId::MAX_CHARS, "pattern": NO_CONTROLS,
                        "description": "an id of the catalogue only with the catalogue's text",
                    },
                    "text": texts(json!({})),
                },
            },
        ] },
    })
}

fn models(description: &str) -> Value {
    json!({
        "type": ["array", "null"],
        "maxItems": limits::MAX_MODELS,
        "description": format!("each once, regions joined; {description}"),
        "items": { "anyOf": [
            { "type": "string", "minLength": 1, "maxLength": ModelId::MAX_CHARS, "pattern": NO_CONTROLS },
            {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": { "type": "string", "minLength": 1, "maxLength": ModelId::MAX_CHARS, "pattern": NO_CONTROLS },
                    "name": ignored("for people"), "provider": ignored("endpoints are configured by the operator"),
                    "container_image": ignored("no container is started"),
                    "regions": regions("else, and where it is empty, those of the constraints"),
                },
            },
        ] },
    })
}

fn regions(description: &str) -> Value {
    json!({
        "type": ["array", "null"],
        "maxItems": limits::MAX_REGIONS,
        "description": description,
        "items": {
            "type": "string", "minLength": 1, "maxLength": limits::MAX_REGION_CHARS,
            "examples": ["us-east", "eu-west", "asia-pacific", "US", "EU", "ASIA", "APAC"],
            "description": "us-east (US, USA, NA), eu-west (EU, EUROPE), asia-pacific (ASIA, APAC, ASIA-SOUTHEAST); in any case, _ as -",
        },
    })
}

fn sampling() -> Value {
    object(
        "the parameters of every call; what is absent is taken from benchmark.input.data",
        json!({
            "temperature": number("0 is greedy; else 0.1", limits::MAX_TEMPERATURE),
            "max_tokens": whole("0 is 500", limits::MAX_TOKENS),
            "top_p": number("nucleus sampling", 1.0),
            "seed": whole("for providers that know one", limits::MAX_SEED),
        }),
    )
}

fn constraints() -> Value {
    object(
        "what bounds the job",
        json!({
            "regions": regions("at least one, unless every model names its own"),
            "min_regions": whole("regions that must have answers for the verdict; 0 is 1", limits::MAX_REGIONS as u64),
            "min_success_rate": number("share of executions that must complete for the verdict; 0 is 0.67", 1.0),
            "timeout": whole("nanoseconds, the whole job; 0 is no own limit", limits::MAX_TIMEOUT_NS),
            "provider_timeout": whole("nanoseconds, one attempt; 0 is no own limit", limits::MAX_TIMEOUT_NS),
            "max_cost": number("dollars, the whole job; 0 is no cap", limits::MAX_COST_USD),
            "providers": ignored("endpoints are configured by the operator; a job cannot choose among them"),
        }),
    )
}

fn webhooks() -> Value {
    json!({
        "type": ["array", "null"], "maxItems": limits::MAX_WEBHOOKS,
        "description": "who is told of the job, each url once; which addresses are allowed is the operator's decision",
        "items": {
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {
                    "type": "string", "maxLength": limits::MAX_URL_CHARS,
                    "pattern": r"^https?://[A-Za-z0-9.:\[\]-]+([/?#][!-~]*)?$",
                    "description": "http or https, without a user",
                },
                "events": {
                    "type": ["array", "null"], "maxItems": limits::MAX_WEBHOOK_EVENTS,
                    "items": { "enum": WebhookEvent::ALL.map(WebhookEvent::as_str) },
                    "description": "job.ended where it is absent or empty",
                },
            },
        },
    })
}

fn metadata() -> Value {
    object(
        "any members; these have a meaning",
        json!({
            "models": models("used where models is absent or empty"),
            "timestamp": {
                "type": ["string", "null"], "maxLength": limits::MAX_TIMESTAMP_CHARS, "format": "date-time",
                "description": "when it was signed, RFC 3339; services require it and refuse an old one",
            },
            "nonce": text("once per key; services require it and refuse a known one", limits::MAX_NONCE_CHARS),
        }),
    )
}

fn wrapper() -> Value {
    json!({
        "title": "Wrapper",
        "description": "An unsigned envelope of older clients. It may repeat what was signed; what contradicts it is refused.",
        "type": "object",
        "required": ["jobspec"],
        "properties": {
            "jobspec": { "$ref": "#" },
            "target_regions": regions("the regions of the job"),
            "min_regions": whole("0 says nothing", limits::MAX_REGIONS as u64),
            "min_success_rate": number("0 says nothing", 1.0),
            "enable_analysis": ignored("what is analysed does not depend on it"),
        },
    })
}

fn dsse() -> Value {
    json!({
        "title": "DSSE envelope",
        "description": "The payload is a job without signature and public_key, signed as sent.",
        "type": "object",
        "required": ["payloadType", "payload", "signatures"],
        "properties": {
            "payloadType": { "const": PAYLOAD_TYPE },
            "payload": { "type": "string", "contentEncoding": "base64" },
            "signatures": {
                "type": "array", "minItems": 1, "maxItems": 1,
                "items": {
                    "type": "object",
                    "required": ["keyid", "sig"],
                    "properties": {
                        "keyid": { "type": "string", "minLength": 44, "maxLength": 44, "description": "the public key, padded base64" },
                        "sig": { "type": "string", "minLength": 88, "maxLength": 88, "description": "64 bytes, padded base64" },
                    },
                },
            },
        },
    })
}
