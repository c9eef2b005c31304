//! IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Finding, Rule};

/// Longest spelling of an IPv6 address: six groups and a dotted IPv4 tail.
const IPV6_LEN_MAX: usize = 45;

/// Finds IPv6 addresses that can belong to a device: global, unique local, link-local, and those
/// that carry an IPv4 address.
pub(crate) fn scan_ipv6(text: &[u8], out: &mut Vec<Finding>) {
    let mut floor = 0;
    for colon in memchr::memchr_iter(b':', text) {
        if colon < floor {
            continue;
        }
        let before = text.get(floor..colon).unwrap_or_default();
        let group = before.iter().rev().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
        let start = colon - group;
        let end = colon + run_len(text.get(colon..).unwrap_or_default());
        let glued = text.get(floor..start).and_then(<[u8]>::last).is_some_and(u8::is_ascii_alphanumeric);
        let known = if glued { None } else { address_end(text, start, end) };
        // A label may stand before the address (`id:2001:db8::1`): the next colon tries again.
        if let Some(end) = known {
            out.push(Finding::sure(Rule::IPV6, start, end));
            floor = end;
        } else if !worth_another_try(text, colon, end) {
            floor = end;
        }
    }
}

/// Looks a little further than an address can reach, so that each colon costs little.
fn run_len(rest: &[u8]) -> usize {
    rest.iter()
        .take(IPV6_LEN_MAX + 1)
        .take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        .count()
}

/// Without `::` an address needs six colons at least.
fn worth_another_try(text: &[u8], colon: usize, end: usize) -> bool {
    let rest = text.get(colon..end).unwrap_or_default();
    let colons = rest.iter().filter(|b| **b == b':').count();
    colons >= 6 || memchr::memmem::find(rest, b"::").is_some()
}

/// The end of the address that starts at `start` and ends at `end` or a little before.
fn address_end(text: &[u8], start: usize, end: usize) -> Option<usize> {
    if text.get(end).is_some_and(u8::is_ascii_alphabetic) || !worth_another_try(text, start, end) {
        return None;
    }
    let run = std::str::from_utf8(text.get(start..end)?).ok()?;
    let run = run.trim_end_matches('.');
    let run = if run.ends_with("::") { run } else { run.trim_end_matches(':') };
    if run.len() > IPV6_LEN_MAX {
        return None;
    }
    let address: Ipv6Addr = run.parse().ok()?;
    belongs_to_device_v6(&address).then_some(start + run.len())
}

/// A field for addresses that holds one and nothing else.
pub(crate) fn keyed(text: &[u8], out: &mut Vec<Finding>) {
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let rule = match address {
        Some(IpAddr::V4(address)) if belongs_to_device_v4(&address) => Rule::IPV4,
        Some(IpAddr::V6(address)) if belongs_to_device_v6(&address) => Rule::IPV6,
        _ => return,
    };
    out.push(Finding::sure(rule, 0, text.len()));
}

fn belongs_to_device_v6(address: &Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global = (0x2000..=0x3FFF).contains(&first);
    let carries_v4 = address.to_ipv4_mapped().is_some_and(|v4| belongs_to_device_v4(&v4));
    global
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || carries_v4
        || (first, second) == (0x64, 0xFF9B)
}

/// False for addresses that name no device: this network, loopback, multicast, masks, and whole
/// networks such as `120.0.0.0`, which is how browsers spell their version.
pub(crate) fn belongs_to_device_v4(address: &Ipv4Addr) -> bool {
    let [first, rest @ ..] = address.octets();
    !matches!(first, 0 | 127 | 224..) && rest != [0, 0, 0]
}
