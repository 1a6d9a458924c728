//! Credentials: from environment variables into headers, and never into a message.

use beacon_domain::CallError;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::{AuthConfig, ConfigError, EndpointConfig};

/// What stands for a secret in a message.
const REDACTED: &str = "[redacted]";

/// Shorter values are placeholders such as `EMPTY` or `ollama`, and would garble messages.
const SHORTEST_SECRET: usize = 8;

/// A cut-off secret at the end of a message is recognised from this length on.
const SHORTEST_PREFIX: usize = 4;

/// The credentials of one endpoint. Has no `Debug`, so that it cannot be logged.
pub(crate) struct Credentials {
    headers: Vec<(HeaderName, HeaderValue)>,
    secrets: Vec<String>,
}

impl Credentials {
    /// Reads the variables that the configuration names.
    pub(crate) fn load(
        config: &EndpointConfig,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut found = Self { headers: Vec::new(), secrets: Vec::new() };
        let read = |name: &str, wrong: &str, right: &str| {
            let fail = |problem: &str| {
                ConfigError::new(&config.id(), "auth", &format!("environment variable {name} {problem}"))
            };
            let text = env(name)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| fail("is not set; set it, or remove auth"))?;
            if !wrong.is_empty() && text.starts_with(wrong) {
                let problem =
                    format!("holds an API token ({wrong}…); web functions take a proxy token ({right}…)");
                return Err(fail(&problem));
            }
            Ok((text, fail("holds characters that no header may hold; set it again")))
        };
        match &config.auth {
            None => {}
            Some(AuthConfig::Modal { modal_key_env, modal_secret_env }) => {
                let (key, unfit) = read(modal_key_env, "ak-", "wk-")?;
                found.add("modal-key", "", key).ok_or(unfit)?;
                let (secret, unfit) = read(modal_secret_env, "as-", "ws-")?;
                found.add("modal-secret", "", secret).ok_or(unfit)?;
            }
            Some(AuthConfig::Bearer { bearer_env }) => {
                let (token, unfit) = read(bearer_env, "", "")?;
                found.add(header::AUTHORIZATION.as_str(), "Bearer ", token).ok_or(unfit)?;
            }
        }
        Ok(found)
    }

    fn add(&mut self, name: &'static str, prefix: &str, secret: String) -> Option<()> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{secret}")).ok()?;
        value.set_sensitive(true);
        self.headers.push((HeaderName::from_static(name), value));
        if secret.len() >= SHORTEST_SECRET {
            self.secrets.push(secret);
        }
        Some(())
    }

    /// Adds the credentials to a request. Only for configured URLs and result URLs on their origin.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        headers.extend(self.headers.iter().cloned());
    }

    /// Takes the credentials and the query strings of URLs out of an error's message.
    pub(crate) fn scrub(&self, mut error: CallError) -> CallError {
        let text = without_queries(&self.scrub_text(&error.message));
        error.message = text.chars().take(CallError::MAX_MESSAGE_CHARS).collect();
        error
    }

    fn scrub_text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), REDACTED);
            // A message is bounded, and the bound may have cut a secret in two.
            let cut = (SHORTEST_PREFIX..secret.len())
                .rev()
                .find(|&n| secret.is_char_boundary(n) && text.ends_with(&secret[..n]));
            if let Some(n) = cut {
                text.truncate(text.len() - n);
                text += REDACTED;
            }
        }
        text
    }
}

/// Query strings may be signatures (presigned URLs), so a message never holds one.
fn without_queries(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        let end = url.find(|c: char| c.is_whitespace() || "\"'<>`\\".contains(c)).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        kept += before;
        match url.split_once('?') {
            Some((path, _)) => kept += &format!("{path}?{REDACTED}"),
            None => kept += url,
        }
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use beacon_domain::{ErrorCode, Stage};

    use super::*;

    const SECRET: &str = "ws-test-only-0123456789";

    fn scrub(message: &str) -> String {
        let credentials = Credentials { headers: Vec::new(), secrets: vec![SECRET.to_owned()] };
        credentials.scrub(CallError::new(ErrorCode::EndpointFailed, Stage::Request, message)).message
    }

    #[test]
    fn a_message_never_holds_a_credential_not_even_one_cut_in_two() {
        let at_the_bound = format!("{}{SECRET}", "x".repeat(CallError::MAX_MESSAGE_CHARS - 9));

        assert_eq!(scrub(&format!("you sent {SECRET}!")), "you sent [redacted]!");
        assert!(!scrub(&at_the_bound).contains("ws-t"), "{}", scrub(&at_the_bound));
    }

    #[test]
    fn a_message_never_holds_the_query_of_a_url() {
        let text = "GET https://s3.test/a/b?X-Amz-Signature=abc failed; see \"http://h/?t=1\" and http://h/p";

        assert_eq!(
            scrub(text),
            "GET https://s3.test/a/b?[redacted] failed; see \"http://h/?[redacted]\" and http://h/p"
        );
    }
}
