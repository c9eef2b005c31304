//! Addresses of devices.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How much of an address stays, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// Of IPv4, at most 24.
    pub v4: u8,
    /// Of IPv6, at most 48.
    pub v6: u8,
}

impl Default for Prefixes {
    /// 24 and 48: beyond, an address is that of one household.
    fn default() -> Self {
        Self { v4: V4_MAX, v6: V6_MAX }
    }
}

const V4_MAX: u8 = 24;
const V6_MAX: u8 = 48;

/// The network of an address: `192.0.2.77` becomes `192.0.2.0/24`. Port, brackets and zone go.
/// An IPv4 address inside an IPv6 one (mapped, 6to4) is treated as IPv4.
///
/// ```
/// use transform::generalise::{Prefixes, network};
///
/// let prefixes = Prefixes::default();
/// assert_eq!(network("192.0.2.77", prefixes).as_deref(), Some("192.0.2.0/24"));
/// assert_eq!(network("[2001:db8:1:2::3]:443", prefixes).as_deref(), Some("2001:db8:1::/48"));
/// assert_eq!(network("::ffff:192.0.2.77", prefixes).as_deref(), Some("192.0.2.0/24"));
/// ```
#[must_use]
pub fn network(text: &str, prefixes: Prefixes) -> Option<String> {
    address(text).map(|address| network_of(address, prefixes))
}

/// The network of an address that was read already.
#[must_use]
pub fn network_of(address: IpAddr, prefixes: Prefixes) -> String {
    match inner(address) {
        IpAddr::V4(v4) => {
            let bits = prefixes.v4.min(V4_MAX);
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            format!("{}/{bits}", Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let bits = prefixes.v6.min(V6_MAX);
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            format!("{}/{bits}", Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// An address in any of its usual spellings.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if text.len() > 128 {
        return None;
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let (bare, _zone) = bare.split_once('%').unwrap_or((bare, ""));
    bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// The IPv4 address that an IPv6 address carries in its first 48 bits or in place of itself.
pub(crate) fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    match v6.segments() {
        // 6to4 (RFC 3056): a network of 48 bits would show all of the IPv4 address.
        [0x2002, high, low, ..] => IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => address,
    }
}
