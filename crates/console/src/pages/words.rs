//! What pages say, in the reader's language: one file of messages for each, with the same keys in all.

use std::collections::HashMap;
use std::sync::LazyLock;

use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, COOKIE as COOKIES};

/// The cookie that keeps a reader's choice.
pub(super) const COOKIE: &str = "clover-language";

type Messages = HashMap<String, String>;

static EN: LazyLock<Messages> = LazyLock::new(|| read(include_str!("words/en.toml")));
static FR: LazyLock<Messages> = LazyLock::new(|| read(include_str!("words/fr.toml")));

fn read(text: &str) -> Messages {
    toml::from_str(text).unwrap_or_default()
}

/// A language that pages speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    En,
    Fr,
}

impl Language {
    pub(super) const ALL: [Self; 2] = [Self::En, Self::Fr];

    /// Its tag (BCP 47).
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
        }
    }

    /// Its name, in itself.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Fr => "Français",
        }
    }

    /// The language of a tag; a region behind it is not looked at.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', ';']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|l| l.tag().eq_ignore_ascii_case(primary))
    }

    /// The reader's choice, or the first of their browser's that pages speak.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(COOKIES).iter().filter_map(|v| v.to_str().ok());
        let chosen = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == COOKIE)
            .and_then(|(_, tag)| Self::parse(tag));
        let accepted = || {
            let text = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
            text.split(',').take(16).find_map(Self::parse)
        };
        chosen.or_else(accepted).unwrap_or(Self::En)
    }

    fn messages(self) -> &'static Messages {
        match self {
            Self::En => &EN,
            Self::Fr => &FR,
        }
    }

    /// A message. One that is missing in a language is told in English; a key that is in none tells itself.
    pub(crate) fn t(self, key: &'static str) -> &'static str {
        self.messages().get(key).or_else(|| EN.get(key)).map_or(key, String::as_str)
    }

    /// A message with something in its place `{}`, `{2}` or `{3}`.
    pub(crate) fn fill(self, key: &'static str, with: &[&str]) -> String {
        let mut text = self.t(key).to_owned();
        for (place, value) in ["{}", "{2}", "{3}"].into_iter().zip(with) {
            text = text.replacen(place, value, 1);
        }
        text
    }

    /// A word of a closed vocabulary (`kind.word`), as people say it; the word itself where no message has it.
    pub(super) fn word(self, kind: &str, word: &str) -> String {
        let key = format!("{kind}-{}", word.replace(' ', "-"));
        let found = self.messages().get(&key).or_else(|| EN.get(&key));
        found.cloned().unwrap_or_else(|| word.to_owned())
    }

    /// A country's name, with its code where it has no name here.
    pub(super) fn country(self, code: &str) -> String {
        self.word("country", code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_there_in_every_language() {
        let mut keys: Vec<_> = EN.keys().collect();
        let mut french: Vec<_> = FR.keys().collect();
        keys.sort();
        french.sort();
        assert!(keys.len() > 100, "the messages can be read");
        assert_eq!(keys, french);
        for (key, text) in EN.iter() {
            for place in ["{}", "{2}", "{3}"] {
                assert_eq!(text.contains(place), FR[key].contains(place), "{key}");
            }
        }
    }

    #[test]
    fn every_message_that_a_page_asks_for_is_there() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut asked = 0;
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for call in [".t(\"", ".fill(\"", "Note(\""] {
                        let found = text.split(call).skip(1).filter_map(|rest| rest.split('"').next());
                        for key in found.filter(|k| k.contains('-') && !k.contains([' ', '=', '/'])) {
                            asked += 1;
                            assert!(EN.contains_key(key), "{}: {key}", path.display());
                        }
                    }
                }
            }
        }
        assert!(asked > 100, "{asked}");
    }

    #[test]
    fn a_reader_is_spoken_to_in_the_first_of_their_languages_that_we_have() {
        let with = |accept: &str, cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
            headers.insert(COOKIES, cookie.parse().unwrap());
            Language::of(&headers)
        };
        assert_eq!(with("de, fr-CA;q=0.8, en;q=0.7", ""), Language::Fr);
        assert_eq!(with("de", ""), Language::En);
        assert_eq!(with("fr", "a=b; clover-language=en"), Language::En);
        assert_eq!(with("fr", "clover-language=xx"), Language::Fr);
    }
}
