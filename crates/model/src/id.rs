//! Identifiers, each with a parser as its only public constructor.

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};

/// Text that is not an identifier of the named kind. The text itself is not repeated: it may be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no {kind}: {why}")]
pub struct IdError {
    kind: &'static str,
    why: &'static str,
}

macro_rules! bytes_id {
    ($(#[$meta:meta])* $name:ident, $len:literal, $kind:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Wraps bytes that were computed or read elsewhere.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self { Self(bytes) }

            /// The bytes.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; $len] { &self.0 }

            /// Parses lower- or upper-case hexadecimal.
            ///
            /// # Errors
            /// When the text has another length or other digits.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let bytes = HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .map_err(|_| IdError { kind: $kind, why: "not hexadecimal" })?;
                let bytes = bytes.try_into().map_err(|_| IdError { kind: $kind, why: "wrong length" })?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&HEXLOWER.encode(&self.0)) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({self})", stringify!($name)) }
        }
    };
}

bytes_id! {
    /// A SHA-256 digest.
    Digest, 32, "digest"
}
bytes_id! {
    /// A keyed pseudonym of an actor, a subject, a grant or a case, as written into the ledger.
    Tag, 16, "tag"
}
bytes_id! {
    /// One crossing, named at random.
    FlowId, 16, "flow id"
}
bytes_id! {
    /// One signed-in session, named at random. It is no credential: the token that carries it is.
    SessionId, 16, "session id"
}

/// A place in ISO 3166-1 alpha-2, or `ZZ` for "not known", which is outside every region.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Not known: outside.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// Parses two upper-case letters.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Self([*a, *b])),
            _ => Err(IdError { kind: "country", why: "not two upper-case letters" }),
        }
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }

    /// The two letters as bytes, for a ledger header.
    #[must_use]
    pub const fn bytes(self) -> [u8; 2] {
        self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({self})")
    }
}

fn is_name(text: &str, max: usize) -> bool {
    !text.is_empty()
        && text.len() <= max
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// The name of something the operator declares: a lane, dataset, list, employer, team, gateway, grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Parses 1 to 64 of `A-Z a-z 0-9 - _ .`, beginning with a letter or digit.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if is_name(text, 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError { kind: "name", why: "use 1 to 64 letters, digits, `-`, `_`, `.`" })
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! private_id {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $max:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Parses letters, digits, `-`, `_` and `.`.
            ///
            /// # Errors
            /// When the text is empty, too long or has other characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if is_name(text, $max) { Ok(Self(text.to_owned())) } else {
                    Err(IdError { kind: $kind, why: "use letters, digits, `-`, `_`, `.`" })
                }
            }

            /// The text. Never for a log line, a metric, an error or a URL.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(concat!(stringify!($name), "(..)")) }
        }
    };
}

private_id! {
    /// An employee, service, auditor or operator. Staff are people too: it prints nothing.
    ActorId, "actor id", 64
}
private_id! {
    /// A person whose data is kept: an opaque handle made by [`SubjectId::from_index`]. It prints nothing.
    SubjectId, "subject id", 64
}

impl SubjectId {
    /// The handle of a keyed index value, `s` and 26 base32 digits. The same person always gets the
    /// same handle; without the region's key nobody can tell whose it is.
    #[must_use]
    pub fn from_index(index: &[u8; 16]) -> Self {
        Self(format!("s{}", BASE32_NOPAD.encode(index).to_ascii_lowercase()))
    }
}

/// Whole seconds since 1970-01-01 UTC. Time is an argument, never asked for in a core crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// RFC 3339 in UTC, as `2026-11-22T01:30:00Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|s| jiff::Timestamp::from_second(s).ok())
            .map_or_else(|| "unknown".to_owned(), |t| t.to_string())
    }

    /// Parses RFC 3339 with a zone.
    ///
    /// # Errors
    /// When the text is no such time, or before 1970.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let wrong = IdError { kind: "time", why: "use RFC 3339, as 2026-11-22T01:30:00Z" };
        let t: jiff::Timestamp = text.parse().map_err(|_| wrong.clone())?;
        u64::try_from(t.as_second()).map(Self).map_err(|_| wrong)
    }

    /// The day in UTC: whole days since 1970-01-01.
    #[must_use]
    pub fn day(self) -> u32 {
        u32::try_from(self.0 / 86_400).unwrap_or(u32::MAX)
    }

    /// The first second of a day in UTC, the inverse of [`UnixSeconds::day`].
    #[must_use]
    pub const fn midnight(day: u32) -> Self {
        Self(day as u64 * 86_400)
    }

    /// Later by so many seconds.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_slash_no_space_and_no_dots_first() {
        assert!(Name::parse("video-status").is_ok());
        for bad in ["", "a b", "../x", ".x", "a/b", "é", &"x".repeat(65)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn people_do_not_print() {
        let s = SubjectId::from_index(&[7; 16]);
        assert_eq!(s.as_str().len(), 27);
        assert_eq!(format!("{s:?}"), "SubjectId(..)");
        assert_eq!(format!("{:?}", ActorId::parse("ana").unwrap()), "ActorId(..)");
    }

    #[test]
    fn time_round_trips_in_rfc_3339() {
        let t = UnixSeconds::parse("2026-11-22T01:30:00Z").unwrap();
        assert_eq!(t.rfc3339(), "2026-11-22T01:30:00Z");
        assert!(UnixSeconds::parse("yesterday").is_err());
    }
}
