//! Exported records, checked offline as they arrive: every signature, the order, and the close over them (L8).

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    CLOSE_SCHEMA, Close, MerkleRoot, RECEIPT_SCHEMA, ReceiptBody, Sha256Digest,
    canonical::{Dialect, canonicalize},
    parse::parse_strict,
    public_key::PublicKey,
    receipt::{unsigned_form, verify_record},
    verify_error::quoted,
};

/// The most problems that are told one by one.
const TOLD: usize = 100;

/// Takes the lines of an export one by one, in bounded memory. Lines are judged as values that arrived, so that a
/// member that nobody knows is signed content too (P1).
#[derive(Debug, Clone, Default)]
pub struct RecordsCheck {
    line: usize,
    receipts: u32,
    root: MerkleRoot,
    completed: u32,
    failed: u32,
    timed_out: u32,
    last_execution: Option<u32>,
    common: Common,
    close: Option<Close>,
    problems: Vec<String>,
    problems_total: usize,
}

/// What all records of a job share. The caller may know it from elsewhere.
#[derive(Debug, Clone, Default)]
struct Common {
    runner_key: Option<String>,
    spec_digest: Option<Sha256Digest>,
    job: Option<String>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordsReport {
    /// Receipts read.
    pub receipts: u32,
    /// The job of all records.
    pub job: Option<String>,
    /// SHA-256 of the signed spec's bytes, as all records state it.
    pub spec_digest: Option<Sha256Digest>,
    /// The key that signed all records. Whoever trusts them must know it from elsewhere.
    pub runner_key: Option<String>,
    /// The close, if there is one.
    pub close: Option<Close>,
    /// What does not hold, the first 100, each with its line.
    pub problems: Vec<String>,
    /// How many there are.
    pub problems_total: usize,
}

impl RecordsCheck {
    /// Nothing read, nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The runner's key that must have signed every record, padded base64.
    ///
    /// # Errors
    /// It is no public key; the text says why.
    pub fn signed_by(mut self, runner_key: impl Into<String>) -> Result<Self, &'static str> {
        let runner_key = runner_key.into();
        PublicKey::from_base64(&runner_key)?;
        self.common.runner_key = Some(runner_key);
        Ok(self)
    }

    /// The digest of the signed spec that the records must be about.
    #[must_use]
    pub const fn about(mut self, spec_digest: Sha256Digest) -> Self {
        self.common.spec_digest = Some(spec_digest);
        self
    }

    /// Takes the next line; an empty one is skipped.
    pub fn push(&mut self, line: &[u8]) {
        self.line += 1;
        if line.trim_ascii().is_empty() {
            return;
        }
        if let Err(problem) = self.record(line) {
            self.problem(format!("line {}: {problem}", self.line));
        }
    }

    /// Judges the whole.
    #[must_use]
    pub fn finish(mut self) -> RecordsReport {
        match self.close.take() {
            None => {
                self.problem("there is no close: the job has not ended, or the export is cut".to_owned());
            }
            Some(close) => {
                for problem in self.against(&close) {
                    self.problem(format!("the close {problem}"));
                }
                self.close = Some(close);
            }
        }
        RecordsReport {
            receipts: self.receipts,
            job: self.common.job,
            spec_digest: self.common.spec_digest,
            runner_key: self.common.runner_key,
            close: self.close,
            problems: self.problems,
            problems_total: self.problems_total,
        }
    }

    fn problem(&mut self, problem: String) {
        self.problems_total += 1;
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        }
    }

    fn record(&mut self, line: &[u8]) -> Result<(), String> {
        let value = parse_strict(line).map_err(|error| error.to_string())?;
        let schema = text(&value, "schema");
        if self.close.is_some() {
            return Err("nothing may follow the close".to_owned());
        }
        match schema {
            RECEIPT_SCHEMA => self.receipt(value),
            CLOSE_SCHEMA => self.closing(value),
            other => Err(format!("is no record: its schema is {}", quoted(other))),
        }
    }

    fn receipt(&mut self, mut value: Value) -> Result<(), String> {
        // The tree is over all lines, whether they hold or not: else one bad line would hide another.
        let canonical = canonicalize(&value, Dialect::JavaScript);
        self.root.push(Sha256Digest::of(&canonical));
        self.receipts += 1;
        self.signature(&mut value)?;
        let body: ReceiptBody = read(&canonical)?;
        match body.outcome.as_str() {
            "completed" => self.completed += 1,
            "failed" => self.failed += 1,
            "timed_out" => self.timed_out += 1,
            other => return Err(format!("has the unknown outcome {}", quoted(other))),
        }
        let last = self.last_execution.replace(body.execution);
        if last.is_some_and(|last| last >= body.execution) {
            return Err(format!(
                "execution {} is not in the order of the plan, or is there twice",
                body.execution
            ));
        }
        self.common.check(&body.job, body.spec_digest)
    }

    fn closing(&mut self, mut value: Value) -> Result<(), String> {
        let close: Close = read(&canonicalize(&value, Dialect::JavaScript))?;
        let judged = self.signature(&mut value);
        let judged = judged.and_then(|()| self.common.check(&close.body.job, close.body.spec_digest));
        self.close = Some(close);
        judged
    }

    fn signature(&mut self, value: &mut Value) -> Result<(), String> {
        let (key, signature) = (text(value, "runner_key").to_owned(), text(value, "signature").to_owned());
        let bytes = unsigned_form(value);
        verify_record(&key, &signature, &bytes).map_err(|error| error.to_string())?;
        if *self.common.runner_key.get_or_insert_with(|| key.clone()) != key {
            return Err(format!("is signed by another runner, {}", quoted(&key)));
        }
        Ok(())
    }

    fn against(&self, close: &Close) -> Vec<String> {
        let body = &close.body;
        let mut problems = Vec::new();
        if body.receipts != self.receipts {
            problems.push(format!("is over {} receipts, here are {}", body.receipts, self.receipts));
        }
        if body.merkle_root != self.root.root() {
            problems.push("has another Merkle root: receipts were changed, left out or put in".to_owned());
        }
        let ended = [body.completed, body.failed, body.cancelled, body.timed_out, body.unsupported];
        if ended.iter().map(|count| u64::from(*count)).sum::<u64>() != u64::from(body.expected) {
            problems.push(format!("expects {} executions, but its counts have another sum", body.expected));
        }
        if body.completed != self.completed {
            problems
                .push(format!("counts {} completed executions, here are {}", body.completed, self.completed));
        }
        // An execution whose deadline passed before any call has no receipt, so there may be fewer.
        let ended = [("failed", body.failed, self.failed), ("timed out", body.timed_out, self.timed_out)];
        for (how, most, found) in ended.into_iter().filter(|(_, most, found)| found > most) {
            problems.push(format!("counts {most} executions that {how}, here are {found}"));
        }
        problems
    }
}

impl Common {
    fn check(&mut self, job: &str, spec_digest: Sha256Digest) -> Result<(), String> {
        if self.job.get_or_insert_with(|| job.to_owned()) != job {
            return Err(format!("is about another job, {}", quoted(job)));
        }
        if *self.spec_digest.get_or_insert(spec_digest) != spec_digest {
            return Err(format!("is about another signed spec, {spec_digest}"));
        }
        Ok(())
    }
}

/// Reads a record's canonical bytes, in which a whole number has one spelling.
fn read<T: DeserializeOwned>(canonical: &[u8]) -> Result<T, String> {
    serde_json::from_slice(canonical).map_err(|error| error.to_string())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
