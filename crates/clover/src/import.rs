//! `clover import`: export files become people in the vault. One file, or one line of an `.ndjson` file, is one person, whole or
//! not at all; one entry a batch, and nobody is visible before it is durable. Who is here already comes again only if that is
//! asked for: then what differs is written.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use gateway::enclave::{self, Enclave};
use model::catalogue::{self, Dataset};
use model::{Country, Name, SubjectId, Tag};
use vault::export::{self, Collection, Layout, Limits, Record, Shape};
use vault::keys::Lookup;
use vault::records::{Arrived, Coming, Home, HomeEvidence, RecordError, Renewal};

use crate::error::{CommandError, chain};
use crate::subjects::{self, Act};

/// People in one entry.
const BATCH: usize = 100;
/// Bytes of people who are held until their entry is on the ledger.
const BATCH_BYTES: u64 = 64 << 20;
/// Tags under which one person is found.
const LOOKUPS_MAX: usize = 6;
/// Where the home region stands, and what the collection is called.
const HOME: (&str, &str) = ("profile", "accountRegion");
/// How a file ends that has a person in each line, and one whose people went.
const LINES: &str = ".ndjson";
const GONE: &str = ".gone.ndjson";
/// How often an empty folder is looked into.
const IDLE: Duration = Duration::from_millis(100);
/// Most bytes of one line.
const LINE_MAX: u64 = 256 << 20;

/// What is done with somebody who is in the vault already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Their file is refused.
    Refuse,
    /// What differs is written, what is no more is removed; who is in a file of people who went is erased.
    Renew,
    /// It is only said whether they differ, and who is missing. Nothing is written.
    Compare,
}

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
    /// People who were here and differed: they were renewed, or would be.
    pub renewed: u64,
    /// People who were here just as they came.
    pub same: u64,
    /// People who went, and were erased, or would be.
    pub erased: u64,
    /// People who would have been imported.
    pub missing: u64,
    /// When comparing: people who are here and in no file.
    pub others: u64,
    /// Files, and lines of files, that were refused.
    pub refused: Vec<Refused>,
}

/// One person's file or line that was refused.
#[derive(Debug, serde::Serialize)]
pub struct Refused {
    /// Which file.
    pub file: PathBuf,
    /// Why, in one line; nothing of the file's content.
    pub why: String,
}

/// Imports into a dataset of the live rulebook.
pub struct Importer<'e> {
    enclave: &'e Enclave,
    dataset: Dataset,
    layout: Layout,
    country: Country,
    known: Known,
    arrived: Vec<Arrived>,
    renewals: Vec<Renewal>,
    bytes: (u64, u64),
    /// Who stands in the file so far.
    in_file: HashSet<SubjectId>,
    /// What became of what was taken so far.
    pub summary: Summary,
}

/// Imports files, in their order. `progress` is told after each file.
///
/// # Errors
/// When the store, the keys or the ledger refuse; a bad file is only counted.
pub fn import(
    enclave: &Enclave,
    site: &Name,
    dataset: &str,
    files: &[PathBuf],
    known: Known,
    mut progress: impl FnMut(u64),
) -> Result<Summary> {
    let mut importer = Importer::new(enclave, site, dataset, known)?;
    for (n, file) in (1..).zip(files) {
        importer.file(file)?;
        progress(n);
    }
    importer.flush()?;
    if known == Known::Compare {
        let found = importer.summary.same + importer.summary.renewed + importer.summary.erased;
        importer.summary.others = (enclave.records().count() as u64).saturating_sub(found);
    } else {
        enclave.records().dismiss(enclave::now().0)?;
    }
    Ok(importer.summary)
}

