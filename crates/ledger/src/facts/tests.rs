use super::*;

pub(super) fn facts() -> Facts {
    let t = |b| Tag::new([b; 16]);
    let n = |s| Name::parse(s).unwrap();
    let sg = Country::parse("SG").unwrap();
    Facts {
        principal: Principal {
            kind: PrincipalKind::Employee,
            tag: t(1),
            country: sg,
            employer: n("acme-apac"),
            seat: sg,
            qualified: true,
            teams: vec![n("video")],
            device_managed: true,
            device_attested: true,
            strong: true,
        },
        now: UnixSeconds(1_790_000_000),
        purpose: Purpose::Support,
        dataset: n("video"),
        rows: 200,
        subjects: 1,
        subject: Some(t(2)),
        k: 0,
        evidence: Evidence::Case(CaseFacts {
            id: t(3),
            engineer: t(1),
            approver: approver(4, "IE"),
            amount: AMOUNT,
            kind: CaseKind::VideoNotShown,
            subject: t(2),
            fields: n("video-status"),
            approved_at: UnixSeconds(1_789_999_000),
            open: true,
        }),
        ladder: vec![Treatment::Plain, Treatment::Pseudonymised],
        groups: vec![Group {
            class: DataClass::Allowable,
            lists: vec![n("video-status")],
            fields: 4,
            outcome: Some(Treatment::Plain),
        }],
    }
}

const AMOUNT: Amount = Amount { rows: 1000, bytes: 1 << 40, subjects: 10 };

fn approver(tag: u8, country: &str) -> Approver {
    let employer = Name::parse("acme-eu").unwrap();
    Approver { tag: Tag::new([tag; 16]), country: Country::parse(country).unwrap(), employer }
}

#[test]
fn facts_read_back_as_they_were_written() {
    let f = facts();
    let bytes = encode(&f).unwrap();
    assert_eq!(decode(&bytes).unwrap(), f);
    assert!(bytes.len() < 330, "{}", bytes.len());
}

#[test]
fn every_kind_of_evidence_reads_back() {
    let f = facts();
    let t = |b| Tag::new([b; 16]);
    let grant = Evidence::Grant(GrantFacts {
        id: t(3),
        holder: t(1),
        approver: approver(4, "ZZ"),
        second: Some(approver(5, "IE")),
        incident: Some(t(6)),
        amount: AMOUNT,
        purpose: Purpose::Safety,
        dataset: f.dataset.clone(),
        fields: None,
        subject: None,
        not_before: UnixSeconds(1),
        not_after: UnixSeconds(2),
    });
    let flow = Evidence::Flow(FlowFacts {
        name: f.dataset.clone(),
        sink: t(1),
        fields: f.dataset.clone(),
        destination: Country::UNKNOWN,
        basis: Basis::SccWithTia,
        active: true,
    });
    for evidence in [Evidence::None, grant, flow] {
        let f = Facts { evidence, ..facts() };
        assert_eq!(decode(&encode(&f).unwrap()).unwrap(), f);
    }
}

#[test]
fn another_form_of_the_same_facts_is_refused() {
    let mut bytes = encode(&facts()).unwrap();
    bytes.push(0xf6);
    assert!(decode(&bytes).is_err(), "a trailing byte");
    let value: Value = ciborium::from_reader(encode(&facts()).unwrap().as_slice()).unwrap();
    let Value::Map(mut pairs) = value else { panic!("a map") };
    pairs.reverse();
    let mut reordered = Vec::new();
    ciborium::into_writer(&Value::Map(pairs), &mut reordered).unwrap();
    assert_eq!(decode(&reordered), Err(FactsError::NotDeterministic));
}

#[test]
fn no_cut_of_the_bytes_is_read_as_facts() {
    let bytes = encode(&facts()).unwrap();
    for n in 0..bytes.len() {
        assert!(decode(&bytes[..n]).is_err(), "{n}");
    }
}

