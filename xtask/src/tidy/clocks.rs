//! Clocks: time is injected; one file reads the machine's clock and waits on it.

use super::{Finding, tree::SourceFile, words::has_word};

const HOMES: [&str; 2] = ["bins", "crates"];

const READS: [&str; 6] = [
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "tokio::time::sleep",
    "thread::sleep",
];

/// Files that may read a clock. A file of `bins/cli` that must do so is named here, with a reason.
const ALLOWED: [&str; 1] = ["crates/domain/src/clock.rs"];

/// Uses of the machine's clock outside tests and the files that may.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    files.iter().filter(|file| is_bound(file)).flat_map(reads).collect()
}

fn is_bound(file: &SourceFile) -> bool {
    let exempt =
        file.is_test() || file.is_below(&["crates/testkit"]) || ALLOWED.contains(&file.path.as_str());
    file.has_extension("rs") && file.is_below(&HOMES) && !exempt
}

fn reads(file: &SourceFile) -> Vec<Finding> {
    // Tests stand at the end of a file; what follows this line is not part of the program.
    let code = file.lines().take_while(|(_, text)| !text.starts_with("mod tests {"));
    let code = code.filter(|(_, text)| !text.trim_start().starts_with("//"));
    let found = |(line, text): (usize, &str)| {
        let read = READS.iter().find(|read| has_word(text, read))?;
        Some(Finding::new(
            file,
            line,
            format!("`{read}` uses the machine's clock"),
            "take a `Clock`, or the time",
        ))
    };
    code.filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_text(path: &str, text: &str, findings: usize) {
        assert_eq!(check(&[SourceFile::new(path, text)]).len(), findings, "{path}: {text}");
    }

    #[test]
    fn a_clock_is_read_in_one_place_only() {
        check_text("crates/scheduler/src/retry.rs", "let now = Instant::now();", 1);
        check_text("crates/store/src/queue.rs", "x(jiff::Timestamp::now())", 1);
        check_text("bins/cli/src/run.rs", "std::time::SystemTime::now()", 1);
        check_text("bins/cli/src/run.rs", "use tokio::time::sleep;", 1);
        check_text("crates/store/src/queue.rs", "std::thread::sleep(pause)", 1);
        check_text("crates/domain/src/clock.rs", "Instant::now()", 0);
    }

    #[test]
    fn tests_and_comments_may_name_it() {
        check_text("crates/testkit/src/clock.rs", "Instant::now()", 0);
        check_text("crates/store/src/queue/tests.rs", "Instant::now()", 0);
        check_text("crates/store/src/queue.rs", "#[cfg(test)]\nmod tests { fn x() { Instant::now(); } }", 0);
        check_text("crates/store/src/queue.rs", "    // Not Instant::now: it jumps.", 0);
        check_text("crates/store/src/queue.rs", "let now = MyInstant::now();", 0);
    }
}
