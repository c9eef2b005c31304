//! Tokens in place of identifiers.
//!
//! A token is an HMAC under a key derived for one recipient, purpose, class and epoch, so the
//! same person has unrelated tokens at two recipients and nobody without the key can try names.
//! Every gateway derives the same key and so gives the same token. The root key stays in the key
//! service; what leaves it is one derived key at a time.
//!
//! Nothing reverses such a token. Where a service inside the region must, [`ReversibleKey`] makes
//! tokens that it can open; where a system outside insists on the form of a number,
//! [`FormatKey`]. Both are for exceptions. [`Epochs`] says when keys change and how they end.

mod cache;
mod epochs;
mod format;
mod normalise;
mod reversible;

pub use cache::TokenCache;
pub use epochs::{Calendar, EpochError, Epochs, KEPT_MAX, Rotation};
pub use format::{Check, Format, FormatError, FormatKey, derive_format};
pub use normalise::{normalise, normalise_phone};
pub use reversible::{REVERSIBLE_MAX, ReverseError, ReversibleKey, derive_reversible, epoch_of};

use aws_lc_rs::hmac;
use data_encoding::{Encoding, Specification};

/// The calendar that all who decide in a process share with its key service.
pub type Shared = std::sync::Arc<std::sync::RwLock<Calendar>>;

/// Separates these keys from any other use of the same root.
const SALT: &[u8] = b"clover/pseudonym/v1";

/// Bytes of the HMAC that a token shows.
const TOKEN_BYTES: usize = 16;

/// Letters and digits that spell them.
const TOKEN_LETTERS: usize = 26;

/// Longest `t1.<epoch>.`.
const PREFIX_MAX: usize = 14;

/// Longest token.
const TOKEN_TAIL_MAX: usize = PREFIX_MAX + TOKEN_LETTERS;

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
    let key = derive_bytes(root, recipient, purpose, class, epoch);
    PseudonymKey { key: hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), epoch }
}

/// The bytes of the key that [`derive_key`] makes.
///
/// For one reader: a database that makes a grant's tokens itself, so that a row has the token there that it has on every other way
/// out. They go into the table that only the owner of the grant's views reads, and with the grant out of it. They make the tokens of
/// this recipient, purpose, class and epoch, and nobody derives another key from them.
///
/// ```
/// use transform::pseudonym::derive_bytes;
///
/// let of = |recipient| derive_bytes(&[7; 32], recipient, "research", "contact", 12);
/// assert_eq!(of("lab-oslo"), of("lab-oslo"));
/// assert_ne!(of("lab-oslo"), of("lab-bern"));
/// ```
#[must_use]
pub fn derive_bytes(
    root: &[u8; 32],
    recipient: &str,
    purpose: &str,
    class: &str,
    epoch: u32,
) -> zeroize::Zeroizing<[u8; 32]> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    expand(&extract(SALT, root), &info([recipient, purpose, class], epoch), key.as_mut_slice());
    key
}

/// HKDF-Extract of RFC 5869.
fn extract(salt: &[u8], root: &[u8; 32]) -> hmac::Key {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), root);
    hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref())
}

/// HKDF-Expand of RFC 5869, at most two blocks.
fn expand(extracted: &hmac::Key, info: &[u8], key: &mut [u8]) {
    let mut block = Vec::new();
    for (number, to) in (1..).zip(key.chunks_mut(32)) {
        let tag = hmac::sign(extracted, &[&block, info, &[number]].concat());
        to.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        block = tag.as_ref().to_vec();
    }
}

fn info(parts: [&str; 3], epoch: u32) -> Vec<u8> {
    let mut info = Vec::new();
    for part in parts {
        push_part(part.as_bytes(), &mut info);
    }
    info.extend_from_slice(&epoch.to_be_bytes());
    info
}

/// What tokens of one epoch look like, whoever's they are.
///
/// ```
/// use transform::pseudonym::TokenForm;
///
/// let form = TokenForm::of(12);
/// assert!(form.is(b"t1.12.abcdefghijklmnopqrstuvwxyz"));
/// assert!(!form.is(b"t1.13.abcdefghijklmnopqrstuvwxyz") && !form.is(b"t1.12.ann@example.org"));
/// ```
#[derive(Debug, Clone)]
pub struct TokenForm(Vec<u8>);

