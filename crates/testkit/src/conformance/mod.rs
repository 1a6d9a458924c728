//! What every store holds, case by case. [`store_conformance!`](crate::store_conformance) runs all of it.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on says so")]

pub mod abandoning;
pub mod accepting;
pub mod accounts;
pub mod answering;
pub mod claiming;
pub mod delivering;
pub mod ending;
pub mod leasing;
pub mod operating;
pub mod paging;
pub mod quotas;
pub mod recording;
mod scene;
pub mod steering;
pub mod twins;
pub mod viewing;

pub use scene::{Scene, Store};

/// Makes one test of every case. `$make` is an async function without arguments that gives an empty store, and
/// something that lives as long as it.
#[macro_export]
macro_rules! store_conformance {
    ($make:path) => {
        use $make as empty_store;
        $crate::store_conformance! { @group
            abandoning: an_abandoned_call_holds_its_slot_as_long_as_it_may_run,
                a_dropped_call_of_a_cancelled_job_holds_its_slot_as_long_as_it_may_run,
                the_call_of_a_worker_that_died_holds_its_slot_as_long_as_it_may_run,
                the_time_of_a_dead_workers_call_begins_with_the_end_of_its_lease,
                abandoned_calls_are_shown_as_long_as_they_count, a_call_past_its_end_gives_its_execution_no_slot,
                what_an_operator_forgets_holds_no_slot,
                an_error_that_leaves_a_call_running_holds_its_slot,
                a_call_that_can_be_found_again_keeps_its_slot_for_its_execution,
                a_call_that_nobody_finds_again_frees_its_slot_in_the_end, abandoned_calls_count_against_every_limit,
                the_call_of_a_cancelled_job_is_not_found_again_and_counts_as_any_other;
            accepting: all_executions_exist_from_acceptance_on, the_same_bytes_are_the_same_job,
                other_bytes_under_the_same_id_are_a_conflict, a_used_nonce_is_refused_where_it_must_be_new,
                one_signature_point_over_two_messages_is_a_compromised_key, ids_are_scoped_by_key,
                cells_that_nobody_serves_are_unsupported_from_the_start;
            claiming: questions_follow_each_other, no_endpoint_waits_for_another_in_endpoint_mode,
                an_endpoints_limit_holds_over_all_jobs_and_workers, accounts_and_the_whole_have_limits_too,
                a_worker_gets_no_more_than_it_asked_for, keys_share_an_endpoint_by_weight,
                jobs_of_one_key_share_it_equally, a_due_retry_goes_before_what_never_ran,
                a_days_budget_stops_claims_until_the_next_day, a_claim_says_when_to_look_again,
                a_claim_says_what_bounds_it, a_cancelled_call_holds_its_slot_until_it_is_gone,
                a_late_answer_or_the_end_of_its_lease_frees_a_cancelled_calls_slot;
            leasing: an_expired_lease_is_claimed_again_under_a_new_token, a_renewed_lease_does_not_expire,
                a_lost_lease_says_why, a_resume_token_survives_its_worker, only_the_holder_writes_a_resume_token,
                a_lease_given_back_counts_no_attempt, an_execution_that_kills_its_workers_fails;
            recording: a_replayed_recording_changes_nothing, a_stale_worker_writes_nothing,
                failures_and_throttles_are_counted_apart, every_attempt_is_kept,
                a_job_at_its_cost_cap_ends_and_says_so, an_answer_after_a_cancel_is_kept_as_late,
                the_last_of_a_batch_opens_the_next_and_tells_the_gap;
            ending: a_jobs_state_follows_from_its_executions, the_minima_set_a_verdict,
                a_cancel_tells_real_numbers_and_a_second_one_says_so, an_unknown_job_is_not_cancelled,
                a_deadline_ends_what_is_open, the_first_close_stays;
            viewing: jobs_come_newest_first_in_pages, counts_equal_rows_along_every_axis,
                records_come_in_the_order_of_the_plan_in_pages, failures_are_counted_with_their_cause;
            steering: a_paused_job_gives_nothing_until_it_is_resumed, calls_in_flight_of_a_paused_job_go_on,
                a_pause_says_by_whom_and_when_and_a_second_one_changes_nothing, a_paused_job_meets_its_deadline,
                only_an_open_job_is_paused, the_signed_bytes_come_back_as_they_arrived;
            operating: another_limit_holds_at_once_and_never_above_the_highest,
                a_drained_endpoint_gives_nothing_and_says_why, changes_of_endpoints_are_listed, what_is_stuck_is_found,
                workers_are_there_until_they_leave_or_fall_silent;
            answering: a_repeated_request_gets_the_answer_of_the_first, another_request_under_a_key_is_told_apart,
                a_request_whose_process_is_gone_is_taken_over, a_request_that_was_given_up_may_come_again,
                an_old_answer_is_forgotten, a_look_at_a_request_begins_nothing;
            quotas: open_executions_of_a_key_are_bounded, jobs_of_a_day_are_bounded, the_spend_of_a_day_is_set_aside,
                an_operators_quota_goes_before_the_rings, many_submissions_at_once_never_pass_a_quota;
            accounts: a_token_is_found_by_its_hash, a_revoked_token_allows_nothing,
                trusted_keys_are_kept_with_their_policy, a_revoked_key_is_never_trusted_again,
                the_audit_trail_is_read_in_pages;
            delivering: a_delivery_is_taken_by_one_sender_at_a_time, a_delivery_whose_sender_died_is_sent_again,
                a_delivery_ends_done_or_given_up_and_the_log_says_so, a_receiver_with_many_deliveries_delays_no_other,
                a_key_with_many_receivers_delays_no_other_key, a_receiver_that_one_key_keeps_busy_is_told_by_another,
                the_backlog_is_counted_and_its_lateness_told, the_log_of_a_job_is_read_in_pages;
            paging: pages_of_cells_are_the_matrix, a_filter_picks_cells_along_every_axis,
                what_a_job_does_not_have_is_an_empty_page, batches_are_those_of_the_progress,
                recent_executions_come_from_the_newest_job_on, endpoints_tell_what_runs_and_what_waits,
                latencies_are_those_of_answers,
                jobs_are_listed_by_key;
        }
    };
    (@group $($group:ident: $($case:ident),* $(,)?;)*) => {
        $(mod $group {
            $(#[tokio::test]
            async fn $case() {
                let (store, _alive) = super::empty_store().await;
                $crate::conformance::$group::$case($crate::conformance::Scene::new(store)).await;
            })*
        })*
    };
}
