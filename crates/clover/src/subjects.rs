//! What an operator does about one person: erases them, notes that they moved, puts a legal hold on them or lifts it.
//!
//! What is done is on the ledger first. A running enclave takes it from a file that is laid down (`subject` in
//! `control/orders`), since one process has the ledger; otherwise the command does it itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crossing::inward;
use gateway::Enclave;
use gateway::enclave;
use model::{Country, SubjectId, UnixSeconds};
use serde::{Deserialize, Serialize};
use vault::disk::replace_file;
use vault::records::{Home, HomeEvidence};

use crate::assemble;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::logs;
use crate::site::orders;
use crate::wishes;

/// How a file that is laid down ends.
pub const ENDING: &str = "subject";
/// Longest reference of a hold.
const REFERENCE_MAX: usize = 64;
/// How long an erasure waits for the store of media.
const MEDIA_PATIENCE: Duration = Duration::from_secs(2);
/// For how long a running enclave is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Their key is destroyed.
    Erase,
    /// They live in another country from a moment on.
    Move {
        /// Where to, ISO 3166-1 alpha-2.
        to: String,
        /// From when on, in Unix seconds.
        from: u64,
        /// By what it is known.
        evidence: HomeEvidence,
    },
    /// Nothing of them is erased for now.
    Hold {
        /// The hold's reference.
        reference: String,
    },
    /// A hold is over.
    Lift {
        /// The hold's reference.
        reference: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Laid {
    subject: String,
    what: Act,
}

/// What is known of a person, without a value of theirs.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Country, from when on, and by what it is known; newest last.
    pub homes: Vec<(String, String, HomeEvidence)>,
    /// References of legal holds.
    pub holds: Vec<String>,
    /// When they came.
    pub since: String,
    /// The entry of their coming in the gateway's log.
    pub entry: u64,
}

/// Whether the vault holds somebody of this handle. A store that does not say holds nobody.
#[must_use]
pub fn known(enclave: &Enclave, subject: &SubjectId) -> bool {
    matches!(enclave.records().person(subject), Ok(Some(_)))
}

/// What is known of a person.
///
/// # Errors
/// When nobody has this handle, or store or keys refuse.
pub fn show(enclave: &Enclave, subject: &SubjectId) -> Result<Shown> {
    let person = enclave.records().person(subject)?.ok_or(CommandError::Rule(NOBODY))?;
    let keys = enclave.records().keys_of(enclave.keys(), &person)?;
    let about = enclave.records().about(&keys, &person)?;
    let home = |h: &Home| (h.country.to_string(), h.from.rfc3339(), h.evidence);
    Ok(Shown {
        homes: about.homes.iter().map(home).collect(),
        holds: about.holds,
        since: about.since.rfc3339(),
        entry: about.entry,
    })
}

const NOBODY: &str = "nobody in the vault has this handle";

/// Does it, once its entry is on the ledger. Returns the entry's place, if it has one.
///
/// # Errors
/// When nobody has this handle, a hold forbids it, or ledger, store or keys refuse.
pub fn act(enclave: &Enclave, subject: &SubjectId, what: &Act) -> Result<Option<u64>> {
    let records = enclave.records();
    let person = records.person(subject)?.ok_or(CommandError::Rule(NOBODY))?;
    let keys = records.keys_of(enclave.keys(), &person)?;
    let about = records.about(&keys, &person)?;
    let (now, _) = enclave::now();
    let digest = enclave.live().road.rulebook().digest;
    let tag = keys.tags.at(now);
    match what {
        Act::Erase => {
            if !about.holds.is_empty() {
                return Err(vault::records::RecordError::Held.into());
            }
            let entry = inward::erasure(logs::flow_id()?, now, digest, tag);
            let named = entry.entry();
            let receipt = enclave.log().submit_and_wait(entry)?;
            records.erase(&person, &keys, &named, &receipt)?;
            enclave.forget(subject);
            enclave.keys().forget(person.internal());
            clear_media(enclave, *person.internal());
            Ok(Some(receipt.index()))
        }
        Act::Move { to, from, evidence } => {
            let (to, from) = (Country::parse(to)?, UnixSeconds(*from));
            if from > now.plus(1) || to == Country::UNKNOWN || to == about.home() {
                bail!(CommandError::Rule(
                    "a move is to another country that is known, and has begun: nobody has a home that is not there yet"
                ));
            }
            let entry = inward::moved(logs::flow_id()?, now, digest, tag, (about.home(), to));
            let receipt = enclave.log().submit_and_wait(entry)?;
            records.move_home(&person, &keys, Home { country: to, from, evidence: *evidence })?;
            Ok(Some(receipt.index()))
        }
        Act::Hold { reference } => {
            let good = |b: u8| b.is_ascii_graphic();
            if reference.is_empty() || reference.len() > REFERENCE_MAX || !reference.bytes().all(good) {
                bail!(CommandError::Rule(
                    "a hold's reference is 1 to 64 printable characters without a space"
                ));
            }
            records.hold(&person, &keys, reference)?;
            Ok(None)
        }
        Act::Lift { reference } => {
            records.lift(&person, &keys, reference)?;
            Ok(None)
        }
    }
}

