//! Warm latencies: as configured, and the same again with the same seed and order.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use beacon_domain::{
    Answer, AttemptId, Backend as _, CallContext, CallRequest, Checkpoint, CheckpointError, Clock,
    ExecutionId, JobId, Monotonic, ResumeToken, SpanId, SystemClock,
};
use beacon_simulator::{SimConfig, SimEndpoint, Simulator, Warm};
use beacon_spec::{ModelId, Region, Sampling};

use crate::site::{Site, endpoint};

/// Keeps nothing.
pub(crate) struct Forget;

#[async_trait]
impl Checkpoint for Forget {
    async fn save(&self, _: ResumeToken) -> Result<(), CheckpointError> {
        Ok(())
    }
}

pub(crate) fn request(prompt: &str) -> CallRequest {
    CallRequest {
        model: ModelId::new("m").unwrap(),
        region: Region::UsEast,
        prompt: prompt.into(),
        sampling: Sampling::default(),
    }
}

pub(crate) fn context(number: u32, deadline: Monotonic) -> CallContext {
    CallContext {
        attempt: AttemptId {
            execution: ExecutionId { job: JobId::from_bytes([1; 16]), n: number },
            number: 1,
        },
        deadline,
        stop: tokio_util::sync::CancellationToken::new(),
        resume: None,
        checkpoint: Arc::new(Forget),
        trace_id: "trace".into(),
        span: SpanId::of_job(JobId::from_bytes([1; 16])),
    }
}

/// The answers to 20 calls, one after the other, on virtual time.
async fn answers(seed: u64, warm: Warm) -> Vec<Answer> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let config = SimConfig { seed, endpoints: vec![SimEndpoint { warm, ..endpoint(0.0) }] };
    let simulator = Simulator::new(config, Arc::clone(&clock)).unwrap();
    let backend = simulator.backends().remove(0);
    let mut answers = Vec::new();
    for number in 0..20 {
        let deadline = clock.monotonic() + Duration::from_secs(3600);
        answers.push(backend.call(&request("why?"), &context(number, deadline)).await.unwrap());
    }
    answers
}

fn times(answers: &[Answer]) -> Vec<Duration> {
    answers.iter().map(|answer| answer.usage.provider_time.unwrap()).collect()
}

#[tokio::test]
async fn a_fixed_latency_is_kept_to_the_millisecond() {
    let site = Site::with(vec![endpoint(2.5)]).await;
    let call = site.start("why?").await;

    site.advance(2.499);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!call.is_finished());
    site.advance(0.001);

    assert_eq!(call.await.unwrap().json()["inference_time"], 2.5);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_and_order_give_the_same_latencies_and_texts() {
    for warm in [Warm::Normal { mean_s: 5.0, sd_s: 1.0 }, Warm::Exponential { mean_s: 5.0 }] {
        let (first, again, other) = (answers(7, warm).await, answers(7, warm).await, answers(8, warm).await);

        assert_eq!(times(&first), times(&again), "{warm:?}");
        let texts = |answers: &[Answer]| answers.iter().map(|one| one.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&first), texts(&again), "{warm:?}");
        assert_ne!(times(&first), times(&other), "{warm:?}");
        assert_ne!(first[0].text, other[0].text, "{warm:?}");
        assert!(first.iter().all(|answer| answer.text.starts_with("[simulated] m in us-east")), "{warm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn random_latencies_vary_and_fixed_ones_do_not() {
    let spread = |times: Vec<Duration>| *times.iter().max().unwrap() - *times.iter().min().unwrap();

    assert_eq!(spread(times(&answers(1, Warm::FixedS(5.0)).await)), Duration::ZERO);
    assert!(
        spread(times(&answers(1, Warm::Normal { mean_s: 5.0, sd_s: 1.0 }).await)) > Duration::from_secs(1)
    );
    assert!(spread(times(&answers(1, Warm::Exponential { mean_s: 5.0 }).await)) > Duration::from_secs(5));
}
