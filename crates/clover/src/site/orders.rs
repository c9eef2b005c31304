//! Orders laid down for a running enclave: suspensions of a country, and for the record demands of authorities and stages of
//! migrations.
//!
//! Texts and rules: `docs/formats/suspension.md`, `docs/formats/migration.md`. An order is a file in `control/orders`. What counts is recorded in the
//! gateway's log; the last suspension order of each country is kept in `control/suspensions`, from which the next start
//! knows it. What does not count is set aside with the ending `.refused`, and said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use gateway::Enclave;
use gateway::enclave;
use ledger::migration::{self, MigrationError, Record, Ways};
use ledger::note::{Note, Verifier};
use model::{Country, Digest, Name, UnixSeconds};
use tokio::sync::watch;

use crate::assemble;
use crate::error::CommandError;
use crate::layout::Layout;
use crate::logs;
use crate::site::rules::Rules;
use crate::subjects;

/// How often the folder is looked into.
const LOOK: Duration = Duration::from_millis(200);
/// How long it rests after something went wrong.
const AGAIN: Duration = Duration::from_secs(2);
/// Longest order in bytes; it must fit into an entry.
const ORDER_MAX: u64 = 4096;
/// Most orders taken at a time.
const ORDERS_MAX: usize = 64;
/// How far the clocks of those who sign may be ahead, in seconds.
const AHEAD_MAX: u64 = 300;
/// How the file of a signed order ends.
pub const NOTE: &str = "note";
const SUSPENSION: &str = "clover suspension v1";
const DEMAND: &str = "clover demand v1";

/// What an order says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing crosses to the country any more.
    Suspend,
    /// It may again.
    Lift,
}

impl Kind {
    /// The word in the order.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Lift => "lift",
        }
    }
}

/// A checked order about a country.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What it says.
    pub kind: Kind,
    /// About which country.
    pub country: Country,
    /// When it was given.
    pub time: UnixSeconds,
    /// The text that was signed.
    text: String,
}

