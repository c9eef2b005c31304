//! The generators are checked by formulas of another form than theirs: over the whole number, check digit
//! included. The formulas in turn are checked by numbers that authorities and encyclopaedias publish as examples.

use jiff::civil::date;

use super::{
    super::{
        Sex,
        country::table::COUNTRIES,
        dice::{Dice, Stream},
    },
    *,
};

/// The lengths of the SWIFT IBAN registry.
const IBAN_LENGTHS: [(&str, usize); 32] = [
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FR", 27),
    ("GB", 22),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
];

#[test]
fn an_iban_has_the_length_of_its_country_and_leaves_one_by_97() {
    for (code, length) in IBAN_LENGTHS {
        let country = COUNTRIES.iter().find(|country| country.code == code).unwrap();
        for index in 0..50 {
            let iban = iban(country, &mut Dice::new(3, index, Stream::Facts));
            assert_eq!((&iban[..2], iban.len()), (code, length), "{iban}");
            assert!(iban_holds(&iban), "{iban}");
        }
    }
}

#[test]
fn an_imei_has_fifteen_digits_and_holds_by_luhn() {
    for index in 0..200 {
        let imei = imei(&mut Dice::new(3, index, Stream::Facts));
        assert_eq!(imei.len(), 15);
        assert!(luhn_holds(&imei), "{imei}");
    }
}

#[test]
fn published_examples_hold_by_the_formulas_of_these_tests() {
    for iban in
        ["GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606", "NO9386011117947"]
    {
        assert!(iban_holds(iban), "{iban}");
    }
    assert!(luhn_holds("490154203237518"));
    for (country, number) in [
        ("AT", "1237 010180"),
        ("BE", "85.07.30-033.28"),
        ("BG", "7523169263"),
        ("CH", "756.9217.0769.85"),
        ("CZ", "710319/2745"),
        ("DE", "36574261809"),
        ("DK", "211062-5629"),
        ("EE", "36805280109"),
        ("ES", "12345678Z"),
        ("FI", "131052-308T"),
        ("FR", "2 55 08 14 168 025 38"),
        ("GB", "943 476 5919"),
        ("GR", "01013099997"),
        ("HR", "33392005961"),
        ("HU", "111 111 110"),
        ("IE", "1234567T"),
        ("IE", "1234567FA"),
        ("IS", "120174-3399"),
        ("IT", "MRTMTT25D09F205Z"),
        ("LT", "33309240064"),
        ("LV", "161175-19997"),
        ("NL", "123456782"),
        ("NO", "151086 95088"),
        ("PL", "44051401359"),
        ("PT", "123456789"),
        ("RO", "1630615123457"),
        ("SE", "811228-9874"),
        ("SI", "0101006500006"),
    ] {
        assert!(holds(country, number), "{country} {number}");
        assert!(!holds(country, &damaged(number)), "{country} {number} with another last sign");
    }
}

#[test]
fn national_numbers_of_28_countries_hold_by_the_formulas_of_these_tests() {
    let mut countries = 0;
    for country in COUNTRIES {
        let mut drawn = 0;
        for index in 0..300 {
            let mut dice = Dice::new(9, index, Stream::Facts);
            let sex = if dice.chance(50) { Sex::Female } else { Sex::Male };
            let years = i16::try_from(dice.between(1950, 2012)).unwrap();
            let (month, day) = (dice.between(1, 12), dice.between(1, 28));
            let birth = date(years, i8::try_from(month).unwrap(), i8::try_from(day).unwrap());
            let bearer = national::Bearer { birth, sex, given: "Matteo", family: "Moretti" };
            if let Some(id) = national::draw(country.code, &bearer, &mut dice) {
                assert!(holds(country.code, &id.value), "{} {}", country.code, id.value);
                drawn += 1;
            }
        }
        assert!(drawn == 0 || drawn == 300, "{}", country.code);
        countries += usize::from(drawn > 0);
    }
    assert_eq!(countries, 28);
}

fn iban_holds(iban: &str) -> bool {
    let turned = format!("{}{}", &iban[4..], &iban[..4]);
    let digits: String = turned.chars().map(|sign| sign.to_digit(36).unwrap().to_string()).collect();
    // Long division by blocks of at most nine digits.
    let mut rest = String::new();
    for block in digits.as_bytes().chunks(7) {
        let number: u64 = format!("{rest}{}", str::from_utf8(block).unwrap()).parse().unwrap();
        rest = (number % 97).to_string();
    }
    rest == "1"
}

fn luhn_holds(number: &str) -> bool {
    const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let digits = digits(number);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 1 { DOUBLED[*digit as usize] } else { *digit })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064 mod 11,10 over the whole number: the last step must leave one.
fn hybrid_holds(digits: &[u32]) -> bool {
    let (last, body) = digits.split_last().unwrap();
    let mut carry = 10;
    for digit in body {
        let sum = (carry + digit) % 10;
        carry = (if sum == 0 { 10 } else { sum }) * 2 % 11;
    }
    (carry + last) % 10 == 1
}

