//! Answers with noise: charged for before their statement runs, drawn from what it answers, shown from what is stored.

use model::counts::{Noise, RECIPIENT_MAX_MICRO};
use transform::budget::{Limits, Query};
use transform::dp::bound::GROUPS_MAX;
use transform::dp::table::{Cells, Key, Names, price, table};
use transform::dp::{Answer, Cost, DELTA_MAX_ATTO, Delta, DpError, Epsilon, Noised, Privacy};

use super::question::{Number, Question, Shown};
use super::refusal::Refusal;
use super::statement::Statement;
use super::told::{Cell, Told};
use super::{Row, Unanswered};

/// A question and the noise of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noisy {
    question: Question,
    k: u32,
    privacy: Privacy,
    names: Names,
    limits: Limits,
    cost: Cost,
}

impl Noisy {
    /// # Errors
    /// [`Refusal`], when there is no such noise.
    pub(super) fn new(question: Question, noise: Noise, k: u32) -> Result<Self, Refusal> {
        let small = |_: DpError| {
            Refusal::new("54000", None, "the budget of a question is too small for so many numbers")
        };
        let epsilon = Epsilon::micro(noise.epsilon_micro).map_err(small)?;
        let numbers = question.numbers.len();
        // One person changes each number of each of their groups.
        let changed = question.groups_of_person().saturating_mul(u32::try_from(numbers).unwrap_or(u32::MAX));
        let privacy = Privacy::least_noise(epsilon, changed).map_err(small)?;
        // Of the delta of thirty days each answer takes the part that it takes of the epsilon; half of it where the telling of
        // rho as epsilon takes the other.
        let delta = DELTA_MAX_ATTO.saturating_mul(u64::from(noise.epsilon_micro)) / RECIPIENT_MAX_MICRO;
        let delta = if matches!(privacy, Privacy::Concentrated(_)) { delta / 2 } else { delta };
        let names = match question.named() {
            Some(_) => Names::Declared,
            None => Names::Data { k, delta: Delta::atto(delta).map_err(small)? },
        };
        let cost = price(numbers, names, privacy).map_err(small)?;
        let limits = Limits::new(noise.recipient_micro, noise.dataset_micro);
        let limits =
            limits.map_err(|_| Refusal::new("54000", None, "no answer would ever fit its budget"))?;
        Ok(Self { question, k, privacy, names, limits, cost })
    }

    /// What is asked.
    #[must_use]
    pub const fn question(&self) -> &Question {
        &self.question
    }

    /// What the answer costs.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// How much may be learned in thirty days.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Which noise.
    #[must_use]
    pub const fn privacy(&self) -> Privacy {
        self.privacy
    }

    /// By what the question is known; `of` as in [`Question::query`]. Noise and bounds are part of it.
    #[must_use]
    pub fn query(&self, of: &[&str]) -> Query {
        let k = if matches!(self.names, Names::Declared) { 0 } else { self.k };
        let (micro, nano) = (self.cost.pure_micro(), self.cost.rho_nano());
        let noise = format!("{micro} {nano} {} {k}", self.cost.pure_delta_atto());
        let of: Vec<&str> = of.iter().copied().chain([noise.as_str()]).collect();
        self.question.query(&of)
    }

    /// What is to be run once it was charged for. The seed chooses which of their groups people with too many of them count in:
    /// eight random bytes, new for each run.
    #[must_use]
    pub fn statement(&self, seed: i64) -> Statement {
        Statement::of_groups(&self.question, seed, GROUPS_MAX)
    }

    /// Draws the answer from what the statement answered. It can be read only by charging for it.
    ///
    /// # Errors
    /// [`Unanswered`]
    pub fn draw(&self, rows: impl IntoIterator<Item = Row>) -> Result<Noised, Unanswered> {
        let most = self.question.numbers.iter().map(|number| self.question.most(*number)).collect();
        let mut cells = Cells::new(self.question.groups_of_person(), most)?;
        for cell in self.question.named().into_iter().flatten() {
            cells.name(cell)?;
        }
        for row in rows {
            let mut row = row.into_iter();
            let key = row.by_ref().take(self.question.keys.len()).collect();
            // A sum of nothing is none.
            let number = |text: Option<String>| text.map_or(Some(0), |text| text.parse::<i128>().ok());
            let numbers = row.map(number).collect::<Option<Vec<i128>>>().ok_or(Unanswered::Form)?;
            if numbers.iter().any(|number| *number != 0) {
                cells.put(key, numbers)?;
            }
        }
        Ok(table(&cells, self.names, self.privacy)?)
    }

    /// An answer that was charged for, as it is shown to who asked: nothing of the data is read any more.
    ///
    /// # Errors
    /// [`Unanswered::Form`] when it is no answer to this question.
    pub fn told(&self, answer: &Answer) -> Result<Told, Unanswered> {
        let Answer::Table(groups) = answer else { return Err(Unanswered::Form) };
        if self.question.is_of_quantiles() {
            return self.quantiles(groups);
        }
        let least = i64::from(self.k.max(self.question.least.unwrap_or(0)));
        let (mut rows, mut withheld) = (Vec::new(), 0_usize);
        for (key, numbers) in groups {
            let fits = key.len() == self.question.keys.len() && numbers.len() == self.question.numbers.len();
            let people = numbers.first().copied().filter(|_| fits).ok_or(Unanswered::Form)?;
            if people < least {
                withheld += 1;
                continue;
            }
            let of = |wanted: Number| {
                self.question
                    .numbers
                    .iter()
                    .zip(numbers)
                    .find(|(number, _)| **number == wanted)
                    .map(|(_, n)| *n)
            };
            let shown = self.question.shown.iter().map(|(_, shown)| match shown {
                Shown::Key(_) => self.question.key_cell(*shown, key),
                Shown::Quantile(..) => None,
                Shown::Number(number) => of(*number).map(|n| self.question.number_cell(*number, n)),
                Shown::Mean(column) => {
                    let rows = of(Number::Rows).or_else(|| of(Number::People));
                    of(Number::Sum(*column))
                        .zip(rows)
                        .map(|(sum, rows)| self.question.mean_cell(*column, sum, rows))
                }
            });
            rows.push(shown.collect::<Option<Vec<Cell>>>().ok_or(Unanswered::Form)?);
        }
        // How many groups of the data are withheld follows from no noise.
        let withheld = matches!(self.names, Names::Declared).then_some(withheld);
        Ok(self.question.told(rows, withheld))
    }

    /// Quantiles follow from the noisy numbers of all bands, of few people or many: that takes nothing more of anybody's privacy.
    /// Of fewer people than the smallest group, by their noisy number, there are none; somebody may count once in each of their bands.
    fn quantiles(&self, groups: &[(Key, Vec<i64>)]) -> Result<Told, Unanswered> {
        let question = &self.question;
        let of = |number| question.bands(groups, number).ok_or(Unanswered::Form);
        let people: i64 = of(Number::People)?.iter().map(|(_, people)| *people).sum();
        let enough = people >= i64::from(self.k) * i64::from(question.groups_of_person());
        let counted = of(question.declared.counted())?;
        let cell = |(_, shown): &(String, Shown)| match shown {
            Shown::Quantile(_, part) if enough => Some(question.quantile_cell(*part, &counted)),
            Shown::Quantile(..) => Some(Cell::Null),
            Shown::Key(_) | Shown::Number(_) | Shown::Mean(_) => None,
        };
        let row = question.shown.iter().map(cell).collect::<Option<Vec<Cell>>>();
        Ok(question.told(vec![row.ok_or(Unanswered::Form)?], None))
    }
}
