use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::registry::ActorKind;

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const MINUTE: u64 = 60;

const RULES: &str = r#"
    [sets.leads]
    teams = ["leads"]
    [sets.security]
    teams = ["security"]

    [[procedure]]
    name = "case"
    ground = "case"
    purposes = ["support"]
    hours_max = 2
    rows_max = 200
    bytes_max = 1000000
    subjects_max = 1
    [[procedure.step]]
    of = ["leads"]
    minutes = 30
    escalate_to = "security"

    [[procedure]]
    name = "grant"
    ground = "grant"
    purposes = ["support", "fraud"]
    datasets = ["export"]
    hours_max = 8
    rows_max = 1000
    bytes_max = 1000000
    subjects_max = 10
    [[procedure.step]]
    of = ["leads"]
    need = 2
    minutes = 60
    [[procedure.step]]
    of = ["security"]
    minutes = 60

    [[procedure]]
    name = "glass"
    ground = "break-glass"
    purposes = ["incident"]
    hours_max = 4
    rows_max = 1000
    bytes_max = 10000000
    subjects_max = 1000
    review_hours = 72
    [[procedure.step]]
    of = ["security"]
    need = 2
    employers = 2
    minutes = 15
"#;

fn rules() -> Procedures {
    Procedures::parse(RULES).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// The people of the story: two leads and two of security, of two employers, and two who ask.
fn staff() -> BTreeMap<ActorId, Actor> {
    let rows = [
        ("ana", "acme-eu", ""),
        ("mei", "acme-apac", ""),
        ("lea", "acme-eu", "leads"),
        ("leo", "acme-eu", "leads"),
        ("sam", "acme-eu", "security"),
        ("sue", "guard-eu", "security"),
        ("sid", "acme-eu", "security"),
    ];
    let actor = |(id, employer, team): (&str, &str, &str)| {
        let id = ActorId::parse(id).unwrap();
        let teams = if team.is_empty() { vec![] } else { vec![name(team)] };
        let (kind, employer) = (ActorKind::Employee, name(employer));
        (id.clone(), Actor { id, kind, employer, qualified: true, teams, deputies: vec![] })
    };
    rows.into_iter().map(actor).collect()
}

struct Office {
    rules: Procedures,
    staff: BTreeMap<ActorId, Actor>,
}

impl Office {
    fn new() -> Self {
        Self { rules: rules(), staff: staff() }
    }

    fn actor(&mut self, who: &str) -> &mut Actor {
        self.staff.get_mut(&ActorId::parse(who).unwrap()).unwrap()
    }

    fn person(&self, who: &str) -> Person<'_> {
        let record = &self.staff[&ActorId::parse(who).unwrap()];
        Person { record, country: Country::parse("IE").unwrap(), in_region: true, strong: true }
    }

    fn ask(&self, who: &str, wanted: Wanted) -> Result<Request, NotAllowed> {
        Request::ask(name("R-1"), wanted, self.person(who), &self.rules, NOW)
    }

    fn approve_at(&self, r: &mut Request, who: &str, at: UnixSeconds) -> Result<(), NotAllowed> {
        r.approve(self.person(who), &self.rules, |id| self.staff.get(id).cloned(), at)
    }

    fn approve(&self, r: &mut Request, who: &str) -> Result<(), NotAllowed> {
        self.approve_at(r, who, NOW.plus(MINUTE))
    }
}

fn wanted(ground: Ground) -> Wanted {
    let (purpose, dataset) = match ground {
        Ground::Case => (Purpose::Support, "video"),
        Ground::Grant => (Purpose::Support, "export"),
        Ground::BreakGlass => (Purpose::Incident, "export"),
    };
    Wanted {
        ground,
        purpose,
        case: name("T-4711"),
        kind: (ground == Ground::Case).then_some(CaseKind::VideoNotShown),
        incident: (ground == Ground::BreakGlass).then(|| name("I-7")),
        dataset: name(dataset),
        fields: Some(name("video-status")),
        subject: Some(SubjectId::from_index(&[1; 16])),
        seconds: 3600,
        amount: Amount { rows: 10, bytes: 1000, subjects: 1 },
    }
}

