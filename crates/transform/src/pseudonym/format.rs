//! Tokens that keep the form of a number: as many digits, the same separators.
//!
//! Only where a system outside would break on anything else. Such a token says more than a plain
//! one (how long the number was, where its separators stood), takes about twenty times as long,
//! and is refused where the numbers of a form are so few that trying them all is easy.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use zeroize::Zeroizing;

use super::{expand, extract, info};

/// Separates these keys from those of other tokens.
const SALT: &[u8] = b"clover/format/v1";

/// Fewest digits that are encrypted: a million numbers (NIST SP 800-38G revision 1, second draft).
const DIGITS_MIN: usize = 6;

/// Most digits of one number.
const DIGITS_MAX: usize = 40;

/// Longest value with its separators.
const VALUE_MAX: usize = 64;

const RADIX: u32 = 10;

/// The rule for the last digit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// ISO/IEC 7812-1: cards, IMEI, ICCID, Swedish and Greek (AMKA) personal numbers.
    Luhn,
    /// ISO/IEC 7064, MOD 11,10: German tax numbers, Croatian OIB.
    Mod11_10,
    /// GS1: Swiss AHV numbers.
    Ean,
}

/// How a token is kept apart from the numbers that it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format<'a> {
    /// The last digit is a check digit. The token has it wrong, always: nobody who checks takes
    /// it for a number of a person.
    Checked(Check),
    /// The number has no check digit. The token has these digits in front, which the operator
    /// reserved: no number of the kind begins with them. It is that much longer.
    Reserved(&'a str),
}

/// Why a value has no token of its form, or a token no value. The text names neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Something besides digits, spaces and hyphens.
    #[error("value has more than digits, spaces and hyphens")]
    NotDigits,
    /// Fewer digits than a domain of a million needs.
    #[error("fewer than a million numbers have this form: anybody could try them all")]
    TooFew,
    /// More than forty digits.
    #[error("value has more than `{DIGITS_MAX}` digits")]
    TooMany,
    /// The value's own check digit is wrong, or a token's is right.
    #[error("check digit is not as it must be")]
    CheckDigit,
    /// The reserved digits are none, or a token does not begin with them.
    #[error("reserved digits are missing")]
    Reserved,
}

/// Derives the key for tokens that keep their form, from the same root as
/// [`derive_key`](super::derive_key) and unrelated to its key.
///
/// ```
/// use transform::pseudonym::{Check, Format, derive_format};
///
/// let key = derive_format(&[7; 32], "bank-oslo", "billing", "finance", 12);
/// let form = Format::Checked(Check::Luhn);
/// let token = key.token("card", form, "4111 1111 1111 1111")?;
/// assert_eq!((token.len(), &token[4..5]), (19, " "));
/// assert!(!Check::Luhn.holds(token.as_bytes()));
/// assert_eq!(key.open("card", form, &token)?.as_str(), "4111 1111 1111 1111");
/// # Ok::<(), transform::pseudonym::FormatError>(())
/// ```
#[must_use]
pub fn derive_format(root: &[u8; 32], recipient: &str, purpose: &str, class: &str, epoch: u32) -> FormatKey {
    let mut key = Zeroizing::new([0; 32]);
    expand(&extract(SALT, root), &info([recipient, purpose, class], epoch), key.as_mut_slice());
    FormatKey { key, recipient: recipient.to_owned() }
}

/// The key of one recipient, purpose, class and epoch. FF1 with AES-256 (NIST SP 800-38G);
/// recipient and field are in the tweak, so equal numbers in two fields have unrelated tokens.
/// FF3 is not offered: it was withdrawn.
#[derive(Clone)]
pub struct FormatKey {
    key: Zeroizing<[u8; 32]>,
    recipient: String,
}

impl FormatKey {
    /// The token of a number. Spaces and hyphens stay where they are.
    ///
    /// # Errors
    ///
    /// [`FormatError`] for a value of another form, and where the form has too few numbers.
    pub fn token(&self, field: &str, format: Format<'_>, value: &str) -> Result<String, FormatError> {
        let mut digits = digits(value)?;
        let (reserved, last) = match format {
            Format::Checked(check) => {
                if !check.holds(value.as_bytes()) {
                    return Err(FormatError::CheckDigit);
                }
                digits.pop();
                ("", Some(check))
            }
            Format::Reserved(front) => (reserved(front)?, None),
        };
        let mut sealed = self.permute(field, digits, true)?;
        if let Some(check) = last {
            // One more than the right one: wrong whatever the others are.
            sealed.push((check.digit(&sealed) + 1) % 10);
        }
        Ok(format!("{reserved}{}", spell(value, &sealed)))
    }

