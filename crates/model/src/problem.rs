//! Problems of files that people write: all of them at once, each with its place and its remedy.

/// A word that is in no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not in the list `{list}`")]
pub struct UnknownWord {
    list: &'static str,
    word: String,
}

impl UnknownWord {
    pub(crate) fn new(list: &'static str, word: &str) -> Self {
        Self { list, word: word.chars().take(40).filter(|c| !c.is_control()).collect() }
    }
}

/// One thing wrong with one place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and key, as `catalogue.toml: dataset[0].name`.
    pub place: String,
    /// What is wrong, in lower case and one line.
    pub why: String,
    /// The next step.
    pub fix: String,
}

/// Every problem found in one go, so that one correction round is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, place: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Problem { place: place.into(), why: why.into(), fix: fix.into() });
    }

    /// Keeps the value of a result, or its error as a problem.
    pub fn keep<T, E: std::fmt::Display>(
        &mut self,
        place: &str,
        fix: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(e) => {
                self.add(place, e.to_string(), fix);
                None
            }
        }
    }

    /// Appends all of another list.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The value, unless a problem was found.
    ///
    /// # Errors
    /// The problems themselves.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// Whether none was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order found.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, p) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {} (fix: {})", p.place, p.why, p.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
