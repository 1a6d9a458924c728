//! The workload that this project was made for, at its real scale, on virtual time.

use beacon_domain::{Batching, JobState};
use beacon_tests::virtual_run;

// S2, S12
#[tokio::test(start_paused = true)]
async fn sixty_four_executions_with_cold_starts_of_minutes_take_no_longer_than_they_must() {
    for batching in [Batching::Question, Batching::Endpoint] {
        let job = virtual_run(batching).await.unwrap();

        assert_eq!((job.state, job.counts.completed), (JobState::Completed, 64));
        let (span, bound) = (job.makespan().unwrap(), job.lower_bound.unwrap());
        assert_eq!(bound.as_secs(), 180 + 8 * 40);
        assert!(
            span.as_secs_f64() <= bound.as_secs_f64() * 1.001,
            "{batching:?}: {span:?} against {bound:?}"
        );
    }
}