/// Takes the files of a folder as they come, each removed once what it has is durable: people who are here already are renewed.
/// Ends when the folder is empty, or when it is told to if it `follows`; and at the first file that has a person who is
/// refused, which stays. What was taken before it is kept, and nothing is wrong with taking a file twice.
///
/// # Errors
/// When the store, the keys or the ledger refuse, or the folder does.
pub fn take(
    enclave: &Enclave,
    site: &Name,
    dataset: &str,
    folder: &Path,
    follows: bool,
    stop: &AtomicBool,
) -> Result<Summary> {
    let mut importer = Importer::new(enclave, site, dataset, Known::Renew)?;
    while !stop.load(Ordering::Relaxed) {
        // A listing may have a file and not the one that came before it: what the second has of the first is without gaps.
        let before = files(folder).map_err(CommandError::file(folder))?;
        let mut waiting = files(folder).map_err(CommandError::file(folder))?;
        waiting.retain(|file| before.contains(file));
        if waiting.is_empty() {
            if !follows {
                break;
            }
            std::thread::sleep(IDLE);
        }
        for file in waiting {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            importer.file(&file)?;
            importer.flush()?;
            if !importer.summary.refused.is_empty() {
                return Ok(importer.summary);
            }
            std::fs::remove_file(&file).map_err(CommandError::file(&file))?;
        }
    }
    if importer.summary.people > 0 {
        enclave.records().dismiss(enclave::now().0)?;
    }
    Ok(importer.summary)
}

/// The files of people in a folder, in the order of their names.
///
/// # Errors
/// When it cannot be listed.
pub fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths = std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "json" || e == "ndjson"));
    paths.sort();
    Ok(paths)
}

/// Takes a record of a collection.
type Keep<'k> = &'k mut dyn FnMut(&str, Vec<u8>) -> Result<(), export::SinkError>;

/// A bad file, or a store that refuses.
enum Failure {
    File(String),
    Store(anyhow::Error),
}

impl From<RecordError> for Failure {
    fn from(e: RecordError) -> Self {
        match e {
            RecordError::Duplicate | RecordError::Served | RecordError::Held | RecordError::TooLarge => {
                Self::File(e.to_string())
            }
            _ => Self::Store(e.into()),
        }
    }
}

