//! Without a solver: every request of a small world is put to the real engine, and what is found there must be what the
//! prover says of all requests. Two roads to one verdict that share no code but Cedar's evaluator.

use model::facts::{Approver, Evidence, Facts, FlowFacts, GrantFacts, Group, Principal, PrincipalKind};
use model::procedures::Amount;
use model::rulebook::{Files, PROPERTIES, Rulebook};
use model::{Basis, Country, DataClass, Digest, Name, Purpose, Tag, Treatment, UnixSeconds};
use policy::{Engine, Promise, Texts};

use crate::cast::{GUARDRAILS, PERMITS, book, cvc5, files, only_properties, without};

/// 2026-11-22T10:00:00Z.
const NOW: UnixSeconds = UnixSeconds(1_795_341_600);
const ME: Tag = Tag::new([1; 16]);
const OTHER: Tag = Tag::new([2; 16]);
const ANA: Tag = Tag::new([3; 16]);

/// Of each kind of promise: of places, of numbers, of evidence, one of each `@prove`.
const PROMISES: [&str; 5] = [
    "T1-restricted-never-plain-outside",
    "T5-bulk",
    "T9-smallest-group",
    "T13-named-places",
    "T19-no-standing-access",
];

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
}

fn evidences() -> Vec<Evidence> {
    let grant = |holder| {
        Evidence::Grant(GrantFacts {
            id: Tag::new([9; 16]),
            holder,
            approver: Approver { tag: Tag::new([7; 16]), country: country("IE"), employer: name("acme-eu") },
            second: None,
            incident: None,
            amount: Amount { rows: 1, bytes: 1, subjects: 1 },
            purpose: Purpose::Support,
            dataset: name("video"),
            fields: None,
            subject: None,
            not_before: NOW,
            not_after: NOW.plus(8 * 3600),
        })
    };
    let flow = Evidence::Flow(FlowFacts {
        name: name("interop-us"),
        sink: ME,
        fields: name("interop"),
        destination: country("US"),
        basis: Basis::SccWithTia,
        active: true,
    });
    vec![Evidence::None, grant(ME), grant(OTHER), flow]
}

/// Every request of the small world, each for all classes at once.
fn requests() -> Vec<Facts> {
    let lists = vec![name("interop"), name("video-status")];
    let group = |class: &DataClass| Group { class: *class, lists: lists.clone(), fields: 1, outcome: None };
    let groups: Vec<_> = DataClass::ALL.iter().map(group).collect();
    let mut all = Vec::new();
    for kind in [PrincipalKind::Employee, PrincipalKind::Service] {
        for place in ["IE", "US", "RU"] {
            for evidence in evidences() {
                for (qualified, rows, k) in [(true, 10, 50), (true, 10_001, 49), (false, 10, 50)] {
                    all.push(Facts {
                        principal: Principal {
                            kind,
                            tag: ME,
                            country: country(place),
                            employer: name("acme-eu"),
                            seat: country("IE"),
                            qualified,
                            teams: vec![],
                            device_managed: true,
                            device_attested: true,
                            strong: true,
                        },
                        now: NOW.plus(60),
                        purpose: Purpose::Support,
                        dataset: name("video"),
                        rows,
                        subjects: 1,
                        subject: Some(ANA),
                        k,
                        evidence: evidence.clone(),
                        ladder: vec![],
                        groups: groups.clone(),
                    });
                }
            }
        }
    }
    all
}

/// For each request, treatment and class, whether it is allowed.
fn answers(files: &Files, requests: &[Facts]) -> Vec<bool> {
    let rulebook = Rulebook::parse(files, |_| Digest::new([0; 32])).unwrap();
    let engine = Engine::new(&rulebook).unwrap_or_else(|problems| panic!("{problems}"));
    let treatments = [Treatment::Plain, Treatment::Aggregate];
    let mut all = Vec::new();
    for facts in requests {
        for treatment in treatments {
            let decision = engine.decide(Facts { ladder: vec![treatment], ..facts.clone() });
            assert!(!decision.errors, "{:?}", decision.policies);
            all.extend(decision.facts.groups.iter().map(|g| g.outcome.is_some()));
        }
    }
    all
}

/// A property's set of requests, asked of the engine as if it were a policy.
fn matched(property: &str, requests: &[Facts]) -> (Promise, Vec<bool>) {
    let alone = only_properties(files(), &[property]);
    let promise = Texts::read(&Rulebook::parse(&alone, |_| Digest::new([0; 32])).unwrap()).unwrap();
    let mut as_policy = alone.clone();
    as_policy.remove(GUARDRAILS);
    let text = as_policy.remove(PROPERTIES).unwrap();
    as_policy.insert(PERMITS.to_owned(), text);
    (promise.properties[0].promise, answers(&as_policy, requests))
}

/// Everything is permitted but for the guardrails that are left.
fn permit_everything(but: &[&str]) -> Files {
    let mut files = without(but);
    let all = "@id(\"ALL\") permit (principal, action, resource);";
    files.insert(PERMITS.to_owned(), all.to_owned());
    files
}

#[test]
fn every_request_of_a_small_world_bears_the_prover_out() {
    let rulebooks = [
        files(),
        permit_everything(&[]),
        permit_everything(&[
            "G1-restricted-never-plain-outside",
            "G8-restricted-row-level-stays",
            "G5-bulk",
            "G9-smallest-group",
        ]),
        // A place that is not named is not assessed either.
        permit_everything(&[
            "G13-unnamed-place",
            "G19-no-standing-access",
            "G21-assessment-plain",
            "G25-assessment-aggregate",
        ]),
    ];
    let requests = requests();
    let matched: Vec<_> = PROMISES.iter().map(|p| matched(p, &requests)).collect();
    let solver = cvc5();
    let mut broken = 0;
    for (number, files) in rulebooks.into_iter().enumerate() {
        let allowed = answers(&files, &requests);
        assert!(allowed.iter().any(|a| *a) && allowed.iter().any(|a| !a), "rulebook {number} is one-sided");
        let proved = prove::promises(&book(only_properties(files, &PROMISES)), &solver);
        for (id, (promise, matched)) in PROMISES.iter().zip(&matched) {
            let wanted = matches!(promise, Promise::Only);
            let breaks = allowed.iter().zip(matched).any(|(allowed, matched)| *allowed && *matched != wanted);
            let verdict = &proved.iter().find(|p| p.id == *id).unwrap().verdict;
            assert!(verdict.is_proved() || verdict.is_false(), "{id} of rulebook {number}: {verdict:?}");
            assert_eq!(breaks, verdict.is_false(), "{id} of rulebook {number}: {verdict:?}");
            broken += usize::from(breaks);
        }
    }
    assert!(broken >= 5, "only {broken} broken promises: this world is too tame to compare anything");
}
