//! Values that a question names: typed, in one spelling, and sent as parameters.

use super::declared::{KEY_BYTES_MAX, Kind};

/// Most digits of a number.
const DIGITS_MAX: usize = 38;
/// Longest text, in bytes.
pub(super) const TEXT_MAX: usize = 1_024;

/// A value, in the one spelling that equal ones share. It may be about somebody, and prints nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Literal {
    Integer(i64),
    Decimal(String),
    Text(String),
    Bool(bool),
    Date(String),
}

/// A value as it is written in a question.
#[derive(Clone, Copy)]
pub(super) enum Written<'a> {
    /// Digits, perhaps with a sign and a point.
    Number {
        negative: bool,
        digits: &'a str,
    },
    Quoted(&'a str),
    Bool(bool),
}

impl std::fmt::Debug for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Literal(..)")
    }
}

impl Literal {
    /// What is written, where a column of this kind is compared with it.
    pub(super) fn of(kind: Kind, written: Written<'_>) -> Option<Self> {
        match (kind, written) {
            (Kind::Integer, Written::Number { negative, digits }) => match decimal(negative, digits)? {
                whole if !whole.contains('.') => whole.parse().ok().map(Self::Integer),
                _ => None,
            },
            (Kind::Numeric { .. }, Written::Number { negative, digits }) => {
                decimal(negative, digits).map(Self::Decimal)
            }
            (Kind::Text, Written::Quoted(text)) => {
                (text.len() <= TEXT_MAX && !text.contains('\0')).then(|| Self::Text(text.to_owned()))
            }
            (Kind::Bool, Written::Bool(truth)) => Some(Self::Bool(truth)),
            (Kind::Date, Written::Quoted(text)) => days(text).map(|_| Self::Date(text.to_owned())),
            _ => None,
        }
    }

    /// A value of a key, as a declaration writes it.
    pub(super) fn of_key(kind: Kind, text: &str) -> Option<Self> {
        let written = match kind {
            Kind::Integer | Kind::Numeric { .. } => {
                let negative = text.starts_with('-');
                Written::Number { negative, digits: text.strip_prefix('-').unwrap_or(text) }
            }
            Kind::Bool => Written::Bool(match text {
                "true" => true,
                "false" => false,
                _ => return None,
            }),
            Kind::Text | Kind::Date => Written::Quoted(text),
        };
        (text.len() <= KEY_BYTES_MAX).then(|| Self::of(kind, written)).flatten()
    }

    /// As it is sent, and in the normal form of a question.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Integer(n) => n.to_string(),
            Self::Bool(truth) => truth.to_string(),
            Self::Decimal(text) | Self::Text(text) | Self::Date(text) => text.clone(),
        }
    }

    /// What PostgreSQL is to make of it.
    pub(super) const fn cast(&self) -> &'static str {
        match self {
            Self::Integer(_) => "::int8",
            Self::Decimal(_) => "::numeric",
            Self::Text(_) => "",
            Self::Bool(_) => "::bool",
            Self::Date(_) => "::date",
        }
    }
}

/// Digits without what does not change the number.
fn decimal(negative: bool, digits: &str) -> Option<String> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if digits.len() > DIGITS_MAX || !plain(whole) || !plain(part) || whole.len() + part.len() == 0 {
        return None;
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if negative && !(whole == "0" && part.is_empty()) { "-" } else { "" };
    Some(if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") })
}

/// The day of a date of the years 1 to 9999, counted from 1 January 2000; none where there is no such day.
pub(super) fn days(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let shape = |(n, b): (usize, &u8)| if matches!(n, 4 | 7) { *b == b'-' } else { b.is_ascii_digit() };
    if bytes.len() != 10 || !bytes.iter().enumerate().all(shape) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i32>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > longest {
        return None;
    }
    // Years from March on, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let from_march = (153 * month + 2) / 5 + day - 1;
    Some(365 * year + year / 4 - year / 100 + year / 400 + from_march - 730_425)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_spelling() {
        let number = |text: &str| Literal::of_key(Kind::Numeric { scale: 2 }, text).map(|l| l.text());
        for (written, spelling) in
            [("007.50", "7.5"), ("-0.0", "0"), (".5", "0.5"), ("5.", "5"), ("-12", "-12")]
        {
            assert_eq!(number(written).as_deref(), Some(spelling));
        }
        for wrong in ["", ".", "1e5", "--1", "+1", "1_000", "NaN", "Infinity", &"9".repeat(39)] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
        assert_eq!(Literal::of_key(Kind::Integer, "-9223372036854775808"), Some(Literal::Integer(i64::MIN)));
        assert_eq!(Literal::of_key(Kind::Integer, "9223372036854775808"), None);
        assert_eq!(Literal::of_key(Kind::Integer, "1.5"), None);
        assert_eq!(Literal::of_key(Kind::Integer, "1.0"), Some(Literal::Integer(1)));
        assert_eq!(Literal::of_key(Kind::Text, "a\0"), None);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (date, day) in [
            ("2000-01-01", 0),
            ("2000-03-01", 60),
            ("1999-12-31", -1),
            ("2026-11-27", 9_827),
            ("0001-01-01", -730_119),
            ("9999-12-31", 2_921_939),
        ] {
            assert_eq!(days(date), Some(day), "{date}");
        }
        for wrong in [
            "2026-02-29",
            "1900-02-29",
            "0000-01-01",
            "2026-13-01",
            "2026-1-01",
            "26-01-01",
            "infinity",
            "2026-01-01 ",
        ] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }
}
