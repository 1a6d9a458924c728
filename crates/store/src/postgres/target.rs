//! What a database's URL, or libpq's key-value text, says beyond what the driver reads: how certificates are checked. And
//! what of it may be shown.

use std::{borrow::Cow, error::Error as _, path::PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::{Config, config::SslMode};

const FORM: &str = "its form is postgres://user:password@host:5432/database";
/// The parameters that are read, but for secrets; their values may be shown.
const OPEN: [&str; 19] = [
    "user",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    "sslrootcert",
];
/// Parameters of libpq that nobody reads here.
const UNKNOWN: [&str; 15] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "krbsrvname",
    "passfile",
    "replication",
    "requirepeer",
    "requiressl",
    "service",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslkey",
    "sslsni",
    "ssl_min_protocol_version",
];

/// A database to connect to.
pub(crate) struct Target {
    /// For the driver.
    pub(crate) config: Config,
    /// Which authorities are trusted.
    pub(crate) roots: Roots,
}

/// Which certificate authorities are trusted. Whoever uses TLS is verified, name and chain, whatever the mode is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Those of the configuration.
    Configured,
    /// The system's: `sslrootcert=system`.
    System,
    /// Those of this PEM file: `sslrootcert=FILE`.
    File(PathBuf),
}

/// One parameter as it stands in the text, and as it is meant.
struct Parameter<'a> {
    raw: &'a str,
    name: String,
    value: String,
}

/// The parts of a text.
struct Parts<'a> {
    /// A URL up to its parameters; `None` for key-value text.
    base: Option<&'a str>,
    parameters: Vec<Parameter<'a>>,
}

impl Target {
    /// Reads the text.
    ///
    /// # Errors
    /// What is wrong and what to do, without anything that may be a secret.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if let Some(scheme) = foreign_scheme(text) {
            return Err(format!(
                "the database URL begins with {scheme}://, and Beacon needs PostgreSQL; {FORM}"
            ));
        }
        if text.contains("://") && ends_login_early(text) {
            return Err(format!(
                "the database URL has a blank, or an @ within its user or password; percent-encode them (%20, %40); {FORM}"
            ));
        }
        let parts = Parts::of(text).ok_or_else(|| format!("the database URL cannot be read; {FORM}"))?;
        let (mut roots, mut verified) = (Roots::Configured, false);
        let mut left = Vec::new();
        for parameter in &parts.parameters {
            check_name(&parameter.name)?;
            match (parameter.name.as_str(), parameter.value.as_str()) {
                ("sslrootcert", "system") => roots = Roots::System,
                ("sslrootcert", file) => roots = Roots::File(file.into()),
                ("sslmode", "verify-ca" | "verify-full") => verified = true,
                ("sslmode", "disable" | "prefer" | "require") => left.push(parameter.raw),
                ("sslmode", _) => {
                    let known = "disable, prefer, require, verify-ca or verify-full";
                    return Err(format!("the database URL has an sslmode that is not known; it is {known}"));
                }
                _ => left.push(parameter.raw),
            }
        }
        let mut config: Config = parts.with(&left).parse().map_err(|error| unreadable(&error))?;
        if verified {
            config.ssl_mode(SslMode::Require);
        }
        Ok(Self { config, roots })
    }
}

/// A URL or key-value text without its password, and without whatever else may be a secret.
#[must_use]
pub fn shown_url(text: &str) -> String {
    let hidden = || "[redacted]".to_owned();
    let Some(parts) = Parts::of(text) else { return hidden() };
    let parameters = parts.parameters.iter().map(|parameter| match parameter.name.as_str() {
        name if OPEN.contains(&name) => parameter.raw.to_owned(),
        "password" => format!("password={}", hidden()),
        _ => hidden(),
    });
    let parameters: Vec<String> = parameters.collect();
    let Some(base) = parts.base else { return parameters.join(" ") };
    let Some((scheme, rest)) = base.split_once("://") else { return hidden() };
    // A password with an @ of its own reaches to the last one.
    let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    if login.is_empty() && !names_hosts(place) {
        return hidden();
    }
    let user = login.split(':').next().unwrap_or_default();
    let (at, ask) = (if user.is_empty() { "" } else { "@" }, if parameters.is_empty() { "" } else { "?" });
    format!("{scheme}://{user}{at}{place}{ask}{}", parameters.join("&"))
}

/// Whether hosts and ports stand here, and not a user with a password whose host was forgotten.
fn names_hosts(place: &str) -> bool {
    let mut hosts = place.split('/').next().unwrap_or_default().split(',');
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    hosts.all(|host| host.starts_with('[') || host.split_once(':').is_none_or(|(_, port)| is_port(port)))
}

/// A name is told only if it is one of libpq's: anything else may be a piece of a password.
fn check_name(name: &str) -> Result<(), String> {
    if UNKNOWN.contains(&name) {
        return Err(format!("the database URL has the parameter {name}, which is not supported; remove it"));
    }
    if OPEN.contains(&name) || name == "password" {
        return Ok(());
    }
    Err("the database URL has a parameter that PostgreSQL does not know; percent-encode a password in a URL, and quote it in \
         key-value text"
        .to_owned())
}

/// The driver names parameters that it knows, and quotes anything else.
fn unreadable(error: &tokio_postgres::Error) -> String {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    if cause.starts_with("invalid value for option") {
        return format!("the database URL has an {cause}; correct it");
    }
    format!("the database URL cannot be read; {FORM}, and a password in it is percent-encoded")
}

/// The driver ends the login at the first @ and takes what follows for hosts: the rest of a password would be looked up, and
/// told, as a name.
fn ends_login_early(url: &str) -> bool {
    let place = url.split('?').next().unwrap_or_default();
    place.chars().any(char::is_whitespace) || place.matches('@').count() > 1
}

