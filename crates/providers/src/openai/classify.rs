//! The error objects of OpenAI and of the servers that imitate it as codes. What has none is read by its status, and a text
//! of Modal's edge, behind which such a server may stand, as Modal's.

use beacon_domain::{CallError, ErrorCode};
use serde_json::{Map, Value};

use crate::{modal::classify::classify as classify_edge, refusal::Refusal};

/// A refusal of credentials often quotes a part of them, so this stands in its place.
pub(crate) const CREDENTIALS: &str =
    "the credentials are missing or wrong; check auth and the variable that it names";

/// What an error object tells.
pub(crate) struct Told {
    pub(crate) code: Option<ErrorCode>,
    /// The HTTP status that it repeats, or stands for in an HTTP 200 (OpenRouter, LiteLLM).
    pub(crate) status: Option<u16>,
    pub(crate) text: String,
}

/// Reads a status that is no answer.
pub(crate) fn classify(refusal: &Refusal<'_>) -> CallError {
    if refusal.is_from_edge() {
        return classify_edge(refusal);
    }
    let told = serde_json::from_str(refusal.body).ok().and_then(|body: Map<String, Value>| read(&body));
    let by_status = refusal.code();
    let code = told.as_ref().and_then(|told| told.code).filter(|_| refines(by_status)).unwrap_or(by_status);
    if code == ErrorCode::Unauthorized {
        return refusal.error(code, CREDENTIALS);
    }
    let text = told.map_or_else(|| refusal.quote(), |told| told.text);
    match advice(code, refusal) {
        Some(advice) => refusal.error(code, &format!("{advice}; the endpoint said: {text}")),
        None => refusal.error(code, &text),
    }
}

/// Statuses that one error object or the other says more about. Of the rest the number is the clearer word.
const fn refines(by_status: ErrorCode) -> bool {
    matches!(
        by_status,
        ErrorCode::RejectedInput
            | ErrorCode::RejectedRequest
            | ErrorCode::Unauthorized
            | ErrorCode::Throttled
            | ErrorCode::EndpointFailed
    )
}

fn advice(code: ErrorCode, refusal: &Refusal<'_>) -> Option<&'static str> {
    Some(match code {
        ErrorCode::SpendLimit => "the account's quota or budget is used up; raise it",
        ErrorCode::UnknownModel => "the server does not serve this model; correct model or upstream_model",
        ErrorCode::RejectedRequest if refusal.status == 404 => {
            "no such path; inference_url must end in the server's chat completions path"
        }
        ErrorCode::RejectedInput if refusal.body.contains("max_completion_tokens") => {
            "set max_tokens_field = \"max_completion_tokens\""
        }
        _ => return None,
    })
}

/// Finds the error in a body: `{error: {message, type, code}}`, `{error: "text"}` (Ollama), `{object: "error", message, …}`
/// (older vLLM), `{detail: …}` (FastAPI).
pub(crate) fn read(body: &Map<String, Value>) -> Option<Told> {
    match (body.get("error"), body.get("detail")) {
        (Some(Value::Object(error)), _) => Some(tell(error)),
        (Some(Value::String(text)), _) if !text.is_empty() => Some(told(text)),
        _ if body.get("object").and_then(Value::as_str) == Some("error") => Some(tell(body)),
        (_, Some(Value::String(text))) if !body.contains_key("choices") => Some(told(text)),
        _ => None,
    }
}

fn told(text: &str) -> Told {
    Told { code: None, status: None, text: text.to_owned() }
}

fn tell(error: &Map<String, Value>) -> Told {
    let field = |name: &str| error.get(name).and_then(Value::as_str);
    let text = field("message").unwrap_or("the endpoint gave no reason");
    let named = |names: &[&str]| {
        [field("code"), field("type")].into_iter().flatten().any(|name| names.contains(&name))
    };
    let code = if named(&["insufficient_quota", "billing_hard_limit_reached", "budget_exceeded"]) {
        Some(ErrorCode::SpendLimit)
    } else if named(&["model_not_found"])
        || (text.contains("model") && is_missing(text, named(&["NotFoundError"])))
    {
        Some(ErrorCode::UnknownModel)
    } else if named(&["invalid_api_key", "authentication_error", "auth_error"]) {
        Some(ErrorCode::Unauthorized)
    } else if named(&["rate_limit_exceeded", "throttling_error"]) {
        Some(ErrorCode::Throttled)
    } else if named(&["context_length_exceeded", "exceed_context_size_error", "BadRequestError"]) {
        Some(ErrorCode::RejectedInput)
    } else {
        None
    };
    Told { code, status: error.get("code").and_then(status), text: text.to_owned() }
}

fn status(code: &Value) -> Option<u16> {
    let number = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..=599).contains(status))
}

/// vLLM and Ollama name no code of their own for a model that they do not have.
fn is_missing(text: &str, not_found: bool) -> bool {
    not_found || text.contains("not found, try pulling it first")
}
