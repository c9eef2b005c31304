//! Synthetic people whose values look real, and each hold a secret marker of the enclave. Few patterns find them all.
//!
//! Everything is derived from one key by HMAC-SHA-256: a marker of eight letters and one of eight digits that all values
//! share, and a tag for each person and kind of value. Whoever reads many canaries side by side can see the marker: it
//! is a secret from those who read one record or none, not from the vault's owner.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::ResidencyError;

/// Most canaries of an enclave: their tags of digits must stay apart.
pub const CANARIES_MAX: u32 = 1000;
/// Letters or digits in a marker.
pub(crate) const MARKER: usize = 8;
/// Letters behind the marker that tell person and kind.
const TAG_LETTERS: usize = 6;
const TAG_DIGITS: usize = 4;
/// A country code that nobody has, so that no canary's number is somebody's.
const PREFIX: &str = "999";
/// Letters of a whole core, and digits of a whole number.
pub(crate) const CORE_LETTERS: usize = MARKER + TAG_LETTERS;
/// See [`CORE_LETTERS`].
pub(crate) const CORE_DIGITS: usize = PREFIX.len() + MARKER + TAG_DIGITS;
/// Where the marker begins in a whole number.
pub(crate) const MARKER_IN_NUMBER: usize = PREFIX.len();

/// Rare letters, so that a marker is no word; none of them is a digit of hexadecimal.
const RARE: &[u8] = b"jkqvwxz";
const VOWELS: &[u8] = b"aeiouy";
const CONSONANTS: &[u8] = b"bdfghlmnprst";
const DOMAIN: &str = "mail.example";

/// What kind of value a canary has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A name of an account.
    UserName,
    /// An e-mail address.
    Email,
    /// Digits that look like a telephone number.
    Phone,
    /// A name that is shown.
    DisplayName,
    /// A word in a text.
    FreeText,
    /// No canary's: an identifier of somebody whose data was moved.
    Identifier,
}

impl Kind {
    /// All that a canary has.
    pub const ALL: [Self; 5] = [Self::UserName, Self::Email, Self::Phone, Self::DisplayName, Self::FreeText];

    /// Its word in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::UserName => "user-name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::DisplayName => "display-name",
            Self::FreeText => "free-text",
            Self::Identifier => "identifier",
        }
    }
}

/// The canaries of one enclave.
#[derive(Clone)]
pub struct Canaries {
    letters: [u8; MARKER],
    digits: [u8; MARKER],
    /// Lower-case letters, or digits, to whose they are.
    cores: HashMap<Vec<u8>, (u32, Kind)>,
    values: Vec<[String; 5]>,
}

/// The key file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    key: String,
    count: u32,
    email_domain: String,
}

impl Canaries {
    /// Derives canaries from a key.
    ///
    /// ```
    /// use residency::canary::{Canaries, Kind};
    ///
    /// let canaries = Canaries::derive(&[7; 32], 3, "mail.example");
    /// assert!(canaries.value(0, Kind::Phone).is_some_and(|phone| phone.starts_with("+999")));
    /// ```
    #[must_use]
    pub fn derive(key: &[u8; 32], count: u32, domain: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mut canaries =
            Self { letters: letters(&key), digits: digits(&key), cores: HashMap::new(), values: Vec::new() };
        for index in 0..count.min(CANARIES_MAX) {
            let values = Kind::ALL.map(|kind| canaries.add(&key, index, kind, domain));
            canaries.values.push(values);
        }
        canaries
    }

    /// Makes a key file for a new set, or has the set of an existing one hold at least so many.
    ///
    /// # Errors
    /// When the file cannot be read or written, or too many are asked for.
    pub fn make(path: &Path, count: u32, domain: Option<&str>) -> Result<Self, ResidencyError> {
        if count > CANARIES_MAX {
            return Err(unusable(path, &format!("at most {CANARIES_MAX} are kept apart by their tags")));
        }
        let known = if path.exists() { Some(read(path)?) } else { None };
        let file = match known {
            Some(file) if domain.is_some_and(|d| d != file.email_domain) => {
                return Err(unusable(path, "they were made for another e-mail domain"));
            }
            Some(file) => File { count: file.count.max(count), ..file },
            None => {
                let mut key = [0; 32];
                aws_lc_rs::rand::fill(&mut key).map_err(|_| unusable(path, "no random bytes"))?;
                let email_domain = domain.unwrap_or(DOMAIN).to_ascii_lowercase();
                File { version: 1, key: HEXLOWER.encode(&key), count, email_domain }
            }
        };
        let text = serde_json::to_vec_pretty(&file).map_err(|e| unusable(path, &e.to_string()))?;
        crate::files::replace_secret(path, &text)?;
        derived(path, &file)
    }

