//! Which addresses nobody reaches by accident.
//!
//! The attack is a name: a guest, or whoever owns the zone of a granted host, lets it
//! resolve to the machine itself, to a neighbour in the private network or to the
//! cloud's metadata service, which hands out credentials to everybody who asks. So an
//! address that is not plainly public is refused unless the grant names its network.
//! IPv6 has forms that carry an IPv4 address inside (mapped, NAT64, 6to4, Teredo): a
//! mapped one is judged as the address that it means, the others are special by
//! themselves, since who reads them where decides what they mean.
//!
//! The blocks are IANA's special-purpose registries (RFC 6890 and its updates), and
//! two addresses of clouds that lie outside of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The address as it is judged and connected to: an IPv4-mapped one is IPv4.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether a connection may go there: it is public, or the grant names its network.
pub(super) fn judge(address: IpAddr, granted: &[IpNet]) -> Result<(), &'static str> {
    match special(address) {
        Some(_) if granted.iter().any(|network| network.contains(&address)) => Ok(()),
        Some(what) => Err(what),
        None => Ok(()),
    }
}

/// What is special about an address; none for a public one.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local",
        // Azure's, which answers on every machine there.
        [168, 63, 129, 16] => "metadata",
        [192, 0, 0, _] | [192, 88, 99, _] => "protocol",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [198, 18..=19, ..] => "benchmarking",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("unspecified");
    }
    if address.is_loopback() {
        return Some("loopback");
    }
    Some(match address.segments() {
        [0x64, 0xff9b, ..] => "NAT64",
        [0, ..] => "reserved",
        [0xfc00..=0xfdff, ..] => "unique-local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "private",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "documentation",
        [0x2001, 0, ..] => "Teredo",
        [0x2001, 1..=0x1ff, ..] => "protocol",
        [0x2002, ..] => "6to4",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn judged(address: &str, granted: &[&str]) -> Result<(), &'static str> {
        let granted: Vec<IpNet> = granted.iter().map(|network| network.parse().unwrap()).collect();
        judge(canonical(address.parse().unwrap()), &granted)
    }

    #[test]
    fn only_public_addresses_are_reached_without_a_word_in_the_grant() {
        for (address, what) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "shared"),
            ("100.100.100.200", "shared"),
            ("169.254.169.254", "link-local"),
            ("168.63.129.16", "metadata"),
            ("192.0.0.8", "protocol"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("198.19.0.1", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:10.0.0.1", "private"),
            ("::127.0.0.1", "reserved"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b:1::7f00:1", "NAT64"),
            ("2002:7f00:1::", "6to4"),
            ("2001::1", "Teredo"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("2001:20::1", "protocol"),
            ("fc00::1", "unique-local"),
            ("fd00:ec2::254", "unique-local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
            ("4000::1", "reserved"),
        ] {
            assert_eq!(judged(address, &[]), Err(what), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert_eq!(judged(address, &[]), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_grant_opens_the_network_that_it_names_and_no_other() {
        assert_eq!(judged("10.1.2.3", &["10.1.0.0/16"]), Ok(()));
        assert_eq!(judged("::ffff:10.1.2.3", &["10.1.0.0/16"]), Ok(()));
        assert_eq!(judged("10.2.2.3", &["10.1.0.0/16"]), Err("private"));
        assert_eq!(judged("169.254.169.254", &["10.0.0.0/8", "127.0.0.0/8"]), Err("link-local"));
        assert_eq!(judged("fd00::1", &["fd00::/8"]), Ok(()));
    }
}
