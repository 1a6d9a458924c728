//! How large a job may be (P10). The schema is made of the same numbers.

/// The longest signed spec, in bytes.
pub const MAX_SPEC_BYTES: usize = 16 * 1024 * 1024;
/// The most questions.
pub const MAX_QUESTIONS: usize = 10_000;
/// The most models.
pub const MAX_MODELS: usize = 100;
/// The most regions named in one list.
pub const MAX_REGIONS: usize = 16;
/// The most repetitions of a cell.
pub const MAX_RUNS: u64 = 100;
/// The longest question, in characters.
pub const MAX_QUESTION_CHARS: usize = 32_768;
/// The most executions of a job.
pub const MAX_EXECUTIONS: usize = 1_000_000;
/// The longest time limit, in seconds.
pub const MAX_TIMEOUT_S: u64 = 7 * 24 * 3600;
/// The most new tokens.
pub const MAX_TOKENS: u64 = 1_000_000;