    /// The number behind a token, for services inside the region; what is said at
    /// [`ReversibleKey`](super::ReversibleKey) about recording holds here too.
    ///
    /// # Errors
    ///
    /// [`FormatError`] for what has not the form of a token. There is no telling whether a token
    /// of the right form was made with this key: any number opens to some number.
    pub fn open(
        &self,
        field: &str,
        format: Format<'_>,
        token: &str,
    ) -> Result<Zeroizing<String>, FormatError> {
        let (token, check) = match format {
            Format::Checked(check) => (token, Some(check)),
            Format::Reserved(front) => {
                (token.strip_prefix(reserved(front)?).ok_or(FormatError::Reserved)?, None)
            }
        };
        let mut sealed = digits(token)?;
        if let Some(check) = check {
            let last = sealed.pop();
            if last != Some((check.digit(&sealed) + 1) % 10) {
                return Err(FormatError::CheckDigit);
            }
        }
        let mut digits = self.permute(field, sealed, false)?;
        if let Some(check) = check {
            digits.push(check.digit(&digits));
        }
        Ok(Zeroizing::new(spell(token, &digits)))
    }

    fn permute(&self, field: &str, digits: Vec<u8>, seal: bool) -> Result<Vec<u8>, FormatError> {
        if digits.len() < DIGITS_MIN {
            return Err(FormatError::TooFew);
        }
        let tweak = info([&self.recipient, field, ""], 0);
        let numerals = FlexibleNumeralString::from(digits.into_iter().map(u16::from).collect::<Vec<_>>());
        // Radix and key length are constants, digits were counted: none of it is refused.
        let cipher = FF1::<Aes256>::new(self.key.as_slice(), RADIX).map_err(|_| FormatError::NotDigits)?;
        let done = if seal { cipher.encrypt(&tweak, &numerals) } else { cipher.decrypt(&tweak, &numerals) };
        let numerals: Vec<u16> = done.map_err(|_| FormatError::NotDigits)?.into();
        Ok(numerals.into_iter().map(|n| n as u8).collect())
    }
}

impl Check {
    /// True if the last digit is the one that the others ask for. Spaces and hyphens do not count.
    #[must_use]
    pub fn holds(self, value: &[u8]) -> bool {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let Ok(mut digits) = digits(text) else { return false };
        let last = digits.pop();
        !digits.is_empty() && last == Some(self.digit(&digits))
    }

    /// The digit that belongs behind these.
    fn digit(self, digits: &[u8]) -> u8 {
        match self {
            Self::Luhn => {
                let doubled = |d: u8| if d > 4 { d * 2 - 9 } else { d * 2 };
                let places = digits.iter().rev().enumerate();
                let sum: u32 =
                    places.map(|(place, d)| u32::from(if place % 2 == 0 { doubled(*d) } else { *d })).sum();
                ((10 - sum % 10) % 10) as u8
            }
            Self::Ean => {
                let places = digits.iter().rev().enumerate();
                let sum: u32 =
                    places.map(|(place, d)| u32::from(*d) * if place % 2 == 0 { 3 } else { 1 }).sum();
                ((10 - sum % 10) % 10) as u8
            }
            Self::Mod11_10 => {
                let product = digits.iter().fold(10, |product: u8, d| {
                    let sum = (product + d) % 10;
                    (if sum == 0 { 10 } else { sum }) * 2 % 11
                });
                (11 - product) % 10
            }
        }
    }
}

/// The digits of a value of digits, spaces and hyphens.
fn digits(value: &str) -> Result<Vec<u8>, FormatError> {
    if value.len() > VALUE_MAX {
        return Err(FormatError::TooMany);
    }
    if !value.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-')) {
        return Err(FormatError::NotDigits);
    }
    let digits: Vec<u8> = value.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    if digits.len() > DIGITS_MAX { Err(FormatError::TooMany) } else { Ok(digits) }
}

fn reserved(front: &str) -> Result<&str, FormatError> {
    let plain = !front.is_empty() && front.len() <= 8 && front.bytes().all(|b| b.is_ascii_digit());
    if plain { Ok(front) } else { Err(FormatError::Reserved) }
}

/// Other digits in the places of the digits of `like`.
fn spell(like: &str, digits: &[u8]) -> String {
    let mut digits = digits.iter();
    like.chars()
        .filter_map(
            |c| if c.is_ascii_digit() { digits.next().map(|d| char::from(b'0' + d)) } else { Some(c) },
        )
        .collect()
}

