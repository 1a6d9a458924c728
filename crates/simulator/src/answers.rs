//! Simulated answers and the two wire formats they are told in.

use beacon_spec::{ModelId, Region, Sha256Digest};
use serde_json::{Value, json};

use crate::{config::Behaviour, draw::first_u64, model::Finished};

/// How every simulated answer begins.
pub const ANSWER_MARK: &str = "[simulated]";

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
pub(crate) fn modal_body(done: &Finished) -> Value {
    let region = wire_region(done.region);
    let seconds = done.busy.as_secs_f64();
    if done.behaviour == Behaviour::ErrorIn200 {
        return json!({
            "success": false, "error": "simulated generation failure",
            "region": region, "inference_time": seconds,
        });
    }
    let model = done.model.as_str();
    json!({
        "success": true,
        "response": done.text,
        "model": model,
        "inference_time": seconds,
        "region": region,
        "tokens_generated": done.tokens,
        "gpu_memory_used": 0,
        "receipt": {
            "schema_version": "v0.1.0",
            "execution_details": {
                "provider_id": format!("modal-{region}"),
                "region": region,
                "model": model,
                "started_at": unix_s(done.started_at),
                "completed_at": unix_s(done.completed_at),
                "duration": seconds,
            },
            "output": {
                "response": done.text,
                "prompt": &*done.ask.prompt,
                "system_prompt": "",
                "tokens_generated": done.tokens,
                "metadata": {
                    "temperature": done.ask.temperature,
                    "max_tokens": done.ask.max_tokens,
                    "full_response": done.text,
                    "region_context": region,
                },
            },
            "provenance": { "provider": "modal", "architecture": "simulated", "model_registry": model },
        },
    })
}

/// The body of an OpenAI-compatible chat completion.
pub(crate) fn openai_body(done: &Finished) -> Value {
    if done.behaviour == Behaviour::ErrorIn200 {
        return json!({ "error": { "message": "simulated generation failure", "type": "server_error" } });
    }
    let prompt_tokens = tokens(&done.ask.prompt);
    json!({
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
    })
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
}
