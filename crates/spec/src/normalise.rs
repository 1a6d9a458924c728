//! From the signed value to the derived job: aliases resolved, duplicates removed, limits kept. Runs only after the
//! signature held (P1, P8).

use std::{collections::HashSet, time::Duration};

use serde_json::Value;

use crate::{
    Constraints, JobName, JobSpec, ModelAsk, ModelId, Question, QuestionId, Region, Sampling, Sha256Digest,
    VerifyError,
    catalogue::{QUESTIONS, looks_like_an_id},
    limits,
};

/// Derives the job.
pub(crate) fn job(value: &Value) -> Result<JobSpec, VerifyError> {
    let benchmark = string(value, "/benchmark/name").ok_or(VerifyError::MissingField("benchmark.name"))?;
    let version = string(value, "/version").or_else(|| string(value, "/benchmark/version")).unwrap_or("1.0");
    let questions = questions(value, benchmark, version)?;
    let models = models(value)?;
    let runs = whole(value, "runs", limits::MAX_RUNS)?.filter(|runs| *runs > 0).unwrap_or(1);
    let cells: usize = models.iter().map(|model| model.regions.len()).sum();
    let executions = questions.len().saturating_mul(cells).saturating_mul(runs as usize);
    bounded("questions × models × regions × runs", executions, limits::MAX_EXECUTIONS)?;
    let signed_at = match string(value, "/metadata/timestamp") {
        Some(text) => {
            Some(text.parse().map_err(|_| VerifyError::field("metadata.timestamp", "must be RFC 3339"))?)
        }
        None => None,
    };
    Ok(JobSpec {
        name: JobName::new(
            string(value, "/id").or_else(|| string(value, "/jobspec_id")).unwrap_or(benchmark),
        )?,
        version: version.to_owned(),
        benchmark: benchmark.to_owned(),
        questions,
        models,
        runs: u32::try_from(runs).expect("bounded above"),
        sampling: sampling(value)?,
        constraints: constraints(value)?,
        signed_at,
        nonce: string(value, "/metadata/nonce").map(str::to_owned),
    })
}

fn string<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn bounded(field: &str, found: usize, limit: usize) -> Result<(), VerifyError> {
    if found > limit {
        Err(VerifyError::LimitExceeded { field: field.to_owned(), found, limit })
    } else {
        Ok(())
    }
}

/// A whole number at a dotted path; null counts as absent.
fn whole(value: &Value, path: &str, max: u64) -> Result<Option<u64>, VerifyError> {
    let Some(found) = value.pointer(&format!("/{}", path.replace('.', "/"))).filter(|found| !found.is_null())
    else {
        return Ok(None);
    };
    match found.as_u64() {
        Some(number) if number <= max => Ok(Some(number)),
        _ => Err(VerifyError::field(path, format_args!("must be a whole number from 0 to {max}"))),
    }
}

fn number(value: &Value, path: &str, max: f64) -> Result<Option<f64>, VerifyError> {
    let Some(found) = value.pointer(&format!("/{}", path.replace('.', "/"))).filter(|found| !found.is_null())
    else {
        return Ok(None);
    };
    match found.as_f64() {
        Some(number) if (0.0..=max).contains(&number) => Ok(Some(number)),
        _ => Err(VerifyError::field(path, format_args!("must be a number from 0 to {max}"))),
    }
}

fn questions(value: &Value, benchmark: &str, version: &str) -> Result<Vec<Question>, VerifyError> {
    let asked = match value.get("questions") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(asked)) => asked,
        Some(_) => return Err(VerifyError::field("questions", "must be an array")),
    };
    bounded("questions", asked.len(), limits::MAX_QUESTIONS)?;
    if asked.is_empty() {
        let bias = benchmark.to_lowercase().contains("bias") && version == "v1";
        return match string(value, "/benchmark/input/data/prompt") {
            Some(prompt) if !bias => Ok(vec![free_text("benchmark.input.data.prompt", prompt)?]),
            _ => Err(VerifyError::field("questions", "must hold at least one question")),
        };
    }
    let mut questions: Vec<Question> = Vec::with_capacity(asked.len());
    let mut seen = std::collections::HashMap::new();
    for (i, one) in asked.iter().enumerate() {
        let question = question(&format!("questions[{i}]"), one)?;
        match seen.insert(question.id.clone(), question.text.clone()) {
            None => questions.push(question),
            Some(text) if text == question.text => {}
            Some(_) => {
                let reason = format!("the id {} is there twice with different texts", question.id);
                return Err(VerifyError::field(format!("questions[{i}]"), reason));
            }
        }
    }
    Ok(questions)
}

fn question(field: &str, value: &Value) -> Result<Question, VerifyError> {
    if let Some(text) = value.as_str() {
        if let Some((id, text, category)) = QUESTIONS.into_iter().find(|(id, _, _)| *id == text) {
            let id = QuestionId::new(id).expect("the catalogue's ids are short");
            return Ok(Question { id, text: text.into(), category: Some(category.to_owned()) });
        }
        if looks_like_an_id(text) {
            let known: Vec<&str> = QUESTIONS.iter().map(|(id, _, _)| *id).collect();
            let reason = format!("unknown question id {text:?}; known are {}", known.join(", "));
            return Err(VerifyError::field(field, reason));
        }
        return free_text(field, text);
    }
    let (Some(id), Some(text)) = (string(value, "/id"), string(value, "/text")) else {
        return Err(VerifyError::field(field, "must be a text, a catalogue id, or {\"id\", \"text\"}"));
    };
    let question = free_text(field, text)?;
    let id = QuestionId::new(id).map_err(|error| VerifyError::field(field, error))?;
    Ok(Question { id, ..question })
}

