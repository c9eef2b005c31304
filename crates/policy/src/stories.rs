//! Stories: given some people and evidence, when somebody asks, expect an outcome and the policies that decided it,
//! so that a right answer for a wrong reason is a failure too. The form of a file is in `docs/formats/stories.md`.

mod file;

use model::Problems;
use model::facts::Facts;

use crate::Engine;

/// What a file of stories tells.
#[derive(Debug, Clone)]
pub struct Stories {
    /// The name of the file.
    pub file: String,
    all: Vec<Story>,
}

#[derive(Debug, Clone)]
struct Story {
    name: String,
    facts: Facts,
    expected: Ending,
}

/// How a story ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The treatment that was released, or `none`.
    pub outcome: String,
    /// The policies that decided, sorted.
    pub by: Vec<String>,
}

/// A story as the policies tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// How it should end.
    pub expected: Ending,
    /// How it ended.
    pub got: Ending,
    /// Whether something could not be evaluated. Such a story never ended as it should.
    pub errors: bool,
}

impl Told {
    /// Whether it ended as it should, for the reason that it should.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.expected == self.got && !self.errors
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = if self.by.is_empty() { "no policy".to_owned() } else { self.by.join(", ") };
        write!(f, "{} by {by}", self.outcome)
    }
}

impl Stories {
    /// Reads a file.
    ///
    /// # Errors
    /// Every problem at once, each with the story that it stands in.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        Ok(Self { file: file.to_owned(), all: file::read(file, text)? })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tells each of them.
    #[must_use]
    pub fn tell(&self, engine: &Engine) -> Vec<Told> {
        let tell = |story: &Story| {
            let decision = engine.decide(story.facts.clone());
            let released = decision.facts.groups.first().and_then(|group| group.outcome);
            let outcome = released.map_or("none", model::Treatment::word).to_owned();
            Told {
                name: story.name.clone(),
                expected: story.expected.clone(),
                got: Ending { outcome, by: decision.policies },
                errors: decision.errors,
            }
        };
        self.all.iter().map(tell).collect()
    }
}
