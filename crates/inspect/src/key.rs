//! What the name of a field, or a word before a value, says of the value.
//!
//! A name is cut into words (`userBirthDate`, `user_birth-date`, `User birth date` are alike), accents are taken
//! off, and runs of up to four words are looked up. The last run that is known counts: a `phone_owner_email`
//! is an e-mail address.

mod ends;
mod memory;
mod words;

use crate::Rule;
use crate::ids::Wanted;

pub(crate) use ends::may_name;
pub(crate) use memory::{CleanValues, Keys, Known};

/// What is to be expected of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Hint {
    /// Nothing is known.
    #[default]
    None,
    /// A name such as `value`: what is around it counts.
    Generic,
    /// A version: four numbers with dots are no address here.
    Version,
    /// A time, a count, a hash: nothing that a context rule may take for an identifier.
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
    Bic,
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
    pub(crate) const fn is_telling(self) -> bool {
        !matches!(self, Self::None | Self::Generic | Self::Harmless | Self::Version)
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

/// A word of more letters than this may be a plural: `iks`, `rcs`.
const PLURAL_MIN: usize = 2;

/// Letters of a name that are kept.
const LETTERS_MAX: usize = 128;

/// A name in small plain letters, with the ends of its words.
struct Words {
    letters: [u8; LETTERS_MAX],
    len: usize,
    ends: [u8; LETTERS_MAX],
    count: usize,
}

impl Words {
    fn of(name: &[u8]) -> Self {
        let mut words = Self { letters: [0; LETTERS_MAX], len: 0, ends: [0; LETTERS_MAX], count: 0 };
        let mut small = false;
        let mut rest = name;
        while let Some(first) = rest.first() {
            if first.is_ascii() {
                let letter = first.is_ascii_alphanumeric();
                if !letter || small && first.is_ascii_uppercase() {
                    words.close();
                }
                if letter && let Some(place) = words.letters.get_mut(words.len) {
                    *place = first.to_ascii_lowercase();
                    words.len += 1;
                }
                small = first.is_ascii_lowercase();
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let (c, len) = character(rest);
            rest = rest.get(len..).unwrap_or_default();
            let letter = c.is_alphanumeric();
            if !letter || small && c.is_uppercase() {
                words.close();
            }
            if letter {
                words.push_folded(c);
            }
            small = c.is_lowercase();
        }
        words.close();
        words
    }

    fn close(&mut self) {
        if usize::from(self.end(self.count)) < self.len
            && let Some(end) = self.ends.get_mut(self.count)
        {
            *end = self.len as u8;
            self.count += 1;
        }
    }

    /// Where the letters of the first `count` words end.
    fn end(&self, count: usize) -> u8 {
        count.checked_sub(1).and_then(|word| self.ends.get(word)).copied().unwrap_or(0)
    }

    /// The letters of the last word.
    fn last(&self) -> &[u8] {
        let start = usize::from(self.end(self.count.saturating_sub(1)));
        self.letters.get(start..usize::from(self.end(self.count))).unwrap_or_default()
    }

    /// What is too long is left out: its words are none of the table's.
    fn push(&mut self, letters: &[u8]) {
        if let Some(place) = self.letters.get_mut(self.len..self.len + letters.len()) {
            place.copy_from_slice(letters);
            self.len += letters.len();
        }
    }

    fn push_folded(&mut self, c: char) {
        for c in c.to_lowercase() {
            match words::plain(c) {
                Some(plain) => self.push(plain.as_bytes()),
                None => self.push(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// What the longest known run of words that ends with word `to` says, and where the run begins. A list is called by
    /// the plural of what is in it.
    fn known(&self, to: usize) -> Option<(Hint, usize)> {
        let end = usize::from(self.end(to));
        self.known_up_to(to, end).or_else(|| {
            let long = end > usize::from(self.end(to.saturating_sub(1))) + PLURAL_MIN;
            let shorter = end.checked_sub(1).filter(|last| long && self.letters.get(*last) == Some(&b's'));
            self.known_up_to(to, shorter?)
        })
    }

    fn known_up_to(&self, to: usize, mut end: usize) -> Option<(Hint, usize)> {
        let mut hash = words::SEED;
        let whole = end;
        let mut found = None;
        for from in (to.saturating_sub(ENTRY_WORDS)..to).rev() {
            let start = usize::from(self.end(from));
            hash = words::extend(hash, self.letters.get(start..end).unwrap_or_default());
            end = start;
            if let Some(hint) = words::look_up(hash, self.letters.get(start..whole).unwrap_or_default()) {
                found = Some((hint, from));
            }
        }
        found
    }
}

/// The character at the start of `rest`, and its length; a byte that begins none is a sign of its own.
fn character(rest: &[u8]) -> (char, usize) {
    let near = rest.get(..4.min(rest.len())).unwrap_or_default();
    let valid = match std::str::from_utf8(near) {
        Ok(text) => text,
        Err(error) => near
            .get(..error.valid_up_to())
            .and_then(|near| std::str::from_utf8(near).ok())
            .unwrap_or_default(),
    };
    valid.chars().next().map_or((' ', 1), |c| (c, c.len_utf8()))
}

/// What the name of a field says.
pub(crate) fn hint(name: &[u8]) -> Hint {
    let words = Words::of(name.get(name.len().saturating_sub(NAME_MAX)..).unwrap_or_default());
    let mut to = words.count;
    let mut generic = to > 0;
    let least = to.saturating_sub(WORDS_MAX);
    while to > least {
        match words.known(to) {
            Some((Hint::Generic, from)) => to = from,
            // `created_at` is a time, `social_insurance_number_at` is Austrian.
            Some((Hint::Harmless, from)) if from + 1 == words.count && words.last() == b"at" => {
                let before = words.known(from).map(|(hint, _)| hint);
                return before.filter(|hint| matches!(hint, Hint::Id(_))).unwrap_or(Hint::Harmless);
            }
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
    let words = Words::of(last_words(line));
    let mut to = words.count;
    let least = to.saturating_sub(NEAR_WORDS);
    while to > least {
        match words.known(to) {
            Some((hint, _)) if hint.is_telling() => return hint,
            Some((hint @ (Hint::Harmless | Hint::Version), _)) => return hint,
            Some((_, from)) => to = from,
            None => to -= 1,
        }
    }
    Hint::None
}

/// The same where only what is telling is asked for: most words are passed over by their last letters.
pub(crate) fn named(text: &[u8]) -> Hint {
    if may_name(text) { near(text) } else { Hint::None }
}

/// The end of a line that holds its last words, and perhaps more.
fn last_words(line: &[u8]) -> &[u8] {
    let mut words = 0;
    let mut inside = false;
    for (place, b) in line.iter().enumerate().rev() {
        let letter = b.is_ascii_alphanumeric() || *b >= 0x80;
        if inside && !letter {
            words += 1;
            if words > NEAR_WORDS {
                return line.get(place..).unwrap_or_default();
            }
        }
        inside = letter;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn a_name_is_told_however_it_is_written() {
        for name in [
            "birthDate",
            "birth_date",
            "user-birth-date",
            "BIRTHDATE",
            "User birth date",
            "customerDateOfBirth",
        ] {
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
