//! What people see in a browser: HTML made here, a stylesheet, and little script that no page needs but those that end
//! or check something in front of the reader's eyes. Nothing is asked of another host.
//!
//! A page decides nothing. What it shows of people's data is a crossing that goes the one road, as any gateway's does
//! ([`Behind::ask`]); what somebody does is the office's affair ([`crate::access`]). Start reading at [`router`].

mod assets;
mod chart;
mod entries;
mod feed;
mod home;
pub(crate) mod layout;
mod live;
mod map;
mod mine;
mod overview;
mod public;
pub(crate) mod reader;
mod requests;
mod rulebook;
mod view;
pub(crate) mod words;

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use crossing::credential::Tokens;
use crossing::identify::Session;
use http::{Method, StatusCode};
use model::rulebook::Rulebook;
use model::{Name, SubjectId, UnixSeconds};
use serde_json::Value;
use tokio::sync::Semaphore;
use vault::Log;

use crate::access::Office;
use crate::api;

/// A question that goes the one road, in somebody's name and from where they are.
pub struct Question {
    /// Whose session.
    pub session: Session,
    /// Their network address.
    pub address: IpAddr,
    /// As at the gateway.
    pub method: Method,
    /// Likewise.
    pub path: String,
    /// Likewise.
    pub headers: Vec<(&'static str, String)>,
    /// Likewise.
    pub body: Vec<u8>,
}

/// What the road gave: released bytes, or a refusal in public words.
pub struct Answer {
    /// As at the gateway.
    pub status: StatusCode,
    /// The entry that records it.
    pub receipt: Option<u64>,
    /// Likewise.
    pub body: Vec<u8>,
}

/// A log whose entries are shown.
pub struct Ledger {
    /// As its address on the site names it.
    pub name: String,
    /// First line of its checkpoints.
    pub origin: String,
    /// Its verifier key.
    pub vkey: String,
    /// The log.
    pub log: Arc<Log>,
}

/// What proves a person's history, beside the history itself.
pub struct Trust {
    /// The verifier key of the site's own log.
    pub site_vkey: String,
    /// Who must have signed (C2SP tlog-policy).
    pub policy: String,
}

/// A rulebook that lies ready to take the place of the one in force.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    /// Its digest.
    pub digest: String,
    /// Who has signed it: of `operator` and `auditor`.
    pub signed: Vec<&'static str>,
    /// Why it cannot be used, if it cannot.
    pub problem: Option<String>,
}

/// What is worked out about a rulebook; it takes a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Study {
    /// What is proved of the one in force.
    Proofs,
    /// What the candidate says otherwise, and whether it permits more.
    Difference,
    /// What the candidate would have decided of the last days.
    Replay,
}

/// Somebody asked that what is kept of them is erased.
#[derive(Debug, Clone)]
pub struct ErasureAsked {
    /// When.
    pub at: UnixSeconds,
    /// By when it is done, or they are told why not (GDPR article 12(3)).
    pub due: UnixSeconds,
}

/// What was made, or why it was not, in words for whoever reads the page.
pub type Made<T> = Result<T, String>;

/// An answer that is on its way.
pub type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What pages ask of the enclave behind them. Whatever reads or writes files blocks.
pub trait Behind: Send + Sync {
    /// Sends a question down the one road.
    fn ask(&self, question: Question) -> Asked;
    /// The rulebook in force.
    fn rulebook(&self) -> Arc<Rulebook>;
    /// The one that lies ready, if another one does.
    fn candidate(&self) -> Option<Candidate>;
    /// Works something out about a rulebook, for long, unless the flag says that it is no longer wanted.
    ///
    /// # Errors
    /// Why there is no report.
    fn study(&self, study: Study, over: &AtomicBool) -> Made<Value>;
    /// Lays the candidate of this digest down to be put in force.
    ///
    /// # Errors
    /// Why it does not count, or that another one is in its place.
    fn activate(&self, digest: &str) -> Made<()>;
    /// A person's history, as a file of their own.
    ///
    /// # Errors
    /// Why there is none yet.
    fn history(&self, subject: &SubjectId) -> Made<Vec<u8>>;
    /// The handle of a name or a handle, whether or not there is such a person.
    fn handle(&self, text: &str) -> Option<SubjectId>;
    /// Whether the vault holds somebody of this handle.
    fn holds(&self, subject: &SubjectId) -> bool;
    /// When somebody asked to be erased, if they did.
    ///
    /// # Errors
    /// Why that is not known.
    fn wish(&self, subject: &SubjectId) -> Made<Option<ErasureAsked>>;
    /// Notes that somebody asks to be erased.
    ///
    /// # Errors
    /// Why it was not noted.
    fn wishes_erasure(&self, subject: &SubjectId) -> Made<ErasureAsked>;
    /// How many asked to be erased and wait, and when the first of them is due.
    ///
    /// # Errors
    /// Why that is not known.
    fn wishes(&self) -> Made<(usize, Option<UnixSeconds>)>;
}

/// What pages are made of.
pub struct Parts {
    /// How the enclave fares.
    pub status: Arc<api::Shown>,
    /// Requests for access.
    pub office: Arc<Office>,
    /// Whether a sign-in still counts.
    pub tokens: Arc<Tokens>,
    /// The logs of gateways.
    pub ledgers: Vec<Ledger>,
    /// What proves a history.
    pub trust: Trust,
    /// The enclave behind the pages.
    pub behind: Box<dyn Behind>,
    /// Teams whose people operate the enclave.
    pub operators: Vec<Name>,
    /// The time.
    pub clock: fn() -> UnixSeconds,
}

