//! Spans of time in JSON: seconds as a number, in fields whose names end in `_s`. Exact to the nanosecond up to a month.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes seconds.
///
/// # Errors
/// Those of the format.
pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

/// Reads seconds.
///
/// # Errors
/// No number, or one below 0.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The same for what may be unknown.
pub mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de::Error as _};

    /// Writes seconds or null.
    ///
    /// # Errors
    /// Those of the format.
    pub fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        span.map(|span| span.as_secs_f64()).serialize(serializer)
    }

    /// Reads seconds or null.
    ///
    /// # Errors
    /// No number, or one below 0.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds.map(|seconds| Duration::try_from_secs_f64(seconds).map_err(D::Error::custom)).transpose()
    }
}
