//! What noise took of privacy budgets. Counts of a dataset whose rulebook has them leave with noise say what they took, no release
//! takes more than one may, and in any thirty days in a row all of them together took no more than a recipient, and a
//! dataset, has.
//!
//! Days are those of UTC, and what was spent counts on its day and the twenty-nine after it: the writer counts one day more, so
//! that a clock that differs a little at midnight is no finding.

use std::collections::BTreeMap;

use crate::{
    codes::{Kind, Treatment},
    entries::Problem,
    facts::{Evidence, Facts, Spent},
    header::Header,
    report::{Report, Rule},
    rulebook::Noise,
};

/// Days in a row over which budgets are held.
const WINDOW_DAYS: u64 = 30;
const DAY_SECONDS: u64 = 86_400;
/// The most that may go wrong for one recipient in that time, in 10^-18, for four of epsilon; half of it where rho is told as epsilon.
const DELTA_MAX: u64 = 1_000_000_000;
const EPSILON_OF_DELTA: u64 = 4_000_000;
/// ln(2 * 10^9), that is at half of this delta, in millionths, rounded down.
const LN_MICRO: u128 = 21_416_413;

/// What a release took of a budget.
pub(crate) struct Learned {
    dataset: String,
    recipient: String,
    day: u64,
    took: Spent,
    most: Noise,
}

impl Learned {
    /// Of an entry, with what is wrong with it alone. `counting` is what its rulebook says of the dataset, where counts leave with noise.
    pub(crate) fn of(
        header: &Header,
        facts: &Facts<'_>,
        counting: Option<&Noise>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut wrong = |text: &str| problems.push((Rule::Noise, text.to_owned()));
        let counts = header.kind.is_release() && header.treatments == Treatment::Aggregate.bit();
        let (took, most) = match (facts.spent, counting) {
            (Some(took), Some(most)) => (took, *most),
            (None, Some(_)) if counts => {
                wrong(
                    "its rulebook has counts of this dataset leave with noise, and it does not say what that took",
                );
                return None;
            }
            (Some(_), None) => {
                wrong("it took of a privacy budget that its rulebook does not have");
                return None;
            }
            (None, _) => return None,
        };
        if epsilon(&took) > most.release {
            wrong("it took more than one release of this dataset may");
        }
        let nothing = took.epsilon == 0 && took.rho == 0 && took.delta == 0;
        if nothing || header.kind != Kind::Answer {
            return None;
        }
        let recipient = match &facts.evidence {
            Some(Evidence::Flow(flow)) => format!("flow {}", flow.name),
            _ => format!("employer {}", facts.principal.employer),
        };
        Some(Self {
            dataset: facts.dataset.to_owned(),
            recipient,
            day: header.time / DAY_SECONDS,
            took,
            most,
        })
    }
}

/// What was learned on one day, and the entry that told it last.
#[derive(Clone)]
struct Day {
    took: Spent,
    most: Noise,
    last: (u16, u64),
}

/// What was learned of each dataset by each recipient, in all logs that were read.
#[derive(Default)]
pub(crate) struct Budgets(BTreeMap<(String, String), BTreeMap<u64, Day>>);

impl Budgets {
    /// Adds what an entry of a log says.
    pub(crate) fn add(&mut self, log: u16, index: u64, learned: Learned) {
        let Learned { dataset, recipient, day, took, most } = learned;
        let days = self.0.entry((dataset, recipient)).or_default();
        join(days, day, &Day { took, most, last: (log, index) });
    }

    /// Reports each day on which a budget was overspent, at its last entry, in the report of its log.
    pub(crate) fn finish(self, reports: &mut [&mut Report]) {
        let mut all: BTreeMap<String, BTreeMap<u64, Day>> = BTreeMap::new();
        for ((dataset, recipient), days) in self.0 {
            over(&days, |most| most.recipient, |_| DELTA_MAX, &mut |day, epsilon, most| {
                let text = format!(
                    "with it, `{recipient}` learned {epsilon} millionths of epsilon of `{dataset}` in thirty days, of at most {most}"
                );
                file(reports, day, text);
            });
            let together = all.entry(dataset).or_default();
            days.iter().for_each(|(number, day)| join(together, *number, day));
        }
        for (dataset, days) in all {
            let delta = |most: &Noise| most.dataset.div_ceil(EPSILON_OF_DELTA).saturating_mul(DELTA_MAX);
            over(&days, |most| most.dataset, delta, &mut |day, epsilon, most| {
                let text = format!(
                    "with it, all recipients learned {epsilon} millionths of epsilon of `{dataset}` in thirty days, of at most {most}"
                );
                file(reports, day, text);
            });
        }
    }
}

