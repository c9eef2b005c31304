//! Claims about the whole road, on the starter rulebook and a storage in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "road/counts.rs"]
mod counts;

use std::sync::OnceLock;

use access::{Actor, ActorKind};
use crossing::identify::{Who, identify};
use crossing::seal::{PersonSeal, Sealing};
use crossing::{
    ActiveRulebook, Ask, Border, Format, Receipts, Recording, Refused, Road, RulebookError, Sealed,
    Selection, Session, VerifiedActor,
};
use ledger::merkle::Frontier;
use ledger::note::{Note, Signer};
use ledger::{Committed, Entry, EntryKind, SecretKey, Sequencer, Storage, StorageError, sha256};
use model::facts::{Approver, CaseFacts, Evidence, FlowFacts, GrantFacts};
use model::procedures::Amount;
use model::rulebook::{Files, manifest};
use model::{
    ActorId, Basis, CaseKind, Country, DataClass, Direction, FlowId, Name, Purpose, Reason, SubjectId, Tag,
    Treatment, UnixSeconds,
};
use proptest::prelude::*;
use transform::json::Limits;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// Epochs of pseudonyms whose first began at our time.
fn pseudonyms() -> crossing::Pseudonyms {
    std::sync::Arc::new(std::sync::RwLock::new(crossing::Calendar::begin([9; 32], NOW.day())))
}
const ROWS: &[Treatment] =
    &[Treatment::Plain, Treatment::Pseudonymised, Treatment::Generalised, Treatment::Masked];

#[derive(Default)]
struct Memory(Vec<u8>);

impl Storage for Memory {
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError> {
        self.0.extend_from_slice(frame);
        Ok(())
    }
}

fn files() -> Files {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/starter");
    let read = |e: std::fs::DirEntry| {
        (e.file_name().into_string().unwrap(), std::fs::read_to_string(e.path()).unwrap())
    };
    std::fs::read_dir(folder).unwrap().map(|e| read(e.unwrap())).collect()
}

fn signers() -> [Signer; 2] {
    [("demo/operator", 1), ("demo/auditor", 2)]
        .map(|(name, seed)| Signer::from_seed(name, &[seed; 32]).unwrap())
}

fn signed(files: &Files, by: &[&Signer]) -> String {
    let text = manifest(files, sha256);
    let mut note = Note::new(&text).unwrap();
    by.iter().for_each(|s| note.add(s.sign(&text).unwrap()));
    note.to_string()
}

fn open(files: &Files, note: &str) -> Result<ActiveRulebook, RulebookError> {
    let [operator, auditor] = signers();
    ActiveRulebook::open(files, note, operator.verifier(), auditor.verifier())
}

fn road_of(active: crossing::ActiveRulebook) -> Road {
    let in_force = std::sync::Arc::new(crossing::InForce::alone(&active));
    Road::new(active, pseudonyms(), in_force)
}

fn road() -> &'static Road {
    static ROAD: OnceLock<Road> = OnceLock::new();
    ROAD.get_or_init(|| {
        let [operator, auditor] = signers();
        let note = signed(&files(), &[&operator, &auditor]);
        road_of(open(&files(), &note).unwrap())
    })
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn tag(n: u8) -> Tag {
    Tag::new([n; 16])
}

fn subject() -> SubjectId {
    SubjectId::from_index(&[5; 16])
}

fn actor(kind: ActorKind, employer: &str, country: Country) -> VerifiedActor {
    let id = ActorId::parse("somebody").unwrap();
    let (employer, teams, deputies) = (name(employer), Vec::new(), Vec::new());
    let record = Actor { id: id.clone(), kind, employer, qualified: true, teams, deputies };
    let who = if kind == ActorKind::Employee { Who::Employee(id) } else { Who::Service(id) };
    let session = Session {
        who,
        country: Some(country),
        device_country: None,
        network: Some(country),
        device_managed: true,
        device_attested: true,
        strong: true,
    };
    identify(&session, &record, &road().rulebook().programme, tag(1)).unwrap()
}

