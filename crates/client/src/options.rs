//! Where the server is, and who asks.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use beacon_spec::SigningKey;
use http::{HeaderValue, Uri};

use crate::ClientError;

/// A server answers within 30 s or says that it cannot; a little more is the way there.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);
/// A server that is being started again, or a network that comes back.
const PATIENCE: Duration = Duration::from_secs(300);
/// Beacon's tokens are longer, in characters.
const SHORTEST_SECRET: usize = 16;

/// The address of an API: `http` or `https`, a host, perhaps a port and a path before `/api/v1`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
}

/// A bearer token. It is shown nowhere.
#[derive(Clone)]
pub struct Token(HeaderValue, String);

/// What a client works with.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Where the API is.
    pub server: ServerUrl,
    /// Who asks, where the server wants to know.
    pub token: Option<Token>,
    /// Signs what steers, in the place of a token: the key that signed the job.
    pub key: Option<SigningKey>,
    /// Certificates of a private authority, PEM; without it the public ones are trusted.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take until it begins, and a part of it until it comes.
    pub answer_within: Duration,
    /// How long a watched server may be away.
    pub patience: Duration,
}

impl ClientOptions {
    /// This server, without a token.
    #[must_use]
    pub const fn new(server: ServerUrl) -> Self {
        Self {
            server,
            token: None,
            key: None,
            ca_file: None,
            answer_within: ANSWER_WITHIN,
            patience: PATIENCE,
        }
    }
}

impl ServerUrl {
    /// The address of a path of the API, such as `/api/v1/jobs`.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, ClientError> {
        let address = format!("{}{path}", self.text);
        address.parse().map_err(|_| ClientError::Options("the request's path is no path of a URL".to_owned()))
    }
}

impl FromStr for ServerUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let fail = |problem: &str| {
            Err(ClientError::Options(format!(
                "the server's URL {problem}; give it as http://HOST:PORT or https://HOST"
            )))
        };
        let Ok(uri) = text.trim().parse::<Uri>() else { return fail("is no URL") };
        let Some(authority) = uri.authority() else { return fail("has no host") };
        // It would be shown with the URL, and belongs into a token.
        if authority.as_str().contains('@') {
            return fail("has a user or a password, and the API takes a token instead");
        }
        if uri.query().is_some() {
            return fail("has a query");
        }
        let (Some(scheme), Some(authority)) = (uri.scheme(), self::authority(&uri)) else {
            return fail("is neither http nor https");
        };
        let path = uri.path().trim_end_matches('/').trim_end_matches("/api/v1");
        Ok(Self { text: format!("{scheme}://{authority}{path}") })
    }
}

/// The host of a URL as clients send it: in lower case, without the scheme's own port. Nothing if it is no `http` or `https`.
#[must_use]
pub fn authority(url: &Uri) -> Option<String> {
    let own = match url.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host = url.host()?.to_ascii_lowercase();
    Some(match url.port_u16() {
        Some(port) if port != own => format!("{host}:{port}"),
        _ => host,
    })
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Token {
    /// A token as the server's operator gave it.
    ///
    /// # Errors
    /// It is empty, or holds what a header cannot.
    pub fn new(secret: &str) -> Result<Self, ClientError> {
        let secret = secret.trim();
        let header = HeaderValue::try_from(format!("Bearer {secret}"));
        match header {
            Ok(mut header) if !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic()) => {
                header.set_sensitive(true);
                Ok(Self(header, secret.to_owned()))
            }
            _ => Err(ClientError::Options(
                "the token is empty or has characters that no token has; copy it again".to_owned(),
            )),
        }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// A text from the server without this token: some repeat what they were sent.
    /// What is too short to be a secret of Beacon's may be a part of a word.
    pub(crate) fn taken_out(&self, text: &str) -> String {
        if self.1.len() < SHORTEST_SECRET { text.to_owned() } else { text.replace(&self.1, "…") }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{ServerUrl, Token, authority};

    #[test]
    fn the_host_is_as_clients_send_it() {
        let of = |url: &str| authority(&url.parse().unwrap());

        assert_eq!(of("https://Beacon.Example:443/a").as_deref(), Some("beacon.example"));
        assert_eq!(of("http://127.0.0.1:8080/a?b").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(of("http://[::1]:80/").as_deref(), Some("[::1]"));
        assert_eq!(of("/a"), None);
        assert_eq!(of("ftp://host/a"), None);
    }

    fn check_url(text: &str, expected: Result<&str, &str>) {
        match (text.parse::<ServerUrl>(), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url.to_string(), expected, "{text}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{text}: {error}"),
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_server_is_named_by_scheme_host_and_path() {
        check_url("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080"));
        check_url("https://beacon.example/", Ok("https://beacon.example"));
        check_url("https://example/beacon/", Ok("https://example/beacon"));
        check_url("https://example/api/v1/", Ok("https://example"));
        check_url("http://[::1]:8080", Ok("http://[::1]:8080"));
        check_url("https://Example:443", Ok("https://example"));
        check_url("127.0.0.1:8080", Err("neither http nor https"));
        check_url("localhost", Err("neither http nor https"));
        check_url("ftp://example", Err("neither http nor https"));
        check_url("http://me:secret@example", Err("token instead"));
        check_url("http://example?x=1", Err("query"));
        check_url("", Err("no URL"));
    }

    #[test]
    fn a_url_with_a_password_is_not_repeated() {
        let error = "http://me:secret@example".parse::<ServerUrl>().unwrap_err();

        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let token = Token::new("hush-hush-0123456\n").unwrap();

        assert!(!format!("{token:?}{:?}", token.header()).contains("hush"));
        assert_eq!(token.taken_out("no hush-hush-0123456 here"), "no … here");
        assert_eq!(Token::new("o").unwrap().taken_out("the token is unknown"), "the token is unknown");
        assert!(Token::new(" ").is_err() && Token::new("a b").is_err());
    }
}
