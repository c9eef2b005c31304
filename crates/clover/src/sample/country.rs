//! The 32 countries of the sample (EEA, United Kingdom, Switzerland) and how a person's country is chosen.

pub(super) mod table;

use table::COUNTRIES;

/// Where names and street names come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locale {
    /// A locale of the crate `fake`.
    Fake(FakeLocale),
    /// Our own lists, see `names`.
    Own,
}

/// The locales of `fake` that fit a country of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FakeLocale {
    /// German.
    De,
    /// English, with a share of Welsh.
    En,
    /// French.
    Fr,
    /// Italian.
    It,
    /// Dutch.
    Nl,
    /// Portuguese.
    Pt,
}

/// What the sample knows about one country.
#[derive(Debug)]
pub(super) struct Country {
    /// ISO 3166-1 alpha-2.
    pub(super) code: &'static str,
    /// The country's name as people there write it.
    pub(super) name: &'static str,
    /// Inhabitants in units of ten thousand (Eurostat and national offices, rounded).
    pub(super) people: u32,
    /// Language of the free texts.
    pub(super) language: &'static str,
    /// Source of names.
    pub(super) locale: Locale,
    /// ITU-T E.164 country code.
    pub(super) dial: &'static str,
    /// A mobile number without the trunk prefix; `#` is a digit.
    pub(super) mobile: &'static str,
    /// The national way to write it: `#` takes the next digit of the number.
    pub(super) national: &'static str,
    /// The part of the IBAN behind the check digits (SWIFT IBAN registry): `n` digit, `a` letter, `c` either.
    pub(super) bban: &'static str,
    /// `city|region|post code|latitude|longitude`; in the post code `#` is a digit and `@` a letter.
    pub(super) cities: &'static [&'static str],
    /// Street names; `{n}` is the house number.
    pub(super) streets: &'static [&'static str],
    /// Mobile carriers.
    pub(super) carriers: &'static [&'static str],
}

/// The least weight of a country, in units of ten thousand people.
///
/// It gives the smallest ones more than two of a thousand people, so that any thousand people in a row hold
/// every country (see [`of`]), and few enough of each that a threshold of ten people withholds them.
const PEOPLE_MIN: u32 = 135;

/// 2^64 divided by the golden ratio: the step of a rotation that spreads evenly at every length.
const GOLDEN_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The country of one person.
///
/// A rotation by the golden ratio in place of independent draws: the shares hold in small samples too (the gap
/// between neighbours among `n` points is below `2/n`), and a person still depends on seed and index alone.
pub(super) fn of(seed: u64, index: u64) -> &'static Country {
    let total: u64 = COUNTRIES.iter().map(weight).sum();
    let start = seed.wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(32);
    let turn = start.wrapping_add(index.wrapping_mul(GOLDEN_STEP));
    let mut left = u64::try_from((u128::from(turn) * u128::from(total)) >> 64).unwrap_or(0);
    for country in COUNTRIES {
        let weight = weight(country);
        if left < weight {
            return country;
        }
        left -= weight;
    }
    &table::LAST
}

fn weight(country: &Country) -> u64 {
    u64::from(country.people.max(PEOPLE_MIN))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn count(seed: u64, from: u64, people: u64) -> BTreeMap<&'static str, u32> {
        let mut counts = BTreeMap::new();
        for index in from..from + people {
            *counts.entry(of(seed, index).code).or_default() += 1;
        }
        counts
    }

    #[test]
    fn any_thousand_people_hold_every_country_and_some_below_the_threshold() {
        for (seed, from) in [(0, 1), (1, 1), (42, 1), (u64::MAX, 77_001), (7, 999_999)] {
            let counts = count(seed, from, 1000);
            assert_eq!(counts.len(), 32, "seed {seed}");
            assert!(counts.values().any(|people| *people < 10), "seed {seed}");
            assert!(counts["DE"] > 130 && counts["FR"] > 100, "seed {seed}: {counts:?}");
        }
    }

    #[test]
    fn the_table_has_each_country_once() {
        let codes: std::collections::BTreeSet<_> = COUNTRIES.iter().map(|country| country.code).collect();
        assert_eq!((COUNTRIES.len(), codes.len()), (32, 32));
    }

    #[test]
    fn every_phone_layout_takes_all_digits() {
        for country in COUNTRIES {
            let places = country.national.matches('#').count();
            assert_eq!(places, country.mobile.len(), "{}", country.code);
        }
    }
}
