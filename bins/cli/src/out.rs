//! The two streams: results to standard output, remarks to standard error.

use std::io::{self, Write as _};

/// What a command found cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}; what the command did stays done")]
pub(crate) struct OutputError(pub(crate) io::Error);

impl OutputError {
    /// Whether the reader has simply heard enough, as `head` has.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Prints one line of the result.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), OutputError> {
    writeln!(io::stdout(), "{text}").map_err(OutputError)
}

/// Prints bytes of the result as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), OutputError> {
    io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()).map_err(OutputError)
}

/// Prints a remark. Whoever closed standard error does not want it, and no command fails because of it.
pub(crate) fn remark(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A text as one word of a shell's command line.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    let quoted = format!("'{}'", text.replace('\'', "'\\''"));
    if text.starts_with('-') { format!("-- {quoted}") } else { quoted }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_word_that_a_shell_would_split_or_run_is_quoted() {
        assert_eq!(word("bias-1"), "bias-1");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(word("-x"), "-- '-x'");
    }
}
