//! The site asks its witnesses: the client's side of C2SP tlog-witness.

mod connect;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ledger::checkpoint;
use ledger::merkle::{self, TreeHead};
use ledger::note::Note;
use ledger::policy::Witness;
use ledger::witness::{Answer, Request as Wish};
use vault::log::Published;

use super::Site;
use crate::authority;
use crate::error::CommandError;
use connect::Connector;

/// Longest wait for a witness's answer. A mirror fetches what it lacks first.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer in bytes.
const ANSWER_MAX: usize = 64 << 10;
/// Longest pause between two looks at the site log.
const PAUSE: Duration = Duration::from_millis(100);

type Http = Client<Connector, Full<Bytes>>;

/// The witnesses of a policy, and what each has signed last.
pub struct Witnesses {
    http: Http,
    known: HashMap<String, u64>,
}

/// Whether a witness may be asked there: over TLS, or in the clear on this machine.
pub(super) fn allowed(url: &str) -> Result<()> {
    let uri: Uri = url.parse().context("its URL cannot be read")?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|a| a.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if local => Ok(()),
        Some("http") => bail!("`http` is for this machine only, use `https`"),
        _ => bail!("its URL is neither `https` nor `http`"),
    }
}

/// Status, media type and body of an answer.
type Heard = (StatusCode, Option<String>, Bytes);

async fn exchange(http: Http, method: Method, url: String, body: String) -> Result<Heard> {
    let request = Request::builder().method(method).uri(url).body(Full::new(Bytes::from(body)))?;
    let asked = async {
        let answer = http.request(request).await?;
        let status = answer.status();
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|_| anyhow::anyhow!("the answer is too long or broke off"))?.to_bytes();
        anyhow::Ok((status, kind, body))
    };
    tokio::time::timeout(PATIENCE, asked).await.context("no answer in time")?
}

fn url(w: &Witness, path: &str) -> Option<String> {
    w.url().map(|base| format!("{}/{path}", base.trim_end_matches('/')))
}

impl Witnesses {
    /// The witnesses of a site, none of whom was asked yet.
    ///
    /// # Errors
    /// When the file of those whom to trust cannot be used.
    pub fn new(site: &Site) -> Result<Self> {
        let connector = Connector::new(authority::client(&site.witness_ca, None)?);
        Ok(Self { http: Client::builder(TokioExecutor::new()).build(connector), known: HashMap::new() })
    }

    /// Asks each witness for the last checkpoint of the site log that it signed, and refuses an own log that is
    /// older or another. Those who do not answer are passed over: without their signature the border stays red.
    ///
    /// # Errors
    /// When a witness knows more than is here, or something else.
    pub async fn remember(&mut self, site: &Site) -> Result<()> {
        let id = HEXLOWER.encode(ledger::sha256(site.origin.as_bytes()).bytes());
        for w in site.policy.witnesses() {
            let Some(url) = url(w, &format!("{id}/checkpoint")) else { continue };
            let known = match exchange(self.http.clone(), Method::GET, url, String::new()).await {
                Ok((StatusCode::OK, _, note)) => head_of(site, w, std::str::from_utf8(&note)?)?,
                Ok((StatusCode::NOT_FOUND, ..)) => TreeHead::empty(),
                Ok((status, ..)) => {
                    tracing::warn!(witness = w.name(), %status, "a witness does not say what it has signed");
                    continue;
                }
                Err(e) => {
                    tracing::warn!(witness = w.name(), error = format!("{e:#}"), "a witness does not answer");
                    continue;
                }
            };
            check(site, w, &known)?;
            self.known.insert(w.name().to_owned(), known.size);
        }
        Ok(())
    }

    /// Has the newest checkpoint signed by everybody, and tells the border if that is a quorum.
    async fn ask(&mut self, site: &Arc<Site>, published: &Published) -> Result<()> {
        let round = site.keeper.begin(published.head.size).context("the border's lock is poisoned")?;
        let mut asked = tokio::task::JoinSet::new();
        for w in site.policy.witnesses().iter().filter(|w| w.url().is_some()) {
            let (http, site) = (self.http.clone(), Arc::clone(site));
            let (w, known) = (w.clone(), self.known.get(w.name()).copied().unwrap_or(0));
            let published = published.clone();
            asked.spawn(async move {
                let outcome = one(http, &site, &w, known, &published).await;
                (w, outcome)
            });
        }
        let mut note: Note = published.note.parse()?;
        while let Some(done) = asked.join_next().await {
            let (w, outcome) = done?;
            let name = w.name().to_owned();
            match outcome {
                Ok(Answer::Cosigned(response)) => match response.merge(&note, &[w.verifier().clone()]) {
                    Ok(merged) => {
                        note = merged;
                        self.known.insert(name, published.head.size);
                    }
                    Err(e) => {
                        tracing::warn!(witness = name, error = %e, "a witness's signature does not count")
                    }
                },
                Ok(Answer::Stale { latest }) if latest > site.log.size() => {
                    return Err(older(site, &name, latest));
                }
                Ok(Answer::Stale { latest }) => {
                    self.known.insert(name, latest);
                }
                Ok(Answer::Refused { status }) => {
                    tracing::warn!(witness = name, status, "a witness did not sign");
                }
                Err(e) => {
                    tracing::warn!(witness = name, error = format!("{e:#}"), "a witness was not asked");
                }
            }
        }
        let text = note.to_string();
        let opened = site.policy.open(&text)?;
        if let Some(signed) = site.policy.cosigned_at(&opened) {
            site.keeper.cosigned(round, signed);
            site.keep(text);
        }
        Ok(())
    }