fn free_text(field: &str, text: &str) -> Result<Question, VerifyError> {
    if text.trim().is_empty() {
        return Err(VerifyError::field(field, "is empty"));
    }
    bounded(field, text.chars().count(), limits::MAX_QUESTION_CHARS)?;
    let hash = Sha256Digest::of(text.as_bytes()).to_string();
    let id = QuestionId::new(format!("q-{}", &hash[..12])).expect("14 characters");
    Ok(Question { id, text: text.into(), category: None })
}

fn models(value: &Value) -> Result<Vec<ModelAsk>, VerifyError> {
    let common = regions("constraints.regions", value.pointer("/constraints/regions"))?;
    let top = value.get("models").and_then(Value::as_array).filter(|models| !models.is_empty());
    let (field, asked) = match (top, value.pointer("/metadata/models").and_then(Value::as_array)) {
        (Some(models), _) => ("models", models),
        (None, Some(models)) if !models.is_empty() => ("metadata.models", models),
        _ => {
            return Err(VerifyError::field(
                "models",
                "name at least one model, in models or metadata.models",
            ));
        }
    };
    bounded(field, asked.len(), limits::MAX_MODELS)?;
    let mut models: Vec<ModelAsk> = Vec::new();
    for (i, one) in asked.iter().enumerate() {
        let field = format!("{field}[{i}]");
        let id = one.as_str().or_else(|| string(one, "/id"));
        let id =
            id.ok_or_else(|| VerifyError::field(&*field, "must be a model id, or an object with an id"))?;
        let id = ModelId::new(id).map_err(|error| VerifyError::field(&*field, error))?;
        let own = regions(&format!("{field}.regions"), one.get("regions"))?;
        let asked_in = if own.is_empty() { common.clone() } else { own };
        if asked_in.is_empty() {
            return Err(VerifyError::field("constraints.regions", "must name at least one region"));
        }
        match models.iter_mut().find(|model| model.id == id) {
            Some(model) => model.regions = unique(model.regions.iter().copied().chain(asked_in)),
            None => models.push(ModelAsk { id, regions: asked_in }),
        }
    }
    Ok(models)
}

fn regions(field: &str, value: Option<&Value>) -> Result<Vec<Region>, VerifyError> {
    let Some(listed) = value.filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let listed = listed.as_array().ok_or_else(|| VerifyError::field(field, "must be an array"))?;
    bounded(field, listed.len(), limits::MAX_REGIONS)?;
    let named = listed.iter().enumerate().map(|(i, region)| {
        let text = region.as_str().unwrap_or_default();
        text.parse::<Region>().map_err(|error| VerifyError::field(format!("{field}[{i}]"), error))
    });
    Ok(unique(named.collect::<Result<Vec<_>, _>>()?))
}

fn unique(regions: impl IntoIterator<Item = Region>) -> Vec<Region> {
    let mut seen = HashSet::new();
    regions.into_iter().filter(|region| seen.insert(*region)).collect()
}

fn sampling(value: &Value) -> Result<Sampling, VerifyError> {
    let of = |name: &str| [format!("sampling.{name}"), format!("benchmark.input.data.{name}")];
    let first = |name: &str, max: f64| -> Result<Option<f64>, VerifyError> {
        let [own, legacy] = of(name);
        Ok(number(value, &own, max)?.or(number(value, &legacy, max)?))
    };
    let [own, legacy] = of("max_tokens");
    let max_tokens = whole(value, &own, limits::MAX_TOKENS)?.or(whole(value, &legacy, limits::MAX_TOKENS)?);
    let default = Sampling::default();
    let seed = whole(value, "sampling.seed", i64::MAX as u64)?;
    Ok(Sampling {
        temperature: first("temperature", 2.0)?.unwrap_or(default.temperature),
        max_tokens: max_tokens
            .filter(|n| *n > 0)
            .map_or(default.max_tokens, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        top_p: number(value, "sampling.top_p", 1.0)?,
        seed: seed.and_then(|seed| i64::try_from(seed).ok()),
    })
}

fn constraints(value: &Value) -> Result<Constraints, VerifyError> {
    let nanos = limits::MAX_TIMEOUT_S * 1_000_000_000;
    let time = |path: &str| -> Result<Option<Duration>, VerifyError> {
        Ok(whole(value, path, nanos)?.filter(|n| *n > 0).map(Duration::from_nanos))
    };
    let min_regions =
        whole(value, "constraints.min_regions", limits::MAX_REGIONS as u64)?.unwrap_or(1).max(1);
    let rate = number(value, "constraints.min_success_rate", 1.0)?.filter(|rate| *rate > 0.0);
    let max_cost = number(value, "constraints.max_cost", 1e9)?.filter(|cost| *cost > 0.0);
    Ok(Constraints {
        min_regions: u32::try_from(min_regions).expect("bounded above"),
        min_success_rate: rate.unwrap_or(0.67),
        timeout: time("constraints.timeout")?,
        provider_timeout: time("constraints.provider_timeout")?,
        max_cost_micros: max_cost.map(|dollars| (dollars * 1e6).round() as u64),
    })
}
