//! Keys, tokens, passwords and cookies: by the prefixes that issuers give them, or by a name first, then form,
//! then entropy.

use std::sync::LazyLock;

use crate::key::{self, Hint};
use crate::{Confidence, Finding, Rule};

/// Prefixes of keys, and the least number of letters and digits after them. All are published by their issuers so
/// that scanners may find what was lost.
#[rustfmt::skip]
static PREFIXES: &[(&[u8], usize)] = &[
    (b"AKIA", 16), (b"ASIA", 16), (b"AIza", 35), (b"ghp_", 36), (b"gho_", 36), (b"ghu_", 36), (b"ghs_", 36),
    (b"ghr_", 36), (b"github_pat_", 40), (b"glpat-", 20), (b"gldt-", 20), (b"xoxb-", 20), (b"xoxp-", 20),
    (b"xoxa-", 20), (b"xoxs-", 20), (b"xapp-", 20), (b"sk_live_", 16), (b"sk_test_", 16), (b"rk_live_", 16),
    (b"pk_live_", 16), (b"whsec_", 24), (b"npm_", 36), (b"pypi-AgEI", 50), (b"dop_v1_", 60), (b"hvs.", 24),
    (b"sk-proj-", 20), (b"sk-ant-", 20), (b"shpat_", 32), (b"shpss_", 32), (b"lin_api_", 32), (b"ntn_", 40),
    (b"EAACEdEose0cBA", 20), (b"ya29", 20), (b"dapi", 32), (b"SK", 32), (b"key-", 32),
];

/// True if a word without signs begins like a key.
pub(crate) fn is_suspect(word: &[u8]) -> bool {
    prefix_len(word).is_some()
}

fn prefix_len(word: &[u8]) -> Option<usize> {
    // The first two letters turn away nearly all.
    let head = word.first_chunk::<2>()?;
    let known_head = matches!(
        head,
        b"AK"
            | b"AS"
            | b"AI"
            | b"gh"
            | b"gi"
            | b"gl"
            | b"xo"
            | b"xa"
            | b"sk"
            | b"rk"
            | b"pk"
            | b"wh"
            | b"np"
            | b"py"
            | b"do"
            | b"hv"
            | b"sh"
            | b"li"
            | b"nt"
            | b"EA"
            | b"ya"
            | b"da"
            | b"SK"
            | b"ke"
    );
    if !known_head {
        return None;
    }
    let known =
        PREFIXES.iter().find(|(prefix, rest)| word.len() >= prefix.len() + rest && word.starts_with(prefix));
    let (prefix, least) = known?;
    let rest = word.get(prefix.len()..)?;
    // The two short ones are those of 32 hexadecimal digits and nothing else.
    let fits = match *prefix {
        b"SK" | b"dapi" | b"key-" => {
            rest.len() == *least && rest.iter().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
        }
        b"AKIA" | b"ASIA" => {
            rest.len() == *least && rest.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        }
        _ => entropy(rest) >= 3.0,
    };
    fits.then_some(prefix.len())
}

/// Looks at a word of sixteen letters, digits and signs or more; true if it is a secret.
pub(crate) fn scan_word(text: &[u8], start: usize, end: usize, out: &mut Vec<Finding>) -> bool {
    let word = text.get(start..end).unwrap_or_default();
    let before = text.get(start.saturating_sub(key::NEAR_MAX)..start).unwrap_or_default();
    if before.trim_ascii_end().ends_with(b"PRIVATE KEY-----") || word.ends_with(b"KEY-----") {
        return private_key(text, start, out);
    }
    if prefix_len(word).is_some() {
        out.push(Finding::sure(Rule::SECRET_PREFIX, start, end));
        return true;
    }
    if follows_scheme(before) {
        let end = token_end(text, end);
        out.push(Finding::sure(Rule::BEARER, start, end));
        return true;
    }
    // `token=…`, `api_key: …`, `"secret" : …`; the name may stand in the same word (`token=…`).
    let assigned = word.iter().position(|b| *b == b'=').filter(|at| *at > 2 && at + 8 < word.len());
    let (name, value) = match assigned {
        Some(at) => (word.get(..at), start + at + 1),
        None => {
            (before.last().filter(|b| matches!(b, b'=' | b':' | b'"' | b' ' | b'\'')).map(|_| before), start)
        }
    };
    let value_word = text.get(value..end).unwrap_or_default();
    let named = name.filter(|_| is_mixed(value_word)).is_some_and(|name| match key::named(name) {
        Hint::Secret | Hint::Password => is_random(value_word),
        Hint::Session => !is_uuid_like(value_word) && is_random(value_word),
        _ => false,
    });
    if named {
        out.push(Finding::new(Rule::SECRET, value, token_end(text, end), Confidence::Medium));
    }
    named
}

/// Dots may part a token.
fn token_end(text: &[u8], end: usize) -> usize {
    let rest = text.get(end..).unwrap_or_default();
    let is_token =
        |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'/' | b'=' | b'.' | b'~');
    let more = rest.iter().take_while(is_token).count();
    let more = rest.get(..more).unwrap_or_default();
    end + more.len() - more.iter().rev().take_while(|b| **b == b'.').count()
}

