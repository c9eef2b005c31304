//! Writes tables of countries in MaxMind's format (version 2.0), small and made up, so that no database of anybody has
//! to lie in the tree.

use std::net::IpAddr;

use model::Country;

#[derive(Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    Data(usize),
}

/// The bytes of a table that gives these networks (address and prefix length) these countries. A longer prefix wins.
#[must_use]
pub fn table(networks: &[(IpAddr, u8, Country)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut nodes = vec![[Record::Empty; 2]];
    let mut sorted: Vec<_> = networks.iter().collect();
    sorted.sort_by_key(|n| n.1);
    for (address, length, country) in sorted {
        let at = data.len();
        map(&mut data, 1);
        string(&mut data, "country");
        map(&mut data, 1);
        string(&mut data, "iso_code");
        string(&mut data, country.as_str());
        // IPv4 lies in the first 32 bits behind 96 zeroes.
        let (bits, length) = match address {
            IpAddr::V4(v4) => (u128::from(u32::from(*v4)), usize::from(*length) + 96),
            IpAddr::V6(v6) => (u128::from(*v6), usize::from(*length)),
        };
        insert(&mut nodes, bits, length, at);
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for node in &nodes {
        for record in node {
            let value = match record {
                Record::Empty => count,
                Record::Node(n) => *n,
                Record::Data(offset) => count + 16 + offset,
            };
            out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    metadata(&mut out, count);
    out
}

fn insert(nodes: &mut Vec<[Record; 2]>, bits: u128, length: usize, data: usize) {
    let mut at = 0;
    for depth in 0..length {
        let side = usize::from(bits >> (127 - depth) & 1 == 1);
        let found = nodes.get(at).and_then(|n| n.get(side)).copied().unwrap_or(Record::Empty);
        let next = match found {
            _ if depth + 1 == length => Record::Data(data),
            Record::Node(n) => Record::Node(n),
            // What a shorter prefix said goes on for the other half.
            other => {
                nodes.push([other; 2]);
                Record::Node(nodes.len() - 1)
            }
        };
        if let Some(record) = nodes.get_mut(at).and_then(|n| n.get_mut(side)) {
            *record = next;
        }
        if let Record::Node(n) = next {
            at = n;
        }
    }
}

fn metadata(out: &mut Vec<u8>, nodes: usize) {
    map(out, 9);
    for (key, kind, value) in [
        ("binary_format_major_version", 5, 2),
        ("binary_format_minor_version", 5, 0),
        ("ip_version", 5, 6),
        ("record_size", 5, 32),
        ("node_count", 6, u32::try_from(nodes).unwrap_or(u32::MAX)),
    ] {
        string(out, key);
        let width = if kind == 5 { 2 } else { 4 };
        out.push(kind << 5 | width);
        out.extend_from_slice(value.to_be_bytes().get(4 - usize::from(width)..).unwrap_or_default());
    }
    string(out, "build_epoch");
    // Types above 7 stand in a byte of their own: a number of 64 bits, and a list.
    out.extend_from_slice(&[4, 2]);
    out.extend_from_slice(&1_790_000_000_u32.to_be_bytes());
    string(out, "database_type");
    string(out, "Made-Up-Country");
    string(out, "languages");
    out.extend_from_slice(&[0, 4]);
    string(out, "description");
    map(out, 0);
}

fn map(out: &mut Vec<u8>, pairs: u8) {
    out.push(7 << 5 | pairs);
}

/// A string of less than 29 bytes.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(2 << 5 | u8::try_from(text.len()).unwrap_or(28).min(28));
    out.extend_from_slice(text.as_bytes());
}
