//! One action: the text that its party signs.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use crate::{checkpoint::decimal, hash::Hash, tree::hex};

const FIRST_LINE: &str = "clover incident v1";
const TEXT_BYTES_MAX: usize = 2000;
const WORD_BYTES_MAX: usize = 500;
const ID_BYTES_MAX: usize = 64;
const REFERENCES_MAX: usize = 256;
/// A year; no duty to report is longer.
const CLOCK_SECONDS_MAX: u64 = 366 * 86_400;

/// What is done to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// It begins, and its clock with it.
    Open,
    /// It goes to those who must be told.
    Escalate,
    /// It is dealt with. The party that caused it cannot say so.
    Close,
    /// It is not dealt with after all.
    Reopen,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should know.
    Notice,
    /// Somebody should look.
    Serious,
    /// A promise may be broken.
    Grave,
}

/// An entry that an incident is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Origin of the log.
    pub origin: String,
    /// The entry.
    pub index: u64,
}

/// What is said when an incident is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// What found it: the code of a rule, or `person`.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// The party that caused it: `operator`, `gateway:<origin>`, `auditor`, or the name of another party.
    pub cause: String,
    /// What the rule was looking at; empty if nothing in particular.
    pub about: String,
    /// After so many seconds it escalates by itself.
    pub clock_seconds: u64,
    /// The entries it is about.
    pub references: Vec<Reference>,
    /// What happened, in one line.
    pub text: String,
}

impl Opening {
    /// 72 hours, as Article 33 of the GDPR says.
    pub const CLOCK_SECONDS: u64 = 72 * 3600;

    /// Says what is not of the form that the page says.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !text_is_good(&self.text) {
            return Err("a text is one line of 1 to 2000 bytes");
        }
        if !word_is_good(&self.rule) || !word_is_good(&self.cause) {
            return Err("a rule and a cause are one line of 1 to 500 bytes");
        }
        if !(self.about.is_empty() || word_is_good(&self.about)) {
            return Err("what it is about is one line of at most 500 bytes");
        }
        let bad = |reference: &Reference| !word_is_good(&reference.origin) || reference.origin.contains(' ');
        if self.references.len() > REFERENCES_MAX || self.references.iter().any(bad) {
            return Err("there are at most 256 references, each to an origin and an index");
        }
        if !(1..=CLOCK_SECONDS_MAX).contains(&self.clock_seconds) {
            return Err("the clock runs for 1 s to 366 days");
        }
        Ok(())
    }
}

/// What an action says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Open(Opening),
    Escalate { by_clock: bool, text: String },
    Close { text: String },
    Reopen { text: String },
}

/// An action in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) id: String,
    pub(super) sequence: u64,
    /// SHA-256 of the note before; zero for the first.
    pub(super) previous: Hash,
    pub(super) clock: Clock,
    pub(super) body: Body,
}

impl Body {
    pub(super) fn kind(&self) -> ActionKind {
        match self {
            Self::Open(_) => ActionKind::Open,
            Self::Escalate { .. } => ActionKind::Escalate,
            Self::Close { .. } => ActionKind::Close,
            Self::Reopen { .. } => ActionKind::Reopen,
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Open(opening) => &opening.text,
            Self::Escalate { text, .. } | Self::Close { text } | Self::Reopen { text } => text,
        }
    }
}

impl Action {
    /// The text that is signed.
    pub(super) fn text(&self) -> String {
        let Clock { wall, ledger, running } = self.clock;
        let mut text = format!(
            "{FIRST_LINE}\nid {}\nsequence {}\nprevious {}\nclock {wall} {ledger} {running}\naction {}\n",
            self.id,
            self.sequence,
            HEXLOWER.encode(&self.previous),
            self.body.kind(),
        );
        match &self.body {
            Body::Open(opening) => {
                text.push_str(&format!(
                    "rule {}\nseverity {}\ncause {}\nabout {}\nseconds {}\n",
                    opening.rule, opening.severity, opening.cause, opening.about, opening.clock_seconds
                ));
                for reference in &opening.references {
                    text.push_str(&format!("entry {} {}\n", reference.index, reference.origin));
                }
            }
            Body::Escalate { by_clock, .. } => {
                text.push_str(if *by_clock { "by clock\n" } else { "by hand\n" });
            }
            Body::Close { .. } | Body::Reopen { .. } => {}
        }
        text.push_str(&format!("text {}\n", self.body.text()));
        text
    }

    /// Reads a text that was signed; only the one spelling is taken.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let action = read(text).ok_or("its note is not an action")?;
        if action.text() == text { Ok(action) } else { Err("its note is not an action".into()) }
    }
}

fn read(text: &str) -> Option<Action> {
    let mut lines = text.strip_suffix('\n')?.split('\n').peekable();
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
    let id = value("id").filter(|id| id_is_good(id))?.to_owned();
    let sequence = decimal(value("sequence")?)?;
    let previous = hex(value("previous")?)?;
    let mut clock = value("clock")?.split(' ').map(decimal);
    let clock = Clock { wall: clock.next()??, ledger: clock.next()??, running: clock.next()?? };
    let body = match value("action")? {
        "open" => {
            let rule = value("rule")?.to_owned();
            let severity = Severity::parse(value("severity")?)?;
            let (cause, about) = (value("cause")?.to_owned(), value("about")?.to_owned());
            let clock_seconds = decimal(value("seconds")?)?;
            let mut references = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with("entry ")) {
                let (index, origin) = line.strip_prefix("entry ")?.split_once(' ')?;
                references.push(Reference { origin: origin.to_owned(), index: decimal(index)? });
            }
            let text = lines.next()?.strip_prefix("text ")?.to_owned();
            let opening = Opening { rule, severity, cause, about, clock_seconds, references, text };
            opening.check().ok()?;
            Body::Open(opening)
        }
        "escalate" => {
            let by_clock = match value("by")? {
                "clock" => true,
                "hand" => false,
                _ => return None,
            };
            Body::Escalate { by_clock, text: value("text")?.to_owned() }
        }
        "close" => Body::Close { text: value("text")?.to_owned() },
        "reopen" => Body::Reopen { text: value("text")?.to_owned() },
        _ => return None,
    };
    (lines.next().is_none() && text_is_good(body.text())).then_some(Action {
        id,
        sequence,
        previous,
        clock,
        body,
    })
}

impl Severity {
    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Notice, Self::Serious, Self::Grave].into_iter().find(|severity| severity.to_string() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notice => "notice",
            Self::Serious => "serious",
            Self::Grave => "grave",
        })
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Escalate => "escalate",
            Self::Close => "close",
            Self::Reopen => "reopen",
        })
    }
}

/// An id is a name of a folder and nothing more.
pub(super) fn id_is_good(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.chars().all(plain)
}

pub(super) fn text_is_good(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

fn word_is_good(word: &str) -> bool {
    (1..=WORD_BYTES_MAX).contains(&word.len()) && !word.contains(char::is_control)
}