#[test]
fn lists_that_do_not_ascend_are_refused() {
    let n = |s| Name::parse(s).unwrap();
    let with = |change: fn(&mut Facts)| {
        let mut f = facts();
        f.principal.teams = vec![n("a"), n("b")];
        f.groups[0].lists = vec![n("a"), n("b")];
        change(&mut f);
        decode(&encode(&f).unwrap()).map(|_| ())
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|f| f.principal.teams.reverse()), Err(FactsError::Order));
    assert_eq!(with(|f| f.ladder.reverse()), Err(FactsError::Order));
    assert_eq!(with(|f| f.ladder = vec![Treatment::Plain; 2]), Err(FactsError::Order));
    assert_eq!(with(|f| f.groups[0].lists.reverse()), Err(FactsError::Order));
}

#[test]
fn what_a_release_took_stands_beside_what_policy_read() {
    let f = facts();
    let plain = encode(&f).unwrap();
    let took =
        Spent { mechanism: Mechanism::Laplace, epsilon_micro: 500_000, rho_nano: 0, delta_atto: 125_000_000 };
    let bytes = with_spent(&plain, &took).unwrap();
    assert_eq!((decode(&bytes).unwrap(), spent(&bytes).unwrap()), (f, Some(took)));
    assert_eq!(spent(&plain).unwrap(), None);
    // An unknown way to draw noise is no fact.
    let mut other = bytes.clone();
    let at = bytes.len() - 12;
    assert_eq!(other[at], 1, "the number of the mechanism");
    other[at] = 3;
    assert_eq!(decode(&other).unwrap_err(), FactsError::Shape("spent"));
}

#[test]
fn what_was_measured_of_a_release_stands_beside_what_it_took() {
    let f = facts();
    let plain = encode(&f).unwrap();
    let took = Spent { mechanism: Mechanism::Laplace, epsilon_micro: 1, rho_nano: 0, delta_atto: 1 };
    let verdict = RiskVerdict::Weak;
    let measured = Risk { verdict, asked: 10, k: 1, l: 0, unique_micro: 333_334, linkable: false };
    let one = with_risk(&with_spent(&plain, &took).unwrap(), &measured).unwrap();
    assert_eq!(one, with_spent(&with_risk(&plain, &measured).unwrap(), &took).unwrap(), "in whatever order");
    assert_eq!((decode(&one).unwrap(), spent(&one).unwrap()), (f, Some(took)));
    assert_eq!((risk(&one).unwrap(), risk(&plain).unwrap()), (Some(measured), None));
    // An unknown verdict, and what is neither yes nor no, are no facts.
    let bytes = with_risk(&plain, &measured).unwrap();
    for (from_end, was, is) in [(10, 2, 0), (10, 2, 4), (1, 0, 2)] {
        let mut other = bytes.clone();
        let at = bytes.len() - from_end;
        assert_eq!(other[at], was);
        other[at] = is;
        assert_eq!(decode(&other).unwrap_err(), FactsError::Shape("risk"));
    }
}

#[test]
fn the_digest_of_a_statement_stands_behind_everything_else() {
    let f = facts();
    let plain = encode(&f).unwrap();
    let digest = model::Digest::new([7; 32]);
    let bytes = with_statement(&plain, &digest).unwrap();
    assert_eq!((decode(&bytes).unwrap(), statement(&bytes).unwrap()), (f, Some(digest)));
    assert_eq!((statement(&plain).unwrap(), bytes.len()), (None, plain.len() + 35));
    let measured =
        Risk { verdict: RiskVerdict::Holds, asked: 5, k: 9, l: 0, unique_micro: 0, linkable: false };
    let both = with_risk(&bytes, &measured).unwrap();
    assert_eq!((risk(&both).unwrap(), statement(&both).unwrap()), (Some(measured), Some(digest)));
    let mut short = bytes.clone();
    short.truncate(bytes.len() - 1);
    let at = short.len() - 32;
    short[at] = 31;
    assert_eq!(decode(&short).unwrap_err(), FactsError::Shape("statement"));
}
