//! Who approves what: `access.toml`, a part of the signed rulebook.
//!
//! A procedure says for which requests it is, how much it may give at most, and in which steps who must approve. What
//! no procedure covers cannot be asked for.

use std::collections::BTreeMap;

use crate::codes::{Ground, Purpose};
use crate::id::{ActorId, Name};
use crate::problem::Problems;

/// How much may cross under one grant, in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Distinct people.
    pub subjects: u64,
}

impl Amount {
    /// Whether no part of it is more than that of another.
    #[must_use]
    pub const fn within(&self, other: &Self) -> bool {
        self.rows <= other.rows && self.bytes <= other.bytes && self.subjects <= other.subjects
    }
}

/// People who may approve: by their names, or by a team that the operator has them on record in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    /// Teams.
    pub teams: Vec<Name>,
    /// People.
    pub members: Vec<ActorId>,
}

impl Set {
    /// Whether somebody of these teams is in it.
    #[must_use]
    pub fn holds(&self, id: &ActorId, teams: &[Name]) -> bool {
        self.members.contains(id) || self.teams.iter().any(|t| teams.contains(t))
    }
}

/// What happens when a step's time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Late {
    /// The request is denied.
    Deny,
    /// This set decides instead, once, in as much time again.
    Escalate(Name),
}

/// One step of a procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The sets whose people decide: any of them.
    pub of: Vec<Name>,
    /// How many must approve.
    pub need: u8,
    /// From how many employers they must be.
    pub employers: u8,
    /// Seconds that the step may take.
    pub seconds: u64,
    /// What comes then.
    pub late: Late,
}

/// Which requests are decided how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Procedure {
    /// Its name.
    pub name: Name,
    /// What it gives.
    pub ground: Ground,
    /// For which purposes.
    pub purposes: Vec<Purpose>,
    /// On which datasets; all if empty.
    pub datasets: Vec<Name>,
    /// The longest grant, in seconds.
    pub seconds_max: u64,
    /// The most that it gives.
    pub most: Amount,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Within how many seconds after its end somebody must review what was done; 0 for never.
    pub review_seconds: u64,
}

/// The file `access.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Procedures {
    /// Named sets.
    pub sets: BTreeMap<Name, Set>,
    /// Procedures, in the order of the file: the first that fits decides.
    pub procedures: Vec<Procedure>,
}

impl Procedures {
    /// The procedure for a request, if there is one.
    #[must_use]
    pub fn for_request(&self, ground: Ground, purpose: Purpose, dataset: &Name) -> Option<&Procedure> {
        self.procedures.iter().find(|p| {
            p.ground == ground
                && p.purposes.contains(&purpose)
                && (p.datasets.is_empty() || p.datasets.contains(dataset))
        })
    }

    /// A procedure by its name.
    #[must_use]
    pub fn named(&self, name: &Name) -> Option<&Procedure> {
        self.procedures.iter().find(|p| p.name == *name)
    }

    /// Whether somebody is in one of these sets.
    #[must_use]
    pub fn in_sets(&self, sets: &[Name], id: &ActorId, teams: &[Name]) -> bool {
        sets.iter().filter_map(|s| self.sets.get(s)).any(|s| s.holds(id, teams))
    }
}

