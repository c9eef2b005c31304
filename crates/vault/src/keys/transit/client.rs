//! HTTPS to one server, for callers that have no runtime: a thread of its own speaks, and whoever asks waits no longer
//! than is configured.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::super::{KeyError, error::Cause, files::SecretFile};
use super::{SERVICE, Settings};
use crate::tls::Connector;

/// Longest answer in bytes.
const ANSWER_MAX: usize = 256 << 10;
/// Connections that are kept open while nobody asks, and for how long.
const IDLE_MAX: usize = 8;
const IDLE: Duration = Duration::from_secs(30);
/// A token is made to last when so much of its time is over, and looked at so often at least and at most.
const RENEW_LEAST: Duration = Duration::from_secs(1);
const RENEW_MOST: Duration = Duration::from_secs(3600);

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Asks one server.
pub(super) struct Client {
    speaker: Speaker,
    timeout: Duration,
    /// Given up without a wait when the client is dropped, which may be on a thread of another runtime.
    runtime: Option<Runtime>,
}

/// What the thread works with.
#[derive(Clone)]
struct Speaker {
    http: Http<Connector, Full<Bytes>>,
    address: Arc<str>,
    secret: Arc<SecretFile>,
    token: Arc<RwLock<Zeroizing<String>>>,
    timeout: Duration,
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, KeyError> {
        let refused = |why: &str| KeyError::Refused { service: SERVICE, why: why.to_owned() };
        let address = settings.address.trim_end_matches('/');
        let uri: Uri = address.parse().map_err(|_| refused("its address cannot be read"))?;
        if uri.scheme_str() != Some("https") || uri.host().is_none() || uri.path() != "/" {
            return Err(refused("its address is not https://host:port"));
        }
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("key-service").enable_all().build();
        let runtime = runtime.map_err(|e| down(Box::new(e)))?;
        let mut builder = Http::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(IDLE_MAX);
        let speaker = Speaker {
            http: builder.build(Connector::new(Arc::clone(&settings.tls))),
            address: address.into(),
            token: Arc::new(RwLock::new(settings.token.read()?)),
            secret: Arc::new(settings.token.clone()),
            timeout: settings.timeout,
        };
        runtime.spawn(speaker.clone().renew());
        Ok(Self { speaker, timeout: settings.timeout, runtime: Some(runtime) })
    }

    /// Asks once. A status that says that the server cannot work is an error, and so is one that says that the token does
    /// not serve: after the token was read anew, for it may have been replaced.
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, KeyError> {
        let body = body.map_or_else(Bytes::new, |b| Bytes::from(b.to_string()));
        let answer = self.exchange(&method, path, &body)?;
        if answer.status != StatusCode::FORBIDDEN {
            return Ok(answer);
        }
        if self.speaker.read_token()? {
            let again = self.exchange(&method, path, &body)?;
            if again.status != StatusCode::FORBIDDEN {
                return Ok(again);
            }
        }
        Err(self.speaker.secret.wrong())
    }

    fn exchange(&self, method: &Method, path: &str, body: &Bytes) -> Result<Answer, KeyError> {
        let runtime = self.runtime.as_ref().ok_or_else(|| down("the client has ended".into()))?;
        let (sender, receiver) = sync_channel(1);
        let (speaker, method, path, body) =
            (self.speaker.clone(), method.clone(), path.to_owned(), body.clone());
        runtime.spawn(async move {
            let _ = sender.send(speaker.exchange(method, &path, body).await);
        });
        // The thread keeps the time; it is waited for a little longer.
        match receiver.recv_timeout(self.timeout + Duration::from_millis(500)) {
            Ok(answer) => answer.map_err(down),
            Err(RecvTimeoutError::Timeout) => Err(down(late(self.timeout))),
            Err(RecvTimeoutError::Disconnected) => Err(down("the thread of the connection ended".into())),
        }
    }
}

impl Speaker {
    /// Reads the token again, and says whether it is another one.
    fn read_token(&self) -> Result<bool, KeyError> {
        let new = self.secret.read()?;
        let mut token = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let other = *token != new;
        *token = new;
        Ok(other)
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Cause> {
        let header = {
            let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
            HeaderValue::from_str(&token)
        };
        let mut header = header.map_err(|_| "the token has characters that no token has")?;
        header.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("x-vault-token", header)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let whole = async {
            let answer = self.http.request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?.to_bytes();
            Ok::<_, Cause>(Answer { status, body })
        };
        let answer = timeout(self.timeout, whole).await.map_err(|_| late(self.timeout))??;
        let broken = answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS;
        if broken {
            // 503 is what a sealed server says.
            return Err(format!("it answers with status {}", answer.status.as_u16()).into());
        }
        Ok(answer)
    }

    /// Makes the token last, for as long as the server lets it. One that cannot be renewed serves until it ends.
    async fn renew(self) {
        loop {
            let look = self.exchange(Method::GET, "/v1/auth/token/lookup-self", Bytes::new()).await;
            let said: Value =
                look.ok().and_then(|a| serde_json::from_slice(&a.body).ok()).unwrap_or_default();
            let ttl = said.pointer("/data/ttl").and_then(Value::as_u64).unwrap_or(0);
            let renewable = said.pointer("/data/renewable").and_then(Value::as_bool) == Some(true);
            if renewable {
                let asked =
                    self.exchange(Method::POST, "/v1/auth/token/renew-self", Bytes::from_static(b"{}"));
                if !asked.await.is_ok_and(|a| a.status.is_success()) {
                    tracing::warn!("the token for the key service could not be renewed");
                }
            }
            let rest = if ttl == 0 { RENEW_MOST / 60 } else { Duration::from_secs(ttl / 3) };
            tokio::time::sleep(rest.clamp(RENEW_LEAST, RENEW_MOST)).await;
        }
    }
}

fn late(after: Duration) -> Cause {
    format!("there was no answer within {} ms", after.as_millis()).into()
}

fn down(source: Cause) -> KeyError {
    KeyError::Down { service: SERVICE, source }
}
