//! Result URLs: resolving a Location and keeping it on the same origin (C1).

use http::Uri;

/// The query parameter of Modal's result URLs (<https://modal.com/docs/guide/webhook-timeouts>).
pub(crate) const CALL_ID: &str = "__modal_function_call_id=";

/// Resolves a Location against the URL that answered it; `None` if it is no URL.
pub(crate) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let origin = format!("{}://{}", base.scheme_str()?, base.authority()?);
    let path = base.path();
    let absolute = if location.is_empty() {
        return None;
    } else if location.contains("://") && !location.starts_with(['/', '?']) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}:{location}", base.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{origin}{location}")
    } else if location.starts_with('?') {
        format!("{origin}{path}{location}")
    } else {
        format!("{origin}{}{location}", &path[..=path.rfind('/')?])
    };
    absolute.parse::<Uri>().ok().filter(|uri| uri.authority().is_some())
}

/// Whether both have scheme, host and port in common; a user name is never accepted.
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16().or_else(|| (uri.scheme_str() == Some("https")).then_some(443)).unwrap_or(80)
    };
    let plain = |uri: &Uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b) && plain(a) && plain(b)
}
