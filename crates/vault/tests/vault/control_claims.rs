//! What requests, budgets, incidents and leases owe over any store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use access::registry::ActorKind;
use access::request::Done;
use access::{Act, Actor, NotAllowed, Person, Request, State, Wanted};
use ledger::note::Signer;
use model::procedures::{Amount, Procedures};
use model::{ActorId, CaseKind, Country, Digest, Ground, Name, Purpose, SubjectId, Tag, UnixSeconds};
use vault::Control;
use vault::control::store::{Becomes, Changed, EditAll, Row, Store, Table};
use vault::control::{ChangeError, ControlError, Incident, LEASE_MS, StoreError, TakeError, Ticket};

use super::control::{Claim, Place, World};

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const AMOUNT: Amount = Amount { rows: 100, bytes: 6400, subjects: 4 };

const RULES: &str = r#"
    [sets.leads]
    teams = ["leads"]
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
    [[procedure]]
    name = "grant"
    ground = "grant"
    purposes = ["fraud"]
    hours_max = 8
    rows_max = 1000
    bytes_max = 1000000
    subjects_max = 10
    [[procedure.step]]
    of = ["leads"]
    need = 2
    minutes = 60
    [[procedure]]
    name = "glass"
    ground = "break-glass"
    purposes = ["incident"]
    hours_max = 4
    rows_max = 1000
    bytes_max = 1000000
    subjects_max = 10
    review_hours = 72
    [[procedure.step]]
    of = ["leads"]
    need = 2
    employers = 2
    minutes = 15
"#;

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn id(text: &str) -> ActorId {
    ActorId::parse(text).unwrap()
}

/// Somebody of an employer: who asks is in no team, everybody else is a lead.
pub(crate) fn actor(who: &str) -> Actor {
    let teams = if who == "ana" { vec![] } else { vec![name("leads")] };
    let employer = name(if who == "sue" { "guard-eu" } else { "acme-eu" });
    let kind = ActorKind::Employee;
    Actor { id: id(who), kind, employer, qualified: true, teams, deputies: vec![] }
}

pub(crate) fn person(record: &Actor) -> Person<'_> {
    Person { record, country: Country::parse("IE").unwrap(), in_region: true, strong: true }
}

pub(crate) fn rules() -> Procedures {
    Procedures::parse(RULES).unwrap()
}

pub(crate) fn wanted(ground: Ground) -> Wanted {
    let (purpose, kind, incident) = match ground {
        Ground::Case => (Purpose::Support, Some(CaseKind::VideoNotShown), None),
        Ground::Grant => (Purpose::Fraud, None, None),
        Ground::BreakGlass => (Purpose::Incident, None, Some(name("I-1"))),
    };
    let case = ground == Ground::Case;
    Wanted {
        ground,
        purpose,
        case: name("T-1"),
        kind,
        incident,
        dataset: name("export"),
        fields: case.then(|| name("video-status")),
        subject: case.then(|| SubjectId::from_index(&[1; 16])),
        seconds: 3600,
        amount: Amount { rows: 10, bytes: 1000, subjects: 1 },
    }
}

/// A control over a store, with a clock that stands until it is moved.
pub(crate) struct Office {
    pub(crate) control: Control,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) rules: Procedures,
    recorded: Mutex<Vec<(String, Act)>>,
}

