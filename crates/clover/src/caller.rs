//! The command line as a caller of the console: a session that is held in a file, and requests with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::authority;
use crate::error::CommandError;

/// Longest answer in bytes.
const ANSWER_MAX: usize = 4 << 20;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A console, and whom to trust as it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Console {
    /// Host and port.
    pub address: String,
    /// The file with the roots that its certificate leads to.
    pub ca: PathBuf,
}

/// A session, as it lies in the file.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// Where it serves.
    pub console: Console,
    /// The token.
    pub token: String,
    /// Until when, RFC 3339.
    pub until: String,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({:?} until {})", self.console, self.until)
    }
}

/// What a request carries.
pub enum Body<'a> {
    /// Nothing.
    None,
    /// JSON.
    Json(&'a Value),
    /// A form.
    Form(&'a [(&'a str, &'a str)]),
}

impl Console {
    /// Sends one request and reads the whole answer as JSON.
    ///
    /// # Errors
    /// When nobody answers, or not as a console does. A refusal is an answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Body<'_>,
    ) -> Result<(StatusCode, Value)> {
        let asked = self.exchange(method, path, token, body);
        tokio::time::timeout(PATIENCE, asked).await.context("the console did not answer in time")?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Body<'_>,
    ) -> Result<(StatusCode, Value)> {
        let authority: Authority = self.address.parse().context("`--console` is host:port")?;
        let host = host(&authority);
        let stream = tokio::net::TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await;
        let unreachable = |source| CommandError::NoConsole { address: self.address.clone(), source };
        let stream = stream.map_err(unreachable)?;
        let mut tls = authority::client_config(&self.ca, None)?;
        Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).context("`--console` is host:port")?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
        request = request.header(HOST, authority.as_str());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let (kind, bytes) = match body {
            Body::None => (None, Bytes::new()),
            Body::Json(value) => (Some("application/json"), Bytes::from(value.to_string())),
            Body::Form(pairs) => (Some("application/x-www-form-urlencoded"), Bytes::from(form(pairs))),
        };
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        let answer = sender.send_request(request.body(Full::new(bytes))?).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|_| anyhow::anyhow!("the console's answer is too long or broke off"))?;
        Ok((status, serde_json::from_slice(&body.to_bytes()).unwrap_or_default()))
    }
}

/// The host of an authority, an IPv6 address without its brackets.
fn host(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
    pairs.join("&")
}

/// Where the session lies: the user's configuration folder.
///
/// # Errors
/// When the system names none.
pub fn file() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(folder.context("neither XDG_CONFIG_HOME nor HOME is set")?.join("clover").join("session.json"))
}

impl Held {
    /// The session in the file.
    ///
    /// # Errors
    /// [`CommandError::NoSession`] when there is none.
    pub fn load() -> Result<Self> {
        let text = match std::fs::read_to_string(file()?) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(CommandError::NoSession.into()),
            other => other.map_err(CommandError::file(file()?))?,
        };
        serde_json::from_str(&text).map_err(|_| CommandError::NoSession.into())
    }

    /// Writes it where only its owner reads it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self) -> Result<PathBuf> {
        let path = file()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(CommandError::file(folder))?;
        // The file holds a credential: it is never there with other permissions, not even for a moment.
        let _ = std::fs::remove_file(&path);
        vault::keys::write_secret(&path, &serde_json::to_string(self)?)?;
        Ok(path)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget() -> Result<()> {
        let path = file()?;
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(CommandError::file(path)(e).into()),
            _ => Ok(()),
        }
    }
}

/// A password for the SQL gateway.
pub struct SqlLogin {
    /// The user's name there.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// Until when it opens sessions, RFC 3339.
    pub until: String,
    listen: String,
}

impl SqlLogin {
    /// Host and port of the gateway: as given, or where the console says that it listens; on the console's host, if it listens
    /// everywhere.
    ///
    /// # Errors
    /// When that is no host and port.
    pub fn address(&self, given: Option<&str>, console: &Console) -> Result<(String, u16)> {
        let authority: Authority =
            given.unwrap_or(&self.listen).parse().context("the SQL gateway is host:port")?;
        let port = authority.port_u16().context("the SQL gateway is host:port")?;
        let given = host(&authority);
        if given.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_unspecified()) {
            let console: Authority = console.address.parse().context("`--console` is host:port")?;
            return Ok((host(&console).to_owned(), port));
        }
        Ok((given.to_owned(), port))
    }
}

impl Held {
    /// A password for the SQL gateway on a grant or case, or for numbers of a purpose.
    ///
    /// # Errors
    /// When the console does not answer, or gives none.
    pub async fn sql_login(&self, ground: &str) -> Result<SqlLogin> {
        let asked = serde_json::json!({ "ground": ground });
        let asked = self.console.ask(Method::POST, "/sql/login", Some(&self.token), Body::Json(&asked));
        let (status, answer) = asked.await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !status.is_success() {
            return Err(CommandError::SignIn { status: status.as_u16(), why: text("why") }.into());
        }
        Ok(SqlLogin {
            user: text("user"),
            password: text("password").into(),
            until: text("until"),
            listen: text("listen"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_carries_any_passphrase_as_it_is() {
        assert_eq!(form(&[("a", "b c&d=ü+%"), ("e", "")]), "a=b%20c%26d%3D%C3%BC%2B%25&e=");
    }
}
