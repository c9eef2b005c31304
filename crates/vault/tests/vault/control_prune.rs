//! What is removed from a control store when it ended long ago, and what never is.

use std::sync::Arc;

use access::{Person, Request};
use model::procedures::Amount;
use model::{Ground, Tag, UnixSeconds};
use vault::control::store::{PAGE_MAX, Store, Table};
use vault::control::{ChangeError, ControlError, Keep, Pruning, STEP_MAX, StoreError};

use super::control::{Place, all_after};
use super::control_claims::{NOW, Office, actor, name, noted, person, wanted};

const DAY: u64 = 86_400;
const KEEP: Keep = Keep { requests: 400 * DAY, spent: 30 * DAY };
/// When what the claims grant is over.
const END: UnixSeconds = UnixSeconds(NOW.0 + 3600);
const MOST: Amount = Amount { rows: 1000, bytes: 100_000, subjects: 1000 };

fn count(office: &Office, grant: &str, people: u8) {
    let people: Vec<Tag> = (0..people).map(|n| Tag::new([n; 16])).collect();
    let _ = office.control.take(&name(grant), &MOST, 1, 1, &people, 0).unwrap();
}

/// Goes through the store once. Returns how many rows were removed.
fn prune(office: &Office, now: UnixSeconds) -> usize {
    let (mut pruning, mut removed) = (Pruning::default(), 0);
    loop {
        let step = office.control.prune(&office.rules, KEEP, now, &mut pruning).unwrap();
        assert!(step.removed <= STEP_MAX, "{step:?}");
        removed += step.removed;
        if step.done {
            return removed;
        }
    }
}

fn rows(store: &dyn Store, table: Table) -> Vec<String> {
    let of = all_after(store, 0, PAGE_MAX).into_iter().filter(|c| c.table == table);
    let mut keys: Vec<String> = of.map(|c| c.key).collect();
    keys.sort();
    keys
}

fn taken<T>(result: Result<T, ControlError>) {
    match result.map(drop) {
        Err(ControlError::Store(StoreError::Change(ChangeError::Exists(_)))) => {}
        other => panic!("{other:?}"),
    }
}

/// Asks and approves at another time.
fn granted_at(office: &Office, key: &str, ground: Ground, at: UnixSeconds) {
    let ana = actor("ana");
    let request = Request::ask(name(key), wanted(ground), person(&ana), &office.rules, at).unwrap();
    office.control.ask(&request, &mut |r, d| office.record(r, d)).unwrap();
    for who in ["lea", "sue"] {
        let who = actor(who);
        let by: Person<'_> = person(&who);
        office.act(key, &mut |r| r.approve(by, &office.rules, |id| Some(actor(id.as_str())), at)).unwrap();
    }
}

pub(crate) fn old(place: &dyn Place) {
    let stores = place.pair();
    let [here, there] = stores.each_ref().map(|s| Office::new(Arc::clone(s)));
    let store = stores[0].as_ref();
    here.granted("g", Ground::Grant);
    count(&here, "g", 3);
    here.granted("revoked", Ground::Grant);
    here.revoke("revoked", "sue").unwrap();
    here.ask("denied", Ground::Grant).unwrap();
    let lea = actor("lea");
    here.act("denied", &mut |r| r.deny(person(&lea), &here.rules, NOW)).unwrap();
    here.control.open_incident(&name("I-7"), &lea.id, NOW, &mut noted).unwrap();
    here.control.close_incident(&name("I-7"), NOW.plus(9), &mut noted).unwrap();
    here.control.end_session("s-1", END).unwrap();
    there.control.refresh(NOW).unwrap();
    assert_eq!(prune(&there, NOW), 0);
    assert_eq!(prune(&there, END.plus(KEEP.spent - 1)), 0);
    // An hour has its list of sessions, which are all over at its end.
    assert_eq!(prune(&there, END.plus(KEEP.spent)), 4, "three people and the amount");
    assert_eq!(prune(&there, END.plus(KEEP.spent + 3600)), 1, "the list of sessions");
    for table in [Table::Budgets, Table::People, Table::Sessions] {
        assert_eq!(rows(store, table), [""; 0], "{table:?}");
    }
    assert_eq!(rows(store, Table::Requests), ["denied", "g", "revoked"]);
    assert_eq!(prune(&there, NOW.plus(KEEP.requests - 1)), 0);
    assert_eq!(prune(&there, END.plus(KEEP.requests - 1)), 3, "the grant served for an hour more");
    assert_eq!(prune(&there, END.plus(KEEP.requests)), 1);
    // Here nobody has followed: a row that is missed was removed, and that is no alarm.
    assert_eq!(stores[0].get(Table::Requests, "g").unwrap(), None);
    let gone = here.act("denied", &mut |_| Ok(()));
    assert!(
        matches!(gone, Err(ControlError::Store(StoreError::Change(ChangeError::Missing(_))))),
        "{gone:?}"
    );
    here.control.refresh(END).unwrap();
    for office in [&here, &there] {
        assert!(office.control.requests().is_empty() && office.control.incidents().is_empty());
        assert!(matches!(office.control.request(&name("g")), Err(ControlError::Missing(_))));
        taken(office.ask("g", Ground::Grant));
        taken(office.control.open_incident(&name("I-7"), &lea.id, NOW, &mut noted).map_err(Into::into));
        // The name of one is not that of the other.
        assert!(rows(store, Table::Requests).is_empty());
    }
    here.ask("I-7", Ground::Grant).unwrap();
    drop((here, there, stores));
    let later = Office::new(place.open());
    taken(later.ask("g", Ground::Grant));
    assert_eq!(later.control.requests().len(), 1);
}

