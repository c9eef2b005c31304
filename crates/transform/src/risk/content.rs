//! Content that can be found again, and the tokens beside it.

use std::collections::BTreeMap;

use super::{Digest, Few, Limits, RiskError, digest};

/// How many letters a token has after its epoch.
const TOKEN_LETTERS: usize = 26;
/// Words from which on a text is looked for as a text.
const TEXT_WORDS: usize = 3;

/// What kind of thing leads back to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A link.
    Link,
    /// A name with an @ in front, or a single word.
    Handle,
    /// A title or text.
    Text,
}

/// What is left of a value without its tokens, in one spelling; nothing where only signs are left. Two contents that differ in
/// case, spaces or a link's scheme are one.
///
/// ```
/// use transform::risk::content::{Kind, rest};
///
/// assert_eq!(rest("https://www.Video.example/@anna"), Some((Kind::Link, "video.example/@anna".to_owned())));
/// assert_eq!(rest("@t1.12.abcdefghijklmnopqrstuvwxyz"), None);
/// ```
#[must_use]
pub fn rest(value: &str) -> Option<(Kind, String)> {
    let words: Vec<String> =
        value.split_whitespace().map(|word| without_tokens(word).to_lowercase()).collect();
    let text = words.join(" ");
    let link = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let bare = link.unwrap_or(&text);
    let bare = bare.strip_prefix("www.").unwrap_or(bare).trim_end_matches('/');
    if !bare.chars().any(char::is_alphanumeric) {
        return None;
    }
    let host = bare.split('/').next().unwrap_or_default();
    let kind = if link.is_some() || (words.len() == 1 && bare.len() > host.len() && host.contains('.')) {
        Kind::Link
    } else if words.len() < TEXT_WORDS {
        Kind::Handle
    } else {
        Kind::Text
    };
    Some((kind, bare.to_owned()))
}

/// Takes out each `t1.<epoch>.<letters>`.
fn without_tokens(word: &str) -> String {
    let mut kept = String::with_capacity(word.len());
    let mut left = word;
    while let Some((before, after)) = left.split_once("t1.") {
        kept.push_str(before);
        if let Some(end) = token_end(after) {
            left = after.get(end..).unwrap_or_default();
        } else {
            kept.push_str("t1.");
            left = after;
        }
    }
    kept.push_str(left);
    kept
}

/// Where a token ends, counted from behind its `t1.`.
fn token_end(after: &str) -> Option<usize> {
    let (epoch, letters) = after.split_once('.')?;
    let numbered = !epoch.is_empty() && epoch.len() <= 10 && epoch.bytes().all(|b| b.is_ascii_digit());
    let letters = letters.get(..TOKEN_LETTERS)?;
    let lettered = letters.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
    (numbered && lettered).then_some(epoch.len() + 1 + TOKEN_LETTERS)
}

/// Tokens with their rows, and contents with the few tokens that they stand beside.
#[derive(Debug, Default)]
pub(super) struct Beside {
    tokens: BTreeMap<Digest, u64>,
    contents: BTreeMap<Digest, (Kind, Few)>,
}

/// What [`Beside`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Different tokens.
    pub tokens: u64,
    /// Those beside content that fewer than k tokens stand beside.
    pub found: u64,
    /// Rows of those tokens, with content or not.
    pub rows: u64,
    /// Such contents, by kind.
    pub contents: BTreeMap<Kind, u64>,
}

impl Beside {
    /// A row's token and what stands beside it.
    pub(super) fn add<'a>(
        &mut self,
        token: Option<&str>,
        contents: impl Iterator<Item = &'a str>,
        k: usize,
        limits: &Limits,
    ) -> Result<(), RiskError> {
        let Some(token) = token else { return Ok(()) };
        let token = digest([token]);
        *self.tokens.entry(token).or_default() += 1;
        if self.tokens.len() > limits.distinct {
            return Err(RiskError::TooMany("tokens"));
        }
        for (kind, rest) in contents.filter_map(rest) {
            let (_, holders) = self.contents.entry(digest([rest.as_str()])).or_insert((kind, Few::default()));
            holders.add(token, k);
            if self.contents.len() > limits.distinct {
                return Err(RiskError::TooMany("contents"));
            }
        }
        Ok(())
    }

    /// Which tokens lead back to somebody.
    pub(super) fn found(&self, k: usize) -> Found {
        let mut contents = BTreeMap::new();
        let mut linked: Vec<Digest> = Vec::new();
        for (kind, holders) in self.contents.values().filter(|(_, holders)| holders.len() < k) {
            *contents.entry(*kind).or_default() += 1;
            linked.extend(&holders.0);
        }
        linked.sort_unstable();
        linked.dedup();
        let rows = linked.iter().filter_map(|token| self.tokens.get(token)).sum();
        Found { tokens: self.tokens.len() as u64, found: linked.len() as u64, rows, contents }
    }
}