/// The weighted sum of the whole number, check digit included, is divisible.
fn divides(digits: &[u32], weights: &[u32], modulus: u32) -> bool {
    assert_eq!(digits.len(), weights.len());
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum::<u32>() % modulus == 0
}

fn number(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(*digit))
}

fn letter_at(letters: &str, place: u64, text: &str) -> bool {
    text.chars().nth_back(0) == letters.chars().nth(usize::try_from(place).unwrap())
}

fn holds(country: &str, text: &str) -> bool {
    let d = digits(text);
    match country {
        "AT" => divides(&d, &[3, 7, 9, 10, 5, 8, 4, 2, 1, 6], 11),
        "BE" => {
            let (body, check) = (number(&d[..9]), number(&d[9..]));
            [0, 2_000_000_000].into_iter().any(|century| (century + body + check) % 97 == 0)
        }
        // The eleventh remainder also gives a zero.
        "BG" => weighted(&d[..9], &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == d[9],
        "CH" => d.starts_with(&[7, 5, 6]) && divides(&d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1], 10),
        "CZ" | "SK" => d.len() == 10 && number(&d).is_multiple_of(11),
        "DE" => hybrid_holds(&d) && one_digit_repeats(&d[..10]),
        "DK" => divides(&d, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1], 11),
        "EE" | "LT" => baltic_holds(&d),
        "ES" => letter_at("TRWAGMYFPDXBNJZSQVHLCKE", number(&d) % 23, text),
        "FI" => {
            let body = digits(&format!("{}{}", &text[..6], &text[7..10]));
            letter_at("0123456789ABCDEFHJKLMNPRSTUVWXY", number(&body) % 31, text)
        }
        "FR" => (number(&d[..13]) + number(&d[13..])).is_multiple_of(97),
        "GB" => divides(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 11),
        "GR" => luhn_holds(text),
        "HR" => hybrid_holds(&d),
        "HU" => divides(&d, &[3, 7, 3, 7, 3, 7, 3, 7, 9], 10),
        "IE" => {
            let second = if text.ends_with('A') && text.len() == 9 { 9 } else { 0 };
            let sum = 8 * d[0] + 7 * d[1] + 6 * d[2] + 5 * d[3] + 4 * d[4] + 3 * d[5] + 2 * d[6] + second;
            letter_at("WABCDEFGHIJKLMNOPQRSTUV", u64::from(sum % 23), &text[..8])
        }
        "IS" => matches!(d[9], 0 | 9) && divides(&d[..9], &[3, 2, 7, 6, 5, 4, 3, 2, 1], 11),
        "IT" => italian_holds(text),
        "LV" => (weighted(&d[..10], &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) + d[10]) % 11 == 1,
        "NL" => divides(&d, &[9, 8, 7, 6, 5, 4, 3, 2, 10], 11),
        "NO" => {
            divides(&d[..10], &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1], 11)
                && divides(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1], 11)
        }
        "PL" => divides(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1], 10),
        "PT" => {
            let sum = weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) + d[8];
            sum.is_multiple_of(11) || (d[8] == 0 && sum % 11 == 1)
        }
        "RO" => weighted(&d[..12], &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11 % 10 == d[12] || d[12] == 1,
        "SE" => luhn_holds(text),
        "SI" => divides(&d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1], 11),
        _ => false,
    }
}

fn one_digit_repeats(body: &[u32]) -> bool {
    let counts: Vec<_> = (0..10).map(|digit| body.iter().filter(|other| **other == digit).count()).collect();
    counts.iter().filter(|count| **count > 1).count() == 1 && body[0] != 0
}

fn baltic_holds(d: &[u32]) -> bool {
    let first = weighted(d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    d[10] == if first < 10 { first } else { second % 10 }
}

/// The published table, one row per sign, in place of the generator's ranks.
fn italian_holds(text: &str) -> bool {
    let odd = |sign| {
        let rows = "0A=1 1B=0 2C=5 3D=7 4E=9 5F=13 6G=15 7H=17 8I=19 9J=21 K=2 L=4 M=18 N=20 O=11 P=3 \
                    Q=6 R=8 S=12 T=14 U=16 V=10 W=22 X=25 Y=24 Z=23";
        let row = rows.split_whitespace().find(|row| row.split('=').next().unwrap().contains(sign)).unwrap();
        row.split('=').nth(1).unwrap().parse::<u32>().unwrap()
    };
    let even = |sign: char| sign.to_digit(10).unwrap_or_else(|| sign as u32 - 'A' as u32);
    let sum: u32 = text[..15]
        .chars()
        .enumerate()
        .map(|(place, sign)| if place % 2 == 0 { odd(sign) } else { even(sign) })
        .sum();
    text.len() == 16 && char::from(b'A' + u8::try_from(sum % 26).unwrap()) == text.chars().last().unwrap()
}

/// The number with its last digit or letter changed by one.
fn damaged(number: &str) -> String {
    let at = if number.len() == 9 && number.ends_with("FA") { 7 } else { number.len() - 1 };
    let other = match number.as_bytes()[at] {
        b'9' => '8',
        b'Z' => 'Y',
        sign => char::from(sign + 1),
    };
    format!("{}{other}{}", &number[..at], &number[at + 1..])
}
