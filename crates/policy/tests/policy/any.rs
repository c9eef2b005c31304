//! The starter rulebook, and facts of every kind, drawn so that many are nearly permitted.

use std::path::Path;

use model::facts::{
    Approver, CaseFacts, Evidence, Facts, FlowFacts, GrantFacts, Group, Principal, PrincipalKind,
};
use model::procedures::Amount;
use model::rulebook::{Files, Rulebook};
use model::{Basis, CaseKind, Country, DataClass, Digest, Name, Purpose, Tag, Treatment, UnixSeconds};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// What no test of policies looks at.
pub(crate) const AMOUNT: Amount = Amount { rows: 1000, bytes: 1 << 20, subjects: 10 };

/// 2026-11-22T10:00:00Z.
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_795_341_600);

pub(crate) fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies"))
}

/// The files of the starter rulebook.
pub(crate) fn files() -> Files {
    let entries = std::fs::read_dir(folder().join("starter")).unwrap().map(Result::unwrap);
    let read = |path: std::path::PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
    };
    entries.map(|e| read(e.path())).collect()
}

pub(crate) fn parse(files: &Files) -> Rulebook {
    Rulebook::parse(files, |_| Digest::new([0; 32])).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Facts of every kind of asker, evidence and place.
pub(crate) fn facts() -> impl Strategy<Value = Facts> {
    let request = (rows(), 0_u32..3, proptest::option::of(tag()), select(vec![0_u32, 49, 50, 200]));
    let groups = vec(group(), 1..3);
    let ladder = subsequence(Treatment::ALL.to_vec(), 0..=Treatment::ALL.len());
    (principal(), moment(), purpose(), request, evidence(), ladder, groups).prop_map(
        |(principal, now, purpose, (rows, subjects, subject, k), evidence, ladder, groups)| Facts {
            principal,
            now,
            purpose,
            dataset: name("video"),
            rows,
            subjects,
            subject,
            k,
            evidence,
            ladder,
            groups,
        },
    )
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn likely() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.9)
}

fn rows() -> impl Strategy<Value = u32> {
    select(vec![1, 200, 201, 10_000, 10_001])
}

fn tag() -> impl Strategy<Value = Tag> {
    select(vec![Tag::new([1; 16]), Tag::new([2; 16])])
}

fn country() -> impl Strategy<Value = Country> {
    select(vec!["IE", "IE", "NO", "SG", "SG", "CN", "US", "RU", "ZZ"])
        .prop_map(|c| Country::parse(c).unwrap())
}

fn purpose() -> impl Strategy<Value = Purpose> {
    select(vec![Purpose::Support, Purpose::Support, Purpose::Safety, Purpose::SelfAccess])
}

/// Moments around the two hours of a case, the hours of a grant and the ends of the calendar.
fn moment() -> impl Strategy<Value = UnixSeconds> {
    let around = [0, 3_600, 7_200, 7_201, 40_000].map(|s| NOW.plus(s));
    let mut all = around.repeat(4);
    all.extend([UnixSeconds(0), UnixSeconds(250_000_000_000), UnixSeconds(u64::MAX)]);
    select(all)
}

fn principal() -> impl Strategy<Value = Principal> {
    let kinds = vec![PrincipalKind::Employee, PrincipalKind::Employee, PrincipalKind::Service];
    (select(kinds), tag(), country(), [likely(), likely(), likely(), likely()]).prop_map(
        |(kind, tag, country, [qualified, device_managed, device_attested, strong])| Principal {
            kind,
            tag,
            country,
            employer: name("acme-eu"),
            seat: Country::parse("IE").unwrap(),
            qualified,
            teams: vec![name("support")],
            device_managed,
            device_attested,
            strong,
        },
    )
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let bases = select(Basis::ALL.to_vec());
    let flow =
        (tag(), list(), country(), bases, likely()).prop_map(|(sink, fields, destination, basis, active)| {
            Evidence::Flow(FlowFacts { name: name("flow"), sink, fields, destination, basis, active })
        });
    prop_oneof![Just(Evidence::None), grant(), case(), flow]
}

fn grant() -> impl Strategy<Value = Evidence> {
    let people = (tag(), approver(), proptest::option::of(approver()), proptest::option::of(tag()));
    let narrowed = (proptest::option::of(list()), proptest::option::of(tag()));
    let length = select(vec![0_u64, 7_200, 28_800, 28_801, 2_592_000, 2_592_001]);
    let purpose = select(vec![Purpose::Support, Purpose::Safety, Purpose::Incident]);
    (people, narrowed, moment(), length, purpose).prop_map(
        |((holder, approver, second, incident), (fields, subject), not_before, length, purpose)| {
            Evidence::Grant(GrantFacts {
                id: Tag::new([9; 16]),
                holder,
                approver,
                second,
                incident,
                amount: AMOUNT,
                purpose,
                dataset: name("video"),
                fields,
                subject,
                not_before,
                not_after: not_before.plus(length),
            })
        },
    )
}

/// A few people of a few employers.
fn approver() -> impl Strategy<Value = Approver> {
    let employer = select(vec![name("acme-eu"), name("acme-us")]);
    (tag(), country(), employer).prop_map(|(tag, country, employer)| Approver { tag, country, employer })
}

fn case() -> impl Strategy<Value = Evidence> {
    let kinds = select(vec![CaseKind::VideoNotShown, CaseKind::VideoNotShown, CaseKind::PaymentFailed]);
    ((tag(), approver()), kinds, tag(), list(), moment(), likely()).prop_map(
        |((engineer, approver), kind, subject, fields, approved_at, open)| {
            Evidence::Case(CaseFacts {
                id: Tag::new([8; 16]),
                engineer,
                approver,
                amount: AMOUNT,
                kind,
                subject,
                fields,
                approved_at,
                open,
            })
        },
    )
}

fn list() -> impl Strategy<Value = Name> {
    select(vec![name("interop"), name("video-status")])
}

fn group() -> impl Strategy<Value = Group> {
    let lists = subsequence(vec![name("interop"), name("video-status")], 0..=2);
    (select(DataClass::ALL.to_vec()), lists).prop_map(|(class, lists)| Group {
        class,
        lists,
        fields: 3,
        outcome: None,
    })
}
