//! One spelling for each value, so that a person who is written in two ways gets one token.

use unicode_normalization::UnicodeNormalization;

use crate::generalise::{address, inner};

/// Brings a value to the one spelling that is tokenised.
///
/// | kind | spelling |
/// |---|---|
/// | `email` | trimmed, lower case; beyond ASCII also NFKC, and the domain as IDNA writes it |
/// | `phone` | digits, with `+` in front if it was there or was spelled `00`; see [`normalise_phone`] |
/// | `handle` | trimmed, without the leading `@`, lower case |
/// | `link` | as it is: a link is tokenised whole, for a handle inside it would name the person |
/// | `ip` | as the standard library prints it; an IPv4 address inside an IPv6 one is IPv4 |
/// | `number` | without separators, upper case: national numbers, IBAN, cards, IMEI, MAC, UUID |
/// | other | trimmed: what a separator means in it is not known |
///
/// What does not read as its kind is trimmed and otherwise left, so that two such values stay
/// apart.
///
/// ```
/// use transform::pseudonym::normalise;
///
/// assert_eq!(normalise("email", b" Ann@Example.ORG"), b"ann@example.org");
/// assert_eq!(normalise("phone", b"0049 (30) 123-45 67"), b"+49301234567");
/// assert_eq!(normalise("handle", b"@Ann"), b"ann");
/// assert_eq!(normalise("number", b"de89 3704 0044 0532 0130 00"), b"DE89370400440532013000");
/// ```
#[must_use]
pub fn normalise(kind: &str, value: &[u8]) -> Vec<u8> {
    match kind {
        "email" => email(trim(value)),
        "phone" => phone(value, None),
        "handle" => {
            let value = trim(value);
            lower_case(value.strip_prefix(b"@").unwrap_or(value))
        }
        "link" => value.to_vec(),
        "ip" => ip(trim(value)),
        "number" => number(trim(value)),
        _ => trim(value).to_vec(),
    }
}

/// A telephone number as ITU-T E.164 writes it: what is dialled at home gets the code of
/// `country` (ISO 3166-1, two letters), and loses the digit that is dialled at home only. A
/// number that names its country keeps it. For countries outside the European Economic Area,
/// Switzerland and the United Kingdom as `normalise("phone", value)`.
///
/// ```
/// use transform::pseudonym::normalise_phone;
///
/// assert_eq!(normalise_phone(b"030 1234567", "DE"), b"+49301234567");
/// assert_eq!(normalise_phone(b"06 1234 5678", "IT"), b"+390612345678");
/// assert_eq!(normalise_phone(b"+43 1 5880", "DE"), b"+4315880");
/// ```
#[must_use]
pub fn normalise_phone(value: &[u8], country: &str) -> Vec<u8> {
    phone(value, HOMES.iter().find(|home| home.country.eq_ignore_ascii_case(country)))
}

/// How numbers are dialled inside a country.
struct Home {
    country: &'static str,
    code: &'static [u8],
    /// Dialled before a number at home, and not from abroad.
    trunk: &'static [u8],
}

const fn home(country: &'static str, code: &'static [u8], trunk: &'static [u8]) -> Home {
    Home { country, code, trunk }
}

/// Country codes of ITU-T E.164 and the trunk prefixes that the Union's list of dialling
/// procedures gives. In Italy the leading zero belongs to the number. Lithuania went from 8 to 0.
const HOMES: &[Home] = &[
    home("AT", b"43", b"0"),
    home("BE", b"32", b"0"),
    home("BG", b"359", b"0"),
    home("CH", b"41", b"0"),
    home("CY", b"357", b""),
    home("CZ", b"420", b""),
    home("DE", b"49", b"0"),
    home("DK", b"45", b""),
    home("EE", b"372", b""),
    home("ES", b"34", b""),
    home("FI", b"358", b"0"),
    home("FR", b"33", b"0"),
    home("GB", b"44", b"0"),
    home("GR", b"30", b""),
    home("HR", b"385", b"0"),
    home("HU", b"36", b"06"),
    home("IE", b"353", b"0"),
    home("IS", b"354", b""),
    home("IT", b"39", b""),
    home("LI", b"423", b""),
    home("LT", b"370", b"0"),
    home("LU", b"352", b""),
    home("LV", b"371", b""),
    home("MT", b"356", b""),
    home("NL", b"31", b"0"),
    home("NO", b"47", b""),
    home("PL", b"48", b""),
    home("PT", b"351", b""),
    home("RO", b"40", b"0"),
    home("SE", b"46", b"0"),
    home("SI", b"386", b"0"),
    home("SK", b"421", b"0"),
];

