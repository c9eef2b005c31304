//! A notice by e-mail: a short plain text to one address at a time, over TLS, or in the clear to loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use access::Actor;
use chrono::DateTime;
use http::Uri;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use model::procedures::Procedures;
use model::{ActorId, Name, UnixSeconds};

use super::notice::{Audience, Notice};
use super::webhook::link;
use super::{Undelivered, WrongSetting};

/// Longest wait for one answer of the server, and for the whole exchange.
const ANSWER: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// An address for mail. It does not print.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mailbox(Address);

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox")
    }
}

impl Mailbox {
    /// Reads `somebody@host`, in ASCII and without quoting.
    ///
    /// # Errors
    /// [`WrongSetting::Address`] for anything else.
    pub fn parse(text: &str) -> Result<Self, WrongSetting> {
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"\\(),;:[]".contains(&b));
        let address = text.parse::<Address>().ok().filter(|_| plain);
        address.map(Self).ok_or(WrongSetting::Address)
    }
}

/// Who has which address.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// People.
    pub accounts: BTreeMap<ActorId, Mailbox>,
    /// Sets of the rulebook.
    pub sets: BTreeMap<Name, Mailbox>,
    /// The auditor.
    pub auditor: Option<Mailbox>,
    /// Whoever is on call.
    pub pager: Option<Mailbox>,
}

impl Book {
    /// The addresses of an audience. Who is not on record any more is told nothing.
    pub(super) fn of(
        &self,
        to: &Audience,
        rules: &Procedures,
        on_record: impl Fn(&ActorId) -> Option<Arc<Actor>>,
    ) -> BTreeSet<&Mailbox> {
        let mut all: BTreeSet<&Mailbox> = to.sets.iter().filter_map(|set| self.sets.get(set)).collect();
        let meant = |id: &ActorId| {
            let named = to.accounts.contains(id);
            let may = !to.sets.is_empty() && !to.except.contains(id);
            if !named && !may {
                return false;
            }
            on_record(id).is_some_and(|actor| named || rules.in_sets(&to.sets, id, &actor.teams))
        };
        all.extend(self.accounts.iter().filter(|(id, _)| meant(id)).map(|(_, address)| address));
        all.extend(self.auditor.as_ref().filter(|_| to.auditor));
        all.extend(self.pager.as_ref().filter(|_| to.pager));
        all
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Wrapped,
    StartTls,
    Clear,
}

/// Where mail is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
    way: Way,
}

impl Server {
    /// Reads `smtps://host:465`, `smtp+starttls://host:587`, or `smtp://127.0.0.1:25`.
    ///
    /// # Errors
    /// [`WrongSetting`] for anything else.
    pub fn parse(url: &str) -> Result<Self, WrongSetting> {
        let uri: Uri = url.parse().map_err(|_| WrongSetting::Url)?;
        let bare = uri.authority().is_some_and(|a| !a.as_str().contains('@'))
            && uri.path_and_query().is_none_or(|p| p.as_str() == "/");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let local = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let (way, port) = match uri.scheme_str() {
            Some("smtps") if bare => (Way::Wrapped, 465),
            Some("smtp+starttls") if bare => (Way::StartTls, 587),
            Some("smtp") if bare && local => (Way::Clear, 25),
            Some("smtp") if bare => return Err(WrongSetting::Clear),
            _ => return Err(WrongSetting::Url),
        };
        Ok(Self { host, port: uri.port_u16().unwrap_or(port), way })
    }
}

/// How mail is sent.
pub struct Settings {
    /// Where it is handed over.
    pub server: Server,
    /// The name and password there.
    pub login: Option<(String, String)>,
    /// The certificates (PEM) that the server's leads to.
    pub roots: Vec<u8>,
    /// The sender.
    pub from: Mailbox,
    /// Who has which address.
    pub book: Book,
}

/// Sends mail.
pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    pub(super) book: Book,
    console: String,
    /// Longest wait for a whole exchange.
    pub(super) patience: Duration,
}

