//! Typed ids of jobs, executions, attempts and workers.

use std::{fmt, str::FromStr, sync::Arc};

use beacon_spec::{JobName, KeyId, Sha256Digest};
use serde::{Deserialize, Serialize};

/// A job, everywhere behind acceptance: 16 bytes, shown as 32 hex digits.
/// Derived from the key, the signer's id and a generation, so the same submission always names the same job (P11).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId([u8; 16]);

/// The text is not 32 hex digits.
#[derive(Debug, thiserror::Error)]
#[error("a job id is 32 hex digits")]
pub struct JobIdError;

impl JobId {
    /// The id of this signer's job. `generation` is 0 for the first run of a spec and counts deliberate new runs.
    #[must_use]
    pub fn derive(key: &KeyId, name: &JobName, generation: u32) -> Self {
        let text = format!("beacon-job\0{key}\0{name}\0{generation}");
        let digest = Sha256Digest::of(text.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        Self(bytes)
    }

    /// From stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first 12 hex digits, for tables.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        // `from_str_radix` takes signs too, and one job would have many names.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(JobIdError);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| JobIdError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| JobIdError)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for JobId {
    type Error = JobIdError;

    fn try_from(text: String) -> Result<Self, JobIdError> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

/// One cell of a job: the job and its place in the plan, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutionId {
    /// The job.
    pub job: JobId,
    /// The place in the plan, from 0.
    pub n: u32,
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.n)
    }
}

/// One try of an execution; also the idempotency key that a provider gets. Text form: `job/n/number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId {
    /// The execution.
    pub execution: ExecutionId,
    /// From 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.execution, self.number)
    }
}

/// One worker process; unique per process start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Names a worker. The caller makes it unique per process start.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::JobId;

    #[test]
    fn a_job_has_one_spelling_in_lower_case_and_signs_are_no_digits() {
        let id = "0f".repeat(16);

        assert_eq!(id.parse::<JobId>().unwrap().to_string(), id);
        for odd in ["+f".repeat(16), "-f".repeat(16), "0g".repeat(16), "0f".repeat(15), "ÿ".repeat(16)] {
            assert!(odd.parse::<JobId>().is_err(), "{odd}");
        }
    }
}
