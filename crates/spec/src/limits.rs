//! How large a job may be (P10). The schema is made of the same numbers.

/// The longest signed spec, in bytes.
pub const MAX_SPEC_BYTES: usize = 16 * 1024 * 1024;
/// The most JSON values in a spec: every member, item and container counts. It bounds the memory of a hostile spec.
pub const MAX_JSON_VALUES: usize = 250_000;
/// The deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;
/// The longest `version`, in characters.
pub const MAX_VERSION_CHARS: usize = 255;
/// The longest `benchmark.name`, in characters.
pub const MAX_BENCHMARK_CHARS: usize = 255;
/// The longest `metadata.nonce`, in characters.
pub const MAX_NONCE_CHARS: usize = 255;
/// The longest `metadata.timestamp`, in characters.
pub const MAX_TIMESTAMP_CHARS: usize = 64;
/// The most questions.
pub const MAX_QUESTIONS: usize = 10_000;
/// The most models.
pub const MAX_MODELS: usize = 100;
/// The most regions named in one list.
pub const MAX_REGIONS: usize = 16;
/// The longest name of a region, in characters.
pub const MAX_REGION_CHARS: usize = 64;
/// The most repetitions of a cell.
pub const MAX_RUNS: u64 = 100;
/// The longest question, in characters.
pub const MAX_QUESTION_CHARS: usize = 32_768;
/// The most executions of a job.
pub const MAX_EXECUTIONS: usize = 1_000_000;
/// The longest time limit, in seconds.
pub const MAX_TIMEOUT_S: u64 = 7 * 24 * 3600;
/// The longest time limit, in nanoseconds, the unit of a spec.
pub const MAX_TIMEOUT_NS: u64 = MAX_TIMEOUT_S * 1_000_000_000;
/// The most new tokens.
pub const MAX_TOKENS: u64 = 1_000_000;
/// The highest sampling temperature.
pub const MAX_TEMPERATURE: f64 = 2.0;
/// The largest seed: the largest whole number that a double, and so a signature, tells from its neighbours.
pub const MAX_SEED: u64 = (1 << 53) - 1;
/// The most webhooks.
pub const MAX_WEBHOOKS: usize = 4;
/// The most events named by a webhook.
pub const MAX_WEBHOOK_EVENTS: usize = 16;
/// The longest name of an event, in characters.
pub const MAX_EVENT_CHARS: usize = 64;
/// The longest address, in characters.
pub const MAX_URL_CHARS: usize = 2048;
/// The highest cost cap, in dollars.
pub const MAX_COST_USD: f64 = 1e9;
