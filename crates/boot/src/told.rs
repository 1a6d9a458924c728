//! Errors for people.

/// An error with its causes in one line. A cause that the text before it already holds is not said twice.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    harmless(&told)
}

/// Text without what a terminal would obey: control characters, but for line ends, and marks that turn the direction of
/// writing (Unicode Standard Annex 9).
#[must_use]
pub fn harmless(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if (c.is_control() && c != '\n') || turns(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{harmless, told};

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("no such file").context("cannot read a: no such file").context("the ring");

        assert_eq!(told(&error), "the ring: cannot read a: no such file");
    }

    #[test]
    fn a_terminal_finds_nothing_to_obey() {
        assert_eq!(harmless("a\u{1b}[31mb\nc\u{202e}d"), "a [31mb\nc d");
    }
}
