//! The listener: clients of PostgreSQL are met, signed in, and given a session each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crossing::credential::{Shown, Tokens, certificate};
use crossing::identify::Who;
use model::Name;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::ask::Asked;
use super::door::Door;
use super::gate::Ceilings;
use super::login::Logins;
use super::session::{Caller, Session, With};
use super::source::Source;
use super::stand::ROWS_MAX;
use super::wire::back::{self, Login};
use super::wire::cancel::Cancels;
use super::wire::front::{self, Front, Met, SignIn, Signed, User};
use super::wire::own::{self, Severity, Wording};
use super::wire::relay::{self, Limits, Refused, Rules};
use super::wire::scram::Verifier;
use super::words::{broken, told};
use crate::enclave::{self, Enclave};

/// How long a client may take to sign in, and a database to let us in.
const SIGN_IN: Duration = Duration::from_secs(10);
/// Most connections that are not signed in.
const WAITING_MAX: usize = 64;
/// Pause after a failed accept.
const SHORTAGE: Duration = Duration::from_millis(10);

/// Limits and addresses of a SQL gateway.
pub struct Settings {
    /// Our side of TLS.
    pub tls: Arc<ServerConfig>,
    /// Most connections at a time.
    pub connections_max: usize,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Whether a password is taken only if tied to our certificate.
    pub channel_binding: bool,
    /// The digest of our certificate, to which sign-ins are tied.
    pub end_point: Option<Vec<u8>>,
    /// The origin of the gateway's log, for receipts.
    pub log: String,
}

/// A SQL gateway, ready to serve.
pub struct Sql {
    enclave: Arc<Enclave>,
    tokens: Arc<Tokens>,
    logins: Arc<Logins>,
    sources: HashMap<Name, Arc<Source>>,
    cancels: Cancels,
    door: Door,
    front: Front,
    settings: Settings,
}

impl Sql {
    /// Puts a gateway together. `None` where the system has no random bytes.
    #[must_use]
    pub fn new(
        enclave: Arc<Enclave>,
        tokens: Arc<Tokens>,
        logins: Arc<Logins>,
        sources: HashMap<Name, Arc<Source>>,
        settings: Settings,
    ) -> Option<Self> {
        let front = Front::new(front::Settings {
            tls: TlsAcceptor::from(Arc::clone(&settings.tls)),
            end_point: settings.end_point.clone(),
            binding_demanded: settings.channel_binding,
            ceilings: ceilings(&settings),
            limit: SIGN_IN,
            waiting_max: WAITING_MAX,
        })?;
        Some(Self {
            enclave,
            tokens,
            logins,
            sources,
            cancels: Cancels::default(),
            door: Door::default(),
            front,
            settings,
        })
    }

