//! Figures beside their bounds, as a table and as JSON.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

/// Every figure of a run.
pub(crate) struct Report {
    case: &'static str,
    figures: Vec<Value>,
    missed: u32,
}

/// What a figure is held against.
#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Exactly(f64),
    /// For reading only.
    None,
}

impl Report {
    pub(crate) fn new() -> Self {
        println!("{:<8} {:<66} {:>12}  bound", "case", "figure", "measured");
        Self { case: "", figures: Vec::new(), missed: 0 }
    }

    /// What follows belongs to this case.
    pub(crate) fn begin(&mut self, case: &'static str) {
        self.case = case;
    }

    /// A figure that should not be above `bound`.
    pub(crate) fn at_most(&mut self, what: &str, value: f64, bound: f64) {
        self.add(what, value, Bound::AtMost(bound));
    }

    /// A figure that should not be below `bound`.
    pub(crate) fn at_least(&mut self, what: &str, value: f64, bound: f64) {
        self.add(what, value, Bound::AtLeast(bound));
    }

    /// A count that must be `expected`.
    pub(crate) fn exactly(&mut self, what: &str, value: f64, expected: f64) {
        self.add(what, value, Bound::Exactly(expected));
    }

    /// A figure without a bound of its own.
    pub(crate) fn seen(&mut self, what: &str, value: f64) {
        self.add(what, value, Bound::None);
    }

    /// How many bounds were missed.
    pub(crate) const fn missed(&self) -> u32 {
        self.missed
    }

    /// Writes all of it as JSON.
    pub(crate) fn write(&self, file: &Path) {
        let folder = file.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("the folder of figures can be made");
        let text = json!({ "bench": "api", "figures": self.figures });
        fs::write(file, format!("{text:#}\n")).expect("the folder of figures is writable");
        println!("{} figures, {} miss their bound; {}", self.figures.len(), self.missed, file.display());
    }

    fn add(&mut self, what: &str, value: f64, bound: Bound) {
        let (holds, shown, written) = match bound {
            Bound::AtMost(bound) => (value <= bound, format!("<= {bound}"), json!({ "at_most": bound })),
            Bound::AtLeast(bound) => (value >= bound, format!(">= {bound}"), json!({ "at_least": bound })),
            // Counts are small whole numbers, which a double holds exactly.
            Bound::Exactly(expected) => {
                ((value - expected).abs() < 0.5, format!("= {expected}"), json!({ "exactly": expected }))
            }
            Bound::None => (true, String::new(), Value::Null),
        };
        let verdict = if holds { "" } else { "MISSED" };
        println!("{:<8} {what:<66} {value:>12.3}  {shown:<12} {verdict}", self.case);
        self.missed += u32::from(!holds);
        let figure =
            json!({ "case": self.case, "figure": what, "value": value, "bound": written, "holds": holds });
        self.figures.push(figure);
    }
}

/// The value at this part of a sorted list, in milliseconds; 0.5 is the median.
pub(crate) fn quantile_ms(sorted: &[Duration], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    // A position in a list that fits in memory.
    let at = (part * last as f64).round() as usize;
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
