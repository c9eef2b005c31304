//! What was measured of a release's rows, held against its lane and against what became of it.

use crate::{
    codes::{Kind, Treatment},
    entries::Problem,
    facts::{Facts, Risk, VERDICT_HOLDS, VERDICT_PLAIN, VERDICT_WEAK},
    header::Header,
    report::Rule,
    rulebook::Lanes,
};

/// People of a class that are told apart, where a lane does not ask for more.
const COUNTED: u64 = 20;
const MILLION: u64 = 1_000_000;

/// What is wrong with an entry's measurement, or with its absence.
pub(crate) fn check(lanes: &Lanes, header: &Header, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let mut wrong = |text: &str| problems.push((Rule::Risk, text.to_owned()));
    let asked = lanes.lanes.get(&header.lane).and_then(|lane| lane.risk);
    let risk = match (&facts.risk, asked) {
        (None, Some(_)) if header.kind == Kind::Answer => {
            return wrong("its lane has every release measured, and it does not say what was");
        }
        (None, _) => return,
        (Some(_), None) => return wrong("it says what was measured, and its lane has nothing measured"),
        (Some(risk), Some(asked)) => {
            if risk.asked != asked {
                wrong("it was measured for another number of people than its lane asks for");
            }
            risk
        }
    };
    if header.kind == Kind::Open {
        wrong("it was measured before there was anything");
    }
    if !adds_up(risk) {
        wrong("its verdict does not follow from the numbers that were measured");
    }
    let treated =
        facts.groups.iter().filter_map(|group| group.outcome).any(|outcome| outcome != Treatment::Plain);
    if header.kind.is_release() && risk.verdict == VERDICT_PLAIN && treated {
        wrong("its pseudonyms can be undone, so that it counts as plain, and plain was not permitted");
    }
}

/// Whether the verdict is the one of these numbers.
fn adds_up(risk: &Risk) -> bool {
    let Risk { verdict, asked, k, l, unique, linkable } = *risk;
    let speaks = (k > 0 && k < asked) || unique > 0 || l == 1;
    let follows = match (linkable, speaks) {
        (true, _) => VERDICT_PLAIN,
        (false, true) => VERDICT_WEAK,
        (false, false) => VERDICT_HOLDS,
    };
    verdict == follows && (unique > 0) == (k == 1) && unique <= MILLION && k <= asked.max(COUNTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_follows_from_its_numbers_or_is_wrong() {
        let good = Risk { verdict: VERDICT_HOLDS, asked: 5, k: 20, l: 0, unique: 0, linkable: false };
        for risk in [
            good,
            Risk { asked: 50, k: 50, l: 2, ..good },
            Risk { k: 0, ..good },
            Risk { verdict: VERDICT_WEAK, k: 4, ..good },
            Risk { verdict: VERDICT_WEAK, k: 1, unique: 1, ..good },
            Risk { verdict: VERDICT_WEAK, l: 1, ..good },
            Risk { verdict: VERDICT_PLAIN, linkable: true, ..good },
            Risk { verdict: VERDICT_PLAIN, linkable: true, k: 1, unique: MILLION, ..good },
        ] {
            assert!(adds_up(&risk), "{risk:?}");
        }
        for risk in [
            Risk { verdict: VERDICT_PLAIN, ..good },
            Risk { linkable: true, ..good },
            Risk { verdict: VERDICT_WEAK, linkable: true, k: 2, ..good },
            Risk { verdict: VERDICT_WEAK, ..good },
            Risk { k: 4, ..good },
            Risk { l: 1, ..good },
            Risk { verdict: VERDICT_WEAK, k: 1, ..good },
            Risk { verdict: VERDICT_WEAK, k: 2, unique: 1, ..good },
            Risk { verdict: VERDICT_WEAK, k: 1, unique: MILLION + 1, ..good },
            Risk { k: 21, ..good },
        ] {
            assert!(!adds_up(&risk), "{risk:?}");
        }
    }
}
