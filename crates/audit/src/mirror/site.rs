//! Following one site: its own log, every enrolled log, and what the site log says of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::Mutex as AsyncMutex,
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::sleep,
};

use super::{
    book::{Book, BookError, Held, Stop, Trees},
    follow::{FollowError, Followed, Surroundings, Target},
    structure::Kind,
};
use crate::{
    checkpoint::Checkpoint,
    daymap::{Ahead, PAIRS_HELD_AHEAD, Problem},
    durable,
    note::VerifierKey,
    siteleaf::SITE_PREFIX,
    tree::Tree,
};

/// Between two looks at a checkpoint.
const POLL: Duration = Duration::from_millis(250);
/// Between two savings of the book.
const SAVE: Duration = Duration::from_secs(5);
/// Entries of each log that are read ahead in one go: about as long does a check of a day map wait.
const AHEAD_ENTRIES: u64 = 1 << 16;
/// So many entries of the site log are checked soon; with more to check no map is begun ahead, since many days may be among them.
const SOON: u64 = 300;

/// A site that the mirror follows.
pub(crate) struct Site {
    pub(crate) base: String,
    around: Surroundings,
    pub(crate) log: Arc<Followed>,
    /// The enrolled logs by origin. A log that is enrolled no more stays: what it held is not forgotten.
    members: Mutex<BTreeMap<String, Arc<Followed>>>,
    /// Since when a log has had less than the newest round says.
    behind: Mutex<BTreeMap<String, Instant>>,
    /// Since when entries of the site log have been held and not checked.
    unchecked: Mutex<Option<Instant>>,
    reader: AsyncMutex<Reader>,
    /// What the book says, for those who do not want to wait for it.
    read: Mutex<Read>,
    /// What was read ahead of the day map that comes next; absent if day maps are not built again.
    ahead: Option<Mutex<Ahead>>,
}

/// How far the site log is checked, and who is enrolled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) checked: u64,
    pub(crate) enrolled: Vec<String>,
    pub(crate) gaps: u64,
    /// Why it cannot be read on.
    pub(crate) failure: Option<String>,
}

struct Reader {
    book: Book,
    saved: Instant,
}