/// The schemes of HTTP that carry a secret (RFC 6750, RFC 7617).
pub(crate) fn follows_scheme(before: &[u8]) -> bool {
    let word = before.strip_suffix(b" ").unwrap_or_default();
    let scheme = word.rsplit(|b| !b.is_ascii_alphabetic()).next().unwrap_or_default();
    [&b"bearer"[..], b"basic"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Longest block of PEM that is covered whole, in bytes.
const PEM_MAX: usize = 32_768;

/// A block of PEM from its first line to its last, or to the end of the text.
fn private_key(text: &[u8], at: usize, out: &mut Vec<Finding>) -> bool {
    let from = at.saturating_sub(PEM_MAX);
    let head = text.get(from..at).unwrap_or_default();
    let Some(start) = memchr::memmem::rfind(head, b"-----BEGIN").map(|start| from + start) else {
        return false;
    };
    let text = text.get(..text.len().min(at + PEM_MAX)).unwrap_or_default();
    let rest = text.get(at..).unwrap_or_default();
    let end = memchr::memmem::find(rest, b"-----END").map(|end| at + end).map_or(text.len(), |end| {
        let line = text.get(end + 8..).unwrap_or_default();
        memchr::memmem::find(line, b"-----").map_or(text.len(), |close| end + 8 + close + 5)
    });
    out.push(Finding::sure(Rule::PRIVATE_KEY, start, end));
    true
}

/// By how much `n log2 n` grows from `n` to `n + 1`.
fn growth(n: u32) -> f64 {
    let whole = |n: f64| if n > 0.0 { n * n.log2() } else { 0.0 };
    whole(f64::from(n) + 1.0) - whole(f64::from(n))
}

/// The same for the counts that words have.
static GROWTH: LazyLock<[f64; 64]> = LazyLock::new(|| std::array::from_fn(|n| growth(n as u32)));

/// Shannon's entropy in bits a byte; what is lost in rounding is added.
fn entropy(word: &[u8]) -> f64 {
    let known: &[f64; 64] = &GROWTH;
    let mut counts = [0_u32; 256];
    let mut sum = 0.0;
    for b in word {
        if let Some(count) = counts.get_mut(usize::from(*b)) {
            sum += known.get(*count as usize).copied().unwrap_or_else(|| growth(*count));
            *count += 1;
        }
    }
    let len = word.len().max(1) as f64;
    len.log2() - sum / len + 1e-9
}

/// Sixteen letters and digits at least, of more than one class.
fn is_mixed(word: &[u8]) -> bool {
    let (mut digit, mut small, mut capital) = (false, false, false);
    for b in word {
        digit |= b.is_ascii_digit();
        small |= b.is_ascii_lowercase();
        capital |= b.is_ascii_uppercase();
    }
    word.len() >= 16 && (digit && (small || capital) || small && capital && word.len() >= 20)
}

/// Letters and digits without an order: what people write has less entropy, or no digits.
fn is_random(word: &[u8]) -> bool {
    is_mixed(word) && entropy(word) >= 3.0
}

fn is_uuid_like(word: &[u8]) -> bool {
    word.len() == 36 && word.get(8) == Some(&b'-') && word.get(23) == Some(&b'-')
}

/// The value of a field that is named for tokens.
pub(crate) fn keyed(text: &[u8], out: &mut Vec<Finding>) {
    let bare = text
        .iter()
        .position(|b| *b == b' ')
        .filter(|at| follows_scheme(text.get(..=*at).unwrap_or_default()));
    let start = bare.map_or(0, |at| at + 1);
    let word = text.get(start..).unwrap_or_default();
    let plain = word.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>'));
    if plain && (is_random(word) || prefix_len(word).is_some()) {
        out.push(Finding::new(Rule::SECRET, start, text.len(), Confidence::Medium));
    }
}

/// As [`keyed`], for fields in which analytics keep plain ids: UUIDs do not count.
pub(crate) fn session(text: &[u8], out: &mut Vec<Finding>) {
    if !is_uuid_like(text) {
        keyed(text, out);
    }
}

/// What stands in a password field, whatever it looks like, but for words that stand for none.
pub(crate) fn password(text: &[u8], out: &mut Vec<Finding>) {
    const NONE: &[&[u8]] =
        &[b"null", b"none", b"true", b"false", b"undefined", b"redacted", b"required", b"changed"];
    let masked = text.iter().all(|b| matches!(b, b'*' | b'x' | b'X' | b'.' | b'-'));
    if text.len() >= 3 && !masked && !NONE.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        out.push(Finding::new(Rule::SECRET, 0, text.len(), Confidence::Medium));
    }
}

/// The values of cookies that are long enough to name a session.
pub(crate) fn cookies(text: &[u8], out: &mut Vec<Finding>) {
    let mut at = 0;
    for pair in text.split(|b| *b == b';') {
        if let Some(sign) = pair.iter().position(|b| *b == b'=') {
            let value = pair.get(sign + 1..).unwrap_or_default();
            if value.len() >= 8
                && (is_random(value) || value.iter().any(u8::is_ascii_digit) && entropy(value) >= 2.5)
            {
                out.push(Finding::new(Rule::COOKIE, at + sign + 1, at + pair.len(), Confidence::Medium));
            }
        }
        at += pair.len() + 1;
    }
}
