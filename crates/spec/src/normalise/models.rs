//! The models of a job, each once, with the regions it is asked in.

use std::collections::HashSet;

use crate::{ModelAsk, ModelId, Region, VerifyError, field::Field, limits};

/// `models`, else `metadata.models`: ids, or objects with an id and perhaps their own regions.
pub(crate) fn models(root: &Field<'_>) -> Result<Vec<ModelAsk>, VerifyError> {
    let common = regions(&root.at(&["constraints", "regions"])?)?;
    let own = listed(&root.member("models")?, &common)?;
    let of_metadata = listed(&root.at(&["metadata", "models"])?, &common)?;
    match (own.is_empty(), of_metadata.is_empty()) {
        (false, _) => Ok(own),
        (true, false) => Ok(of_metadata),
        (true, true) => {
            Err(VerifyError::field("models", "must name at least one model, or metadata.models must"))
        }
    }
}

fn listed(asked: &Field<'_>, common: &[Region]) -> Result<Vec<ModelAsk>, VerifyError> {
    let mut models: Vec<ModelAsk> = Vec::new();
    for one in asked.items(limits::MAX_MODELS)? {
        let ask = model(&one, common)?;
        match models.iter_mut().find(|model| model.id == ask.id) {
            Some(model) => model.regions = unique(model.regions.iter().copied().chain(ask.regions)),
            None => models.push(ask),
        }
    }
    Ok(models)
}

fn model(one: &Field<'_>, common: &[Region]) -> Result<ModelAsk, VerifyError> {
    let (id, own) = if one.is_text() {
        (one.clone(), Vec::new())
    } else if one.is_object() {
        (one.member("id")?, regions(&one.member("regions")?)?)
    } else {
        return Err(one.must("a model's id, or an object with an id"));
    };
    let text = id.text(ModelId::MAX_CHARS)?.ok_or_else(|| id.must("a model's id"))?;
    let id = ModelId::new(text).map_err(|error| id.unusable(&error))?;
    let regions = if own.is_empty() { common.to_vec() } else { own };
    if regions.is_empty() {
        return Err(VerifyError::field("constraints.regions", "must name at least one region"));
    }
    Ok(ModelAsk { id, regions })
}

/// Regions by name or alias, each once.
pub(crate) fn regions(listed: &Field<'_>) -> Result<Vec<Region>, VerifyError> {
    let named = listed.items(limits::MAX_REGIONS)?.map(|one| {
        let text = one.text(limits::MAX_REGION_CHARS)?.ok_or_else(|| one.must("a region's name"))?;
        text.parse::<Region>().map_err(|error| one.invalid(format_args!("is an {error}")))
    });
    Ok(unique(named.collect::<Result<Vec<_>, _>>()?))
}

fn unique(regions: impl IntoIterator<Item = Region>) -> Vec<Region> {
    let mut seen = HashSet::new();
    regions.into_iter().filter(|region| seen.insert(*region)).collect()
}