/// Why an order does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OrderError {
    /// Not a signed note of this form.
    #[error("not an order as docs/formats/suspension.md has it: {0}")]
    Form(&'static str),
    /// For another programme.
    #[error("the order is for another programme")]
    OtherProgramme,
    /// Signed by nobody who may.
    #[error("the order is not signed by {0}")]
    Signers(&'static str),
    /// About a country of the region.
    #[error("the country is inside the region")]
    Inside,
    /// Older than the last one, or of the future.
    #[error("the order is not newer than the last one about this country, or is from the future")]
    Time,
    /// A lifting of nothing.
    #[error("the country is not suspended")]
    Nothing,
    /// A stage of a migration that does not count.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// A migration from inside the region, or to a place outside.
    #[error("a migration comes from outside the region and ends inside")]
    Way,
}

/// The text of an order about a country.
#[must_use]
pub fn order_text(programme: &Name, kind: Kind, country: Country, time: UnixSeconds, issuer: &str) -> String {
    format!("{SUSPENSION}\n{programme}\n{} {country}\n{}\n{issuer}\n", kind.word(), time.0)
}

/// The text of the record that an authority demanded data.
#[must_use]
pub fn demand_text(programme: &Name, authority: Country, reference: &Name, time: UnixSeconds) -> String {
    format!("{DEMAND}\n{programme}\n{authority}\n{reference}\n{}\n", time.0)
}

/// Whose signatures count.
#[derive(Debug, Clone)]
pub struct Signers {
    programme: Name,
    operator: Verifier,
    auditor: Verifier,
}

impl Signers {
    /// Those of an enclave.
    ///
    /// # Errors
    /// When a key cannot be read.
    pub fn of(layout: &Layout, programme: &Name) -> Result<Self> {
        let (operator, auditor) =
            (assemble::verifier(layout, "operator")?, assemble::verifier(layout, "auditor")?);
        Ok(Self { programme: programme.clone(), operator, auditor })
    }

    fn five<'t>(&self, note: &'t Note, title: &str) -> Result<[&'t str; 4], OrderError> {
        let lines: Vec<&str> = note.unverified_text().lines().collect();
        let [first, programme, rest @ ..] = lines.as_slice() else {
            return Err(OrderError::Form("five lines"));
        };
        let (true, [a, b, c]) = (*first == title, rest) else { return Err(OrderError::Form("five lines")) };
        if *programme != self.programme.as_str() {
            return Err(OrderError::OtherProgramme);
        }
        Ok([*programme, *a, *b, *c])
    }

    /// Whether operator and auditor signed a note.
    fn signed(&self, note: &Note) -> [bool; 2] {
        [&self.operator, &self.auditor]
            .map(|key| note.verify(std::slice::from_ref(key)).is_ok_and(|v| v.signed_by(key).is_some()))
    }

    /// Checks form and signatures of an order about a country.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn order(&self, text: &str) -> Result<Order, OrderError> {
        let note: Note = text.parse().map_err(|_| OrderError::Form("no signed note"))?;
        let [_, what, time, issuer] = self.five(&note, SUSPENSION)?;
        let (word, country) = what.split_once(' ').ok_or(OrderError::Form("the third line"))?;
        let kind = [Kind::Suspend, Kind::Lift].into_iter().find(|k| k.word() == word);
        let kind = kind.ok_or(OrderError::Form("the third line"))?;
        let country = Country::parse(country).ok().filter(|c| *c != Country::UNKNOWN);
        let country = country.ok_or(OrderError::Form("the country"))?;
        let time = number(time).ok_or(OrderError::Form("the time"))?;
        let [operator, auditor] = self.signed(&note);
        let issued =
            (operator && issuer == self.operator.name()) || (auditor && issuer == self.auditor.name());
        match kind {
            _ if !issued => return Err(OrderError::Signers("whoever it names")),
            Kind::Lift if !(operator && auditor) => return Err(OrderError::Signers("operator and auditor")),
            _ => {}
        }
        Ok(Order { kind, country, time, text: note.unverified_text().to_owned() })
    }

    /// Checks the record of a demand, and returns the authority's country.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn demand(&self, text: &str) -> Result<Country, OrderError> {
        let note: Note = text.parse().map_err(|_| OrderError::Form("no signed note"))?;
        let [_, authority, reference, time] = self.five(&note, DEMAND)?;
        let country = Country::parse(authority).ok().filter(|c| *c != Country::UNKNOWN);
        if Name::parse(reference).is_err() || number(time).is_none() {
            return Err(OrderError::Form("reference or time"));
        }
        let [operator, _] = self.signed(&note);
        if !operator {
            return Err(OrderError::Signers("the operator"));
        }
        country.ok_or(OrderError::Form("the country"))
    }

    /// Checks form and signatures of a stage of a migration.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn migration(&self, text: &str) -> Result<Record, OrderError> {
        let note: Note = text.parse().map_err(|_| OrderError::Form("no signed note"))?;
        let record = Record::parse(note.unverified_text())?;
        if record.programme != self.programme {
            return Err(OrderError::OtherProgramme);
        }
        let wanted = record.stage.signers();
        let missing = |(wanted, signed): (&bool, bool)| *wanted && !signed;
        if wanted.iter().zip(self.signed(&note)).any(missing) {
            return Err(OrderError::Signers(match wanted {
                [true, true] => "operator and auditor",
                [false, _] => "the auditor",
                _ => "the operator",
            }));
        }
        Ok(record)
    }
}

fn number(text: &str) -> Option<UnixSeconds> {
    text.parse::<u64>().ok().filter(|n| n.to_string() == text).map(UnixSeconds)
}

/// The last order about each country, as they are kept.
///
/// # Errors
/// A kept order that does not count: nobody knows then what is suspended.
pub fn known(layout: &Layout, signers: &Signers) -> Result<BTreeMap<Country, Order>> {
    let mut known = BTreeMap::new();
    for path in ending(&layout.suspensions(), "note")? {
        let text = read(&path).map_err(CommandError::file(&path))?.unwrap_or_default();
        let kept = signers.order(&text).map_err(|e| CommandError::Suspension { path, why: e.to_string() })?;
        known.insert(kept.country, kept);
    }
    Ok(known)
}

/// How far every set of every migration is, by what was kept of them.
///
/// # Errors
/// A kept text that does not count.
fn moved(layout: &Layout, signers: &Signers) -> Result<Ways> {
    let mut ways = Ways::default();
    // Named by their entries, in the order of the ledger.
    for path in ending(&layout.migrations(), NOTE)? {
        let text = read(&path).map_err(CommandError::file(&path))?.unwrap_or_default();
        let taken = signers.migration(&text).and_then(|record| Ok(ways.take(record)?));
        taken.with_context(|| format!("`{}` does not count", path.display()))?;
    }
    Ok(ways)
}