impl Office {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(AtomicU64::new(5_000_000));
        let hands = Arc::clone(&clock);
        let operator = Signer::from_seed("operator.test", &[3; 32]).unwrap().verifier().clone();
        let folder = std::path::Path::new("/nowhere");
        let control = Control::new(folder, operator, store, Box::new(move || hands.load(Ordering::SeqCst)));
        control.refresh(NOW).unwrap();
        Self { control, clock, rules: rules(), recorded: Mutex::default() }
    }

    pub(crate) fn record(&self, request: &Request, done: &Done) -> Result<(), ChangeError> {
        self.recorded.lock().unwrap().push((request.id.to_string(), done.act));
        Ok(())
    }

    pub(crate) fn ask(&self, key: &str, ground: Ground) -> Result<Arc<Request>, ControlError> {
        let ana = actor("ana");
        let request = Request::ask(name(key), wanted(ground), person(&ana), &self.rules, NOW).unwrap();
        self.control.ask(&request, &mut |r, d| self.record(r, d))
    }

    pub(crate) fn act(
        &self,
        key: &str,
        act: &mut dyn FnMut(&mut Request) -> Result<(), NotAllowed>,
    ) -> Result<Arc<Request>, ControlError> {
        self.control.act(&name(key), act, &mut |r, d| self.record(r, d))
    }

    pub(crate) fn approve(&self, key: &str, who: &str) -> Result<Arc<Request>, ControlError> {
        let (who, registry) = (actor(who), |id: &ActorId| Some(actor(id.as_str())));
        self.act(key, &mut |r| r.approve(person(&who), &self.rules, registry, NOW))
    }

    pub(crate) fn revoke(&self, key: &str, who: &str) -> Result<Arc<Request>, ControlError> {
        let who = actor(who);
        self.act(key, &mut |r| r.revoke(person(&who), &self.rules, NOW.plus(1)))
    }

    pub(crate) fn granted(&self, key: &str, ground: Ground) {
        self.ask(key, ground).unwrap();
        self.approve(key, "lea").unwrap();
        if ground != Ground::Case {
            self.approve(key, "sue").unwrap();
        }
    }

    fn ends(&self) -> u64 {
        *self.control.ended().borrow()
    }

    fn take(&self, rows: u64, bytes: u64, who: &[u8]) -> Result<Ticket, TakeError> {
        let people: Vec<Tag> = who.iter().map(|b| Tag::new([*b; 16])).collect();
        self.control.take(&name("g"), &AMOUNT, rows, bytes, &people, 0)
    }

    fn reserved(&self, store: &dyn Store) -> Amount {
        let row = store.get(Table::Budgets, "g").unwrap().unwrap();
        serde_json::from_slice::<access::Reserved>(&row.bytes).unwrap().reserved()
    }
}

fn not_allowed<T>(result: Result<T, ControlError>, why: NotAllowed) {
    match result.map(drop) {
        Err(ControlError::Store(StoreError::Change(ChangeError::NotAllowed(found)))) => {
            assert_eq!(found, why)
        }
        other => panic!("{other:?}"),
    }
}

/// All claims, one after the other.
pub(crate) fn claims(world: &dyn World) {
    let claims: &[(&str, Claim)] = &[
        ("a request that is granted is evidence, everywhere, until it ends", evidence),
        ("what was not recorded was not done", unrecorded),
        ("two approvals racing a denial have one outcome, and no act is lost", races),
        ("time that is over for a step is told by one process", ticks),
        ("a break-glass grant serves only while its incident is open", incidents),
        ("an ended session is ended everywhere until it would have been over", sessions),
        ("without the store evidence is given for ten seconds and no longer", leases),
        ("64 parallel takers never take more than the amount", takers),
        ("what was reserved and not used goes back at a clean stop, and only then", settles),
        ("one rulebook is in force for all, and one that was replaced does not come back", rulebooks),
        ("what one person more costs does not grow with those who are counted already", small_writes),
        (
            "a reservation that failed, or whose answer is lost, counts nobody twice and frees nobody",
            lost_answers,
        ),
        ("who finds no row any more counts in each crossing", uncounted),
        ("what ended long ago is removed everywhere, and its name stays taken", super::control_prune::old),
        (
            "what waits, serves or is to be reviewed is never removed, nor what belongs to it",
            super::control_prune::open,
        ),
        ("a step removes few rows, and the steps all that is old", super::control_prune::steps),
        ("however many ask at once, nobody learns more than the budgets give", super::control_privacy::race),
        ("what was charged stays charged, and nothing was told uncharged", super::control_privacy::crash),
        ("what is charged before it is made is charged once", super::control_privacy::prepaid),
        (
            "the same question is free, also after a restart, and others are not",
            super::control_privacy::repeats,
        ),
        ("what was spent and told is never removed", super::control_privacy::stays),
        ("a guard holds in other processes and after a restart", super::control_privacy::guards),
    ];
    for (claim, check) in claims {
        println!("claim: {claim}");
        check(world.place().as_ref());
    }
}

