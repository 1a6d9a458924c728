//! Which addresses may be connected to: public ones, and those of networks that the operator allows.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of version 4 that are not public, and what they are.
/// Source: <https://www.iana.org/assignments/iana-ipv4-special-registry/>, unless a line says more.
const FORBIDDEN_V4: [(&str, &str); 17] = [
    ("0.0.0.0/8", "no host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a provider's customers"),
    ("127.0.0.0/8", "loopback"),
    // Where clouds tell machines their credentials.
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a relay of 6to4"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    // A public address that is the machine's own cloud:
    // <https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16>
    ("168.63.129.16/32", "a cloud's own service"),
    // AMT relays forward to multicast.
    ("192.52.193.0/24", "a relay of multicast"),
];

/// Networks of version 6 that are not public though they are within [`GLOBAL_V6`].
/// Source: <https://www.iana.org/assignments/iana-ipv6-special-registry/>.
const FORBIDDEN_V6: [(&str, &str); 4] = [
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "for documentation"),
    ("3ffe::/16", "no longer in use"),
    ("3fff::/20", "for documentation"),
];

/// Networks of version 6 whose names are worth telling; whatever else is outside of [`GLOBAL_V6`] is "not global".
const NAMED_V6: [(&str, &str); 8] = [
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "an old form of version 4"),
    ("64:ff9b:1::/48", "a translation inside of a network"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
];

/// All that is assigned as global unicast (RFC 4291, section 2.4, and IANA's assignments).
const GLOBAL_V6: &str = "2000::/3";
/// Translation of version 4 (RFC 6052, section 2.1): the last 32 bits are an address of version 4.
const NAT64: &str = "64:ff9b::/96";
/// 6to4 (RFC 3056): bits 16 to 47 are an address of version 4.
const SIX_TO_FOUR: &str = "2002::/16";
/// Teredo (RFC 4380, section 4): bits 32 to 63 are its server's address, and the last 32 the client's, inverted.
const TEREDO: &str = "2001::/32";

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::read);

struct Tables {
    v4: Vec<(Ipv4Net, &'static str)>,
    v6: Vec<(Ipv6Net, &'static str)>,
    named_v6: Vec<(Ipv6Net, &'static str)>,
    global_v6: Ipv6Net,
    nat64: Ipv6Net,
    six_to_four: Ipv6Net,
    teredo: Ipv6Net,
}

impl Tables {
    fn read() -> Self {
        let v4 = |text: &str| text.parse().expect("the table has networks of version 4");
        let v6 = |text: &str| text.parse().expect("the table has networks of version 6");
        Self {
            v4: FORBIDDEN_V4.iter().map(|(network, what)| (v4(network), *what)).collect(),
            v6: FORBIDDEN_V6.iter().map(|(network, what)| (v6(network), *what)).collect(),
            named_v6: NAMED_V6.iter().map(|(network, what)| (v6(network), *what)).collect(),
            global_v6: v6(GLOBAL_V6),
            nat64: v6(NAT64),
            six_to_four: v6(SIX_TO_FOUR),
            teredo: v6(TEREDO),
        }
    }
}

/// The networks that an operator allows beside the public ones.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// These networks; none of them is needed for public addresses.
    #[must_use]
    pub const fn new(allowed: Vec<IpNet>) -> Self {
        Self(allowed)
    }

    /// Whether this address may be connected to. An address of version 4 within one of version 6 (`::ffff:10.0.0.1`) is
    /// judged, and may be allowed, as what it is.
    ///
    /// # Errors
    /// What it is instead of public.
    pub(crate) fn judge(&self, address: IpAddr) -> Result<(), &'static str> {
        let address = address.to_canonical();
        if self.0.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        match address {
            IpAddr::V4(address) => public_v4(address),
            IpAddr::V6(address) => public_v6(address),
        }
    }
}

fn public_v4(address: Ipv4Addr) -> Result<(), &'static str> {
    let within = TABLES.v4.iter().find(|(network, _)| network.contains(&address));
    within.map_or(Ok(()), |(_, what)| Err(*what))
}