/// Every field of the profile, under its own pointer.
fn profile() -> Selection {
    let catalogue = &road().rulebook().catalogue;
    let fields = catalogue.fields().iter().filter(|f| f.name.starts_with("export.profile."));
    let pointers =
        fields.map(|f| (format!("/*/{}", f.key), catalogue.find(&f.name).unwrap())).collect::<Vec<_>>();
    Selection::new(catalogue, &pointers, None).unwrap()
}

/// A profile in which every value says which class it is of.
fn marked() -> String {
    let fields =
        road().rulebook().catalogue.fields().iter().filter(|f| f.name.starts_with("export.profile."));
    let row: serde_json::Map<_, _> =
        fields.map(|f| (f.key.clone(), format!("{}canary", f.class.word()).into())).collect();
    serde_json::json!([row, { "undeclared": "undeclaredcanary" }]).to_string()
}

const AMOUNT: Amount = Amount { rows: 1000, bytes: 1 << 20, subjects: 10 };

fn approver() -> Approver {
    Approver { tag: tag(4), country: Country::parse("IE").unwrap(), employer: name("acme-eu") }
}

fn case() -> Evidence {
    Evidence::Case(CaseFacts {
        id: tag(3),
        engineer: tag(1),
        approver: approver(),
        amount: AMOUNT,
        kind: CaseKind::VideoNotShown,
        subject: tag(2),
        fields: name("video-status"),
        approved_at: NOW,
        open: true,
    })
}

fn grant() -> Evidence {
    Evidence::Grant(GrantFacts {
        id: tag(3),
        holder: tag(1),
        approver: approver(),
        second: None,
        incident: None,
        amount: AMOUNT,
        purpose: Purpose::Support,
        dataset: name("export"),
        fields: None,
        subject: None,
        not_before: NOW,
        not_after: NOW.plus(3600),
    })
}

fn flow() -> Evidence {
    Evidence::Flow(FlowFacts {
        name: name("interop-us"),
        sink: tag(1),
        fields: name("interop"),
        destination: Country::parse("US").unwrap(),
        basis: Basis::SccWithTia,
        active: true,
    })
}

struct Asked {
    border: Border,
    actor: VerifiedActor,
    purpose: Purpose,
    evidence: Evidence,
    ladder: &'static [Treatment],
}

/// What is asked about one person, or nobody named.
fn ask<'a>(
    asked: &'a Asked,
    selection: &'a Selection,
    (lane, dataset): (&'a Name, &'a Name),
    subject: Option<(SubjectId, Tag)>,
    rows_max: u32,
) -> Ask<'a> {
    Ask {
        flow: FlowId::new([8; 16]),
        now: NOW,
        border: asked.border,
        actor: &asked.actor,
        purpose: asked.purpose,
        lane,
        direction: Direction::Outward,
        destination: asked.actor.principal().country,
        dataset,
        selection,
        subject,
        evidence: asked.evidence.clone(),
        evidence_name: None,
        statement: None,
        ladder: asked.ladder,
        rows_max,
        people_max: 1,
    }
}

/// Decides and treats one payload.
fn treat(
    asked: &Asked,
    selection: &Selection,
    body: &str,
    rows_max: u32,
) -> Result<crossing::Treated, Refused> {
    let (lane, dataset) = (name("test"), name("export"));
    let ask = ask(asked, selection, (&lane, &dataset), Some((subject(), tag(2))), rows_max);
    road().decide(&ask)?.treat(body.as_bytes(), &Format::Json, &Limits::default())
}

fn sealed(treated: crossing::Treated) -> (Sealed, Recording) {
    with_sealing(|sealing| treated.seal(sealing)).unwrap()
}