#[test]
fn one_approval_inside_the_region_makes_a_case_that_ends_by_itself() {
    let office = Office::new();
    let mut r = office.ask("mei", wanted(Ground::Case)).unwrap();
    assert!(r.case().is_none());
    office.approve(&mut r, "lea").unwrap();
    let case = r.case().unwrap();
    assert_eq!(case.approvals[0].by.as_str(), "lea");
    assert_eq!(case.not_after, NOW.plus(MINUTE + 3600));
    assert_eq!(case.usable(&ActorId::parse("mei").unwrap(), case.not_after), Err(crate::NotUsable::Time));
    assert!(r.grant().is_none(), "a case is no grant");
    assert_eq!(office.approve(&mut r, "leo"), Err(NotAllowed::Over));
}

#[test]
fn a_grant_needs_every_step_and_distinct_people() {
    let office = Office::new();
    let mut r = office.ask("ana", wanted(Ground::Grant)).unwrap();
    assert_eq!(office.approve(&mut r, "sam"), Err(NotAllowed::NotInSet), "a later step does not come first");
    office.approve(&mut r, "lea").unwrap();
    assert_eq!(office.approve(&mut r, "lea"), Err(NotAllowed::Twice));
    office.approve(&mut r, "leo").unwrap();
    assert!(matches!(r.state, State::Waiting { step: 1, .. }));
    assert!(r.grant().is_none());
    office.approve(&mut r, "sam").unwrap();
    assert_eq!(r.grant().unwrap().approvals.len(), 3);
}

#[test]
fn nobody_approves_their_own_whatever_sets_they_are_in() {
    let mut office = Office::new();
    office.actor("ana").teams = vec![name("leads"), name("security")];
    let mut r = office.ask("ana", wanted(Ground::Grant)).unwrap();
    assert_eq!(office.approve(&mut r, "ana"), Err(NotAllowed::Own));
}

#[test]
fn nobody_approves_from_outside_the_region_or_with_one_factor_or_as_a_service() {
    let mut office = Office::new();
    let mut r = office.ask("mei", wanted(Ground::Case)).unwrap();
    let lookup = |id: &ActorId| office.staff.get(id).cloned();
    let away = Person { in_region: false, country: Country::UNKNOWN, ..office.person("lea") };
    assert_eq!(r.approve(away, &office.rules, lookup, NOW), Err(NotAllowed::Outside));
    let weak = Person { strong: false, ..office.person("lea") };
    assert_eq!(r.approve(weak, &office.rules, lookup, NOW), Err(NotAllowed::Weak));
    assert_eq!(r.done.len(), 1, "what is refused leaves no trace");
    office.actor("lea").kind = ActorKind::Service;
    assert_eq!(office.approve(&mut r, "lea"), Err(NotAllowed::Kind));
}

#[test]
fn a_deputy_does_not_approve_in_either_direction() {
    let mut office = Office::new();
    let mut r = office.ask("mei", wanted(Ground::Case)).unwrap();
    office.actor("mei").deputies = vec![ActorId::parse("lea").unwrap()];
    assert_eq!(office.approve(&mut r, "lea"), Err(NotAllowed::Deputy));
    office.actor("mei").deputies.clear();
    office.actor("lea").deputies = vec![ActorId::parse("mei").unwrap()];
    assert_eq!(office.approve(&mut r, "lea"), Err(NotAllowed::Deputy));
}

