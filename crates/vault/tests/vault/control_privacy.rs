//! What privacy budgets and guards owe over any store: nobody learns more than the budgets give, and nothing is forgotten.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};

use model::{Name, UnixSeconds};
use transform::aggregate::Member;
use transform::aggregate::guard::Unsafe;
use transform::budget::{Limits, Query, Refused};
use transform::dp::groups::private_groups;
use transform::dp::{Answer, Delta, DpError, Epsilon, Grouped, Noised, Privacy};
use vault::control::store::{Store, Table};
use vault::control::{ChangeError, Charged, Keep, Prepaid, Pruning, Spend, SpendError, StoreError};

use super::control::{Place, all_after};
use super::control_claims::{NOW, Office, Watched, name};

const DAY: u64 = 86_400;
const MICRO: u32 = 1_000_000;

fn privacy() -> (Privacy, Delta) {
    (Privacy::Pure(Epsilon::micro(MICRO).unwrap()), Delta::atto(250_000_000).unwrap())
}

fn spend<'a>(recipient: &'a str, dataset: &'a Name, question: u8) -> Spend<'a> {
    let (privacy, delta) = privacy();
    let query = [recipient.as_bytes(), &[question]].concat();
    let query = Query::new(*ledger::sha256(&query).bytes());
    Spend { recipient, dataset, query, limits: Limits::default(), cost: privacy.cost_of_groups(delta) }
}

fn draw() -> Result<Noised, DpError> {
    let (privacy, delta) = privacy();
    let people = (0..200_u32).map(|person| (person, if person < 120 { "IE" } else { "DE" }));
    private_groups(&Grouped::new(people, 1)?, 10, privacy, delta)
}

fn ask(office: &Office, spend: &Spend<'_>, now: UnixSeconds) -> Result<Charged, SpendError> {
    office.control.charge(spend, now, &mut draw)
}

fn took(charged: &Charged) -> u64 {
    charged.took().total_epsilon_micro()
}

/// What the store says was spent, of one recipient or of all.
fn ever(office: &Office, recipient: Option<&str>) -> u64 {
    let all = office.control.spent().unwrap();
    let of = all.iter().find(|tally| tally.recipient.as_deref() == recipient);
    of.map_or(0, |tally| tally.spending.ever().total_epsilon_micro())
}