/// Why a site is not known up to a checkpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    #[error("the log `{origin}` cannot be followed: {error}")]
    Follow { origin: String, error: FollowError },
    #[error("the log `{origin}` is held to less than the {size} entries that the site log says")]
    Behind { origin: String, size: u64 },
    #[error("something is wrong with the log `{origin}`: {text}")]
    Wrong { origin: String, text: String },
    #[error("the site log cannot be read: {0}")]
    Book(#[from] BookError),
    #[error("cannot write or read the mirror's own files: {0}")]
    Io(#[from] io::Error),
    #[error("a part of the mirror stopped")]
    Stopped,
}

type Result<T> = std::result::Result<T, SiteError>;

impl Site {
    /// Opens the trees of a site. It reads and writes the disk.
    pub(crate) fn open(around: Surroundings, base: &str, key: VerifierKey, maps: bool) -> Result<Self> {
        let origin = key.name().to_owned();
        let log = Followed::open(&around, &origin, SITE_PREFIX, Kind::Site, key)
            .map_err(|error| SiteError::Follow { origin, error })?;
        let saved = match fs::read(around.folder.join("book.json")) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let book = Book::resume(saved.as_deref(), &Tree::new(&log.folder), log.head().size);
        let site = Self {
            base: base.to_owned(),
            around,
            log: Arc::new(log),
            members: Mutex::new(BTreeMap::new()),
            behind: Mutex::new(BTreeMap::new()),
            unchecked: Mutex::new(None),
            reader: AsyncMutex::new(Reader { book, saved: Instant::now() }),
            read: Mutex::new(Read::default()),
            ahead: maps.then(|| Mutex::new(Ahead::new(PAIRS_HELD_AHEAD))),
        };
        if let Ok(reader) = site.reader.try_lock() {
            site.enrol(&reader.book)?;
            site.note(&reader.book, None);
        }
        Ok(site)
    }

    /// Whether day maps are built again.
    pub(crate) fn maps(&self) -> bool {
        self.ahead.is_some()
    }

    /// The logs that are followed now.
    pub(crate) fn members(&self) -> Vec<Arc<Followed>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn member(&self, origin: &str) -> Option<Arc<Followed>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).get(origin).cloned()
    }

    pub(crate) fn read(&self) -> Read {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Since when each log has had less than the newest round says.
    pub(crate) fn behind(&self, now: Instant) -> BTreeMap<String, Instant> {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        for line in self.log.round().map(|(lines, _)| lines).unwrap_or_default() {
            if self.member(&line.origin).is_some_and(|log| log.head().size >= line.size) {
                behind.remove(&line.origin);
            } else {
                behind.entry(line.origin).or_insert(now);
            }
        }
        behind.clone()
    }

    /// Since when entries of the site log have been held and not checked.
    pub(crate) fn unchecked(&self, now: Instant) -> Option<Instant> {
        let is_checked = self.read().checked >= self.log.head().size;
        let mut since = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if is_checked { None } else { Some(since.unwrap_or(now)) };
        *since
    }

    /// Follows the site until the process ends. Each log has a task of its own: one that hangs, or a day map
    /// that takes its time, holds up no other.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut workers: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
        let mut ahead = tokio::spawn(Arc::clone(&self).read_ahead());
        loop {
            if ahead.is_finished() {
                ahead = tokio::spawn(Arc::clone(&self).read_ahead());
            }
            // One that fell over is a fault of ours, and the log is not left alone for it.
            workers.retain(|_, worker| !worker.is_finished());
            // A log that is enrolled no more may still have entries that rounds before it say.
            for log in self.members().into_iter().chain([Arc::clone(&self.log)]) {
                workers.entry(log.origin.clone()).or_insert_with(|| tokio::spawn(follow(log)));
            }
            let _ = Arc::clone(&self).check_on().await;
            self.behind(Instant::now());
            self.unchecked(Instant::now());
            sleep(POLL).await;
        }
    }

    /// Reads the entries of the day whose map comes next as they come, until the process ends.
    async fn read_ahead(self: Arc<Self>) {
        loop {
            let busy = self.read_some_ahead().await;
            // What is no good is found again, and told, by who checks the map.
            if !busy.unwrap_or(false) {
                sleep(POLL).await;
            }
        }
    }

    async fn read_some_ahead(self: &Arc<Self>) -> Result<bool> {
        let soon = self.log.head().size.saturating_sub(self.read().checked) <= SOON;
        if !soon || !self.maps() {
            return Ok(false);
        }
        let (site, book) = (Arc::clone(self), self.reader.lock().await.book.clone());
        let read = move || {
            let trees = site.trees();
            let Some(ahead) = &site.ahead else { return Ok(false) };
            let Some((day, logs)) = book.coming(&trees)? else { return Ok(false) };
            let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
            ahead.collect(day, &logs, AHEAD_ENTRIES)
        };
        let read: std::result::Result<bool, Problem> =
            spawn_blocking(read).await.map_err(|_| SiteError::Stopped)?;
        Ok(read.map_err(BookError::Map)?)
    }

    /// Checks the site log as far as possible.
    async fn check_on(self: Arc<Self>) -> Result<()> {
        let size = self.log.head().size;
        self.check_to(size).await.map(drop)
    }

    /// Makes sure that everything is held and right that a checkpoint of the site log counts.
    pub(crate) async fn hold_site(self: Arc<Self>, checkpoint: Checkpoint, note: Vec<u8>) -> Result<()> {
        let (origin, size) = (self.log.origin.clone(), checkpoint.size);
        follow_to(&self.log, Target::This(checkpoint, note)).await?;
        let mut tried = BTreeSet::new();
        loop {
            self.pull_lagging().await?;
            match self.check_to(size).await? {
                None => break,
                // The newest round may stand behind the one that names it.
                Some((origin, _)) if tried.insert(origin.clone()) => {
                    if let Some(log) = self.member(&origin) {
                        follow_to(&log, Target::Newest).await?;
                    }
                }
                Some((origin, size)) => return Err(SiteError::Behind { origin, size }),
            }
        }
        for log in self.members() {
            is_right(&log.origin, log.problems())?;
        }
        is_right(&origin, self.log.problems())
    }

    /// Makes sure that everything is held that a checkpoint of an enrolled log counts.
    pub(crate) async fn hold_member(log: Arc<Followed>, checkpoint: Checkpoint, note: Vec<u8>) -> Result<()> {
        follow_to(&log, Target::This(checkpoint, note)).await?;
        is_right(&log.origin, log.problems())
    }

    /// Follows every log that has less than the newest round says, all at the same time.
    async fn pull_lagging(&self) -> Result<()> {
        let mut tasks = JoinSet::new();
        for line in self.log.round().map(|(lines, _)| lines).unwrap_or_default() {
            if let Some(log) = self.member(&line.origin).filter(|log| log.head().size < line.size) {
                tasks.spawn(async move { follow_to(&log, Target::Newest).await });
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(|_| SiteError::Stopped)??;
        }
        Ok(())
    }

    /// Checks the site log up to `size`; returns the log, and how much of it, that is needed to go on.
    async fn check_to(self: &Arc<Self>, size: u64) -> Result<Option<(String, u64)>> {
        let mut reader = self.reader.lock().await;
        let mut book = std::mem::take(&mut reader.book);
        let result = loop {
            if book.next >= size {
                break Ok(None);
            }
            let site = Arc::clone(self);
            let (read, result) = spawn_blocking(move || {
                let result = site.read_on(&mut book, size);
                (book, result)
            })
            .await
            .map_err(|_| SiteError::Stopped)?;
            book = read;
            match result {
                Ok(Stop::Done) => break Ok(None),
                Ok(Stop::Behind { origin, size }) => break Ok(Some((origin, size))),
                Ok(Stop::Enrolled) => {
                    if let Err(error) = self.enrol(&book) {
                        break Err(error);
                    }
                }
                Ok(Stop::Wrong(text)) => {
                    if let Err(error) = self.log.problem(&text) {
                        break Err(SiteError::Follow { origin: self.log.origin.clone(), error });
                    }
                    // A wrong enrolment is one all the same: what it names is followed.
                    if let Err(error) = self.enrol(&book) {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
            // The newest size may allow a log to be held that was not before.
        };
        self.note(&book, result.as_ref().err());
        reader.book = book;
        if reader.saved.elapsed() >= SAVE {
            reader.saved = Instant::now();
            self.save(&mut reader.book)?;
        }
        result
    }

    fn read_on(&self, book: &mut Book, size: u64) -> Result<Stop> {
        let site = Tree::new(&self.log.folder);
        Ok(book.read(&site, size.min(self.log.head().size), &self.trees(), self.ahead.as_ref())?)
    }

    fn trees(&self) -> Trees {
        let held = |log: &Arc<Followed>| {
            let (folder, size) = (log.folder.clone(), log.head().size);
            (log.origin.clone(), Held { tree: Tree::new(&folder), folder, size })
        };
        self.members().iter().map(held).collect()
    }

    /// Small and rare enough to be written here; a lost one costs reading the site log again.
    fn save(&self, book: &mut Book) -> Result<()> {
        let bytes = book.save(&Tree::new(&self.log.folder))?;
        Ok(durable::replace(&self.around.temporary, &self.around.folder.join("book.json"), &bytes)?)
    }

    fn note(&self, book: &Book, failure: Option<&SiteError>) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Read {
            checked: book.next,
            enrolled: book.enrolled.keys().cloned().collect(),
            gaps: book.gaps,
            failure: failure.map(ToString::to_string),
        };
    }

    /// Follows the logs of the book's list that are not followed yet.
    fn enrol(&self, book: &Book) -> Result<()> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        for (origin, member) in &book.enrolled {
            if let Err(text) = self.enrol_one(&mut members, origin, member)? {
                let text = format!("enrolment of `{}`: {text}", origin.escape_debug());
                let site = &self.log.origin;
                self.log.problem(&text).map_err(|error| SiteError::Follow { origin: site.clone(), error })?;
            }
        }
        Ok(())
    }

    fn enrol_one(
        &self,
        members: &mut BTreeMap<String, Arc<Followed>>,
        origin: &str,
        member: &super::book::Member,
    ) -> Result<std::result::Result<(), String>> {
        let key = match VerifierKey::parse(&member.vkey) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if origin == self.log.origin {
            return Ok(Err("it is the site log itself".into()));
        }
        let kind = if member.gateway { Kind::Gateway } else { Kind::Keys };
        if let Some(log) = members.get(origin) {
            if log.prefix != member.prefix || log.kind != kind {
                return Ok(Err("its prefix or role changed".into()));
            }
            log.set_key(key);
            return Ok(Ok(()));
        }
        let taken = members.values().any(|log| log.prefix == member.prefix);
        if taken || is_ours(&member.prefix) {
            return Ok(Err(format!("its prefix `{}` is taken", member.prefix)));
        }
        let log = Followed::open(&self.around, origin, &member.prefix, kind, key)
            .map_err(|error| SiteError::Follow { origin: origin.to_owned(), error })?;
        members.insert(origin.to_owned(), Arc::new(log));
        Ok(Ok(()))
    }
}

async fn follow(log: Arc<Followed>) {
    loop {
        let _ = log.pull(Target::Newest).await;
        sleep(POLL).await;
    }
}

async fn follow_to(log: &Arc<Followed>, target: Target) -> Result<()> {
    let origin = log.origin.clone();
    log.pull(target).await.map_err(|error| SiteError::Follow { origin, error })
}

fn is_right(origin: &str, problems: Vec<String>) -> Result<()> {
    match problems.into_iter().next() {
        None => Ok(()),
        Some(text) => Err(SiteError::Wrong { origin: origin.to_owned(), text }),
    }
}

/// Names beside the trees of a site that the mirror itself uses, or the watch if its folder is the mirror's.
pub(crate) fn is_ours(prefix: &str) -> bool {
    let first = prefix.split('/').next().unwrap_or_default();
    let own = matches!(first, "site" | "signed" | "evidence" | "tmp" | "lock" | "book.json");
    own || matches!(first, "incidents" | "watch" | "findings.ndjson")
}

#[cfg(test)]
mod tests;
