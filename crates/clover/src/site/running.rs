//! What runs beside the gateway so that witnesses can sign: the site's logs are offered, rounds are written, day maps
//! made, and the witnesses asked. It begins before the gateway listens and ends after it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use console::logs::Offered;
use gateway::Enclave;
use gateway::http::ServeError;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::samples::Samples;
use super::witness::Witnesses;
use super::{PREFIX, ROUND, Site, days, mirror, retention, spool};
use crate::config::Config;
use crate::layout::Layout;
use crate::{assemble, authority};

/// Longest wait for the first quorum before the gateway listens with a red border.
const FIRST_QUORUM: Duration = Duration::from_secs(10);
/// How often the border is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for the local mirror's end.
const MIRROR_END: Duration = Duration::from_secs(5);

/// A site at work.
pub struct Running {
    logs: Vec<JoinHandle<()>>,
    rounds: JoinHandle<()>,
    maps: JoinHandle<()>,
    asking: JoinHandle<Witnesses>,
    sums: JoinHandle<()>,
    retention: JoinHandle<()>,
    spool: JoinHandle<()>,
    mirror: Option<tokio::process::Child>,
}

impl Running {
    /// Offers the logs, starts the local mirror, asks the witnesses what they remember, and begins the rounds. Waits a
    /// while for the first quorum, so that the gateway does not begin with refusals.
    ///
    /// # Errors
    /// When a listener or the mirror cannot be used, or a witness knows another log.
    pub async fn start(
        layout: &Layout,
        config: &Config,
        enclave: &Arc<Enclave>,
        site: &Arc<Site>,
        stopped: &Receiver<bool>,
    ) -> Result<Self> {
        let logs = offer(layout, config, enclave, site).await?;
        let mirror = mirror::start(layout, config).await?;
        let mut witnesses = Witnesses::new(site)?;
        witnesses.remember(site).await?;
        let digest = enclave.live().road.rulebook().digest;
        let enrolling = Arc::clone(site);
        tokio::task::spawn_blocking(move || enrolling.enrol(digest)).await??;
        let rounds = tokio::spawn(Arc::clone(site).rounds(stopped.clone()));
        let maps = tokio::spawn(Arc::clone(site).maps(stopped.clone()));
        let asking = tokio::spawn(witnesses.run(Arc::clone(site), stopped.clone(), |e| {
            tracing::error!(error = %e, "a witness knows more of the log than is here; ending");
            std::process::exit(74);
        }));
        let sums = tokio::spawn(sum_up(Arc::clone(enclave), stopped.clone()));
        first_quorum(site, stopped).await;
        let retention = tokio::spawn(retention::run(Arc::clone(enclave), stopped.clone()));
        let spool = spool::run(layout.clone(), config.site.clone(), Arc::clone(enclave), stopped.clone());
        let spool = tokio::spawn(spool);
        Ok(Self { logs, rounds, maps, asking, sums, retention, spool, mirror })
    }

    /// After the last round: the day's map as it is now, so that a person's history can be made while nothing runs, and
    /// the witnesses once more.
    pub async fn end(self, site: &Arc<Site>, enclave: &Arc<Enclave>) {
        let _ = self.spool.await;
        let _ = self.sums.await;
        summed_up(enclave, true).await;
        let _ = self.retention.await;
        let _ = self.rounds.await;
        let _ = self.maps.await;
        let last = Arc::clone(site);
        let done = tokio::task::spawn_blocking(move || {
            last.round()?;
            days::interim(&last)
        });
        if let Ok(Err(e)) = done.await {
            tracing::error!(error = %e, "the map of this day was not recorded");
        }
        if let Ok(mut witnesses) = self.asking.await {
            witnesses.last(site).await;
        }
        self.logs.iter().for_each(JoinHandle::abort);
        if let Some(mut mirror) = self.mirror {
            // Its standard input closes, and it ends in order.
            drop(mirror.stdin.take());
            let _ = tokio::time::timeout(MIRROR_END, mirror.wait()).await;
        }
    }
}

/// Writes what services inside did to the ledger each minute.
async fn sum_up(enclave: Arc<Enclave>, mut stopped: Receiver<bool>) {
    let mut tick = tokio::time::interval(ROUND);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopped.changed() => return,
        }
        summed_up(&enclave, false).await;
    }
}

/// Writes it now: what is over, or all there is.
async fn summed_up(enclave: &Arc<Enclave>, all: bool) {
    let enclave = Arc::clone(enclave);
    match tokio::task::spawn_blocking(move || enclave.sum_up(all)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::warn!(error = %e, "what services inside did is not on the ledger yet"),
        Err(e) => tracing::error!(error = %e, "what services inside did could not be summed up"),
    }
}

async fn first_quorum(site: &Site, stopped: &Receiver<bool>) {
    let until = Instant::now() + FIRST_QUORUM;
    let red = || site.keeper.now() == crossing::Border::Red;
    while red() && Instant::now() < until && !*stopped.borrow() {
        tokio::time::sleep(LOOK).await;
    }
    if red() {
        tracing::error!("no quorum of witnesses has signed: the border is red");
    }
}

/// Listens wherever the logs are to be offered.
async fn offer(
    layout: &Layout,
    config: &Config,
    enclave: &Arc<Enclave>,
    site: &Arc<Site>,
) -> Result<Vec<JoinHandle<()>>> {
    let offered = Arc::new(offered(layout, enclave, site)?);
    let mut listeners: Vec<(SocketAddr, Option<Arc<ServerConfig>>)> = Vec::new();
    listeners.extend(config.logs.clear.map(|address| (address, None)));
    if let Some(address) = config.logs.tls {
        let own = || ["pem", "key"].map(|e| authority::file(&layout.tls().join("gateway"), e)).into();
        let named = config.logs.certificate.as_ref().map(|(c, k)| (layout.file(c), layout.file(k)));
        let (certificate, key) = named.unwrap_or_else(own);
        listeners.push((address, Some(authority::public_config(&certificate, &key)?)));
    }
    let mut tasks = Vec::new();
    for (address, tls) in listeners {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServeError::Bind { address, source })?;
        tasks.push(tokio::spawn(console::logs::serve(listener, tls, Arc::clone(&offered))));
    }
    Ok(tasks)
}

fn offered(layout: &Layout, enclave: &Arc<Enclave>, site: &Arc<Site>) -> Result<Offered> {
    let mut logs: BTreeMap<_, _> =
        site.members.iter().map(|m| (m.enrolled.prefix.clone(), Arc::clone(&m.log))).collect();
    logs.insert(PREFIX.to_owned(), Arc::clone(&site.log));
    let auditor = assemble::verifier(layout, "auditor")?;
    let samples = Samples::new(Arc::clone(site), Arc::clone(enclave), auditor);
    let cosigned = Arc::clone(site);
    Ok(Offered {
        logs,
        cosigned: Box::new(move || cosigned.cosigned()),
        samples: Box::new(move |request| samples.answer(request)),
    })
}