/// Three recipients ask six questions each, in two processes at once, each question twice: eight answers are there for all,
/// and four for each.
pub(crate) fn race(place: &dyn Place) {
    let offices = place.pair().map(Office::new);
    let (dataset, start) = (name("export"), Barrier::new(12));
    let told: Vec<(usize, u8, Result<Charged, SpendError>)> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..12_usize)
            .map(|thread| {
                let (office, dataset, start) = (&offices[thread % 2], &dataset, &start);
                s.spawn(move || {
                    // Of a recipient four ask: the same questions, from the other end.
                    let (who, backwards) = (thread % 3, thread >= 6);
                    start.wait();
                    let questions = (0..6).map(|n| if backwards { 5 - n } else { n });
                    let recipient = format!("employer {who}");
                    let ask = |n| (who, n, ask(office, &spend(&recipient, dataset, n), NOW));
                    questions.map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let mut paid = 0;
    for (who, n, outcome) in &told {
        match outcome {
            Ok(charged) => {
                paid += took(charged);
                let same =
                    told.iter().filter(|(w, m, _)| (w, m) == (who, n)).filter_map(|t| t.2.as_ref().ok());
                assert!(
                    same.clone().all(|c| c.released() == charged.released()),
                    "one question, two answers"
                );
                assert!(same.filter(|c| took(c) > 0).count() == 1, "a question was charged for twice");
            }
            Err(SpendError::Exhausted(e)) => assert!(matches!(e.why, Refused::Recipient | Refused::Dataset)),
            Err(e) => panic!("{e:?}"),
        }
    }
    assert_eq!((paid, ever(&offices[0], None)), (8_000_000, 8_000_000));
    let of_each = [0, 1, 2].map(|who| ever(&offices[1], Some(&format!("employer {who}"))));
    assert!(of_each.iter().all(|spent| *spent <= 4_000_000), "{of_each:?}");
    assert_eq!(of_each.iter().sum::<u64>(), 8_000_000);
}

/// A process that dies after the charge and before the release has told nothing, and its charge stands; one that could not
/// charge has told nothing and spent nothing.
pub(crate) fn crash(place: &dyn Place) {
    let store = Watched::over(place.open());
    let office = Office::new(Arc::clone(&store) as Arc<dyn Store>);
    let dataset = name("export");
    let question = spend("employer a", &dataset, 1);
    store.refuses.store(true, Ordering::SeqCst);
    assert!(matches!(ask(&office, &question, NOW), Err(SpendError::Store(_))));
    store.refuses.store(false, Ordering::SeqCst);
    assert_eq!((ever(&office, None), office.control.affords(&question, NOW).unwrap()), (0, None));
    store.forgets.store(true, Ordering::SeqCst);
    assert!(matches!(ask(&office, &question, NOW), Err(SpendError::Store(StoreError::Unknown(_)))));
    drop((office, store));
    place.crash();
    let office = Office::new(place.open());
    assert_eq!((ever(&office, None), ever(&office, Some("employer a"))), (1_000_000, 1_000_000));
    // What nobody read is what whoever asks again gets.
    let again = ask(&office, &question, NOW.plus(9)).unwrap();
    assert_eq!((took(&again), again.released().at()), (0, NOW));
    // Noise that was not drawn is not charged for, nor an answer that costs something else.
    let other = spend("employer a", &dataset, 2);
    let starved = office.control.charge(&other, NOW, &mut || Err(DpError::Noise));
    assert!(matches!(starved, Err(SpendError::Store(StoreError::Change(ChangeError::Noise(_))))));
    let half = Epsilon::micro(MICRO / 2).unwrap();
    let cheaper = Spend { cost: Privacy::Pure(half).cost_of_groups(privacy().1), ..other };
    assert!(ask(&office, &cheaper, NOW).is_err());
    assert_eq!(ever(&office, None), 1_000_000);
}

/// What is charged before it is made: twelve askers of one question in two processes pay once and get one answer; a process
/// that dies in between has paid, and whoever asks again pays nothing more.
pub(crate) fn prepaid(place: &dyn Place) {
    let dataset = name("export");
    let question = spend("employer a", &dataset, 7);
    {
        let offices = place.pair().map(Office::new);
        let Ok(Prepaid::Paid(dropped)) = offices[0].control.prepay(&question, NOW) else {
            panic!("not reserved")
        };
        drop((dropped, offices));
    }
    place.crash();
    let offices = place.pair().map(Office::new);
    assert_eq!((ever(&offices[0], None), ever(&offices[1], Some("employer a"))), (1_000_000, 1_000_000));
    let start = Barrier::new(12);
    let ask = &|thread: usize| {
        let control = &offices[thread % 2].control;
        start.wait();
        match control.prepay(&question, NOW).unwrap() {
            Prepaid::Known(known) => known,
            Prepaid::Paid(paid) => control.answer(paid, draw().unwrap()).unwrap(),
        }
    };
    let told: Vec<Charged> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..12).map(|thread| s.spawn(move || ask(thread))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(told.iter().all(|charged| charged.released() == told[0].released()), "one question, two answers");
    assert_eq!(told.iter().map(took).sum::<u64>(), 1_000_000);
    assert_eq!(ever(&offices[1], None), 1_000_000);
    // A spent budget lets nothing be made.
    for n in 0..3 {
        let _paid = offices[0].control.prepay(&spend("employer a", &dataset, n), NOW).unwrap();
    }
    let spent = offices[1].control.prepay(&spend("employer a", &dataset, 3), NOW);
    assert!(
        matches!(spent, Err(SpendError::Exhausted(e)) if e.why == Refused::Recipient && e.left_micro == 0)
    );
}

/// The same question is free across a restart, and a spent budget says what is left and when it is back.
pub(crate) fn repeats(place: &dyn Place) {
    let dataset = name("export");
    let first = {
        let office = Office::new(place.open());
        let first = ask(&office, &spend("employer a", &dataset, 0), NOW).unwrap();
        assert_eq!(took(&first), 1_000_000);
        first
    };
    place.crash();
    let office = Office::new(place.open());
    let never = || -> Result<Noised, DpError> { panic!("noise for a question that was answered") };
    let again = office.control.charge(&spend("employer a", &dataset, 0), NOW, &mut never.clone()).unwrap();
    assert_eq!((again.released(), took(&again)), (first.released(), 0));
    assert!(matches!(first.released().answer(), Answer::Groups(groups) if groups.len() == 2));
    for n in 1..4 {
        ask(&office, &spend("employer a", &dataset, n), NOW).unwrap();
    }
    let spent = office.control.charge(&spend("employer a", &dataset, 4), NOW, &mut never.clone());
    let Err(SpendError::Exhausted(spent)) = spent else { panic!("{spent:?}") };
    assert_eq!((spent.why, spent.left_micro, spent.cost_micro), (Refused::Recipient, 0, 1_000_000));
    let back = spent.back.unwrap();
    assert_eq!(back, UnixSeconds::midnight(NOW.day() + 31));
    ask(&office, &spend("employer a", &dataset, 4), back).unwrap();
    ask(&office, &spend("employer b", &dataset, 4), NOW).unwrap();
}

/// What was spent and who was told of stays however old it is; an answer goes when its day is long over.
pub(crate) fn stays(place: &dyn Place) {
    let stores = place.pair();
    let office = Office::new(Arc::clone(&stores[0]));
    let dataset = name("export");
    ask(&office, &spend("employer a", &dataset, 0), NOW).unwrap();
    let k = NonZeroU64::new(10).unwrap();
    let _ = office.control.guard("employer a", &dataset, &[people(0..50)], k).unwrap();
    let left = |now: UnixSeconds| {
        let keep = Keep { requests: 0, spent: 0 };
        office.control.prune(&office.rules, keep, now, &mut Pruning::default()).unwrap();
        let rows = all_after(stores[1].as_ref(), 0, 99);
        [Table::Spent, Table::Guards, Table::Answers].map(|t| rows.iter().filter(|r| r.table == t).count())
    };
    assert_eq!(left(UnixSeconds::midnight(NOW.day() + 30)), [2, 1, 1]);
    assert_eq!(left(UnixSeconds::midnight(NOW.day() + 31)), [2, 1, 0]);
    assert_eq!(left(NOW.plus(4_000 * DAY)), [2, 1, 0]);
    assert_eq!(ever(&office, Some("employer a")), 1_000_000);
}

fn people(range: std::ops::Range<u64>) -> BTreeSet<Member> {
    let member = |n: u64| Member::of(&(u128::from(n) << 64).to_be_bytes());
    range.map(member).collect()
}

/// A guard of many people, in more than one piece, holds in another process and after a restart, for its recipient.
pub(crate) fn guards(place: &dyn Place) {
    const MANY: u64 = 75_000;
    let (dataset, k) = (name("export"), NonZeroU64::new(10).unwrap());
    let refused = |office: &Office, recipient: &str, groups: &[BTreeSet<Member>]| match office
        .control
        .guard(recipient, &dataset, groups, k)
    {
        Ok(_) => None,
        Err(StoreError::Change(ChangeError::Guard(why))) => Some(why),
        Err(e) => panic!("{e:?}"),
    };
    let stores = place.pair();
    let pieces = |store: &dyn Store| {
        let rows = all_after(store, 0, 99);
        rows.into_iter().filter(|r| r.table == Table::Guards).map(|r| r.row.version).collect::<Vec<_>>()
    };
    {
        let offices = stores.each_ref().map(|s| Office::new(Arc::clone(s)));
        assert_eq!(refused(&offices[0], "employer a", &[people(0..MANY)]), None);
        assert_eq!(pieces(stores[0].as_ref()), [1, 1]);
        assert_eq!(refused(&offices[1], "employer a", &[people(1..MANY)]), Some(Unsafe::Difference));
        assert_eq!(
            refused(&offices[1], "employer a", &[people(0..MANY)]),
            None,
            "what was told is told again"
        );
        assert_eq!(refused(&offices[1], "employer b", &[people(1..50)]), None, "somebody else");
    }
    drop(stores);
    place.crash();
    let office = Office::new(place.open());
    assert_eq!(refused(&office, "employer a", &[people(1..MANY)]), Some(Unsafe::Difference));
    assert_eq!(refused(&office, "employer a", &[people(0..9)]), Some(Unsafe::Few));
    assert_eq!(refused(&office, "employer a", &[people(0..40)]), None);
}
