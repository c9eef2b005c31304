//! Makes each small mistake in the policies, one at a time, and looks who notices: strict validation, a story, a
//! property. What changes no answer at all cannot be noticed, and is proved to be so. The rest is on nobody's guard.

use std::time::Instant;

use cedar_policy::{Effect, Policy, PolicyId};
use cedar_policy_symcc::{implies_asserts, never_errors_asserts};
use model::rulebook::{Files, PROPERTIES, Rulebook};
use policy::mutants::{Mutant, mutants};
use policy::stories::Stories;
use policy::{Engine, Property};
use serde::Serialize;

use crate::book::{Book, Kind, covers};
use crate::certainty::millis;
use crate::mutation::likeliest_first;
use crate::promises::guarded;
use crate::report::{By, PromiseResult};
use crate::solver::{Session, Solver, SolverError, each};

/// Properties that are asked before it is worth a look whether any can notice the mistake at all.
const LIKELY: usize = 3;
/// The file that takes the place of all policy files.
const POLICIES: &str = "10-mutated.cedar";

/// Who notices a mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "noticed")]
pub enum Noticed {
    /// Strict validation refuses it.
    ByValidation,
    /// A story ends otherwise.
    ByStory {
        /// Its name.
        story: String,
    },
    /// It can err, which no policy may.
    ByError,
    /// A property is false, or not held by the guardrails any more.
    ByProperty {
        /// Its id.
        property: String,
    },
    /// Nobody, and rightly: it changes no answer, and no guardrail's meaning.
    Equal,
    /// Nobody.
    ByNobody,
    /// Not known.
    NotProved {
        /// Why.
        why: String,
    },
}

/// A mistake and who notices it.
#[derive(Debug, Clone, Serialize)]
pub struct MutantResult {
    /// The policy that it is made in.
    pub policy: String,
    /// What it is.
    pub what: String,
    /// Who notices.
    #[serde(flatten)]
    pub noticed: Noticed,
    /// How long it took.
    pub milliseconds: u64,
}

/// Makes every `every`th mistake, given what was proved of the properties.
#[must_use]
pub fn mutations(
    book: &Book,
    promises: &[PromiseResult],
    stories: &[Stories],
    every: usize,
    solver: &Result<Solver, SolverError>,
) -> Vec<MutantResult> {
    let all: Vec<Mutant> = mutants(&book.texts.policies).into_iter().step_by(every.max(1)).collect();
    each(&all, solver, |session, mutant| {
        let start = Instant::now();
        let noticed = noticed(book, promises, stories, mutant, session);
        let noticed = noticed.unwrap_or_else(|why| Noticed::NotProved { why });
        let (policy, what) = (mutant.policy.clone(), mutant.what.clone());
        MutantResult { policy, what, noticed, milliseconds: millis(start) }
    })
}

/// The files of a rulebook with one mistake in its policies.
fn files(book: &Book, mutant: &Mutant) -> Files {
    let kept = |name: &&String| !name.ends_with(".cedar") || *name == PROPERTIES;
    let kept = book.files.keys().filter(kept).filter_map(|name| book.files.get_key_value(name));
    let mut files: Files = kept.map(|(name, text)| (name.clone(), text.clone())).collect();
    files.insert(POLICIES.to_owned(), mutant.text(&book.texts.policies));
    files
}

fn noticed(
    book: &Book,
    promises: &[PromiseResult],
    stories: &[Stories],
    mutant: &Mutant,
    session: &mut Session<'_>,
) -> Result<Noticed, String> {
    let files = files(book, mutant);
    let engine = Rulebook::parse(&files, |_| book.digest).and_then(|rulebook| Engine::new(&rulebook));
    let Ok(engine) = engine else { return Ok(Noticed::ByValidation) };
    let wrong = stories.iter().flat_map(|s| s.tell(&engine)).find(|told| !told.is_right());
    if let Some(told) = wrong {
        return Ok(Noticed::ByStory { story: told.name });
    }
    let Ok(mutated) = Book::read(files) else { return Ok(Noticed::ByValidation) };
    let original = book.texts.policies.iter().find(|p| *p.id() == PolicyId::new(&mutant.policy));
    let Some(original) = original else { return Err("the policy is not there".to_owned()) };
    let look = Look { book, mutated: &mutated, original };
    if look.errs(session)? {
        return Ok(Noticed::ByError);
    }
    let properties = likeliest_first(book, promises, original);
    let (first, others) = properties.split_at(LIKELY.min(properties.len()));
    if let Some(property) = look.property(first, session)? {
        return Ok(Noticed::ByProperty { property });
    }
    if look.equal(session)? {
        return Ok(Noticed::Equal);
    }
    Ok(match look.property(others, session)? {
        Some(property) => Noticed::ByProperty { property },
        None => Noticed::ByNobody,
    })
}