#[test]
fn an_approver_who_becomes_the_requesters_deputy_does_not_count_when_the_grant_is_made() {
    let mut office = Office::new();
    let mut r = office.ask("ana", wanted(Ground::Grant)).unwrap();
    office.approve(&mut r, "lea").unwrap();
    office.approve(&mut r, "leo").unwrap();
    office.actor("ana").deputies = vec![ActorId::parse("leo").unwrap()];
    office.approve(&mut r, "sam").unwrap();
    assert!(
        matches!(r.state, State::Waiting { step: 0, .. }),
        "the first step lacks an approval again: {:?}",
        r.state
    );
    // So it does when somebody has left the set, or the record.
    office.actor("ana").deputies.clear();
    office.staff.remove(&ActorId::parse("lea").unwrap());
    let mut again = r.clone();
    assert_eq!(office.approve(&mut again, "leo"), Err(NotAllowed::Twice));
    assert!(r.grant().is_none());
}

#[test]
fn a_denial_is_final_and_what_is_granted_is_revoked_instead() {
    let office = Office::new();
    let mut r = office.ask("mei", wanted(Ground::Case)).unwrap();
    let mut granted = r.clone();
    r.deny(office.person("lea"), &office.rules, NOW).unwrap();
    assert_eq!(r.state, State::Denied);
    assert_eq!(office.approve(&mut r, "leo"), Err(NotAllowed::Over));
    office.approve(&mut granted, "leo").unwrap();
    assert_eq!(granted.deny(office.person("lea"), &office.rules, NOW), Err(NotAllowed::Over));
    assert_eq!(granted.revoke(office.person("ana"), &office.rules, NOW), Err(NotAllowed::NotYours));
    granted.revoke(office.person("lea"), &office.rules, NOW.plus(2 * MINUTE)).unwrap();
    assert!(granted.case().is_none());
    assert_eq!(granted.revoke(office.person("lea"), &office.rules, NOW), Err(NotAllowed::Over));
}

#[test]
fn a_step_ends_in_time_and_a_second_before_it_does_not() {
    let office = Office::new();
    let mut r = office.ask("ana", wanted(Ground::Grant)).unwrap();
    assert!(!r.tick(&office.rules, NOW.plus(60 * MINUTE - 1)));
    assert!(r.tick(&office.rules, NOW.plus(60 * MINUTE)));
    assert_eq!(r.state, State::TimedOut);
    assert_eq!(office.approve(&mut r, "lea"), Err(NotAllowed::Over));
}

#[test]
fn a_step_that_escalates_is_decided_by_others_and_ends_after_as_much_time_again() {
    let office = Office::new();
    let mut r = office.ask("mei", wanted(Ground::Case)).unwrap();
    assert_eq!(office.approve(&mut r.clone(), "sam"), Err(NotAllowed::NotInSet));
    assert!(r.tick(&office.rules, NOW.plus(30 * MINUTE)));
    let mut decided = r.clone();
    office.approve_at(&mut decided, "sam", NOW.plus(31 * MINUTE)).unwrap();
    assert!(decided.case().is_some());
    assert!(!r.tick(&office.rules, NOW.plus(60 * MINUTE - 1)));
    assert!(r.tick(&office.rules, NOW.plus(60 * MINUTE)));
    assert_eq!(r.state, State::TimedOut);
}

#[test]
fn break_glass_needs_two_people_of_two_employers_an_incident_and_a_review() {
    let office = Office::new();
    let no_incident = Wanted { incident: None, ..wanted(Ground::BreakGlass) };
    assert_eq!(office.ask("ana", no_incident), Err(NotAllowed::Shape));
    let mut r = office.ask("ana", wanted(Ground::BreakGlass)).unwrap();
    office.approve(&mut r, "sam").unwrap();
    office.approve(&mut r, "sid").unwrap();
    assert!(r.grant().is_none(), "two people of one employer");
    office.approve(&mut r, "sue").unwrap();
    let grant = r.grant().unwrap();
    assert!(grant.incident.is_some());
    assert_eq!(r.review(office.person("sam"), &office.rules, NOW.plus(60)), Err(NotAllowed::NothingToReview));
    let end = grant.not_after;
    assert!(!r.review_overdue(&office.rules, end.plus(72 * 3600)));
    assert!(r.review_overdue(&office.rules, end.plus(72 * 3600 + 1)));
    assert_eq!(r.review(office.person("lea"), &office.rules, end), Err(NotAllowed::NotInSet));
    r.review(office.person("sue"), &office.rules, end).unwrap();
    assert!(!r.review_overdue(&office.rules, end.plus(80 * 3600)));
}