impl TokenForm {
    /// Of this epoch.
    #[must_use]
    pub fn of(epoch: u32) -> Self {
        Self(format!("t1.{epoch}.").into_bytes())
    }

    /// Whether a whole text has that form.
    #[must_use]
    pub fn is(&self, text: &[u8]) -> bool {
        let letters = text.strip_prefix(self.0.as_slice()).filter(|rest| rest.len() == TOKEN_LETTERS);
        letters.is_some_and(|letters| letters.iter().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')))
    }
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
        out.reserve(TOKEN_TAIL_MAX);
        self.prefix(out);
        out.extend_from_slice(&self.tail(kind, normalised));
    }

    fn prefix(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"t1.");
        push_decimal(self.epoch, out);
        out.push(b'.');
    }

    /// What stands behind the last dot.
    fn tail(&self, kind: &str, normalised: &[u8]) -> [u8; TOKEN_LETTERS] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(kind.len() as u64).to_be_bytes());
        context.update(kind.as_bytes());
        context.update(normalised);
        let tag = context.sign();
        let mut letters = [0; TOKEN_LETTERS];
        BASE32.encode_mut(tag.as_ref().get(..TOKEN_BYTES).unwrap_or_default(), &mut letters);
        letters
    }

    /// Where a cache puts its values is nobody else's to know.
    fn cache_seed(&self) -> u64 {
        let tag = hmac::sign(&self.key, b"cache");
        tag.as_ref().iter().take(8).fold(0, |seed, b| seed << 8 | u64::from(*b))
    }
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PseudonymKey(epoch {})", self.epoch)
    }
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
            ("email", "jo\u{308}rg@Exa\u{301}mple.org", "J\u{d6}RG@ex\u{e1}mple.org"),
            (
                "email",
                "\u{3c3}\u{3bf}\u{3c6}\u{3bf}\u{3c2}@example.gr",
                "\u{3a3}\u{39f}\u{3a6}\u{39f}\u{3a3}@example.gr",
            ),
            ("email", "ann@m\u{fc}nchen.example", "ann@xn--mnchen-3ya.example"),
            ("email", "ann\u{ff20}example.org", "ann@example.org"),
            ("phone", "tel:+49-30-1234567;ext=5", "+49 (0)30 1234567"),
            ("phone", "\u{ff0b}\u{ff14}\u{ff19}301234567", "+49301234567"),
            ("phone", "\u{660}\u{660}\u{664}\u{669}301234567", "+49301234567"),
            ("ip", "::ffff:192.0.2.7", "192.0.2.7"),
            ("ip", "2001:DB8:0:0::1", "2001:db8::1"),
            ("number", "DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
            ("number", "00:1A:2b:3c:4d:5e", "001a-2b3c-4d5e"),
            ("number", "131052-308T", "131052308t"),
        ] {
            assert_eq!(normalise(kind, one.as_bytes()), normalise(kind, other.as_bytes()), "{one}");
        }
        assert_ne!(normalise("link", b"/A"), normalise("link", b"/a"));
        assert_ne!(normalise("phone", b"unknown"), normalise("phone", b"none"));
        assert_ne!(normalise("id", b"1-23"), normalise("id", b"12-3"), "of an id nothing is known");
        assert_ne!(normalise("number", b"131052+308T"), normalise("number", b"131052-308T"), "the century");
        assert_ne!(normalise("ip", b"192.0.2.7"), normalise("ip", b"192.0.2.07"));
        assert_ne!(
            normalise("email", "ann@stra\u{df}e.example".as_bytes()),
            normalise("email", b"ann@strasse.example")
        );
    }

    #[test]
    fn a_number_dialled_at_home_is_the_one_dialled_from_abroad() {
        for (country, home, abroad) in [
            ("DE", "030 1234567", "+49 30 1234567"),
            ("AT", "01 5880", "+43 (0)1 5880"),
            ("BE", "0470 12 34 56", "+32470123456"),
            ("CH", "044 668 18 00", "0041446681800"),
            ("CZ", "601 123 456", "+420601123456"),
            ("DK", "32 12 34 56", "+4532123456"),
            ("ES", "612 345 678", "+34612345678"),
            ("FR", "06 12 34 56 78", "+33 6 12 34 56 78"),
            ("GB", "020 7946 0958", "+44 20 7946 0958"),
            ("HU", "06 30 123 4567", "+36301234567"),
            ("IT", "06 1234 5678", "+39 06 1234 5678"),
            ("LV", "2123 4567", "+37121234567"),
            ("NL", "06-12345678", "+31 6 12345678"),
            ("PL", "512 345 678", "+48512345678"),
            ("SE", "070-123 45 67", "+46701234567"),
        ] {
            let abroad = normalise("phone", abroad.as_bytes());
            let text = String::from_utf8_lossy(&abroad).into_owned();
            assert_eq!(
                String::from_utf8(normalise_phone(home.as_bytes(), country)).unwrap(),
                text,
                "{country}"
            );
            assert_eq!(normalise_phone(&abroad, country), abroad);
        }
        assert_eq!(normalise_phone(b"030 1234567", "US"), b"0301234567");
        assert_eq!(normalise_phone(b"ask ann", "DE"), b"ask ann");
    }

    struct Len(usize);
    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn the_derivation_is_hkdf() {
        let info = info(["recipient", "purpose", "class"], 9);
        let mut expected = [0; 32];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&ROOT);
        extracted.expand(&[&info], Len(32)).unwrap().fill(&mut expected).unwrap();
        assert_eq!(*derive_bytes(&ROOT, "recipient", "purpose", "class", 9), expected);
        let key = derive_key(&ROOT, "recipient", "purpose", "class", 9).key;
        let expected = hmac::Key::new(hmac::HMAC_SHA256, &expected);
        assert_eq!(hmac::sign(&key, b"x").as_ref(), hmac::sign(&expected, b"x").as_ref());
        let (mut ours, mut theirs) = ([0; 64], [0; 64]);
        expand(&extract(SALT, &ROOT), &info, &mut ours);
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&ROOT);
        extracted.expand(&[&info], Len(64)).unwrap().fill(&mut theirs).unwrap();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn debug_shows_the_epoch_only() {
        assert_eq!(format!("{:?}", derive_key(&ROOT, "r", "p", "c", 5)), "PseudonymKey(epoch 5)");
    }

    proptest! {
        #[test]
        fn any_bytes_normalise_and_twice_is_once(value in prop::collection::vec(any::<u8>(), 0..24)) {
            for kind in ["email", "phone", "link", "id", "ip", "number"] {
                let once = normalise(kind, &value);
                prop_assert_eq!(normalise(kind, &once), once);
            }
            let _ = normalise("handle", &value);
        }

        #[test]
        fn any_text_normalises_and_twice_is_once(value in ".{0,12}(@.{0,12})?") {
            for kind in ["email", "phone", "id", "ip", "number"] {
                let once = normalise(kind, value.as_bytes());
                prop_assert_eq!(normalise(kind, &once), once.clone(), "{}", kind);
            }
        }

        #[test]
        fn pseudonyms_of_two_recipients_share_nothing(
            values in prop::collection::btree_set("[a-z0-9]{1,6}", 1..40), one in "[a-z]{1,8}", other in "[a-z]{1,8}",
        ) {
            prop_assume!(one != other);
            let of = |recipient: &str| -> BTreeSet<String> {
                let (plain, back) = (derive_key(&ROOT, recipient, "p", "c", 1), derive_reversible(&ROOT, recipient, "p", "c", 1));
                let format = derive_format(&ROOT, recipient, "p", "c", 1);
                values.iter().flat_map(|value| {
                    let mut opened = Vec::new();
                    back.token("id", value.as_bytes(), &mut opened).unwrap();
                    let digits: String = value.bytes().map(|b| char::from(b'0' + b % 10)).collect();
                    let number = format.token("id", Format::Reserved("99"), &format!("{digits:0>14}")).unwrap();
                    [token(&plain, "id", value), String::from_utf8(opened).unwrap(), number]
                }).collect()
            };
            let (one, other) = (of(&one), of(&other));
            prop_assert_eq!(one.intersection(&other).count(), 0);
        }
    }
}
