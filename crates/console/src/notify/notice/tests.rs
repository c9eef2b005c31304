use std::collections::{BTreeMap, BTreeSet};

use access::{Actor, ActorKind, Person, Wanted};
use model::procedures::Amount;
use model::{CaseKind, Country, Purpose, SubjectId};

use super::*;
use crate::notify::mail::{Mailbox, message};
use crate::notify::webhook::event;

pub(in crate::notify) const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const HOUR: u64 = 3600;

const RULES: &str = r#"
    [sets.leads]
    members = ["lea-secret", "leo-secret"]
    [sets.security]
    teams = ["security"]
    [[procedure]]
    name = "agent-grant"
    ground = "grant"
    purposes = ["support"]
    hours_max = 8
    rows_max = 100
    bytes_max = 1_000_000
    subjects_max = 1
    review_hours = 24
    [[procedure.step]]
    of = ["leads"]
    minutes = 60
    [[procedure.step]]
    of = ["security"]
    minutes = 30
    escalate_to = "leads"
    [[procedure]]
    name = "glass"
    ground = "break-glass"
    purposes = ["incident"]
    hours_max = 8
    rows_max = 100
    bytes_max = 1_000_000
    subjects_max = 1
    review_hours = 24
    [[procedure.step]]
    of = ["leads", "security"]
    need = 2
    employers = 2
    minutes = 15
"#;

pub(in crate::notify) fn rules() -> Procedures {
    Procedures::parse(RULES).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn id(text: &str) -> ActorId {
    ActorId::parse(text).unwrap()
}

/// Whatever may stand in no notice bears this word.
const PERSONAL: &str = "secret";

pub(in crate::notify) fn staff() -> BTreeMap<ActorId, Actor> {
    let rows = [
        ("ana-secret", "acme-secret", ""),
        ("lea-secret", "acme-secret", ""),
        ("leo-secret", "acme-secret", ""),
        ("sam-secret", "guard-secret", "security"),
    ];
    let actor = |(who, employer, team): (&str, &str, &str)| {
        let teams = if team.is_empty() { vec![] } else { vec![name(team)] };
        let (kind, employer) = (ActorKind::Employee, name(employer));
        (id(who), Actor { id: id(who), kind, employer, qualified: true, teams, deputies: vec![] })
    };
    rows.into_iter().map(actor).collect()
}

pub(in crate::notify) fn asked(request: &str, ground: Ground, at: UnixSeconds) -> Request {
    let wanted = Wanted {
        ground,
        purpose: if ground == Ground::BreakGlass { Purpose::Incident } else { Purpose::Support },
        case: name("T-secret"),
        kind: (ground == Ground::Case).then_some(CaseKind::VideoNotShown),
        incident: (ground == Ground::BreakGlass).then(|| name("I-secret")),
        dataset: name("export-secret"),
        fields: Some(name("fields-secret")),
        subject: Some(SubjectId::from_index(&[1; 16])),
        seconds: HOUR,
        amount: Amount { rows: 10, bytes: 1000, subjects: 1 },
    };
    let staff = staff();
    Request::ask(name(request), wanted, person(&staff, "ana-secret"), &rules(), at).unwrap()
}

fn person<'s>(staff: &'s BTreeMap<ActorId, Actor>, who: &str) -> Person<'s> {
    let record = &staff[&id(who)];
    Person { record, country: Country::parse("IE").unwrap(), in_region: true, strong: true }
}

pub(in crate::notify) fn approve(request: &mut Request, who: &str, at: UnixSeconds) {
    let staff = staff();
    request.approve(person(&staff, who), &rules(), |id| staff.get(id).cloned(), at).unwrap();
}

fn deny(request: &mut Request, who: &str) {
    request.deny(person(&staff(), who), &rules(), NOW).unwrap();
}

/// What the last act on a request gives to tell.
fn last(request: &Request) -> Vec<Told> {
    let rules = rules();
    Teller { source: "clover:p/s", rules: &rules }.of_act(request, request.done.len() - 1)
}

fn due(request: &Request, from: UnixSeconds, until: UnixSeconds) -> Vec<Told> {
    let rules = rules();
    Teller { source: "clover:p/s", rules: &rules }.of_time(request, from, until)
}

fn kinds(told: &[Told]) -> Vec<Kind> {
    told.iter().map(|(notice, _)| notice.kind).collect()
}

fn accounts(ids: &[&str]) -> Audience {
    Audience { accounts: ids.iter().map(|i| id(i)).collect(), ..Audience::default() }
}

