//! Reading files that a person names, with errors that name the file.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is longer than allowed.
    #[error("{} is longer than {limit} bytes; this cannot be the file that is meant", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes allowed.
        limit: u64,
    },
    /// It does not hold what it should.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and what to do.
        message: String,
    },
    /// An environment variable does not hold what it should.
    #[error("the variable {variable}: {message}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// The file cannot be read or is longer.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
