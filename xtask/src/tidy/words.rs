//! Words that must not be left behind in crates and bins.

use super::{Finding, tree::SourceFile};

const HOMES: [&str; 2] = ["bins", "crates"];

/// A word, and what to do instead.
const WORDS: [(&str, &str); 5] = [
    ("TODO", "do it, or open an issue"),
    ("FIXME", "fix it, or open an issue"),
    ("todo!", "write it, or leave it out"),
    ("unimplemented!", "write it, or return an error"),
    ("dbg!", "remove it, or use tracing"),
];

/// Forbidden words, comments and strings included.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let ours = files.iter().filter(|file| file.has_extension("rs") && file.is_below(&HOMES));
    ours.flat_map(|file| file.lines().flat_map(move |(line, text)| in_line(file, line, text))).collect()
}

fn in_line(file: &SourceFile, line: usize, text: &str) -> Vec<Finding> {
    let found = WORDS.iter().filter(|(word, _)| has_word(text, word));
    found.map(|(word, remedy)| Finding::new(file, line, format!("`{word}`"), *remedy)).collect()
}

/// Whether `word` stands alone in `text`: no letter, digit or `_` before it or after it.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |found: char| found.is_alphanumeric() || found == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        // What follows the `!` of a macro is never a part of its name.
        !before.is_some_and(part_of_word) && (word.ends_with('!') || !after.is_some_and(part_of_word))
    })
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_line(path: &str, line: &str, findings: usize) {
        let file = SourceFile::new(path, format!("//! Header.\n{line}\n"));

        assert_eq!(check(&[file]).len(), findings, "{path}: {line}");
    }

    #[test]
    fn words_left_behind_are_found_in_crates_and_bins() {
        check_line("crates/a/src/lib.rs", "// TODO: later", 1);
        check_line("crates/a/src/lib.rs", "/// FIXME", 1);
        check_line("bins/cli/src/main.rs", "    todo!()", 1);
        check_line("bins/cli/src/main.rs", "    let x = dbg!(y); // TODO", 2);
        check_line("crates/a/src/lib.rs", "    std::unimplemented!(\"x\")", 1);
    }

    #[test]
    fn other_words_and_places_are_left_alone() {
        check_line("crates/a/src/lib.rs", "const TODOS: u32 = METODO;", 0);
        check_line("crates/a/src/lib.rs", "my_dbg!(x)", 0);
        check_line("xtask/src/main.rs", "// TODO", 0);
        check_line("tests/src/lib.rs", "// TODO", 0);
    }
}
