//! Notices: approvals reach a chat tool by webhook, and mailboxes by e-mail.
//!
//! Told after an act counts, and never in its way: [`Desk::told`] puts it into a bounded queue and returns. Each receiver
//! has a queue and a task of its own. What a notice may say is fixed by [`notice::Notice`]: that something waits or has
//! happened, and nothing about anybody. Refused here: redirects, clear text beyond loopback, other hosts than the named.
//!
//! Across a restart each notice is delivered at least once: for each receiver a time is kept up to which all is done, and
//! the requests of the control store are gone through from there. Start reading at [`Desk`].

mod line;
pub mod mail;
pub mod notice;
pub mod webhook;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::{Actor, Request};
use model::procedures::Procedures;
use model::{ActorId, Explain, Name, UnixSeconds};
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ClientConfig;

pub use line::Limits;

use crate::access::{Happened, Office};
use crate::ask::AskError;
use line::{Channel, Counts, Line};
use mail::Mail;
use notice::{Audience, Kind, Notice, Teller, Told};
use webhook::{Secret, Webhook};

#[cfg(test)]
mod tests;

/// How often time is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Most acts that wait to be looked at.
const INBOX_MAX: usize = 10_000;
/// An act may count so many seconds before this process is told: what is younger is not taken for done.
const MARGIN: u64 = 60;
/// What happened longer ago is not told again after a restart.
const AGAIN_SECONDS_MAX: u64 = 7 * 86_400;
/// The name of the receiver of mail.
const MAIL: &str = "mail";

/// Why a notice did not reach its receiver. Nothing that the receiver said, for it may repeat an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undelivered {
    /// It was not reached.
    #[error("it was not reached")]
    Ask(#[source] NotAsked),
    /// It answered that it does not take it.
    #[error("it answered {0}")]
    Status(u16),
    /// It sent us elsewhere.
    #[error("it answered {0}: redirects are not followed")]
    Redirect(u16),
    /// The mail server could not be used.
    #[error("the mail server could not be used: {0}")]
    Mail(&'static str),
}

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NotAsked(AskError);

impl Undelivered {
    /// The error with its causes, in one line.
    fn line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(e) = cause {
            text.push_str(": ");
            text.push_str(&e.to_string());
            cause = e.source();
        }
        text
    }
}

impl Explain for Undelivered {
    fn code(&self) -> &'static str {
        "CLV-0801"
    }
    fn fix(&self) -> &'static str {
        "see whether the receiver runs, and compare [notify] in enclave.toml with it; nothing waits for it meanwhile"
    }
    fn public(&self) -> &'static str {
        "the request cannot be answered now"
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongSetting {
    /// No URL of the form that is needed.
    #[error("this is no URL of the form that is needed, or has a name or password in it")]
    Url,
    /// In the clear over a network.
    #[error("not encrypted, and not to a loopback address")]
    Clear,
    /// No secret.
    #[error("this is not `whsec_` with the base64 of 24 to 64 bytes")]
    Secret,
    /// No address for mail.
    #[error("this is no plain e-mail address")]
    Address,
    /// No certificates.
    #[error("no certificates that can be used")]
    Roots,
}

/// A receiver of events.
pub struct Hook {
    /// Its name, for logs and metrics.
    pub name: Name,
    /// Where it is.
    pub url: String,
    /// Signs what it gets.
    pub secret: Secret,
    /// What it gets.
    pub kinds: Vec<Kind>,
}

/// Up to when all is done, by receiver.
pub type UpTo = BTreeMap<String, UnixSeconds>;

/// What is needed to tell people.
pub struct Settings {
    /// Where this is: `clover:<programme>/<site>`.
    pub source: String,
    /// What links begin with.
    pub console: String,
    /// Roots that the certificates of webhooks lead to.
    pub tls: Arc<ClientConfig>,
    /// Chat tools and the like.
    pub hooks: Vec<Hook>,
    /// Mailboxes.
    pub mail: Option<mail::Settings>,
    /// How much is held, and how long it is tried.
    pub limits: Limits,
    /// Up to when all was done when it was kept last. A receiver that is not named begins now.
    pub done: UpTo,
    /// Keeps the same durably. May wait for the disk.
    pub keep: Box<dyn Fn(&UpTo) + Send + Sync>,
    /// The time.
    pub clock: fn() -> UnixSeconds,
}

/// Tells what is on record about somebody.
pub type OnRecord = Box<dyn Fn(&ActorId) -> Option<Arc<Actor>> + Send + Sync>;