fn public_v6(address: Ipv6Addr) -> Result<(), &'static str> {
    let tables = &*TABLES;
    let bits = address.to_bits();
    let embedded = |shift: u32| Ipv4Addr::from_bits((bits >> shift) as u32);
    if tables.nat64.contains(&address) {
        return public_v4(embedded(0));
    }
    if tables.six_to_four.contains(&address) {
        return public_v4(embedded(80));
    }
    if tables.teredo.contains(&address) {
        public_v4(embedded(64))?;
        return public_v4(Ipv4Addr::from_bits(!(bits as u32)));
    }
    let named = if tables.global_v6.contains(&address) { &tables.v6 } else { &tables.named_v6 };
    match named.iter().find(|(network, _)| network.contains(&address)) {
        Some((_, what)) => Err(*what),
        None if tables.global_v6.contains(&address) => Ok(()),
        None => Err("not global"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses, and what they are instead of public.
    const FORBIDDEN: [(&str, &str); 56] = [
        ("0.0.0.0", "no host"),
        ("0.1.2.3", "no host"),
        ("10.0.0.0", "private"),
        ("10.255.255.255", "private"),
        ("100.64.0.0", "shared by a provider's customers"),
        ("100.100.100.200", "shared by a provider's customers"),
        ("100.127.255.255", "shared by a provider's customers"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.0.1", "link-local"),
        ("169.254.169.254", "link-local"),
        ("169.254.170.2", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "for documentation"),
        ("192.52.193.1", "a relay of multicast"),
        ("192.88.99.1", "a relay of 6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "for benchmarks"),
        ("198.19.255.255", "for benchmarks"),
        ("198.51.100.7", "for documentation"),
        ("203.0.113.7", "for documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("168.63.129.16", "a cloud's own service"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "an old form of version 4"),
        ("::8.8.8.8", "an old form of version 4"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.1.2.3", "private"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:0:127.0.0.1", "not global"),
        ("64:ff9b::127.0.0.1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b:1::1", "a translation inside of a network"),
        ("100::1", "not global"),
        ("2002:7f00:1::1", "loopback"),
        ("2002:c0a8:101::1", "private"),
        ("2001:0:7f00:1::fefe:fefe", "loopback"),
        ("2001:0:101:101::f5ff:fffe", "private"),
        ("2001:2::1", "reserved"),
        ("2001:10::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("2001:db8::1", "for documentation"),
        ("3fff::1", "for documentation"),
        ("5f00::1", "not global"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "private"),
        ("fe80::1", "link-local"),
        ("febf::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ];

    fn check(networks: &Networks, address: &str, expected: Result<(), &str>) {
        assert_eq!(networks.judge(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn only_public_addresses_may_be_connected_to() {
        let none = Networks::default();
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:0101:0101::1",
            "2001:0:101:101:0:0:fefe:fefe",
        ] {
            check(&none, public, Ok(()));
        }
        for (address, what) in FORBIDDEN {
            check(&none, address, Err(what));
        }
    }

    #[test]
    fn an_operator_allows_networks_and_nothing_beside_them() {
        let allowed = ["10.1.0.0/16", "fd00::/8"].map(|network| network.parse().unwrap());
        let networks = Networks::new(allowed.to_vec());

        for (address, expected) in [
            ("10.1.255.255", Ok(())),
            ("::ffff:10.1.0.1", Ok(())),
            ("fd12::1", Ok(())),
            ("10.2.0.0", Err("private")),
            // What a translator makes of it is not what was allowed.
            ("64:ff9b::10.1.0.1", Err("private")),
            ("127.0.0.1", Err("loopback")),
            ("fc00::1", Err("private")),
        ] {
            check(&networks, address, expected);
        }
    }
}
