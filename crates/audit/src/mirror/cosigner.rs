//! The decision to cosign: C2SP tlog-witness for every log, and for a followed one that all of it is held.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    evidence::Evidence,
    follow::{FollowError, Followed},
    request::AddCheckpoint,
    signed::{SignError, Signed},
    site::{Site, SiteError},
    status::{Coverage, Status, WitnessedLog, of_site},
};
use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    cosign::SigningKey,
    fetch::FetchError,
    hash::{Hash, sha256},
    note::VerifierKey,
};

/// Until an asker has an answer.
const DEADLINE: Duration = Duration::from_secs(8);
/// A checkpoint may be a moment ahead of its tiles.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);

/// What signs, and what it knows.
pub(crate) struct Cosigner {
    pub(crate) mirror: Option<SigningKey>,
    pub(crate) witness: Option<SigningKey>,
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) strangers: Vec<VerifierKey>,
    pub(crate) signed: Signed,
    pub(crate) evidence: Arc<Evidence>,
}

/// The answer to a request, as C2SP tlog-witness knows them, and one more.
pub(crate) enum Verdict {
    Cosigned(String),
    Malformed(&'static str),
    Unsigned,
    Unknown,
    /// The size that was cosigned last.
    Conflict(u64),
    Inconsistent,
    /// A mirror that does not hold, or does not agree.
    NotHeld(String),
}

/// Whose log it is.
#[derive(Clone)]
enum Log {
    Stranger(VerifierKey),
    Site(Arc<Site>),
    Member(Arc<Followed>),
}

impl Log {
    fn key(&self) -> VerifierKey {
        match self {
            Self::Stranger(key) => key.clone(),
            Self::Site(site) => site.log.key(),
            Self::Member(log) => log.key(),
        }
    }

    fn followed(&self) -> Option<Arc<Followed>> {
        match self {
            Self::Stranger(_) => None,
            Self::Site(site) => Some(Arc::clone(&site.log)),
            Self::Member(log) => Some(Arc::clone(log)),
        }
    }
}

impl Cosigner {
    /// Decides on the body of a request.
    pub(crate) async fn add_checkpoint(self: Arc<Self>, body: Vec<u8>) -> Verdict {
        let request = match AddCheckpoint::parse(&body) {
            Ok(request) => Arc::new(request),
            Err(why) => return Verdict::Malformed(why),
        };
        let Some(log) = self.log(&request.checkpoint.origin) else { return Verdict::Unknown };
        match Checkpoint::open(&request.note, &log.key()) {
            Ok(_) => {}
            Err(CheckpointError::Note(_)) => return Verdict::Unsigned,
            Err(CheckpointError::Form(why)) => return Verdict::Malformed(why),
        }
        if request.old > request.checkpoint.size {
            return Verdict::Malformed("the old size is greater than the size of the checkpoint");
        }
        let (this, asked, whose) = (Arc::clone(&self), Arc::clone(&request), log.clone());
        let checked = spawn_blocking(move || this.check(&asked, &whose, &body)).await;
        if let Some(verdict) = checked.unwrap_or_else(|_| Some(stopped())) {
            return verdict;
        }
        if let Some(why) = hold(&log, &request).await {
            return Verdict::NotHeld(why);
        }
        let sign = move || self.sign(&request, matches!(log, Log::Stranger(_)));
        spawn_blocking(sign).await.unwrap_or_else(|_| stopped())
    }

    /// What can be said without fetching; `None` if nothing speaks against signing.
    fn check(&self, request: &AddCheckpoint, log: &Log, body: &[u8]) -> Option<Verdict> {
        let forked = match self.is_fork(request, log) {
            Ok(forked) => forked,
            Err(why) => return Some(Verdict::NotHeld(why)),
        };
        if forked && let Err(error) = self.keep_fork(request, body) {
            return Some(Verdict::NotHeld(error.to_string()));
        }
        match self.signed.check(request) {
            Ok(()) if forked => Some(Verdict::Inconsistent),
            Ok(()) => None,
            Err(SignError::Proof) => {
                // With a wrong proof anybody can ask about a good checkpoint: it is kept, and proves nothing.
                let _ = self.evidence.keep("refused", body);
                Some(Verdict::Inconsistent)
            }
            Err(error) => Some(refusal(&error)),
        }
    }

    /// Whether the log's key has signed two trees of one size: this one, and one that is held or was cosigned.
    fn is_fork(&self, request: &AddCheckpoint, log: &Log) -> Result<bool, String> {
        let Checkpoint { origin, size, root } = &request.checkpoint;
        let cosigned = self.signed.head(origin).map_err(|error| error.to_string())?;
        if cosigned.size == *size {
            return Ok(cosigned.root != *root);
        }
        match log.followed().filter(|log| log.head().size >= *size) {
            Some(log) => Ok(log.root_at(*size).map_err(|error| error.to_string())? != *root),
            None => Ok(false),
        }
    }

