//! The control store of an enclave, and the office where access is asked for, put together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use access::{Act, Request, State};
use anyhow::Result;
use console::access::{Happened, Office, Rules};
use console::notify::Desk;
use gateway::enclave::Enclave;
use ledger::note::Verifier;
use model::rulebook::Rulebook;
use model::{Ground, Name};
use vault::control::store::{Embedded, PostgresStore, Store};
use vault::control::{Keep, Pruning};
use vault::{Control, KeyService, Log};

use crate::config::{ControlStore, Place};
use crate::layout::Layout;
use crate::{logs, now};

/// How often the control store is followed.
const FOLLOW: Duration = Duration::from_millis(250);
/// How many times the store is followed before steps whose time is over are looked for.
const TICK: u32 = 4;
/// How often a few rows of what ended long ago are removed, while there are any.
const PRUNE: Duration = Duration::from_secs(1);
/// How often they are looked for, and tried again.
const LOOK: Duration = Duration::from_secs(3600);

/// Makes the control store of a new enclave, where its configuration says.
///
/// # Errors
/// When there is one already, or the disk or the database refuses.
pub fn create(layout: &Layout, config: &ControlStore, keys: &KeyService) -> Result<()> {
    match &config.place {
        Place::Embedded => Embedded::create(&layout.control_store(), &keys.control())?,
        Place::Postgres(database) => {
            let database = logs::reached(layout, database)?;
            PostgresStore::migrate(&database)?;
            PostgresStore::create(&database, &keys.control())?;
        }
    }
    Ok(())
}

fn store(layout: &Layout, config: &ControlStore, keys: &KeyService) -> Result<Arc<dyn Store>> {
    Ok(match &config.place {
        Place::Embedded => Arc::new(Embedded::open(&layout.control_store(), keys.control())?),
        Place::Postgres(database) => {
            Arc::new(PostgresStore::open(&logs::reached(layout, database)?, keys.control())?)
        }
    })
}

/// Opens the control store of an enclave and reads it once.
///
/// # Errors
/// When it is missing, held by another process, out of reach, or of another region.
pub fn control(
    layout: &Layout,
    config: &ControlStore,
    operator: Verifier,
    keys: &KeyService,
) -> Result<Arc<Control>> {
    let store = store(layout, config, keys)?;
    let start = Instant::now();
    let clock = Box::new(move || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
    let control = Arc::new(Control::new(&layout.control(), operator, store, clock));
    control.refresh(now())?;
    Ok(control)
}

/// Break-glass requests whose granting was told. Glass that came to be broken in an act whose answer was lost, or that
/// another process did and died behind, is found by following the store, and told then.
#[derive(Clone, Default)]
pub struct Glass(Arc<Mutex<HashSet<Name>>>);

impl Glass {
    /// What serves at the start: the desk itself looks back for that.
    #[must_use]
    pub fn of(control: &Control) -> Self {
        let known = control.requests().iter().filter(|r| broken(r)).map(|r| r.id.clone()).collect();
        Self(Arc::new(Mutex::new(known)))
    }

    /// Notes that one is told. Returns whether it was not before.
    fn note(&self, request: &Request) -> bool {
        broken(request) && self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(request.id.clone())
    }

    /// Tells of those that nobody told of.
    fn look(&self, office: &Office) {
        for request in office.control.requests() {
            if self.note(&request) {
                let number = request.done.iter().rposition(|d| d.act == Act::Approve).unwrap_or_default();
                (office.told)(&Happened { request, number });
            }
        }
    }
}

/// Whether glass is broken under a request.
fn broken(request: &Request) -> bool {
    request.wanted.ground == Ground::BreakGlass && matches!(request.state, State::Granted { .. })
}

/// The office of an enclave. The desk, if there is one, tells people.
#[must_use]
pub fn open(
    enclave: &Arc<Enclave>,
    site_log: &Arc<Log>,
    desk: Option<Arc<Desk>>,
    glass: Glass,
) -> Arc<Office> {
    let of = |book: &Rulebook| Rules {
        digest: book.digest,
        programme: book.programme.clone(),
        procedures: book.access.clone(),
    };
    let ruled = Arc::clone(enclave);
    let known = Mutex::new(Arc::new(of(enclave.live().road.rulebook())));
    // Read anew only when another rulebook is in force.
    let rules = move || {
        let live = ruled.live();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.digest != live.road.rulebook().digest {
            *known = Arc::new(of(live.road.rulebook()));
        }
        Arc::clone(&known)
    };
    Arc::new(Office {
        control: Arc::clone(enclave.control()),
        keys: Arc::clone(enclave.keys()),
        log: Arc::clone(site_log),
        rules: Box::new(rules),
        clock: now,
        told: Box::new(move |happened| {
            glass.note(&happened.request);
            told(happened);
            desk.iter().for_each(|desk| desk.told(happened));
        }),
    })
}

/// What happened, without anybody's name.
fn told(happened: &Happened) {
    let act = happened.request.done.get(happened.number).map_or("nothing", |d| d.act.word());
    let (ground, state) = (happened.request.wanted.ground.word(), happened.request.state.word());
    if happened.request.wanted.ground == Ground::BreakGlass {
        tracing::warn!(act, state, "BREAK-GLASS");
    } else {
        tracing::info!(act, ground, state, "a request for access");
    }
}

/// Threads that follow the control store and keep it small, until they are ended.
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    pruner: JoinHandle<()>,
    office: Arc<Office>,
}