/// Longest grant of any procedure: thirty days. Guardrail G16 holds the same bound.
const SECONDS_MAX: u64 = 30 * 86_400;
/// Longest step: two weeks.
const STEP_MINUTES_MAX: u64 = 14 * 24 * 60;
/// Most steps of a procedure, and most people that one asks for.
const STEPS_MAX: usize = 8;
const HELP: &str = "see docs/formats/access.md";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    sets: BTreeMap<String, RawSet>,
    #[serde(default)]
    procedure: Vec<RawProcedure>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSet {
    #[serde(default)]
    teams: Vec<String>,
    #[serde(default)]
    members: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProcedure {
    name: String,
    ground: String,
    purposes: Vec<String>,
    #[serde(default)]
    datasets: Vec<String>,
    hours_max: u64,
    rows_max: u64,
    bytes_max: u64,
    subjects_max: u64,
    #[serde(default)]
    review_hours: u64,
    step: Vec<RawStep>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    of: Vec<String>,
    #[serde(default = "one")]
    need: u8,
    #[serde(default = "one")]
    employers: u8,
    minutes: u64,
    escalate_to: Option<String>,
}

const fn one() -> u8 {
    1
}

impl Procedures {
    /// Reads `access.toml`.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut p = Problems::default();
        let raw: Result<Raw, _> = toml::from_str(text).map_err(|e| e.to_string().replace('\n', " "));
        let Some(raw) = p.keep("access.toml", HELP, raw) else { return Err(p) };
        let mut sets = BTreeMap::new();
        for (name, set) in &raw.sets {
            let place = format!("access.toml: sets.{name}");
            let teams = all(&place, &set.teams, Name::parse, &mut p);
            let members = all(&place, &set.members, ActorId::parse, &mut p);
            if teams.is_empty() && members.is_empty() {
                p.add(&place, "nobody is in it", "name teams or members");
            }
            if let Some(name) = p.keep(&place, "choose another name", Name::parse(name)) {
                sets.insert(name, Set { teams, members });
            }
        }
        let mut procedures: Vec<Procedure> = Vec::new();
        for raw in &raw.procedure {
            let Some(procedure) = procedure(raw, &sets, &mut p) else { continue };
            if procedures.iter().any(|known| known.name == procedure.name) {
                p.add(format!("access.toml: procedure `{}`", raw.name), "it stands twice", "rename one");
            }
            procedures.push(procedure);
        }
        p.or(Self { sets, procedures })
    }
}

fn all<T, E: std::fmt::Display>(
    place: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
    p: &mut Problems,
) -> Vec<T> {
    texts.iter().filter_map(|t| p.keep(place, HELP, parse(t))).collect()
}

fn procedure(raw: &RawProcedure, sets: &BTreeMap<Name, Set>, p: &mut Problems) -> Option<Procedure> {
    let place = format!("access.toml: procedure `{}`", raw.name);
    let name = p.keep(&place, "choose another name", Name::parse(&raw.name));
    let ground = p.keep(&place, "use grant, case or break-glass", Ground::parse(&raw.ground));
    let purposes = all(&place, &raw.purposes, Purpose::parse, p);
    if purposes.is_empty() {
        p.add(&place, "it serves no purpose", "name one from the list");
    }
    if purposes.iter().any(|p| matches!(p, Purpose::SelfAccess | Purpose::Migration | Purpose::Operation)) {
        p.add(&place, "no person may claim one of its purposes", "remove it");
    }
    let seconds_max = raw.hours_max.saturating_mul(3600);
    if seconds_max == 0 || seconds_max > SECONDS_MAX {
        p.add(&place, "`hours_max` is not between 1 and 720", "shorten it: no grant lasts more than 30 days");
    }
    let steps: Vec<Step> = raw.step.iter().filter_map(|s| step(&place, s, sets, p)).collect();
    if steps.is_empty() || steps.len() > STEPS_MAX {
        p.add(&place, "it has no step, or more than 8", "name who must approve");
    }
    let (name, ground) = (name?, ground?);
    if ground == Ground::BreakGlass {
        if !steps.iter().any(|s| s.need >= 2 && s.employers >= 2) {
            p.add(&place, "break-glass without two people of two employers", "set need = 2, employers = 2");
        }
        if raw.review_hours == 0 || raw.review_hours > 72 {
            p.add(&place, "break-glass without a review within 72 hours", "set review_hours, 1 to 72");
        }
    }
    let most = Amount { rows: raw.rows_max, bytes: raw.bytes_max, subjects: raw.subjects_max };
    Some(Procedure {
        name,
        ground,
        purposes,
        datasets: all(&place, &raw.datasets, Name::parse, p),
        seconds_max,
        most,
        steps,
        review_seconds: raw.review_hours.saturating_mul(3600),
    })
}

