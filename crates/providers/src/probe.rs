//! Probing the configured addresses without starting work (C4).

use beacon_domain::{CallError, Monotonic, ProbeFinding, ProbeReport};
use http::{Method, Uri};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{client::Limits, exchange::HttpEndpoint};

/// Asks every configured address.
pub(crate) async fn probe(endpoint: &HttpEndpoint, deadline: Monotonic) -> ProbeReport {
    let mut findings = Vec::new();
    if let Some(url) = &endpoint.config.health_url {
        findings.push(ask(endpoint, "health", url, deadline, judge_health).await);
    }
    if let Some(url) = &endpoint.config.models_url {
        findings.push(ask(endpoint, "models", url, deadline, judge_models).await);
    }
    findings
        .push(ask(endpoint, "inference", &endpoint.config.inference_url, deadline, judge_inference).await);
    ProbeReport { findings }
}

type Judge = fn(&HttpEndpoint, u16, &[u8]) -> (bool, String);

async fn ask(
    endpoint: &HttpEndpoint,
    purpose: &str,
    url: &str,
    deadline: Monotonic,
    judge: Judge,
) -> ProbeFinding {
    let (ok, detail) = match fetch(endpoint, purpose, url, deadline).await {
        Ok((status, body)) => judge(endpoint, status, &body),
        Err(error) => (false, format!("{error}; check {purpose}_url and whether the endpoint is deployed")),
    };
    let shown = url.split('?').next().unwrap_or_default().to_owned();
    ProbeFinding { purpose: purpose.to_owned(), url: shown, ok, detail }
}

async fn fetch(
    endpoint: &HttpEndpoint,
    purpose: &str,
    url: &str,
    deadline: Monotonic,
) -> Result<(u16, bytes::Bytes), CallError> {
    let stop = CancellationToken::new();
    let limits = Limits { deadline, stop: &stop };
    let method = if purpose == "inference" { Method::OPTIONS } else { Method::GET };
    let url: Uri = url.parse().map_err(|_| {
        CallError::new(
            beacon_domain::ErrorCode::Internal,
            beacon_domain::Stage::Connect,
            "the address is not a URL",
        )
    })?;
    let response = endpoint.get(method, &url, limits).await?;
    let status = response.status().as_u16();
    Ok((status, endpoint.client.read(response.into_body(), limits).await?))
}

fn judge_health(_: &HttpEndpoint, status: u16, body: &[u8]) -> (bool, String) {
    if status != 200 {
        return explain(status, body);
    }
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return (
            body.is_empty(),
            "HTTP 200 without JSON; check that health_url is the health address".to_owned(),
        );
    };
    match json.get("status").and_then(Value::as_str) {
        Some(text) if !["healthy", "ok", "ready"].contains(&text.to_ascii_lowercase().as_str()) => {
            (false, "the endpoint does not call itself healthy; see its own logs".to_owned())
        }
        _ => (true, "healthy".to_owned()),
    }
}

fn judge_models(endpoint: &HttpEndpoint, status: u16, body: &[u8]) -> (bool, String) {
    if status != 200 {
        return explain(status, body);
    }
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return (false, "the model list is not JSON; check models_url".to_owned());
    };
    let list = json.get("models_available").or_else(|| json.get("data")).and_then(Value::as_array);
    let Some(list) = list else {
        return (false, "the answer has neither models_available nor data; check models_url".to_owned());
    };
    let name = |item: &Value| item.as_str().or_else(|| item.get("id")?.as_str()).map(str::to_owned);
    let names: Vec<String> = list.iter().filter_map(name).take(20).collect();
    let model = endpoint.upstream_model();
    if list.iter().filter_map(name).any(|name| name == model) {
        return (true, format!("serves {model}"));
    }
    (false, format!("does not list {model}, only {}; correct model or upstream_model", names.join(", ")))
}

fn judge_inference(_: &HttpEndpoint, status: u16, body: &[u8]) -> (bool, String) {
    let text = String::from_utf8_lossy(body);
    match status {
        200..=204 | 400 | 405 | 422 => (true, format!("reachable (HTTP {status} to OPTIONS, no work begun)")),
        404 if !text.contains("modal-http") && !text.contains("is stopped") => (
            true,
            "the host answers (HTTP 404 to OPTIONS); only a call can show whether the path is right"
                .to_owned(),
        ),
        _ => explain(status, body),
    }
}

fn explain(status: u16, body: &[u8]) -> (bool, String) {
    let text = String::from_utf8_lossy(body);
    let advice = if text.contains("app for invoked web endpoint is stopped") {
        "the app is stopped; deploy it again"
    } else if text.contains("invalid function call") {
        "no function under this host name; correct the URL's label or deploy the app"
    } else {
        match status {
            401 | 403 => "the credentials are missing or wrong; check auth and its environment variables",
            404 => "no such path; give the full URL of this purpose, each function has its own host",
            300..=399 => "the address redirects; configure the address that it leads to",
            429 => "the endpoint throttles; try again later",
            503 => "no container is ready; try again, it may be starting",
            500..=599 => "the endpoint fails inside; see its logs",
            _ => "unexpected; check the URL",
        }
    };
    (false, format!("HTTP {status}: {advice}"))
}
