//! One execution with everything that is known of it.

use beacon_domain::{
    Answer, AttemptRecord, CallError, ErrorClass, ErrorCode, ExecutionRecord, JobId, Stage, Usage,
};
use beacon_spec::{ModelId, Receipt, Region, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Execution, names};

/// An execution with its attempts, its answer and its receipt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Record {
    #[serde(flatten)]
    execution: Execution,
    /// The id of the job's trace, as endpoints, log lines and exported spans have it.
    #[schema(value_type = names::JobId)]
    trace_id: JobId,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
    /// The question's text as sent.
    prompt: String,
    /// Every attempt, in order.
    history: Vec<Attempt>,
    /// What happened, in order.
    timeline: Vec<Moment>,
    answer: Option<AnswerShape>,
    /// Why it has none, once ended.
    error: Option<ErrorShape>,
    has_receipt: bool,
    /// The signed record, exactly as it was signed.
    #[schema(value_type = Option<Object>)]
    receipt: Option<Receipt>,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
struct Attempt {
    /// From 1.
    number: u32,
    /// When the execution could first be claimed.
    #[schema(value_type = String, format = DateTime)]
    queued_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    dispatched_at: Timestamp,
    /// When the provider says that it started, if told.
    #[schema(value_type = Option<String>, format = DateTime)]
    provider_started_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    finished_at: Timestamp,
    /// On a clock that never jumps.
    duration_s: f64,
    usage: UsageShape,
    /// Result URLs read.
    redirects: u32,
    /// Whether it re-attached to a call that an earlier worker had started.
    resumed: bool,
    provider_call_id: Option<String>,
    error: Option<ErrorShape>,
    /// Whether it came after the execution had already ended: kept, not counted.
    late: bool,
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
struct Moment {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `queued`, `dispatched`, `provider_started`, `answered`, `failed`, or `late`.
    what: &'static str,
    attempt: u32,
}

/// A finished answer. Empty text is an answer too.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Answer)]
struct AnswerShape {
    text: String,
    /// The model that the endpoint named, in its own words.
    #[schema(value_type = Option<String>)]
    model_observed: Option<ModelId>,
    #[schema(value_type = Option<String>)]
    region_observed: Option<Region>,
    usage: UsageShape,
    /// Why generation ended, if told.
    finish_reason: Option<String>,
    system_fingerprint: Option<String>,
    provider_call_id: Option<String>,
    redirects: u32,
}

/// What a call consumed, as far as told. Null is unknown, never zero.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
struct UsageShape {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    /// Time that the provider says it worked.
    provider_time_s: Option<f64>,
    /// In millionths of a dollar.
    cost_micros: Option<u64>,
}

/// Why a call failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallError)]
struct ErrorShape {
    /// Stable.
    #[schema(value_type = String)]
    code: ErrorCode,
    /// Decides whether it is tried again.
    #[schema(value_type = String)]
    class: ErrorClass,
    /// Where it happened.
    #[schema(value_type = String)]
    stage: Stage,
    http_status: Option<u16>,
    message: String,
    retry_after_s: Option<f64>,
}

impl From<ExecutionRecord> for Record {
    fn from(record: ExecutionRecord) -> Self {
        let ExecutionRecord { id, cell, prompt, attempts, answer, error, receipt } = record;
        let ended = cell.state.is_terminal();
        let last = attempts.iter().rev().find(|attempt| !attempt.late);
        Self {
            completed_at: last.filter(|_| ended).map(|attempt| attempt.finished_at),
            execution: Execution::new(id.job, cell),
            trace_id: id.job,
            prompt,
            timeline: timeline(&attempts),
            history: attempts.into_iter().map(Attempt::from).collect(),
            answer: answer.map(AnswerShape::from),
            error: error.map(ErrorShape::from),
            has_receipt: receipt.is_some(),
            receipt,
        }
    }
}

fn timeline(attempts: &[AttemptRecord]) -> Vec<Moment> {
    let moments = attempts.iter().flat_map(|attempt| {
        let end = match (attempt.late, &attempt.error) {
            (true, _) => "late",
            (false, None) => "answered",
            (false, Some(_)) => "failed",
        };
        let started = attempt.provider_started_at.map(|at| (at, "provider_started"));
        let moments = [
            Some((attempt.queued_at, "queued")),
            Some((attempt.dispatched_at, "dispatched")),
            started,
            Some((attempt.finished_at, end)),
        ];
        let moment = |(at, what)| Moment { at, what, attempt: attempt.number };
        moments.into_iter().flatten().map(moment).collect::<Vec<_>>()
    });
    moments.collect()
}

impl From<AttemptRecord> for Attempt {
    fn from(attempt: AttemptRecord) -> Self {
        Self {
            number: attempt.number,
            queued_at: attempt.queued_at,
            dispatched_at: attempt.dispatched_at,
            provider_started_at: attempt.provider_started_at,
            finished_at: attempt.finished_at,
            duration_s: attempt.duration.as_secs_f64(),
            usage: attempt.usage.into(),
            redirects: attempt.redirects,
            resumed: attempt.resumed,
            provider_call_id: attempt.provider_call_id,
            error: attempt.error.map(ErrorShape::from),
            late: attempt.late,
        }
    }
}

impl From<Answer> for AnswerShape {
    fn from(answer: Answer) -> Self {
        Self {
            text: answer.text,
            model_observed: answer.model_observed,
            region_observed: answer.region_observed,
            usage: answer.usage.into(),
            finish_reason: answer.finish_reason,
            system_fingerprint: answer.system_fingerprint,
            provider_call_id: answer.provider_call_id,
            redirects: answer.redirects,
        }
    }
}

impl From<Usage> for UsageShape {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            provider_time_s: usage.provider_time.map(|time| time.as_secs_f64()),
            cost_micros: usage.cost_micros,
        }
    }
}

impl From<CallError> for ErrorShape {
    fn from(error: CallError) -> Self {
        Self {
            code: error.code,
            class: error.class(),
            stage: error.stage,
            http_status: error.http_status,
            retry_after_s: error.retry_after.map(|wait| wait.as_secs_f64()),
            message: error.message,
        }
    }
}
