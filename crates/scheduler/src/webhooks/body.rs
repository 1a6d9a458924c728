//! What a receiver is told: compact JSON, as docs/SIGNING.md shows it.

use beacon_domain::{BatchDone, BatchView, EndReason, JobId, JobState, JobSummary, StateCounts, Verdict};
use beacon_spec::{JobName, KeyId, MerkleRoot, QuestionId, Sha256Digest, Timestamp, WebhookEvent};
use serde::Serialize;

/// The frame of every event (Standard Webhooks, "Payload structure").
#[derive(Serialize)]
struct Event<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it happened.
    timestamp: Timestamp,
    data: T,
}

/// A question is done.
#[derive(Serialize)]
pub(super) struct BatchBody<'a> {
    job_id: JobId,
    question_id: &'a QuestionId,
    /// From 1.
    number: u32,
    /// Batches of the job.
    total: u32,
    counts: StateCounts,
    links: Links,
    #[serde(skip)]
    ended_at: Timestamp,
}

/// A job has ended.
#[derive(Serialize)]
pub(super) struct JobBody<'a> {
    job_id: JobId,
    /// The signer's id of the job.
    name: &'a JobName,
    key_id: &'a KeyId,
    state: JobState,
    reason: Option<EndReason>,
    verdict: Option<Verdict>,
    counts: StateCounts,
    cost_micros: u64,
    accepted_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Timestamp,
    spec_digest: Sha256Digest,
    /// What the close is over.
    receipts: u32,
    merkle_root: Sha256Digest,
    links: Links,
}

/// Paths of the API.
#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    job: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<String>,
}

impl<'a> BatchBody<'a> {
    /// As recording tells it.
    pub(super) fn of_done(batch: &'a BatchDone, now: Timestamp) -> Self {
        Self {
            job_id: batch.job,
            question_id: &batch.question,
            number: batch.number,
            total: batch.total,
            counts: batch.counts,
            links: Links::to_job(batch.job),
            ended_at: now,
        }
    }

    /// As an ended job shows it.
    pub(super) fn of_view(job: JobId, batch: &'a BatchView, total: usize, ended_at: Timestamp) -> Self {
        Self {
            job_id: job,
            question_id: &batch.question,
            number: batch.number,
            total: u32::try_from(total).unwrap_or(u32::MAX),
            counts: batch.counts,
            links: Links::to_job(job),
            ended_at: batch.ended_at.unwrap_or(ended_at),
        }
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn json(&self) -> String {
        json(WebhookEvent::BatchDone, self.ended_at, self)
    }
}

impl<'a> JobBody<'a> {
    pub(super) fn new(job: &'a JobSummary, receipts: u32, root: &MerkleRoot, now: Timestamp) -> Self {
        let path = |under: &str| Some(format!("{}{under}", path(job.id)));
        let links = Links {
            results: path("/results"),
            receipts: path("/receipts"),
            close: path("/close"),
            ..Links::to_job(job.id)
        };
        Self {
            job_id: job.id,
            name: &job.name,
            key_id: &job.key,
            state: job.state,
            reason: job.reason,
            verdict: job.verdict,
            counts: job.counts,
            cost_micros: job.cost_micros,
            accepted_at: job.accepted_at,
            started_at: job.started_at,
            ended_at: job.ended_at.unwrap_or(now),
            spec_digest: job.spec_digest,
            receipts,
            merkle_root: root.root(),
            links,
        }
    }

    pub(super) fn json(&self) -> String {
        json(WebhookEvent::JobEnded, self.ended_at, self)
    }
}

impl Links {
    fn to_job(job: JobId) -> Self {
        Self { job: path(job), results: None, receipts: None, close: None }
    }
}

fn path(job: JobId) -> String {
    format!("/api/v1/jobs/{job}")
}

fn json(event: WebhookEvent, timestamp: Timestamp, data: impl Serialize) -> String {
    let event = Event { kind: event.as_str(), timestamp, data };
    serde_json::to_string(&event).expect("numbers, texts and times are always JSON")
}
