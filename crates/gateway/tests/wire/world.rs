//! A server, a front and a relay, with a `Crossings` that passes everything on and can be told not to.

use std::future::Future;
use std::num::NonZeroU32;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway::sql::gate::{self, Ceilings, Shown};
use gateway::sql::wire::back::{self, Login, Place};
use gateway::sql::wire::cancel::Cancels;
use gateway::sql::wire::front::{ALPN, Front, Met, Settings, SignIn, User};
use gateway::sql::wire::own::Wording;
use gateway::sql::wire::relay::{self, Crossings, Limits, Refused, Rules, Session, Statement, Window};
use gateway::sql::wire::scram::Verifier;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// What happens to windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Windows {
    Pass,
    /// They wait.
    Hold,
    Refuse,
}

/// What a test sees of a window.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) statement: Option<u64>,
    pub(crate) rows: u64,
    pub(crate) last: bool,
    pub(crate) error: Option<String>,
    pub(crate) bytes: usize,
    pub(crate) columns: usize,
}

/// What a test sees of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Began {
    pub(crate) normalised: String,
    pub(crate) row_wise: bool,
    pub(crate) cursor: Option<String>,
    pub(crate) parameters: usize,
}

/// What tests watch and steer.
pub(crate) struct Control {
    pub(crate) windows: watch::Sender<Windows>,
    pub(crate) ended: watch::Sender<bool>,
    pub(crate) refuse_begin: watch::Sender<bool>,
    /// Statements that the gate refused.
    pub(crate) refused: AtomicUsize,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) began: Mutex<Vec<Began>>,
    waiting: AtomicUsize,
    pub(crate) waiting_most: AtomicUsize,
}

impl Control {
    fn new() -> Self {
        Self {
            windows: watch::channel(Windows::Pass).0,
            ended: watch::channel(false).0,
            refuse_begin: watch::channel(false).0,
            refused: AtomicUsize::new(0),
            seen: Mutex::default(),
            began: Mutex::default(),
            waiting: AtomicUsize::new(0),
            waiting_most: AtomicUsize::new(0),
        }
    }

    pub(crate) fn began(&self) -> Vec<Began> {
        self.began.lock().unwrap().clone()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub(crate) struct Pass(Arc<Control>);

impl Crossings for Pass {
    fn begin(&mut self, statement: Statement) -> impl Future<Output = Result<(), Refused>> + Send + 'static {
        self.0.began.lock().unwrap().push(Began {
            normalised: statement.source.prepared.normalised().to_owned(),
            row_wise: statement.row_wise(),
            cursor: statement.cursor.as_ref().map(|c| c.prepared.text().to_owned()),
            parameters: statement.source.parameters.len(),
        });
        let refused = *self.0.refuse_begin.borrow();
        std::future::ready(if refused { Err(refusal("the budget is used up")) } else { Ok(()) })
    }

    fn window(&mut self, window: Window) -> impl Future<Output = Result<Bytes, Refused>> + Send + 'static {
        let control = self.0.clone();
        let bytes = window.frames.len();
        let waiting = control.waiting.fetch_add(bytes, Ordering::SeqCst) + bytes;
        control.waiting_most.fetch_max(waiting, Ordering::SeqCst);
        control.seen.lock().unwrap().push(Seen {
            statement: window.statement,
            rows: window.rows,
            last: window.last,
            error: window.error.map(|e| String::from_utf8_lossy(&e).into_owned()),
            bytes,
            columns: window.description.as_ref().map_or(0, |d| d.columns().count()),
        });
        async move {
            let mut state = control.windows.subscribe();
            let state = *state.wait_for(|s| *s != Windows::Hold).await.unwrap();
            control.waiting.fetch_sub(bytes, Ordering::SeqCst);
            if state == Windows::Pass { Ok(window.frames) } else { Err(refusal("the border is closed")) }
        }
    }

    fn refused(&mut self, _: &str, _: &gate::Refusal) -> impl Future<Output = ()> + Send + 'static {
        self.0.refused.fetch_add(1, Ordering::SeqCst);
        std::future::ready(())
    }

    fn show(&mut self, shown: Shown) -> impl Future<Output = String> + Send + 'static {
        std::future::ready(format!("of {}", shown.name()))
    }

    fn ended(&mut self) -> impl Future<Output = Refused> + Send + 'static {
        let mut ended = self.0.ended.subscribe();
        async move {
            ended.wait_for(|e| *e).await.unwrap();
            refusal("the grant was revoked")
        }
    }
}

fn refusal(text: &str) -> Refused {
    Refused { code: "42501", text: text.to_owned() }
}

/// Knows one password, for everybody called `alice`.
pub(crate) struct Passwords(Verifier);

impl SignIn for Passwords {
    async fn certificate(&self, user: &User, chain: &[CertificateDer<'_>]) -> bool {
        user.actor == "service" && !chain.is_empty()
    }

    async fn verifier(&self, user: &User) -> Option<Verifier> {
        (user.actor == "alice").then(|| self.0.clone())
    }
}

/// How a world is made.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) wording: Wording,
    pub(crate) binding_demanded: bool,
    pub(crate) waiting_max: usize,
    pub(crate) limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { wording: Wording::Inside, binding_demanded: false, waiting_max: 8, limits: Limits::default() }
    }
}

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) control: Arc<Control>,
    pub(crate) port: u16,
    pub(crate) authority: Authority,
    /// How sessions ended, as text.
    pub(crate) ends: Mutex<mpsc::Receiver<String>>,
    folder: tempfile::TempDir,
}