pub(crate) fn open(place: &dyn Place) {
    let store = place.open();
    let mut office = Office::new(Arc::clone(&store));
    let (lea, late) = (actor("lea"), END.plus(1000 * KEEP.requests));
    // It waits, since nobody lets its time pass.
    office.ask("waits", Ground::Grant).unwrap();
    office.control.open_incident(&name("open"), &lea.id, NOW, &mut noted).unwrap();
    office.control.open_incident(&name("I-1"), &lea.id, NOW, &mut noted).unwrap();
    office.granted("glass", Ground::BreakGlass);
    count(&office, "glass", 2);
    office.control.close_incident(&name("I-1"), NOW.plus(9), &mut noted).unwrap();
    granted_at(&office, "serves", Ground::Grant, UnixSeconds(late.0 - 3599));
    count(&office, "serves", 2);
    office.control.end_session("s-1", late.plus(1)).unwrap();
    let before = all_after(store.as_ref(), 0, PAGE_MAX);
    assert_eq!(prune(&office, late), 0);
    assert_eq!(all_after(store.as_ref(), 0, PAGE_MAX), before);
    assert!(office.control.request(&name("glass")).unwrap().review_open(&office.rules));
    // What its procedure asked for is not known any more: break-glass stays all the same.
    let known = std::mem::take(&mut office.rules);
    assert_eq!(prune(&office, late), 0);
    office.rules = known;
    office.act("glass", &mut |r| r.review(person(&lea), &office.rules, late)).unwrap();
    assert_eq!(prune(&office, late), 4 + 1, "request, amount, two people; and then the incident");
    assert_eq!(rows(store.as_ref(), Table::Requests), ["serves", "waits"]);
    assert_eq!(rows(store.as_ref(), Table::Incidents), ["open"]);
    assert_eq!(rows(store.as_ref(), Table::People).len(), 2);
    assert!(office.control.grant(&name("serves"), late).is_ok());
}

pub(crate) fn steps(place: &dyn Place) {
    let [store, another] = place.pair();
    let office = Office::new(Arc::clone(&store));
    office.granted("g", Ground::Grant);
    count(&office, "g", 250);
    let other = Office::new(Arc::clone(&another));
    let (mut pruning, mut steps, late) = (Pruning::default(), Vec::new(), END.plus(KEEP.spent));
    loop {
        let step = office.control.prune(&office.rules, KEEP, late, &mut pruning).unwrap();
        steps.push(step.removed);
        if step.done {
            break;
        }
        // In the middle of it others begin to read, or go on.
        assert_eq!(Office::new(Arc::clone(&another)).control.requests().len(), 1);
        other.control.refresh(NOW).unwrap();
    }
    assert_eq!(steps, [63, 63, 63, 62], "251 rows");
    assert_eq!(rows(store.as_ref(), Table::Requests), ["g"]);
    assert_eq!(prune(&office, late), 0);
    // Two at a time remove each row once.
    office.granted("t", Ground::Grant);
    count(&office, "t", 200);
    let removed: usize = std::thread::scope(|s| {
        let both = [&office, &other].map(|office| s.spawn(move || prune(office, late)));
        both.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(removed, 201);
    // A row that cannot be read stays, and does not stand in the way of the others.
    store.change(Table::Requests, "bad", &mut |_| Ok(Some(b"{}".to_vec()))).unwrap();
    office.granted("h", Ground::Grant);
    let (mut pruning, late) = (Pruning::default(), END.plus(KEEP.requests));
    let refused = office.control.prune(&office.rules, KEEP, late, &mut pruning);
    assert!(matches!(refused, Err(StoreError::Change(ChangeError::Form("request")))), "{refused:?}");
    assert_eq!(rows(store.as_ref(), Table::Requests), ["bad"]);
}
