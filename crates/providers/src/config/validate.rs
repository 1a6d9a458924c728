//! What makes a configuration of endpoints unusable, with the field and what to do.

use std::collections::BTreeSet;

use http::Uri;

use super::{AuthConfig, ConfigError, EndpointConfig, EndpointsFile, HttpVersion, Provider};

/// A thousand dollars.
const MOST_MICROS_PER_S: u64 = 1_000_000_000;
/// A day.
const MOST_LINGER_S: f64 = 86_400.0;
/// Thirty years.
const MOST_SECONDS: f64 = 1e9;

impl EndpointsFile {
    /// Checks everything that needs no environment.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.global_limit == Some(0) {
            let problem = "must be at least 1; leave it out for no limit";
            return Err(ConfigError::new("(all)", "global_limit", problem));
        }
        for (name, account) in &self.accounts {
            if account.limit == 0 {
                let problem = "must be at least 1; remove the account for no limit";
                return Err(ConfigError::new(&format!("(account {name})"), "limit", problem));
            }
        }
        let mut seen = BTreeSet::new();
        for endpoint in &self.endpoint {
            endpoint.validate()?;
            let id = endpoint.id();
            if seen.contains(&id) {
                return Err(ConfigError::new(&id, "id", "is used twice; give each endpoint its own id"));
            }
            self.check_outer_limits(endpoint)?;
            seen.insert(id);
        }
        Ok(())
    }

    /// A limit that the one around it can never grant is a mistake in one of the two.
    fn check_outer_limits(&self, endpoint: &EndpointConfig) -> Result<(), ConfigError> {
        let fail = |field, problem: String| Err(ConfigError::new(&endpoint.id(), field, &problem));
        if let Some(name) = &endpoint.account {
            let Some(account) = self.accounts.get(name) else {
                return fail("account", format!("no account {name:?}; add [accounts.{name}] with a limit"));
            };
            if endpoint.limit > account.limit {
                let (own, outer) = (endpoint.limit, account.limit);
                return fail(
                    "limit",
                    format!(
                        "is {own}, above the {outer} of account {name:?}; lower it or raise the account's"
                    ),
                );
            }
        }
        match self.global_limit {
            Some(outer) if endpoint.limit > outer => {
                let own = endpoint.limit;
                fail("limit", format!("is {own}, above global_limit {outer}; lower it or raise global_limit"))
            }
            _ => Ok(()),
        }
    }
}

impl EndpointConfig {
    /// Checks the fields by themselves.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_names()?;
        self.check_numbers()?;
        self.check_protocol()?;
        let urls = [
            ("inference_url", Some(&self.inference_url)),
            ("health_url", self.health_url.as_ref()),
            ("models_url", self.models_url.as_ref()),
        ];
        for (field, url) in urls {
            if url.is_some_and(|url| !is_usable(url)) {
                return self.fail(
                    field,
                    "must be a full http:// or https:// URL with a port from 0 to 65535, without user name, fragment and spaces",
                );
            }
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        let printable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if self.id.as_deref().is_some_and(|id| !printable(id)) {
            return self.fail("id", "is empty or not printable; leave it out for <region>/<model>");
        }
        if self.upstream_model.as_deref().is_some_and(|model| !printable(model)) {
            return self
                .fail("upstream_model", "is empty or not printable; leave it out to send the model's id");
        }
        let names: Vec<&str> = match &self.auth {
            None => Vec::new(),
            Some(AuthConfig::Modal { modal_key_env, modal_secret_env }) => {
                vec![modal_key_env, modal_secret_env]
            }
            Some(AuthConfig::Bearer { bearer_env }) => vec![bearer_env],
        };
        // What does not look like a variable's name is often the secret itself, so it is not repeated.
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if names.iter().any(|name| name.is_empty() || !name.chars().all(is_name)) {
            return self.fail(
                "auth",
                "needs names of environment variables (letters, digits, _); put no secret into this file",
            );
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        if self.limit == 0 {
            return self.fail("limit", "must be at least 1; remove the endpoint to stop using it");
        }
        if self.highest_limit() < self.limit {
            return self.fail("max_limit", "is below limit; raise it, or leave it out");
        }
        if self.adaptive.is_some_and(|a| a.floor == 0 || a.floor > a.ceiling || a.ceiling > self.limit) {
            return self
                .fail("adaptive", "needs 1 <= floor <= ceiling <= limit; raise limit to the ceiling wanted");
        }
        let is_time = |seconds: f64| (0.0..=MOST_SECONDS).contains(&seconds);
        if self.timing.is_some_and(|timing| !is_time(timing.cold_s) || !is_time(timing.warm_s)) {
            return self.fail("timing", "must be seconds from 0 to 1000000000; correct cold_s and warm_s");
        }
        if self.linger_s.is_some_and(|seconds| !(0.0..=MOST_LINGER_S).contains(&seconds)) {
            return self
                .fail("linger_s", "must be seconds from 0 to 86400; leave it out for the provider's own");
        }
        if self.price_micros_per_s > MOST_MICROS_PER_S {
            return self.fail(
                "price_micros_per_s",
                "is above 1000000000, a thousand dollars per second; it is in millionths of a dollar",
            );
        }
        if self.max_answer_bytes == 0 {
            return self.fail("max_answer_bytes", "must be at least 1; leave it out for 8 MiB");
        }
        Ok(())
    }

    fn check_protocol(&self) -> Result<(), ConfigError> {
        if self.http2_prior_knowledge && self.http_version == HttpVersion::Http1 {
            return self.fail("http2_prior_knowledge", "contradicts http_version = \"http1\"; remove one");
        }
        if self.max_tokens_field.is_some() && self.provider != Provider::OpenAi {
            return self.fail("max_tokens_field", "is only for provider = \"openai\"; remove it");
        }
        Ok(())
    }

    fn fail(&self, field: &'static str, problem: &str) -> Result<(), ConfigError> {
        Err(ConfigError::new(&self.id(), field, problem))
    }
}

fn is_usable(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri
                .authority()
                .is_some_and(|authority| authority.port_u16().is_some() || !has_port(authority.as_str()))
            && !url.contains('#')
    })
}

/// Whether something follows the host, as in `localhost:99999`. An IPv6 host stands in brackets.
fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
}
