//! Who is to be told what of a job.

use crate::{VerifyError, Webhook, WebhookEvent, field::Field, limits};

/// `webhooks`: objects with a `url` and perhaps `events`.
pub(crate) fn webhooks(root: &Field<'_>) -> Result<Vec<Webhook>, VerifyError> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    for one in root.member("webhooks")?.items(limits::MAX_WEBHOOKS)? {
        if !one.is_object() {
            return Err(one.must("an object with a url"));
        }
        let webhook = Webhook { url: url(&one.member("url")?)?, events: events(&one.member("events")?)? };
        if webhooks.iter().any(|known| known.url == webhook.url) {
            return Err(one.invalid("has a url that is there already; name all its events in one entry"));
        }
        webhooks.push(webhook);
    }
    Ok(webhooks)
}

fn url(field: &Field<'_>) -> Result<String, VerifyError> {
    let what = "an address such as https://example.com/hook, without a user";
    let text = field.text(limits::MAX_URL_CHARS)?.ok_or_else(|| field.must(what))?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| field.must(what))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let fits = end > 0 && rest[..end].chars().all(is_host) && rest.chars().all(|c| c.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err(field.must(what)) }
}

/// In the order of [`WebhookEvent::ALL`], each once.
fn events(field: &Field<'_>) -> Result<Vec<WebhookEvent>, VerifyError> {
    let mut named = Vec::new();
    for one in field.items(limits::MAX_WEBHOOK_EVENTS)? {
        let text = one.text(limits::MAX_EVENT_CHARS)?;
        let known = text.and_then(|text| WebhookEvent::ALL.into_iter().find(|event| event.as_str() == text));
        let all = WebhookEvent::ALL.map(WebhookEvent::as_str).join(", ");
        named.push(known.ok_or_else(|| one.must(&format!("one of {all}")))?);
    }
    if named.is_empty() {
        named.push(WebhookEvent::JobEnded);
    }
    Ok(WebhookEvent::ALL.into_iter().filter(|event| named.contains(event)).collect())
}
