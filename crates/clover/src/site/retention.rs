//! What ends by the clock: each hour records whose time is over are removed, by the retention that the catalogue says of
//! their collection, and epochs of pseudonyms turn and end, as the programme says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use gateway::{Enclave, enclave};
use tokio::sync::watch::Receiver;
use vault::records::{Expired, Keep};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(3_600);
const DAY: u64 = 86_400;

/// Looks now and each hour, until the enclave is stopped.
pub(super) async fn run(enclave: Arc<Enclave>, mut stopped: Receiver<bool>) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopped.changed() => return,
        }
        let tending = Arc::clone(&enclave);
        match tokio::task::spawn_blocking(move || tend(&tending)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!("epochs of pseudonyms have turned"),
            Ok(Err(e)) => tracing::warn!(error = %e, "epochs of pseudonyms could not be turned"),
            Err(e) => tracing::error!(error = %e, "epochs of pseudonyms could not be looked at"),
        }
        let looking = Arc::clone(&enclave);
        match tokio::task::spawn_blocking(move || expire(&looking)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(Expired { records, people, held, unreadable }))) => {
                enclave.metrics().expired.inc_by(records);
                tracing::info!(records, people, held, unreadable, "records whose time is over were removed");
            }
            Ok(Err(e)) => tracing::warn!(error = %e, "records whose time is over were not all removed"),
            Err(e) => tracing::error!(error = %e, "records whose time is over could not be looked for"),
        }
    }
}

/// Turns epochs of pseudonyms, and destroys those that ended. Decisions know the epoch of a time by themselves.
fn tend(enclave: &Enclave) -> Result<bool> {
    // As below: a clock that jumped ahead would destroy them all.
    if enclave.border() != crossing::Border::Green {
        return Ok(false);
    }
    Ok(enclave.keys().tend_pseudonyms(enclave.live().road.rotation(), enclave::now().0)?)
}

/// Removes what is over. `None` when no collection has a retention, or the clock is in doubt.
fn expire(enclave: &Enclave) -> Result<Option<Expired>> {
    let live = enclave.live();
    let collections = live.road.rulebook().catalogue.datasets().iter().flat_map(|d| &d.collections);
    let keep: Vec<Keep> = collections
        .filter_map(|c| {
            let seconds = u64::from(c.keep_days?).saturating_mul(DAY);
            Some(Keep { collection: c.name.to_string(), seconds })
        })
        .collect();
    // A clock that jumped ahead would take everything: only while witnesses, who have clocks of their own, agree with it.
    if keep.is_empty() || enclave.border() != crossing::Border::Green {
        return Ok(None);
    }
    Ok(Some(enclave.records().expire(enclave.keys(), enclave::now().0, &keep)?))
}
