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

/// So many calls, in words.
pub(crate) fn some_calls(n: u32) -> String {
    if n == 1 { "1 call".to_owned() } else { format!("{n} calls") }
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

/// The longest line that is taken from elsewhere: an answer may be long.
const LONGEST_LINE: usize = 64 << 20;

/// Takes bytes as they come, and hands on each whole line.
pub(crate) struct LineWriter<F> {
    begun: Vec<u8>,
    each: F,
}

impl<F: FnMut(&[u8]) -> io::Result<()>> LineWriter<F> {
    /// Hands lines on to this.
    pub(crate) const fn new(each: F) -> Self {
        Self { begun: Vec::new(), each }
    }
}

impl<F: FnMut(&[u8]) -> io::Result<()>> io::Write for LineWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if self.begun.len() > LONGEST_LINE {
                return Err(io::Error::other(format!("a line is longer than {LONGEST_LINE} bytes")));
            }
            if let Some(line) = self.begun.strip_suffix(b"\n") {
                (self.each)(line)?;
                self.begun.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{LineWriter, some_calls, word};

    #[test]
    fn one_call_is_no_calls() {
        assert_eq!([0, 1, 2].map(some_calls), ["0 calls", "1 call", "2 calls"]);
    }

    #[test]
    fn lines_are_handed_on_whole_however_they_come() {
        let mut lines = Vec::new();
        let mut writer = LineWriter::new(|line: &[u8]| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        });

        for piece in ["a", "b\nc\n\nd", "e\n", "rest"] {
            writer.write_all(piece.as_bytes()).unwrap();
        }

        assert_eq!(lines, ["ab", "c", "", "de"]);
    }

    #[test]
    fn a_word_that_a_shell_would_split_or_run_is_quoted() {
        assert_eq!(word("bias-1"), "bias-1");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(word("-x"), "-- '-x'");
    }
}
