//! Numbers with check digits: accounts, devices and, in [`national`], people.

pub(super) mod national;

use super::{country::Country, dice::Dice};

/// An IBAN with the country's length and right check digits (ISO 13616, ISO 7064 mod 97-10).
pub(super) fn iban(country: &Country, dice: &mut Dice) -> String {
    let bban = bban(country.bban, dice);
    let check = 98 - mod_97(&format!("{bban}{}00", country.code));
    format!("{}{check:02}{bban}", country.code)
}

/// An IMEI: eight digits of type allocation, six of serial number, one by Luhn (3GPP TS 23.003).
pub(super) fn imei(dice: &mut Dice) -> String {
    let model = dice.pick(&["35328911", "35407115", "35692510", "86412005", "35875422", "35260109"]);
    let body = format!("{model}{}", dice.digits(6));
    format!("{body}{}", luhn(&digits(&body)))
}

fn bban(layout: &str, dice: &mut Dice) -> String {
    let mut bban = String::new();
    let mut count = 0;
    for sign in layout.chars() {
        match (sign.to_digit(10), sign) {
            (Some(digit), _) => count = count * 10 + usize::try_from(digit).unwrap_or(0),
            (None, 'a') => bban.extend((0..std::mem::take(&mut count)).map(|_| dice.letter())),
            // Where letters are possible (`c`), accounts are still mostly written in digits.
            (None, _) => bban.push_str(&dice.digits(std::mem::take(&mut count))),
        }
    }
    bban
}

/// The remainder by 97 with letters read as 10 to 35.
fn mod_97(text: &str) -> u32 {
    text.chars().filter_map(|sign| sign.to_digit(36)).fold(0, |rest, value| {
        let shift = if value < 10 { 10 } else { 100 };
        (rest * shift + value) % 97
    })
}

/// The digit that completes the digits by Luhn's method (ISO/IEC 7812-1).
fn luhn(digits: &[u32]) -> u32 {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { doubled(*digit) } else { *digit })
        .sum();
    (10 - sum % 10) % 10
}

/// The digit that completes the digits by ISO 7064 mod 11,10.
fn mod_11_10(digits: &[u32]) -> u32 {
    let product = digits.iter().fold(10, |product, digit| match (product + digit) % 10 {
        0 => 20 % 11,
        sum => sum * 2 % 11,
    });
    (11 - product) % 10
}

fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|sign| sign.to_digit(10)).collect()
}

#[cfg(test)]
mod tests;
