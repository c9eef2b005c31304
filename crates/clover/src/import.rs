//! `clover import`: export files become people in the vault. One file, one person, whole or not at all;
//! one entry a batch, and nobody is visible before it is durable.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gateway::enclave::{self, Enclave};
use model::catalogue::{self, Dataset};
use model::{Country, Name, SubjectId, Tag};
use vault::export::{self, Collection, Layout, Limits, Record, Shape};
use vault::keys::Lookup;
use vault::records::{Arrival, Arrived, Coming, Home, HomeEvidence, RecordError};

use crate::error::{CommandError, chain};

/// People in one entry.
const BATCH: usize = 100;
/// Tags under which one person is found.
const LOOKUPS_MAX: usize = 6;
/// Where the home region stands, and what the collection is called.
const HOME: (&str, &str) = ("profile", "accountRegion");

/// What became of the files.
#[derive(Debug, Default, serde::Serialize)]
pub struct Summary {
    /// People imported.
    pub people: u64,
    /// Records of theirs.
    pub records: u64,
    /// Records that no collection declares: kept, restricted, never released.
    pub undeclared: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Files that were refused, each with one line.
    pub refused: Vec<Refused>,
}

/// One file that was refused.
#[derive(Debug, serde::Serialize)]
pub struct Refused {
    /// Which.
    pub file: PathBuf,
    /// Why, in one line; nothing of the file's content.
    pub why: String,
}

/// Imports files into a dataset of the live rulebook. `progress` is told after each file.
///
/// # Errors
/// When the store, the keys or the ledger refuse; a bad file is only counted.
pub fn import(
    enclave: &Enclave,
    site: &Name,
    dataset: &str,
    files: &[PathBuf],
    mut progress: impl FnMut(u64),
) -> Result<Summary> {
    let live = enclave.live();
    let rulebook = live.road.rulebook();
    let unknown = || CommandError::Unknown { kind: "dataset", name: dataset.to_owned() };
    let dataset = rulebook.catalogue.dataset(dataset).ok_or_else(unknown)?;
    let layout = layout(dataset)?;
    let site =
        rulebook.programme.sites.iter().find(|s| s.name == *site).context("no such site in the programme")?;
    let mut summary = Summary::default();
    let mut waiting: Vec<Arrived> = Vec::new();
    let mut bytes = 0;
    for (n, file) in (1..).zip(files) {
        match one(enclave, dataset, &layout, file, &waiting) {
            Ok((arrived, read)) => {
                bytes += read.bytes;
                summary.undeclared += read.records.get(export::UNKNOWN).copied().unwrap_or(0);
                waiting.push(arrived);
            }
            Err(Failure::File(why)) => summary.refused.push(Refused { file: file.clone(), why }),
            Err(Failure::Store(e)) => return Err(e),
        }
        if waiting.len() >= BATCH {
            admit(enclave, site.country, &dataset.name, std::mem::take(&mut waiting), bytes, &mut summary)?;
            bytes = 0;
        }
        progress(n);
    }
    admit(enclave, site.country, &dataset.name, waiting, bytes, &mut summary)?;
    enclave.records().dismiss(enclave::now().0)?;
    Ok(summary)
}

/// A bad file, or a store that refuses.
enum Failure {
    File(String),
    Store(anyhow::Error),
}

impl From<RecordError> for Failure {
    fn from(e: RecordError) -> Self {
        match e {
            RecordError::Duplicate => Self::File(e.to_string()),
            _ => Self::Store(e.into()),
        }
    }
}

fn one(
    enclave: &Enclave,
    dataset: &Dataset,
    layout: &Layout,
    file: &Path,
    waiting: &[Arrived],
) -> Result<(Arrived, export::Summary), Failure> {
    let input = File::open(file).map_err(|e| Failure::File(format!("cannot be opened: {e}")))?;
    let now = enclave::now().0;
    let mut arrival = enclave.records().arrival(enclave.keys(), now)?;
    let mut home = None;
    let mut lookups = Vec::new();
    let mut sink = |record: Record| {
        let (collection, value) = routed(dataset, &record);
        if collection == HOME.0 {
            home = value(HOME.1);
            lookups.extend(looked_up(enclave, dataset, value));
        }
        put(&mut arrival, &collection, &record)
    };
    let read = export::read(BufReader::new(input), layout, &Limits::default(), &mut sink);
    let read = read.map_err(|e| Failure::File(chain(&e)))?;
    let identity =
        read.identity.as_deref().ok_or_else(|| Failure::File("names nobody: no user name".to_owned()))?;
    let subject = enclave.keys().subject_id(identity);
    let home = home_of(enclave, home.as_deref()).map_err(Failure::File)?;
    if waiting.iter().any(|a| a.subject() == &subject) {
        return Err(RecordError::Duplicate.into());
    }
    let home = Home { country: home, from: now, evidence: HomeEvidence::Account };
    lookups.push(enclave.keys().lookup_tag(Lookup::UserName, identity));
    lookups.sort_unstable();
    lookups.dedup();
    lookups.truncate(LOOKUPS_MAX);
    Ok((arrival.finish(Coming { subject, home, lookups })?, read))
}

