//! Given and family names: from the crate `fake` where it has the language, from short lists of our own where
//! it has not; and their plain ASCII form for user names and e-mail addresses.

mod lists;

use fake::{
    Fake,
    faker::name::raw::{FirstName, LastName},
    locales::{CY_GB, DE_DE, EN, FR_FR, IT_IT, NL_NL, PT_PT},
};

use super::{
    Sex,
    country::{Country, FakeLocale, Locale},
    dice::Dice,
};

/// A given and a family name as people of the country write them.
pub(super) fn draw(country: &Country, sex: Sex, dice: &mut Dice) -> (String, String) {
    match country.locale {
        Locale::Own => own(country.code, sex, dice),
        Locale::Fake(locale) => from_fake(locale, dice),
    }
}

fn from_fake(locale: FakeLocale, dice: &mut Dice) -> (String, String) {
    match locale {
        FakeLocale::De => pair(DE_DE, dice),
        FakeLocale::Fr => pair(FR_FR, dice),
        FakeLocale::It => pair(IT_IT, dice),
        FakeLocale::Nl => pair(NL_NL, dice),
        FakeLocale::Pt => pair(PT_PT, dice),
        FakeLocale::En if dice.chance(8) => pair(CY_GB, dice),
        FakeLocale::En => pair(EN, dice),
    }
}

fn pair<L: fake::locales::Data + Copy>(locale: L, dice: &mut Dice) -> (String, String) {
    (FirstName(locale).fake_with_rng(dice.rng()), LastName(locale).fake_with_rng(dice.rng()))
}

fn own(code: &str, sex: Sex, dice: &mut Dice) -> (String, String) {
    let list = lists::of(code);
    let given = dice.pick(if sex == Sex::Female { list.female } else { list.male });
    let family = dice.pick(list.family);
    // `Novák/Nováková`: the form of a man, then that of a woman.
    let family = match (family.split_once('/'), sex) {
        (Some((_, female)), Sex::Female) => female,
        (Some((male, _)), Sex::Male) => male,
        (None, _) => family,
    };
    (given.to_owned(), family.to_owned())
}

/// Lower-case ASCII letters of a name: what people type where accents are not accepted.
pub(super) fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.to_lowercase().chars() {
        match letter {
            'a'..='z' => plain.push(letter),
            other => plain.push_str(latin(other)),
        }
    }
    plain
}

fn latin(letter: char) -> &'static str {
    match letter {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' | 'α' | 'ά' | 'а' | 'ъ' => "a",
        'ä' | 'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' | 'δ' | 'д' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' | 'ε' | 'έ' | 'е' => "e",
        'ģ' | 'ğ' | 'ġ' | 'γ' | 'г' => "g",
        'ħ' | 'х' => "h",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ι' | 'ί' | 'ϊ' | 'ΐ' | 'η' | 'ή' | 'и' => "i",
        'й' => "y",
        'ķ' | 'κ' | 'к' => "k",
        'ļ' | 'ľ' | 'ł' | 'ĺ' | 'λ' | 'л' => "l",
        'μ' | 'м' => "m",
        'ñ' | 'ń' | 'ņ' | 'ň' | 'ν' | 'н' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ő' | 'ō' | 'ο' | 'ό' | 'ω' | 'ώ' | 'о' => "o",
        'ö' | 'ø' => "oe",
        'ŕ' | 'ř' | 'ρ' | 'р' => "r",
        'ś' | 'š' | 'ş' | 'ș' | 'σ' | 'ς' | 'с' => "s",
        'ß' => "ss",
        'ť' | 'ț' | 'ţ' | 'τ' | 'т' => "t",
        'ù' | 'ú' | 'û' | 'ű' | 'ū' | 'ů' | 'ų' | 'υ' | 'ύ' | 'ϋ' | 'у' => "u",
        'ü' => "ue",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' | 'ζ' | 'з' => "z",
        'β' | 'в' => "v",
        'þ' | 'θ' => "th",
        'ξ' => "x",
        'π' | 'п' => "p",
        'φ' | 'ф' => "f",
        'χ' => "ch",
        'ψ' => "ps",
        'б' => "b",
        'ж' => "zh",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "sht",
        'ю' => "yu",
        'я' => "ya",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{country::table::COUNTRIES, dice::Stream},
        *,
    };

    #[test]
    fn every_name_has_a_plain_form() {
        for country in COUNTRIES {
            for index in 0..200 {
                let mut dice = Dice::new(1, index, Stream::Identity);
                for sex in [Sex::Female, Sex::Male] {
                    let (given, family) = draw(country, sex, &mut dice);
                    let letters = |name: &str| name.chars().filter(|letter| letter.is_alphabetic()).count();
                    assert!(plain(&given).len() >= letters(&given).max(2), "{given} in {}", country.code);
                    assert!(plain(&family).len() >= letters(&family).max(2), "{family} in {}", country.code);
                }
            }
        }
    }

    #[test]
    fn a_family_name_takes_the_form_of_its_bearer() {
        let czechia = COUNTRIES.iter().find(|country| country.code == "CZ").unwrap();
        let mut dice = Dice::new(1, 1, Stream::Identity);
        assert!(draw(czechia, Sex::Female, &mut dice).1.ends_with('á'));
        assert!(!draw(czechia, Sex::Male, &mut dice).1.contains('/'));
    }
}
