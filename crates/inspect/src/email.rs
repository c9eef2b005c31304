//! E-mail addresses.

use crate::{Finding, Rule};

/// Ends of names that look like a domain and are a file: `icon@2x.png`. None is a top-level
/// domain.
const FILE_ENDS: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "webp", "svg", "avif", "bmp", "css", "js", "json", "html", "xml", "pdf",
    "ts",
];

/// Longest part before (RFC 5321 §4.5.3.1.1, in characters of up to four bytes) and after the at
/// sign; these bound the work for each at sign.
const LOCAL_MAX: usize = 256;
const DOMAIN_MAX: usize = 1_024;

pub(crate) fn scan(text: &[u8], out: &mut Vec<Finding>) {
    let mut floor = 0;
    for at in memchr::memchr2_iter(b'@', b'%', text) {
        if at < floor {
            continue;
        }
        let after = match text.get(at..at + 3) {
            Some(b"%40") => at + 3,
            _ if text.get(at) == Some(&b'@') => at + 1,
            _ => continue,
        };
        let local = local_len(text.get(floor..at).unwrap_or_default());
        let domain = domain_len(text.get(after..).unwrap_or_default());
        if local > 0 && domain > 0 {
            out.push(Finding::sure(Rule::EMAIL, at - local, after + domain));
            floor = after + domain;
        }
    }
}

/// How many bytes at the end of `before` are the part before the at sign.
fn local_len(before: &[u8]) -> usize {
    let near = before.iter().rev().take(LOCAL_MAX);
    let len = near.take_while(|b| is(**b, LOCAL)).count();
    let mut local = before.get(before.len() - len..).unwrap_or_default();
    // The limit may have cut a character in two.
    while let Some((0x80..0xC0, rest)) = local.split_first() {
        local = rest;
    }
    if local.is_ascii() {
        let edge = local.iter().take_while(|b| !b.is_ascii_alphanumeric()).count();
        return local.len() - edge;
    }
    let Ok(local) = std::str::from_utf8(local) else { return ascii_tail(local) };
    let sign = |c: char| !c.is_ascii() && !c.is_alphanumeric();
    let local = local.rsplit(sign).next().unwrap_or_default();
    local.trim_start_matches(|c: char| !c.is_alphanumeric()).len()
}

/// For text that is not UTF-8: the letters and digits at the end.
fn ascii_tail(local: &[u8]) -> usize {
    local.iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count()
}

/// Letters of the part before the at sign, and of a domain, as bits.
static LETTERS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        let both = byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'.' | b'-');
        // Signs that RFC 5321 permits but that more often delimit an address (`/ = ? & {`) end it.
        let local = matches!(byte, b'_' | b'+' | b'\'' | b'~' | b'!' | b'#' | b'$' | b'^' | b'*');
        #[expect(clippy::indexing_slicing, reason = "built at compile time, index is below 256")]
        {
            table[b] = if both {
                LOCAL | DOMAIN
            } else if local {
                LOCAL
            } else {
                0
            };
        }
        b += 1;
    }
    table
};
const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;

#[inline]
fn is(b: u8, class: u8) -> bool {
    LETTERS.get(usize::from(b)).is_some_and(|classes| classes & class != 0)
}

/// How many bytes at the start of `after` are a domain of at least two labels, the last of which
/// can be a top-level domain.
fn domain_len(after: &[u8]) -> usize {
    let len = after.iter().take(DOMAIN_MAX).take_while(|b| is(**b, DOMAIN)).count();
    let run = after.get(..len).unwrap_or_default();
    let run = match std::str::from_utf8(run) {
        Ok(run) => run,
        Err(error) => {
            std::str::from_utf8(run.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
    };
    let run = if run.is_ascii() {
        run
    } else {
        run.split(|c: char| !c.is_ascii() && !c.is_alphanumeric()).next().unwrap_or_default()
    };
    let dots = run.as_bytes().windows(2).position(|pair| pair == b"..").unwrap_or(run.len());
    let run = run.get(..dots).unwrap_or_default().trim_end_matches(['.', '-']);
    let Some((host, top)) = run.rsplit_once('.') else { return 0 };
    if is_top(top) && host.starts_with(char::is_alphanumeric) { run.len() } else { 0 }
}

fn is_top(label: &str) -> bool {
    label.chars().nth(1).is_some()
        && label.starts_with(char::is_alphabetic)
        && !FILE_ENDS.iter().any(|end| label.eq_ignore_ascii_case(end))
}
