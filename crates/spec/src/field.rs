//! Reading a signed value: every member with its path, so that a refusal names it.

use serde_json::Value;

use crate::{IdError, VerifyError, verify_error::quoted};

/// A member of a job, there or absent. `null` counts as absent.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    /// Dotted, such as `models[0].regions`; empty for the job itself.
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    /// The job itself.
    pub(crate) const fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value: Some(value) }
    }

    /// A member of an object.
    pub(crate) fn member(&self, name: &str) -> Result<Self, VerifyError> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        let value = match self.value {
            None => None,
            Some(Value::Object(members)) => members.get(name).filter(|value| !value.is_null()),
            Some(_) => return Err(self.must("an object")),
        };
        Ok(Self { path, value })
    }

    /// A member of a member.
    pub(crate) fn at(&self, names: &[&str]) -> Result<Self, VerifyError> {
        names.iter().try_fold(self.clone(), |field, name| field.member(name))
    }

    /// The items of an array, of at most `max`; none if it is absent.
    pub(crate) fn items(&self, max: usize) -> Result<impl Iterator<Item = Self>, VerifyError> {
        let items = match self.value {
            None => &[][..],
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.must("an array")),
        };
        self.bounded(items.len(), max, "items")?;
        let item = |(i, value)| Self { path: format!("{}[{i}]", self.path), value: Some(value) };
        Ok(items.iter().enumerate().map(item))
    }

    /// A text of at most `max` characters; the empty one counts as absent.
    pub(crate) fn text(&self, max: usize) -> Result<Option<&'a str>, VerifyError> {
        let Some(value) = self.value else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| self.must("a string"))?;
        self.bounded(text.chars().count(), max, "characters")?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A whole number from 0 to `max`. Numbers are doubles, as they are signed: 3 and 3.0 are the same.
    pub(crate) fn whole(&self, max: u64, unit: &str) -> Result<Option<u64>, VerifyError> {
        let Some(value) = self.value else { return Ok(None) };
        // The bound is below 2^53, so the cast of the double is exact.
        match value.as_f64() {
            Some(double) if double.fract() == 0.0 && (0.0..=max as f64).contains(&double) => {
                Ok(Some(double as u64))
            }
            _ => Err(self.must(&format!("a whole number{unit} from 0 to {max}"))),
        }
    }

    /// A number from 0 to `max`.
    pub(crate) fn number(&self, max: f64) -> Result<Option<f64>, VerifyError> {
        let Some(value) = self.value else { return Ok(None) };
        match value.as_f64() {
            Some(double) if (0.0..=max).contains(&double) => Ok(Some(double)),
            _ => Err(self.must(&format!("a number from 0 to {max}"))),
        }
    }

    /// Whether it is there at all.
    pub(crate) const fn is_there(&self) -> bool {
        self.value.is_some()
    }

    /// Whether it is a string.
    pub(crate) const fn is_text(&self) -> bool {
        matches!(self.value, Some(Value::String(_)))
    }

    /// Whether it is an object.
    pub(crate) const fn is_object(&self) -> bool {
        matches!(self.value, Some(Value::Object(_)))
    }

    /// An error about this member.
    pub(crate) fn invalid(&self, reason: impl ToString) -> VerifyError {
        VerifyError::field(&self.path, reason)
    }

    /// It makes no name.
    pub(crate) fn unusable(&self, error: &IdError) -> VerifyError {
        self.invalid(format_args!("cannot be used: {error}"))
    }

    /// It is of another kind than it must be.
    pub(crate) fn must(&self, kind: &str) -> VerifyError {
        let path = if self.path.is_empty() { "job" } else { &self.path };
        VerifyError::field(path, format_args!("is {}, it must be {kind}", self.found()))
    }

    /// A limit on what was counted in this member.
    pub(crate) fn bounded(&self, found: usize, limit: usize, unit: &'static str) -> Result<(), VerifyError> {
        if found > limit {
            Err(VerifyError::LimitExceeded { field: self.path.clone(), found, limit, unit })
        } else {
            Ok(())
        }
    }

    fn found(&self) -> String {
        match self.value {
            None | Some(Value::Null) => "missing".to_owned(),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::String(text)) => quoted(text),
            Some(Value::Array(_)) => "an array".to_owned(),
            Some(Value::Object(_)) => "an object".to_owned(),
        }
    }
}