#[test]
fn a_step_that_waits_is_told_to_its_people_and_not_to_who_asked() {
    let mut r = asked("R-1", Ground::Grant, NOW);
    let told = last(&r);
    assert_eq!(kinds(&told), [Kind::Waits]);
    let (notice, to) = &told[0];
    assert_eq!((&to.sets, &to.except), (&vec![name("leads")], &vec![id("ana-secret")]));
    assert_eq!((notice.step, notice.deadline), (Some((1, 2)), Some(NOW.plus(HOUR))));
    approve(&mut r, "lea-secret", NOW.plus(60));
    let told = last(&r);
    assert_eq!(kinds(&told), [Kind::Approved, Kind::Waits]);
    assert_eq!(told[0].1, accounts(&["ana-secret"]));
    let (notice, to) = &told[1];
    assert_eq!((&to.sets, notice.step), (&vec![name("security")], Some((2, 2))));
    assert_eq!(notice.deadline, Some(NOW.plus(60 + 1800)));
    assert!(r.tick(&rules(), NOW.plus(60 + 1800)));
    let told = last(&r);
    assert_eq!(kinds(&told), [Kind::Escalated]);
    assert_eq!(told[0].1.sets, [name("security"), name("leads")]);
    assert!(told[0].1.except.contains(&id("lea-secret")), "who has approved cannot again");
    assert!(r.tick(&rules(), NOW.plus(60 + 3600)));
    assert_eq!(kinds(&last(&r)), [Kind::TimedOut]);
}

#[test]
fn a_decision_is_told_to_who_asked_and_a_revocation_also_to_who_had_approved() {
    let mut r = asked("R-1", Ground::Grant, NOW);
    let mut denied = r.clone();
    deny(&mut denied, "leo-secret");
    assert_eq!(last(&denied), [(last(&denied)[0].0.clone(), accounts(&["ana-secret"]))]);
    assert_eq!(kinds(&last(&denied)), [Kind::Denied]);
    approve(&mut r, "lea-secret", NOW);
    approve(&mut r, "sam-secret", NOW);
    let told = last(&r);
    assert_eq!((kinds(&told), &told[0].1), (vec![Kind::Granted], &accounts(&["ana-secret"])));
    assert_eq!(told[0].0.deadline, Some(NOW.plus(HOUR)));
    r.revoke(person(&staff(), "leo-secret"), &rules(), NOW.plus(9)).unwrap();
    let told = last(&r);
    assert_eq!(kinds(&told), [Kind::Revoked, Kind::ReviewDue]);
    assert_eq!(told[0].1, accounts(&["ana-secret", "lea-secret", "sam-secret"]));
    let rules = rules();
    let again = Teller { source: "clover:p/s", rules: &rules }.of_act(&r, 2);
    assert_eq!(kinds(&again), [Kind::Granted], "what was granted first is still told as that");
}

#[test]
fn broken_glass_is_urgent_and_told_to_pager_and_auditor() {
    let mut r = asked("R-1", Ground::BreakGlass, NOW);
    assert!(last(&r).iter().all(|(notice, _)| notice.urgent()));
    approve(&mut r, "lea-secret", NOW);
    assert_eq!(kinds(&last(&r)), [Kind::Approved], "the same step goes on waiting, and its people know");
    approve(&mut r, "sam-secret", NOW);
    let told = last(&r);
    assert_eq!(kinds(&told), [Kind::Granted, Kind::BreakGlass]);
    assert!(told[1].0.urgent() && told[1].1.pager && told[1].1.auditor);
}

#[test]
fn what_others_have_overtaken_is_not_told_any_more() {
    let mut r = asked("R-1", Ground::Grant, NOW);
    approve(&mut r, "lea-secret", NOW);
    deny(&mut r, "sam-secret");
    let rules = rules();
    let teller = Teller { source: "clover:p/s", rules: &rules };
    assert!(teller.of_act(&r, 0).is_empty(), "nobody is waited for");
    assert_eq!(kinds(&teller.of_act(&r, 1)), [Kind::Approved]);
    assert!(teller.of_act(&r, 7).is_empty());
}

#[test]
fn a_decoy_is_told_like_any_other_request_but_not_to_the_one_who_never_asked() {
    let mut r = asked("R-1", Ground::Grant, NOW);
    let plain = last(&r);
    r.decoy = true;
    assert_eq!(last(&r), plain, "nothing tells it from another");
    let mut denied = r.clone();
    deny(&mut denied, "leo-secret");
    assert_eq!(last(&denied)[0].1, Audience::default());
    approve(&mut r, "lea-secret", NOW);
    let told = last(&r);
    assert_eq!(kinds(&told), [Kind::Approved, Kind::Waits, Kind::DecoySigned]);
    assert!(told[0].1.accounts.is_empty());
    assert_eq!(told[2].1, Audience { auditor: true, ..Audience::default() });
}

