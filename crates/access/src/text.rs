//! The line form of signed texts: a first line that names the kind and version, then `key value` lines.

/// A signed text that cannot be read. It names the key, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The first line is another.
    #[error("the text does not begin with `{0}`")]
    Kind(&'static str),
    /// A key is missing, doubled or unknown.
    #[error("the line `{0}` is missing, doubled or not known")]
    Key(String),
    /// A value cannot be parsed.
    #[error("the value of `{0}` cannot be read")]
    Value(&'static str),
}

/// The lines of a text, each taken once.
pub(crate) struct Lines<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Lines<'a> {
    pub(crate) fn parse(text: &'a str, kind: &'static str) -> Result<Self, TextError> {
        let mut lines = text.lines();
        if lines.next() != Some(kind) {
            return Err(TextError::Kind(kind));
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for line in lines {
            let (key, value) = line.split_once(' ').ok_or_else(|| TextError::Key(String::new()))?;
            if pairs.iter().any(|(k, _)| *k == key) {
                return Err(TextError::Key(key.to_owned()));
            }
            pairs.push((key, value));
        }
        Ok(Self(pairs))
    }

    /// Takes and parses one value.
    pub(crate) fn take<T, E>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<T, TextError> {
        let at = self.0.iter().position(|(k, _)| *k == key).ok_or_else(|| TextError::Key(key.to_owned()))?;
        let (_, value) = self.0.swap_remove(at);
        parse(value).map_err(|_| TextError::Value(key))
    }

    /// Takes and parses one value, where `-` stands for "not narrowed".
    pub(crate) fn take_option<T, E>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<Option<T>, TextError> {
        self.take(key, |v| if v == "-" { Ok(None) } else { parse(v).map(Some) })
    }

    /// All lines must have been taken.
    pub(crate) fn end(self) -> Result<(), TextError> {
        self.0.first().map_or(Ok(()), |(k, _)| Err(TextError::Key((*k).to_owned())))
    }
}

pub(crate) fn flag(text: &str) -> Result<bool, ()> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(()),
    }
}

pub(crate) fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
