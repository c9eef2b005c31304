//! The auditor's own pages, read from its own mirror: coverage, findings, incidents and their
//! clocks, samples, the operator's numbers beside the auditor's, and the report on a period.
//!
//! It reads and never writes, and holds no secret key. The whole check runs in a thread of its own; pages show its
//! newest result and never wait for one. Everything that a page shows and that is not of this program is escaped.
//!
//! Start reading at `check.rs` (the thread), `live.rs` (what is read for the pages), then `http.rs` (who asks for what).

mod chart;
mod check;
mod compare;
mod findings;
mod http;
mod incidents;
mod layout;
mod live;
mod overview;
mod period;
mod query;
mod reply;
mod samples;
mod status;
mod still;
mod tally;
mod words;

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{net::TcpListener, runtime::Runtime};

use self::{
    check::{Board, Known},
    compare::Operator,
    live::{Kept, Live},
    period::Reports,
};
use crate::{incident::Parties, note::VerifierKey, tls};

/// Threads that read for pages.
const BLOCKING_THREADS_MAX: usize = 16;
/// How long an end waits for what is being read.
const END_MAX: Duration = Duration::from_secs(1);
const NAMES_MAX: usize = 32;

/// What to show, and where.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where to answer; in the clear on this machine only.
    pub listen: SocketAddr,
    /// Files (PEM) of a certificate and its key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names under which it may be asked, besides those of this machine.
    pub names: Vec<String>,
    /// A mirror's folder.
    pub mirror: PathBuf,
    /// The key of the site log.
    pub site: VerifierKey,
    /// The operator's key for rulebooks.
    pub operator: VerifierKey,
    /// The auditor's key for rulebooks.
    pub auditor: VerifierKey,
    /// The folder of the watch, and who may act on its incidents.
    pub watch: Option<(PathBuf, Parties)>,
    /// Base URL of the operator's public numbers, and certificates to trust if it is `https`.
    pub numbers: Option<(String, Option<PathBuf>)>,
    /// Folder for the copy that a check works on, the system's own for such things if none is given. On the disk of the
    /// mirror it costs links only.
    pub work: Option<PathBuf>,
    /// Between two checks.
    pub every: Duration,
    /// Whether checks decide again and build day maps again.
    pub thorough: bool,
    /// The machine's clock, in Unix seconds.
    pub clock: fn() -> u64,
}

/// Why there are no pages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Others could read along.
    #[error("`{0}` is not a loopback address: give `--tls-cert` and `--tls-key`")]
    Cleartext(SocketAddr),
    /// Nobody could ask it, since a request must name it.
    #[error("`{0}` is not a loopback address: say with `--name` under which names it may be asked")]
    Nameless(SocketAddr),
    /// A name is none.
    #[error("`{0}` is not a host name")]
    Name(String),
    /// One company alone.
    #[error("the operator's key and the auditor's key are the same")]
    SameKey,
    /// No certificate can be shown.
    #[error("cannot use the certificate `{}` and its key: {}", .0.display(), .1)]
    Certificate(PathBuf, String),
    /// The operator cannot be asked.
    #[error("cannot ask `{0}`: {1}")]
    Operator(String, String),
    /// Nobody could ask it.
    #[error("cannot listen on `{0}`")]
    Listen(SocketAddr, #[source] io::Error),
    /// The system gave no threads.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
}

/// The pages, until it is dropped.
pub struct Serve {
    runtime: Option<Runtime>,
    app: Arc<App>,
    address: SocketAddr,
    secure: bool,
}

/// Where everything is read.
struct Source {
    mirror: PathBuf,
    site: VerifierKey,
    operator: VerifierKey,
    auditor: VerifierKey,
    watch: Option<(PathBuf, Parties)>,
    work: PathBuf,
    every: Duration,
    thorough: bool,
    clock: fn() -> u64,
}

impl Source {
    fn now(&self) -> u64 {
        (self.clock)()
    }
}

/// Everything that answers share.
struct App {
    source: Source,
    board: Board,
    kept: Kept,
    reports: Reports,
    operator: Option<Operator>,
    /// Names and addresses under which it may be asked.
    hosts: Vec<String>,
}

/// What one page is made from.
struct View<'a> {
    source: &'a Source,
    known: Known,
    live: Arc<Live>,
}

impl View<'_> {
    fn site(&self) -> &str {
        self.source.site.name()
    }
}

impl Serve {
    /// Begins to check and to answer.
    ///
    /// # Errors
    /// If the options contradict each other, or the address cannot be listened on. A mirror that cannot be read is no
    /// error: the pages say so.
    pub fn start(options: ServeOptions) -> Result<Self, ServeError> {
        let ServeOptions { listen, numbers, names, .. } = &options;
        let hosts = hosts(*listen, options.tls.is_some(), names)?;
        if options.operator.same_key(&options.auditor) {
            return Err(ServeError::SameKey);
        }
        let shown = |(certificate, key): &(PathBuf, PathBuf)| {
            tls::server(certificate, key).map_err(|why| ServeError::Certificate(certificate.clone(), why))
        };
        let tls = options.tls.as_ref().map(shown).transpose()?;
        let operator = numbers.as_ref().map(|(base, certificates)| {
            Operator::new(base, certificates.as_deref())
                .map_err(|error| ServeError::Operator(base.clone(), error.to_string()))
        });
        let operator = operator.transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .map_err(ServeError::Runtime)?;
        let failed = |source| ServeError::Listen(*listen, source);
        let listener = runtime.block_on(TcpListener::bind(*listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let every = options.every.max(Duration::from_secs(1));
        let source = Source {
            mirror: options.mirror,
            site: options.site,
            operator: options.operator,
            auditor: options.auditor,
            watch: options.watch,
            work: options.work.unwrap_or_else(std::env::temp_dir),
            every,
            thorough: options.thorough,
            clock: options.clock,
        };
        let (board, kept, reports) = (Board::default(), Kept::default(), Reports::default());
        let app = Arc::new(App { source, board, kept, reports, operator, hosts });
        let checked = Arc::clone(&app);
        thread::Builder::new()
            .name("check".into())
            .spawn(move || checked.board.run(&checked.source, every))
            .map_err(ServeError::Runtime)?;
        let secure = tls.is_some();
        runtime.spawn(http::serve(listener, tls, Arc::clone(&app)));
        Ok(Self { runtime: Some(runtime), app, address, secure })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it answers over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Answers until the process is told to end (SIGINT or SIGTERM).
    ///
    /// # Errors
    /// If the system does not tell about signals.
    pub fn wait(&self) -> io::Result<()> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        })
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.app.board.end();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END_MAX);
        }
    }
}

/// The names under which it may be asked.
fn hosts(listen: SocketAddr, secure: bool, names: &[String]) -> Result<Vec<String>, ServeError> {
    let mut hosts = Vec::new();
    for name in names.iter().take(NAMES_MAX) {
        let plain = http::name_of(name).filter(|_| !name.contains(':') || name.starts_with('['));
        hosts.push(plain.ok_or_else(|| ServeError::Name(name.clone()))?);
    }
    if listen.ip().is_loopback() {
        let own = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
        hosts.extend(own);
        hosts.push(listen.ip().to_string());
    } else if !secure {
        return Err(ServeError::Cleartext(listen));
    } else if hosts.is_empty() {
        return Err(ServeError::Nameless(listen));
    }
    Ok(hosts)
}
