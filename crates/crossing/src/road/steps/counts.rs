//! Counts of people: with small groups withheld, by a guard over what was told before, or with noise.
//!
//! Which of them, the rulebook says of the dataset (`[[count]]` of `lanes.toml`), and each way to a [`Treated`] asks it
//! again: what a guard must pass comes out for a [`Passed`] only, and what must have noise for a [`Released`] of just
//! this question. Both are made by `transform`, and handed out by `vault` once they are durable.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use ledger::facts::{Mechanism, Spent, with_spent};
use ledger::sha256;
use model::counts::{self, RECIPIENT_MAX_MICRO};
use model::{Name, Reason, Treatment};
use serde_json::{Value, json};
use transform::aggregate::{self, Passed};
use transform::budget::{Limits, Query, Released};
use transform::dp::groups::private_groups;
use transform::dp::{Answer, Cost, DELTA_MAX_ATTO, Delta, DpError, Epsilon, Grouped, Noised, Privacy};

use super::{Permitted, Refused, Treated};
use crate::format::Format;
use crate::seal::Payload;
use crate::treat::{Fired, Prose, Rows};

/// A question whose answer leaves with noise only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoisyQuestion {
    recipient: String,
    dataset: Name,
    query: Query,
    limits: Limits,
    privacy: Privacy,
    delta: Delta,
    k: u32,
}

impl NoisyQuestion {
    /// Who learns the answer: as with pseudonyms, an employer or a flow.
    #[must_use]
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// Of which dataset.
    #[must_use]
    pub const fn dataset(&self) -> &Name {
        &self.dataset
    }

    /// By what it is known: of one recipient, on one day in UTC, under one rulebook, for the same fields.
    #[must_use]
    pub const fn query(&self) -> Query {
        self.query
    }

    /// How much may be learned in thirty days.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// What the answer costs.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.privacy.cost_of_groups(self.delta)
    }

    /// Draws an answer, which can be read only by charging for it.
    ///
    /// # Errors
    /// [`DpError`].
    pub fn draw(&self, people: &Grouped) -> Result<Noised, DpError> {
        private_groups(people, self.k, self.privacy, self.delta)
    }
}

/// An answer with noise that was charged for, to a question.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// By what the question is known.
    pub query: Query,
    /// Which noise it was drawn with.
    pub privacy: Privacy,
    /// What may be told.
    pub released: &'a Released,
    /// What it took this time.
    pub took: Cost,
}

/// Counts without noise, on their way.
#[derive(Debug)]
pub enum Counted {
    /// They may leave.
    Free(Box<Treated>),
    /// A guard must let them pass.
    Guarded(Box<Guarded>),
}

/// Counts that leave only when a guard lets them pass.
#[derive(Debug)]
pub struct Guarded {
    treated: Treated,
    recipient: String,
    dataset: Name,
    groups: Vec<String>,
    k: NonZeroU64,
}

impl Guarded {
    /// Whose guard: as with pseudonyms, an employer or a flow.
    #[must_use]
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// Over which dataset.
    #[must_use]
    pub const fn dataset(&self) -> &Name {
        &self.dataset
    }

    /// The groups that would be told.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The smallest group.
    #[must_use]
    pub const fn k(&self) -> NonZeroU64 {
        self.k
    }

    /// What the guard let pass.
    ///
    /// # Errors
    /// [`Refused`] when it let another number of groups pass.
    pub fn pass(self, passed: &Passed) -> Result<Treated, Refused> {
        let same = passed.groups() == self.groups.len();
        if same { Ok(self.treated) } else { Err(self.treated.refuse(Reason::Difference)) }
    }

    /// Refuses: the guard does not let it pass, or nobody can say.
    #[must_use]
    pub fn refuse(self, reason: Reason) -> Refused {
        self.treated.refuse(reason)
    }
}

