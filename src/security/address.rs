//! Which addresses must never be dialled on a tenant's behalf, as a table with reasons.
//!
//! Owns: the classification and [`Cidr`]. Never: resolves names; the dialler asks here for every address it is about
//! to use, since a name can resolve to anything at any time.
//! Fails: closed; whatever is not known to be public unicast is refused. Proved by: the tests below, with the
//! spellings and embeddings by which such checks are usually passed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses, such as `10.0.0.0/8`, `fd12::/16`, or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

/// Why a text is not a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Not `address/bits`.
    #[error("`{0}` is not a block of addresses such as `10.0.0.0/8` or `fd12::/16`")]
    Form(String),
    /// Bits are set behind the prefix, which is mostly a slip.
    #[error("`{given}` has bits set behind its prefix; did you mean `{meant}`?")]
    HostBits {
        /// What was given.
        given: String,
        /// The block that holds it.
        meant: Cidr,
    },
}

impl Cidr {
    const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Self {
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    const fn v6(first: u16, second: u16, third: u16, bits: u8) -> Self {
        Self { base: IpAddr::V6(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)), bits }
    }

    /// Whether the address is in the block. An IPv4 block never holds an IPv6 address and the other way round.
    pub fn contains(self, address: IpAddr) -> bool {
        masked(address, self.bits) == Some(self.base)
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let form = || InvalidCidr::Form(text.chars().filter(|c| !c.is_control()).take(60).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| form())?;
        let base = masked(address, bits).ok_or_else(form)?;
        let meant = Self { base, bits };
        if base == address { Ok(meant) } else { Err(InvalidCidr::HostBits { given: text.to_owned(), meant }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// The address with everything behind the prefix cleared; `None` if it has fewer bits than that.
fn masked(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(Ipv6Addr::from_bits(v6.to_bits() & mask).into())
        }
    }
}

/// Where clouds answer with credentials. No operator's word opens these.
const METADATA: [Cidr; 7] = [
    Cidr::v4(169, 254, 169, 254, 32), // AWS, Azure, Google Cloud, DigitalOcean, OpenStack
    Cidr::v4(169, 254, 170, 2, 32),   // AWS container credentials
    Cidr::v4(169, 254, 170, 23, 32),  // AWS EKS pod identity
    Cidr::v4(100, 100, 100, 200, 32), // Alibaba Cloud
    Cidr::v4(168, 63, 129, 16, 32),   // Azure's wire server, in public address space
    Cidr::v4(192, 0, 0, 192, 32),     // Oracle Cloud
    Cidr::v6(0xfd00, 0xec2, 0, 32),   // AWS over IPv6: fd00:ec2::254
];

/// IPv4 that is not public unicast: the IANA special-purpose registry, without the few that are globally reachable.
const NOT_PUBLIC_V4: [(Cidr, &str); 15] = [
    (Cidr::v4(0, 0, 0, 0, 8), "this network"),
    (Cidr::v4(10, 0, 0, 0, 8), "private"),
    (Cidr::v4(100, 64, 0, 0, 10), "shared by carriers (CGNAT)"),
    (Cidr::v4(127, 0, 0, 0, 8), "loopback"),
    (Cidr::v4(169, 254, 0, 0, 16), "link-local"),
    (Cidr::v4(172, 16, 0, 0, 12), "private"),
    (Cidr::v4(192, 0, 0, 0, 24), "for protocols"),
    (Cidr::v4(192, 0, 2, 0, 24), "for documentation"),
    (Cidr::v4(192, 88, 99, 0, 24), "6to4 relay"),
    (Cidr::v4(192, 168, 0, 0, 16), "private"),
    (Cidr::v4(198, 18, 0, 0, 15), "for benchmarks"),
    (Cidr::v4(198, 51, 100, 0, 24), "for documentation"),
    (Cidr::v4(203, 0, 113, 0, 24), "for documentation"),
    (Cidr::v4(224, 0, 0, 0, 4), "multicast"),
    (Cidr::v4(240, 0, 0, 0, 4), "reserved or broadcast"),
];

/// IPv6 inside `2000::/3` that is not public unicast, or that smuggles an IPv4 address past a naive check.
const NOT_PUBLIC_V6: [(Cidr, &str); 4] = [
    (Cidr::v6(0x2001, 0, 0, 23), "for protocols (Teredo, ORCHID)"),
    (Cidr::v6(0x2001, 0xdb8, 0, 32), "for documentation"),
    (Cidr::v6(0x2002, 0, 0, 16), "6to4, which embeds an IPv4 address"),
    (Cidr::v6(0x3fff, 0, 0, 20), "for documentation"),
];

/// The only IPv6 space that is handed out as public unicast.
const GLOBAL_UNICAST_V6: Cidr = Cidr::v6(0x2000, 0, 0, 3);
/// The well-known prefix of NAT64: on IPv6-only networks every IPv4 host is reached through it.
const NAT64: Cidr = Cidr::v6(0x64, 0xff9b, 0, 96);

/// Why this address must not be dialled; `None` if it may. `allow_private` is the operator's word: it opens private
/// ranges, never the metadata services.
pub fn is_forbidden(address: IpAddr, allow_private: &[Cidr]) -> Option<&'static str> {
    let address = unmapped(address);
    // Even where the operator opened NAT64's own prefix: what counts is where the call would end.
    let end = embedded(address).unwrap_or(address);
    if METADATA.iter().any(|block| block.contains(end)) {
        return Some("a cloud's metadata service");
    }
    if allow_private.iter().any(|block| block.contains(address)) {
        return None;
    }
    match address {
        IpAddr::V4(_) => reason(&NOT_PUBLIC_V4, address),
        // The operator's blocks are about addresses as dialled, so an embedded private one stays closed.
        IpAddr::V6(_) if NAT64.contains(address) => is_forbidden(end, &[]),
        IpAddr::V6(v6) if v6.is_loopback() => Some("loopback"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
        IpAddr::V6(v6) if v6.is_unique_local() => Some("private"),
        IpAddr::V6(v6) if v6.is_multicast() => Some("multicast"),
        IpAddr::V6(v6) if is_isatap(v6) => Some("ISATAP, which embeds an IPv4 address"),
        IpAddr::V6(_) if !GLOBAL_UNICAST_V6.contains(address) => Some("not public unicast"),
        IpAddr::V6(_) => reason(&NOT_PUBLIC_V6, address),
    }
}

/// Whether the operator opened this very address.
pub fn is_opened(address: IpAddr, allow_private: &[Cidr]) -> bool {
    let address = unmapped(address);
    allow_private.iter().any(|block| block.contains(address)) && is_forbidden(address, allow_private).is_none()
}

fn reason(table: &[(Cidr, &'static str)], address: IpAddr) -> Option<&'static str> {
    table.iter().find(|(block, _)| block.contains(address)).map(|(_, reason)| *reason)
}

/// The IPv4 address that is reached through NAT64.
fn embedded(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(v6) if NAT64.contains(address) => {
            let [.., a, b, c, d] = v6.octets();
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// `::ffff:a.b.c.d` is dialled as IPv4, so it is judged as IPv4.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// An interface id of `0:5efe:a.b.c.d` or `200:5efe:a.b.c.d`.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., third, fourth, _, _] = address.segments();
    fourth == 0x5efe && (third & !0x0200) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, allow_private: &[&str]) -> Option<&'static str> {
        let blocks: Vec<Cidr> = allow_private.iter().map(|text| text.parse().unwrap()).collect();
        is_forbidden(address.parse().unwrap(), &blocks)
    }

    #[test]
    fn public_addresses_may_be_dialled() {
        for public in [
            "1.1.1.1",
            "148.139.0.1",
            "192.0.1.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "::ffff:1.1.1.1",
        ] {
            assert_eq!(check(public, &[]), None, "{public}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (address, reason) in [
            ("0.0.0.0", "this network"),
            ("10.1.2.3", "private"),
            ("100.64.0.1", "shared by carriers (CGNAT)"),
            ("127.0.0.1", "loopback"),
            ("169.254.1.1", "link-local"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("198.19.0.1", "for benchmarks"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved or broadcast"),
            ("::", "not public unicast"),
            ("::1", "loopback"),
            ("::127.0.0.1", "not public unicast"),
            ("fe80::1", "link-local"),
            ("fec0::1", "not public unicast"),
            ("fd12::1", "private"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "for documentation"),
            ("2001::1", "for protocols (Teredo, ORCHID)"),
            ("2002:7f00:1::", "6to4, which embeds an IPv4 address"),
            ("64:ff9b:1::7f00:1", "not public unicast"),
            ("2606:4700::5efe:7f00:1", "ISATAP, which embeds an IPv4 address"),
            ("100::1", "not public unicast"),
            ("5f00::1", "not public unicast"),
        ] {
            assert_eq!(check(address, &[]), Some(reason), "{address}");
        }
    }

    #[test]
    fn an_embedded_address_is_judged_as_what_it_reaches() {
        assert_eq!(check("::ffff:127.0.0.1", &[]), Some("loopback"));
        assert_eq!(check("64:ff9b::7f00:1", &[]), Some("loopback"));
        assert_eq!(check("64:ff9b::a9fe:a9fe", &[]), Some("a cloud's metadata service"));
        assert_eq!(check("::ffff:169.254.169.254", &[]), Some("a cloud's metadata service"));
        assert_eq!(check("64:ff9b::6464:64c8", &[]), Some("a cloud's metadata service"));
        assert_eq!(check("::ffff:100.100.100.200", &[]), Some("a cloud's metadata service"));
        assert_eq!(check("::ffff:0:127.0.0.1", &[]), Some("not public unicast"), "SIIT's prefix");
        assert_eq!(check("2002:a9fe:a9fe::1", &[]), Some("6to4, which embeds an IPv4 address"));
    }

    #[test]
    fn the_operator_can_open_private_ranges_but_never_metadata() {
        assert_eq!(check("127.0.0.1", &["127.0.0.0/8"]), None);
        assert_eq!(check("::ffff:127.0.0.1", &["127.0.0.0/8"]), None);
        assert_eq!(check("127.0.0.1", &["10.0.0.0/8"]), Some("loopback"));
        let everything = ["0.0.0.0/0", "::/0"];
        for metadata in ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "192.0.0.192"] {
            assert_eq!(check(metadata, &everything), Some("a cloud's metadata service"), "{metadata}");
        }
        for metadata in ["64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8"] {
            assert_eq!(check(metadata, &["64:ff9b::/96"]), Some("a cloud's metadata service"), "{metadata}");
        }
    }

    #[test]
    fn opening_a_range_does_not_open_what_tunnels_into_it() {
        assert_eq!(check("64:ff9b::a00:1", &["10.0.0.0/8"]), Some("private"));
        assert_eq!(check("2002:a00:1::", &["10.0.0.0/8"]), Some("6to4, which embeds an IPv4 address"));
    }

    #[test]
    fn blocks_are_read_strictly() {
        for good in ["127.0.0.0/8", "10.0.0.1", "::1", "fd12::/16", "0.0.0.0/0"] {
            assert!(good.parse::<Cidr>().is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0.0/-1", "10/8", "::/129", "0x7f.0.0.1", "10.0.0.0/8/8", "a/8"] {
            assert!(matches!(bad.parse::<Cidr>(), Err(InvalidCidr::Form(_))), "{bad}");
        }
        let slip = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
        assert_eq!(slip.to_string(), "`10.1.2.3/8` has bits set behind its prefix; did you mean `10.0.0.0/8`?");
    }
}