impl std::fmt::Debug for FormatKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FormatKey")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXUPPER as HEX;
    use proptest::prelude::*;

    use super::*;

    const LUHN: Format<'_> = Format::Checked(Check::Luhn);

    fn key() -> FormatKey {
        derive_format(&[3; 32], "r", "p", "c", 12)
    }

    /// Samples 7 and 8 of NIST's "Block Cipher Modes of Operation: FF1 Method for
    /// Format-Preserving Encryption", those for AES-256 and radix 10.
    #[test]
    fn the_cipher_gives_the_samples_of_nist() {
        let key = HEX.decode(b"2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94").unwrap();
        let tweak = HEX.decode(b"39383736353433323130").unwrap();
        for (tweak, sealed) in [(&[][..], "6657667009"), (&tweak, "1001623463")] {
            let cipher = FF1::<Aes256>::new(&key, RADIX).unwrap();
            let numerals = |text: &str| -> Vec<u16> { text.bytes().map(|b| u16::from(b - b'0')).collect() };
            let made: Vec<u16> =
                cipher.encrypt(tweak, &FlexibleNumeralString::from(numerals("0123456789"))).unwrap().into();
            assert_eq!(made, numerals(sealed));
        }
    }

    #[test]
    fn check_digits_are_those_of_known_numbers() {
        for (check, valid, wrong) in [
            (Check::Luhn, "4111 1111 1111 1111", "4111 1111 1111 1112"),
            (Check::Luhn, "490154203237518", "490154203237517"),
            (Check::Luhn, "79927398713", "79927398710"),
            (Check::Mod11_10, "36574261809", "36574261808"),
            (Check::Mod11_10, "94577403194", "94577403195"),
            (Check::Ean, "7569217076985", "7569217076986"),
            (Check::Ean, "4006381333931", "4006381333930"),
        ] {
            assert!(check.holds(valid.as_bytes()), "{valid}");
            assert!(!check.holds(wrong.as_bytes()), "{wrong}");
        }
        assert!(!Check::Luhn.holds(b"") && !Check::Luhn.holds(b"0") && !Check::Luhn.holds(b"4x"));
    }

    #[test]
    fn forms_with_few_numbers_are_refused() {
        for (format, value, expected) in [
            (LUHN, "18", FormatError::TooFew),
            (LUHN, "123455", FormatError::TooFew),
            (LUHN, "1234567", FormatError::CheckDigit),
            (Format::Reserved("99"), "12345", FormatError::TooFew),
            (Format::Reserved("99"), "1987", FormatError::TooFew),
            (Format::Reserved(""), "1234567", FormatError::Reserved),
            (Format::Reserved("9x"), "1234567", FormatError::Reserved),
            (LUHN, "4111.1111.1111.1111", FormatError::NotDigits),
            (LUHN, "4111 1111 1111 1112", FormatError::CheckDigit),
            (LUHN, "", FormatError::CheckDigit),
            (LUHN, "٤١١١١١١١", FormatError::NotDigits),
            (Format::Reserved("9"), &"1".repeat(41), FormatError::TooMany),
            (Format::Reserved("9"), &"1 ".repeat(33), FormatError::TooMany),
        ] {
            assert_eq!(key().token("card", format, value), Err(expected), "{value}");
        }
        assert!(key().token("id", Format::Reserved("99"), "123456").is_ok());
        assert!(key().token("id", LUHN, "1234566").is_ok());
        assert!(key().token("id", LUHN, "1234-5674").is_ok());
    }

    #[test]
    fn recipient_and_field_are_in_the_tweak() {
        let card = "4111111111111111";
        let token = |key: &FormatKey, field: &str| key.token(field, LUHN, card).unwrap();
        let same_key = FormatKey { recipient: "other".to_owned(), ..key() };
        assert_ne!(token(&key(), "card"), token(&key(), "account"));
        assert_ne!(token(&key(), "card"), token(&same_key, "card"));
        assert_ne!(token(&key(), "card"), token(&derive_format(&[3; 32], "r", "p", "c", 13), "card"));
    }

    #[test]
    fn a_token_that_could_be_a_number_is_not_opened() {
        assert_eq!(key().open("card", LUHN, "4111 1111 1111 1111"), Err(FormatError::CheckDigit));
        assert_eq!(key().open("id", Format::Reserved("99"), "123456"), Err(FormatError::Reserved));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", key()), "FormatKey");
    }

    proptest! {
        #[test]
        fn a_token_has_the_form_never_passes_the_check_and_comes_back(
            number in "[0-9]{6,18}", which in 0..3_usize,
        ) {
            let check = [Check::Luhn, Check::Mod11_10, Check::Ean][which];
            let numerals = digits(&number).unwrap();
            let whole = format!("{number}{}", check.digit(&numerals));
            let token = key().token("id", Format::Checked(check), &whole).unwrap();
            prop_assert_eq!(token.len(), whole.len());
            prop_assert!(check.holds(whole.as_bytes()) && !check.holds(token.as_bytes()));
            let opened = key().open("id", Format::Checked(check), &token).unwrap();
            prop_assert_eq!(opened.as_str(), whole);
            let reserved = key().token("id", Format::Reserved("990"), &number).unwrap();
            prop_assert!(reserved.starts_with("990"));
            let opened = key().open("id", Format::Reserved("990"), &reserved).unwrap();
            prop_assert_eq!(opened.as_str(), number);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,48}", reserved in ".{0,4}") {
            for format in [LUHN, Format::Reserved(&reserved)] {
                let _ = (key().token("id", format, &text), key().open("id", format, &text));
            }
        }
    }
}