impl Permitted<'_> {
    /// Shows the groups that are large enough. `counts` holds distinct people by value.
    ///
    /// # Errors
    /// [`Refused`] when no group may be shown, or only with noise.
    pub fn count(self, counts: BTreeMap<String, u64>) -> Result<Counted, Refused> {
        let k = NonZeroU64::new(u64::from(self.k())).unwrap_or(NonZeroU64::MAX);
        let (privacy, dataset) = match self.counting() {
            Some((privacy, dataset)) if !matches!(privacy, counts::Privacy::Noise(_)) => (privacy, dataset),
            _ => return Err(self.refuse(Reason::Policy)),
        };
        let release = aggregate::release(counts, k);
        if release.shown.is_empty() {
            return Err(self.refuse(Reason::Threshold));
        }
        let (shown, findings) = clean(release.shown);
        let body = json!({ "groups": told(&shown), "withheld_groups": release.withheld, "k": k.get() });
        let recipient = self.recipient.clone();
        let groups = shown.into_iter().map(|(group, _)| group).collect::<Vec<_>>();
        let treated = self.counted(groups.len(), findings, &body)?;
        Ok(match privacy {
            counts::Privacy::Guard => {
                Counted::Guarded(Box::new(Guarded { treated, recipient, dataset, groups, k }))
            }
            _ => Counted::Free(Box::new(treated)),
        })
    }

    /// Whether a guard must let the groups pass, and so must know who is in them.
    #[must_use]
    pub fn guarded(&self) -> bool {
        matches!(self.counting(), Some((counts::Privacy::Guard, _)))
    }

    /// The question, where the rulebook has its answer leave with noise only.
    #[must_use]
    pub fn question(&self) -> Option<NoisyQuestion> {
        let Some((counts::Privacy::Noise(noise), dataset)) = self.counting() else { return None };
        let key = json!([
            "clover count v1",
            self.outline.rulebook.to_string(),
            self.recipient,
            dataset.as_str(),
            self.outline.fields[..],
            self.outline.now.day(),
        ]);
        // Of the delta of thirty days each release takes the part that it takes of the epsilon.
        let delta = DELTA_MAX_ATTO.saturating_mul(u64::from(noise.epsilon_micro)) / RECIPIENT_MAX_MICRO;
        Some(NoisyQuestion {
            recipient: self.recipient.clone(),
            query: Query::new(*sha256(key.to_string().as_bytes()).bytes()),
            limits: Limits::new(noise.recipient_micro, noise.dataset_micro).ok()?,
            privacy: Privacy::Pure(Epsilon::micro(noise.epsilon_micro).ok()?),
            delta: Delta::atto(delta).ok()?,
            k: self.k(),
            dataset,
        })
    }

    /// Shows an answer that was charged for, and writes into the facts what it took this time.
    ///
    /// # Errors
    /// [`Refused`] when it is the answer to another question, or over a limit.
    pub fn noised(
        mut self,
        question: &NoisyQuestion,
        released: &Released,
        took: Cost,
    ) -> Result<Treated, Refused> {
        let ours = self.question().is_some_and(|q| q == *question) && released.query() == question.query;
        let Answer::Groups(groups) = released.answer() else { return Err(self.refuse(Reason::Upstream)) };
        if !ours {
            return Err(self.refuse(Reason::Upstream));
        }
        let mechanism = match self.took(question.privacy, took) {
            Ok(mechanism) => mechanism,
            Err(reason) => return Err(self.refuse(reason)),
        };
        let (shown, findings) = clean(groups.clone());
        let noise = json!({
            "mechanism": mechanism.word(),
            "epsilon": counts::decimal(question.cost().total_epsilon_micro()),
            "delta_atto": question.delta.as_atto(),
        });
        let drawn = released.at().rfc3339();
        let body = json!({ "groups": told(&shown), "k": self.k(), "noise": noise, "drawn_at": drawn });
        self.counted(shown.len(), findings, &body)
    }

    /// Writes into the facts what an answer took of privacy budgets.
    fn took(&mut self, privacy: Privacy, took: Cost) -> Result<Mechanism, Reason> {
        let mechanism = match privacy {
            Privacy::Pure(_) => Mechanism::Laplace,
            Privacy::Concentrated(_) => Mechanism::Gaussian,
        };
        let spent = Spent {
            mechanism,
            epsilon_micro: took.pure_micro(),
            rho_nano: took.rho_nano(),
            delta_atto: took.pure_delta_atto(),
        };
        self.outline.facts = with_spent(&self.outline.facts, &spent).map_err(|_| Reason::Evaluation)?;
        Ok(mechanism)
    }

    /// Rows of numbers about a table, as messages of PostgreSQL's protocol. With noise they are of an answer that was charged for;
    /// without they hold groups of enough people only, where the rulebook has numbers of the dataset leave so.
    ///
    /// # Errors
    /// [`Refused`] when the rulebook has numbers of the dataset leave otherwise, or this is the answer to another question.
    pub fn numbers(mut self, noise: Option<&Told<'_>>, rows: &Rows<'_>) -> Result<Treated, Refused> {
        let counting = self.counting().map(|(privacy, _)| privacy);
        let right = match (counting, noise) {
            (Some(counts::Privacy::Noise(_)), Some(told)) => told.released.query() == told.query,
            (Some(counts::Privacy::Threshold), None) => true,
            _ => false,
        };
        let Some(selection) = self.selection.filter(|_| right) else {
            return Err(self.refuse(Reason::Policy));
        };
        if let Some(told) = noise
            && let Err(reason) = self.took(told.privacy, told.took)
        {
            return Err(self.refuse(reason));
        }
        // With room for nobody: whoever names people is refused.
        match self.look(selection, Prose::Withheld, 0, rows) {
            Ok(looked) => Ok(self.looked_at(looked, true)),
            Err(reason) => Err(self.refuse(reason)),
        }
    }

    /// Whom it would be released to, as budgets and pseudonyms name them.
    #[must_use]
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// How counts of the dataset leave, where counts were decided for.
    fn counting(&self) -> Option<(counts::Privacy, Name)> {
        let dataset = Name::parse(&self.outline.dataset).ok()?;
        let counts = self.outcomes.iter().all(|o| *o == Some(Treatment::Aggregate));
        // An intent says beforehand whom a crossing is about, and of a count nobody can.
        let counts = counts && !self.intent;
        counts.then(|| (self.road.rulebook().lanes.counting(&dataset), dataset))
    }

    fn k(&self) -> u32 {
        self.road.rulebook().programme.k
    }

    fn counted(self, groups: usize, findings: u32, body: &Value) -> Result<Treated, Refused> {
        let rows = u32::try_from(groups).unwrap_or(u32::MAX);
        if rows > self.rows_max {
            return Err(self.refuse(Reason::Limit));
        }
        Ok(Treated {
            classes: self.classes(),
            treatments: self.treatments(),
            outline: self.outline,
            payload: Payload::new(body.to_string().into_bytes()),
            format: Format::Json,
            people: Vec::new(),
            population: true,
            rows,
            findings,
            fired: Fired::new(),
        })
    }
}

/// Groups in whose names no personal data is found, and how many others there were.
fn clean<N>(groups: Vec<(String, N)>) -> (Vec<(String, N)>, u32) {
    let before = groups.len();
    let clean: Vec<_> = groups.into_iter().filter(|(group, _)| inspect::is_clean(group.as_bytes())).collect();
    let findings = u32::try_from(before - clean.len()).unwrap_or(u32::MAX);
    (clean, findings)
}

fn told<N: Copy + Into<Value>>(groups: &[(String, N)]) -> Vec<Value> {
    groups.iter().map(|(value, people)| json!({ "value": value, "people": (*people).into() })).collect()
}
