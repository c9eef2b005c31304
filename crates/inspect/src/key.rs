//! What the name of a field, or a word before a value, says of the value.
//!
//! A name is cut into words (`userBirthDate`, `user_birth-date`, `User birth date` are alike), accents are taken
//! off, and runs of up to four words are looked up. The last run that is known counts: a `phone_owner_email`
//! is an e-mail address.

mod memory;
mod words;

use crate::Rule;
use crate::ids::Wanted;

pub(crate) use memory::{Keys, Known};

/// What is to be expected of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hint {
    /// Nothing is known.
    #[default]
    None,
    /// A name such as `value`: what is around it counts.
    Generic,
    /// A time, a count, a hash, a version: nothing that a context rule may take for an identifier.
    Harmless,
    Id(Wanted),
    Email,
    Phone,
    Ip,
    Mac,
    Imei,
    Imsi,
    Iccid,
    AdvertisingId,
    AndroidId,
    Card,
    Iban,
    Secret,
    Session,
    Password,
    Cookie,
    Latitude,
    Longitude,
    Coordinates,
    BirthDate,
    Postcode,
    /// A field for names of people, and one that may hold other names.
    PersonName,
    AnyName,
    /// A street with its number, and a field that may hold one.
    Street,
    AnyAddress,
    Document,
}

impl Hint {
    /// True if a value under this hint is looked at for more than its form.
    #[inline]
    pub(crate) fn is_telling(self) -> bool {
        !matches!(self, Self::None | Self::Generic | Self::Harmless)
    }

    /// The identifier that this rule is about.
    pub(crate) const fn of(rule: Rule) -> Self {
        Self::Id(Wanted::Rule(rule))
    }
}

/// Longest name that is looked at, in bytes.
const NAME_MAX: usize = 96;

/// Most words of a name, from its end.
const WORDS_MAX: usize = 8;

/// Most words of one entry of the table.
const ENTRY_WORDS: usize = 4;

/// A name in small plain letters, with the ends of its words.
struct Words {
    letters: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    fn of(name: &[u8]) -> Self {
        let mut words = Self { letters: Vec::with_capacity(name.len()), ends: Vec::with_capacity(WORDS_MAX) };
        let mut last = ' ';
        for c in String::from_utf8_lossy(name).chars() {
            let starts = !c.is_alphanumeric() || c.is_uppercase() && last.is_lowercase();
            if starts {
                words.close();
            }
            if c.is_alphanumeric() {
                words.push(c);
            }
            last = c;
        }
        words.close();
        words
    }

    fn close(&mut self) {
        if self.ends.last().copied().unwrap_or(0) < self.letters.len() {
            self.ends.push(self.letters.len());
        }
    }

    fn push(&mut self, c: char) {
        for c in c.to_lowercase() {
            match words::plain(c) {
                Some(plain) => self.letters.extend_from_slice(plain.as_bytes()),
                None => self.letters.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    /// The letters of the words from `from` up to `to`.
    fn run(&self, from: usize, to: usize) -> &[u8] {
        let at = |word: usize| word.checked_sub(1).map_or(Some(0), |word| self.ends.get(word).copied());
        at(from).zip(at(to)).and_then(|(start, end)| self.letters.get(start..end)).unwrap_or_default()
    }

    /// What the longest known run of words that ends with word `to` says, and where the run begins.
    fn known(&self, to: usize) -> Option<(Hint, usize)> {
        let froms = to.saturating_sub(ENTRY_WORDS)..to;
        froms.into_iter().find_map(|from| words::look_up(self.run(from, to)).map(|hint| (hint, from)))
    }
}

/// What the name of a field says.
pub(crate) fn hint(name: &[u8]) -> Hint {
    let words = Words::of(name.get(name.len().saturating_sub(NAME_MAX)..).unwrap_or_default());
    let mut to = words.len();
    let mut generic = to > 0;
    let least = to.saturating_sub(WORDS_MAX);
    while to > least {
        match words.known(to) {
            Some((Hint::Generic, from)) => to = from,
            Some((hint, _)) => return hint,
            None => {
                generic = false;
                to -= 1;
            }
        }
    }
    if generic { Hint::Generic } else { Hint::None }
}

/// How many bytes before a value may name it.
pub(crate) const NEAR_MAX: usize = 48;

/// Most words between a value and the one that names it.
const NEAR_WORDS: usize = 4;

/// What the words before a value say: the nearest that says anything.
pub(crate) fn near(text: &[u8]) -> Hint {
    let text = text.get(text.len().saturating_sub(NEAR_MAX)..).unwrap_or_default();
    // A sentence or line that has ended says nothing of what comes after it.
    let line = text.rsplit(|b| matches!(b, b'\n' | b';' | b'{' | b'}')).next().unwrap_or_default();
    let words = Words::of(line);
    let mut to = words.len();
    let least = to.saturating_sub(NEAR_WORDS);
    while to > least {
        match words.known(to) {
            Some((hint, _)) if hint.is_telling() => return hint,
            Some((Hint::Harmless, _)) => return Hint::Harmless,
            Some((_, from)) => to = from,
            None => to -= 1,
        }
    }
    Hint::None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn a_name_is_told_however_it_is_written() {
        for name in ["birthDate", "birth_date", "user-birth-date", "BIRTHDATE", "User birth date", "customerDateOfBirth"] {
            assert_eq!(hint(name.as_bytes()), Hint::BirthDate, "{name}");
        }
        for (name, expected) in [
            ("phone_owner_email", Hint::Email),
            ("rodné_číslo", Hint::of(Rule::CZ_RC)),
            ("ΑΦΜ", Hint::of(Rule::GR_AFM)),
            ("ЕГН", Hint::of(Rule::BG_EGN)),
            ("Fødselsnummer", Hint::of(Rule::NO_FNR)),
            ("national_id", Hint::Id(Wanted::Kind(Kind::NationalId))),
            ("widget_id", Hint::None),
            ("value", Hint::Generic),
            ("email_hash", Hint::Harmless),
            ("", Hint::None),
            ("___", Hint::None),
        ] {
            assert_eq!(hint(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_nearest_word_names_a_value() {
        assert_eq!(near(b"my BSN number is "), Hint::of(Rule::NL_BSN));
        assert_eq!(near(b"BSN follows.\n"), Hint::None);
        assert_eq!(near(b"call me: mobile "), Hint::Phone);
    }
}