#[test]
fn what_no_procedure_gives_cannot_be_asked_for() {
    let office = Office::new();
    let of = |change: fn(&mut Wanted)| {
        let mut w = wanted(Ground::Grant);
        change(&mut w);
        office.ask("ana", w).map(|_| ())
    };
    assert_eq!(of(|_| {}), Ok(()));
    assert_eq!(of(|w| w.purpose = Purpose::Research), Err(NotAllowed::Procedure));
    assert_eq!(of(|w| w.dataset = name("video")), Err(NotAllowed::Procedure));
    assert_eq!(of(|w| w.seconds = 8 * 3600 + 1), Err(NotAllowed::Time));
    assert_eq!(of(|w| w.seconds = 0), Err(NotAllowed::Time));
    assert_eq!(of(|w| w.amount.rows = 1001), Err(NotAllowed::Amount));
    assert_eq!(of(|w| w.amount.subjects = 0), Err(NotAllowed::Amount));
    assert_eq!(of(|w| w.kind = Some(CaseKind::VideoNotShown)), Err(NotAllowed::Shape));
}

#[test]
fn a_decoy_never_serves() {
    let office = Office::new();
    let mut r = Request { decoy: true, ..office.ask("mei", wanted(Ground::Case)).unwrap() };
    office.approve(&mut r, "lea").unwrap();
    assert!(matches!(r.state, State::Granted { .. }));
    assert!(r.case().is_none() && r.grant().is_none());
}

#[test]
fn a_request_whose_procedure_left_the_rulebook_is_not_decided_any_more() {
    let office = Office::new();
    let mut r = office.ask("mei", wanted(Ground::Case)).unwrap();
    let lookup = |id: &ActorId| office.staff.get(id).cloned();
    let none = Procedures::default();
    assert_eq!(r.approve(office.person("lea"), &none, lookup, NOW), Err(NotAllowed::ProcedureGone));
    assert!(r.tick(&none, NOW));
    assert_eq!(r.state, State::TimedOut);
}

#[test]
fn quality_shows_who_approves_everything_at_once() {
    let office = Office::new();
    let ask = |decoy| Request { decoy, ..office.ask("mei", wanted(Ground::Case)).unwrap() };
    let mut all = [ask(false), ask(false), ask(false), ask(true), ask(true)];
    office.approve_at(&mut all[0], "lea", NOW.plus(2)).unwrap();
    office.approve_at(&mut all[1], "lea", NOW.plus(4)).unwrap();
    all[2].deny(office.person("leo"), &office.rules, NOW.plus(600)).unwrap();
    office.approve_at(&mut all[3], "lea", NOW.plus(1)).unwrap();
    all[4].deny(office.person("leo"), &office.rules, NOW.plus(60)).unwrap();
    let q = crate::quality::measure(all.iter(), NOW, NOW.plus(1));
    assert_eq!((q.requests, q.granted, q.denied), (3, 2, 1));
    let of = |who| &q.approvers[&ActorId::parse(who).unwrap()];
    assert_eq!((of("lea").rate_percent(), of("lea").median_seconds()), (Some(100), Some(2)));
    assert_eq!((of("lea").decoys_approved, of("leo").decoys_denied), (1, 1));
    assert_eq!((of("leo").rate_percent(), of("leo").median_seconds()), (Some(0), Some(600)));
    assert_eq!(q.pairs.iter().map(|p| p.2).collect::<Vec<_>>(), [2]);
    assert_eq!(crate::quality::measure(all.iter(), NOW.plus(1), NOW.plus(9)).requests, 0);
}

