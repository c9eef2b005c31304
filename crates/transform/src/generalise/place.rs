//! Places: coordinates and postcodes.

/// Which of the two coordinates a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// North and south, at most 90 degrees.
    Latitude,
    /// East and west, at most 180 degrees.
    Longitude,
}

/// Most decimals that a cell may keep: three are a square of about 110 m.
const PLACES_MAX: usize = 3;

/// Longest spelling of a coordinate that is read.
const COORDINATE_MAX: usize = 40;

/// The southern or western edge of the cell that a coordinate in decimal degrees falls into, with
/// `places` decimals and never more than three. Two decimals make cells of about 1.1 km north to
/// south, one of 11 km; towards the poles they get narrower. Digits are cut, not rounded in
/// binary: cells are of one size also around zero.
///
/// ```
/// use transform::generalise::{Axis, coordinate};
///
/// assert_eq!(coordinate("48.137154", Axis::Latitude, 2).as_deref(), Some("48.13"));
/// assert_eq!(coordinate("-0.004", Axis::Longitude, 2).as_deref(), Some("-0.01"));
/// assert_eq!(coordinate("91.0", Axis::Latitude, 2), None);
/// ```
#[must_use]
pub fn coordinate(text: &str, axis: Axis, places: usize) -> Option<String> {
    let text = text.trim();
    if text.len() > COORDINATE_MAX {
        return None;
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) {
        return None;
    }
    let places = places.min(PLACES_MAX);
    let unit = 10_u32.pow(places as u32);
    let (kept, cut) = fraction.split_at_checked(places).unwrap_or((fraction, ""));
    let lost = cut.bytes().any(|b| b != b'0');
    let mut cell = whole.parse::<u32>().ok()?.checked_mul(unit)?;
    cell += format!("{kept:0<places$}").parse::<u32>().unwrap_or(0);
    let most = match axis {
        Axis::Latitude => 90,
        Axis::Longitude => 180,
    } * unit;
    if cell > most || (cell == most && lost) {
        return None;
    }
    // Downwards on both sides of zero.
    cell += u32::from(negative && lost);
    let sign = if negative && cell > 0 { "-" } else { "" };
    let (whole, fraction) = (cell / unit, cell % unit);
    Some(if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0places$}") })
}

/// The cell of a pair of coordinates, latitude first: `48.13,11.57`. Also reads `geo:` links
/// (RFC 5870), whose altitude and parameters go.
///
/// ```
/// use transform::generalise::cell;
///
/// assert_eq!(cell("48.137154, 11.576124", 2).as_deref(), Some("48.13,11.57"));
/// assert_eq!(cell("geo:48.137154,11.576124,519;u=35", 1).as_deref(), Some("48.1,11.5"));
/// ```
#[must_use]
pub fn cell(text: &str, places: usize) -> Option<String> {
    let text = text.trim();
    let link = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("geo:"));
    let pair = if link { text.get(4..)?.split(';').next()? } else { text };
    let mut parts = pair.split(',');
    let latitude = coordinate(parts.next()?, Axis::Latitude, places)?;
    let longitude = coordinate(parts.next()?, Axis::Longitude, places)?;
    let more = parts.count();
    (more == 0 || (link && more == 1)).then(|| format!("{latitude},{longitude}"))
}

/// What may stay of a postcode: how it is written, and how many of its signs are shown.
struct Post {
    country: &'static str,
    /// `9` is a digit, `A` a letter, `X` either.
    forms: &'static [&'static str],
    kept: usize,
}

const fn post(country: &'static str, forms: &'static [&'static str], kept: usize) -> Post {
    Post { country, forms, kept }
}

/// The forms are those that the Universal Postal Union publishes. Regions of large countries are
/// shown with two signs, of small ones with one; where a whole country is about as large as one
/// region (Iceland, Liechtenstein, Malta), with none.
const POSTS: &[Post] = &[
    post("AT", &["9999"], 1),
    post("BE", &["9999"], 1),
    post("BG", &["9999"], 1),
    post("CH", &["9999"], 1),
    post("CY", &["9999"], 1),
    post("CZ", &["99999"], 2),
    post("DE", &["99999"], 2),
    post("DK", &["9999"], 1),
    post("EE", &["99999"], 1),
    post("ES", &["99999"], 2),
    post("FI", &["99999"], 2),
    post("FR", &["99999"], 2),
    post("GB", &["A99AA", "A999AA", "AA99AA", "AA999AA", "A9A9AA", "AA9A9AA"], 1),
    post("GR", &["99999"], 2),
    post("HR", &["99999"], 2),
    post("HU", &["9999"], 1),
    post("IE", &["A9XXXXX"], 1),
    post("IS", &["999"], 0),
    post("IT", &["99999"], 2),
    post("LI", &["9999"], 0),
    post("LT", &["99999"], 1),
    post("LU", &["9999"], 1),
    post("LV", &["9999"], 1),
    post("MT", &["AAA9999"], 0),
    post("NL", &["9999AA"], 2),
    post("NO", &["9999"], 1),
    post("PL", &["99999"], 2),
    post("PT", &["9999999", "9999"], 2),
    post("RO", &["999999"], 2),
    post("SE", &["99999"], 2),
    post("SI", &["9999"], 1),
    post("SK", &["99999"], 2),
];

/// The region of a postcode, with its country (ISO 3166-1, two letters) in front: `DE-80`. Spaces,
/// hyphens and a country's own letters in front (`LV-1010`, `D-80331`) do not matter. `None` for
/// another form and for countries outside the European Economic Area, Switzerland and the United
/// Kingdom.
///
/// ```
/// use transform::generalise::postcode;
///
/// assert_eq!(postcode("80331", "DE").as_deref(), Some("DE-80"));
/// assert_eq!(postcode("SW1A 1AA", "GB").as_deref(), Some("GB-S"));
/// assert_eq!(postcode("8033", "DE"), None);
/// ```
#[must_use]
pub fn postcode(text: &str, country: &str) -> Option<String> {
    let known = POSTS.iter().find(|post| post.country.eq_ignore_ascii_case(country))?;
    if text.len() > 16 {
        return None;
    }
    let code: String =
        text.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()).collect();
    // As it stands first: `GL1 1AA` is no `L1 1AA` behind a `G`.
    let written = [Some(""), Some(known.country), known.country.get(..1)].into_iter().flatten();
    let code =
        written.filter_map(|letters| code.strip_prefix(letters)).find(|code| fits(code, known.forms))?;
    let region = code.get(..known.kept)?;
    Some(if region.is_empty() { known.country.to_owned() } else { format!("{}-{region}", known.country) })
}

fn fits(code: &str, forms: &[&str]) -> bool {
    let sign = |(c, form): (u8, u8)| match form {
        b'9' => c.is_ascii_digit(),
        b'A' => c.is_ascii_uppercase(),
        _ => c.is_ascii_digit() || c.is_ascii_uppercase(),
    };
    forms.iter().any(|form| form.len() == code.len() && code.bytes().zip(form.bytes()).all(sign))
}
