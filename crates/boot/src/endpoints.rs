//! The endpoints file: TOML, unknown keys refused.

use std::path::Path;

use beacon_providers::EndpointsFile;
use serde::de::DeserializeOwned;

use crate::{FileError, read_bounded};

const LIMIT: u64 = 4 * 1024 * 1024;

/// Reads an endpoints file.
///
/// # Errors
/// It cannot be read, is no TOML, or holds an unknown setting (the text names its line), or one that cannot be used
/// (the text names endpoint and setting).
pub fn load_endpoints(path: &Path) -> Result<EndpointsFile, FileError> {
    let bytes = read_bounded(path, LIMIT)?;
    let invalid = |message: String| FileError::Invalid { path: path.to_owned(), message };
    let text = String::from_utf8(bytes).map_err(|_| invalid("the file is not UTF-8 text".to_owned()))?;
    let endpoints: EndpointsFile = parse_toml(&text).map_err(invalid)?;
    endpoints.validate().map_err(|error| invalid(error.to_string()))?;
    Ok(endpoints)
}

/// Parses TOML into a typed configuration.
///
/// # Errors
/// What is wrong and where, with the line.
pub fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}
