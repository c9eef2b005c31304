//! An entry in the words of `docs/formats/entry.md`, for people.

use serde::Serialize;

use crate::{
    codes::{Class, Kind, Treatment, purpose_name},
    header::Header,
};

/// What an entry says to the person whom it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    pub(crate) origin: String,
    pub(crate) index: u64,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    pub(crate) what: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) purpose: &'static str,
    /// Country of the actor.
    pub(crate) actor_in: String,
    /// Country where the data goes.
    pub(crate) goes_to: String,
    pub(crate) classes: Vec<&'static str>,
    pub(crate) treatments: Vec<&'static str>,
    /// Why it was refused; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    /// Distinct people whom the entry names.
    pub(crate) people: u32,
}

impl Told {
    pub(crate) fn new(origin: &str, header: &Header) -> Self {
        Self {
            origin: origin.to_owned(),
            index: header.sequence,
            time: instant(header.time),
            what: what(header.kind),
            direction: match header.direction {
                1 => "outward",
                2 => "inward",
                _ => "none",
            },
            purpose: purpose_name(header.purpose),
            actor_in: country(header.place),
            goes_to: country(header.destination),
            classes: words(header.classes, |code| Class::from_code(code).map(Class::word)),
            treatments: words(header.treatments, |code| Treatment::from_code(code).map(Treatment::word)),
            reason: reason(header.reason),
            people: header.count,
        }
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        let route = match (self.actor_in == self.goes_to, self.direction) {
            (_, "inward") => format!("from {} into the region", self.actor_in),
            (true, _) => format!("to {}", self.goes_to),
            (false, _) => format!("for an actor in {}, to {}", self.actor_in, self.goes_to),
        };
        let content = match self.reason {
            Some(reason) => format!("refused: {reason}"),
            None if self.classes.is_empty() => "no data".to_owned(),
            None => format!("{} data, {}", self.classes.join(" and "), self.treatments.join(" and ")),
        };
        let origin = self.origin.escape_debug();
        format!(
            "{}  {} for {}, {route}; {content}; entry {} of {origin}",
            self.time, self.what, self.purpose, self.index
        )
    }
}

fn words(bits: u8, word: impl Fn(u64) -> Option<&'static str>) -> Vec<&'static str> {
    (0..8).map(|shift| bits & (1 << shift)).filter_map(|bit| word(u64::from(bit))).collect()
}

fn country(code: [u8; 2]) -> String {
    if code == *b"ZZ" {
        "an unknown country".to_owned()
    } else {
        code.iter().map(|byte| char::from(*byte)).collect()
    }
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Answer => "answer",
        Kind::Refusal => "refusal",
        Kind::Import => "import",
        Kind::Activation => "activation of a rulebook",
        Kind::Border => "change of the border",
        Kind::Open => "stream opened",
        Kind::Extend => "stream extended",
        Kind::Close => "stream closed",
        Kind::Suspension => "suspension of a country",
        Kind::Demand => "demand of an authority",
        Kind::Erasure => "erasure of your data",
        Kind::Home => "another home country",
        Kind::Inside => "work of a service inside",
        Kind::Migration => "stage of a migration",
    }
}

fn reason(code: u16) -> Option<&'static str> {
    Some(match code {
        1 => "the policy does not allow it",
        2 => "the policy could not be evaluated",
        3 => "the request",
        4 => "the evidence",
        5 => "the request was malformed",
        6 => "a limit",
        7 => "personal data was found",
        8 => "not known",
        9 => "the upstream",
        10 => "the subject",
        11 => "the group was too small",
        12 => "the border was closed",
        13 => "what was granted was spent",
        14 => "the assessment of the country",
        15 => "crossings to the country were suspended",
        16 => "the rules were replaced",
        17 => "the privacy budget was spent",
        18 => "with earlier counts few people would have followed",
        _ => return None,
    })
}

/// Seconds since 1970 as RFC 3339; the number itself if no calendar has it.
pub(crate) fn instant(time: u64) -> String {
    let instant = i64::try_from(time).ok().and_then(|time| jiff::Timestamp::from_second(time).ok());
    instant.map_or_else(|| time.to_string(), |instant| instant.to_string())
}
