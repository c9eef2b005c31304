//! What an entry says of fields, flows and lanes, compared with what its rulebook declares.

use std::collections::HashSet;

use crate::{
    codes::purpose_name,
    facts::{Evidence, Facts, Flow},
    header::Header,
    report::Rule,
    rulebook::{Lanes, Rulebook},
};

/// What an entry says that its rulebook does not.
pub(crate) fn check(rulebook: &Rulebook, header: &Header, facts: &Facts<'_>) -> Vec<(Rule, String)> {
    let mut problems = Vec::new();
    check_groups(rulebook, facts, |text| problems.push((Rule::Catalogue, text)));
    if let Some(Evidence::Flow(flow)) = &facts.evidence {
        check_flow(&rulebook.lanes, header, facts, flow, |text| problems.push((Rule::Register, text)));
    }
    check_lane(&rulebook.lanes, header, facts, |text| problems.push((Rule::Lane, text)));
    problems
}

/// A class or a list that no field has would have policy decide about fields that do not exist.
fn check_groups(rulebook: &Rulebook, facts: &Facts<'_>, mut found: impl FnMut(String)) {
    let mut seen = HashSet::new();
    for (number, group) in facts.groups.iter().enumerate() {
        let class = group.class.word();
        if !seen.insert((class, &group.lists)) {
            found(format!("group {number}: an earlier group has its class and lists"));
        }
        let declared = rulebook.catalogue.count(facts.dataset, group.class, &group.lists);
        if group.fields == 0 || group.fields > declared {
            let (fields, dataset, lists) = (group.fields, facts.dataset, group.lists.join("`, `"));
            let lists = if lists.is_empty() { "no list".into() } else { format!("just `{lists}`") };
            found(format!(
                "group {number}: it has {fields} {class} fields of `{dataset}` in {lists}, \
                 the catalogue has {declared}"
            ));
        }
    }
}

fn check_flow(
    lanes: &Lanes,
    header: &Header,
    facts: &Facts<'_>,
    flow: &Flow<'_>,
    mut found: impl FnMut(String),
) {
    let name = flow.name;
    let Some(declared) = lanes.flows.get(name) else {
        return found(format!("the rulebook has no flow `{name}`"));
    };
    let mut differ = |what: &str, said: &str, is: &str| {
        if said != is {
            found(format!("flow `{name}` has the {what} `{is}`, and the facts say `{said}`"));
        }
    };
    let state = |active| if active { "active" } else { "inactive" };
    differ("list", flow.fields, &declared.fields);
    differ("destination", flow.destination, &declared.destination);
    differ("basis", flow.basis, &declared.basis);
    differ("state", state(flow.active), state(declared.active));
    differ("purpose", purpose_name(facts.purpose), purpose_name(declared.purpose));
    if header.lane != declared.lane {
        found(format!("flow `{name}` has another lane than the header says"));
    }
}

/// The gateway's own ways have names that no rulebook declares: nothing is known of those here.
fn check_lane(lanes: &Lanes, header: &Header, facts: &Facts<'_>, mut found: impl FnMut(String)) {
    let Some(lane) = lanes.lanes.get(&header.lane) else { return };
    let name = &lane.name;
    if facts.dataset != lane.dataset {
        found(format!("lane `{name}` is one of `{}`, and the facts say `{}`", lane.dataset, facts.dataset));
    }
    if facts.rows > lane.rows_max {
        found(format!("lane `{name}` allows {} rows, and the facts say {}", lane.rows_max, facts.rows));
    }
}