pub(crate) struct Authority {
    pub(crate) certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    pub(crate) fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A server with a role that reads.
pub(crate) fn server() -> testkit::Postgres {
    let server = testkit::Postgres::start().unwrap();
    server
        .sql(
            "create role reader login; alter role reader set default_transaction_read_only = on; \
             create table customers (id int primary key, email text, country text); \
             insert into customers select i, 'user' || i || '@corp.example', 'IE' from generate_series(1, 1000) i; \
             create table orders (id int primary key, customer int); grant select on customers, orders to reader",
        )
        .unwrap();
    server
}

impl World {
    pub(crate) fn new(server: &testkit::Postgres, options: Options) -> Self {
        Self::behind(Place::Unix(server.socket()), None, options)
    }

    pub(crate) fn behind(place: Place, password: Option<&str>, options: Options) -> Self {
        let authority = Authority::new();
        let (certificate, key) = authority.issue("localhost");
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(authority.roots()),
            provider(),
        )
        .allow_unauthenticated()
        .build()
        .unwrap();
        let mut tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let ceilings = Ceilings { statement_timeout_ms: Some(60_000) };
        let front = Front::new(Settings {
            tls: Arc::new(tls).into(),
            end_point: vault::log::end_point(certificate.der()),
            binding_demanded: options.binding_demanded,
            ceilings,
            limit: Duration::from_secs(5),
            waiting_max: options.waiting_max,
        })
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.pem"), authority.certificate.pem()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let control = Arc::new(Control::new());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ends, received) = mpsc::channel(1000);
        let rules = Rules { limits: options.limits, ceilings, wording: options.wording };
        let password = password.map(|p| zeroize::Zeroizing::new(p.to_owned()));
        let serving = Serving {
            front,
            by: Passwords(Verifier::of(b"pencil", b"0123456789abcdef", NonZeroU32::new(4096).unwrap())),
            cancels: Cancels::default(),
            place,
            password,
            control: control.clone(),
            rules,
            ends,
        };
        runtime.spawn(serve(listener, Arc::new(serving)));
        Self { runtime, control, port, authority, ends: Mutex::new(received), folder }
    }

    /// A program of PostgreSQL's that connects through the gateway.
    pub(crate) fn client(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", "localhost")
            .env("PGHOSTADDR", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "alice@case-1")
            .env("PGDATABASE", "clover")
            .env("PGPASSWORD", "pencil")
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", self.folder.path().join("root.pem"))
            .env("PGCHANNELBINDING", "require")
            .env("PGCONNECT_TIMEOUT", "10");
        command
    }

    pub(crate) fn psql(&self, server: &testkit::Postgres, args: &[&str]) -> Output {
        self.client(&server.programs().join("psql")).args(["-XqAt"]).args(args).output().unwrap()
    }

    /// What a statement answers, a line for each row, or what the error says.
    pub(crate) fn ask(&self, server: &testkit::Postgres, statement: &str) -> String {
        let told = self.psql(server, &["-c", statement]);
        let text = if told.status.success() { told.stdout } else { told.stderr };
        String::from_utf8(text).unwrap().trim().to_owned()
    }

    /// How the next session ended.
    pub(crate) fn next_end(&self) -> String {
        let mut ends = self.ends.lock().unwrap();
        self.runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), ends.recv()).await })
            .expect("no session ended")
            .unwrap()
    }
}

struct Serving {
    front: Front,
    by: Passwords,
    cancels: Cancels,
    place: Place,
    password: Option<zeroize::Zeroizing<String>>,
    control: Arc<Control>,
    rules: Rules,
    ends: mpsc::Sender<String>,
}

async fn serve(listener: TcpListener, serving: Arc<Serving>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let serving = serving.clone();
        tokio::spawn(async move {
            let end = one(stream, &serving).await;
            let _ = serving.ends.try_send(end);
        });
    }
}

async fn one(stream: tokio::net::TcpStream, serving: &Serving) -> String {
    let signed = match serving.front.meet(stream, &serving.by).await {
        Ok(Met::Signed(signed)) => signed,
        Ok(Met::Cancel(id, secret)) => {
            let Some(target) = serving.cancels.find(id, &secret) else {
                return "cancel: no such key".to_owned();
            };
            return format!("cancel: {:?}", back::cancel(&target, Duration::from_secs(2)).await);
        }
        Err(error) => return format!("front: {error}"),
    };
    let login = Login {
        role: "reader",
        password: serving.password.as_ref(),
        database: &signed.database,
        settings: &signed.settings,
    };
    let behind = match back::connect(&serving.place, &login, Duration::from_secs(5)).await {
        Ok(behind) => behind,
        Err(error) => {
            signed.refuse("08006", "the database is not there").await;
            return format!("back: {error}");
        }
    };
    let key = serving.cancels.issue(behind.target.clone(), signed.long_keys).unwrap();
    let crossings = Pass(serving.control.clone());
    let end =
        relay::run(Session { client: signed.stream, behind, crossings, key, rules: serving.rules }).await;
    format!("{end:?}")
}