/// Follows the control store, lets the time of steps pass, and has removed what ended long ago.
///
/// # Errors
/// When no thread can be made.
pub fn follow(office: Arc<Office>, glass: Glass, config: &ControlStore) -> Result<Follower> {
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, followed) = (Arc::clone(&stop), Arc::clone(&office));
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
        let mut round = 0_u32;
        while !stopped.load(Ordering::Acquire) {
            // What cannot be read is not told every time: evidence ends by itself when its lease is over.
            if let Err(e) = followed.control.refresh(now())
                && round.is_multiple_of(TICK)
            {
                tracing::error!(error = %e, "the control store was not read; evidence ends within ten seconds");
            }
            if round.is_multiple_of(TICK)
                && let Err(e) = followed.tick()
            {
                tracing::error!(error = %e, "steps whose time is over were not ended; it will be tried again");
            }
            if round.is_multiple_of(TICK) {
                glass.look(&followed);
            }
            round = round.wrapping_add(1);
            std::thread::park_timeout(FOLLOW);
        }
    })?;
    let keep = Keep { requests: config.keep.as_secs(), spent: config.keep_spent.as_secs() };
    let (stopped, pruned) = (Arc::clone(&stop), Arc::clone(&office));
    let pruner = std::thread::Builder::new().name("prune".into()).spawn(move || {
        prune(&pruned, keep, &stopped);
    })?;
    Ok(Follower { stop, thread, pruner, office })
}

/// Has rows removed until it is told to stop. Nothing waits for it.
fn prune(office: &Office, keep: Keep, stopped: &AtomicBool) {
    let mut pruning = Pruning::default();
    while !stopped.load(Ordering::Acquire) {
        let rules = (office.rules)();
        let pause = match office.control.prune(&rules.procedures, keep, now(), &mut pruning) {
            Ok(step) => {
                if step.removed > 0 {
                    tracing::info!(rows = step.removed, "rows of what ended long ago were removed");
                }
                if step.done { LOOK } else { PRUNE }
            }
            Err(e) => {
                tracing::warn!(error = %e, "what ended long ago stays in the control store for now");
                LOOK
            }
        };
        std::thread::park_timeout(pause);
    }
}

impl Follower {
    /// Ends the threads, and gives back what was reserved of grants and not used.
    pub fn end(self) {
        self.stop.store(true, Ordering::Release);
        for thread in [self.thread, self.pruner] {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread that uses the control store has broken");
            }
        }
        if let Err(e) = self.office.control.settle() {
            tracing::warn!(error = %e, "what was reserved of grants stays spent");
        }
    }
}
