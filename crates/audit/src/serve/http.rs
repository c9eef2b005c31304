//! Connections, and which page is asked for.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, Method, Request, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    App, View, compare,
    compare::Answer,
    findings, incidents, overview, period,
    query::Query,
    reply::{Page, Refused, Reply},
    samples, status,
};

const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const HEAD_MAX: Duration = Duration::from_secs(20);
/// Nobody reads for longer without beginning anew.
const CONNECTION_MAX: Duration = Duration::from_secs(600);
const CONNECTIONS_MAX: usize = 128;
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
const PATH_BYTES_MAX: usize = 256;
const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// Answers until the process ends.
pub(super) async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, app: Arc<App>) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others must end first.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (app, acceptor) = (Arc::clone(&app), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, &app).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                        connection(stream, &app).await;
                    }
                }
            }
            drop(place);
        });
    }
}

async fn connection<S>(stream: S, app: &Arc<App>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let app = Arc::clone(app);
        async move { Ok::<_, Infallible>(answer(&request, &app).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(HEAD_BYTES_MAX);
    // What a peer does to its connection is its own affair.
    let _ = timeout(CONNECTION_MAX, server.serve_connection(TokioIo::new(stream), service)).await;
}

async fn answer(request: &Request<Incoming>, app: &Arc<App>) -> Reply {
    let path = request.uri().path();
    let json = path.ends_with(".json");
    match route(request, app).await {
        Ok(page) => page.reply(),
        Err(refused) if json => refused.json().reply(),
        Err(refused) => refused.page(app.source.site.name()).reply(),
    }
}

async fn route(request: &Request<Incoming>, app: &Arc<App>) -> Result<Page, Refused> {
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    if !is_ours(&app.hosts, request.headers(), named) {
        return Err(Refused::Host);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refused::Method);
    }
    let path = request.uri().path();
    if path.len() > PATH_BYTES_MAX {
        return Err(Refused::Long);
    }
    let query = Query::parse(request.uri().query())?;
    match path {
        "/style.css" => return Ok(Page::fixed("text/css; charset=utf-8", STYLE)),
        "/icon.svg" => return Ok(Page::fixed("image/svg+xml", ICON)),
        "/healthz" => return Ok(Page::fixed("text/plain; charset=utf-8", "ok\n")),
        "/report" | "/report.json" => return report(path == "/report.json", query, app).await,
        "/compare" => {
            let asked = match &app.operator {
                Some(operator) => operator.ask().await,
                None => Answer::NotAsked,
            };
            return shown(app, move |view, base| Ok(compare::compare(view, base, &asked))).await;
        }
        _ => {}
    }
    let path = path.to_owned();
    shown(app, move |view, _| match path.as_str() {
        "/" => overview::overview(view, &query),
        "/findings" => findings::findings(view, &query),
        "/watch" => findings::watch(view, &query),
        "/incidents" => incidents::incidents(view, &query),
        "/samples" => samples::samples(view, &query),
        "/status.json" => Ok(status::status(view)),
        path => match path.strip_prefix("/incidents/") {
            Some(id) => incidents::incident(view, id, &query),
            None => Err(Refused::NotFound),
        },
    })
    .await
}

async fn report(json: bool, query: Query, app: &Arc<App>) -> Result<Page, Refused> {
    let asked = query.period();
    let progress = match asked {
        Ok(Some((from, to))) => Some(app.reports.ask(app, from, to).await?),
        _ => None,
    };
    match (json, progress) {
        (true, Some(progress)) => Ok(period::report_json(progress)),
        (true, None) => Err(Refused::Input(asked.err().unwrap_or(super::words::EN.bad_half))),
        (false, progress) => shown(app, move |view, _| Ok(period::report(view, &query, progress))).await,
    }
}

/// Makes a page on a thread that may read files.
async fn shown(
    app: &Arc<App>,
    make: impl FnOnce(&View<'_>, Option<&str>) -> Result<Page, Refused> + Send + 'static,
) -> Result<Page, Refused> {
    let app = Arc::clone(app);
    let made = spawn_blocking(move || {
        let known = app.board.known();
        let live = app.kept.read(&app.source, &known);
        make(&View { source: &app.source, known, live }, app.operator.as_ref().map(|one| one.base.as_str()))
    });
    made.await.unwrap_or(Err(Refused::Failed))
}

/// Whether a request names this server, and not a name that somebody else made point here.
fn is_ours(hosts: &[String], headers: &HeaderMap, named: Option<&str>) -> bool {
    let mut given = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (given.next(), given.next()) else { return false };
    let ours = |host: &str| name_of(host).is_some_and(|name| hosts.contains(&name));
    host.to_str().is_ok_and(ours) && named.is_none_or(ours)
}

/// The name in front of a port, in lower case.
pub(super) fn name_of(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            let address: IpAddr = inside.parse().ok()?;
            return match after.strip_prefix(':') {
                None if after.is_empty() => Some(address.to_string()),
                Some(port) => is_port(port).then(|| address.to_string()),
                None => None,
            };
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let good = !name.is_empty() && name.len() <= 253 && name.chars().all(plain) && port.is_none_or(is_port);
    good.then(|| name.trim_end_matches('.').to_ascii_lowercase())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for (host, name) in [
            ("localhost:8450", "localhost"),
            ("LocalHost", "localhost"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8450", "::1"),
            ("[::1]", "::1"),
            ("audit.example.", "audit.example"),
        ] {
            assert_eq!(name_of(host).as_deref(), Some(name), "{host}");
        }
        for bad in ["", ":80", "a b", "a:b", "a:1:2", "[::1", "[::1]x", "a/b", "a:99999", "user@host"] {
            assert_eq!(name_of(bad), None, "{bad}");
        }
    }
}
