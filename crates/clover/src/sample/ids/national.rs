//! National identification numbers with right check digits.
//!
//! Formulas: European Commission, "TIN Algorithms - Public - Functional Specification", and for CH, IS, NO and
//! GB the pages of the OECD's AEOI portal and of the national authorities. Numbers are drawn at random; one may
//! by chance be somebody's.

use jiff::civil::Date;

use super::{digits, luhn, mod_11_10, weighted};
use crate::sample::{Dice, NationalId, Sex};

/// Whose number it is.
pub(in crate::sample) struct Bearer<'a> {
    pub(in crate::sample) birth: Date,
    pub(in crate::sample) sex: Sex,
    pub(in crate::sample) given: &'a str,
    pub(in crate::sample) family: &'a str,
}

/// The number a person of this country would type; none for CY, LI, LU and MT.
pub(in crate::sample) fn draw(country: &str, bearer: &Bearer<'_>, dice: &mut Dice) -> Option<NationalId> {
    let label = label(country)?;
    // Some drawn bodies have no check digit (a remainder of ten): at most one in eleven, so sixty-four draws do.
    let value = (0..64).find_map(|_| attempt(country, bearer, dice))?;
    Some(NationalId { label, value })
}

fn label(country: &str) -> Option<&'static str> {
    Some(match country {
        "AT" => "SVNR",
        "BE" => "rijksregisternummer",
        "BG" => "ЕГН",
        "CH" => "AHV-Nummer",
        "CZ" | "SK" => "rodné číslo",
        "DE" => "Steuer-ID",
        "DK" => "CPR-nummer",
        "EE" => "isikukood",
        "ES" => "DNI",
        "FI" => "henkilötunnus",
        "FR" => "numéro de sécurité sociale",
        "GB" => "NHS number",
        "GR" => "ΑΜΚΑ",
        "HR" => "OIB",
        "HU" => "TAJ szám",
        "IE" => "PPS number",
        "IS" => "kennitala",
        "IT" => "codice fiscale",
        "LT" => "asmens kodas",
        "LV" => "personas kods",
        "NL" => "BSN",
        "NO" => "fødselsnummer",
        "PL" => "PESEL",
        "PT" => "NIF",
        "RO" => "CNP",
        "SE" => "personnummer",
        "SI" => "EMŠO",
        _ => return None,
    })
}

fn attempt(country: &str, bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    match country {
        "AT" => austria(bearer, dice),
        "BE" => Some(belgium(bearer, dice)),
        "BG" => Some(bulgaria(bearer, dice)),
        "CH" => Some(switzerland(dice)),
        "CZ" | "SK" => czechoslovakia(bearer, dice),
        "DE" => Some(germany(dice)),
        "DK" => denmark(bearer, dice),
        "EE" | "LT" => Some(baltic(bearer, dice)),
        "ES" => Some(spain(dice)),
        "FI" => finland(bearer, dice),
        "FR" => Some(france(bearer, dice)),
        "GB" => britain(dice),
        "GR" => Some(greece(bearer, dice)),
        "HR" => Some(croatia(dice)),
        "HU" => Some(hungary(dice)),
        "IE" => ireland(dice),
        "IS" => iceland(bearer, dice),
        "IT" => italy(bearer, dice),
        "LV" => latvia(bearer, dice),
        "NL" => netherlands(dice),
        "NO" => norway(bearer, dice),
        "PL" => Some(poland(bearer, dice)),
        "PT" => Some(portugal(dice)),
        "RO" => Some(romania(bearer, dice)),
        "SE" => Some(sweden(bearer, dice)),
        "SI" => slovenia(bearer, dice),
        _ => None,
    }
}

