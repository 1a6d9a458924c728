//! Trace ids (O4): a job's id is the id of its trace, and each claim of one of its executions is a span in it.
//! The form in headers is that of W3C Trace Context (<https://www.w3.org/TR/trace-context/>, section 3.2).

use std::{fmt, str::FromStr};

use beacon_spec::Sha256Digest;

use crate::{AttemptId, JobId};

/// The target of the spans that are exported, and of no log line. They are of the level `DEBUG`.
pub const SPANS: &str = "beacon::span";

/// A span: 8 bytes that are not all zero, shown as 16 hex digits. Derived, so that whoever sends it in a header, logs it
/// and exports it needs not ask anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// A place in a trace, as the header `traceparent` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: [u8; 16],
    span: SpanId,
}

/// The text is no `traceparent`.
#[derive(Debug, thiserror::Error)]
#[error("no traceparent of W3C Trace Context")]
pub struct TraceParentError;

impl SpanId {
    /// The span in which a job was accepted. All others of its trace stand below it.
    #[must_use]
    pub fn of_job(job: JobId) -> Self {
        Self::derive(&format!("beacon-span\0{job}"))
    }

    /// The span of one claim. Another worker that re-attaches to the same attempt has another token, and another span.
    #[must_use]
    pub fn of_claim(attempt: AttemptId, token: u64) -> Self {
        Self::derive(&format!("beacon-span\0{attempt}\0{token}"))
    }

    /// From bytes; nothing if they are all zero.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The 8 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> [u8; 8] {
        self.0
    }

    fn derive(text: &str) -> Self {
        let digest = Sha256Digest::of(text.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.as_bytes()[..8]);
        // All zero is no id; once in 2^64 digests.
        Self::from_bytes(bytes).unwrap_or(Self([1; 8]))
    }
}

impl TraceParent {
    /// A span of a job's trace.
    #[must_use]
    pub const fn new(job: JobId, span: SpanId) -> Self {
        Self { trace: *job.as_bytes(), span }
    }

    /// The trace's id.
    #[must_use]
    pub const fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// The span.
    #[must_use]
    pub const fn span(&self) -> SpanId {
        self.span
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Display for TraceParent {
    /// Version 00, and the flag that says that whoever wrote it may keep the trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{}-01", u128::from_be_bytes(self.trace), self.span)
    }
}

impl FromStr for SpanId {
    type Err = TraceParentError;

    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let bytes = hex(text, 16).and_then(|value| u64::try_from(value).ok());
        bytes.and_then(|value| Self::from_bytes(value.to_be_bytes())).ok_or(TraceParentError)
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// Of a version that is not known, what stands behind the four parts is left aside (section 4.3 there).
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let mut parts = text.splitn(5, '-');
        let mut part = || parts.next().ok_or(TraceParentError);
        let (version, trace, span, flags) = (part()?, part()?, part()?, part()?);
        let is_whole = version != "00" || parts.next().is_none();
        let version = hex(version, 2).filter(|version| *version != 0xff);
        let trace = hex(trace, 32).filter(|trace| *trace != 0).ok_or(TraceParentError)?;
        if version.is_none() || hex(flags, 2).is_none() || !is_whole {
            return Err(TraceParentError);
        }
        Ok(Self { trace: trace.to_be_bytes(), span: span.parse()? })
    }
}

/// So many hex digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(is_hex)).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::{SpanId, TraceParent};
    use crate::{AttemptId, ExecutionId, JobId};

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    // O4
    #[test]
    fn a_jobs_id_is_its_traces_id() {
        let job = JobId::from_bytes([0xab; 16]);

        let text = TraceParent::new(job, SpanId::of_job(job)).to_string();

        assert_eq!(text, format!("00-{job}-{}-01", SpanId::of_job(job)));
        assert_eq!(text.len(), 55);
    }

    #[test]
    fn every_claim_has_a_span_of_its_own_that_is_always_the_same() {
        let attempt =
            |n, number| AttemptId { execution: ExecutionId { job: JobId::from_bytes([1; 16]), n }, number };
        let spans = [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)]
            .map(|(n, number, token)| SpanId::of_claim(attempt(n, number), token));

        for (at, span) in spans.iter().enumerate() {
            assert!(!spans[..at].contains(span), "{spans:?}");
        }
        assert_eq!(spans[0], SpanId::of_claim(attempt(1, 1), 1));
    }

    #[test]
    fn what_a_caller_sends_is_read_as_the_specification_has_it() {
        let read = |text: &str| text.parse::<TraceParent>().ok();

        assert_eq!(read(EXAMPLE).unwrap().to_string(), EXAMPLE);
        // A later version may say more behind the flags; this one may not.
        assert_eq!(read(&EXAMPLE.replacen("00", "cc", 1)), read(EXAMPLE));
        assert_eq!(read(&format!("{}-more", EXAMPLE.replacen("00", "cc", 1))), read(EXAMPLE));
        for odd in [
            "",
            "00",
            &format!("{EXAMPLE}-more"),
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replacen("00", "ff", 1),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &EXAMPLE.replace("4bf9", "+bf9"),
            &EXAMPLE[..54],
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
