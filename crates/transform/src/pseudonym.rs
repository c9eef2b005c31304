//! Tokens in place of identifiers.
//!
//! A token is an HMAC under a key derived for one recipient, purpose, class and epoch, so the
//! same person has unrelated tokens at two recipients and nobody without the key can try names.
//! Every gateway derives the same key and so gives the same token. The root key stays in the key
//! service; what leaves it is one derived key at a time.
//!
//! Nothing here reverses a token.

use aws_lc_rs::hmac;
use data_encoding::{Encoding, Specification};

/// Separates these keys from any other use of the same root.
const SALT: &[u8] = b"clover/pseudonym/v1";

/// Bytes of the HMAC that a token shows.
const TOKEN_BYTES: usize = 16;

/// Derives the key for one recipient, purpose, class of field and epoch.
///
/// HKDF-SHA-256 (RFC 5869) with one output block; `info` holds each part behind its length, so
/// that no two lists of parts spell the same bytes.
///
/// ```
/// use transform::pseudonym::derive_key;
///
/// let root = [7; 32];
/// let key = derive_key(&root, "lab-oslo", "research", "contact", 12);
/// let mut token = Vec::new();
/// key.token("email", b"ann@example.org", &mut token);
/// assert!(token.starts_with(b"t1.12."));
///
/// let mut elsewhere = Vec::new();
/// derive_key(&root, "lab-bern", "research", "contact", 12)
///     .token("email", b"ann@example.org", &mut elsewhere);
/// assert_ne!(token, elsewhere);
/// ```
#[must_use]
pub fn derive_key(root: &[u8; 32], recipient: &str, purpose: &str, class: &str, epoch: u32) -> PseudonymKey {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SALT), root);
    let mut info = Vec::new();
    for part in [recipient, purpose, class] {
        push_part(part.as_bytes(), &mut info);
    }
    info.extend_from_slice(&epoch.to_be_bytes());
    info.push(1); // the number of the only block
    let expanded = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()), &info);
    PseudonymKey { key: hmac::Key::new(hmac::HMAC_SHA256, expanded.as_ref()), epoch }
}

/// The key of one recipient, purpose, class and epoch.
#[derive(Clone)]
pub struct PseudonymKey {
    key: hmac::Key,
    epoch: u32,
}

impl PseudonymKey {
    /// The epoch that the tokens name.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Appends `t1.<epoch>.<26 letters and digits>` for a value that [`normalise`] has
    /// brought to one spelling. 128 bits: among 2^40 values, two share a token with a chance
    /// below 2^-48. A token is plain ASCII and needs no escaping in JSON, CSV or a URL.
    pub fn token(&self, kind: &str, normalised: &[u8], out: &mut Vec<u8>) {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(kind.len() as u64).to_be_bytes());
        context.update(kind.as_bytes());
        context.update(normalised);
        let tag = context.sign();
        let bytes = tag.as_ref().get(..TOKEN_BYTES).unwrap_or_default();
        out.extend_from_slice(b"t1.");
        push_decimal(self.epoch, out);
        out.push(b'.');
        let start = out.len();
        out.resize(start + BASE32.encode_len(bytes.len()), 0);
        if let Some(place) = out.get_mut(start..) {
            BASE32.encode_mut(bytes, place);
        }
    }
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PseudonymKey(epoch {})", self.epoch)
    }
}

/// Brings a value to the one spelling that is tokenised, so that a person who is written in two
/// ways gets one token.
///
/// | kind | spelling |
/// |---|---|
/// | `email` | trimmed, lower case |
/// | `phone` | digits, with `+` in front if it was there or was spelled `00` |
/// | `handle` | trimmed, without the leading `@`, lower case |
/// | `link` | as it is: a link is tokenised whole, for a handle inside it would name the person |
/// | other | trimmed |
///
/// ```
/// use transform::pseudonym::normalise;
///
/// assert_eq!(normalise("email", b" Ann@Example.ORG"), b"ann@example.org");
/// assert_eq!(normalise("phone", b"0049 (30) 123-45 67"), b"+49301234567");
/// assert_eq!(normalise("handle", b"@Ann"), b"ann");
/// ```
#[must_use]
pub fn normalise(kind: &str, value: &[u8]) -> Vec<u8> {
    match kind {
        "email" => lower_case(trim(value)),
        "phone" => phone(value),
        "handle" => {
            let value = trim(value);
            lower_case(value.strip_prefix(b"@").unwrap_or(value))
        }
        "link" => value.to_vec(),
        _ => trim(value).to_vec(),
    }
}

/// Without white space at either end, Unicode's included if the value is UTF-8.
fn trim(value: &[u8]) -> &[u8] {
    std::str::from_utf8(value).map_or_else(|_| value.trim_ascii(), |text| text.trim().as_bytes())
}

fn lower_case(value: &[u8]) -> Vec<u8> {
    std::str::from_utf8(value)
        .map_or_else(|_| value.to_ascii_lowercase(), |text| text.to_lowercase().into_bytes())
}

