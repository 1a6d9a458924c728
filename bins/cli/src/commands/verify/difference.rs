//! The first byte in which two canonical forms differ, with what stands around it.

use serde_json::{Value, json};

/// How many bytes are shown before and after a difference.
const CONTEXT: usize = 20;

/// What is said when there is none.
pub(super) const SAME: &str = "compared          the canonical bytes are the same";

/// Where two byte strings part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// From 0.
    at: usize,
    ours: String,
    theirs: String,
    our_length: usize,
    their_length: usize,
}

impl Difference {
    /// The first difference, if there is one. An end counts as one.
    pub(super) fn between(ours: &[u8], theirs: &[u8]) -> Option<Self> {
        let at = ours.iter().zip(theirs).position(|(a, b)| a != b);
        let at = at.or_else(|| (ours.len() != theirs.len()).then(|| ours.len().min(theirs.len())))?;
        let (our_length, their_length) = (ours.len(), theirs.len());
        Some(Self { at, ours: around(ours, at), theirs: around(theirs, at), our_length, their_length })
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "at": self.at, "ours": self.ours, "theirs": self.theirs,
            "our_length": self.our_length, "their_length": self.their_length,
        })
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let (at, ours, theirs) = (self.at, self.our_length, self.their_length);
        vec![
            format!(
                "compared          differs first at byte {at} (ours has {ours}, the given file {theirs})"
            ),
            format!("  ours            {}", self.ours),
            format!("  given           {}", self.theirs),
        ]
    }
}

/// The bytes around a place, escaped as in a string of Rust; `…` where there are more, `<end>` where there are none.
fn around(bytes: &[u8], at: usize) -> String {
    let (from, to) = (at.saturating_sub(CONTEXT), (at + CONTEXT).min(bytes.len()));
    let before = if from > 0 { "…" } else { "" };
    let after = if to < bytes.len() { "…" } else { "<end>" };
    format!("{before}{}{after}", bytes[from.min(to)..to].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::Difference;

    fn check(ours: &str, theirs: &str, expected: Option<(usize, &str, &str)>) {
        let found = Difference::between(ours.as_bytes(), theirs.as_bytes());
        let found = found.as_ref().map(|found| (found.at, &*found.ours, &*found.theirs));
        assert_eq!(found, expected, "{ours} against {theirs}");
    }

    // P7
    #[test]
    fn the_first_difference_is_shown_with_what_stands_around_it() {
        check("same", "same", None);
        check("", "", None);
        check("{\"a\":1}", "{\"a\":2}", Some((5, "{\\\"a\\\":1}<end>", "{\\\"a\\\":2}<end>")));
        check("abc", "abcd", Some((3, "abc<end>", "abcd<end>")));
        check("abc\n", "abc", Some((3, "abc\\n<end>", "abc<end>")));
        check("", "x", Some((0, "<end>", "x<end>")));
        let long = "x".repeat(100);
        check(
            &format!("{long}1{long}"),
            &format!("{long}2{long}"),
            Some((
                100,
                "…xxxxxxxxxxxxxxxxxxxx1xxxxxxxxxxxxxxxxxxx…",
                "…xxxxxxxxxxxxxxxxxxxx2xxxxxxxxxxxxxxxxxxx…",
            )),
        );
    }
}
