//! One receiver with its queue: notices go out one at a time, urgent ones first, and again with growing pauses until
//! they were taken or are given up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Explain, UnixSeconds};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Undelivered;
use super::mail::{Mail, Mailbox};
use super::notice::{Kind, Notice};
use super::webhook::Webhook;

/// How much is held, and how long it is tried.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most notices that wait for one receiver.
    pub queue: usize,
    /// The first pause after a failure; each further one is twice as long.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// A notice that was not taken for so long is given up.
    pub give_up: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 1000,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(300),
            give_up: Duration::from_secs(86_400),
        }
    }
}

/// Labels of what became of notices.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    receiver: String,
    /// `delivered`, `failed` (an attempt), `given-up`, `dropped` (the queue was full) or `unaddressed`.
    outcome: &'static str,
}

/// Labels of what waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Waits {
    receiver: String,
}

/// What became of notices, by receiver. Never to whom.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    notices: Family<Labels, Counter>,
    waiting: Family<Waits, Gauge>,
}

impl Counts {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let counts = Self::default();
        registry.register("clover_notices", "Notices by receiver and outcome", counts.notices.clone());
        registry.register(
            "clover_notices_waiting",
            "Notices that wait for their receiver",
            counts.waiting.clone(),
        );
        counts
    }
}

/// How notices reach somebody.
pub(super) enum Channel {
    Webhook(Box<Webhook>),
    Mail(Box<Mail>),
}

impl Channel {
    async fn deliver(&self, pending: &Pending, now: UnixSeconds) -> Result<(), Undelivered> {
        match (self, &pending.to) {
            (Self::Webhook(webhook), _) => webhook.deliver(&pending.notice, now).await,
            (Self::Mail(mail), Some(to)) => mail.deliver(&pending.notice, to).await,
            (Self::Mail(_), None) => Ok(()),
        }
    }
}

#[derive(Clone)]
pub(super) struct Pending {
    number: u64,
    pub(super) notice: Arc<Notice>,
    to: Option<Mailbox>,
    since: Instant,
    attempts: u32,
    due: Instant,
}

#[derive(Default)]
struct Queue {
    last: u64,
    waiting: VecDeque<Pending>,
    /// Attempts that failed since one was taken.
    failures: u32,
    /// Nothing is tried before.
    rest: Option<Instant>,
}

/// A receiver and what waits for it.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) kinds: Vec<Kind>,
    pub(super) channel: Channel,
    limits: Limits,
    counts: Counts,
    queue: Mutex<Queue>,
    wake: Notify,
    clock: fn() -> UnixSeconds,
}

