//! Probing the configured addresses without starting work (C4). Health and models are asked; to the inference address only a
//! connection is made, because any request there may start a container that costs money.

use beacon_domain::{CallError, Monotonic, ProbeFinding, ProbeReport, Stage};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Limits,
    endpoint::HttpEndpoint,
    json::{malformed, object},
    openai::answer::is_form_of,
};

/// Names of models shown when the one looked for is missing.
const MAX_NAMES: usize = 20;
const MAX_NAME_CHARS: usize = 80;
const HEALTHY: [&str; 5] = ["healthy", "ok", "ready", "pass", "up"];

const CONNECTED: &str = "a connection can be made; no request was sent, as it could start a paid container, so only a \
                         real call proves path, app and credentials";

/// What was found: `Ok` is as expected.
type Finding = Result<String, String>;

/// Asks every configured address, all at once.
pub(crate) async fn probe(endpoint: &HttpEndpoint, deadline: Monotonic) -> ProbeReport {
    let config = &endpoint.config;
    let stop = CancellationToken::new();
    let limits = Limits { deadline, stop: &stop };
    let ask = async |purpose: &str, url: &Option<String>, judge: Judge| {
        let url = url.as_ref()?;
        let found = match fetch(endpoint, url, limits).await {
            Ok((status, body)) => judge(endpoint, status, &body),
            Err(error) => Err(explain(endpoint, error, purpose)),
        };
        Some(finding(purpose, url, found))
    };
    let (health, models, inference) = futures::join!(
        ask("health", &config.health_url, judge_health),
        ask("models", &config.models_url, judge_models),
        connect(endpoint, limits),
    );
    let inference = finding("inference", &config.inference_url, inference);
    ProbeReport { findings: health.into_iter().chain(models).chain([inference]).collect() }
}

type Judge = fn(&HttpEndpoint, StatusCode, &[u8]) -> Finding;

fn finding(purpose: &str, url: &str, found: Finding) -> ProbeFinding {
    let ok = found.is_ok();
    let detail = found.unwrap_or_else(|problem| problem);
    ProbeFinding {
        purpose: purpose.to_owned(),
        url: url.split('?').next().unwrap_or_default().to_owned(),
        ok,
        // A terminal must not obey what an endpoint says.
        detail: detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

async fn fetch(
    endpoint: &HttpEndpoint,
    url: &str,
    limits: Limits<'_>,
) -> Result<(StatusCode, Bytes), CallError> {
    let url: Uri = url.parse().map_err(|_| malformed("the address is not a URL"))?;
    let request = endpoint.request(Method::GET, &url, Bytes::new(), "check")?;
    let response = endpoint.client.send(request, Stage::Request, limits).await?;
    let status = response.status();
    let body = endpoint.client.read(response.into_body(), limits).await?;
    Ok((status, body))
}

async fn connect(endpoint: &HttpEndpoint, limits: Limits<'_>) -> Finding {
    let connected = endpoint.client.connect(&endpoint.url, limits).await;
    connected.map(|()| CONNECTED.to_owned()).map_err(|error| explain(endpoint, error, "inference"))
}

fn explain(endpoint: &HttpEndpoint, error: CallError, purpose: &str) -> String {
    let error = endpoint.credentials.scrub(error);
    format!("{error}; check {purpose}_url and whether the endpoint is deployed")
}

fn judge_health(endpoint: &HttpEndpoint, status: StatusCode, body: &[u8]) -> Finding {
    if status != StatusCode::OK {
        return refused(status, body);
    }
    let Ok(health) = object(body) else {
        // vLLM answers with nothing, Ollama with a sentence.
        return if body.trim_ascii_start().starts_with(b"<") {
            Err("HTTP 200 with an HTML page; check that health_url is the health address".to_owned())
        } else {
            Ok("healthy (HTTP 200)".to_owned())
        };
    };
    let text = |name: &str| health.get(name).and_then(Value::as_str);
    if let Some(status) = text("status")
        && !HEALTHY.contains(&status.to_ascii_lowercase().as_str())
    {
        let status = short(status);
        return Err(format!("the endpoint calls itself {status:?}, not healthy; see its own logs"));
    }
    let region = endpoint.config.region;
    if let Some(told) = text("region")
        && told.parse().ok() != Some(region)
    {
        let told = short(told);
        return Err(format!("the endpoint is in {told:?}, not in {region}; correct region or the URLs"));
    }
    match names(&health) {
        Some(names) => judge_names(endpoint, &names).map(|serves| format!("healthy, {serves}")),
        None => Ok("healthy".to_owned()),
    }
}

fn judge_models(endpoint: &HttpEndpoint, status: StatusCode, body: &[u8]) -> Finding {
    if status != StatusCode::OK {
        return refused(status, body);
    }
    let list = object(body).map_err(|error| format!("{}; check models_url", error.message))?;
    let names = names(&list)
        .ok_or_else(|| "the answer has neither models_available nor data; check models_url".to_owned())?;
    judge_names(endpoint, &names)
}

/// The models that Modal's functions (`models_available`) and OpenAI's protocol (`data`) list.
fn names(list: &Map<String, Value>) -> Option<Vec<&str>> {
    let list = list.get("models_available").or_else(|| list.get("data"))?.as_array()?;
    Some(list.iter().filter_map(|item| item.as_str().or_else(|| item.get("id")?.as_str())).collect())
}

fn judge_names(endpoint: &HttpEndpoint, names: &[&str]) -> Finding {
    let model = endpoint.config.name_at_the_server();
    if names.iter().any(|name| is_form_of(name, model)) {
        return Ok(format!("serves {model}"));
    }
    let shown: Vec<String> = names.iter().take(MAX_NAMES).map(|name| short(name)).collect();
    let shown = if shown.is_empty() { "no model at all".to_owned() } else { shown.join(", ") };
    Err(format!("does not list {model}, but {shown}; correct model or upstream_model"))
}

fn short(text: &str) -> String {
    text.chars().take(MAX_NAME_CHARS).collect()
}

fn refused(status: StatusCode, body: &[u8]) -> Finding {
    let text = String::from_utf8_lossy(body);
    let advice = if text.contains("app for invoked web endpoint is stopped") {
        "the app is stopped; deploy it again"
    } else if text.contains("invalid function call") {
        "no function under this host name; correct the URL's label or deploy the app"
    } else {
        match status.as_u16() {
            401 | 403 => "the credentials are missing or wrong; check auth and the variables that it names",
            404 => {
                "no such path; give the full URL of this purpose (on Modal each function has its own host)"
            }
            303 => {
                "on Modal: still starting after 150 s, try again; elsewhere: the address redirects, configure where it leads to"
            }
            300..=399 => "the address redirects; configure the address that it leads to",
            429 => "the endpoint throttles; try again later",
            503 => "not ready; it may be starting, try again",
            500..=599 => "the endpoint fails inside; see its logs",
            _ => "unexpected; check the URL",
        }
    };
    Err(format!("HTTP {}: {advice}", status.as_u16()))
}