/// What people try, in any order.
#[derive(Debug, Clone)]
enum Try {
    Approve(usize, bool),
    Deny(usize),
    Withdraw(usize),
    Revoke(usize),
    Wait(u64),
    Leave(usize),
    Deputy(usize),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let who = 0usize..7;
    let one = prop_oneof![
        6 => (who.clone(), any::<bool>()).prop_map(|(w, inside)| Try::Approve(w, inside)),
        1 => who.clone().prop_map(Try::Deny),
        1 => who.clone().prop_map(Try::Withdraw),
        1 => who.clone().prop_map(Try::Revoke),
        2 => (0u64..4000).prop_map(Try::Wait),
        1 => who.clone().prop_map(Try::Leave),
        1 => who.prop_map(Try::Deputy),
    ];
    prop::collection::vec(one, 0..30)
}

fn as_person(record: &Actor, inside: bool) -> Person<'_> {
    let country = Country::parse(if inside { "IE" } else { "SG" }).unwrap();
    Person { record, country, in_region: inside, strong: true }
}

proptest! {
    /// Whatever people try in whatever order: a grant has the approvals that its procedure asks for, by distinct people
    /// inside the region, none of them the requester; and its stored form reads back.
    #[test]
    fn no_order_of_acts_grants_without_the_approvals_that_the_procedure_asks_for(
        ground in prop::sample::select(Ground::ALL.to_vec()),
        tries in tries(),
    ) {
        let mut office = Office::new();
        let names: Vec<ActorId> = office.staff.keys().cloned().collect();
        let mut r = office.ask("ana", wanted(ground)).unwrap();
        let (mut now, mut granted_once) = (NOW, false);
        for t in tries {
            let before = r.clone();
            let of = |n: usize| office.staff.get(&names[n]).cloned();
            let outcome = match t {
                Try::Wait(seconds) => { now = now.plus(seconds); r.tick(&office.rules, now); Ok(()) }
                Try::Leave(n) => { office.staff.remove(&names[n]); Ok(()) }
                Try::Deputy(n) => {
                    let ana = ActorId::parse("ana").unwrap();
                    if let Some(ana) = office.staff.get_mut(&ana) { ana.deputies.push(names[n].clone()); }
                    Ok(())
                }
                Try::Approve(n, inside) => of(n).map_or(Ok(()), |a| {
                    r.approve(as_person(&a, inside), &office.rules, |id| office.staff.get(id).cloned(), now)
                }),
                Try::Deny(n) => of(n).map_or(Ok(()), |a| r.deny(as_person(&a, true), &office.rules, now)),
                Try::Withdraw(n) => of(n).map_or(Ok(()), |a| r.withdraw(as_person(&a, true), now)),
                Try::Revoke(n) => of(n).map_or(Ok(()), |a| r.revoke(as_person(&a, true), &office.rules, now)),
            };
            if outcome.is_err() { prop_assert_eq!(&r, &before, "a refusal changes nothing"); }
            if let State::Granted { .. } = r.state && !granted_once {
                granted_once = true;
                let procedure = office.rules.named(&r.procedure).unwrap();
                let mut all: Vec<_> = r.approvals().map(|d| d.by.clone().unwrap()).collect();
                let many = all.len();
                all.sort(); all.dedup();
                prop_assert_eq!(all.len(), many, "distinct people");
                prop_assert!(!all.contains(&r.requester));
                prop_assert!(r.approvals().all(|d| d.country.as_str() == "IE"));
                for (n, step) in procedure.steps.iter().enumerate() {
                    let counted: Vec<_> = r.approvals().filter(|d| d.step == n)
                        .filter(|d| office.staff.contains_key(d.by.as_ref().unwrap()))
                        .filter(|d| !office.staff[&r.requester].deputies.contains(d.by.as_ref().unwrap()))
                        .collect();
                    prop_assert!(counted.len() >= usize::from(step.need));
                }
            }
            let text = serde_json::to_string(&r).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Request>(&text).unwrap(), &r);
        }
    }
}
