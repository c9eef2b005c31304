//! JSON Web Tokens.

use crate::{Finding, Rule};

/// Longest header that is decoded, in base64 letters.
const HEADER_MAX: usize = 2_048;

pub(crate) fn scan(text: &[u8], out: &mut Vec<Finding>) {
    let mut floor = 0;
    // `eyJ` is how `{"` begins in base64; its third letter is the rarest.
    for third in memchr::memchr_iter(b'J', text) {
        let Some(start) = third.checked_sub(2).filter(|start| *start >= floor) else { continue };
        if text.get(start..third) != Some(b"ey") {
            continue;
        }
        let glued = start.checked_sub(1).and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        if glued {
            continue;
        }
        let header_end = part_end(text, start);
        let end = token_end(text, start, header_end);
        out.extend(end.map(|end| Finding::sure(Rule::JWT, start, end)));
        // One try for each run of letters keeps the work linear.
        floor = end.unwrap_or(header_end);
    }
}

/// The end of the token that starts at `start`. The five parts of an encrypted token count, too.
fn token_end(text: &[u8], start: usize, header_end: usize) -> Option<usize> {
    let payload_end = part_end(text, after_dot(text, header_end)?);
    let mut end = part_end(text, after_dot(text, payload_end)?);
    for _ in 0..2 {
        match after_dot(text, end).map(|next| part_end(text, next)) {
            Some(next) if next > end + 1 => end = next,
            _ => break,
        }
    }
    let header = text.get(start..header_end).filter(|header| header.len() <= HEADER_MAX)?;
    names_algorithm(&decode(header)).then_some(end)
}

fn part_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|b| value(**b).is_some()).count()
}

fn after_dot(text: &[u8], at: usize) -> Option<usize> {
    (text.get(at) == Some(&b'.')).then_some(at + 1)
}

fn names_algorithm(header: &[u8]) -> bool {
    header.starts_with(b"{")
        && header.trim_ascii_end().ends_with(b"}")
        && memchr::memmem::find(header, b"\"alg\"").is_some()
}

/// base64url without padding (RFC 4648 §5); bits that fill no byte are ignored.
fn decode(part: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for six in part.iter().filter_map(|b| value(*b)) {
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn value(b: u8) -> Option<u8> {
    match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}
