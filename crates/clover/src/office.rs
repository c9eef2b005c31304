//! The control store of an enclave, and the office where access is asked for, put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use console::access::{Happened, Office, Rules};
use console::notify::Desk;
use gateway::enclave::Enclave;
use ledger::note::Verifier;
use model::rulebook::Rulebook;
use vault::control::store::Embedded;
use vault::{Control, KeyService, Log};

use crate::layout::Layout;
use crate::now;

/// How often the control store is followed.
const FOLLOW: Duration = Duration::from_millis(250);
/// How many times the store is followed before steps whose time is over are looked for.
const TICK: u32 = 4;

/// Makes the control store of a new enclave.
///
/// # Errors
/// When there is one already, or the disk refuses.
pub fn create(layout: &Layout, keys: &KeyService) -> Result<()> {
    Ok(Embedded::create(&layout.control_store(), &keys.control())?)
}

/// Opens the control store of an enclave and reads it once.
///
/// # Errors
/// When it is missing, held by another process, or of another region.
pub fn control(layout: &Layout, operator: Verifier, keys: &KeyService) -> Result<Arc<Control>> {
    let store = Arc::new(Embedded::open(&layout.control_store(), keys.control())?);
    let start = Instant::now();
    let clock = Box::new(move || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
    let control = Arc::new(Control::new(&layout.control(), operator, store, clock));
    control.refresh(now())?;
    Ok(control)
}

/// The office of an enclave. The desk, if there is one, tells people.
#[must_use]
pub fn open(enclave: &Arc<Enclave>, site_log: &Arc<Log>, desk: Option<Arc<Desk>>) -> Arc<Office> {
    let of = |book: &Rulebook| Rules {
        digest: book.digest,
        programme: book.programme.clone(),
        procedures: book.access.clone(),
    };
    let rules = Arc::new(of(enclave.live().road.rulebook()));
    Arc::new(Office {
        control: Arc::clone(enclave.control()),
        keys: Arc::clone(enclave.keys()),
        log: Arc::clone(site_log),
        rules: Box::new(move || Arc::clone(&rules)),
        clock: now,
        told: Box::new(move |happened| {
            told(happened);
            desk.iter().for_each(|desk| desk.told(happened));
        }),
    })
}

/// What happened, without anybody's name.
fn told(happened: &Happened) {
    let act = happened.request.done.get(happened.number).map_or("nothing", |d| d.act.word());
    let (ground, state) = (happened.request.wanted.ground.word(), happened.request.state.word());
    if happened.request.wanted.ground == model::Ground::BreakGlass {
        tracing::warn!(act, state, "BREAK-GLASS");
    } else {
        tracing::info!(act, ground, state, "a request for access");
    }
}

/// A thread that follows the control store until it is ended.
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    office: Arc<Office>,
}

/// Follows the control store, and lets the time of steps pass.
///
/// # Errors
/// When no thread can be made.
pub fn follow(office: Arc<Office>) -> Result<Follower> {
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
            round = round.wrapping_add(1);
            std::thread::park_timeout(FOLLOW);
        }
    })?;
    Ok(Follower { stop, thread, office })
}

impl Follower {
    /// Ends the thread, and gives back what was reserved of grants and not used.
    pub fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows the control store has broken");
        }
        if let Err(e) = self.office.control.settle() {
            tracing::warn!(error = %e, "what was reserved of grants stays spent");
        }
    }
}
