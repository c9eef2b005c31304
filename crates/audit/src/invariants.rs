//! What the auditor holds whatever the policies say: plain Rust, no Cedar, nothing an operator can loosen.

use crate::{
    codes::{Class, Treatment},
    facts::{Evidence, Facts, Group, PrincipalKind},
    report::Rule,
    rulebook::Programme,
};

/// The basis that needs a decision in force.
const ADEQUACY: &str = "adequacy";
/// A support case is used within two hours of its approval.
const CASE_SECONDS_MAX: u64 = 2 * 60 * 60;

/// What is wrong with an answer that was released on these facts.
pub(crate) fn check(programme: &Programme, facts: &Facts<'_>) -> Vec<(Rule, String)> {
    let mut problems = Vec::new();
    if facts.principal.kind == PrincipalKind::Subject {
        return problems;
    }
    for (number, group) in facts.groups.iter().enumerate() {
        let Some(treatment) = group.outcome else { continue };
        check_group(programme, facts, group, treatment, |rule, text| {
            problems.push((rule, format!("group {number}: {text}")));
        });
    }
    problems
}

fn check_group(
    programme: &Programme,
    facts: &Facts<'_>,
    group: &Group<'_>,
    treatment: Treatment,
    mut found: impl FnMut(Rule, String),
) {
    for country in countries(facts) {
        let outside = !programme.countries.contains(country);
        let shown = country.escape_debug();
        if outside && group.class == Class::Restricted && treatment.is_row_level() {
            found(Rule::Region, format!("restricted records went to `{shown}` as `{}`", treatment.word()));
        }
        if outside && !programme.assessments.standing(country, facts.now).lets(treatment) {
            let word = treatment.word();
            found(Rule::Assessment, format!("no assessment in force lets `{word}` cross to `{shown}`"));
        }
        if treatment == Treatment::Plain && programme.heightened.contains(country) {
            found(Rule::Heightened, format!("fields went in plain to the heightened country `{shown}`"));
        }
    }
    if let Some(Evidence::Flow(flow)) = &facts.evidence
        && flow.basis == ADEQUACY
        && !programme.countries.contains(flow.destination)
        && !programme.assessments.standing(flow.destination, facts.now).is_adequate()
    {
        let shown = flow.destination.escape_debug();
        found(Rule::Assessment, format!("no decision of adequacy for `{shown}` was in force"));
    }
    if treatment == Treatment::Aggregate && facts.k < programme.aggregate_k {
        found(
            Rule::GroupSize,
            format!("groups of {} were shown, {} is least", facts.k, programme.aggregate_k),
        );
    }
    if group.class != Class::Public && treatment.is_row_level() {
        check_evidence(facts, &mut found);
    }
}

/// Where the data of a crossing can be read: where the reader is, and where a flow ends.
fn countries<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = &'f str> {
    let flow = match &facts.evidence {
        Some(Evidence::Flow(flow)) if flow.destination != facts.principal.country => Some(flow.destination),
        _ => None,
    };
    std::iter::once(facts.principal.country).chain(flow)
}

fn check_evidence(facts: &Facts<'_>, found: &mut impl FnMut(Rule, String)) {
    let (user, approvers) = match &facts.evidence {
        Some(Evidence::Grant(grant)) => (grant.holder, [Some(grant.approver), grant.second]),
        Some(Evidence::Case(case)) => (case.engineer, [Some(case.approver), None]),
        Some(Evidence::Flow(_)) | None => return,
    };
    if approvers.iter().flatten().any(|approver| approver.tag == user) {
        found(Rule::Approval, "its evidence was approved by the one who uses it".into());
    }
    if user != facts.principal.tag {
        found(Rule::Approval, "its evidence belongs to somebody else".into());
    }
    if let Some(Evidence::Grant(grant)) = &facts.evidence
        && grant.incident.is_some()
        && grant.second.is_none_or(|s| s.tag == grant.approver.tag || s.employer == grant.approver.employer)
    {
        found(Rule::Approval, "break-glass was not approved by two people of different employers".into());
    }
    if let Some(Evidence::Case(case)) = &facts.evidence {
        match facts.now.checked_sub(case.approved_at) {
            Some(age) if age <= CASE_SECONDS_MAX => {}
            Some(age) => found(Rule::CaseWindow, format!("the case was used {age} s after its approval")),
            None => found(Rule::CaseWindow, "the case was used before its approval".into()),
        }
        if facts.subject != Some(case.subject) {
            found(Rule::Approval, "the case is about another person".into());
        }
    }
}