struct Look<'b> {
    book: &'b Book,
    mutated: &'b Book,
    original: &'b Policy,
}

impl Look<'_> {
    /// The kinds of request that the policy covers, in both books: a mistake is made in conditions only.
    fn kinds(&self) -> impl Iterator<Item = (&Kind, &Kind)> {
        let both = self.book.kinds.iter().zip(&self.mutated.kinds);
        both.filter(|(kind, _)| covers(self.original, kind))
    }

    fn changed(&self) -> Option<&Policy> {
        self.mutated.texts.policies.iter().find(|p| p.id() == self.original.id())
    }

    /// Whether it is not proved any more that the policy cannot err.
    fn errs(&self, session: &mut Session<'_>) -> Result<bool, String> {
        let Some(changed) = self.changed() else { return Ok(false) };
        for (_, kind) in self.kinds() {
            let compiled = self.mutated.one(kind, changed)?;
            if !session.none(&never_errors_asserts(&compiled))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn property(
        &self,
        properties: &[(&Property, By)],
        session: &mut Session<'_>,
    ) -> Result<Option<String>, String> {
        for (property, by) in properties {
            for (_, kind) in self.kinds().filter(|(kind, _)| covers(&property.policy, kind)) {
                if self.breaks(kind, property, *by, session)? {
                    return Ok(Some(property.id.clone()));
                }
            }
        }
        Ok(None)
    }

    /// Whether a property does not hold as it did before.
    fn breaks(
        &self,
        kind: &Kind,
        property: &Property,
        by: By,
        session: &mut Session<'_>,
    ) -> Result<bool, String> {
        let forbids = self.original.effect() == Effect::Forbid;
        let kept = forbids && guarded(self.mutated, kind, property, &self.mutated.guard(kind), session)?;
        match (forbids, by) {
            // Whatever is permitted, the guardrails hold it.
            (false, By::Guardrails) => return Ok(false),
            (true, By::Guardrails) => return Ok(!kept),
            _ if kept => return Ok(false),
            _ => {}
        }
        let changed = self.changed();
        for permit in self.mutated.policies(kind, Effect::Permit) {
            if !forbids && changed.is_none_or(|c| c.id() != permit.id()) {
                continue;
            }
            let set = self.mutated.with_guardrails(kind, permit, None);
            if !guarded(self.mutated, kind, property, &set, session)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether no request is answered otherwise, and for a guardrail: whatever were permitted.
    fn equal(&self, session: &mut Session<'_>) -> Result<bool, String> {
        let forbids = self.original.effect() == Effect::Forbid;
        for (before, after) in self.kinds() {
            let same = if forbids {
                let (old, new) = (self.book.guard(before)?, self.mutated.guard(after)?);
                session.none(&implies_asserts(&old, &new))? && session.none(&implies_asserts(&new, &old))?
            } else {
                let both = [Effect::Permit, Effect::Forbid];
                let all =
                    |book: &Book, kind| book.compile(kind, both.iter().flat_map(|e| book.policies(kind, *e)));
                let (old, new) = (all(self.book, before)?, all(self.mutated, after)?);
                let was = self.book.with_guardrails(before, self.original, None)?;
                let is = self.changed().map(|p| self.mutated.with_guardrails(after, p, None)).transpose()?;
                let less = session.none(&implies_asserts(&was, &new))?;
                less && is.map_or(Ok(true), |is| session.none(&implies_asserts(&is, &old)))?
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
