//! Country codes of the telephone network (ITU-T E.164, list of assigned country codes) and the lengths that
//! numbers behind them have in the national plans.

use crate::Country;

/// Code, country, fewest and most digits behind the code. Sorted by code.
#[rustfmt::skip]
static PLANS: &[(u16, &[u8; 2], u8, u8)] = &[
    (30, b"GR", 10, 10), (31, b"NL", 9, 11), (32, b"BE", 8, 9), (33, b"FR", 9, 9), (34, b"ES", 9, 9),
    (36, b"HU", 8, 9), (39, b"IT", 6, 12), (40, b"RO", 9, 9), (41, b"CH", 9, 12), (43, b"AT", 4, 13),
    (44, b"GB", 7, 10), (45, b"DK", 8, 8), (46, b"SE", 7, 13), (47, b"NO", 5, 8), (48, b"PL", 9, 9),
    (49, b"DE", 5, 13), (350, b"GI", 8, 8), (351, b"PT", 9, 9), (352, b"LU", 4, 11), (353, b"IE", 7, 10),
    (354, b"IS", 7, 9), (356, b"MT", 8, 8), (357, b"CY", 8, 8), (358, b"FI", 5, 12), (359, b"BG", 7, 9),
    (370, b"LT", 8, 8), (371, b"LV", 8, 8), (372, b"EE", 7, 8), (385, b"HR", 8, 9), (386, b"SI", 8, 8),
    (420, b"CZ", 9, 9), (421, b"SK", 9, 9), (423, b"LI", 7, 9),
];

/// The country whose code the digits begin with; what stands between them is passed over.
pub(crate) fn country(number: &[u8]) -> Option<Country> {
    let mut digits = number.iter().filter(|b| b.is_ascii_digit()).map(|b| u16::from(b - b'0'));
    let two = digits.next()? * 10 + digits.next()?;
    let three = two * 10 + digits.next()?;
    let find = |code| PLANS.binary_search_by_key(&code, |(code, ..)| *code).ok().and_then(|at| PLANS.get(at));
    let (_, letters, ..) = find(two).or_else(|| find(three))?;
    Country::new(**letters)
}

/// Whether a number that begins with its country code has a length of that country's. Countries outside the table
/// take any. `more` digits may stand in it besides: a zero in brackets, or an extension.
pub(crate) fn fits(number: &[u8], more: usize) -> bool {
    let (mut len, mut two, mut three) = (0, 0, 0);
    for digit in number.iter().filter(|b| b.is_ascii_digit()).map(|b| u16::from(b - b'0')) {
        if len < 3 {
            three = three * 10 + digit;
        }
        if len < 2 {
            two = three;
        }
        len += 1;
    }
    let find = |code| PLANS.binary_search_by_key(&code, |(code, ..)| *code).ok().and_then(|at| PLANS.get(at));
    let plan = find(two).or_else(|| find(three));
    plan.is_none_or(|(code, _, least, most)| {
        let code_len = if *code < 100 { 2 } else { 3 };
        (code_len + usize::from(*least)..=code_len + usize::from(*most) + more).contains(&len)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_sorted_and_countries_are_told_by_their_codes() {
        assert!(PLANS.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(country(b"47 22 12 34 56").map(|c| c.to_string()).as_deref(), Some("NO"));
        assert_eq!(country(b"358401234567").map(|c| c.to_string()).as_deref(), Some("FI"));
        assert_eq!(country(b"1415"), None);
        assert!(fits(b"47 22 12 34 56", 0) && !fits(b"471", 4) && fits(b"1415", 0) && !fits(b"33612345", 4));
        assert!(fits(b"33(0)612345678", 1) && !fits(b"33(0)612345678", 0));
    }
}