impl<'e> Importer<'e> {
    /// For a dataset, at a site of the programme.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn new(enclave: &'e Enclave, site: &Name, dataset: &str, known: Known) -> Result<Self> {
        let live = enclave.live();
        let rulebook = live.road.rulebook();
        let unknown = || CommandError::Unknown { kind: "dataset", name: dataset.to_owned() };
        let dataset = rulebook.catalogue.dataset(dataset).ok_or_else(unknown)?.clone();
        let layout = layout(&dataset)?;
        let site = rulebook.programme.sites.iter().find(|s| s.name == *site);
        let country = site.context("no such site in the programme")?.country;
        let (arrived, renewals, summary) = (Vec::new(), Vec::new(), Summary::default());
        let (bytes, in_file) = ((0, 0), HashSet::new());
        Ok(Self { enclave, dataset, layout, country, known, arrived, renewals, bytes, in_file, summary })
    }

    /// Takes a file's people. They are durable after [`Importer::flush`].
    ///
    /// # Errors
    /// When the store, the keys or the ledger refuse; a bad file or line is only counted.
    pub fn file(&mut self, file: &Path) -> Result<()> {
        let name = file.to_string_lossy();
        self.in_file.clear();
        let opened = File::open(file).map_err(|e| format!("cannot be opened: {e}"));
        let input = match opened {
            Ok(input) => BufReader::new(input),
            Err(why) => {
                self.refuse(file, why);
                return Ok(());
            }
        };
        if !name.ends_with(LINES) {
            let done = self.person(input);
            return self.done(file, None, done);
        }
        let gone = name.ends_with(GONE);
        if gone {
            // What stands before it in the order of files comes before it.
            self.flush()?;
        }
        self.lines(file, input, gone)
    }

    fn lines(&mut self, file: &Path, mut input: BufReader<File>, gone: bool) -> Result<()> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = (&mut input).take(LINE_MAX + 1).read_until(b'\n', &mut line);
            let done = match read {
                Ok(0) => return Ok(()),
                Ok(n) if n as u64 > LINE_MAX => {
                    Err(Failure::File(format!("is longer than {LINE_MAX} bytes")))
                }
                Ok(_) if gone => self.gone(&line),
                Ok(_) => self.person(line.as_slice()),
                Err(e) => Err(Failure::File(format!("cannot be read: {e}"))),
            };
            let ended = done.is_err() && line.len() as u64 > LINE_MAX;
            self.done(file, Some(number), done)?;
            if ended {
                return Ok(());
            }
        }
        Ok(())
    }

    fn done(&mut self, file: &Path, line: Option<u64>, done: Result<(), Failure>) -> Result<()> {
        match done {
            Ok(()) => {}
            Err(Failure::File(why)) => {
                let line = line.map_or_else(String::new, |number| format!("line {number}: "));
                self.refuse(file, format!("{line}{why}"));
            }
            Err(Failure::Store(e)) => return Err(e),
        }
        let full = self.arrived.len().max(self.renewals.len()) >= BATCH;
        if full || self.bytes.0.max(self.bytes.1) > BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn refuse(&mut self, file: &Path, why: String) {
        self.summary.refused.push(Refused { file: file.to_owned(), why });
    }

    /// Takes a person.
    fn person(&mut self, input: impl Read) -> Result<(), Failure> {
        if self.known != Known::Refuse {
            return self.known(input);
        }
        let enclave = self.enclave;
        let mut arrival = enclave.records().arrival(enclave.keys(), enclave::now().0)?;
        let (coming, read) =
            self.read(input, &mut |collection, json| arrival.put(collection, &json).map_err(Into::into))?;
        if self.arrived.iter().any(|a| a.subject() == &coming.subject) {
            return Err(RecordError::Duplicate.into());
        }
        self.arrived.push(arrival.finish(coming)?);
        self.counted(&read);
        Ok(())
    }

    fn counted(&mut self, read: &export::Summary) {
        self.bytes.0 += read.bytes;
        self.summary.undeclared += read.records.get(export::UNKNOWN).copied().unwrap_or(0);
    }

    /// Takes a person who may be here already.
    fn known(&mut self, input: impl Read) -> Result<(), Failure> {
        let enclave = self.enclave;
        let mut records: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        let (coming, read) = self.read(input, &mut |collection, json| {
            records.entry(collection.to_owned()).or_default().push(json);
            Ok(())
        })?;
        // Two people whose names the vault cannot tell apart.
        if !self.in_file.insert(coming.subject.clone()) {
            return Err(Failure::File("names somebody whom a line before it names".to_owned()));
        }
        if self.is_waiting(&coming.subject) {
            // Of a file before: the later one is how they are now.
            self.flush().map_err(Failure::Store)?;
        }
        let Some(person) = enclave.records().person(&coming.subject)? else {
            if self.known == Known::Compare {
                self.summary.missing += 1;
                return Ok(());
            }
            let mut arrival = enclave.records().arrival(enclave.keys(), enclave::now().0)?;
            for (collection, records) in &records {
                for json in records {
                    arrival.put(collection, json)?;
                }
            }
            self.arrived.push(arrival.finish(coming)?);
            self.counted(&read);
            return Ok(());
        };
        let renewal =
            enclave.records().renewal(enclave.keys(), person, coming, self.collections(), records)?;
        if renewal.is_nothing() {
            self.summary.same += 1;
        } else if self.known == Known::Compare {
            self.summary.renewed += 1;
        } else {
            self.bytes.1 += read.bytes;
            self.renewals.push(renewal);
        }
        Ok(())
    }

    /// All that somebody may have records in.
    fn collections(&self) -> impl Iterator<Item = &str> {
        self.dataset.collections.iter().map(|c| c.name.as_str()).chain([export::UNKNOWN])
    }

    fn is_waiting(&self, subject: &SubjectId) -> bool {
        self.arrived.iter().any(|a| a.subject() == subject)
            || self.renewals.iter().any(|r| r.subject() == subject)
    }

    /// Takes a person who went: what they were stands in the line, as far as it says who.
    fn gone(&mut self, line: &[u8]) -> Result<(), Failure> {
        if self.known == Known::Refuse {
            return Err(Failure::File("has people who went: they are erased with --renew".to_owned()));
        }
        let read = export::read(line, &self.layout, &Limits::default(), &mut |_| Ok(()));
        let read = read.map_err(|e| Failure::File(chain(&e)))?;
        let subject = self.subject(&read)?;
        let records = self.enclave.records();
        let Some(person) = records.person(&subject)? else { return Ok(()) };
        let keys = records.keys_of(self.enclave.keys(), &person)?;
        records.must_not_be_served(&person, &keys, self.collections())?;
        self.summary.erased += 1;
        if self.known == Known::Compare {
            return Ok(());
        }
        let erased = subjects::act(self.enclave, &subject, &Act::Erase);
        erased.map(drop).map_err(|e| match e.downcast_ref() {
            Some(RecordError::Held) => Failure::File(RecordError::Held.to_string()),
            _ => Failure::Store(e),
        })
    }

    fn subject(&self, read: &export::Summary) -> Result<SubjectId, Failure> {
        let nobody = || Failure::File("names nobody: no user name".to_owned());
        Ok(self.enclave.keys().subject_id(read.identity.as_deref().ok_or_else(nobody)?))
    }

    /// Reads a person, and hands over their records by the collection to which they belong.
    fn read(&self, input: impl Read, keep: Keep<'_>) -> Result<(Coming, export::Summary), Failure> {
        let enclave = self.enclave;
        let (mut home, mut lookups) = (None, Vec::new());
        let mut sink = |record: Record| {
            let collection = {
                let (collection, value) = routed(&self.dataset, &record);
                if collection == HOME.0 {
                    home = value(HOME.1);
                    lookups.extend(looked_up(enclave, &self.dataset, value));
                }
                collection
            };
            keep(&collection, record.json)
        };
        let read = export::read(BufReader::new(input), &self.layout, &Limits::default(), &mut sink);
        let read = read.map_err(|e| Failure::File(chain(&e)))?;
        let subject = self.subject(&read)?;
        let country = home_of(enclave, home.as_deref()).map_err(Failure::File)?;
        let home = Home { country, from: enclave::now().0, evidence: HomeEvidence::Account };
        let identity = read.identity.as_deref().unwrap_or_default();
        lookups.push(enclave.keys().lookup_tag(Lookup::UserName, identity));
        lookups.sort_unstable();
        lookups.dedup();
        lookups.truncate(LOOKUPS_MAX);
        Ok((Coming { subject, home, lookups }, read))
    }

    /// Puts all that waits on the ledger, and has it be seen.
    ///
    /// # Errors
    /// When the store, the keys or the ledger refuse.
    pub fn flush(&mut self) -> Result<()> {
        let (arrived, renewals) = (std::mem::take(&mut self.arrived), std::mem::take(&mut self.renewals));
        let (new, renewed) = std::mem::take(&mut self.bytes);
        if !arrived.is_empty() {
            self.enclave.admit(self.country, &self.dataset.name, &arrived, new)?;
            self.summary.people += arrived.len() as u64;
            self.summary.records += arrived.iter().map(|a| u64::from(a.records)).sum::<u64>();
            self.summary.bytes += new;
        }
        if !renewals.is_empty() {
            self.enclave.renew(self.country, &self.dataset.name, &renewals, renewed)?;
            self.summary.renewed += renewals.len() as u64;
            self.summary.records += renewals.iter().map(|r| u64::from(r.records())).sum::<u64>();
            self.summary.bytes += renewed;
        }
        for renewal in &renewals {
            if let Some((to, from)) = renewal.moved_to() {
                let moved = Act::Move { to: to.to_string(), from: from.0, evidence: HomeEvidence::Account };
                subjects::act(self.enclave, renewal.subject(), &moved)?;
            }
        }
        Ok(())
    }
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

/// The handle of the person with a user name, or the handle itself; none for what is neither.
#[must_use]
pub fn handle(keys: &vault::KeyService, text: &str) -> Option<SubjectId> {
    let text = text.trim();
    let base32 = |b: u8| matches!(b, b'a'..=b'z' | b'2'..=b'7');
    let is_handle = text.len() == 27 && text.starts_with('s') && text.bytes().skip(1).all(base32);
    if is_handle {
        return SubjectId::parse(text).ok();
    }
    let is_name = !text.is_empty() && text.len() <= 200 && !text.contains(char::is_control);
    is_name.then(|| subject(keys, text))
}

/// The handle of the person with a user name.
#[must_use]
pub fn subject(keys: &vault::KeyService, user_name: &str) -> SubjectId {
    keys.subject_id(user_name)
}
