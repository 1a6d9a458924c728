//! One execution as a row of text, the same wherever results become a table.

use crate::ExecutionRecord;

/// The names of the columns of [`result_row`].
pub const RESULT_COLUMNS: [&str; 13] = [
    "n",
    "question_id",
    "model_id",
    "region",
    "run",
    "endpoint",
    "state",
    "attempts",
    "output_tokens",
    "duration_ms",
    "cost_micros",
    "error",
    "answer",
];

/// What came of an execution, a field for each of [`RESULT_COLUMNS`]; what is not known is empty. Text that others wrote and
/// that a spreadsheet would run as a formula has a `'` before it.
pub fn result_row(record: &ExecutionRecord) -> [String; RESULT_COLUMNS.len()] {
    let cell = &record.cell;
    let usage = record.answer.as_ref().map(|answer| answer.usage);
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let last = record.attempts.last();
    [
        cell.n.to_string(),
        harmless(cell.question.as_str()),
        harmless(cell.model.as_str()),
        cell.region.to_string(),
        cell.run.to_string(),
        cell.endpoint.as_ref().map_or_else(String::new, |endpoint| harmless(endpoint.as_str())),
        cell.state.to_string(),
        cell.attempts.to_string(),
        number(usage.and_then(|usage| usage.completion_tokens)),
        last.map_or_else(String::new, |attempt| attempt.duration.as_millis().to_string()),
        number(usage.and_then(|usage| usage.cost_micros)),
        record.error.as_ref().map_or_else(String::new, |error| error.code.to_string()),
        record.answer.as_ref().map_or_else(String::new, |answer| harmless(&answer.text)),
    ]
}

fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn an_answer_that_looks_like_a_formula_is_defused() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("1+1"), "1+1");
    }
}