fn step(place: &str, raw: &RawStep, sets: &BTreeMap<Name, Set>, p: &mut Problems) -> Option<Step> {
    let mut known = |text: &String| {
        let name = p.keep(place, "choose another name", Name::parse(text))?;
        if !sets.contains_key(&name) {
            p.add(place, format!("the set `{name}` is not declared"), "declare it under [sets]");
        }
        Some(name)
    };
    let of: Vec<Name> = raw.of.iter().filter_map(&mut known).collect();
    let late = match &raw.escalate_to {
        Some(set) => Late::Escalate(known(set)?),
        None => Late::Deny,
    };
    if of.is_empty() {
        p.add(place, "a step that nobody decides", "name sets under `of`");
    }
    if raw.need == 0 || usize::from(raw.need) > STEPS_MAX {
        p.add(place, "`need` is not between 1 and 8", "one or more people must approve");
    }
    if raw.employers == 0 || raw.employers > raw.need {
        p.add(place, "`employers` is not between 1 and `need`", "people of n employers are n people");
    }
    if raw.minutes == 0 || raw.minutes > STEP_MINUTES_MAX {
        p.add(place, "`minutes` is not between 1 and 20,160", "a step ends within two weeks");
    }
    Some(Step { of, need: raw.need, employers: raw.employers, seconds: raw.minutes * 60, late })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [sets.leads]
        teams = ["support-leads"]
        [sets.security]
        members = ["niamh"]
        [[procedure]]
        name = "support-case"
        ground = "case"
        purposes = ["support"]
        hours_max = 2
        rows_max = 200
        bytes_max = 1_000_000
        subjects_max = 1
        [[procedure.step]]
        of = ["leads", "security"]
        minutes = 30
        escalate_to = "security"
    "#;

    fn why(text: &str) -> String {
        Procedures::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_request_is_decided_by_the_first_procedure_that_fits_and_by_none_where_none_does() {
        let all = Procedures::parse(GOOD).unwrap();
        let video = Name::parse("video").unwrap();
        let found = all.for_request(Ground::Case, Purpose::Support, &video).unwrap();
        assert_eq!(found.steps[0].late, Late::Escalate(Name::parse("security").unwrap()));
        assert!(all.for_request(Ground::Case, Purpose::Fraud, &video).is_none());
        assert!(all.for_request(Ground::Grant, Purpose::Support, &video).is_none());
        let niamh = ActorId::parse("niamh").unwrap();
        let sets: Vec<Name> = ["leads", "security"].map(|s| Name::parse(s).unwrap()).into();
        assert!(all.in_sets(&sets, &niamh, &[]));
        assert!(!all.in_sets(&sets[..1], &niamh, &[]));
        assert!(all.in_sets(&sets[..1], &niamh, &[Name::parse("support-leads").unwrap()]));
    }

    #[test]
    fn a_procedure_without_a_limit_a_step_or_a_known_set_is_a_problem() {
        assert!(why(&GOOD.replace("hours_max = 2", "hours_max = 0")).contains("hours_max"));
        assert!(why(&GOOD.replace("hours_max = 2", "hours_max = 721")).contains("720"));
        assert!(why(&GOOD.replace("[\"leads\", ", "[\"nobody\", ")).contains("not declared"));
        assert!(why(&GOOD.replace("minutes = 30", "minutes = 0")).contains("minutes"));
        assert!(why(&GOOD.replace("[\"support\"]", "[\"operation\"]")).contains("no person may claim"));
        assert!(why(&GOOD.replace("[\"support\"]", "[]")).contains("no purpose"));
        assert!(why(&GOOD.replace("teams = [\"support-leads\"]", "")).contains("nobody is in it"));
        assert!(why(&format!("{GOOD}\nneed = 2\nemployers = 3")).contains("employers"));
    }

    #[test]
    fn break_glass_needs_two_people_of_two_employers_and_a_review() {
        let glass = GOOD.replace("\"case\"", "\"break-glass\"");
        let found = why(&glass);
        assert!(found.contains("two employers") && found.contains("review"), "{found}");
        let whole = glass.replace("subjects_max = 1", "subjects_max = 1\nreview_hours = 72");
        assert!(Procedures::parse(&format!("{whole}\nneed = 2\nemployers = 2")).is_ok());
    }
}
