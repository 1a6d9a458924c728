//! The unsigned wrapper around a signed job: it may repeat what was signed, never change it (P8).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{JobSpec, Region, VerifyError};

/// Holds the wrapper's members against the job.
pub(crate) fn agrees(wrapper: &Value, job: &JobSpec) -> Result<(), VerifyError> {
    if let Some(regions) = wrapper.get("target_regions").and_then(Value::as_array) {
        let texts = regions.iter().map(|region| region.as_str().unwrap_or_default());
        let named = texts.map(str::parse::<Region>).collect::<Result<BTreeSet<_>, _>>()?;
        let signed: BTreeSet<Region> =
            job.models.iter().flat_map(|model| model.regions.iter().copied()).collect();
        if named != signed {
            return Err(VerifyError::WrapperContradicts("target_regions"));
        }
    }
    let number = |name: &str| wrapper.get(name).and_then(Value::as_f64).filter(|number| *number != 0.0);
    if number("min_regions").is_some_and(|n| n != f64::from(job.constraints.min_regions)) {
        return Err(VerifyError::WrapperContradicts("min_regions"));
    }
    if number("min_success_rate").is_some_and(|rate| (rate - job.constraints.min_success_rate).abs() > 1e-9) {
        return Err(VerifyError::WrapperContradicts("min_success_rate"));
    }
    Ok(())
}
