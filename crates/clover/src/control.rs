//! The control API of a running enclave, on loopback: what it shows, and how the command line asks it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use console::api;
use console::notify::Desk;
use gateway::Enclave;
use prometheus_client::registry::Registry;
use residency::incident::Standing;

use crate::error::CommandError;
use crate::keys::Rewrapping;
use crate::site::Site;
use crate::site::dryrun::in_force;
use crate::{budget, now, shadow};

/// Longest answer that is read.
const ANSWER_MAX: u64 = 16 << 20;
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most expiries that are shown.
const SHOWN_MAX: usize = 5;

/// The next of what ends by its date, in words; what has ended already comes first.
#[must_use]
pub fn expiring(expiries: &[model::assessments::Expiry]) -> Vec<String> {
    let now = now();
    let told = |e: &model::assessments::Expiry| {
        let ended = if e.at <= now { ", ENDED" } else { "" };
        format!("{} {} of {} ({}){ended}", e.at.rfc3339(), e.what, e.country, e.owner)
    };
    expiries.iter().take(SHOWN_MAX).map(told).collect()
}

/// What the control API of a running enclave shows.
#[must_use]
pub fn shown(
    enclave: &Arc<Enclave>,
    site: Arc<Site>,
    store: &'static str,
    residency: PathBuf,
    (remark, rewrapping): (Option<&'static str>, Rewrapping),
    desk: Option<Arc<Desk>>,
    registry: Registry,
) -> api::Shown {
    let enclave = Arc::clone(enclave);
    let programme = enclave.live().road.rulebook().programme.name.to_string();
    let (log, records) = (Arc::clone(&enclave), Arc::clone(enclave.records()));
    let requests = Arc::clone(enclave.control());
    let (suspended, ruled, dated) = (Arc::clone(&enclave), Arc::clone(&enclave), Arc::clone(&enclave));
    let (shadowed, keyed, learned) = (Arc::clone(&enclave), Arc::clone(&enclave), Arc::clone(&enclave));
    // What nobody knows is said to be so.
    let rulebook =
        move || ruled.in_force().rulebook().map_or_else(|| "unknown".to_owned(), |d| d.to_string());
    let expiries = move || expiring(&dated.live().road.rulebook().assessments.expiries());
    let evidence = move || {
        let live = enclave.live();
        let held = in_force(enclave.control(), enclave.keys(), live.road.rulebook(), now());
        serde_json::to_string(&held).unwrap_or_default()
    };
    api::Shown {
        programme,
        site: site.origin.clone(),
        rulebook: Box::new(rulebook),
        log: Box::new(move || api::LogState::of(log.log())),
        witnessing: Box::new(move || site.shown()),
        people: Box::new(move || api::people(&records)),
        suspended: Box::new(move || {
            suspended.in_force().suspended().iter().map(ToString::to_string).collect()
        }),
        expiries: Box::new(expiries),
        keys: Box::new(move || {
            let rewrap = rewrapping.lock().unwrap_or_else(PoisonError::into_inner).clone();
            api::Keys::of(keyed.keys(), remark, rewrap)
        }),
        control_store: Box::new(move || api::ControlStore::of(store, &requests)),
        evidence: Box::new(evidence),
        budget: Box::new(move || match budget::shown(&learned) {
            Ok(told) => Some(told.to_string()),
            Err(e) => {
                tracing::error!(error = %e, "privacy budgets cannot be told");
                None
            }
        }),
        shadow: Box::new(move || shadow::shown(&shadowed)),
        notices: Box::new(move || desk.as_ref().map(|desk| desk.shown())),
        residency: Box::new(move || match residency::incident::standing(&residency, now().0) {
            Ok(Standing { open, overdue }) => api::Residency { open, overdue, why: None },
            Err(e) => api::Residency { why: Some(e.to_string()), ..api::Residency::default() },
        }),
        registry,
    }
}

/// Serves the control API of a running enclave, until it is ended.
pub async fn serve(listener: tokio::net::TcpListener, shown: Arc<api::Shown>) {
    if let Err(e) = api::serve(listener, shown).await {
        tracing::error!(error = %e, "the control API ended");
    }
}

/// Asks the running enclave for a path of its control API.
///
/// # Errors
/// [`CommandError::NoAnswer`] when nothing answers there.
pub fn ask(address: SocketAddr, path: &str) -> Result<String> {
    let exchange = || {
        let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|source| CommandError::NoAnswer { address, source })?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).context("no HTTP answer")
}
