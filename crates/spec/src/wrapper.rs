//! The unsigned wrapper around a signed job: it may repeat what was signed, never change it (P8).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{JobSpec, Region, VerifyError, field::Field, limits, normalise::regions};

/// Holds the wrapper's members against the job. What it leaves out, or gives as 0, it does not say.
pub(crate) fn agrees(wrapper: &Value, job: &Value, spec: &JobSpec) -> Result<(), VerifyError> {
    let wrapper = Field::root(wrapper);
    let target_regions = wrapper.member("target_regions")?;
    if target_regions.is_there() {
        let set = |regions: Vec<Region>| regions.into_iter().collect::<BTreeSet<_>>();
        let named = set(regions(&target_regions)?);
        let run: BTreeSet<_> = spec.models.iter().flat_map(|model| model.regions.iter().copied()).collect();
        // A model's own regions may be fewer than those of the constraints; a wrapper may repeat either.
        if named != run && named != set(regions(&Field::root(job).at(&["constraints", "regions"])?)?) {
            return Err(VerifyError::WrapperContradicts("target_regions"));
        }
    }
    let min_regions = wrapper.member("min_regions")?.whole(limits::MAX_REGIONS as u64, "")?;
    if min_regions.is_some_and(|n| n != 0 && n != u64::from(spec.constraints.min_regions)) {
        return Err(VerifyError::WrapperContradicts("min_regions"));
    }
    let rate = wrapper.member("min_success_rate")?.number(1.0)?;
    if rate.is_some_and(|rate| rate != 0.0 && (rate - spec.constraints.min_success_rate).abs() > 1e-9) {
        return Err(VerifyError::WrapperContradicts("min_success_rate"));
    }
    Ok(())
}