/// Without white space at either end, Unicode's included if the value is UTF-8.
fn trim(value: &[u8]) -> &[u8] {
    std::str::from_utf8(value).map_or_else(|_| value.trim_ascii(), |text| text.trim().as_bytes())
}

fn lower_case(value: &[u8]) -> Vec<u8> {
    std::str::from_utf8(value)
        .map_or_else(|_| value.to_ascii_lowercase(), |text| text.to_lowercase().into_bytes())
}

fn email(value: &[u8]) -> Vec<u8> {
    let text = match std::str::from_utf8(value) {
        Ok(text) if !value.is_ascii() => text,
        _ => return value.to_ascii_lowercase(),
    };
    // Lower case can undo the composition, hence once more. Both letters sigma are one.
    let lower: String = text.nfkc().collect::<String>().to_lowercase().replace('ς', "σ");
    let lower = lower.nfkc().collect::<String>();
    let lower = lower.trim();
    let Some((local, domain)) = lower.rsplit_once('@') else { return lower.as_bytes().to_vec() };
    match idna::domain_to_ascii(domain) {
        // A character that IDNA leaves out may have stood between white space and the end.
        Ok(domain) => format!("{local}@{}", domain.trim_end()).into_bytes(),
        Err(_) => lower.as_bytes().to_vec(),
    }
}

fn ip(value: &[u8]) -> Vec<u8> {
    let read = std::str::from_utf8(value).ok().and_then(address);
    read.map_or_else(|| value.to_vec(), |found| inner(found).to_string().into_bytes())
}

fn number(value: &[u8]) -> Vec<u8> {
    let kept = |text: &[u8]| -> Vec<u8> {
        let separates = |c: &char| {
            c.is_whitespace()
                || matches!(c, '-' | '.' | '/' | ':' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}')
        };
        match std::str::from_utf8(text) {
            Ok(text) => {
                let kept = text.chars().filter(|c| !separates(c)).map(|c| c.to_ascii_uppercase());
                kept.collect::<String>().into_bytes()
            }
            Err(_) => {
                let kept = text.iter().filter(|b| !(b.is_ascii() && separates(&char::from(**b))));
                kept.map(u8::to_ascii_uppercase).collect()
            }
        }
    };
    // Twice: what stood on both sides of a separator may compose.
    let once = kept(&fold(value));
    if once.is_empty() { value.to_vec() } else { kept(&fold(&once)) }
}

fn phone(value: &[u8], home: Option<&Home>) -> Vec<u8> {
    let value = trim(value);
    let folded = fold(value);
    let bare = if folded.get(..4).is_some_and(|s| s.eq_ignore_ascii_case(b"tel:")) {
        folded.get(4..).unwrap_or_default()
    } else {
        &folded
    };
    // What follows a semicolon in a `tel:` link (RFC 3966) is no part of the number.
    let bare = bare.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let abroad = bare.starts_with(b"+") || bare.starts_with(b"00");
    let digits = digits_of(bare, abroad);
    let digits = digits.strip_prefix(b"00").filter(|_| !bare.starts_with(b"+")).unwrap_or(&digits);
    if digits.is_empty() {
        return value.to_vec(); // nothing of a number in it: keep the values apart
    }
    // `(00)`, `0 0` and their like are `00` as well.
    let abroad = abroad || digits_of(bare, false).starts_with(b"00");
    match home {
        _ if abroad => [b"+", digits].concat(),
        Some(home) => [b"+", home.code, digits.strip_prefix(home.trunk).unwrap_or(digits)].concat(),
        None => digits.to_vec(),
    }
}

/// The digits; of a number with its country without the `(0)` that is dialled at home only.
fn digits_of(text: &[u8], abroad: bool) -> Vec<u8> {
    let mut digits = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match after.strip_prefix(b"0)") {
            Some(behind) if abroad && *first == b'(' && !digits.is_empty() => behind,
            _ => {
                digits.extend(first.is_ascii_digit().then_some(*first));
                after
            }
        };
    }
    digits
}

/// NFKC, and the digits of other scripts as ASCII writes them.
fn fold(value: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(value) {
        Ok(text) if !value.is_ascii() => text.nfkc().map(ascii_digit).collect::<String>().into_bytes(),
        _ => value.to_vec(),
    }
}

/// Where the digits of scripts begin in Unicode that people in Europe write numbers with; those
/// of full width are folded before.
const ZEROS: [u32; 8] = [0x0660, 0x06F0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0E50, 0x0BE6];

fn ascii_digit(c: char) -> char {
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&u32::from(c)));
    zero.and_then(|zero| char::from_digit(u32::from(c) - zero, 10)).unwrap_or(c)
}
