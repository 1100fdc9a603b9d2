//! What a proxy in front of us may say about a caller: its address, and the name in its certificate.
//!
//! Owns: whom to believe. Never: believes a header of a peer that is not in the operator's list; without a list nobody is.
//! Fails: closed; an address that cannot be read ends the walk at the last one that could.
//! Proved by: the tests below, and `tests/it/callers.rs` with forged headers.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::address::Cidr;
use crate::limits::{CERTIFICATE_NAMES_EXAMINED_MAX, FORWARDED_HOPS_MAX};

/// Proxies that the operator trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Where they connect from.
    pub networks: Vec<Cidr>,
    /// The header in which they name a caller's certificate, in lower case. They must set it, or remove it, on every request.
    pub certificate_header: Arc<str>,
}

impl TrustedProxies {
    /// Nobody is believed.
    pub fn none() -> Self {
        Self { networks: Vec::new(), certificate_header: "x-client-cert-san".into() }
    }

    /// Whether what this peer says about others is believed.
    pub fn trust(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(peer))
    }

    /// The address a request came from: the peer's, or the last one in `X-Forwarded-For` that no trusted proxy has.
    /// `forwarded` are the header's lines in order.
    pub fn caller<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut caller = peer.to_canonical();
        let hops = forwarded.rev().flat_map(|line| line.rsplit(','));
        for hop in hops.take(FORWARDED_HOPS_MAX) {
            if !self.trust(caller) {
                break;
            }
            match address(hop.trim()) {
                Some(address) => caller = address.to_canonical(),
                None => break,
            }
        }
        caller
    }
}

/// An address as proxies write it: alone, in brackets, or with a port behind it, as some load balancers do.
fn address(hop: &str) -> Option<IpAddr> {
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    hop.parse().ok().or_else(with_port).or_else(bracketed)
}

/// Whether the proxy's header names this certificate: names separated by commas, with or without `DNS:`, `URI:` or `email:`
/// before them, as different proxies write them.
pub fn names(header: &str, name: &str) -> bool {
    let bare = |entry: &str| {
        let entry = entry.trim();
        let prefixes = ["DNS:", "URI:", "email:"];
        prefixes.iter().find_map(|prefix| entry.strip_prefix(prefix)).unwrap_or(entry).to_owned()
    };
    header.split(',').take(CERTIFICATE_NAMES_EXAMINED_MAX).any(|entry| bare(entry) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str]) -> TrustedProxies {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        TrustedProxies { networks, ..TrustedProxies::none() }
    }

    fn check(peer: &str, forwarded: &[&str], expected: &str) {
        let proxies = proxies(&["10.0.0.0/8", "fd12::/16"]);
        let caller = proxies.caller(peer.parse().unwrap(), forwarded.iter().copied());
        assert_eq!(caller, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
    }

    #[test]
    fn only_what_trusted_proxies_add_is_believed() {
        for (peer, forwarded, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // What stands before the last stranger was said by the stranger.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("fd12::1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9:50122"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.1:1, 10.0.0.2:443"], "198.51.100.1"),
            ("10.0.0.1", &["[198.51.100.1]"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1:"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1:99999"], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, for=x"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            check(peer, forwarded, expected);
        }
    }

    #[test]
    fn a_long_header_is_not_walked_to_its_end() {
        let long = format!("198.51.100.1{}", ", 10.0.0.7".repeat(100_000));
        check("10.0.0.1", &[&long], "10.0.0.7");
    }

    #[test]
    fn without_a_list_nobody_is_believed() {
        assert!(!TrustedProxies::none().trust("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_certificate_is_known_by_each_of_its_names_and_by_no_part_of_one() {
        for header in ["soc.example", "DNS:soc.example", "a.example, DNS:soc.example", "URI:spiffe://x, soc.example"] {
            assert!(names(header, "soc.example"), "{header}");
        }
        assert!(names("URI:spiffe://example/soc", "spiffe://example/soc"));
        for header in ["", "soc.example.org", "xsoc.example", "CN=soc.example", "SOC.EXAMPLE", "DNS:DNS:soc.example"] {
            assert!(!names(header, "soc.example"), "{header}");
        }
        assert!(!names(&format!("{}soc.example", "a,".repeat(16)), "soc.example"), "the seventeenth is not looked at");
    }
}
