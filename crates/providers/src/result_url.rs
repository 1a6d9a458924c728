//! Result URLs: where the answer of a call that still runs will be, always on the endpoint's own origin (C1, C2).

use beacon_domain::ResumeToken;
use http::{HeaderMap, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};

/// The query parameter of Modal's result URLs (<https://modal.com/docs/guide/webhook-timeouts>).
const CALL_ID: &str = "__modal_function_call_id=";
const MAX_CALL_ID_CHARS: usize = 200;

/// A result URL. It has the origin of the inference URL, so it may get the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResultUrl(Uri);

/// How a result URL stands in a resume token.
#[derive(Serialize, Deserialize)]
struct Token {
    url: String,
}

impl ResultUrl {
    /// Reads a redirect that came from `asked`; the error says why it leads to no result.
    pub(crate) fn from_redirect(
        inference: &Uri,
        asked: &Uri,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Self, &'static str> {
        let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let next = location
            .and_then(|location| resolve(asked, location))
            .ok_or("a redirect without a usable Location; check inference_url")?;
        if !same_origin(inference, &next) {
            return Err("the redirect leads to another origin and was not followed; check inference_url");
        }
        let next = Self(next);
        // Modal's documentation once said 301, then 302; the parameter tells. Without it only 303 says "see there".
        let elsewhere = status == StatusCode::SEE_OTHER && next.0 != *inference;
        if next.call_id().is_none() && !elsewhere {
            return Err("the redirect is not a result URL; check inference_url");
        }
        Ok(next)
    }

    /// The URL of an earlier try, if it still belongs to this endpoint.
    pub(crate) fn from_token(token: &ResumeToken, inference: &Uri) -> Option<Self> {
        let token: Token = serde_json::from_str(&token.0).ok()?;
        let url: Uri = token.url.parse().ok()?;
        same_origin(inference, &url).then_some(Self(url))
    }

    /// The token with which a later try finds it again.
    pub(crate) fn token(&self) -> ResumeToken {
        let token = Token { url: self.0.to_string() };
        ResumeToken(serde_json::to_string(&token).expect("one string is always JSON"))
    }

    /// The URL itself.
    pub(crate) const fn uri(&self) -> &Uri {
        &self.0
    }

    /// The provider's id of the call, if the URL tells.
    pub(crate) fn call_id(&self) -> Option<String> {
        let id = self.0.query()?.split('&').find_map(|pair| pair.strip_prefix(CALL_ID))?;
        (!id.is_empty()).then(|| id.chars().take(MAX_CALL_ID_CHARS).collect())
    }
}

/// Resolves a reference against the URL that answered it (RFC 3986 section 5.2, without dot segments).
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default().trim();
    if location.is_empty() {
        return None;
    }
    let scheme = base.scheme_str()?;
    let origin = format!("{scheme}://{}", base.authority()?);
    let path = base.path();
    let absolute = if has_scheme(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{origin}{location}")
    } else if location.starts_with('?') {
        format!("{origin}{path}{location}")
    } else {
        format!("{origin}{}{location}", &path[..=path.rfind('/')?])
    };
    absolute.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.authority().is_some())
}

fn has_scheme(location: &str) -> bool {
    location.find([':', '/', '?']).is_some_and(|at| location[at..].starts_with(':'))
}

/// Whether both have scheme, host and port in common; a user name is never accepted.
fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16().or_else(|| (uri.scheme_str() == Some("https")).then_some(443)).unwrap_or(80)
    };
    let plain = |uri: &Uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b) && plain(a) && plain(b)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "?__modal_function_call_id=fc-1";

    fn read(status: u16, location: &str) -> Result<String, &'static str> {
        let inference = "https://h.test/a/b".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, HeaderValue::from_str(location).unwrap());
        let status = StatusCode::from_u16(status).unwrap();

        ResultUrl::from_redirect(&inference, &inference, status, &headers).map(|url| url.0.to_string())
    }

    fn check(location: &str, expected: &str) {
        assert_eq!(read(303, location).as_deref(), Ok(expected), "{location}");
    }

    #[test]
    fn every_form_of_location_is_resolved() {
        check("https://h.test/r?x=1", "https://h.test/r?x=1");
        check("HTTPS://H.test/r", "https://H.test/r");
        check("https://h.test:443/r", "https://h.test:443/r");
        check("//h.test/r", "https://h.test/r");
        check("/r", "https://h.test/r");
        check("c?u=http://x.test/", "https://h.test/a/c?u=http://x.test/");
        check(ID, &format!("https://h.test/a/b{ID}"));
        check("/r?q=1#part", "https://h.test/r?q=1");
    }

    #[test]
    fn another_origin_is_refused_however_it_is_written() {
        // C1
        for location in [
            "http://h.test/r",
            "https://h.test:8443/r",
            "https://evil.test/r",
            "//evil.test/r",
            "https://h.test@evil.test/r",
            "https://user@h.test/r",
            "https://h.test.evil.test/r",
        ] {
            assert!(read(303, location).unwrap_err().contains("another origin"), "{location}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for location in ["", "#x", "javascript:alert(1)", "mailto:a@b", "http://", "ht tp://x"] {
            assert!(read(303, location).unwrap_err().contains("usable Location"), "{location}");
        }
    }

    #[test]
    fn other_redirects_need_the_call_id() {
        for status in [301, 302, 307, 308] {
            assert!(read(status, ID).is_ok(), "{status}");
            assert!(read(status, "/r").is_err(), "{status}");
            assert!(read(status, "/r?x__modal_function_call_id=1").is_err(), "{status}");
        }
        assert!(read(303, "/a/b").is_err(), "a redirect to itself is no result URL");
    }

    #[test]
    fn a_token_brings_the_same_url_back_but_not_to_another_endpoint() {
        // C2
        let inference = "https://h.test/a/b".parse().unwrap();
        let url = ResultUrl(format!("https://h.test/a/b{ID}").parse().unwrap());

        assert_eq!(url.call_id().as_deref(), Some("fc-1"));
        assert_eq!(ResultUrl::from_token(&url.token(), &inference), Some(url.clone()));
        assert_eq!(ResultUrl::from_token(&url.token(), &"https://other.test/".parse().unwrap()), None);
        assert_eq!(ResultUrl::from_token(&ResumeToken("fc-1".to_owned()), &inference), None);
    }

    proptest! {
        // C1
        #[test]
        fn no_location_makes_it_panic_or_leaves_the_origin(location in "[a-z/:?#@.&=% \\[\\]0-9-]{0,40}") {
            if let Ok(url) = read(303, &location) {
                let url: Uri = url.parse().unwrap();
                prop_assert_eq!((url.scheme_str(), url.host()), (Some("https"), Some("h.test")));
            }
        }
    }
}