impl Bearer<'_> {
    fn female(&self) -> bool {
        self.sex == Sex::Female
    }

    fn year(&self) -> u32 {
        u32::try_from(self.birth.year()).unwrap_or(2000)
    }

    fn month(&self) -> u32 {
        u32::try_from(self.birth.month()).unwrap_or(1)
    }

    /// Born in 2000 or later.
    fn new_century(&self) -> bool {
        self.year() >= 2000
    }

    fn ddmmyy(&self) -> String {
        format!("{:02}{:02}{:02}", self.birth.day(), self.month(), self.year() % 100)
    }

    /// Year, month and day, with a number added to the month, as several countries mark century or sex.
    fn yymmdd(&self, added_to_month: u32) -> String {
        format!("{:02}{:02}{:02}", self.year() % 100, self.month() + added_to_month, self.birth.day())
    }

    /// The digit that opens EE, LT and RO numbers: odd for men, even for women, by century.
    fn century_digit(&self, of_1900: u32, of_2000: u32) -> u32 {
        u32::from(self.female()) + if self.new_century() { of_2000 } else { of_1900 }
    }
}

fn austria(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let (serial, birth) = (dice.between(100, 999), bearer.ddmmyy());
    let body = digits(&format!("{serial}{birth}"));
    let check = weighted(&body, &[3, 7, 9, 5, 8, 4, 2, 1, 6]) % 11;
    (check < 10).then(|| format!("{serial}{check} {birth}"))
}

fn belgium(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    let birth = bearer.yymmdd(0);
    // Men have odd serial numbers, women even ones.
    let serial = dice.between(1, 498) * 2 - u64::from(!bearer.female());
    let body: u64 = format!("{birth}{serial:03}").parse().unwrap_or(0);
    let century = if bearer.new_century() { 2_000_000_000 } else { 0 };
    let check = 97 - (century + body) % 97;
    let dotted = (bearer.year() % 100, bearer.month(), bearer.birth.day());
    format!("{:02}.{:02}.{:02}-{serial:03}.{check:02}", dotted.0, dotted.1, dotted.2)
}