    /// Opens the canaries of a key file.
    ///
    /// # Errors
    /// When it is not there, is nobody's secret, or holds something else.
    pub fn open(path: &Path) -> Result<Self, ResidencyError> {
        derived(path, &read(path)?)
    }

    fn add(&mut self, key: &hmac::Key, index: u32, kind: Kind, domain: &str) -> String {
        // Tags may agree by chance: the next attempt follows from the key, too.
        for attempt in 0..=u8::MAX {
            let stream = derive(key, &[b"tag", kind.word().as_bytes(), &index.to_be_bytes(), &[attempt]]);
            let (core, value) = self.core(kind, &stream, domain);
            if let std::collections::hash_map::Entry::Vacant(free) = self.cores.entry(core) {
                free.insert((index, kind));
                return value;
            }
        }
        String::new()
    }

    fn core(&self, kind: Kind, stream: &[u8; 32], domain: &str) -> (Vec<u8>, String) {
        const NAMES: &[&str] = &["Anna", "Marta", "Elena", "Jonas", "Pieter", "Luca", "Nora", "Milan"];
        if kind == Kind::Phone {
            let tag: Vec<u8> = stream.iter().take(TAG_DIGITS).map(|b| b'0' + b % 10).collect();
            let number = [PREFIX.as_bytes(), &self.digits, &tag].concat();
            let value = format!("+{}", text(&number));
            return (number, value);
        }
        let tag = stream.iter().take(TAG_LETTERS).enumerate();
        let tag = tag.map(|(n, b)| pick(if n % 2 == 0 { CONSONANTS } else { VOWELS }, *b));
        let core: Vec<u8> = self.letters.iter().copied().chain(tag).collect();
        let word = text(&core);
        let value = match kind {
            Kind::Email => format!("{word}@{domain}"),
            Kind::DisplayName => {
                let first = NAMES.get(usize::from(stream.last().copied().unwrap_or(0)) % NAMES.len());
                format!("{} {}", first.copied().unwrap_or("Anna"), crate::forms::title(&word))
            }
            _ => word,
        };
        (core, value)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.values.len()).unwrap_or(u32::MAX)
    }

    /// One value of a canary.
    #[must_use]
    pub fn value(&self, index: u32, kind: Kind) -> Option<&str> {
        let values = self.values.get(usize::try_from(index).ok()?)?;
        values.get(Kind::ALL.iter().position(|k| *k == kind)?).map(String::as_str)
    }

    /// Whose whole core this is: letters in lower case, or the digits of a number.
    pub(crate) fn whose(&self, core: &[u8]) -> Option<(u32, Kind)> {
        self.cores.get(core).copied()
    }

    pub(crate) fn markers(&self) -> (&[u8; MARKER], &[u8; MARKER]) {
        (&self.letters, &self.digits)
    }

    /// A canary as a personal-data export, which an enclave imports as it does anybody's.
    #[must_use]
    pub fn export(&self, index: u32, country: &str) -> Value {
        let value = |kind| self.value(index, kind).unwrap_or_default();
        let (user, phone) = (value(Kind::UserName), value(Kind::Phone));
        let (first, last) = value(Kind::DisplayName).split_once(' ').unwrap_or_default();
        let (day, month) = (1 + index % 28, 1 + index % 12);
        let said = format!("at the lake with {} again", value(Kind::FreeText));
        json!({
            "Profile And Settings": {
                "Profile Info": { "ProfileMap": {
                    "userName": user, "bioDescription": format!("{first} {last}. {said}"),
                    "birthDate": format!("{:04}-{month:02}-{day:02}", 1970 + index % 35),
                    "emailAddress": value(Kind::Email), "telephoneNumber": phone,
                    "likesReceived": (index * 37 % 900).to_string(), "accountRegion": country,
                }},
                "Autofill": {
                    "PhoneNumber": phone, "Email": value(Kind::Email), "FirstName": first, "LastName": last,
                    "Address": "N/A", "ZipCode": "N/A", "City": "N/A", "Country": country,
                },
            },
            "Your Activity": { "Searches": { "SearchList": [
                { "Date": format!("2026-{month:02}-{day:02} 09:12:44"), "SearchTerm": value(Kind::FreeText) },
            ]}},
            "Post": { "Posts": { "VideoList": [{
                "Date": format!("2026-{month:02}-{day:02} 18:30:05"), "Likes": "3", "WhoCanView": "Friends",
                "Link": format!("https://video.example/@{user}/{}", 7_000_000 + index), "Title": said,
            }]}},
            "Direct Message": { "Direct Messages": { "ChatHistory": {
                "Chat History with mila:": [
                    { "Date": format!("2026-{month:02}-{day:02} 20:01:00"), "From": user,
                      "Content": format!("write to {} or call {phone}", value(Kind::Email)) },
                ],
            }}},
        })
    }
}