/// The countries that these orders leave suspended.
#[must_use]
pub fn suspended(known: &BTreeMap<Country, Order>) -> BTreeSet<Country> {
    known.values().filter(|o| o.kind == Kind::Suspend).map(|o| o.country).collect()
}

/// Lays an order down for the enclave, whether it runs or not.
///
/// # Errors
/// When the file cannot be written.
pub fn lay_down(layout: &Layout, name: &str, ending: &str, text: &str) -> Result<PathBuf> {
    let folder = layout.orders();
    std::fs::create_dir_all(&folder).map_err(CommandError::file(&folder))?;
    let path = folder.join(format!("{name}.{ending}"));
    let part = path.with_extension("part");
    std::fs::write(&part, text).map_err(CommandError::file(&part))?;
    std::fs::rename(&part, &path).map_err(CommandError::file(&path))?;
    Ok(path)
}

/// Takes orders for one enclave.
pub struct Orders {
    layout: Layout,
    enclave: Arc<Enclave>,
    signers: Signers,
    known: Mutex<BTreeMap<Country, Order>>,
    /// Nothing where what was kept does not count.
    moved: Mutex<Option<Ways>>,
    rules: Rules,
}

impl Orders {
    /// Of a running enclave.
    ///
    /// # Errors
    /// As [`known`].
    pub fn open(layout: &Layout, enclave: Arc<Enclave>, rules: Rules) -> Result<Arc<Self>> {
        let programme = enclave.live().road.rulebook().programme.name.clone();
        let signers = Signers::of(layout, &programme)?;
        let moved = moved(layout, &signers).map_err(|e| {
            tracing::error!(error = %format!("{e:#}"), "no stage of a migration is taken until this is put back");
        });
        let (known, moved) = (Mutex::new(known(layout, &signers)?), Mutex::new(moved.ok()));
        Ok(Arc::new(Self { layout: layout.clone(), enclave, signers, known, moved, rules }))
    }