fn evidence(place: &dyn Place) {
    let [here, there] = place.pair().map(Office::new);
    here.ask("c", Ground::Case).unwrap();
    assert!(matches!(here.control.case(&name("c"), NOW), Err(ControlError::Missing(_))), "it waits");
    assert!(matches!(here.ask("c", Ground::Case), Err(ControlError::Store(_))), "the name is taken");
    not_allowed(here.approve("c", "ana"), NotAllowed::Own);
    // Over there nobody has refreshed: an act sees the row as it is all the same.
    there.approve("c", "lea").unwrap();
    assert!(here.control.case(&name("c"), NOW).is_err());
    here.control.refresh(NOW).unwrap();
    let case = here.control.case(&name("c"), NOW).unwrap();
    assert_eq!((case.engineer.as_str(), case.not_after), ("ana", NOW.plus(3600)));
    assert!(matches!(here.control.case(&name("c"), NOW.plus(3600)), Err(ControlError::Over(_))));
    assert!(matches!(here.control.grant(&name("c"), NOW), Err(ControlError::Missing(_))), "it is no grant");
    here.granted("g", Ground::Grant);
    there.control.refresh(NOW).unwrap();
    assert_eq!(there.control.grant(&name("g"), NOW).unwrap().approvals.len(), 2);
    assert_eq!(there.control.requests().len(), 2);
    assert_eq!((here.ends(), there.ends()), (0, 0));
    // Revoked here, it ends here at once and there with the next refresh.
    let mut told = there.control.ended();
    here.revoke("g", "sue").unwrap();
    assert_eq!(here.ends(), 1);
    assert!(here.control.grant(&name("g"), NOW).is_err());
    assert!(there.control.refresh(NOW).unwrap());
    assert!(told.has_changed().unwrap());
    told.mark_unchanged();
    assert!(there.control.grant(&name("g"), NOW).is_err());
    // And the case by its time.
    assert!(!there.control.refresh(NOW.plus(3599)).unwrap());
    assert!(there.control.refresh(NOW.plus(3600)).unwrap());
    assert!(told.has_changed().unwrap());
    assert!(!there.control.refresh(NOW.plus(3601)).unwrap(), "it ends once");
    drop((here, there));
    let later = Office::new(place.open());
    assert_eq!(later.control.request(&name("g")).unwrap().state, State::Revoked);
    assert!(later.control.case(&name("c"), NOW).is_ok());
}

fn rulebooks(place: &dyn Place) {
    let [here, there] = place.pair().map(Office::new);
    let [first, second] = [1, 2].map(|n| Digest::new([n; 32]));
    let recorded = std::cell::Cell::new(0);
    let mut record = || {
        recorded.set(recorded.get() + 1);
        Ok(())
    };
    assert_eq!(here.control.rulebook().unwrap(), None);
    assert!(here.control.activate(&first, NOW, &mut record).unwrap());
    assert!(!there.control.activate(&first, NOW, &mut record).unwrap(), "it is already");
    assert_eq!(here.control.rulebook().unwrap(), Some(first), "at once");
    there.control.refresh(NOW).unwrap();
    assert_eq!(there.control.rulebook().unwrap(), Some(first), "with the next refresh");
    let mut broken = || Err(ChangeError::Record("the ledger is closed".into()));
    assert!(there.control.activate(&second, NOW, &mut broken).is_err());
    here.control.refresh(NOW).unwrap();
    assert_eq!(here.control.rulebook().unwrap(), Some(first), "what is not recorded is not in force");
    assert!(there.control.activate(&second, NOW, &mut record).unwrap());
    let back = here.control.activate(&first, NOW, &mut record);
    assert!(matches!(back, Err(StoreError::Change(ChangeError::Over(_)))), "{back:?}");
    here.control.refresh(NOW).unwrap();
    assert_eq!((here.control.rulebook().unwrap(), recorded.get()), (Some(second), 2));
    drop((here, there));
    let later = Office::new(place.open());
    later.control.refresh(NOW).unwrap();
    assert_eq!(later.control.rulebook().unwrap(), Some(second));
}

