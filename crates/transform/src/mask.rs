//! One value made coarser, or hidden.
//!
//! These are display and generalisation helpers: the result still belongs to one person and is
//! safe only as far as its group is large. Masking is not pseudonymisation.

/// What stands in place of a hidden string. Nothing of the value shows, not even its length.
pub const MASK: &str = "***";

/// What a reader expects a hidden value to look like.
///
/// Some readers refuse a record whose e-mail address is none. For them there is one constant for
/// each form, which belongs to nobody by the rules of its own registry. It is the same for every
/// value, so nothing of the value shows: not its length, its country or whether it was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Any text: [`MASK`].
    Text,
    /// A number.
    Number,
    /// An e-mail address; `invalid` is reserved (RFC 2606).
    Email,
    /// A telephone number; no country code begins with 0 (ITU-T E.164).
    Phone,
    /// An IPv4 address: the unspecified one.
    Ipv4,
    /// An IPv6 address: the unspecified one.
    Ipv6,
    /// A link; `invalid` is reserved (RFC 2606).
    Link,
    /// A calendar date: the first one of RFC 3339.
    Date,
    /// A time: the first one of RFC 3339.
    Time,
    /// A UUID: the nil one (RFC 9562).
    Uuid,
}

/// The constant that hides every value of a shape.
///
/// ```
/// use transform::mask::{Shape, hidden};
///
/// assert_eq!(hidden(Shape::Text), "***");
/// assert_eq!(hidden(Shape::Email), "hidden@example.invalid");
/// ```
#[must_use]
pub const fn hidden(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => MASK,
        Shape::Number => "0",
        Shape::Email => "hidden@example.invalid",
        Shape::Phone => "+000000000",
        Shape::Ipv4 => "0.0.0.0",
        Shape::Ipv6 => "::",
        Shape::Link => "https://example.invalid/",
        Shape::Date => "0000-01-01",
        Shape::Time => "0000-01-01T00:00:00Z",
        Shape::Uuid => "00000000-0000-0000-0000-000000000000",
    }
}

/// The day of a date or of an RFC 3339 time: `2026-05-06T07:08:09Z` becomes `2026-05-06`. The
/// day is the one written, in the offset written. `None` if the text does not begin with a
/// calendar date, or goes on with something other than a time.
///
/// ```
/// use transform::mask::day;
///
/// assert_eq!(day("2026-05-06T07:08:09Z"), Some("2026-05-06"));
/// assert_eq!(day("2026-02-30"), None);
/// ```
#[must_use]
pub fn day(text: &str) -> Option<&str> {
    let (date, rest) = text.split_at_checked(10)?;
    let is_time = rest.is_empty() || rest.starts_with(['T', 't', ' ']);
    let (year, month, day) = (number(date, 0, 4)?, number(date, 5, 7)?, number(date, 8, 10)?);
    let dashes = date.get(4..5) == Some("-") && date.get(7..8) == Some("-");
    let is_date = dashes && (1..=month_days(year, month)).contains(&day);
    (is_time && is_date).then_some(date)
}

/// The month of a date or time, `2026-05`; otherwise as [`day`].
#[must_use]
pub fn month(text: &str) -> Option<&str> {
    day(text)?.get(..7)
}

/// The year of a date or time, `2026`; otherwise as [`day`].
#[must_use]
pub fn year(text: &str) -> Option<&str> {
    day(text)?.get(..4)
}

fn number(text: &str, from: usize, to: usize) -> Option<u32> {
    let digits = text.get(from..to).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Days in a month of the Gregorian calendar; 0 for a month that does not exist.
fn month_days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// A count rounded to one significant digit, halves up: 1,234 becomes 1,000 and 96 becomes 100.
/// The largest values round down, where up would not fit.
///
/// ```
/// assert_eq!(transform::mask::count(1_530), 2_000);
/// assert_eq!(transform::mask::count(7), 7);
/// ```
#[must_use]
pub fn count(exact: u64) -> u64 {
    let unit = 10_u64.pow(exact.checked_ilog10().unwrap_or(0));
    let down = exact / unit * unit;
    if exact - down < unit.div_ceil(2) || unit == 1 { down } else { down.checked_add(unit).unwrap_or(down) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_becomes_its_day() {
        for (text, expected) in [
            ("2026-05-06", Some("2026-05-06")),
            ("2026-05-06T23:59:59.999+14:00", Some("2026-05-06")),
            ("2026-05-06 07:08", Some("2026-05-06")),
            ("2024-02-29", Some("2024-02-29")),
            ("2026-02-29", None),
            ("1900-02-29", None),
            ("2000-02-29", Some("2000-02-29")),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-01-00", None),
            ("2026-05-06X", None),
            ("2026-05-061", None),
            ("2026/05/06", None),
            ("+026-05-06", None),
            ("2026-05-0é", None),
            ("6 May 2026", None),
            ("", None),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
        assert_eq!((month("2026-05-06"), year("2026-05-06T01:00:00Z")), (Some("2026-05"), Some("2026")));
    }

    #[test]
    fn a_hidden_value_has_its_form_and_is_nobodys() {
        use std::net::{Ipv4Addr, Ipv6Addr};
        assert_eq!(hidden(Shape::Number).parse(), Ok(0));
        assert_eq!(hidden(Shape::Ipv4).parse(), Ok(Ipv4Addr::UNSPECIFIED));
        assert_eq!(hidden(Shape::Ipv6).parse(), Ok(Ipv6Addr::UNSPECIFIED));
        assert_eq!(day(hidden(Shape::Date)), Some(hidden(Shape::Date)));
        assert_eq!(day(hidden(Shape::Time)), Some(hidden(Shape::Date)));
        for reserved in [Shape::Email, Shape::Link] {
            assert!(hidden(reserved).trim_end_matches('/').ends_with(".invalid"));
        }
        assert!(hidden(Shape::Phone).starts_with("+0"));
        assert!(hidden(Shape::Uuid).bytes().all(|b| matches!(b, b'0' | b'-')));
    }

    #[test]
    fn a_count_keeps_one_digit() {
        for (exact, coarse) in [
            (0, 0),
            (1, 1),
            (9, 9),
            (10, 10),
            (14, 10),
            (15, 20),
            (94, 90),
            (95, 100),
            (149, 100),
            (150, 200),
            (1_234, 1_000),
            (999_999, 1_000_000),
            (u64::MAX, 10_000_000_000_000_000_000),
        ] {
            assert_eq!(count(exact), coarse, "{exact}");
        }
    }

    proptest! {
        #[test]
        fn a_coarse_count_has_one_digit_and_stays_coarse(exact: u64) {
            let coarse = count(exact);
            prop_assert!(coarse.to_string().trim_end_matches('0').len() <= 1);
            prop_assert_eq!(count(coarse), coarse);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,16}") {
            let _ = (day(&text), month(&text), year(&text));
        }
    }
}