fn foreign_scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let foreign = !["postgres", "postgresql"].contains(&scheme) && scheme.chars().all(is_scheme);
    foreign.then_some(scheme)
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Some(Self { base: None, parameters: pairs(text)? });
        }
        // As the driver does: credentials end at the first @, parameters begin after it.
        let credentials = text.find('@').unwrap_or(0);
        let Some(ask) = text[credentials..].find('?').map(|place| credentials + place) else {
            return Some(Self { base: Some(text), parameters: Vec::new() });
        };
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().ok().map(Cow::into_owned);
        let parameter = |raw: &'a str| {
            let (name, value) = raw.split_once('=')?;
            Some(Parameter { raw, name: decoded(name)?, value: decoded(value)? })
        };
        let asked = text[ask + 1..].split('&').filter(|raw| !raw.is_empty());
        Some(Self { base: Some(&text[..ask]), parameters: asked.map(parameter).collect::<Option<_>>()? })
    }

    /// The text with these parameters alone.
    fn with(&self, parameters: &[&str]) -> String {
        match self.base {
            None => parameters.join(" "),
            Some(base) if parameters.is_empty() => base.to_owned(),
            Some(base) => format!("{base}?{}", parameters.join("&")),
        }
    }
}

/// `key = value` and `key = 'a value'`, with backslashes before quotes and backslashes
/// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE>).
fn pairs(text: &str) -> Option<Vec<Parameter<'_>>> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        let raw = rest[..rest.len() - after.len()].trim_end();
        parameters.push(Parameter { raw, name: name.to_owned(), value });
        rest = after.trim_start();
    }
    Some(parameters)
}

/// The value that the text begins with, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((place, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted => return Some((value, &text[place + 1..])),
            c if !quoted && c.is_whitespace() => return Some((value, &text[place..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Target {
        Target::read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_modes_of_libpq_are_understood_in_both_forms() {
        for (mode, expected) in [
            ("disable", SslMode::Disable),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::Require),
            ("verify-full", SslMode::Require),
        ] {
            for text in [
                format!("postgres://ada:s3%40cret@db.example/beacon?sslmode={mode}&connect_timeout=3"),
                format!(
                    "host=db.example user=ada password='s3@cret' sslmode = {mode} connect_timeout=3 dbname=beacon"
                ),
            ] {
                let config = read(&text).config;
                assert_eq!(config.get_ssl_mode(), expected, "{text}");
                assert_eq!(config.get_password(), Some("s3@cret".as_bytes()), "{text}");
                assert_eq!(
                    (config.get_dbname(), config.get_connect_timeout().unwrap().as_secs()),
                    (Some("beacon"), 3)
                );
            }
        }
    }

    #[test]
    fn the_trusted_authorities_may_stand_in_the_url() {
        assert_eq!(read("postgres://db/beacon").roots, Roots::Configured);
        assert_eq!(read("postgres://db/beacon?sslrootcert=system&sslmode=verify-full").roots, Roots::System);
        let file = Roots::File("/etc/our ca.pem".into());
        assert_eq!(read("postgres://db/beacon?sslrootcert=%2Fetc%2Four%20ca.pem").roots, file);
        assert_eq!(read("host=db sslrootcert='/etc/our ca.pem'").roots, file);
    }

    #[test]
    fn what_cannot_be_used_is_told_without_what_may_be_a_secret() {
        for (text, expected) in [
            ("mysql://ada:s3cret@db/beacon", "begins with mysql://, and Beacon needs PostgreSQL"),
            ("postgres://ada:s3cret@db/beacon?sslmode=allow", "verify-full"),
            ("postgres://ada:s3cret@db/beacon?sslcert=a", "the parameter sslcert, which is not supported"),
            ("postgres://ada:s3cret@db:many/beacon", "invalid value for option `port`"),
            ("postgres://ada:x@y?s3cret=z@db/beacon", "percent-encode a password"),
            ("postgres://ada:p@ss s3cret@db/beacon", "a blank, or an @ within"),
            ("postgres://ada:p@s3cret@db/beacon", "a blank, or an @ within"),
            ("postgres://ada:s3cret@[", "invalid value for option `host`"),
            ("host=db password=a s3cret", "cannot be read"),
            ("host=db password=a s3cret=b", "quote it"),
            ("host=db password='s3cret", "cannot be read"),
        ] {
            let refused = Target::read(text).map(|target| target.config).unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
            assert!(!refused.contains("s3cret"), "{text}: {refused}");
        }
    }

    #[test]
    fn all_but_secrets_is_shown() {
        for (text, expected) in [
            ("postgres://ada:s3cret@db.example:6432/beacon", "postgres://ada@db.example:6432/beacon"),
            ("postgres://db/beacon?sslmode=verify-full", "postgres://db/beacon?sslmode=verify-full"),
            ("postgres://ada:s3@cret@db/beacon", "postgres://ada@db/beacon"),
            (
                "postgres://a@db/b?password=s3cret&sslmode=require",
                "postgres://a@db/b?password=[redacted]&sslmode=require",
            ),
            ("postgres://a@[::1]:5432,other/b", "postgres://a@[::1]:5432,other/b"),
            ("postgres://one:5432,two/b", "postgres://one:5432,two/b"),
            ("postgres://ada:s3cret", "[redacted]"),
            ("postgres://ada:x@y?s3cret=z@db/beacon", "postgres://ada@y?[redacted]"),
            (
                "host=db user=ada password='s3 cret' sslmode=disable",
                "host=db user=ada password=[redacted] sslmode=disable",
            ),
            ("password=a s3cret=b host=db", "password=[redacted] [redacted] host=db"),
            ("s3cret", "[redacted]"),
        ] {
            assert_eq!(shown_url(text), expected);
        }
    }
}