impl fmt::Debug for Canaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canaries({})", self.values.len())
    }
}

fn read(path: &Path) -> Result<File, ResidencyError> {
    if !path.exists() {
        return Err(unusable(path, "none were made"));
    }
    let text = std::fs::read_to_string(path).map_err(ResidencyError::file(path))?;
    let file: File =
        serde_json::from_str(&text).map_err(|_| unusable(path, "the file holds something else"))?;
    if file.version == 1 { Ok(file) } else { Err(unusable(path, "they are of another version")) }
}

fn derived(path: &Path, file: &File) -> Result<Canaries, ResidencyError> {
    let key = HEXLOWER.decode(file.key.as_bytes()).ok().and_then(|k| <[u8; 32]>::try_from(k).ok());
    let key = key.ok_or_else(|| unusable(path, "the file holds no key"))?;
    Ok(Canaries::derive(&key, file.count, &file.email_domain))
}

fn unusable(path: &Path, why: &str) -> ResidencyError {
    ResidencyError::Canaries { path: path.to_owned(), why: why.to_owned() }
}

fn derive(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(b"clover canary v1");
    for part in parts {
        context.update(&[0]);
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

fn letters(key: &hmac::Key) -> [u8; MARKER] {
    let stream = derive(key, &[b"letters"]);
    let mut marker = [0; MARKER];
    for (n, (out, byte)) in marker.iter_mut().zip(stream).enumerate() {
        *out = pick(if n % 2 == 0 { RARE } else { VOWELS }, byte);
    }
    marker
}

/// Digits of which no run is likely in counters and amounts.
fn digits(key: &hmac::Key) -> [u8; MARKER] {
    let mut marker = [0; MARKER];
    for attempt in 0..=u8::MAX {
        let stream = derive(key, &[b"digits", &[attempt]]);
        for (out, byte) in marker.iter_mut().zip(stream) {
            *out = b'0' + byte % 10;
        }
        let mut seen = marker;
        seen.sort_unstable();
        let distinct = seen.windows(2).filter(|w| w.first() != w.last()).count() + 1;
        if distinct >= 6 {
            break;
        }
    }
    marker
}

fn pick(from: &[u8], byte: u8) -> u8 {
    from.get(usize::from(byte) % from.len()).copied().unwrap_or(b'x')
}

fn text(ascii: &[u8]) -> String {
    String::from_utf8_lossy(ascii).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_canaries_are_apart_and_hold_the_marker() {
        let canaries = Canaries::derive(&[3; 32], CANARIES_MAX, DOMAIN);
        let marker = text(&canaries.letters);
        let mut seen = std::collections::HashSet::new();
        for index in 0..CANARIES_MAX {
            for kind in Kind::ALL {
                let value = canaries.value(index, kind).unwrap();
                assert!(seen.insert(value.to_owned()), "{index} {kind:?}");
                let held = if kind == Kind::Phone { text(&canaries.digits) } else { marker.clone() };
                assert!(value.to_lowercase().contains(&held), "{kind:?}");
            }
        }
    }

    #[test]
    fn more_canaries_of_a_key_leave_the_first_ones_as_they_were() {
        let (few, many) = (Canaries::derive(&[9; 32], 5, DOMAIN), Canaries::derive(&[9; 32], 50, DOMAIN));
        for index in 0..5 {
            assert_eq!(few.values.get(index), many.values.get(index));
        }
        assert_ne!(few.letters, Canaries::derive(&[8; 32], 1, DOMAIN).letters);
    }

    #[test]
    fn the_key_file_is_its_owners_alone_and_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("canaries.json");
        assert!(matches!(Canaries::open(&path), Err(ResidencyError::Canaries { .. })));
        let made = Canaries::make(&path, 3, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let grown = Canaries::make(&path, 7, None).unwrap();
        assert_eq!((grown.count(), grown.letters), (7, made.letters));
        assert_eq!(Canaries::make(&path, 2, None).unwrap().count(), 7);
        assert!(Canaries::make(&path, CANARIES_MAX + 1, None).is_err());
        assert!(Canaries::make(&path, 2, Some("other.example")).is_err());
    }
}