impl Line {
    pub(super) fn new(
        name: String,
        kinds: Vec<Kind>,
        channel: Channel,
        limits: Limits,
        counts: Counts,
        clock: fn() -> UnixSeconds,
    ) -> Self {
        let (queue, wake) = (Mutex::default(), Notify::new());
        let line = Self { name, kinds, channel, limits, counts, queue, wake, clock };
        // Seen as zero from the start, so that an alarm has something to compare with.
        ["delivered", "failed", "given-up", "dropped"].iter().for_each(|outcome| drop(line.counter(outcome)));
        line
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counter(&self, outcome: &'static str) -> Counter {
        self.counts.notices.get_or_create_owned(&Labels { receiver: self.name.clone(), outcome })
    }

    /// Counts something that became of a notice.
    pub(super) fn count(&self, outcome: &'static str) {
        self.counter(outcome).inc();
    }

    fn show_waiting(&self, queue: &Queue) {
        let gauge = self.counts.waiting.get_or_create_owned(&Waits { receiver: self.name.clone() });
        gauge.set(i64::try_from(queue.waiting.len()).unwrap_or(i64::MAX));
    }

    /// Puts a notice into the queue. Never waits: where there is no room it is dropped and counted, but an urgent one
    /// takes the place of the oldest that is not.
    pub(super) fn push(&self, notice: &Arc<Notice>, to: Option<&Mailbox>) {
        let mut queue = self.queue();
        if queue.waiting.iter().any(|p| p.notice.id == notice.id && p.to.as_ref() == to) {
            return;
        }
        if queue.waiting.len() >= self.limits.queue {
            self.count("dropped");
            let plain = queue.waiting.iter().position(|p| !p.notice.urgent());
            match plain.filter(|_| notice.urgent()) {
                Some(place) => drop(queue.waiting.remove(place)),
                None => return,
            }
        }
        queue.last += 1;
        let (number, now) = (queue.last, Instant::now());
        let (notice, to) = (Arc::clone(notice), to.cloned());
        if notice.urgent() {
            // Whoever is on call is told at once, or at least tried.
            queue.rest = None;
        }
        queue.waiting.push_back(Pending { number, notice, to, since: now, attempts: 0, due: now });
        self.show_waiting(&queue);
        drop(queue);
        self.wake.notify_one();
    }

    /// The time of the oldest notice that waits.
    pub(super) fn oldest(&self) -> Option<UnixSeconds> {
        self.queue().waiting.iter().map(|p| p.notice.at).min()
    }

    /// How many wait, were delivered, and were not; and whether the last attempt failed.
    pub(super) fn shown(&self) -> (usize, u64, u64, bool) {
        let queue = self.queue();
        let lost = self.counter("given-up").get() + self.counter("dropped").get();
        (queue.waiting.len(), self.counter("delivered").get(), lost, queue.failures > 0)
    }

    /// Delivers until `stop` changes. What is on its way then waits again.
    pub(super) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let due = self.due();
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stop.changed() => return,
                () = self.wake.notified() => {}
                () = sleep => {}
            }
            let Some(pending) = self.next() else { continue };
            let outcome = tokio::select! {
                _ = stop.changed() => return,
                outcome = self.channel.deliver(&pending, (self.clock)()) => outcome,
            };
            match outcome {
                Ok(()) => self.taken(&pending),
                Err(e) => self.failed(&pending, &e),
            }
        }
    }

    /// When something is to be tried.
    fn due(&self) -> Option<Instant> {
        let queue = self.queue();
        let first = queue.waiting.iter().map(|p| p.due).min()?;
        Some(queue.rest.map_or(first, |rest| rest.max(first)))
    }

    /// What is to be tried now, urgent ones first.
    pub(super) fn next(&self) -> Option<Pending> {
        let (queue, now) = (self.queue(), Instant::now());
        if queue.rest.is_some_and(|rest| rest > now) {
            return None;
        }
        let due = queue.waiting.iter().filter(|p| p.due <= now);
        due.min_by_key(|p| (!p.notice.urgent(), p.number)).cloned()
    }

    fn taken(&self, pending: &Pending) {
        let mut queue = self.queue();
        queue.waiting.retain(|p| p.number != pending.number);
        self.count("delivered");
        self.show_waiting(&queue);
        queue.rest = None;
        let failures = std::mem::take(&mut queue.failures);
        drop(queue);
        if failures > 0 {
            tracing::info!(receiver = self.name, failures, "notices are taken again");
        }
    }

    fn failed(&self, pending: &Pending, error: &Undelivered) {
        self.count("failed");
        let mut queue = self.queue();
        let first = queue.failures == 0;
        queue.failures = queue.failures.saturating_add(1);
        let now = Instant::now();
        // A receiver that does not take one is left alone for a while; the others need not wait as long as this one.
        // A mail server that answers for one mailbox serves the others.
        if pending.to.is_none() || !matches!(error, Undelivered::Status(_)) {
            queue.rest = Some(now + self.pause(queue.failures));
        }
        let given_up = now.duration_since(pending.since) >= self.limits.give_up;
        if given_up {
            queue.waiting.retain(|p| p.number != pending.number);
        } else if let Some(p) = queue.waiting.iter_mut().find(|p| p.number == pending.number) {
            p.attempts = p.attempts.saturating_add(1);
            p.due = now + self.pause(p.attempts);
        }
        self.show_waiting(&queue);
        drop(queue);
        let (code, error) = (error.code(), error.line());
        if given_up {
            self.count("given-up");
            let kind = pending.notice.kind.word();
            tracing::error!(receiver = self.name, code, error, kind, "a notice was not delivered: given up");
        } else if first {
            tracing::warn!(
                receiver = self.name,
                code,
                error,
                "a notice was not delivered: it will be tried again"
            );
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.limits.pause.saturating_mul(doubled).min(self.limits.pause_max)
    }
}
