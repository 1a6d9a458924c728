//! What an operator allows: schemes, networks, and the secrets that sign.

use std::net::{IpAddr, Ipv4Addr};

use beacon_domain::WebhookPolicy;
use http::Uri;

use crate::{
    Networks, Secrets,
    host::{Host, host_of},
};

/// The operator's rules.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What signs.
    pub secrets: Secrets,
    /// Networks beside the public ones.
    pub allow: Networks,
    /// Whether `http` is allowed too, where anybody on the way reads what is told.
    pub allow_http: bool,
}

/// Why a URL or an address is refused, whoever asks and whenever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("is no address that can be told; give one such as https://example.com/hook")]
    NoHost,
    #[error("is plain http, which the setting webhooks.allow_http does not allow; give an https address")]
    PlainHttp,
    #[error("leads to {address}, which is {what}; the setting webhooks.allow names no network with it")]
    Address { address: IpAddr, what: &'static str },
}

impl Rules {
    /// What the text alone tells.
    pub(crate) fn judge_url(&self, url: &Uri) -> Result<Host, Refusal> {
        match url.scheme_str() {
            Some("https") => {}
            Some("http") if self.allow_http => {}
            Some("http") => return Err(Refusal::PlainHttp),
            _ => return Err(Refusal::NoHost),
        }
        let host = host_of(url).ok_or(Refusal::NoHost)?;
        match &host {
            Host::Address(address) => self.judge_address(*address)?,
            // RFC 6761, section 6.3.
            Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => {
                self.judge_address(Ipv4Addr::LOCALHOST.into())?;
            }
            Host::Name(_) => {}
        }
        Ok(host)
    }

    pub(crate) fn judge_address(&self, address: IpAddr) -> Result<(), Refusal> {
        self.allow.judge(address).map_err(|what| Refusal::Address { address, what })
    }
}

impl WebhookPolicy for Rules {
    fn judge(&self, url: &str) -> Result<(), String> {
        let parsed = url.parse::<Uri>().map_err(|_| Refusal::NoHost);
        parsed.and_then(|url| self.judge_url(&url)).map(drop).map_err(|refusal| refusal.to_string())
    }

    fn secret_of(&self, public_key: &[u8; 32]) -> String {
        self.secrets.of_key(public_key).reveal()
    }
}

#[cfg(test)]
mod tests {
    use beacon_spec::WebhookSecret;

    use super::*;

    fn rules(allow: &[&str], allow_http: bool) -> Rules {
        let networks = allow.iter().map(|network| network.parse().unwrap()).collect();
        Rules {
            secrets: Secrets::new(WebhookSecret::generate(), None),
            allow: Networks::new(networks),
            allow_http,
        }
    }

    fn check(rules: &Rules, url: &str, refused: Option<&str>) {
        let judged = rules.judge(url);
        let fits = match (&judged, refused) {
            (Ok(()), None) => true,
            (Err(message), Some(part)) => message.contains(part),
            _ => false,
        };
        assert!(fits, "{url}: {judged:?}");
    }

    #[test]
    fn a_url_is_judged_by_its_text_before_anybody_is_asked() {
        let strict = rules(&[], false);
        for url in [
            "https://example.com/hook",
            "https://example.com:8443/?a=b",
            "https://1.1.1.1",
            "https://[2606:4700::1]/",
        ] {
            check(&strict, url, None);
        }
        check(&strict, "http://example.com/", Some("webhooks.allow_http"));
        for url in [
            "https://",
            "ftp://example.com/",
            "https://a:b:c/",
            "https://256.1.1.1/",
            "https://example.com:0/",
            "https://[::1/",
        ] {
            check(&strict, url, Some("no address that can be told"));
        }
        let open = rules(&[], true);
        for (url, what) in [
            ("http://127.0.0.1/", "loopback"),
            ("http://2130706433/", "127.0.0.1, which is loopback"),
            ("http://0x7f.1/", "loopback"),
            ("http://0177.1/", "loopback"),
            ("http://127.1:8080/", "loopback"),
            ("http://[::ffff:127.0.0.1]/", "loopback"),
            ("http://[::1]:80/", "loopback"),
            ("http://localhost/", "loopback"),
            ("http://a.LOCALHOST./", "loopback"),
            ("http://169.254.169.254/latest/meta-data/", "link-local"),
            ("http://[fd00:ec2::254]/", "private"),
            ("http://0/", "no host"),
            ("https://10.0.0.7:6443/", "private"),
        ] {
            check(&open, url, Some(what));
            check(&open, url, Some("webhooks.allow"));
        }
        check(&rules(&["127.0.0.0/8"], true), "http://0x7f.1:9/", None);
        check(&rules(&["127.0.0.0/8"], true), "http://[::1]/", Some("loopback"));
    }
}
