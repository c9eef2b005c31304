//! Tokens that a service inside the region can open again.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroizing;

use super::{BASE32, expand, extract, info, push_decimal};

/// Separates these keys from those of plain tokens.
const SALT: &[u8] = b"clover/reversible/v1";

/// First header of every encryption.
const CONTEXT: &[u8] = b"clover/reversible/v1";

/// Longest value of a token that can be opened.
pub const REVERSIBLE_MAX: usize = 1_024;

/// Values are filled up to a multiple of this, so that a token shows their length coarsely.
const STEP: usize = 16;

/// Derives the key for reversible tokens of one recipient, purpose, class and epoch, from the
/// same root as [`derive_key`](super::derive_key) and unrelated to its key.
///
/// ```
/// use transform::pseudonym::derive_reversible;
///
/// let key = derive_reversible(&[7; 32], "lab-oslo", "research", "contact", 12);
/// let mut token = Vec::new();
/// key.token("email", b"ann@example.org", &mut token)?;
/// assert!(token.starts_with(b"s1.12."));
/// assert_eq!(key.open("email", &token)?.as_slice(), b"ann@example.org");
/// # Ok::<(), transform::pseudonym::ReverseError>(())
/// ```
#[must_use]
pub fn derive_reversible(
    root: &[u8; 32],
    recipient: &str,
    purpose: &str,
    class: &str,
    epoch: u32,
) -> ReversibleKey {
    let mut key = Zeroizing::new([0; 64]);
    expand(&extract(SALT, root), &info([recipient, purpose, class], epoch), key.as_mut_slice());
    ReversibleKey { key, epoch }
}

/// The key of one recipient, purpose, class and epoch.
///
/// AES-256-SIV (RFC 5297) without a nonce: equal values give equal tokens, as joins need, and
/// whoever lacks the key can neither try values nor change a token. The kind is authenticated, so
/// a token of one field does not open as another's.
///
/// Opening is for services inside the region. It answers with the value and writes nothing: the
/// caller records who opened how many tokens for what purpose before it uses one.
#[derive(Clone)]
pub struct ReversibleKey {
    key: Zeroizing<[u8; 64]>,
    epoch: u32,
}

/// Why a value has no reversible token, or a token no value. The text names neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReverseError {
    /// More than [`REVERSIBLE_MAX`] bytes.
    #[error("value is longer than `{REVERSIBLE_MAX}` bytes")]
    TooLong,
    /// Not `s1.<epoch>.<base32>`.
    #[error("token does not have the form of a reversible token")]
    Form,
    /// The token names another epoch than the key.
    #[error("token is of epoch `{0}`, the key of another")]
    Epoch(u32),
    /// Another key, another kind, or a changed token.
    #[error("token was not made with this key for this kind")]
    Foreign,
}

impl ReversibleKey {
    /// The epoch that the tokens name.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Appends `s1.<epoch>.<letters and digits>` for a value that
    /// [`normalise`](super::normalise) has brought to one spelling. What it is opened to later is
    /// that spelling. The token shows the length of the value in steps of sixteen bytes.
    ///
    /// # Errors
    ///
    /// [`ReverseError::TooLong`].
    pub fn token(&self, kind: &str, normalised: &[u8], out: &mut Vec<u8>) -> Result<(), ReverseError> {
        if normalised.len() > REVERSIBLE_MAX {
            return Err(ReverseError::TooLong);
        }
        let mut filled = Zeroizing::new(Vec::with_capacity(normalised.len() + STEP));
        filled.extend_from_slice(normalised);
        filled.push(0x80);
        let full = filled.len().next_multiple_of(STEP);
        filled.resize(full, 0);
        let sealed = self.cipher().encrypt(headers(kind), &filled).map_err(|_| ReverseError::TooLong)?;
        out.extend_from_slice(b"s1.");
        push_decimal(self.epoch, out);
        out.push(b'.');
        let start = out.len();
        out.resize(start + BASE32.encode_len(sealed.len()), 0);
        if let Some(place) = out.get_mut(start..) {
            BASE32.encode_mut(&sealed, place);
        }
        Ok(())
    }

