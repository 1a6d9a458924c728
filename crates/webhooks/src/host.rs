//! Who a URL leads to: a name, or an address in any of the spellings that resolvers take.

use std::net::{IpAddr, Ipv4Addr};

use http::Uri;

/// What stands in the place of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// An address, however it was written.
    Address(IpAddr),
    /// A name, to be resolved.
    Name(String),
}

/// The host of a URL; nothing if it has none that can be used, or beside it something else than a port.
pub(crate) fn host_of(url: &Uri) -> Option<Host> {
    let (authority, text) = (url.authority()?.as_str(), url.host()?);
    let rest = authority.strip_prefix(text)?;
    let is_port = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
        return None;
    }
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Address(IpAddr::V6(address)));
    }
    // A full stop at the end names the root; the name is the same.
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if !name.split('.').all(is_label) {
        return None;
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if number(last).is_some() || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return numbers(&name).map(|address| Host::Address(IpAddr::V4(address)));
    }
    Some(Host::Name(name))
}

/// An address of version 4 as `inet_aton` takes it: one to four numbers, decimal, octal or hexadecimal, of which the last
/// fills what is left (WHATWG URL, "IPv4 parser").
fn numbers(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let rest = u32::try_from(4_usize.checked_sub(first.len())?).ok().filter(|rest| *rest > 0)?;
    if first.iter().any(|part| *part > 255) || *last >= 1_u64 << (8 * rest) {
        return None;
    }
    let shifted = first.iter().zip(0..).map(|(part, place): (&u64, u32)| part << (8 * (3 - place)));
    u32::try_from(shifted.sum::<u64>() + last).ok().map(Ipv4Addr::from_bits)
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // `0x` alone is 0. `from_str_radix` takes a sign.
    if digits.is_empty() {
        return (radix == 16).then_some(0);
    }
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: Option<&str>) {
        let url = format!("http://{host}/").parse::<Uri>().ok();
        let found = url.and_then(|url| host_of(&url)).map(|host| match host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name,
        });
        assert_eq!(found.as_deref(), expected, "{host}");
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0X7F.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "0x7f.0x0.0x0.0x1",
            "127.0.0.01",
            "127.0.0.0x1",
            "00177.1",
        ] {
            check(host, Some("127.0.0.1"));
        }
        check("0", Some("0.0.0.0"));
        check("0x", Some("0.0.0.0"));
        check("[::ffff:127.0.0.1]", Some("::ffff:127.0.0.1"));
        check("[0:0:0:0:0:ffff:7f00:1]:80", Some("::ffff:127.0.0.1"));
        check("3232235777", Some("192.168.1.1"));
    }

    #[test]
    fn names_stay_names_and_what_is_neither_is_no_host() {
        check("Example.COM", Some("example.com"));
        check("example.com.", Some("example.com"));
        check("1.example", Some("1.example"));
        check("0x7f.example", Some("0x7f.example"));
        check("localhost:80", Some("localhost"));
        for host in [
            "256.1.1.1",
            "1.2.3.4.5",
            "4294967296",
            "1..1",
            "0x1ffffffff",
            "09.1",
            "example.99999999999",
            ".",
            "a..b",
            "a:0",
            "a:65536",
            "a:x",
            "a:1:2",
            "u@a",
            "1.1.1.1:",
        ] {
            check(host, None);
        }
    }
}