/// Adds to a day. A rulebook that was replaced on it gave what the more generous one did.
fn join(days: &mut BTreeMap<u64, Day>, number: u64, day: &Day) {
    match days.get_mut(&number) {
        None => drop(days.insert(number, day.clone())),
        Some(known) => {
            known.took = plus(known.took, day.took);
            known.most = Noise {
                release: known.most.release.max(day.most.release),
                recipient: known.most.recipient.max(day.most.recipient),
                dataset: known.most.dataset.max(day.most.dataset),
            };
            known.last = day.last;
        }
    }
}

/// The first day of each time at which more was learned in thirty days than may be.
fn over(
    days: &BTreeMap<u64, Day>,
    most: impl Fn(&Noise) -> u64,
    delta: impl Fn(&Noise) -> u64,
    found: &mut dyn FnMut(&Day, u64, u64),
) {
    let mut within = true;
    for (number, day) in days {
        let window = days.range(number.saturating_sub(WINDOW_DAYS - 1)..=*number);
        let none = Spent { epsilon: 0, rho: 0, delta: 0 };
        let all = window.fold(none, |sum, (_, day)| plus(sum, day.took));
        let (learned, may) = (epsilon(&all), most(&day.most));
        let wrong = all.delta.saturating_add(if all.rho > 0 { DELTA_MAX / 2 } else { 0 });
        let fits = learned <= may && wrong <= delta(&day.most);
        if within && !fits {
            found(day, learned, may);
        }
        within = fits;
    }
}

fn file(reports: &mut [&mut Report], day: &Day, text: String) {
    let (log, index) = day.last;
    if let Some(report) = reports.get_mut(usize::from(log)) {
        report.entry(Rule::Noise, index, text);
    }
}

fn plus(one: Spent, other: Spent) -> Spent {
    Spent {
        epsilon: one.epsilon.saturating_add(other.epsilon),
        rho: one.rho.saturating_add(other.rho),
        delta: one.delta.saturating_add(other.delta),
    }
}

/// All of it in millionths of epsilon: rho tells rho + 2 sqrt(rho ln(1/delta)), here rounded down.
fn epsilon(took: &Spent) -> u64 {
    let rho = u128::from(took.rho);
    let told = rho / 1_000 + (4 * rho * LN_MICRO / 1_000).isqrt();
    took.epsilon.saturating_add(u64::try_from(told).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Noise = Noise { release: 1_000_000, recipient: 4_000_000, dataset: 6_000_000 };

    fn findings(all: &[(&str, u64, u64)]) -> Vec<String> {
        let mut budgets = Budgets::default();
        for (index, (recipient, day, epsilon)) in (0..).zip(all) {
            let took = Spent { epsilon: *epsilon, rho: 0, delta: *epsilon / 4_000 };
            let (dataset, recipient) = ("export".to_owned(), (*recipient).to_owned());
            budgets.add(0, index, Learned { dataset, recipient, day: *day, took, most: MOST });
        }
        let mut report = Report::default();
        budgets.finish(&mut [&mut report]);
        report.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn thirty_days_in_a_row_hold_what_a_recipient_and_all_of_them_may_learn() {
        let one = 1_000_000;
        let four: Vec<_> = (0..4).map(|n| ("a", 100 + n, one)).collect();
        assert!(findings(&four).is_empty());
        let after = |day| [&four[..], &[("a", day, 1)]].concat();
        assert!(findings(&after(130)).is_empty(), "the first is more than thirty days ago");
        let found = findings(&after(129));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("entry 4: with it, `a` learned 4000001"), "{found:?}");
        // In whatever order the logs are read.
        let mut turned = after(129);
        turned.reverse();
        assert_eq!(findings(&turned).len(), 1);
        let two = |more| [&four[..], &[("b", 101, one), ("c", 102, one), ("c", 103, more)]].concat();
        assert!(findings(&two(0)).is_empty());
        let found = findings(&two(1));
        assert!(found.len() == 1 && found[0].contains("all recipients learned 6000001"), "{found:?}");
    }

    #[test]
    fn rho_is_told_as_epsilon_and_never_as_more_than_it_is() {
        // 0.011408447 is the most that tells one of epsilon (docs/aggregates.md has the formula).
        let told = |rho| epsilon(&Spent { epsilon: 0, rho, delta: 0 });
        assert!((999_990..=1_000_000).contains(&told(11_408_447)), "{}", told(11_408_447));
        assert_eq!(told(0), 0);
        assert!(told(u64::MAX) > MOST.dataset);
    }
}