    /// The value behind a token of `kind`.
    ///
    /// # Errors
    ///
    /// [`ReverseError`] for anything that this key did not make for this kind.
    pub fn open(&self, kind: &str, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, ReverseError> {
        let (epoch, letters) = parts(token).ok_or(ReverseError::Form)?;
        if epoch != self.epoch {
            return Err(ReverseError::Epoch(epoch));
        }
        let sealed = BASE32.decode(letters).map_err(|_| ReverseError::Form)?;
        let opened = self.cipher().decrypt(headers(kind), &sealed).map_err(|_| ReverseError::Foreign)?;
        let mut value = Zeroizing::new(opened);
        let end = value.iter().rposition(|b| *b != 0).filter(|end| value.get(*end) == Some(&0x80));
        value.truncate(end.ok_or(ReverseError::Foreign)?);
        Ok(value)
    }

    fn cipher(&self) -> Aes256Siv {
        Aes256Siv::new((&*self.key).into())
    }
}

/// The epoch that a reversible token names, without opening it; `None` for anything else.
#[must_use]
pub fn epoch_of(token: &[u8]) -> Option<u32> {
    parts(token).map(|(epoch, _)| epoch)
}

fn parts(token: &[u8]) -> Option<(u32, &[u8])> {
    if token.len() > 2 * REVERSIBLE_MAX {
        return None;
    }
    let rest = token.strip_prefix(b"s1.")?;
    let dot = rest.iter().position(|b| *b == b'.')?;
    let (digits, letters) = rest.split_at_checked(dot)?;
    let canonical = digits == b"0" || !digits.starts_with(b"0");
    let plain = canonical && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let epoch = std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()?;
    Some((epoch, letters.get(1..)?))
}

fn headers(kind: &str) -> [&[u8]; 2] {
    [CONTEXT, kind.as_bytes()]
}

impl std::fmt::Debug for ReversibleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReversibleKey(epoch {})", self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use aes_siv::siv::Aes128Siv;
    use aws_lc_rs::cmac;
    use data_encoding::HEXLOWER_PERMISSIVE as HEX;
    use proptest::prelude::*;

    use super::*;

    const ROOT: [u8; 32] = [3; 32];

    fn key() -> ReversibleKey {
        derive_reversible(&ROOT, "r", "p", "c", 12)
    }

    fn token(key: &ReversibleKey, kind: &str, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        key.token(kind, value, &mut out).unwrap();
        out
    }

    fn hex(text: &str) -> Vec<u8> {
        HEX.decode(text.replace(' ', "").as_bytes()).unwrap()
    }

    /// RFC 5297, appendices A.1 and A.2.
    #[test]
    fn the_cipher_gives_the_vectors_of_rfc_5297() {
        let key = hex("fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff");
        let ad = hex("10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627");
        let sealed = Aes128Siv::new_from_slice(&key)
            .unwrap()
            .encrypt([&ad], &hex("11223344 55667788 99aabbcc ddee"))
            .unwrap();
        assert_eq!(sealed, hex("85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c"));

        let key = hex("7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f");
        let ads = [
            hex("00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100"),
            hex("10203040 50607080 90a0"),
            hex("09f91102 9d74e35b d84156c5 635688c0"),
        ];
        let text = b"this is some plaintext to encrypt using SIV-AES";
        let sealed = Aes128Siv::new_from_slice(&key).unwrap().encrypt(ads, text).unwrap();
        assert_eq!(
            sealed,
            hex("7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 \
                 dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d")
        );
    }

    /// S2V of RFC 5297 §2.4 by another library, for the key length that the appendices leave out.
    fn s2v(mac_key: &[u8], headers: &[&[u8]], text: &[u8]) -> [u8; 16] {
        let key = cmac::Key::new(cmac::AES_256, mac_key).unwrap();
        let mac = |data: &[u8]| -> u128 {
            let tag = cmac::sign(&key, data).unwrap();
            u128::from_be_bytes(tag.as_ref().try_into().unwrap())
        };
        let dbl = |x: u128| (x << 1) ^ if x >> 127 == 1 { 0x87 } else { 0 };
        let d = headers.iter().fold(mac(&[0; 16]), |d, header| dbl(d) ^ mac(header));
        let split = text.len() - 16; // our texts are filled up, never shorter
        let last = u128::from_be_bytes(text[split..].try_into().unwrap()) ^ d;
        mac(&[&text[..split], &last.to_be_bytes()].concat()).to_be_bytes()
    }

