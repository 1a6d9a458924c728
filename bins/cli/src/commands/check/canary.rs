//! The canary: one small real call, and what its answer shows about an endpoint (C8).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Answer, AttemptId, Backend, CallContext, CallRequest, Checkpoint, CheckpointError, Clock, ExecutionId,
    JobId, ResumeToken, SpanId,
};
use beacon_spec::{Sampling, Sha256Digest};
use tokio_util::sync::CancellationToken;

/// Long enough for a cold start and a model's load.
const CALL_LIMIT: Duration = Duration::from_secs(900);
const PROMPT: &str = "Which planet do people live on? Answer with one word.";
/// Reasoning models think before they answer.
const MAX_TOKENS: u32 = 256;

/// Calls the endpoint once. Region and model of the answer are compared by the provider, as in every call (C6).
pub(super) async fn call(backend: &dyn Backend, clock: &dyn Clock) -> Result<String, String> {
    let endpoint = backend.describe();
    let request = CallRequest {
        model: endpoint.model.clone(),
        region: endpoint.region,
        prompt: PROMPT.into(),
        sampling: Sampling { temperature: 0.0, max_tokens: MAX_TOKENS, top_p: None, seed: None },
    };
    let begun = clock.monotonic();
    let answer = backend.call(&request, &context(backend, clock)).await;
    let took = clock.monotonic().since(begun);
    match answer {
        Ok(answer) => judge(&answer).map(|()| {
            let model =
                answer.model_observed.as_ref().map_or("a model it does not name", |model| model.as_str());
            let region = answer.region_observed.map_or("a region it does not name", |region| region.as_str());
            format!("answered after {:.1} s, {model} in {region}", took.as_secs_f64())
        }),
        Err(error) => Err(format!("{error} (after {:.1} s)", took.as_secs_f64())),
    }
}

/// What passes for an answer but is none.
fn judge(answer: &Answer) -> Result<(), String> {
    let text = answer.text.to_lowercase();
    if text.trim().is_empty() {
        return Err("the answer is empty; see the endpoint's logs, and its bound on tokens".to_owned());
    }
    if text.contains(&PROMPT.to_lowercase()) {
        return Err(
            "the answer repeats the prompt; this is an echo or a broken chat template, not a model's answer"
                .to_owned(),
        );
    }
    Ok(())
}

/// Every canary has an idempotency key of its own, so that no server answers it from memory.
fn context(backend: &dyn Backend, clock: &dyn Clock) -> CallContext {
    let unique = format!("canary\0{}\0{}", backend.describe().id, clock.now());
    let mut job = [0; 16];
    job.copy_from_slice(&Sha256Digest::of(unique.as_bytes()).as_bytes()[..16]);
    let job = JobId::from_bytes(job);
    CallContext {
        attempt: AttemptId { execution: ExecutionId { job, n: 0 }, number: 1 },
        span: SpanId::of_job(job),
        deadline: clock.monotonic() + CALL_LIMIT,
        stop: CancellationToken::new(),
        resume: None,
        checkpoint: Arc::new(NotKept),
        trace_id: format!("check-{}", job.short()).into(),
    }
}

/// A canary is not resumed.
struct NotKept;

#[async_trait]
impl Checkpoint for NotKept {
    async fn save(&self, _: ResumeToken) -> Result<(), CheckpointError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, problem: Option<&str>) {
        let judged = judge(&Answer::of_text(text)).err();

        assert_eq!(judged.is_some(), problem.is_some(), "{text}: {judged:?}");
        assert!(judged.unwrap_or_default().contains(problem.unwrap_or_default()), "{text}");
    }

    // C8
    #[test]
    fn an_echo_and_an_empty_answer_are_no_answers() {
        check("Earth", None);
        check("I cannot answer that.", None);
        check(" \n", Some("empty"));
        check(PROMPT, Some("repeats the prompt"));
        check(&format!("user\n{}\nassistant\nEarth", PROMPT.to_uppercase()), Some("repeats the prompt"));
    }
}