    fn keep_fork(&self, request: &AddCheckpoint, body: &[u8]) -> std::io::Result<()> {
        let Checkpoint { origin, size, .. } = &request.checkpoint;
        self.evidence.keep("fork", body)?;
        if let Ok(Some(note)) = self.signed.note(&sha256(origin.as_bytes())) {
            self.evidence.keep("cosigned", &note)?;
        }
        self.evidence.problem(origin, &format!("it has signed two trees of {size} entries"))
    }

    fn sign(&self, request: &AddCheckpoint, stranger: bool) -> Verdict {
        let key = if stranger { &self.witness } else { &self.mirror };
        let Some(key) = key else { return Verdict::Unknown };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        match self.signed.sign(request, key, time) {
            Ok(line) => Verdict::Cosigned(line),
            Err(error) => refusal(&error),
        }
    }

    fn log(&self, origin: &str) -> Option<Log> {
        for site in &self.sites {
            if site.log.origin == origin {
                return Some(Log::Site(Arc::clone(site)));
            }
            if let Some(log) = site.member(origin) {
                return Some(Log::Member(log));
            }
        }
        let stranger = self.strangers.iter().find(|key| key.name() == origin);
        stranger.map(|key| Log::Stranger(key.clone()))
    }

    /// The last cosigned checkpoint of the log whose origin has this SHA-256.
    pub(crate) fn cosigned(&self, log: &Hash) -> Result<Option<Vec<u8>>, SignError> {
        self.signed.note(log)
    }

    /// The tree of the followed log whose origin has this SHA-256, and its size.
    pub(crate) fn tree(&self, log: &Hash) -> Option<(PathBuf, u64)> {
        let own = self.sites.iter().map(|site| Arc::clone(&site.log));
        let members = self.sites.iter().flat_map(|site| site.members());
        let found = own.chain(members).find(|one| sha256(one.origin.as_bytes()) == *log)?;
        Some((found.folder.clone(), found.head().size))
    }

    pub(crate) fn status(&self) -> Status {
        let (now, mut reasons) = (Instant::now(), Vec::new());
        let sites = self.sites.iter().map(|site| of_site(site, now, &mut reasons)).collect();
        let mut witnessed = Vec::new();
        for key in &self.strangers {
            let origin = key.name().to_owned();
            let problems = self.evidence.of(&origin);
            reasons.extend(problems.iter().map(|text| format!("`{origin}`: {text}")));
            let size = match self.signed.head(&origin) {
                Ok(head) => head.size,
                Err(error) => {
                    reasons.push(format!("`{origin}`: {error}"));
                    0
                }
            };
            witnessed.push(WitnessedLog { origin, size, problems });
        }
        let coverage = if reasons.is_empty() { Coverage::Green } else { Coverage::Red };
        Status { coverage, reasons, sites, witnessed }
    }
}

/// Waits until all that the checkpoint counts is held and right; why not, if it is not.
async fn hold(log: &Log, request: &AddCheckpoint) -> Option<String> {
    let (log, checkpoint, note) = (log.clone(), request.checkpoint.clone(), request.note.clone());
    if matches!(log, Log::Stranger(_)) {
        return None;
    }
    // It goes on when the asker does not wait any longer: the next asking finds it done.
    let task = tokio::spawn(async move {
        let began = Instant::now();
        loop {
            let result = match &log {
                Log::Stranger(_) => Ok(()),
                Log::Site(site) => Arc::clone(site).hold_site(checkpoint.clone(), note.clone()).await,
                Log::Member(log) => {
                    Site::hold_member(Arc::clone(log), checkpoint.clone(), note.clone()).await
                }
            };
            match result {
                Err(error) if may_come(&error) && began.elapsed() < PATIENCE => sleep(PAUSE).await,
                result => return result,
            }
        }
    });
    match timeout(DEADLINE, task).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(_)) => Some("a part of the mirror stopped".into()),
        Err(_) => Some("not everything could be fetched and checked in time".into()),
    }
}

/// Whether what is missing may only be late.
fn may_come(error: &SiteError) -> bool {
    matches!(
        error,
        SiteError::Behind { .. }
            | SiteError::Follow { error: FollowError::Fetch { error: FetchError::Missing, .. }, .. }
    )
}

fn refusal(error: &SignError) -> Verdict {
    match error {
        SignError::Conflict(size) => Verdict::Conflict(*size),
        SignError::Proof => Verdict::Inconsistent,
        SignError::Damaged | SignError::Io(_) => Verdict::NotHeld(error.to_string()),
    }
}

fn stopped() -> Verdict {
    Verdict::NotHeld("a part of the mirror stopped".into())
}