fn phone(value: &[u8]) -> Vec<u8> {
    let value = trim(value);
    let digits: Vec<u8> = value.iter().copied().filter(u8::is_ascii_digit).collect();
    let (plus, digits) = match (value.starts_with(b"+"), digits.strip_prefix(b"00")) {
        (true, _) => (true, digits.as_slice()),
        (false, Some(rest)) => (true, rest),
        (false, None) => (false, digits.as_slice()),
    };
    if digits.is_empty() {
        return value.to_vec(); // nothing of a number in it: keep the values apart
    }
    if plus { [b"+", digits].concat() } else { digits.to_vec() }
}

fn push_part(part: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

fn push_decimal(number: u32, out: &mut Vec<u8>) {
    if number >= 10 {
        push_decimal(number / 10, out);
    }
    out.push(b'0' + (number % 10) as u8);
}

/// RFC 4648 base32 in lower case, without padding.
static BASE32: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    // The alphabet is a constant with 32 different symbols; the fallback is never taken.
    specification.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_lc_rs::hkdf;
    use proptest::prelude::*;

    use super::*;

    const ROOT: [u8; 32] = [3; 32];

    fn token(key: &PseudonymKey, kind: &str, value: &str) -> String {
        let mut out = Vec::new();
        key.token(kind, &normalise(kind, value.as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_token_has_the_documented_form() {
        let token = token(&derive_key(&ROOT, "r", "p", "c", 4_000_000_007), "email", "ann@example.org");
        let (head, tail) = token.rsplit_once('.').unwrap();
        assert_eq!(head, "t1.4000000007");
        assert_eq!(tail.len(), 26);
        assert!(tail.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')), "{tail}");
    }

    #[test]
    fn recipient_purpose_class_epoch_kind_and_root_each_change_the_token() {
        let keys = [
            derive_key(&ROOT, "r", "p", "c", 1),
            derive_key(&ROOT, "r2", "p", "c", 1),
            derive_key(&ROOT, "r", "p2", "c", 1),
            derive_key(&ROOT, "r", "p", "c2", 1),
            derive_key(&ROOT, "rp", "", "c", 1),
            derive_key(&ROOT, "r", "pc", "", 1),
            derive_key(&ROOT, "r", "p", "c", 2),
            derive_key(&[4; 32], "r", "p", "c", 1),
        ];
        let tails = keys.iter().flat_map(|key| {
            ["email", "handle"].map(|kind| token(key, kind, "ann").rsplit_once('.').unwrap().1.to_owned())
        });
        assert_eq!(tails.collect::<BTreeSet<_>>().len(), keys.len() * 2);
    }

    #[test]
    fn two_recipients_share_no_token() {
        let of = |recipient: &str| -> BTreeSet<String> {
            let key = derive_key(&ROOT, recipient, "ads", "contact", 1);
            (0..500).map(|n| token(&key, "email", &format!("user{n}@example.org"))).collect()
        };
        let (one, other) = (of("one"), of("other"));
        assert_eq!((one.len(), one.intersection(&other).count()), (500, 0));
    }

    #[test]
    fn a_handle_inside_a_link_does_not_survive() {
        let key = derive_key(&ROOT, "r", "p", "c", 1);
        let link = token(&key, "link", "https://example.org/@ann/video/7");
        assert!(!link.contains("ann/") && !link.contains("example"));
        assert_ne!(link, token(&key, "link", "https://example.org/@ann/video/8"));
    }

    #[test]
    fn two_spellings_of_one_person_get_one_token() {
        for (kind, one, other) in [
            ("email", "Ann@Example.org ", "ann@example.ORG"),
            ("email", "JÖRG@example.org", "jörg@example.org"),
            ("phone", "+49 30 123 45 67", "0049-30-1234567"),
            ("phone", "(030) 123.45.67", "0301234567"),
            ("handle", "@Ann", "ann"),
            ("id", " 77 ", "77"),
        ] {
            assert_eq!(normalise(kind, one.as_bytes()), normalise(kind, other.as_bytes()), "{one}");
        }
        assert_ne!(normalise("link", b"/A"), normalise("link", b"/a"));
        assert_ne!(normalise("phone", b"unknown"), normalise("phone", b"none"));
    }

    struct Len;
    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            32
        }
    }

    #[test]
    fn the_derivation_is_hkdf() {
        let mut info = Vec::new();
        for part in ["recipient", "purpose", "class"] {
            push_part(part.as_bytes(), &mut info);
        }
        info.extend_from_slice(&9_u32.to_be_bytes());
        let mut expected = [0; 32];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&ROOT);
        extracted.expand(&[&info], Len).unwrap().fill(&mut expected).unwrap();
        let key = derive_key(&ROOT, "recipient", "purpose", "class", 9).key;
        let expected = hmac::Key::new(hmac::HMAC_SHA256, &expected);
        assert_eq!(hmac::sign(&key, b"x").as_ref(), hmac::sign(&expected, b"x").as_ref());
    }

    #[test]
    fn debug_shows_the_epoch_only() {
        assert_eq!(format!("{:?}", derive_key(&ROOT, "r", "p", "c", 5)), "PseudonymKey(epoch 5)");
    }

    proptest! {
        #[test]
        fn any_bytes_normalise_and_twice_is_once(value in prop::collection::vec(any::<u8>(), 0..24)) {
            for kind in ["email", "phone", "link", "id"] {
                let once = normalise(kind, &value);
                prop_assert_eq!(normalise(kind, &once), once);
            }
            let _ = normalise("handle", &value);
        }
    }
}
