//! How identifiers and words stand in stored JSON: as their text, read back by their parsers, so that a stored
//! value is as checked as any other.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codes::{CaseKind, Ground, Purpose};
use crate::id::{ActorId, Country, Name, SubjectId, UnixSeconds};

macro_rules! as_text {
    ($($kind:ty: $text:ident),+ $(,)?) => { $(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.$text())
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // A value that cannot be read is not repeated: it may be personal.
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                Self::parse(&text).map_err(|_| D::Error::custom(concat!("no ", stringify!($kind))))
            }
        }
    )+ };
}

as_text!(Name: as_str, ActorId: as_str, SubjectId: as_str, Country: as_str, Purpose: word, CaseKind: word, Ground: word);

impl Serialize for UnixSeconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}
