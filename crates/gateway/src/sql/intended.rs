//! A run whose intent is on the ledger before the database is asked: one task from the intent to the outcome, so that an intent is
//! closed whatever becomes of the client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{Digest, Reason};
use tokio::sync::oneshot;

use super::released::{Part, release};
use super::session::Session;
use super::wire::relay::{Refused, Window};
use super::words::broken;
use crate::passage;

/// Most bytes of the answer to such a run.
const BYTES_MAX: u64 = 2 << 20;

/// How long an answer may take: less than the lease of its intent.
const PATIENCE: Duration = Duration::from_secs(540);

/// Whether it would be decided so now, after the database was waited for.
async fn still(session: &Session, statement: Digest) -> bool {
    let Ok(now) = session.stand.now().await else { return false };
    let ask = session.stand.ask(&now, Some(statement));
    now.live.road.decide(&ask).is_ok_and(|permitted| session.still_shows(&permitted))
}

type Answer = oneshot::Sender<Result<Bytes, Refused>>;
type Handed = oneshot::Sender<(Window, Answer)>;

/// Takes the one part of such a run.
#[derive(Clone)]
pub(super) struct Hand(Arc<Mutex<Option<Handed>>>);

impl Hand {
    /// Hands the part over, and gives what becomes of it.
    pub(super) async fn over(self, window: Window) -> Result<Bytes, Refused> {
        let hand = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (answer, answered) = oneshot::channel();
        hand.and_then(|hand| hand.send((window, answer)).ok()).ok_or_else(broken)?;
        answered.await.unwrap_or_else(|_| Err(broken()))
    }
}

/// Records the intent, and gives what takes the outcome.
pub(super) async fn intend(session: Arc<Session>, begun: super::session::Begun) -> Result<Hand, Refused> {
    let (told, recorded) = oneshot::channel();
    let (hand, handed) = oneshot::channel();
    tokio::spawn(async move { carry(&session, begun, told, handed).await });
    recorded.await.unwrap_or_else(|_| Err(broken()))?;
    Ok(Hand(Arc::new(Mutex::new(Some(hand)))))
}

async fn carry(
    session: &Arc<Session>,
    begun: super::session::Begun,
    told: oneshot::Sender<Result<(), Refused>>,
    handed: oneshot::Receiver<(Window, Answer)>,
) {
    let stand = &session.stand;
    let now = match stand.now().await {
        Ok(now) => now,
        Err(refused) => return drop(told.send(Err(refused))),
    };
    let ask = stand.ask(&now, Some(begun.digest()));
    let most = now.serving.ground.bytes_max(BYTES_MAX);
    let permitted = match passage::decide(&stand.enclave, &now.live.road, &ask, most, &stand.places()).await {
        Ok(permitted) => permitted,
        Err(refused) => return drop(told.send(Err(stand.record(refused).await))),
    };
    drop(told.send(Ok(())));
    let handed = tokio::time::timeout(PATIENCE, handed).await;
    let Ok(Ok((window, answer))) = handed else {
        // The client or the database went away, or the lease would end: the close says so.
        stand.record(permitted.refuse(Reason::Upstream)).await;
        return;
    };
    if answer.is_closed() || !still(session, begun.digest()).await {
        drop(answer.send(Err(stand.record(permitted.refuse(Reason::Evidence)).await)));
        return;
    }
    // What was intended is one answer: more would be released without an intent of its own.
    let whole = window.last;
    let part = Part { begun: &begun, window: &window };
    let done = if whole {
        release(session, &now, permitted, part).await
    } else {
        Err(stand.record(permitted.refuse(Reason::Limit)).await)
    };
    drop(answer.send(done));
}