    #[test]
    fn a_reversible_token_is_aes_256_siv_as_another_library_computes_it() {
        for value in [&b""[..], b"ann@example.org", &[7; 40]] {
            let token = token(&key(), "email", value);
            let sealed = BASE32.decode(&token[b"s1.12.".len()..]).unwrap();
            let mut filled = [value, &[0x80]].concat();
            filled.resize(filled.len().next_multiple_of(16), 0);
            let expected = s2v(&key().key[..32], &[CONTEXT, b"email"], &filled);
            assert_eq!(sealed[..16], expected);
            assert_eq!(sealed.len(), 16 + filled.len());
        }
    }

    #[test]
    fn a_token_opens_with_its_own_key_and_kind_only() {
        let made = token(&key(), "email", b"ann@example.org");
        assert_eq!(key().open("email", &made).unwrap().as_slice(), b"ann@example.org");
        assert_eq!(key().open("handle", &made), Err(ReverseError::Foreign));
        for other in [
            derive_reversible(&ROOT, "r2", "p", "c", 12),
            derive_reversible(&ROOT, "r", "p2", "c", 12),
            derive_reversible(&ROOT, "r", "p", "c2", 12),
            derive_reversible(&[4; 32], "r", "p", "c", 12),
        ] {
            assert_eq!(other.open("email", &made), Err(ReverseError::Foreign));
            assert_ne!(token(&other, "email", b"ann@example.org"), made);
        }
        let later = derive_reversible(&ROOT, "r", "p", "c", 13);
        assert_eq!(later.open("email", &made), Err(ReverseError::Epoch(12)));
    }

    #[test]
    fn what_is_no_reversible_token_is_refused() {
        for text in
            ["", "s1", "s1.12", "s1.12.", "s1.012.aa", "s1.+1.aa", "s1.x.aa", "s1.4294967296.aa", "t1.12.aa"]
        {
            let refused = key().open("email", text.as_bytes()).unwrap_err();
            assert!(matches!(refused, ReverseError::Form | ReverseError::Foreign), "{text}: {refused:?}");
        }
        assert_eq!(key().open("email", b"s1.12.AAAA"), Err(ReverseError::Form), "upper case");
        assert_eq!(key().open("email", "s1.12.aaaé".as_bytes()), Err(ReverseError::Form));
        assert_eq!(key().open("email", &[b'a'; 4_000]), Err(ReverseError::Form));
        let long = vec![b'x'; REVERSIBLE_MAX + 1];
        assert_eq!(key().token("email", &long, &mut Vec::new()), Err(ReverseError::TooLong));
    }

    #[test]
    fn a_token_shows_the_length_of_its_value_in_steps_only() {
        let length = |len: usize| token(&key(), "email", &vec![b'x'; len]).len();
        assert_eq!(length(0), length(15));
        assert!(length(15) < length(16));
        assert_eq!(length(16), length(31));
    }

    #[test]
    fn debug_shows_the_epoch_only() {
        assert_eq!(format!("{:?}", key()), "ReversibleKey(epoch 12)");
    }

    proptest! {
        #[test]
        fn every_value_comes_back_and_no_changed_token_opens(
            value in prop::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), to in "[a-z2-7]",
        ) {
            let made = token(&key(), "email", &value);
            prop_assert_eq!(key().open("email", &made).unwrap().to_vec(), value.clone());
            let mut changed = made.clone();
            let at = 6 + at.index(made.len() - 6);
            changed[at] = to.as_bytes()[0];
            if changed != made {
                prop_assert!(key().open("email", &changed).is_err());
            }
        }

        #[test]
        fn no_bytes_make_opening_panic(token in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (key().open("email", &token), epoch_of(&token));
        }
    }
}
