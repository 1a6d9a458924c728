//! How much one answer holds.

use http::StatusCode;
use serde::{Deserialize, Deserializer, de::Error};

use crate::error::ApiError;

/// Rows of a page when the caller does not say.
pub(crate) const PAGE: u32 = 50;
/// The most rows of a page.
pub(crate) const MOST_ROWS: u32 = 500;
/// Cells of a matrix that are answered in one piece, with an ETag; more are streamed.
pub(crate) const WHOLE_MATRIX: u32 = 10_000;
/// Cells that are read at once while a matrix is streamed.
pub(crate) const CELLS_AT_ONCE: u32 = 5_000;
/// Records that are read at once for an export: each holds an answer.
pub(crate) const RECORDS_AT_ONCE: u32 = 100;

/// A whole number of the query within bounds; another text is refused with them, under the name of its parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within<const LEAST: u32, const MOST: u32>(pub(crate) u32);

/// How many rows a caller asks for.
pub(crate) type Rows = Within<1, MOST_ROWS>;

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Within<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = plain::<u32>(&String::deserialize(deserializer)?);
        let within = number.filter(|number| (LEAST..=MOST).contains(number)).map(Self);
        within.ok_or_else(|| Error::custom(format_args!("must be a whole number from {LEAST} to {MOST}")))
    }
}

/// The rows that a caller asks for.
pub(crate) fn rows(asked: Option<Rows>) -> u32 {
    asked.map_or(PAGE, |Within(rows)| rows)
}

/// A cursor of one number, as a page gave it.
pub(crate) fn cursor<N: std::str::FromStr>(given: Option<&str>) -> Result<Option<N>, ApiError> {
    given.map(|text| plain(text).ok_or_else(unknown_cursor)).transpose()
}

/// A cursor of a job and a place in it, as a page gave it.
pub(crate) fn pair_cursor(given: Option<String>) -> Result<Option<String>, ApiError> {
    let is_pair = |text: &str| {
        text.split_once('-').is_some_and(|(job, n)| plain::<i64>(job).is_some() && plain::<i32>(n).is_some())
    };
    match given {
        Some(text) if !is_pair(&text) => Err(unknown_cursor()),
        given => Ok(given),
    }
}

/// The id of a delivery, as a page gave it.
pub(crate) fn delivery_cursor(given: Option<String>) -> Result<Option<String>, ApiError> {
    let fits = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'_';
    let is_id = |text: &str| {
        text.strip_prefix("msg_").is_some_and(|rest| (1..=80).contains(&rest.len()) && rest.bytes().all(fits))
    };
    match given {
        Some(text) if !is_id(&text) => Err(unknown_cursor()),
        given => Ok(given),
    }
}

/// A number without a sign.
fn plain<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn unknown_cursor() -> ApiError {
    let message = "the cursor is not one that a page gave as `next`; leave it out to begin anew";
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_cursor", message)
}