    /// Takes what is laid down, over and over, until told to stop.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut wait = LOOK;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => return,
            }
            // What failed half way is recorded again when it is tried again: not as often.
            wait = match Arc::clone(&self).now().await {
                Ok(_) => LOOK,
                Err(e) => {
                    tracing::error!(error = %e, "an order waits; it will be tried again");
                    AGAIN
                }
            };
        }
    }

    /// Takes everything that was laid down while nothing ran: it counts before anybody is served.
    ///
    /// # Errors
    /// When an order could not be taken.
    pub async fn begin(self: Arc<Self>) -> Result<()> {
        while Arc::clone(&self).now().await? > 0 {}
        Ok(())
    }

    /// Takes what is laid down now, and says how many.
    async fn now(self: Arc<Self>) -> Result<usize> {
        let taken = tokio::task::spawn_blocking(move || {
            // On one thread with the orders about countries, whose entries name the rulebook in force.
            self.rules.look();
            self.take().and_then(|taken| {
                subjects::take(&self.layout, &self.enclave, ORDERS_MAX)?;
                Ok(taken)
            })
        });
        taken.await.context("the thread that takes orders panicked")?
    }

    fn take(&self) -> Result<usize> {
        let (mut taken, mut last, mut stopped) = (0, Ok(()), false);
        // One that waits for its entry keeps no other waiting, but for the stages of migrations, which follow one another.
        for path in ending(&self.layout.orders(), NOTE)?.into_iter().take(ORDERS_MAX) {
            let stage = is_stage(&path);
            if stage && stopped {
                continue;
            }
            let one = self.one_of(&path);
            stopped |= stage && one.is_err();
            last = one.and(last);
            taken += 1;
        }
        last.map(|()| taken)
    }

    fn one_of(&self, path: &Path) -> Result<()> {
        let counts = match read(path)? {
            Some(text) => self.one(path, &text)?,
            None => Err(OrderError::Form("a text of at most 4096 bytes")),
        };
        if let Err(why) = counts {
            tracing::error!(%why, "an order does not count");
            std::fs::rename(path, path.with_extension("refused"))?;
        }
        Ok(())
    }

    /// Takes one order, or says why it does not count.
    fn one(&self, path: &Path, text: &str) -> Result<Result<(), OrderError>> {
        let (now, _) = enclave::now();
        let digest = self.enclave.live().road.rulebook().digest;
        if text.starts_with(migration::TITLE) {
            return self.stage(path, text, now, digest);
        }
        if text.starts_with(DEMAND) {
            let authority = match self.signers.demand(text) {
                Ok(authority) if self.inside(authority) => return Ok(Err(OrderError::Inside)),
                Ok(authority) => authority,
                Err(e) => return Ok(Err(e)),
            };
            let entry = crossing::inward::demand(logs::flow_id()?, now, digest, authority, text);
            let _ = self.enclave.log().submit_and_wait(entry)?;
            keep(path, &self.layout.demands(), path.file_name().context("an order has a name")?.as_ref())?;
            tracing::warn!(
                authority = authority.as_str(),
                "a demand of an authority is on the record; it grants nothing"
            );
            return Ok(Ok(()));
        }
        let mut known =
            self.known.lock().map_err(|_| anyhow::anyhow!("the lock of the orders is poisoned"))?;
        let order = match self.signers.order(text).and_then(|o| self.fits(&known, o, now)) {
            Ok(order) => order,
            Err(e) => return Ok(Err(e)),
        };
        let country = order.country;
        let entry = crossing::inward::suspension(logs::flow_id()?, now, digest, country, text);
        let name = format!("{country}.note");
        // INVARIANT: suspended before it is recorded, and allowed again only after that is recorded; and kept only then,
        // so that an order which a crash left in between is recorded once more, and never lost.
        match order.kind {
            Kind::Suspend => {
                let waiting = self.enclave.suspend(country, entry)?;
                let _ = waiting.blocking_recv().context("the ledger stopped")??;
                keep(path, &self.layout.suspensions(), name.as_ref())?;
                tracing::error!(country = country.as_str(), "SUSPENDED: nothing crosses to this country");
            }
            Kind::Lift => {
                let _ = self.enclave.log().submit_and_wait(entry)?;
                keep(path, &self.layout.suspensions(), name.as_ref())?;
                self.enclave.lift(country);
                tracing::warn!(country = country.as_str(), "a suspension is lifted");
            }
        }
        known.insert(country, order);
        Ok(Ok(()))
    }

    /// Records how far a set is, or says why that does not count.
    fn stage(
        &self,
        path: &Path,
        text: &str,
        now: UnixSeconds,
        digest: Digest,
    ) -> Result<Result<(), OrderError>> {
        let mut moved =
            self.moved.lock().map_err(|_| anyhow::anyhow!("the lock of the migrations is poisoned"))?;
        let Some(mut next) = moved.clone() else {
            return Ok(Err(OrderError::Form("what was kept of migrations does not count")));
        };
        let fits = self.signers.migration(text).and_then(|record| {
            if self.inside(record.source.1) || !self.inside(record.target.1) {
                return Err(OrderError::Way);
            }
            if record.time > now.plus(AHEAD_MAX) {
                return Err(OrderError::Time);
            }
            Ok((next.take(record.clone())?, record))
        });
        let record = match fits {
            Ok((true, record)) => record,
            // The last one once more.
            Ok((false, _)) => return Ok(Ok(std::fs::remove_file(path)?)),
            Err(e) => return Ok(Err(e)),
        };
        let entry = crossing::inward::migration(logs::flow_id()?, now, digest, &record, text);
        let index = self.enclave.log().submit_and_wait(entry)?.index();
        keep(path, &self.layout.migrations(), format!("{index:012}.{NOTE}").as_ref())?;
        *moved = Some(next);
        tracing::info!(
            set = record.set.as_str(),
            stage = record.stage.word(),
            "a stage of a migration is on the record"
        );
        Ok(Ok(()))
    }

    fn inside(&self, country: Country) -> bool {
        self.enclave.live().road.rulebook().programme.in_region(country)
    }

    /// Whether an order is one that follows the last about its country. An order laid down twice does not.
    fn fits(
        &self,
        known: &BTreeMap<Country, Order>,
        order: Order,
        now: UnixSeconds,
    ) -> Result<Order, OrderError> {
        // What was suspended can be lifted wherever it lies by now.
        if order.kind == Kind::Suspend && self.inside(order.country) {
            return Err(OrderError::Inside);
        }
        let last = known.get(&order.country);
        if order.time > now.plus(AHEAD_MAX) || last.is_some_and(|last| order.time <= last.time) {
            return Err(OrderError::Time);
        }
        match order.kind {
            Kind::Lift if last.is_none_or(|last| last.kind == Kind::Lift) => Err(OrderError::Nothing),
            _ => Ok(order),
        }
    }
}

