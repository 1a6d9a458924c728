//! Samples: what a reader may copy must at least parse. Tests elsewhere check what it means.

use super::{Finding, tree::SourceFile};

const TOML_HOMES: [&str; 2] = ["docs/samples", "examples"];
const JSON_HOMES: [&str; 1] = ["examples"];

/// Samples that do not parse.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    files.iter().filter_map(|file| broken_toml(file).or_else(|| broken_json(file))).collect()
}

fn broken_toml(file: &SourceFile) -> Option<Finding> {
    if !file.has_extension("toml") || !file.is_below(&TOML_HOMES) {
        return None;
    }
    let error = toml::from_str::<toml::Table>(&file.text).err()?;
    let before = error.span().and_then(|span| file.text.get(..span.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let what = format!("not TOML: {}", error.message().replace('\n', " "));
    Some(Finding::new(file, line, what, "correct the sample"))
}

fn broken_json(file: &SourceFile) -> Option<Finding> {
    if !file.has_extension("json") || !file.is_below(&JSON_HOMES) {
        return None;
    }
    let error = serde_json::from_str::<serde_json::Value>(&file.text).err()?;
    Some(Finding::new(file, error.line().max(1), format!("not JSON: {error}"), "correct the sample"))
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, check};

    fn check_sample(path: &str, text: &str, line: Option<usize>) {
        let findings = check(&[SourceFile::new(path, text)]);

        assert_eq!(findings.first().map(|finding| finding.line), line, "{path}: {findings:?}");
    }

    #[test]
    fn a_sample_that_does_not_parse_is_found_with_its_line() {
        check_sample("examples/endpoints.toml", "a = 1\n", None);
        check_sample("examples/endpoints.toml", "a = 1\nb = \n", Some(2));
        check_sample("docs/samples/worker.toml", "a = 1\na = 2\n", Some(2));
        check_sample("examples/job.json", "{\n  \"id\": 1\n}\n", None);
        check_sample("examples/job.json", "{\n  \"id\": ,\n}\n", Some(2));
    }

    #[test]
    fn other_places_have_their_own_tests() {
        check_sample("crates/spec/src/broken.json", "{", None);
        check_sample("crates/boot/tests/broken.toml", "=", None);
    }
}
