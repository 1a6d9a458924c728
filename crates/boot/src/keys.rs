//! Key files: the ring of trusted signers, and the runner's own key.

use std::{io::Write as _, path::Path};

use beacon_spec::{KeyRing, SigningKey};

use crate::{FileError, read_bounded};

const LIMIT: u64 = 4 * 1024 * 1024;

/// Reads a ring of trusted keys.
///
/// # Errors
/// It cannot be read, or any entry is wrong: a broken ring is refused whole (P5).
pub fn load_key_ring(path: &Path) -> Result<KeyRing, FileError> {
    let bytes = read_bounded(path, LIMIT)?;
    KeyRing::parse(&bytes)
        .map_err(|error| FileError::Invalid { path: path.to_owned(), message: error.to_string() })
}

/// Reads the key that signs receipts, or makes one that only its owner can read.
///
/// # Errors
/// The file cannot be read or written, or holds no key.
pub fn load_or_create_runner_key(path: &Path) -> Result<SigningKey, FileError> {
    match read_bounded(path, 4096) {
        Ok(bytes) => {
            let invalid = |message: String| FileError::Invalid { path: path.to_owned(), message };
            let text = String::from_utf8(bytes).map_err(|_| invalid("not a key file".to_owned()))?;
            SigningKey::from_seed_base64(text.trim()).map_err(|error| invalid(error.to_string()))
        }
        Err(FileError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            create(path)
        }
        Err(error) => Err(error),
    }
}

fn create(path: &Path) -> Result<SigningKey, FileError> {
    let key = SigningKey::generate();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|source| cannot_write(path, &source))?;
    // Durable before the first receipt: a lost key makes earlier receipts unverifiable.
    let text = format!("{}\n", key.seed_base64());
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|source| cannot_write(path, &source))?;
    Ok(key)
}

fn cannot_write(path: &Path, source: &std::io::Error) -> FileError {
    let message = format!("cannot write the runner's key: {source}; the folder must be writable");
    FileError::Invalid { path: path.to_owned(), message }
}
