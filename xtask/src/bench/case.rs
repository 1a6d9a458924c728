//! One case of a benchmark and the figures that it gives.

use std::fmt;

use serde_json::{Value, json};

use super::site::Site;

/// A named run.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) run: fn(&Site) -> anyhow::Result<Vec<Figure>>,
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtMost(f64),
    Exactly(f64),
    /// For reading only.
    None,
}

/// One measured number.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    case: String,
    what: &'static str,
    value: f64,
    bound: Bound,
}

impl Figure {
    /// A figure that should not be above `bound`.
    pub(super) fn at_most(case: &str, what: &'static str, value: f64, bound: f64) -> Self {
        Self { case: case.to_owned(), what, value, bound: Bound::AtMost(bound) }
    }

    /// A count that must be `expected`.
    pub(super) fn exactly(case: &str, what: &'static str, value: f64, expected: f64) -> Self {
        Self { case: case.to_owned(), what, value, bound: Bound::Exactly(expected) }
    }

    /// A figure without a bound of its own.
    pub(super) fn seen(case: &str, what: &'static str, value: f64) -> Self {
        Self { case: case.to_owned(), what, value, bound: Bound::None }
    }

    /// Whether it keeps its bound.
    pub(super) fn holds(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.value <= bound,
            // Counts are small whole numbers, which a double holds exactly.
            Bound::Exactly(expected) => (self.value - expected).abs() < 0.5,
            Bound::None => true,
        }
    }

    /// The table's head.
    pub(super) fn head() -> String {
        format!("{:<34} {:<38} {:>12}  {:<14}", "case", "figure", "measured", "bound")
    }

    pub(super) fn json(&self) -> Value {
        let bound = match self.bound {
            Bound::AtMost(bound) => json!({ "at_most": bound }),
            Bound::Exactly(expected) => json!({ "exactly": expected }),
            Bound::None => Value::Null,
        };
        json!({ "case": self.case, "figure": self.what, "value": self.value, "bound": bound, "holds": self.holds() })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = match self.bound {
            Bound::AtMost(bound) => format!("<= {bound:.3}"),
            Bound::Exactly(expected) => format!("= {expected}"),
            Bound::None => String::new(),
        };
        let verdict = if self.holds() { "" } else { "MISSED" };
        write!(f, "{:<34} {:<38} {:>12.3}  {bound:<14} {verdict}", self.case, self.what, self.value)
    }
}
