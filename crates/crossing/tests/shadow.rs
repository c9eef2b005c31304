//! A proposed rulebook beside the one that decides: counted, and otherwise without effect.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use access::{Actor, ActorKind};
use crossing::identify::{Who, identify};
use crossing::{ActiveRulebook, Ask, Border, Road, Selection, Session, Shadow};
use ledger::note::{Note, Signer};
use ledger::sha256;
use model::facts::Evidence;
use model::rulebook::{Files, manifest};
use model::{ActorId, Country, Direction, FlowId, Name, Purpose, Treatment, UnixSeconds};

fn files() -> Files {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/starter");
    let read = |e: std::fs::DirEntry| {
        (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap())
    };
    std::fs::read_dir(folder).unwrap().map(|e| read(e.unwrap())).collect()
}

fn road() -> Road {
    let text = manifest(&files(), sha256);
    let signers = [("demo/operator", 1), ("demo/auditor", 2)]
        .map(|(name, seed)| Signer::from_seed(name, &[seed; 32]).unwrap());
    let mut note = Note::new(&text).unwrap();
    signers.iter().for_each(|s| note.add(s.sign(&text).unwrap()));
    let [operator, auditor] = &signers;
    let active =
        ActiveRulebook::open(&files(), &note.to_string(), operator.verifier(), auditor.verifier()).unwrap();
    let in_force = std::sync::Arc::new(crossing::InForce::alone(&active));
    let pseudonyms = std::sync::Arc::new(std::sync::RwLock::new(crossing::Calendar::begin([9; 32], 0)));
    Road::new(active, pseudonyms, in_force)
}

/// What the road decides of the profile of somebody who is in Ireland without a ground.
fn decide(road: &Road, at: u64) -> String {
    let id = ActorId::parse("somebody").unwrap();
    let record = Actor {
        id: id.clone(),
        kind: ActorKind::Employee,
        employer: Name::parse("acme-eu").unwrap(),
        qualified: true,
        teams: Vec::new(),
        deputies: Vec::new(),
    };
    let ireland = Country::parse("IE").unwrap();
    let session = Session {
        who: Who::Employee(id),
        country: Some(ireland),
        device_country: None,
        network: Some(ireland),
        device_managed: true,
        device_attested: true,
        strong: true,
    };
    let actor = identify(&session, &record, &road.rulebook().programme, model::Tag::new([1; 16])).unwrap();
    let catalogue = &road.rulebook().catalogue;
    let fields = catalogue.fields().iter().filter(|f| f.name.starts_with("export.profile."));
    let pointers: Vec<_> =
        fields.map(|f| (format!("/{}", f.key), catalogue.find(&f.name).unwrap())).collect();
    let selection = Selection::new(catalogue, &pointers, None).unwrap();
    let (lane, dataset) = (Name::parse("read").unwrap(), Name::parse("export").unwrap());
    let ask = Ask {
        flow: FlowId::new([8; 16]),
        now: UnixSeconds(at),
        border: Border::Green,
        actor: &actor,
        purpose: Purpose::Support,
        lane: &lane,
        direction: Direction::Outward,
        destination: ireland,
        dataset: &dataset,
        selection: &selection,
        subject: None,
        evidence: Evidence::None,
        evidence_name: None,
        statement: None,
        ladder: &[Treatment::Plain],
        rows_max: 10,
        people_max: 1,
    };
    // Outline, outcomes and facts, as they go on to the ledger.
    match road.decide(&ask) {
        Ok(permitted) => format!("{permitted:?}"),
        Err(refused) => format!("{refused:?}"),
    }
}

fn with(policy: &str) -> Shadow {
    let mut files = files();
    files.insert("30-more.cedar".to_owned(), policy.to_owned());
    Shadow::new(road().rulebook(), &files).unwrap()
}

#[test]
fn a_shadow_changes_no_answer_and_its_errors_are_counts() {
    let plain = road();
    let errs = "@id(\"X\") forbid (principal, action in Clover::Action::\"rowLevel\", resource) when { context.rows + 9223372036854775807 > 0 };";
    let closes = "@id(\"X\") forbid (principal, action, resource);";
    let opens = "@id(\"X\") permit (principal, action, resource);";
    for (policy, wider, narrower, errors) in [(errs, 0, 0, 2), (closes, 0, 2, 0), (opens, 0, 0, 0)] {
        let shadow = with(policy);
        let seen = shadow.seen();
        let road = road().shadowed(shadow);
        // The second is remembered, and counted again.
        for _ in 0..2 {
            assert_eq!(decide(&road, 1_800_000_000), decide(&plain, 1_800_000_000), "{policy}");
        }
        let now = seen.now();
        assert_eq!((now.wider, now.narrower, now.errors), (wider, narrower, errors), "{policy}: {now:?}");
        assert!(errors > 0 || now.same >= 2, "{now:?}");
    }
    // Without the guardrails it would open, and the road is none the wider.
    let mut files = files();
    let none = "@id(\"G\") forbid (principal, action, resource) when { context has mfa && !context.mfa };";
    files.insert("10-guardrails.cedar".to_owned(), none.to_owned());
    files.insert("20-permits.cedar".to_owned(), opens.to_owned());
    let shadow = Shadow::new(plain.rulebook(), &files).unwrap();
    let seen = shadow.seen();
    assert_eq!(decide(&road().shadowed(shadow), 1_800_000_001), decide(&plain, 1_800_000_001));
    assert!(seen.now().wider >= 2, "{:?}", seen.now());
}