impl Mail {
    pub(super) fn new(settings: Settings, console: String) -> Result<Self, WrongSetting> {
        let Server { host, port, way } = settings.server;
        let tls = || {
            let roots = Certificate::from_pem(&settings.roots).map_err(|_| WrongSetting::Roots)?;
            TlsParameters::builder(host.clone())
                .certificate_store(CertificateStore::None)
                .add_root_certificate(roots)
                .build()
                .map_err(|_| WrongSetting::Roots)
        };
        let tls = match way {
            Way::Wrapped => Tls::Wrapper(tls()?),
            Way::StartTls => Tls::Required(tls()?),
            Way::Clear => Tls::None,
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
        let mut builder = builder.port(port).tls(tls).timeout(Some(ANSWER));
        if let Some((name, password)) = settings.login {
            builder = builder.credentials(Credentials::new(name, password));
        }
        let (transport, patience) = (builder.build(), PATIENCE);
        Ok(Self { transport, from: settings.from, book: settings.book, console, patience })
    }

    pub(super) async fn deliver(&self, notice: &Notice, to: &Mailbox) -> Result<(), Undelivered> {
        let text = message(notice, &self.from, to, &self.console);
        let envelope = Envelope::new(Some(self.from.0.clone()), vec![to.0.clone()]);
        let envelope = envelope.map_err(|_| Undelivered::Mail("no envelope"))?;
        let sent = self.transport.send_raw(&envelope, text.as_bytes());
        let sent =
            tokio::time::timeout(self.patience, sent).await.map_err(|_| Undelivered::Mail("too slow"))?;
        sent.map(drop).map_err(|e| refused(&e))
    }
}

/// What went wrong, without the server's words: it may repeat an address in them.
fn refused(e: &lettre::transport::smtp::Error) -> Undelivered {
    match e.status() {
        Some(code) => Undelivered::Status(code.into()),
        None if e.is_tls() => Undelivered::Mail("no TLS with a certificate that is trusted"),
        None if e.is_timeout() => Undelivered::Mail("no answer in time"),
        None if e.is_response() => Undelivered::Mail("an answer that is none of SMTP"),
        None if e.is_client() => Undelivered::Mail("it offers no way to sign in, or no TLS"),
        None => Undelivered::Mail("no connection"),
    }
}

/// The message's text. Everything in it is ASCII, and nothing can hold the end of a line.
pub(super) fn message(notice: &Notice, from: &Mailbox, to: &Mailbox, console: &str) -> String {
    let date = i64::try_from(notice.at.0).ok().and_then(|s| DateTime::from_timestamp(s, 0));
    let date = date.unwrap_or_default().to_rfc2822();
    let (from, to) = (&from.0, &to.0);
    let says = notice.kind.sentence();
    let mut lines = vec![
        format!("From: Clover <{from}>"),
        format!("To: <{to}>"),
        format!("Subject: {says}: {}", notice.request),
        format!("Date: {date}"),
        format!("Message-ID: <{}@{}>", notice.id, from.domain()),
        "Auto-Submitted: auto-generated".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=us-ascii".to_owned(),
        String::new(),
        format!("{says}."),
        String::new(),
    ];
    let mut row = |name: &str, value: String| lines.push(format!("{name:<10} {value}"));
    row("request", notice.request.to_string());
    row("procedure", notice.procedure.to_string());
    row("ground", notice.ground.word().to_owned());
    if let Some(act) = notice.act {
        row("act", act.word().to_owned());
    }
    if let Some((step, steps)) = notice.step {
        row("step", format!("{step} of {steps}"));
    }
    if let Some(deadline) = notice.deadline {
        row("until", UnixSeconds::rfc3339(deadline));
    }
    row("see", link(console, notice));
    lines.push(String::new());
    lines
        .push("This mail names nobody, and no answer to it is read. Decide in the console alone.".to_owned());
    lines.push(String::new());
    lines.join("\r\n")
}
