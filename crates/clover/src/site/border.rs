//! The border: open or closed by the age of what the quorum signed, and lifted by two people for minutes.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;
use crossing::Border;
use gateway::enclave;
use ledger::Receipt;
use ledger::gate::{Gate, Limits, LimitsError, Now, Round, State};
use ledger::note::{Note, Verifier};
use ledger::site::SiteEntry;
use model::UnixSeconds;
use model::border::Holder;

use super::Site;

/// Longest override in seconds (`docs/formats/override.md`).
const LIFT_MAX: u64 = 1800;
/// Longest order in bytes.
const ORDER_MAX: u64 = 8 << 10;

/// The state machine of the border with the clock of this process.
pub struct Keeper {
    gate: Mutex<Gate>,
    start: Instant,
    /// Who may sign overrides.
    pub holders: Vec<Holder>,
}

impl Keeper {
    /// Red, until a quorum signs.
    ///
    /// # Errors
    /// When the limits are not in order.
    pub fn new(border: &model::Border) -> Result<Self, LimitsError> {
        let limits = Limits::new(border.green_seconds, border.red_seconds)?;
        let gate = Mutex::new(Gate::new(limits));
        Ok(Self { gate, start: Instant::now(), holders: border.holders.clone() })
    }

    fn clock(&self) -> Now {
        let mono_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, unix_s: enclave::now().0.0 }
    }

    /// How open the border is now. A poisoned lock is a doubt, and doubt is red.
    #[must_use]
    pub fn now(&self) -> Border {
        match self.gate.lock().map(|mut gate| gate.state(self.clock())) {
            Ok(State::Green) => Border::Green,
            Ok(State::Amber) => Border::Amber,
            Ok(State::Lifted) => Border::Lifted,
            Ok(State::Red) | Err(_) => Border::Red,
        }
    }

    /// How old what the quorum signed is, in seconds; `None` if it signed nothing since the start.
    #[must_use]
    pub fn age(&self) -> Option<u64> {
        self.gate.lock().ok()?.age_ms(self.clock()).map(|ms| ms / 1000)
    }

    /// The site log grew.
    pub fn committed(&self, size: u64) {
        if let Ok(mut gate) = self.gate.lock() {
            gate.committed(size, self.clock());
        }
    }

    /// Witnesses are about to be asked.
    #[must_use]
    pub fn begin(&self, size: u64) -> Option<Round> {
        Some(self.gate.lock().ok()?.begin(size, self.clock()))
    }

    /// A quorum signed.
    pub fn cosigned(&self, round: Round, signed: u64) {
        let Ok(mut gate) = self.gate.lock() else { return };
        if let Err(e) = gate.cosigned(round, signed, self.clock()) {
            tracing::error!(error = %e, "a cosigned checkpoint does not count for the border");
        }
    }

    fn lift(&self, seconds: u64, logged: Receipt) {
        let now = self.clock();
        let until = now.mono_ms.saturating_add(seconds.saturating_mul(1000));
        let Ok(mut gate) = self.gate.lock() else { return };
        if let Err(e) = gate.lift(until, now, logged) {
            tracing::error!(error = %e, "the border override is recorded and lifts nothing");
        }
    }
}

/// A checked order to lift the border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Used once.
    pub id: String,
    /// First second.
    pub from: u64,
    /// Last second.
    pub to: u64,
}

/// Why an order does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OrderError {
    /// Not a signed note of this form.
    #[error("not an order as docs/formats/override.md has it: {0}")]
    Form(&'static str),
    /// For another site.
    #[error("the order is for another site")]
    OtherSite,
    /// Not now.
    #[error("the order is not for now, or for more than 30 minutes")]
    Time,
    /// Two holders of different employers must sign.
    #[error("the order is not signed by two holders of different employers")]
    Signers,
}

/// The text that holders sign.
#[must_use]
pub fn order_text(origin: &str, id: &str, from: u64, to: u64, incident: &str) -> String {
    format!("clover border override v1\n{origin}\n{id}\n{from} {to}\n{incident}\n")
}

/// Checks an order at a time.
///
/// # Errors
/// [`OrderError`].
pub fn check(order: &str, origin: &str, holders: &[Holder], now: UnixSeconds) -> Result<Order, OrderError> {
    let note: Note = order.parse().map_err(|_| OrderError::Form("no signed note"))?;
    let lines: Vec<&str> = note.unverified_text().lines().collect();
    let [title, site, id, times, incident] = lines.as_slice() else {
        return Err(OrderError::Form("five lines"));
    };
    if *title != "clover border override v1" {
        return Err(OrderError::Form("the first line"));
    }
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if id.len() != 32 || !id.bytes().all(hex) || model::Name::parse(incident).is_err() {
        return Err(OrderError::Form("id or incident"));
    }
    if *site != origin {
        return Err(OrderError::OtherSite);
    }
    let (from, to) = times.split_once(' ').ok_or(OrderError::Form("two times"))?;
    let number = |t: &str| t.parse::<u64>().ok().filter(|n| n.to_string() == t);
    let (from, to) = number(from).zip(number(to)).ok_or(OrderError::Form("two times"))?;
    if to < from || to - from > LIFT_MAX || now.0 < from || now.0 >= to {
        return Err(OrderError::Time);
    }
    let mut employers: Vec<_> = holders
        .iter()
        .filter(|h| {
            let key = Verifier::parse(&h.vkey).ok();
            key.is_some_and(|key| {
                note.verify(std::slice::from_ref(&key)).is_ok_and(|v| v.signed_by(&key).is_some())
            })
        })
        .map(|h| &h.employer)
        .collect();
    employers.sort();
    employers.dedup();
    if employers.len() < 2 {
        return Err(OrderError::Signers);
    }
    Ok(Order { id: (*id).to_owned(), from, to })
}

/// Takes an order that was laid down for this site: records it first, then lifts the border. What does not count is
/// set aside and said.
///
/// # Errors
/// When the order cannot be recorded or its file not be moved.
pub(super) fn take_order(site: &Site) -> Result<()> {
    let path = site.layout.border_override();
    let Ok(text) = read(&path) else { return Ok(()) };
    let now = enclave::now().0;
    let used = site.layout.control().join("border-overrides");
    std::fs::create_dir_all(&used)?;
    let order = match check(&text, &site.origin, &site.keeper.holders, now) {
        Ok(order) if !used.join(&order.id).exists() => order,
        other => {
            let why = other.err().map_or("its id was used before".to_owned(), |e| e.to_string());
            tracing::error!(why, "a border override does not count");
            return Ok(std::fs::rename(&path, path.with_extension("refused"))?);
        }
    };
    // INVARIANT: used up before it is recorded, and recorded before it counts.
    std::fs::rename(&path, used.join(&order.id))?;
    let logged = site.record(&SiteEntry::Override { note: text })?;
    tracing::error!(
        id = order.id,
        until = order.to,
        "BORDER OVERRIDE: the border is lifted inside the region"
    );
    site.keeper.lift(order.to.saturating_sub(now.0), logged);
    Ok(())
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(ORDER_MAX).read_to_string(&mut text)?;
    Ok(text)
}