/// The pages of a running enclave.
pub struct Pages {
    parts: Parts,
    feeds: Vec<feed::Feed>,
    studies: rulebook::Studies,
    /// The status as it was told last, for pages and watchers of the same second.
    status: Mutex<Option<(Instant, Arc<api::Status>)>>,
    /// Turns at what costs much: histories and exports.
    dear: Semaphore,
    /// The numbers that were told last.
    numbers: Mutex<Option<public::Told>>,
}

/// Histories and exports that are made at a time.
const DEAR_MAX: usize = 2;

/// For how long a status serves.
const STATUS_AGE: Duration = Duration::from_secs(1);

impl Pages {
    /// Puts the parts together.
    #[must_use]
    pub fn new(mut parts: Parts) -> Arc<Self> {
        let feeds =
            parts.ledgers.drain(..).map(|l| feed::Feed::new(l.name, l.origin, l.vkey, l.log)).collect();
        Arc::new(Self {
            parts,
            feeds,
            studies: rulebook::Studies::default(),
            status: Mutex::default(),
            dear: Semaphore::new(DEAR_MAX),
            numbers: Mutex::default(),
        })
    }

    /// Follows the logs until [`Pages::end`], each on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn follow(self: &Arc<Self>) -> std::io::Result<()> {
        for n in 0..self.feeds.len() {
            let pages = Arc::clone(self);
            std::thread::Builder::new().name("console".to_owned()).spawn(move || {
                if let Some(feed) = pages.feeds.get(n) {
                    feed.follow();
                }
            })?;
        }
        Ok(())
    }

    /// Ends the threads.
    pub fn end(&self) {
        self.feeds.iter().for_each(feed::Feed::end);
        self.studies.end();
    }

    /// How the enclave fares, at most a second ago. It may ask stores, and so waits where that holds nobody up.
    async fn status(self: &Arc<Self>) -> Option<Arc<api::Status>> {
        let pages = Arc::clone(self);
        waiting(move || {
            let mut known = pages.status.lock().unwrap_or_else(PoisonError::into_inner);
            match known.as_ref() {
                Some((at, status)) if at.elapsed() < STATUS_AGE => Arc::clone(status),
                _ => {
                    let status = Arc::new(pages.parts.status.status());
                    *known = Some((Instant::now(), Arc::clone(&status)));
                    status
                }
            }
        })
        .await
    }

    fn now(&self) -> UnixSeconds {
        (self.parts.clock)()
    }

    fn feed(&self, name: &str) -> Option<&feed::Feed> {
        self.feeds.iter().find(|f| f.name == name)
    }
}

/// A refusal before anybody knows who reads, as a page.
pub(crate) fn refused(headers: &http::HeaderMap, status: StatusCode, why: &str) -> Response {
    let l = words::Language::of(headers);
    let body = maud::html! {
        div.empty { p { (why) } p { a.button href="/" { (l.t("go-home")) } } }
    };
    let mut answer = layout::bare(l, l.t("refused-title"), body);
    *answer.status_mut() = status;
    answer
}

/// Events that no cache keeps.
fn events<S>(events: S) -> Response
where
    S: futures_util::Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    ([(http::header::CACHE_CONTROL, "no-store")], Sse::new(events)).into_response()
}

/// The routes.
pub fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route("/language", get(home::language))
        .route("/favicon.ico", get(assets::icon))
        .route("/static/{edition}/{name}", get(assets::get))
        .route("/overview", get(overview::page))
        .route("/overview/live", get(live::stream))
        .route("/requests", get(requests::inbox))
        .route("/requests/new", get(requests::ask::form).post(requests::ask::send))
        .route("/requests/check", post(requests::ask::check))
        .route("/requests/incidents", post(requests::incident))
        .route("/requests/{id}", get(requests::one::page))
        .route("/requests/{id}/view", get(view::page))
        .route("/requests/{id}/view/stream", get(view::stream))
        .route("/requests/{id}/{act}", post(requests::one::act))
        .route("/rulebook", get(rulebook::page))
        .route("/rulebook/candidate", get(rulebook::candidate))
        .route("/rulebook/activate", post(rulebook::activate))
        .route("/ledger", get(entries::search))
        .route("/ledger/{gateway}/vkey", get(entries::vkey))
        .route("/ledger/{gateway}/{index}", get(entries::page))
        .route("/ledger/{gateway}/{index}/leaf", get(entries::leaf))
        .route("/ledger/{gateway}/{index}/proof", get(entries::proof))
        .route("/my-data", get(mine::page))
        .route("/my-data/history", get(mine::history))
        .route("/my-data/trust", get(mine::trust))
        .route("/my-data/crossings", get(mine::crossings))
        .route("/my-data/usage.json", get(mine::usage))
        .route("/my-data/export", get(mine::export))
        .route("/my-data/erasure", post(mine::erase))
        .route("/public", get(public::page))
        .route("/public/numbers.json", get(public::numbers))
        .fallback(home::unknown)
        .with_state(pages)
}

/// Runs what may wait for a disk where waiting holds nobody up. `None` when it broke.
async fn waiting<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(run).await.ok()
}
