//! The JSON Schema of a signed job, made of the same numbers that are enforced.

use serde_json::{Value, json};

use crate::limits;

/// The schema, draft 2020-12. Unknown members are allowed: they are signed content.
#[must_use]
pub fn job_schema() -> Value {
    let nanos = limits::MAX_TIMEOUT_S * 1_000_000_000;
    let regions = json!({ "type": "array", "minItems": 1, "maxItems": limits::MAX_REGIONS, "items": { "type": "string" } });
    let question = json!({ "oneOf": [
        { "type": "string", "minLength": 1, "maxLength": limits::MAX_QUESTION_CHARS },
        { "type": "object", "required": ["id", "text"], "properties": {
            "id": { "type": "string", "maxLength": crate::QuestionId::MAX_CHARS },
            "text": { "type": "string", "minLength": 1, "maxLength": limits::MAX_QUESTION_CHARS } } }
    ] });
    let model = json!({ "oneOf": [
        { "type": "string", "minLength": 1, "maxLength": crate::ModelId::MAX_CHARS },
        { "type": "object", "required": ["id"], "properties": {
            "id": { "type": "string", "maxLength": crate::ModelId::MAX_CHARS }, "regions": regions } }
    ] });
    let models = json!({ "type": "array", "maxItems": limits::MAX_MODELS, "items": model });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Beacon job",
        "type": "object",
        "required": ["benchmark", "constraints", "signature", "public_key"],
        "properties": {
            "id": { "type": "string", "maxLength": crate::JobName::MAX_CHARS },
            "version": { "type": "string" },
            "benchmark": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string", "minLength": 1 } } },
            "questions": { "type": "array", "maxItems": limits::MAX_QUESTIONS, "items": question },
            "models": models,
            "runs": { "type": "integer", "minimum": 0, "maximum": limits::MAX_RUNS },
            "sampling": { "type": "object", "properties": {
                "temperature": { "type": "number", "minimum": 0, "maximum": 2 },
                "max_tokens": { "type": "integer", "minimum": 0, "maximum": limits::MAX_TOKENS },
                "top_p": { "type": "number", "minimum": 0, "maximum": 1 },
                "seed": { "type": "integer", "minimum": 0 } } },
            "constraints": { "type": "object", "properties": {
                "regions": regions,
                "min_regions": { "type": "integer", "minimum": 0, "maximum": limits::MAX_REGIONS },
                "min_success_rate": { "type": "number", "minimum": 0, "maximum": 1 },
                "timeout": { "type": "integer", "minimum": 0, "maximum": nanos, "description": "nanoseconds, the whole job" },
                "provider_timeout": { "type": "integer", "minimum": 0, "maximum": nanos, "description": "nanoseconds, one attempt" },
                "max_cost": { "type": "number", "minimum": 0, "description": "dollars" } } },
            "metadata": { "type": "object", "properties": {
                "models": models,
                "timestamp": { "type": "string", "format": "date-time" },
                "nonce": { "type": "string" } } },
            "signature": { "type": "string", "description": "Ed25519, 64 bytes, padded base64" },
            "public_key": { "type": "string", "description": "32 raw bytes, padded base64" }
        }
    })
}