/// Whether an order is a stage of a migration.
fn is_stage(path: &Path) -> bool {
    read(path).ok().flatten().is_some_and(|text| text.starts_with(migration::TITLE))
}

/// Moves an order to where it is kept.
fn keep(path: &Path, folder: &Path, name: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::File::open(path)?.sync_all()?;
    std::fs::rename(path, folder.join(name))?;
    Ok(std::fs::File::open(folder)?.sync_all()?)
}

/// What has an ending in a folder, in the order of the names; nothing if it is not there.
pub(crate) fn ending(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(CommandError::file(folder))?,
    };
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|p| p.extension().is_some_and(|e| e == ending));
    paths.sort();
    Ok(paths)
}

/// The text of a file; `None` of what is no text, no plain file, or too long.
pub(crate) fn read(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read;
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(ORDER_MAX + 1).read_to_end(&mut bytes)?;
    let short = u64::try_from(bytes.len()).is_ok_and(|n| n <= ORDER_MAX);
    Ok(String::from_utf8(bytes).ok().filter(|_| short))
}

#[cfg(test)]
mod tests {
    use ledger::note::Signer;

    use super::*;

    fn signers() -> ([Signer; 2], Signers) {
        let keys = [("demo/operator", 1), ("demo/auditor", 2)]
            .map(|(name, seed)| Signer::from_seed(name, &[seed; 32]).unwrap());
        let [operator, auditor] = [&keys[0], &keys[1]].map(|k| k.verifier().clone());
        (keys, Signers { programme: Name::parse("demo").unwrap(), operator, auditor })
    }

    fn signed(text: &str, by: &[&Signer]) -> String {
        let mut note = Note::new(text).unwrap();
        by.iter().for_each(|key| note.add(key.sign(text).unwrap()));
        note.to_string()
    }

    #[test]
    fn one_signature_suspends_and_only_two_lift() {
        let ([operator, auditor], signers) = signers();
        let name = Name::parse("demo").unwrap();
        let text = |kind, issuer: &Signer| {
            let country = Country::parse("CN").unwrap();
            order_text(&name, kind, country, UnixSeconds(7), issuer.verifier().name())
        };
        for one in [&operator, &auditor] {
            let order = signers.order(&signed(&text(Kind::Suspend, one), &[one])).unwrap();
            assert_eq!((order.kind, order.time), (Kind::Suspend, UnixSeconds(7)));
            let lifted = signers.order(&signed(&text(Kind::Lift, one), &[one]));
            assert_eq!(lifted, Err(OrderError::Signers("operator and auditor")));
            assert!(signers.order(&signed(&text(Kind::Lift, one), &[&operator, &auditor])).is_ok());
        }
        // An issuer who did not sign is nobody's word.
        let other = signers.order(&signed(&text(Kind::Suspend, &operator), &[&auditor]));
        assert_eq!(other, Err(OrderError::Signers("whoever it names")));
        let stranger = Signer::from_seed("demo/operator", &[9; 32]).unwrap();
        assert!(signers.order(&signed(&text(Kind::Suspend, &operator), &[&stranger])).is_err());
    }

    #[test]
    fn an_order_of_another_form_or_programme_does_not_count() {
        let ([operator, _], signers) = signers();
        let good = "clover suspension v1\ndemo\nsuspend CN\n7\ndemo/operator\n";
        assert!(signers.order(&signed(good, &[&operator])).is_ok());
        for (from, to) in [
            ("v1", "v2"),
            ("demo\n", "other\n"),
            ("suspend CN", "suspend ZZ"),
            ("suspend CN", "suspend cn"),
            ("suspend CN", "forget CN"),
            ("\n7\n", "\n07\n"),
            ("\n7\n", "\n7\n7\n"),
        ] {
            let text = good.replacen(from, to, 1);
            assert!(signers.order(&signed(&text, &[&operator])).is_err(), "{text}");
        }
        let demand = demand_text(
            &signers.programme,
            Country::parse("US").unwrap(),
            &Name::parse("D-1").unwrap(),
            UnixSeconds(7),
        );
        assert_eq!(signers.demand(&signed(&demand, &[&operator])).unwrap().as_str(), "US");
        assert!(signers.order(&signed(&demand, &[&operator])).is_err(), "a demand is no order");
    }
}