fn bulgaria(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    let birth = bearer.yymmdd(if bearer.new_century() { 40 } else { 0 });
    let body = format!("{birth}{:03}", dice.below(499) * 2 + u64::from(bearer.female()));
    let check = weighted(&digits(&body), &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
    format!("{body}{check}")
}

fn switzerland(dice: &mut Dice) -> String {
    let body = format!("756{}", dice.digits(9));
    // EAN-13
    let sum = weighted(&digits(&body), &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
    grouped(&format!("{body}{}", (10 - sum % 10) % 10), "###.####.####.##")
}

fn czechoslovakia(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let body = format!("{}{}", bearer.yymmdd(if bearer.female() { 50 } else { 0 }), dice.digits(3));
    let check = body.parse::<u64>().ok()? % 11;
    (check < 10).then(|| grouped(&format!("{body}{check}"), "######/####"))
}

fn germany(dice: &mut Dice) -> String {
    // Ten digits of which exactly one occurs twice, the first not zero: draw a permutation, drop its last digit
    // and repeat one of the others at a place that does not touch it.
    let mut pool: Vec<u32> = (0..10).collect();
    let mut body: Vec<u32> = Vec::with_capacity(11);
    while body.len() < 9 {
        let place = usize::try_from(dice.below(pool.len() as u64)).unwrap_or(0);
        if body.is_empty() && pool.get(place) == Some(&0) {
            continue;
        }
        body.push(pool.swap_remove(place));
    }
    let repeated = body.get(usize::try_from(dice.below(8)).unwrap_or(0)).copied().unwrap_or(1);
    body.push(repeated);
    body.push(mod_11_10(&body));
    body.iter().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}

fn denmark(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let century = if bearer.new_century() { dice.between(4, 9) } else { dice.below(4) };
    let body = format!("{}{century}{}", bearer.ddmmyy(), dice.digits(2));
    let check = (11 - weighted(&digits(&body), &[4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    let of_sex = check.is_multiple_of(2) == bearer.female();
    (check < 10 && of_sex).then(|| grouped(&format!("{body}{check}"), "######-####"))
}

fn baltic(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    let body = format!("{}{}{}", bearer.century_digit(3, 5), bearer.yymmdd(0), dice.digits(3));
    let places = digits(&body);
    let first = weighted(&places, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(&places, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10;
    format!("{body}{}", if first < 10 { first } else { second })
}

fn spain(dice: &mut Dice) -> String {
    let number = dice.between(10_000_000, 79_999_999);
    format!("{number}{}", sign_of("TRWAGMYFPDXBNJZSQVHLCKE", number % 23))
}

fn finland(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let serial = dice.between(1, 448) * 2 + u64::from(!bearer.female());
    let body: u64 = format!("{}{serial:03}", bearer.ddmmyy()).parse().ok()?;
    let century = if bearer.new_century() { 'A' } else { '-' };
    let check = sign_of("0123456789ABCDEFHJKLMNPRSTUVWXY", body % 31);
    Some(format!("{}{century}{serial:03}{check}", bearer.ddmmyy()))
}

fn france(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    let sex = 1 + u32::from(bearer.female());
    let (department, commune, order) = (dice.between(21, 95), dice.between(1, 620), dice.between(1, 999));
    let (year, month) = (bearer.year() % 100, bearer.month());
    let body = format!("{sex}{year:02}{month:02}{department:02}{commune:03}{order:03}");
    let check = 97 - body.parse::<u64>().unwrap_or(0) % 97;
    grouped(&format!("{body}{check:02}"), "# ## ## ## ### ### ##")
}

fn britain(dice: &mut Dice) -> Option<String> {
    let body = format!("{}{}", dice.between(4, 7), dice.digits(8));
    let check = (11 - weighted(&digits(&body), &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    (check < 10).then(|| grouped(&format!("{body}{check}"), "### ### ####"))
}

fn greece(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    // The tenth digit is odd for men and even for women.
    let body = format!("{}{}{}", bearer.ddmmyy(), dice.digits(3), sexed_digit(bearer, dice));
    format!("{body}{}", luhn(&digits(&body)))
}

fn croatia(dice: &mut Dice) -> String {
    let body = dice.digits(10);
    format!("{body}{}", mod_11_10(&digits(&body)))
}

fn hungary(dice: &mut Dice) -> String {
    let body = format!("{}{}", dice.between(1, 9), dice.digits(7));
    let check = weighted(&digits(&body), &[3, 7, 3, 7, 3, 7, 3, 7]) % 10;
    grouped(&format!("{body}{check}"), "### ### ###")
}

fn ireland(dice: &mut Dice) -> Option<String> {
    let body = format!("{}{}", dice.between(1, 9), dice.digits(6));
    let second = dice.chance(30);
    let sum = weighted(&digits(&body), &[8, 7, 6, 5, 4, 3, 2]) + if second { 9 } else { 0 };
    let check = sign_of("WABCDEFGHIJKLMNOPQRSTUV", u64::from(sum % 23));
    Some(format!("{body}{check}{}", if second { "A" } else { "" }))
}

fn iceland(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let body = format!("{}{}", bearer.ddmmyy(), dice.between(20, 99));
    let check = (11 - weighted(&digits(&body), &[3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    let century = if bearer.new_century() { 0 } else { 9 };
    (check < 10).then(|| grouped(&format!("{body}{check}{century}"), "######-####"))
}

fn italy(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let month = sign_of("ABCDEHLMPRST", u64::from(bearer.month()).checked_sub(1)?);
    let day = i32::from(bearer.birth.day()) + if bearer.female() { 40 } else { 0 };
    let place = dice.pick(&["H501", "F205", "F839", "L219", "G273", "A944", "D612", "C351"]);
    let (family, given) = (italian_code(bearer.family, false), italian_code(bearer.given, true));
    let body = format!("{family}{given}{:02}{month}{day:02}{place}", bearer.year() % 100);
    Some(format!("{body}{}", italian_check(&body)))
}

/// Three letters of a name: consonants, then vowels, then `X`; a given name with four consonants skips the
/// second.
fn italian_code(name: &str, given: bool) -> String {
    let letters = super::super::names::plain(name).to_uppercase();
    let is_vowel = |letter: &char| matches!(letter, 'A' | 'E' | 'I' | 'O' | 'U');
    let mut consonants: Vec<char> = letters.chars().filter(|letter| !is_vowel(letter)).collect();
    if given && consonants.len() > 3 {
        consonants.remove(1);
    }
    consonants.into_iter().chain(letters.chars().filter(is_vowel)).chain("XXX".chars()).take(3).collect()
}

fn italian_check(body: &str) -> char {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let value = |(place, sign): (usize, char)| {
        // A digit counts as the letter with the same place in the alphabet.
        let rank = sign.to_digit(10).or_else(|| sign.to_digit(36)?.checked_sub(10)).unwrap_or(0);
        let odd = usize::try_from(rank).ok().and_then(|rank| ODD.get(rank)).copied();
        if place % 2 == 0 { odd.unwrap_or(0) } else { rank }
    };
    let sum: u32 = body.chars().enumerate().map(value).sum();
    sign_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ", u64::from(sum % 26))
}

fn latvia(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let century = if bearer.new_century() { 2 } else { 1 };
    let body = format!("{}{century}{}", bearer.ddmmyy(), dice.digits(3));
    let check = (1101 - weighted(&digits(&body), &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2])) % 11;
    (check < 10).then(|| grouped(&format!("{body}{check}"), "######-#####"))
}

fn netherlands(dice: &mut Dice) -> Option<String> {
    let body = format!("{}{}", dice.between(1, 9), dice.digits(7));
    let check = weighted(&digits(&body), &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    (check < 10).then(|| format!("{body}{check}"))
}

fn norway(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let serial = if bearer.new_century() { dice.between(50, 99) } else { dice.below(50) };
    let body = format!("{}{serial:02}{}", bearer.ddmmyy(), sexed_digit(bearer, dice));
    let first = (11 - weighted(&digits(&body), &[3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11) % 11;
    let body = format!("{body}{first}");
    let second = (11 - weighted(&digits(&body), &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    (first < 10 && second < 10).then(|| grouped(&format!("{body}{second}"), "###### #####"))
}

fn poland(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    let birth = bearer.yymmdd(if bearer.new_century() { 20 } else { 0 });
    let body = format!("{birth}{}{}", dice.digits(3), sexed_digit(bearer, dice));
    let sum = weighted(&digits(&body), &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn portugal(dice: &mut Dice) -> String {
    let body = format!("{}{}", dice.between(1, 2), dice.digits(7));
    let rest = weighted(&digits(&body), &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    format!("{body}{}", if rest < 2 { 0 } else { 11 - rest })
}

fn romania(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    let birth = bearer.yymmdd(0);
    let (county, serial) = (dice.between(1, 46), dice.between(1, 999));
    let body = format!("{}{birth}{county:02}{serial:03}", bearer.century_digit(1, 5));
    let rest = weighted(&digits(&body), &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    format!("{body}{}", if rest == 10 { 1 } else { rest })
}

fn sweden(bearer: &Bearer<'_>, dice: &mut Dice) -> String {
    let body = format!("{}{}{}", bearer.yymmdd(0), dice.digits(2), sexed_digit(bearer, dice));
    grouped(&format!("{body}{}", luhn(&digits(&body))), "######-####")
}

fn slovenia(bearer: &Bearer<'_>, dice: &mut Dice) -> Option<String> {
    let serial = dice.below(500) + if bearer.female() { 500 } else { 0 };
    let year = bearer.year() % 1000;
    let body = format!("{:02}{:02}{year:03}50{serial:03}", bearer.birth.day(), bearer.month());
    let check = (11 - weighted(&digits(&body), &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    (check < 10).then(|| format!("{body}{check}"))
}

/// An odd digit for a man, an even one for a woman.
fn sexed_digit(bearer: &Bearer<'_>, dice: &mut Dice) -> u64 {
    dice.below(5) * 2 + u64::from(!bearer.female())
}

fn sign_of(signs: &str, place: u64) -> char {
    usize::try_from(place).ok().and_then(|place| signs.chars().nth(place)).unwrap_or('?')
}

/// The digits in the way people write them: `#` takes the next one.
pub(in crate::sample) fn grouped(digits: &str, layout: &str) -> String {
    let mut digits = digits.chars();
    layout.chars().filter_map(|sign| if sign == '#' { digits.next() } else { Some(sign) }).collect()
}