/// Where the desk learns what it tells.
pub struct Known {
    /// Every request that is remembered.
    pub requests: Box<dyn Fn() -> Vec<Arc<Request>> + Send + Sync>,
    /// The procedures in force.
    pub procedures: Box<dyn Fn() -> Procedures + Send + Sync>,
    /// What is on record about somebody now. May wait for the disk.
    pub actor: OnRecord,
}

impl Known {
    /// What an office knows.
    #[must_use]
    pub fn of(office: Arc<Office>) -> Self {
        let (rules, people) = (Arc::clone(&office), Arc::clone(&office));
        Self {
            requests: Box::new(move || office.control.requests()),
            procedures: Box::new(move || (rules.rules)().procedures.clone()),
            actor: Box::new(move |id| people.control.actor(id, (people.clock)()).ok()),
        }
    }
}

/// What the desk remembers between two rounds.
struct Book {
    /// Up to when each receiver had everything.
    done: UpTo,
    /// Up to when time was looked at; none before the first round.
    looked: Option<UnixSeconds>,
    /// The newest happening that was told.
    newest: UnixSeconds,
}

/// Where what happened is handed in, and goes out to all receivers.
pub struct Desk {
    source: String,
    inbox: Mutex<VecDeque<Happened>>,
    wake: Notify,
    lines: Vec<Arc<Line>>,
    book: Mutex<Book>,
    keep: Box<dyn Fn(&UpTo) + Send + Sync>,
    clock: fn() -> UnixSeconds,
}

/// How notices fare, for a status.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// Wait to be delivered.
    pub waiting: usize,
    /// Were delivered since the start.
    pub delivered: u64,
    /// Were given up or dropped since the start.
    pub undelivered: u64,
    /// Receivers that did not take the last one.
    pub failing: Vec<String>,
}

impl Desk {
    /// Puts the parts together. Nothing is told before [`Desk::start`].
    ///
    /// # Errors
    /// [`WrongSetting`].
    pub fn new(settings: Settings, registry: &mut Registry) -> Result<Arc<Self>, WrongSetting> {
        let Settings { source, console, tls, hooks, mail, limits, mut done, keep, clock } = settings;
        let counts = Counts::new(registry);
        let line = |name: String, kinds, channel| {
            Arc::new(Line::new(name, kinds, channel, limits, counts.clone(), clock))
        };
        let mut lines = Vec::new();
        for hook in hooks {
            let webhook =
                Webhook::new(&hook.url, hook.secret, Arc::clone(&tls), source.clone(), console.clone())?;
            lines.push(line(hook.name.to_string(), hook.kinds, Channel::Webhook(Box::new(webhook))));
        }
        if let Some(settings) = mail {
            let mail = Channel::Mail(Box::new(Mail::new(settings, console)?));
            lines.push(line(MAIL.to_owned(), Kind::ALL.into(), mail));
        }
        let now = clock();
        done.retain(|name, _| lines.iter().any(|line| line.name == *name));
        for line in &lines {
            let oldest = UnixSeconds(now.0.saturating_sub(AGAIN_SECONDS_MAX));
            done.entry(line.name.clone()).and_modify(|at| *at = oldest.max(*at)).or_insert(now);
        }
        let book = Mutex::new(Book { done, looked: None, newest: UnixSeconds(0) });
        let (inbox, wake) = (Mutex::default(), Notify::new());
        Ok(Arc::new(Self { source, inbox, wake, lines, book, keep, clock }))
    }