/// Removes what an erased person's key had sealed in the store of media: noise already, which costs space and tells nobody
/// anything. The store is waited for no longer than a moment, since orders wait behind this.
fn clear_media(enclave: &Enclave, internal: [u8; 16]) {
    let media = Arc::clone(enclave.media());
    let (ended, wait) = std::sync::mpsc::sync_channel(1);
    let clearing = std::thread::Builder::new().name("media".to_owned()).spawn(move || {
        if let Err(e) = media.clear(&internal) {
            tracing::warn!(error = %e, "media of an erased person were not all removed");
        }
        let _ = ended.send(());
    });
    if clearing.is_ok() {
        let _ = wait.recv_timeout(MEDIA_PATIENCE);
    }
}

/// Does it, or has the running enclave do it. Says whether it was done by the running one, and the entry's place.
///
/// # Errors
/// As [`act`]; when the running enclave does not take it in time.
pub fn order(layout: &Layout, subject: &SubjectId, what: Act) -> Result<Option<u64>> {
    match logs::unused(layout) {
        Err(e) if matches!(e.downcast_ref(), Some(CommandError::InUse(_))) => {
            laid_down(layout, subject, what)
        }
        Err(e) => Err(e),
        Ok(()) => {
            let assembled = assemble::open(layout)?;
            let done = act(&assembled.enclave, subject, &what)
                .and_then(|entry| gone(layout, &assembled.enclave, subject, &what).map(|()| entry));
            assembled.enclave.log().close();
            done
        }
    }
}

fn laid_down(layout: &Layout, subject: &SubjectId, what: Act) -> Result<Option<u64>> {
    let text = serde_json::to_string(&Laid { subject: subject.as_str().to_owned(), what })?;
    // A name of its own, which says nothing about anybody.
    let name = logs::flow_id()?;
    let path = orders::lay_down(layout, &name.to_string(), ENDING, &text)?;
    let [done, why] = ["done", "why"].map(|ending| path.with_extension(ending));
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        for (file, good) in [(&done, true), (&why, false)] {
            if let Ok(text) = std::fs::read_to_string(file) {
                std::fs::remove_file(file).map_err(CommandError::file(file))?;
                if good {
                    return Ok(text.trim().parse().ok());
                }
                bail!(CommandError::NotDone { why: text });
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!(CommandError::Rule("the running enclave has not taken it yet; it is laid down, and waits"))
}

/// Takes what is laid down for a running enclave.
///
/// # Errors
/// When the folder cannot be read, or an answer cannot be written.
pub(crate) fn take(layout: &Layout, enclave: &Enclave, most: usize) -> Result<()> {
    for path in orders::ending(&layout.orders(), ENDING)?.into_iter().take(most) {
        let (ending, answer) = match read(&path).and_then(|laid| one(layout, enclave, &laid)) {
            Ok(entry) => ("done", entry.map_or_else(String::new, |index| index.to_string())),
            Err(e) => ("why", format!("{e:#}")),
        };
        answered(&path, ending, &answer)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Laid> {
    let text = orders::read(path)?.context("it is no text of at most 4096 bytes")?;
    serde_json::from_str(&text).context("it is not what `clover subject` lays down")
}

fn one(layout: &Layout, enclave: &Enclave, laid: &Laid) -> Result<Option<u64>> {
    let subject = SubjectId::parse(&laid.subject)?;
    let entry = act(enclave, &subject, &laid.what)?;
    gone(layout, enclave, &subject, &laid.what)?;
    Ok(entry)
}

/// What goes with somebody who was erased: their account, which would else open what another of their name has later, and
/// their wish.
fn gone(layout: &Layout, enclave: &Enclave, subject: &SubjectId, what: &Act) -> Result<()> {
    if matches!(what, Act::Erase) {
        let programme = enclave.live().road.rulebook().programme.name.to_string();
        let accounts = vault::Accounts::of_people(&layout.control(), enclave.keys(), &programme);
        accounts.remove(&model::ActorId::parse(subject.as_str())?)?;
        wishes::done(layout, subject)?;
    }
    Ok(())
}

/// Puts the answer in the place of what was asked, whole or not at all.
fn answered(path: &Path, ending: &str, answer: &str) -> Result<()> {
    replace_file(&path.with_extension(ending), answer.as_bytes())?;
    Ok(std::fs::remove_file(path)?)
}