fn with_sealing<T>(run: impl FnOnce(Sealing<'_>) -> T) -> T {
    let key = SecretKey::new([7; 32]);
    let mut resolve = |_: &SubjectId| Ok(PersonSeal { tag: tag(2), key: SecretKey::new([6; 32]) });
    let mut next = 0u8;
    let mut random = |bytes: &mut [u8]| {
        next = next.wrapping_add(1);
        bytes.fill(next);
    };
    let sealing = Sealing { epoch: 1, epoch_key: &key, nanos: 1, resolve: &mut resolve, random: &mut random };
    run(sealing)
}

fn sequencer() -> Sequencer<Memory> {
    Sequencer::new("log", Frontier::new(), Memory::default())
}

fn in_dublin() -> Asked {
    let actor = actor(ActorKind::Employee, "acme-eu", Country::parse("IE").unwrap());
    Asked { border: Border::Green, actor, purpose: Purpose::Support, evidence: grant(), ladder: ROWS }
}

/// Both logs: receipts in order, and the batch of the gateway's.
fn commit(recordings: Vec<Recording>) -> (Vec<Receipts>, Committed) {
    commit_to(&mut sequencer(), recordings)
}

fn commit_to(log: &mut Sequencer<Memory>, recordings: Vec<Recording>) -> (Vec<Receipts>, Committed) {
    let mut keys = sequencer();
    let mut key_use = |submission| keys.commit(vec![submission]).unwrap().receipts.remove(0);
    let (entries, uses): (Vec<_>, Vec<_>) =
        recordings.into_iter().map(|r| (r.entry, r.key_use.map(&mut key_use))).unzip();
    let mut committed = log.commit(entries).unwrap();
    let both = std::mem::take(&mut committed.receipts).into_iter().zip(uses);
    (both.map(|(entry, key_use)| Receipts { entry, key_use }).collect(), committed)
}

fn payload_of(treated: crossing::Treated) -> String {
    let (sealed, recording) = sealed(treated);
    let receipts = commit(vec![recording]).0.pop().unwrap();
    String::from_utf8(sealed.release(&receipts).unwrap().into_bytes()).unwrap()
}

#[test]
fn a_receipt_releases_only_its_own_payload() {
    let one = |body: &str| sealed(treat(&in_dublin(), &profile(), body, 10).unwrap());
    let (first, a) = one(r#"[{"userName":"one"}]"#);
    let (second, b) = one(r#"[{"userName":"the other"}]"#);
    let mut receipts = commit(vec![a, b]).0;
    let (of_second, of_first) = (receipts.pop().unwrap(), receipts.pop().unwrap());
    assert!(first.release(&of_second).is_err(), "the receipt of another entry opens nothing");
    assert!(second.release(&of_first).is_err());
}

#[test]
fn a_payload_that_names_people_stays_closed_without_the_record_of_their_keys_use() {
    let treated = treat(&in_dublin(), &profile(), r#"[{"userName":"one"}]"#, 10).unwrap();
    let (without, recording) = sealed(treated);
    let mut receipts = commit(vec![recording]).0.pop().unwrap();
    receipts.key_use = None;
    assert!(without.release(&receipts).is_err());
}

#[test]
fn a_red_border_refuses_everything_and_amber_lets_only_its_classes_through() {
    let asked = |border| Asked { border, ..in_dublin() };
    let outcome = |border, fields: &Selection, body: &str| {
        treat(&asked(border), fields, body, 10).map(|_| ()).map_err(|r| r.reason())
    };
    let state = {
        let catalogue = &road().rulebook().catalogue;
        let field = catalogue.find("video.status.review_state").unwrap();
        Selection::new(catalogue, &[("/*/state".to_owned(), field)], None).unwrap()
    };
    let held = r#"[{"state":"held"}]"#;
    assert_eq!(outcome(Border::Green, &profile(), &marked()), Ok(()));
    assert_eq!(outcome(Border::Red, &profile(), &marked()), Err(Reason::Border));
    assert_eq!(outcome(Border::Red, &state, held), Err(Reason::Border));
    assert_eq!(
        outcome(Border::Amber, &profile(), &marked()),
        Err(Reason::Border),
        "it holds restricted fields"
    );
    assert_eq!(outcome(Border::Amber, &state, held), Ok(()));
}

#[test]
fn a_lifted_border_is_open_inside_the_region_only() {
    let from = |border, country: &str| {
        let actor = actor(ActorKind::Employee, "acme-eu", Country::parse(country).unwrap());
        let asked = Asked { border, actor, ..in_dublin() };
        treat(&asked, &profile(), &marked(), 10).map(|_| ()).map_err(|r| r.reason())
    };
    assert_eq!(from(Border::Lifted, "IE"), Ok(()));
    assert_eq!(from(Border::Lifted, "SG"), Err(Reason::Border));
    assert_ne!(from(Border::Green, "SG"), Err(Reason::Border), "refused or not, but not for the border");
}

#[test]
fn an_entry_holds_no_value_of_its_payload_and_no_name_of_its_actor() {
    let (_sealed, recording) = sealed(treat(&in_dublin(), &profile(), &marked(), 10).unwrap());
    let (_, committed) = commit(vec![recording]);
    let logged = committed.entries.first().unwrap();
    let written = [&logged.leaf[..], &logged.detail].concat();
    let text = String::from_utf8_lossy(&written);
    for canary in ["canary", "somebody", subject().as_str(), "emailAddress"] {
        assert!(!text.contains(canary), "{canary}");
    }
    let entry = Entry::decode(&logged.leaf).unwrap();
    assert_eq!(entry.draft.kind, EntryKind::Answer);
    assert_eq!(entry.draft.subjects.tags(), [tag(2)]);
    assert!(ledger::facts::decode(&entry.draft.facts).is_ok());
}

#[test]
fn a_grant_in_the_region_reads_plain_and_what_nobody_declared_is_gone() {
    let payload = payload_of(treat(&in_dublin(), &profile(), &marked(), 10).unwrap());
    assert!(payload.contains("restrictedcanary") && payload.contains("publiccanary"));
    assert!(!payload.contains("undeclared"), "{payload}");
}

#[test]
fn personal_data_hidden_in_a_harmless_field_is_withheld_and_counted() {
    let body =
        r#"[{"bioDescription":"write to ann@example.org or +353 85 123 4567, card 4111 1111 1111 1111"}]"#;
    let treated = treat(&in_dublin(), &profile(), body, 10).unwrap();
    assert_eq!(treated.findings(), 3);
    let payload = payload_of(treated);
    assert_eq!(payload, r#"[{"bioDescription":"write to *** or ***, card ***"}]"#);
}

#[test]
fn a_body_that_is_broken_or_too_long_is_refused_with_its_reason() {
    let reason = |body: &str, rows| treat(&in_dublin(), &profile(), body, rows).unwrap_err().reason();
    assert_eq!(reason(r#"[{"userName":"a","userName":"b"}]"#, 10), Reason::Malformed);
    assert_eq!(reason(r#"[{"userName":"a""#, 10), Reason::Malformed);
    assert_eq!(reason(r#"[{},{},{}]"#, 2), Reason::Limit);
    assert_eq!(reason(r#"[{"userName":{"nested":1}}]"#, 10), Reason::Malformed);
}

/// A selection whose rows say whose they are.
fn with_people() -> Selection {
    let catalogue = &road().rulebook().catalogue;
    let name = catalogue.find("export.profile.userName").unwrap();
    Selection::new(catalogue, &[("/*/userName".to_owned(), name)], Some("/*/user_id")).unwrap()
}

#[test]
fn a_row_that_names_nobody_or_one_person_too_many_does_not_leave() {
    let id = |n: u8| SubjectId::from_index(&[n; 16]);
    let row = |n: u8| format!(r#"{{"userName":"a","user_id":"{}"}}"#, id(n).as_str());
    let reason = |body: &str| treat(&in_dublin(), &with_people(), body, 10).map_err(|r| r.reason());
    let released = treat(&in_dublin(), &with_people(), &format!("[{},{}]", row(1), row(1)), 10).unwrap();
    assert_eq!(payload_of(released), r#"[{"userName":"a"},{"userName":"a"}]"#, "the handle itself stays");
    assert_eq!(reason(&format!(r#"[{},{{"userName":"b"}}]"#, row(1))).unwrap_err(), Reason::Malformed);
    assert_eq!(
        reason(&format!("[{},{}]", row(1), row(2))).unwrap_err(),
        Reason::Limit,
        "one person was allowed"
    );
    assert_eq!(reason(r#"[{"userName":"b","user_id":"no handle!"}]"#).unwrap_err(), Reason::Malformed);
}

#[test]
fn prose_in_a_field_of_words_does_not_pass_for_a_word() {
    let from_abroad = |body: &str| {
        let catalogue = &road().rulebook().catalogue;
        let field = catalogue.find("video.status.review_state").unwrap();
        let selection = Selection::new(catalogue, &[("/*/state".to_owned(), field)], None).unwrap();
        let actor = actor(ActorKind::Employee, "acme-apac", Country::parse("SG").unwrap());
        let asked = Asked {
            border: Border::Green,
            actor,
            purpose: Purpose::Support,
            evidence: grant(),
            ladder: ROWS,
        };
        let ask = Ask {
            flow: FlowId::new([8; 16]),
            now: NOW,
            border: asked.border,
            actor: &asked.actor,
            purpose: asked.purpose,
            lane: &name("test"),
            direction: Direction::Outward,
            destination: asked.actor.principal().country,
            dataset: &name("export"),
            selection: &selection,
            subject: None,
            evidence: asked.evidence.clone(),
            evidence_name: None,
            statement: None,
            ladder: asked.ladder,
            rows_max: 10,
            people_max: 1,
        };
        payload_of(
            road().decide(&ask).unwrap().treat(body.as_bytes(), &Format::Json, &Limits::default()).unwrap(),
        )
    };
    assert_eq!(from_abroad(r#"[{"state":"held"}]"#), r#"[{"state":"held"}]"#);
    let prose = from_abroad(r#"[{"state":"held because Ann asked"}]"#);
    assert!(prose.contains("t1.") && !prose.contains("Ann"), "{prose}");
}

#[test]
fn two_recipients_cannot_join_their_pseudonyms() {
    let token = |employer: &str| {
        let actor = actor(ActorKind::Employee, employer, Country::parse("SG").unwrap());
        let asked = Asked {
            border: Border::Green,
            actor,
            purpose: Purpose::Research,
            evidence: Evidence::None,
            ladder: &[Treatment::Pseudonymised],
        };
        payload_of(treat(&asked, &profile(), r#"[{"userName":"@ann"}]"#, 10).unwrap())
    };
    assert!(token("acme-cn").contains("t1.") && !token("acme-cn").contains("ann"));
    assert_eq!(token("acme-cn"), token("acme-cn"), "one recipient can join its own");
    assert_ne!(token("acme-cn"), token("acme-us"));
}

#[test]
fn a_rulebook_with_one_signature_or_another_file_does_not_count() {
    let [operator, auditor] = signers();
    let files = files();
    for one in [&operator, &auditor] {
        assert!(matches!(open(&files, &signed(&files, &[one])), Err(RulebookError::Unsigned(_))));
    }
    let both = signed(&files, &[&operator, &auditor]);
    let mut widened = files.clone();
    widened.insert("30-more.cedar".to_owned(), "@id(\"W\") permit (principal, action, resource);".to_owned());
    assert!(matches!(open(&widened, &both), Err(RulebookError::OtherFiles)));
    let same =
        ActiveRulebook::open(&files, &signed(&files, &[&operator]), operator.verifier(), operator.verifier());
    assert!(matches!(same, Err(RulebookError::Unsigned(_))), "one key cannot stand for both");
}

fn countries() -> impl Strategy<Value = Country> {
    prop::sample::select(vec!["IE", "NO", "CH", "GB", "SG", "CN", "US", "JP", "RU", "AU", "ZZ"])
        .prop_map(|c| Country::parse(c).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// DESIGN §8: restricted data leaves in no row-level form; here for any caller, place, purpose, ground and ladder.
    #[test]
    fn no_restricted_value_leaves_the_region_in_any_row(
        country in countries(),
        service in any::<bool>(),
        employer in prop::sample::select(vec!["acme-eu", "acme-apac", "acme-cn", "acme-us"]),
        purpose in prop::sample::select(Purpose::ALL.to_vec()),
        evidence in prop::sample::select(vec![Evidence::None, case(), grant(), flow()]),
    ) {
        let kind = if service { ActorKind::Service } else { ActorKind::Employee };
        let actor = actor(kind, employer, country);
        let asked = Asked { border: Border::Green, actor, purpose, evidence, ladder: ROWS };
        let inside = road().rulebook().programme.in_region(country);
        if let Ok(treated) = treat(&asked, &profile(), &marked(), 10) {
            let (sealed, recording) = sealed(treated);
            let (receipts, committed) = commit(vec![recording]);
            let entry = Entry::decode(&committed.entries[0].leaf).unwrap();
            let payload = String::from_utf8(sealed.release(&receipts[0]).unwrap().into_bytes()).unwrap();
            prop_assert!(!payload.contains("undeclared"));
            if !inside {
                prop_assert!(!payload.contains("restrictedcanary"), "{country}");
                prop_assert!(!entry.draft.classes.contains(&DataClass::Restricted));
                prop_assert!(country != Country::UNKNOWN, "nobody from nowhere is served");
            }
        }
    }
}

#[test]
fn a_suspended_country_stops_what_is_asked_and_what_is_on_its_way() {
    let [operator, auditor] = signers();
    let note = signed(&files(), &[&operator, &auditor]);
    let road = road_of(open(&files(), &note).unwrap());
    let state = Selection::new(
        &road.rulebook().catalogue,
        &[("/*/state".to_owned(), road.rulebook().catalogue.find("video.status.review_state").unwrap())],
        None,
    )
    .unwrap();
    let from = |place: &str| actor(ActorKind::Employee, "acme-apac", Country::parse(place).unwrap());
    let (lane, dataset) = (name("test"), name("export"));
    fn ask<'a>(
        actor: &'a VerifiedActor,
        lane: &'a Name,
        dataset: &'a Name,
        selection: &'a Selection,
    ) -> Ask<'a> {
        Ask {
            flow: FlowId::new([8; 16]),
            now: NOW,
            border: Border::Green,
            actor,
            purpose: Purpose::Support,
            lane,
            direction: Direction::Outward,
            destination: actor.principal().country,
            dataset,
            selection,
            subject: None,
            evidence: grant(),
            evidence_name: None,
            statement: None,
            ladder: ROWS,
            rows_max: 10,
            people_max: 1,
        }
    }
    let (singapore, ireland) = (from("SG"), from("IE"));
    let asked = ask(&singapore, &lane, &dataset, &state);
    let treat =
        |ask: &Ask<'_>| road.decide(ask)?.treat(br#"[{"state":"held"}]"#, &Format::Json, &Limits::default());
    let on_its_way = treat(&asked).unwrap();
    road.in_force().suspend(Country::parse("SG").unwrap(), || ());
    let late = on_its_way.past(&road.in_force().passing()).unwrap_err();
    assert_eq!(late.reason(), Reason::Suspended);
    assert_eq!(treat(&asked).unwrap_err().reason(), Reason::Suspended);
    assert_eq!(road.decide_own(&asked).unwrap_err().reason(), Reason::Suspended, "one's own reading, too");
    // By destination, too; and nobody else is stopped.
    let sent = Ask { destination: Country::parse("SG").unwrap(), ..ask(&ireland, &lane, &dataset, &state) };
    assert_eq!(treat(&sent).unwrap_err().reason(), Reason::Suspended);
    assert!(treat(&ask(&ireland, &lane, &dataset, &state)).is_ok());
    road.in_force().lift(Country::parse("SG").unwrap());
    assert!(treat(&asked).unwrap().past(&road.in_force().passing()).is_ok());
}

#[test]
fn what_another_rulebook_decided_than_the_one_in_force_is_neither_released_nor_told_as_its_refusal() {
    let [operator, auditor] = signers();
    let note = signed(&files(), &[&operator, &auditor]);
    let road = road_of(open(&files(), &note).unwrap());
    let state = Selection::new(
        &road.rulebook().catalogue,
        &[("/*/state".to_owned(), road.rulebook().catalogue.find("video.status.review_state").unwrap())],
        None,
    )
    .unwrap();
    let reader = actor(ActorKind::Employee, "acme-apac", Country::parse("SG").unwrap());
    let (lane, dataset) = (name("test"), name("export"));
    let ask = Ask {
        flow: FlowId::new([8; 16]),
        now: NOW,
        border: Border::Green,
        actor: &reader,
        purpose: Purpose::Support,
        lane: &lane,
        direction: Direction::Outward,
        destination: Country::parse("SG").unwrap(),
        dataset: &dataset,
        selection: &state,
        subject: None,
        evidence: grant(),
        evidence_name: None,
        statement: None,
        ladder: ROWS,
        rows_max: 10,
        people_max: 1,
    };
    let treated = || {
        road.decide(&ask).unwrap().treat(br#"[{"state":"held"}]"#, &Format::Json, &Limits::default()).unwrap()
    };
    let refused = || road.decide(&Ask { ladder: &[Treatment::Dp], ..ask.clone() }).unwrap_err();
    let (late, kept) = (treated(), refused());
    assert_eq!(kept.past(&road.in_force().passing()).reason(), Reason::Policy, "it is still in force");
    let kept = refused();
    road.in_force().replace(model::Digest::new([7; 32]), || Ok::<_, ()>(())).unwrap();
    assert_eq!(late.past(&road.in_force().passing()).unwrap_err().reason(), Reason::Rulebook);
    assert_eq!(kept.past(&road.in_force().passing()).reason(), Reason::Rulebook);
    road.in_force().unknown();
    assert_eq!(treated().past(&road.in_force().passing()).unwrap_err().reason(), Reason::Rulebook);
}

/// The starter rulebook with one duty more.
fn road_with_intents() -> Road {
    let mut files = files();
    let permits = files.get_mut("20-permits.cedar").unwrap();
    *permits = permits
        .replace("@id(\"P1-in-region-grant\")", "@id(\"P1-in-region-grant\")\n@duty(\"recordIntent\")");
    let [operator, auditor] = signers();
    let note = signed(&files, &[&operator, &auditor]);
    road_of(open(&files, &note).unwrap())
}

#[test]
fn where_policy_demands_it_nothing_is_treated_before_its_intent_is_on_the_ledger() {
    let road = road_with_intents();
    let (asked, selection, lane, dataset) = (in_dublin(), profile(), name("test"), name("export"));
    let ask = |subject| ask(&asked, &selection, (&lane, &dataset), subject, 10);
    let pinned = || road.decide(&ask(Some((subject(), tag(2))))).unwrap();
    let body = br#"[{"userName":"one"}]"#;
    let (limits, mut log) = (Limits::default(), sequencer());
    let early = pinned().treat(body, &Format::Json, &limits).unwrap_err();
    assert_eq!(early.reason(), Reason::Evidence);

    // Whom it will be about must be known beforehand.
    let unpinned = road.decide(&ask(None)).unwrap();
    assert_eq!(with_sealing(|s| unpinned.intend(100, s)).unwrap().unwrap_err(), Reason::Subject);

    let intend = |permitted: &crossing::Permitted<'_>, bytes| {
        with_sealing(|s| permitted.intend(bytes, s)).unwrap().unwrap()
    };
    let (mut one, mut other) = (pinned(), pinned());
    let ((intent, recording), (_, of_other)) = (intend(&one, 1000), intend(&other, 2000));
    let (receipts, committed) = commit_to(&mut log, vec![recording, of_other]);
    assert!(one.intended(&intent, &receipts[1]).is_err(), "the receipt of another entry is none");
    one.intended(&intent, &receipts[0]).unwrap();
    assert!(receipts[0].key_use.is_some(), "keys are used from the intent on");
    let opened = Entry::decode(&committed.entries[0].leaf).unwrap();
    assert_eq!((opened.draft.kind, opened.draft.bytes), (EntryKind::Open, 1000));
    let (sealed, recording) = sealed(one.treat(body, &Format::Json, &limits).unwrap());
    assert!(recording.key_use.is_none());
    let (receipts, committed) = commit_to(&mut log, vec![recording]);
    let closed = Entry::decode(&committed.entries[0].leaf).unwrap();
    let bytes = sealed.release(&receipts[0]).unwrap().into_bytes();
    assert_eq!(closed.draft.kind, EntryKind::Close);
    assert_eq!((closed.draft.bytes, closed.draft.rows), (bytes.len() as u64, 1));
    assert_eq!(closed.draft.flow, opened.draft.flow);
    assert_eq!(closed.draft.subjects, opened.draft.subjects);

    // What fails behind its intent ends it, and releases nothing.
    let (intent, recording) = intend(&other, 3000);
    other.intended(&intent, &commit_to(&mut log, vec![recording]).0[0]).unwrap();
    let refused = other.treat(b"no json", &Format::Json, &limits).unwrap_err();
    let (_, recording) = with_sealing(|s| refused.seal(s)).unwrap();
    let closed = Entry::decode(&commit_to(&mut log, vec![recording]).1.entries[0].leaf).unwrap();
    assert_eq!((closed.draft.kind, closed.draft.bytes), (EntryKind::Close, 0));
}
