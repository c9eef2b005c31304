//! A JSON value whose members stay in the order in which they were written, whatever features of `serde_json`
//! another crate switches on: the bytes of a sample never depend on the build.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A JSON value.
pub(super) enum Json {
    Null,
    Bool(bool),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
    /// An object whose names are data.
    Map(Vec<(String, Json)>),
}

pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    Json::Object(members.into_iter().collect())
}

/// A list, or `null` in place of an empty one, as the platform writes it.
pub(super) fn list(items: impl IntoIterator<Item = Json>) -> Json {
    let items: Vec<Json> = items.into_iter().collect();
    if items.is_empty() { Json::Null } else { Json::List(items) }
}

/// The text, or what the platform writes for a missing one.
pub(super) fn or_not_available(text: &str) -> Json {
    Json::Text(if text.is_empty() { "N/A" } else { text }.to_owned())
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                members_of(serializer, members.iter().map(|(name, value)| (*name, value)))
            }
            Self::Map(members) => {
                members_of(serializer, members.iter().map(|(name, value)| (name.as_str(), value)))
            }
        }
    }
}

fn members_of<'a, S: Serializer>(
    serializer: S,
    members: impl ExactSizeIterator<Item = (&'a str, &'a Json)>,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(members.len()))?;
    for (name, value) in members {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
