//! Times and ages.

use std::num::NonZeroU16;

use crate::mask;

/// From this age on there is one band only: so few people are older that a band of theirs would
/// name them.
pub const AGE_TOP: u16 = 90;

/// An age that nobody reached, and a value above it is something else.
const AGE_MAX: u16 = 130;

/// The band of years that a date or time falls into: `1987-05-06` becomes `1980-1989` for bands
/// of ten. Bands begin at multiples of their width. Dates are read as [`mask::day`] reads them.
///
/// ```
/// use std::num::NonZeroU16;
/// use transform::generalise::year_band;
///
/// let ten = NonZeroU16::new(10).ok_or("zero")?;
/// assert_eq!(year_band("1987-05-06", ten).as_deref(), Some("1980-1989"));
/// assert_eq!(year_band("6 May 1987", ten), None);
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn year_band(text: &str, years: NonZeroU16) -> Option<String> {
    let year: u16 = mask::year(text)?.parse().ok()?;
    let first = year / years * years.get();
    let last = u32::from(first) + u32::from(years.get()) - 1;
    Some(format!("{first:04}-{last:04}"))
}

/// The band that an age in whole years falls into: `34` becomes `30-39` for bands of ten. From
/// [`AGE_TOP`] on it is `90+`, whatever the width.
///
/// ```
/// use std::num::NonZeroU16;
/// use transform::generalise::age_band;
///
/// let five = NonZeroU16::new(5).ok_or("zero")?;
/// assert_eq!(age_band("34", five).as_deref(), Some("30-34"));
/// assert_eq!(age_band("97", five).as_deref(), Some("90+"));
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn age_band(text: &str, years: NonZeroU16) -> Option<String> {
    let digits = text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    let age: u16 = if digits { text.parse().ok()? } else { return None };
    if age > AGE_MAX {
        return None;
    }
    if age >= AGE_TOP {
        return Some(format!("{AGE_TOP}+"));
    }
    let first = age / years * years.get();
    let last = (u32::from(first) + u32::from(years.get()) - 1).min(u32::from(AGE_TOP) - 1);
    Some(format!("{first}-{last}"))
}

/// The hour of an RFC 3339 time, in the offset written: `2026-05-06T07:08:09.5+02:00` becomes
/// `2026-05-06T07:00:00+02:00`. Seconds, their fraction and the offset may be missing; what is
/// missing stays missing.
///
/// ```
/// use transform::generalise::hour;
///
/// assert_eq!(hour("2026-05-06T07:08:09.25Z").as_deref(), Some("2026-05-06T07:00:00Z"));
/// assert_eq!(hour("2026-05-06 23:59").as_deref(), Some("2026-05-06 23:00"));
/// assert_eq!(hour("2026-05-06"), None);
/// ```
#[must_use]
pub fn hour(text: &str) -> Option<String> {
    let date = mask::day(text)?;
    let mut rest = text.get(date.len()..)?.chars();
    let between = rest.next()?;
    let (hour, rest) = two_digits(rest.as_str(), 23)?;
    let (_, mut rest) = two_digits(rest.strip_prefix(':')?, 59)?;
    let mut seconds = "";
    if let Some(after) = rest.strip_prefix(':') {
        (_, rest) = two_digits(after, 60)?; // 60 is a leap second
        if let Some(fraction) = rest.strip_prefix('.') {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            rest = fraction.get(end..).filter(|_| end > 0)?;
        }
        seconds = ":00";
    }
    let offset = offset(rest)?;
    Some(format!("{date}{between}{hour}:00{seconds}{offset}"))
}

/// Two digits at the front that spell at most `most`, and what follows.
fn two_digits(text: &str, most: u8) -> Option<(&str, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let all = digits.bytes().all(|b| b.is_ascii_digit());
    let fits = all && digits.parse::<u8>().is_ok_and(|value| value <= most);
    fits.then_some((digits, rest))
}

/// The offset that is all of `text`: none, `Z`, or hours and minutes.
fn offset(text: &str) -> Option<&str> {
    if matches!(text, "" | "Z" | "z") {
        return Some(text);
    }
    let (_, rest) = two_digits(text.strip_prefix(['+', '-'])?, 23)?;
    let (_, rest) = two_digits(rest.strip_prefix(':')?, 59)?;
    rest.is_empty().then_some(text)
}
