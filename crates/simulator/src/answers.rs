//! Simulated answers and the two wire formats they are told in.

use beacon_spec::{ModelId, Region, Sha256Digest};
use serde::Serialize;
use serde_json::json;

use crate::{behaviour::Behaviour, draw::first_u64, work::Finished};

/// How every simulated answer begins.
pub const ANSWER_MARK: &str = "[simulated]";

/// The answer of the deployed inference function, written straight to bytes: no tree of values is built per call.
#[derive(Serialize)]
struct ModalAnswer<'a> {
    success: bool,
    response: &'a str,
    model: &'a str,
    inference_time: f64,
    region: &'a str,
    tokens_generated: u64,
    gpu_memory_used: u64,
    receipt: ModalReceipt<'a>,
}

#[derive(Serialize)]
struct ModalReceipt<'a> {
    schema_version: &'a str,
    execution_details: ExecutionDetails<'a>,
    output: Output<'a>,
    provenance: Provenance<'a>,
}

#[derive(Serialize)]
struct ExecutionDetails<'a> {
    provider_id: &'a str,
    region: &'a str,
    model: &'a str,
    started_at: f64,
    completed_at: f64,
    duration: f64,
}

#[derive(Serialize)]
struct Output<'a> {
    response: &'a str,
    prompt: &'a str,
    system_prompt: &'a str,
    tokens_generated: u64,
    metadata: OutputMetadata<'a>,
}

#[derive(Serialize)]
struct OutputMetadata<'a> {
    temperature: f64,
    max_tokens: u32,
    full_response: &'a str,
    region_context: &'a str,
}

#[derive(Serialize)]
struct Provenance<'a> {
    provider: &'a str,
    architecture: &'a str,
    model_registry: &'a str,
}

const SENTENCES: [&str; 8] = [
    "The question has more than one side.",
    "Sources differ on this point.",
    "Most accounts agree on the main facts.",
    "The short answer is yes, with reservations.",
    "The short answer is no, with exceptions.",
    "It depends on the period one looks at.",
    "I cannot give a definite answer.",
    "The matter is well documented.",
];

/// The text of an answer. It follows from these four alone, whatever the repetition.
#[must_use]
pub fn answer_text(seed: u64, model: &ModelId, region: Region, prompt: &str) -> String {
    let digest = Sha256Digest::of(format!("{seed}\0{model}\0{region}\0{prompt}").as_bytes());
    let number = first_u64(&digest);
    let sentence = |shift: u32| SENTENCES[(number >> shift) as usize % SENTENCES.len()];
    let (first, second, tag) = (sentence(0), sentence(8), &digest.to_string()[..8]);
    format!("{ANSWER_MARK} {model} in {region} answers: {first} {second} ({tag})")
}

/// The name that the deployed endpoints give to their region; Asia's is not our canonical one.
pub(crate) const fn wire_region(region: Region) -> &'static str {
    match region {
        Region::AsiaPacific => "asia-southeast",
        other => other.as_str(),
    }
}

/// The body of a Modal web endpoint's answer, as deployed by Project Beacon.
pub(crate) fn modal_body(done: &Finished) -> Vec<u8> {
    let (region, model) = (wire_region(done.region), done.model.as_str());
    let seconds = done.busy.as_secs_f64();
    if done.behaviour == Behaviour::ErrorIn200 {
        let error = "simulated generation failure";
        return bytes(
            &json!({ "success": false, "error": error, "region": region, "inference_time": seconds }),
        );
    }
    bytes(&ModalAnswer {
        success: true,
        response: &done.text,
        model,
        inference_time: seconds,
        region,
        tokens_generated: done.tokens,
        gpu_memory_used: 0,
        receipt: ModalReceipt {
            schema_version: "v0.1.0",
            execution_details: ExecutionDetails {
                provider_id: &format!("modal-{region}"),
                region,
                model,
                started_at: unix_s(done.started_at),
                completed_at: unix_s(done.completed_at),
                duration: seconds,
            },
            output: Output {
                response: &done.text,
                prompt: &done.ask.prompt,
                system_prompt: "",
                tokens_generated: done.tokens,
                metadata: OutputMetadata {
                    temperature: done.ask.temperature,
                    max_tokens: done.ask.max_tokens,
                    full_response: &done.text,
                    region_context: region,
                },
            },
            provenance: Provenance { provider: "modal", architecture: "simulated", model_registry: model },
        },
    })
}

/// The body of an OpenAI-compatible chat completion.
pub(crate) fn openai_body(done: &Finished) -> Vec<u8> {
    if done.behaviour == Behaviour::ErrorIn200 {
        let error = json!({ "message": "simulated generation failure", "type": "server_error" });
        return bytes(&json!({ "error": error }));
    }
    let prompt_tokens = tokens(&done.ask.prompt);
    bytes(&json!({
        "id": format!("chatcmpl-sim-{}", done.number),
        "object": "chat.completion",
        "created": done.completed_at.as_second(),
        "model": done.model.as_str(),
        "system_fingerprint": "fp_simulated",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": done.text },
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": done.tokens,
            "total_tokens": prompt_tokens + done.tokens,
        },
    }))
}

fn bytes(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("an answer has only string keys and finite numbers")
}

/// Words stand for tokens.
pub(crate) fn tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// Unix seconds with a fraction, as the deployed endpoints write them.
pub(crate) fn unix_s(time: beacon_spec::Timestamp) -> f64 {
    time.as_microsecond() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tests::finished;

    #[test]
    fn an_answer_follows_from_seed_model_region_and_prompt() {
        let model = ModelId::new("m").unwrap();
        let text = |seed, region, prompt| answer_text(seed, &model, region, prompt);

        let first = text(1, Region::UsEast, "a");
        assert_eq!(first, text(1, Region::UsEast, "a"));
        assert!(first.starts_with("[simulated] m in us-east answers: "));
        let others =
            [text(2, Region::UsEast, "a"), text(1, Region::EuWest, "a"), text(1, Region::UsEast, "b")];
        assert!(!others.contains(&first));
    }

    #[test]
    fn the_modal_answer_has_the_shape_of_the_deployed_endpoints() {
        let answer: serde_json::Value = serde_json::from_slice(&modal_body(&finished(1))).unwrap();

        let expected = json!({
            "success": true, "response": "[simulated] text", "model": "m", "inference_time": 1.5,
            "region": "asia-southeast", "tokens_generated": 2, "gpu_memory_used": 0,
            "receipt": {
                "schema_version": "v0.1.0",
                "execution_details": {
                    "provider_id": "modal-asia-southeast", "region": "asia-southeast", "model": "m",
                    "started_at": 0.0, "completed_at": 1.5, "duration": 1.5,
                },
                "output": {
                    "response": "[simulated] text", "prompt": "a prompt", "system_prompt": "", "tokens_generated": 2,
                    "metadata": {
                        "temperature": 0.5, "max_tokens": 10, "full_response": "[simulated] text",
                        "region_context": "asia-southeast",
                    },
                },
                "provenance": { "provider": "modal", "architecture": "simulated", "model_registry": "m" },
            },
        });
        assert_eq!(answer, expected);
    }
}
