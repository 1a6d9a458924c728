//! The job that a verified spec describes: normalised once, after verification, and never written back.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{JobName, ModelId, QuestionId, Region, Timestamp, Webhook};

/// A job in its derived, normalised form. The signed bytes stay the source of truth (P1, P8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The signer's id for the job: `id`, else `jobspec_id`, else made from the benchmark's name.
    pub name: JobName,
    /// `version`, else `benchmark.version`, else `1.0`.
    pub version: String,
    /// `benchmark.name`.
    pub benchmark: String,
    /// In order, without duplicates, ids resolved to text.
    pub questions: Vec<Question>,
    /// In order, without duplicates; each with its own regions.
    pub models: Vec<ModelAsk>,
    /// How often each cell runs; 1 unless asked otherwise.
    pub runs: u32,
    /// The parameters of every call.
    pub sampling: Sampling,
    /// Deadlines, minima and the cost cap.
    pub constraints: Constraints,
    /// Who is told what of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// `metadata.timestamp`, if present: when the signer made it.
    pub signed_at: Option<Timestamp>,
    /// `metadata.nonce`, if present.
    pub nonce: Option<String>,
}

/// One question, with the text that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The catalogue's id, or `q-` and 12 hex digits of the text's SHA-256.
    pub id: QuestionId,
    /// The text exactly as it is sent.
    pub text: Arc<str>,
    /// The catalogue's category, if it is from there.
    pub category: Option<String>,
}

/// One model and the regions it is asked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAsk {
    /// The model.
    pub id: ModelId,
    /// In order, without duplicates, never empty.
    pub regions: Vec<Region>,
}

/// Sampling parameters, fixed at acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// The most new tokens.
    pub max_tokens: u32,
    /// Nucleus sampling, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The seed, if asked for and the provider knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
}

/// What bounds a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constraints {
    /// Regions that must have answers for the verdict "met"; at least 1.
    pub min_regions: u32,
    /// Share of planned executions that must complete for the verdict "met"; 0 to 1.
    pub min_success_rate: f64,
    /// The whole job's time limit (`constraints.timeout`), if given.
    pub timeout: Option<Duration>,
    /// One attempt's time limit (`constraints.provider_timeout`), if given.
    pub provider_timeout: Option<Duration>,
    /// The job's cost cap in millionths of a dollar (`constraints.max_cost` is in dollars), if given.
    pub max_cost_micros: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.1, max_tokens: 500, top_p: None, seed: None }
    }
}