fn unrecorded(place: &dyn Place) {
    let [store, _] = place.pair();
    let office = Office::new(Arc::clone(&store));
    let broken = |_: &Request, _: &Done| Err(ChangeError::Record("the ledger is closed".into()));
    let ana = actor("ana");
    let request = Request::ask(name("r"), wanted(Ground::Case), person(&ana), &office.rules, NOW).unwrap();
    assert!(office.control.ask(&request, &mut { broken }).is_err());
    assert_eq!(store.get(Table::Requests, "r").unwrap(), None);
    office.ask("r", Ground::Case).unwrap();
    let before = store.get(Table::Requests, "r").unwrap();
    let lea = actor("lea");
    let deny = &mut |r: &mut Request| r.deny(person(&lea), &office.rules, NOW);
    let refused = office.control.act(&name("r"), deny, &mut { broken });
    assert!(matches!(refused, Err(ControlError::Store(StoreError::Change(ChangeError::Record(_))))));
    let late = NOW.plus(86_400);
    assert!(office.control.tick(&office.rules, late, &mut { broken }).is_err());
    assert_eq!(store.get(Table::Requests, "r").unwrap(), before);
    let gone = office.control.act(&name("nobody"), &mut |_| Ok(()), &mut |_, _| Ok(()));
    assert!(matches!(gone, Err(ControlError::Store(StoreError::Change(ChangeError::Missing(_))))));
    assert_eq!(office.recorded.lock().unwrap().len(), 1, "the asking");
}