/// The tags of the values of a profile by which people are found.
fn looked_up(enclave: &Enclave, dataset: &Dataset, value: impl Fn(&str) -> Option<String>) -> Vec<Tag> {
    let live = enclave.live();
    let catalogue = &live.road.rulebook().catalogue;
    let profile = dataset.collections.iter().filter(|c| c.name.as_str() == HOME.0);
    let fields = profile.flat_map(|c| &c.fields).filter_map(|index| catalogue.field(*index));
    let tags = fields.filter_map(|field| {
        let kind = match field.kind {
            catalogue::Kind::Email => Lookup::Email,
            catalogue::Kind::Phone => Lookup::Phone,
            catalogue::Kind::Handle => Lookup::UserName,
            _ => return None,
        };
        let text = std::iter::once(&field.key).chain(&field.also).find_map(|key| value(key))?;
        Some(enclave.keys().lookup_tag(kind, &text))
    });
    tags.collect()
}

fn put(arrival: &mut Arrival<'_>, collection: &str, record: &Record) -> Result<(), export::SinkError> {
    arrival.put(collection, &record.json).map_err(Into::into)
}

/// The collection that a record belongs to, by its own or by the route that one of its values takes, and a
/// way to look at its texts.
fn routed<'a>(dataset: &Dataset, record: &'a Record) -> (String, impl Fn(&str) -> Option<String> + 'a) {
    let declared = dataset.collections.iter().find(|c| c.name.as_str() == record.collection);
    let looked_at = declared.is_some_and(|c| c.route.is_some() || c.name.as_str() == HOME.0);
    let parsed: Option<serde_json::Value> =
        looked_at.then(|| serde_json::from_slice(&record.json).ok()).flatten();
    let value = move |key: &str| parsed.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let route =
        declared.and_then(|c| c.route.as_ref()).filter(|r| value(&r.key).as_deref() == Some(&r.equals));
    (route.map_or_else(|| record.collection.clone(), |r| r.to.to_string()), value)
}

/// A home in the region, or why not. There is no default region.
fn home_of(enclave: &Enclave, text: Option<&str>) -> Result<Country, String> {
    let country = text
        .and_then(|t| Country::parse(t).ok())
        .ok_or("no account region: a person without a place is refused")?;
    let live = enclave.live();
    if live.road.rulebook().programme.in_region(country) {
        Ok(country)
    } else {
        Err(format!("account region `{country}` is not in this region"))
    }
}

fn admit(
    enclave: &Enclave,
    site: Country,
    dataset: &Name,
    arrived: Vec<Arrived>,
    bytes: u64,
    summary: &mut Summary,
) -> Result<()> {
    if arrived.is_empty() {
        return Ok(());
    }
    let records: u64 = arrived.iter().map(|a| u64::from(a.records)).sum();
    enclave.admit(site, dataset, &arrived, bytes)?;
    summary.people += arrived.len() as u64;
    summary.records += records;
    summary.bytes += bytes;
    Ok(())
}

fn layout(dataset: &Dataset) -> Result<Layout> {
    let shape = |s| match s {
        catalogue::Shape::Object => Shape::Object,
        catalogue::Shape::List => Shape::List,
        catalogue::Shape::MapOfLists => Shape::MapOfLists,
        catalogue::Shape::MapOfObjects => Shape::MapOfObjects,
    };
    let collections = dataset.collections.iter().filter(|c| !c.pointers.is_empty());
    let collections = collections.map(|c| Collection {
        name: c.name.to_string(),
        pointers: c.pointers.clone(),
        shape: shape(c.shape),
    });
    if dataset.identity.is_empty() {
        return Err(CommandError::Rule(
            "the catalogue says not where in this dataset a person's name stands",
        )
        .into());
    }
    Ok(Layout::new(collections, &dataset.identity)?)
}

/// The handle of the person with a user name.
#[must_use]
pub fn subject(keys: &vault::KeyService, user_name: &str) -> SubjectId {
    keys.subject_id(user_name)
}
