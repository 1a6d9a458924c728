//! Key files: the ring of trusted signers, and the runner's own key.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use beacon_spec::{KeyRing, PUBLISHED_KEY, SigningKey};

use crate::{FileError, read_bounded};

const LIMIT: u64 = 4 * 1024 * 1024;

/// Reads a ring of trusted keys.
///
/// # Errors
/// It cannot be read, or any entry is wrong: a broken ring is refused whole (P5).
pub fn load_key_ring(path: &Path) -> Result<KeyRing, FileError> {
    let bytes = read_bounded(path, LIMIT)?;
    KeyRing::parse(&bytes).map_err(|error| invalid(path, error.to_string()))
}

/// Reads a ring for a service, which takes jobs from strangers.
///
/// # Errors
/// As [`load_key_ring`], or the ring is empty, or trusts an example key: anybody can sign with its published secret.
pub fn load_service_key_ring(path: &Path) -> Result<KeyRing, FileError> {
    let ring = load_key_ring(path)?;
    if ring.is_empty() {
        let message = "the ring is empty, so every job would be refused; `beacon keygen --out FILE --kid NAME` makes a key and \
                       prints its entry";
        return Err(invalid(path, message.to_owned()));
    }
    if ring.holds_example_key() {
        let message = "the ring holds an example key, whose secret is published, so that anybody could sign; put \
                       keys of your own in its place (`beacon keygen`)";
        return Err(invalid(path, message.to_owned()));
    }
    Ok(ring)
}

/// Reads a secret key, such as the one that signs receipts, or makes one that only its owner can read.
///
/// # Errors
/// The file cannot be read or written, can be read by others than its owner (on Unix), holds no key, or the published one.
pub fn load_or_create_runner_key(path: &Path) -> Result<SigningKey, FileError> {
    match read_bounded(path, 4096) {
        Ok(bytes) => {
            check_private(path)?;
            let text = String::from_utf8(bytes).map_err(|_| invalid(path, "not a key file".to_owned()))?;
            let key = SigningKey::from_seed_base64(text.trim())
                .map_err(|error| invalid(path, error.to_string()))?;
            if key.public_key_base64() == PUBLISHED_KEY {
                let message = "this is the published example key, so that anybody could sign such receipts; move it away \
                               for a new one";
                return Err(invalid(path, message.to_owned()));
            }
            Ok(key)
        }
        Err(FileError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {
            let key = SigningKey::generate();
            create(path, &key).map_err(|source| {
                invalid(path, format!("cannot write the key: {source}; its folder must be writable"))
            })?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

/// Reads the secret key that signs a service's receipts. A service makes none: workers that made their own at every
/// start would sign with keys that nobody can tell from a stranger's.
///
/// # Errors
/// The file is not there, can be read by others than its owner (on Unix), or holds no key.
pub fn load_runner_key(path: &Path) -> Result<SigningKey, FileError> {
    if path.exists() {
        return load_or_create_runner_key(path);
    }
    let advice = "there is no such file; make the key once with `beacon keygen --out FILE` and give it to every worker";
    Err(invalid(path, advice.to_owned()))
}

/// A key that others may have read signs nothing more, as with OpenSSH.
#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;

    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let advice = "run `chmod 600` on it, or move it away for a new key if somebody else may have read it";
    Err(invalid(path, format!("others than its owner may use this secret key (mode {mode:o}); {advice}")))
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), FileError> {
    Ok(())
}

/// A key of TLS may belong to a group, which is how programs without privileges get one; to everybody it may not.
#[cfg(unix)]
pub(crate) fn check_not_public(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;

    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o027 == 0 {
        return Ok(());
    }
    let advice =
        "run `chmod 600` on it, or `chmod 640` for a group; take a new key if somebody else may have read it";
    Err(invalid(
        path,
        format!("everybody may read this secret key, or others write it (mode {mode:o}); {advice}"),
    ))
}

#[cfg(not(unix))]
pub(crate) fn check_not_public(_: &Path) -> Result<(), FileError> {
    Ok(())
}

/// Writes the key whole or not at all: a process that is killed meanwhile leaves no half of a key behind.
fn create(path: &Path, key: &SigningKey) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match fs::remove_file(&unfinished) {
        // Of a process that was killed.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    let written = file
        .write_all(format!("{}\n", key.seed_base64()).as_bytes())
        // Durable before the first receipt: a lost key makes earlier receipts unverifiable.
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path))
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        // What is left of it is of no use; the error that is told is the one above.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn invalid(path: &Path, message: String) -> FileError {
    FileError::Invalid { path: path.to_owned(), message }
}