fn races(place: &dyn Place) {
    let offices = place.pair().map(Office::new);
    let mut outcomes = BTreeMap::<&str, u32>::new();
    for round in 0..12 {
        let key = format!("r{round}");
        offices[0].ask(&key, Ground::Grant).unwrap();
        let start = Barrier::new(3);
        let won: Vec<bool> = std::thread::scope(|s| {
            let (start, key, offices) = (&start, key.as_str(), &offices);
            let acts: [Box<dyn FnOnce() -> bool + Send>; 3] = [
                Box::new(move || offices[0].approve(key, "lea").is_ok()),
                Box::new(move || offices[1].approve(key, "sue").is_ok()),
                Box::new(move || {
                    let leo = actor("leo");
                    let deny = &mut |r: &mut Request| r.deny(person(&leo), &offices[1].rules, NOW);
                    offices[1].act(key, deny).is_ok()
                }),
            ];
            let threads = acts.map(|act| {
                s.spawn(move || {
                    start.wait();
                    act()
                })
            });
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        for office in &offices {
            office.control.refresh(NOW).unwrap();
        }
        let [here, there] = offices.each_ref().map(|o| o.control.request(&name(&key)).unwrap());
        assert_eq!(here, there);
        let acts: Vec<Act> = here.done.iter().map(|d| d.act).collect();
        let approved = acts.iter().filter(|a| **a == Act::Approve).count();
        let denied = acts.iter().filter(|a| **a == Act::Deny).count();
        assert_eq!(won.iter().filter(|w| **w).count(), approved + denied, "{acts:?}: an act was lost");
        assert_eq!(approved, won[..2].iter().filter(|w| **w).count());
        let state = match here.state {
            State::Granted { .. } => "granted",
            State::Denied => "denied",
            _ => panic!("{:?}", here.state),
        };
        assert_eq!(state == "granted", (approved, denied) == (2, 0), "{acts:?}");
        let recorded = offices.iter().flat_map(|o| o.recorded.lock().unwrap().clone());
        assert_eq!(recorded.filter(|(of, _)| *of == key).count(), acts.len());
        *outcomes.entry(state).or_default() += 1;
    }
    println!("{outcomes:?}");
}

fn ticks(place: &dyn Place) {
    let offices = place.pair().map(Office::new);
    offices[0].ask("c", Ground::Case).unwrap();
    offices[0].ask("g", Ground::Grant).unwrap();
    offices[1].control.refresh(NOW).unwrap();
    let tick =
        |o: &Office, at: UnixSeconds| o.control.tick(&o.rules, at, &mut |r, d| o.record(r, d)).unwrap();
    assert!(!tick(&offices[0], NOW.plus(1799)));
    // Both know that the case's step is over; one of them does it.
    assert!(tick(&offices[1], NOW.plus(1800)));
    assert!(!tick(&offices[0], NOW.plus(1800)));
    offices[0].control.refresh(NOW).unwrap();
    assert_eq!(offices[0].control.request(&name("c")).unwrap().state, State::TimedOut);
    assert!(matches!(offices[0].control.request(&name("g")).unwrap().state, State::Waiting { .. }));
    assert_eq!(*offices[1].recorded.lock().unwrap(), [("c".to_owned(), Act::TimeOut)]);
}

pub(crate) fn noted(_: &Incident) -> Result<(), ChangeError> {
    Ok(())
}

fn incidents(place: &dyn Place) {
    let [here, there] = place.pair().map(Office::new);
    let incident = name("I-1");
    here.granted("glass", Ground::BreakGlass);
    assert!(matches!(here.control.grant(&name("glass"), NOW), Err(ControlError::Over(_))), "not opened");
    let closed = || Err(ChangeError::Record("the ledger is closed".into()));
    assert!(here.control.open_incident(&incident, &id("sue"), NOW, &mut |_| closed()).is_err());
    assert!(!here.control.incident_open(&incident));
    here.control.open_incident(&incident, &id("sue"), NOW, &mut noted).unwrap();
    assert!(here.control.grant(&name("glass"), NOW).is_ok());
    there.control.refresh(NOW).unwrap();
    assert!(there.control.incident_open(&incident));
    assert_eq!(there.control.grant(&name("glass"), NOW).unwrap().incident, Some(incident.clone()));
    here.control.close_incident(&incident, NOW.plus(9), &mut noted).unwrap();
    assert!(here.control.grant(&name("glass"), NOW).is_err());
    assert!(there.control.refresh(NOW).unwrap(), "something ended");
    assert!(!there.control.incident_open(&incident) && there.control.grant(&name("glass"), NOW).is_err());
    let over = here.control.close_incident(&incident, NOW, &mut noted);
    assert!(matches!(over, Err(StoreError::Change(ChangeError::Over(_)))));
    let again = here.control.open_incident(&incident, &id("sue"), NOW, &mut noted);
    assert!(matches!(again, Err(StoreError::Change(ChangeError::Exists(_)))));
    assert_eq!(there.control.incidents()[0].closed_at, Some(NOW.plus(9)));
}

fn sessions(place: &dyn Place) {
    let stores = place.pair();
    let [here, there] = stores.each_ref().map(|s| Office::new(Arc::clone(s)));
    let until = NOW.plus(7200);
    assert!(!there.control.session_ended("s-1").unwrap());
    here.control.end_session("s-1", until).unwrap();
    here.control.end_session("s-2", until).unwrap();
    here.control.end_session("s-1", until).unwrap();
    assert!(here.control.session_ended("s-1").unwrap());
    assert!(there.control.refresh(NOW).unwrap());
    assert!(there.control.session_ended("s-1").unwrap() && there.control.session_ended("s-2").unwrap());
    assert!(!there.control.session_ended("s-3").unwrap());
    let rows = stores[0].changes(0, 10).unwrap();
    assert_eq!(rows.len(), 1, "they lie together by the hour");
    there.control.refresh(until).unwrap();
    assert!(!there.control.session_ended("s-1").unwrap(), "it is over by itself");
}

/// A store that may be out of reach.
struct Remote(Arc<dyn Store>, Arc<AtomicBool>);

impl Remote {
    fn reach(&self) -> Result<&dyn Store, StoreError> {
        if self.1.load(Ordering::SeqCst) { Err(StoreError::Missing) } else { Ok(self.0.as_ref()) }
    }
}

impl Store for Remote {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StoreError> {
        self.reach()?.get(table, key)
    }
    fn change_all(
        &self,
        rows: &[(Table, &str)],
        change: EditAll<'_>,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        self.reach()?.change_all(rows, change)
    }
    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Changed>, StoreError> {
        self.reach()?.changes(after, limit)
    }
}

fn leases(place: &dyn Place) {
    let [store, _] = place.pair();
    let gone = Arc::new(AtomicBool::new(false));
    let office = Office::new(Arc::new(Remote(store, Arc::clone(&gone))));
    office.granted("c", Ground::Case);
    office.control.refresh(NOW).unwrap();
    gone.store(true, Ordering::SeqCst);
    lease_runs_out(&office);
    gone.store(false, Ordering::SeqCst);
    office.control.refresh(NOW).unwrap();
    assert!(office.control.case(&name("c"), NOW).is_ok());
}

/// The store is out of reach from now on, and was just read.
pub(crate) fn lease_runs_out(office: &Office) {
    office.clock.fetch_add(LEASE_MS, Ordering::SeqCst);
    assert!(office.control.refresh(NOW).is_err());
    assert!(office.control.case(&name("c"), NOW).is_ok(), "the lease is not over");
    office.clock.fetch_add(1, Ordering::SeqCst);
    assert!(matches!(office.control.case(&name("c"), NOW), Err(ControlError::Stale)));
    assert!(matches!(office.control.grant(&name("c"), NOW), Err(ControlError::Stale)));
    assert!(matches!(office.control.session_ended("s"), Err(ControlError::Stale)));
    assert!(!office.control.incident_open(&name("I-1")));
    assert!(office.control.request(&name("c")).is_ok(), "to look at it is no evidence");
}

fn takers(place: &dyn Place) {
    let stores = place.pair();
    let offices = stores.each_ref().map(|s| Office::new(Arc::clone(s)));
    let (tickets, refused, back) = (Mutex::new(Vec::new()), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|s| {
        for n in 0..64_u8 {
            let (office, tickets, refused, back) = (&offices[usize::from(n % 2)], &tickets, &refused, &back);
            s.spawn(move || {
                for _ in 0..3 {
                    match office.take(1, 1, &[n % 2]) {
                        Ok(ticket) if n % 8 == 0 => {
                            back.fetch_add(1, Ordering::SeqCst);
                            office.control.give_back(ticket);
                        }
                        Ok(ticket) => tickets.lock().unwrap().push(ticket),
                        Err(TakeError::Spent(_)) => {
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(e) => panic!("{e:?}"),
                    }
                }
            });
        }
    });
    let tickets = tickets.into_inner().unwrap();
    let all = tickets.len() as u64;
    assert!(all <= AMOUNT.rows, "{all} were taken of {}", AMOUNT.rows);
    assert_eq!(all + refused.into_inner() + back.into_inner(), 64 * 3);
    // What is left in one's chunk the other cannot have, nor what was given back to it since.
    assert!(all >= AMOUNT.rows - AMOUNT.rows / 4, "only {all} were taken");
    assert_eq!(offices[0].reserved(stores[0].as_ref()).rows, AMOUNT.rows);
    offices.iter().for_each(|o| o.control.settle().unwrap());
    assert_eq!(offices[1].reserved(stores[1].as_ref()).rows, all);
}

fn settles(place: &dyn Place) {
    let reserved = |rows, bytes, subjects| Amount { rows, bytes, subjects };
    let [store, _] = place.pair();
    let office = Office::new(Arc::clone(&store));
    let kept = office.take(1, 1, &[1]).unwrap();
    let back = office.take(1, 1, &[2]).unwrap();
    assert_eq!(office.reserved(store.as_ref()), reserved(12, 800, 2), "by eighths");
    office.control.give_back(back);
    office.control.settle().unwrap();
    // Rows and bytes that did not cross go back; a person who was counted stays counted, before and after a crash.
    assert_eq!(office.reserved(store.as_ref()), reserved(1, 1, 2));
    office.control.give_back(kept);
    let _ = office.take(1, 1, &[1]).unwrap();
    assert_eq!(office.reserved(store.as_ref()), reserved(13, 801, 2), "whom it counted it knows");
    drop(office);
    // It ended without settling: the rest of its chunk is lost, and nothing more.
    let next = Office::new(Arc::clone(&store));
    let _ = next.take(87, 1, &[1]).unwrap();
    assert!(matches!(next.take(1, 1, &[1]), Err(TakeError::Spent(access::Spent("rows")))));
    assert!(matches!(next.take(0, 1, &[5, 6, 7, 8]), Err(TakeError::Spent(access::Spent("people")))));
    next.control.settle().unwrap();
    assert_eq!(next.reserved(store.as_ref()).rows, 100);
    // A budget that cannot be read gives nothing.
    store.change(Table::Budgets, "g", &mut |_| Ok(Some(b"{}".to_vec()))).unwrap();
    assert!(matches!(next.take(1, 1, &[]), Err(TakeError::Store(_))));
}

/// A store that counts what is written through it, and may lose an answer or refuse.
pub(crate) struct Watched {
    store: Arc<dyn Store>,
    rows: AtomicU64,
    bytes: AtomicU64,
    pub(crate) refuses: AtomicBool,
    pub(crate) forgets: AtomicBool,
}

impl Watched {
    pub(crate) fn over(store: Arc<dyn Store>) -> Arc<Self> {
        let (rows, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let (refuses, forgets) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { store, rows, bytes, refuses, forgets })
    }

    /// Rows and bytes since it was asked last.
    fn written(&self) -> (u64, u64) {
        (self.rows.swap(0, Ordering::SeqCst), self.bytes.swap(0, Ordering::SeqCst))
    }
}

impl Store for Watched {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StoreError> {
        self.store.get(table, key)
    }
    fn change_all(
        &self,
        rows: &[(Table, &str)],
        change: EditAll<'_>,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError::Missing);
        }
        let done = self.store.change_all(rows, &mut |found| {
            let becomes = change(found)?;
            for ((_, key), becomes) in rows.iter().zip(&becomes) {
                if let Becomes::Put(bytes) = becomes {
                    self.rows.fetch_add(1, Ordering::SeqCst);
                    self.bytes.fetch_add((key.len() + bytes.len()) as u64, Ordering::SeqCst);
                }
            }
            Ok(becomes)
        });
        if self.forgets.load(Ordering::SeqCst) {
            return Err(StoreError::Unknown("the answer is lost".into()));
        }
        done
    }
    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Changed>, StoreError> {
        self.store.changes(after, limit)
    }
}

/// Numbers in JSON have a digit more now and then.
const DIGITS: u64 = 16;

fn small_writes(place: &dyn Place) {
    let store = Watched::over(place.open());
    let office = Office::new(Arc::clone(&store) as Arc<dyn Store>);
    let most = Amount { rows: 1 << 20, bytes: 1 << 40, subjects: 5_000 };
    let take = |office: &Office, who: std::ops::Range<u128>| {
        let people: Vec<Tag> = who.map(|n| Tag::new((n << 64).to_be_bytes())).collect();
        let _ = office.control.take(&name("g"), &most, 1, 1, &people, 0).unwrap();
        store.written()
    };
    take(&office, 0..1);
    let (rows, second) = take(&office, 1..2);
    assert_eq!(rows, 2, "the counters and one person");
    for n in 2..300 {
        let (rows, bytes) = take(&office, n..n + 1);
        assert!(
            rows == 2 && bytes <= second + DIGITS,
            "person {n}: {rows} rows, {bytes} bytes, not {second}"
        );
    }
    println!("one person more: {second} bytes after one, {} after 300", take(&office, 300..301).1);
    assert_eq!(take(&office, 0..301), (0, 0), "whom it knows costs nothing");
    let (rows, bytes) = take(&office, 301..1301);
    assert!(rows == 1001 && bytes <= 1000 * second, "{rows} rows, {bytes} bytes");
    // Somebody else asks who is counted, and writes what it reserves.
    let next = Office::new(Arc::clone(&store) as Arc<dyn Store>);
    let (rows, bytes) = take(&next, 100..1100);
    assert!(rows == 1 && bytes <= second + DIGITS, "{rows} rows, {bytes} bytes");
    assert_eq!(office.reserved(store.as_ref()).subjects, 1301);
}

fn lost_answers(place: &dyn Place) {
    let store = Watched::over(place.open());
    let office = Office::new(Arc::clone(&store) as Arc<dyn Store>);
    store.refuses.store(true, Ordering::SeqCst);
    assert!(matches!(office.take(1, 1, &[1]), Err(TakeError::Store(StoreError::Missing))));
    store.refuses.store(false, Ordering::SeqCst);
    assert_eq!(store.get(Table::Budgets, "g").unwrap(), None);
    store.forgets.store(true, Ordering::SeqCst);
    assert!(matches!(office.take(1, 1, &[1, 2]), Err(TakeError::Store(StoreError::Unknown(_)))));
    store.forgets.store(false, Ordering::SeqCst);
    let counted = office.reserved(store.as_ref());
    assert_eq!((counted.rows, counted.subjects), (12, 2), "it was done all the same");
    // Once more: nobody counts twice, and of rows no more than the chunk is lost.
    let _ = office.take(1, 1, &[1, 2]).unwrap();
    let again = office.reserved(store.as_ref());
    assert_eq!((again.rows, again.subjects), (24, 2));
    // One more than was granted: neither the one nor the others beside are counted.
    assert!(matches!(office.take(1, 1, &[3, 4, 5]), Err(TakeError::Spent(access::Spent("people")))));
    assert!(matches!(office.take(99, 1, &[3]), Err(TakeError::Spent(access::Spent("rows")))));
    assert_eq!(office.reserved(store.as_ref()), again);
    let _ = office.take(1, 1, &[3, 4]).unwrap();
    assert!(matches!(office.take(1, 1, &[5]), Err(TakeError::Spent(access::Spent("people")))));
    drop(office);
    let next = Office::new(Arc::clone(&store) as Arc<dyn Store>);
    let _ = next.take(1, 1, &[4, 3, 2, 1]).unwrap();
    assert!(matches!(next.take(1, 1, &[5]), Err(TakeError::Spent(access::Spent("people")))));
    next.control.settle().unwrap();
    assert_eq!(next.reserved(store.as_ref()).subjects, 4, "a clean stop frees nobody");
}

fn uncounted(place: &dyn Place) {
    let store = place.open();
    let office = Office::new(Arc::clone(&store));
    // As many as have a row each have one; the budget says so.
    let full = r#"{"rows":0,"bytes":0,"subjects":10000,"named":10000,"last":null}"#;
    store.change(Table::Budgets, "g", &mut |_| Ok(Some(full.into()))).unwrap();
    let most = Amount { subjects: 10_004, ..AMOUNT };
    let take = |who: u8| office.control.take(&name("g"), &most, 1, 1, &[Tag::new([who; 16])], 0);
    for who in [1, 1, 2] {
        let _ = take(who).unwrap();
    }
    let back = take(1).unwrap();
    assert!(matches!(take(1), Err(TakeError::Spent(access::Spent("people")))));
    office.control.give_back(back);
    let _ = take(3).unwrap();
    assert_eq!(store.changes(0, 10).unwrap().len(), 1, "nobody has a row");
}