#[test]
fn a_review_is_told_once_when_it_is_due_and_once_when_it_is_overdue_wherever_time_is_cut() {
    let mut r = asked("R-1", Ground::Grant, NOW);
    approve(&mut r, "lea-secret", NOW);
    approve(&mut r, "sam-secret", NOW);
    let (end, late) = (NOW.plus(HOUR), NOW.plus(HOUR + 24 * HOUR));
    let stop = late.plus(10 * HOUR);
    let rules = rules();
    let teller = Teller { source: "clover:p/s", rules: &rules };
    for step in [1, 7, 600, 3600, 86_400] {
        let (mut from, mut found) = (NOW, Vec::new());
        while from < stop {
            let until = from.plus(step);
            found.extend(teller.of_time(&r, from, until));
            from = until;
        }
        assert_eq!(kinds(&found), [Kind::ReviewDue, Kind::ReviewOverdue], "cut at {step}");
        assert_eq!((found[0].0.at, found[1].0.at), (end, late));
        assert!(found[1].1.auditor && !found[0].1.auditor);
    }
    r.review(person(&staff(), "leo-secret"), &rules, end).unwrap();
    assert!(due(&r, NOW, stop).is_empty(), "somebody has looked at it");
}

/// Every notice there is, from stories in which whatever is personal bears one word.
fn every_notice() -> Vec<Notice> {
    let mut all = Vec::new();
    let mut story = |ground, decoy, steps: &[&dyn Fn(&mut Request)]| {
        let mut r = asked("R-1", ground, NOW);
        r.decoy = decoy;
        all.extend(last(&r));
        for step in steps {
            step(&mut r);
            all.extend(last(&r));
        }
        all.extend(due(&r, NOW, NOW.plus(100 * HOUR)));
    };
    let lea = |r: &mut Request| approve(r, "lea-secret", NOW);
    let sam = |r: &mut Request| approve(r, "sam-secret", NOW);
    let late = |r: &mut Request| assert!(r.tick(&rules(), NOW.plus(90 * 60)));
    let back = |r: &mut Request| r.withdraw(person(&staff(), "ana-secret"), NOW).unwrap();
    let end = |r: &mut Request| r.revoke(person(&staff(), "lea-secret"), &rules(), NOW).unwrap();
    story(Ground::Grant, false, &[&lea, &sam]);
    story(Ground::Grant, false, &[&lea, &late]);
    story(Ground::Grant, false, &[&late]);
    story(Ground::Grant, false, &[&|r| deny(r, "lea-secret")]);
    story(Ground::Grant, true, &[&lea, &sam, &end]);
    story(Ground::BreakGlass, false, &[&lea, &sam, &end]);
    story(Ground::BreakGlass, false, &[&back]);
    all.into_iter().map(|(notice, _)| notice).collect()
}

#[test]
fn no_notice_says_anything_about_anybody() {
    let all = every_notice();
    let seen: BTreeSet<Kind> = all.iter().map(|n| n.kind).collect();
    assert_eq!(seen, Kind::ALL.into_iter().collect(), "the stories make every kind");
    let subject = SubjectId::from_index(&[1; 16]);
    let [from, to] = ["clover@example.org", "lea@example.org"].map(|a| Mailbox::parse(a).unwrap());
    for notice in all {
        let hook = String::from_utf8(event(&notice, "clover:p/s", "https://c.example")).unwrap();
        let mail = message(&notice, &from, &to, "https://c.example");
        for text in [hook, mail] {
            assert!(text.contains("R-1") && text.contains("https://c.example/access/requests/R-1"), "{text}");
            assert!(!text.contains(PERSONAL), "{text}");
            assert!(!text.contains(subject.as_str()), "{text}");
            assert!(!text.contains("support"), "no purpose: {text}");
        }
    }
}

#[test]
fn a_notice_has_an_id_of_its_own_and_the_same_whenever_it_is_told() {
    let (first, second) = (every_notice(), every_notice());
    assert_eq!(first, second);
    let ids: BTreeSet<_> = last(&asked("R-2", Ground::Grant, NOW)).into_iter().map(|(n, _)| n.id).collect();
    assert!(first.iter().all(|n| !ids.contains(&n.id) && !n.id.contains('.')));
    let mut r = asked("R-1", Ground::Grant, NOW);
    approve(&mut r, "lea-secret", NOW);
    let both: BTreeSet<_> = last(&r).into_iter().map(|(n, _)| n.id).collect();
    assert_eq!(both.len(), 2, "two notices of one act");
}

#[test]
fn a_mail_is_whole_lines_of_ascii_with_the_heads_that_mail_needs() {
    let [from, to] = ["clover@example.org", "lea@example.org"].map(|a| Mailbox::parse(a).unwrap());
    for notice in every_notice() {
        let text = message(&notice, &from, &to, "https://c.example/");
        assert!(text.is_ascii() && !text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        for wanted in ["From: Clover <clover@", "To: <lea@", "Subject: ", "Date: ", "Message-ID: <clv-"] {
            assert!(head.contains(wanted), "{wanted}: {head}");
        }
        assert!(text.lines().all(|line| line.len() <= 998));
    }
}