    /// Takes note of what happened. Never waits; what finds no room is counted as dropped.
    pub fn told(&self, happened: &Happened) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.len() < INBOX_MAX {
            inbox.push_back(happened.clone());
            drop(inbox);
            self.wake.notify_one();
        } else {
            drop(inbox);
            self.lines.iter().for_each(|line| line.count("dropped"));
        }
    }

    /// How notices fare.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let mut all = Shown { waiting: 0, delivered: 0, undelivered: 0, failing: Vec::new() };
        for line in &self.lines {
            let (waiting, delivered, undelivered, failing) = line.shown();
            all.waiting += waiting;
            all.delivered += delivered;
            all.undelivered += undelivered;
            all.failing.extend(failing.then(|| line.name.clone()));
        }
        all
    }

    /// Begins to tell, on the runtime that this is called on: first what was not delivered before the last end.
    #[must_use]
    pub fn start(self: &Arc<Self>, known: Known) -> Working {
        let (stop, stopped) = watch::channel(false);
        let known = Arc::new(known);
        let lines =
            self.lines.iter().map(|line| tokio::spawn(Arc::clone(line).run(stopped.clone()))).collect();
        let rounds = tokio::spawn(Arc::clone(self).rounds(Arc::clone(&known), stopped));
        Working { desk: Arc::clone(self), known, stop, lines, rounds }
    }

    async fn rounds(self: Arc<Self>, known: Arc<Known>, mut stop: watch::Receiver<bool>) {
        loop {
            self.spawned_round(&known, false).await;
            tokio::select! {
                _ = stop.changed() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// A round where waiting for the disk holds nobody up.
    async fn spawned_round(self: &Arc<Self>, known: &Arc<Known>, last: bool) {
        let (desk, known) = (Arc::clone(self), Arc::clone(known));
        if tokio::task::spawn_blocking(move || desk.round(&known, last)).await.is_err() {
            tracing::error!("a round of notices has broken");
        }
    }

    /// Tells what was handed in and what fell due, and keeps up to when all is done. `last` says that nothing can happen
    /// any more.
    fn round(&self, known: &Known, last: bool) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let (rules, now) = ((known.procedures)(), (self.clock)());
        let teller = Teller { source: &self.source, rules: &rules };
        let handed_in = std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        let until = if last { now.plus(1) } else { now };
        let first = book.looked.is_none();
        let mut all: Vec<Told> = handed_in.iter().flat_map(|h| teller.of_act(&h.request, h.number)).collect();
        let mut looks = true;
        match book.looked {
            // Each receiver is told what is younger than what it had.
            None => {
                let from = book.done.values().min().copied().unwrap_or(now);
                all.extend((known.requests)().iter().flat_map(|r| since(&teller, r, from, until)));
            }
            Some(from) if last || until.0.saturating_sub(from.0) >= LOOK.as_secs() => {
                all.extend((known.requests)().iter().flat_map(|r| teller.of_time(r, from, until)));
            }
            Some(_) => looks = false,
        }
        all.sort_by_key(|(notice, _)| notice.at);
        for (notice, to) in all {
            book.newest = book.newest.max(notice.at);
            let notice = Arc::new(notice);
            let lacks = |line: &Line| book.done.get(&line.name).is_none_or(|done| notice.at >= *done);
            for line in self.lines.iter().filter(|l| l.kinds.contains(&notice.kind) && (!first || lacks(l))) {
                send(line, &notice, &to, known, &rules);
            }
        }
        if looks {
            book.looked = Some(until);
            self.settle(&mut book, until, first, last);
        }
    }

    /// Keeps up to when each receiver had everything, unless nothing would be told again without it.
    fn settle(&self, book: &mut Book, looked: UnixSeconds, first: bool, last: bool) {
        let done = UnixSeconds(looked.0.saturating_sub(if last { 0 } else { MARGIN }));
        let mut again = first || last;
        for line in &self.lines {
            let done = line.oldest().map_or(done, |oldest| oldest.min(done));
            let kept = book.done.entry(line.name.clone()).or_insert(done);
            if done > *kept {
                again |= *kept <= book.newest;
                *kept = done;
            }
        }
        if again {
            (self.keep)(&book.done);
        }
    }
}

/// What a request gives to tell of a span of time, acts and what fell due.
fn since(teller: &Teller<'_>, request: &Request, from: UnixSeconds, until: UnixSeconds) -> Vec<Told> {
    let acts = request.done.iter().enumerate().filter(|(_, d)| d.at >= from);
    let acts = acts.flat_map(|(n, _)| teller.of_act(request, n));
    acts.chain(teller.of_time(request, from, until)).collect()
}

/// Gives a notice to one receiver: once, or to each address.
fn send(line: &Line, notice: &Arc<Notice>, to: &Audience, known: &Known, rules: &Procedures) {
    let Channel::Mail(mail) = &line.channel else { return line.push(notice, None) };
    let addresses = mail.book.of(to, rules, &known.actor);
    if addresses.is_empty() && *to != Audience::default() {
        line.count("unaddressed");
    }
    addresses.into_iter().for_each(|address| line.push(notice, Some(address)));
}

/// A desk at work.
pub struct Working {
    desk: Arc<Desk>,
    known: Arc<Known>,
    stop: watch::Sender<bool>,
    lines: Vec<JoinHandle<()>>,
    rounds: JoinHandle<()>,
}

impl Working {
    /// Ends it, after everything that makes something happen has ended. What was not delivered is at the next start.
    pub async fn end(self) {
        let _ = self.stop.send(true);
        let _ = self.rounds.await;
        for line in self.lines {
            let _ = line.await;
        }
        self.desk.spawned_round(&self.known, true).await;
    }
}