    /// What somebody shows of themselves: their certificate, or what they had shown for their password.
    fn credential(&self, user: &User, chain: &[CertificateDer<'_>]) -> Option<Shown> {
        let login = || self.logins.shown(&user.to_string(), enclave::now().0);
        match self.certified(chain) {
            Some(shown) if is(&shown, user) => Some(shown),
            // Something was shown beside that does not fit: they are nowhere, and what they try is recorded.
            Some(_) => login().map(Shown::doubted),
            None => login(),
        }
    }

    /// What their certificate says, if it has not expired.
    fn certified(&self, chain: &[CertificateDer<'_>]) -> Option<Shown> {
        let shown = certificate::read(self.tokens.programme(), chain.first()?)?;
        (enclave::now().0 < shown.not_after).then_some(shown)
    }
}

fn ceilings(settings: &Settings) -> Ceilings {
    let most = u64::try_from(settings.statement_timeout.as_millis()).unwrap_or(u64::MAX);
    Ceilings { statement_timeout_ms: Some(most) }
}

fn is(shown: &Shown, user: &User) -> bool {
    match &shown.session.who {
        Who::Employee(id) | Who::Service(id) => id.as_str() == user.actor,
        Who::Subject(_) => false,
    }
}

impl SignIn for Sql {
    async fn certificate(&self, user: &User, chain: &[CertificateDer<'_>]) -> bool {
        self.certified(chain).is_some_and(|shown| is(&shown, user))
    }

    async fn verifier(&self, user: &User) -> Option<Verifier> {
        self.logins.verifier(&user.to_string(), enclave::now().0)
    }
}

/// Serves clients of a listener until `stop` changes, and then drops the grants that were compiled.
pub async fn serve(sql: Arc<Sql>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut watches = tokio::task::JoinSet::new();
    for source in sql.sources.values() {
        if let Err(e) = source.drop_ended().await {
            // The database may come later: whoever asks then is served then.
            tracing::warn!(error = %e, "grants that ended before the start were not dropped");
        }
        watches.spawn(Arc::clone(source).watch(stop.clone()));
    }
    let places = Arc::new(Semaphore::new(sql.settings.connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(SHORTAGE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (sql, mut stop) = (Arc::clone(&sql), stop.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            tokio::select! {
                () = connected(&sql, stream, peer.ip()) => {}
                _ = stop.changed() => {}
            }
        });
    }
    while watches.join_next().await.is_some() {}
}

async fn connected(sql: &Sql, stream: TcpStream, peer: IpAddr) {
    let Some(waiting) = sql.door.enter(peer) else { return Front::turn_away(stream).await };
    let met = sql.front.meet(stream, sql).await;
    drop(waiting);
    let signed = match met {
        Ok(Met::Signed(signed)) => *signed,
        Ok(Met::Cancel(id, secret)) => {
            if let Some(target) = sql.cancels.find(id, &secret) {
                let _ = back::cancel(&target, SIGN_IN).await;
            }
            return;
        }
        // It was told what it may know.
        Err(_) => return,
    };
    let Signed { mut stream, user, database, settings, long_keys } = signed;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let Some(credential) = sql.credential(&user, chain) else {
        return last_words(&mut stream, &told("28000", "what was shown has expired")).await;
    };
    let User { actor, ground } = user;
    let caller = Caller { actor, ground, credential, peer };
    match opened(sql, caller, &database, &settings, long_keys).await {
        Ok((session, behind, key, inside)) => {
            let wording = if inside { Wording::Inside } else { Wording::Outside };
            let limits = Limits { rows: u64::from(ROWS_MAX), ..Limits::default() };
            let rules = Rules { limits, ceilings: ceilings(&sql.settings), wording };
            let crossings = Asked(session);
            relay::run(relay::Session { client: stream, behind, crossings, key, rules }).await;
        }
        Err(refused) => last_words(&mut stream, &refused).await,
    }
}

type Opened = (Arc<Session>, back::Behind, super::wire::cancel::Key, bool);

async fn opened(
    sql: &Sql,
    caller: Caller,
    database: &str,
    settings: &[(String, String)],
    long_keys: bool,
) -> Result<Opened, Refused> {
    let with = With {
        enclave: &sql.enclave,
        tokens: &sql.tokens,
        sources: &sql.sources,
        statement_timeout: sql.settings.statement_timeout,
        log: &sql.settings.log,
    };
    let (session, inside) = Session::open(with, caller, database).await?;
    let (place, name) = session.source.place();
    let granted = &session.granted;
    let login =
        Login { role: granted.role.as_str(), password: Some(&granted.password), database: name, settings };
    let behind = back::connect(place, &login, SIGN_IN).await.map_err(|e| {
        tracing::error!(error = %e, "the database behind did not let a grant in");
        told("08006", "the database behind did not answer as it should")
    })?;
    let key = sql.cancels.issue(behind.target.clone(), long_keys).ok_or_else(broken)?;
    Ok((session, behind, key, inside))
}

/// Tells a client why it has no session.
async fn last_words(stream: &mut (impl AsyncWrite + Unpin), refused: &Refused) {
    let words = own::error(Severity::Fatal, refused.code, &refused.text);
    let _ = stream.write_all(&words).await;
    let _ = stream.shutdown().await;
}