    /// Asks a last time, once everything is published.
    pub async fn last(&mut self, site: &Arc<Site>) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while site.log.published() < site.log.size() && tokio::time::Instant::now() < until {
            tokio::time::sleep(PAUSE / 10).await;
        }
        let asked = match site.log.head() {
            Ok(published) => self.ask(site, &published).await,
            Err(e) => Err(e.into()),
        };
        if let Err(e) = asked {
            tracing::warn!(error = %e, "the last checkpoint is not cosigned");
        }
    }

    /// Asks for every new checkpoint until told to stop. `fatal` is called when a witness knows a larger log.
    pub async fn run(
        mut self,
        site: Arc<Site>,
        mut stop: tokio::sync::watch::Receiver<bool>,
        fatal: impl Fn(&anyhow::Error),
    ) -> Self {
        let mut last = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = stop.changed() => return self,
            }
            // Cheap to ask; the checkpoint itself is read and checked only when there is more.
            if last == Some(site.log.published()) {
                continue;
            }
            let head = {
                let log = Arc::clone(&site.log);
                tokio::task::spawn_blocking(move || log.head()).await
            };
            let Ok(Ok(published)) = head else { continue };
            if published.head.size == 0 || last == Some(published.head.size) {
                continue;
            }
            match self.ask(&site, &published).await {
                Ok(()) => last = Some(published.head.size),
                Err(e) if e.is::<CommandError>() => {
                    fatal(&e);
                    return self;
                }
                Err(e) => tracing::warn!(error = %e, "the witnesses were not asked"),
            }
        }
    }
}

async fn one(http: Http, site: &Arc<Site>, w: &Witness, known: u64, published: &Published) -> Result<Answer> {
    let new = published.head.size;
    if known > new {
        return Ok(Answer::Stale { latest: known });
    }
    let log = Arc::clone(&site.log);
    let proof = tokio::task::spawn_blocking(move || match known {
        0 => Ok(Vec::new()),
        known => log.prove_consistency(known, new),
    });
    let request = Wish::new(known, proof.await??, &published.note)?;
    let url = url(w, "add-checkpoint").context("no URL")?;
    let (status, kind, body) = exchange(http, Method::POST, url, request.to_string()).await?;
    Ok(Answer::read(status.as_u16(), kind.as_deref(), &body)?)
}

/// The tree of a note that log and witness signed.
fn head_of(site: &Site, w: &Witness, note: &str) -> Result<TreeHead> {
    let log = site.policy.logs().iter().find(|l| l.verifier().name() == site.origin);
    let log = log.context("the policy does not name the site's log")?;
    let opened = checkpoint::open(note, log.verifier(), std::slice::from_ref(w.verifier()))?;
    if opened.cosignatures().is_empty() {
        bail!("the checkpoint of the witness `{}` is not signed by it", w.name());
    }
    Ok(opened.checkpoint().head())
}

fn check(site: &Site, w: &Witness, known: &TreeHead) -> Result<()> {
    let own = site.log.head()?.head;
    if known.size > own.size {
        return Err(older(site, w.name(), known.size));
    }
    if known.size > 0 {
        let proof = site.log.prove_consistency(known.size, own.size)?;
        merkle::verify_consistency(&proof, known, &own).map_err(|_| CommandError::ForkedLog {
            log: site.origin.clone(),
            who: format!("the witness `{}`", w.name()),
        })?;
    }
    Ok(())
}

fn older(site: &Site, who: &str, known: u64) -> anyhow::Error {
    let (log, found) = (site.origin.clone(), site.log.size());
    CommandError::OlderLog { log, found, known, who: format!("the witness `{who}`") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_asked_over_tls_or_in_the_clear_on_this_machine() {
        for good in
            ["https://witness.example/a", "http://127.0.0.1:1", "http://[::1]:1/", "http://localhost:1"]
        {
            assert!(allowed(good).is_ok(), "{good}");
        }
        for bad in ["http://witness.example", "http://10.0.0.1:1", "ftp://127.0.0.1", "witness.example", ""] {
            assert!(allowed(bad).is_err(), "{bad}");
        }
    }
}
