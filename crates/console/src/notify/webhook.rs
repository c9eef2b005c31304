//! A notice over HTTP: a CloudEvent (1.0, JSON, structured mode), signed as Standard Webhooks has it.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Uri};
use model::UnixSeconds;
use serde::Serialize;
use tokio_rustls::rustls::ClientConfig;

use super::notice::Notice;
use super::{NotAsked, Undelivered, WrongSetting};
use crate::ask::{AskError, Http};

/// Longest wait for an answer's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a secret, as Standard Webhooks asks for them.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How a secret begins in its file.
const SECRET_PREFIX: &str = "whsec_";

/// Signs what is sent to one receiver.
pub struct Secret(hmac::Key);

impl Secret {
    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// [`WrongSetting::Secret`] for anything else.
    pub fn parse(text: &str) -> Result<Self, WrongSetting> {
        let bytes = text.trim().strip_prefix(SECRET_PREFIX).and_then(|t| BASE64.decode(t.as_bytes()).ok());
        let bytes = bytes.filter(|b| SECRET_BYTES.contains(&b.len())).ok_or(WrongSetting::Secret)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The signature over id, time and body, as its header has it.
    fn sign(&self, id: &str, at: UnixSeconds, body: &[u8]) -> String {
        let text = [format!("{id}.{}.", at.0).as_bytes(), body].concat();
        format!("v1,{}", BASE64.encode(hmac::sign(&self.0, &text).as_ref()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Whether a URL may be told anything: over TLS, or in the clear to a loopback address, and without a name or password.
///
/// # Errors
/// [`WrongSetting`] with what is wrong.
pub fn allowed(url: &str) -> Result<Uri, WrongSetting> {
    let uri: Uri = url.parse().map_err(|_| WrongSetting::Url)?;
    let plain = uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") if plain => Ok(uri),
        Some("http") if plain && local => Ok(uri),
        Some("http") if plain => Err(WrongSetting::Clear),
        _ => Err(WrongSetting::Url),
    }
}

/// A receiver of events.
pub(super) struct Webhook {
    url: Uri,
    secret: Secret,
    http: Http,
    source: String,
    console: String,
}

/// A CloudEvent. What it may hold is what a [`Notice`] holds.
#[derive(Serialize)]
struct Event<'n> {
    specversion: &'static str,
    id: &'n str,
    source: &'n str,
    #[serde(rename = "type")]
    kind: String,
    time: String,
    datacontenttype: &'static str,
    data: Data<'n>,
}

#[derive(Serialize)]
struct Data<'n> {
    says: &'static str,
    request: &'n str,
    procedure: &'n str,
    ground: &'static str,
    act: Option<&'static str>,
    step: Option<usize>,
    steps: Option<usize>,
    deadline: Option<String>,
    link: String,
}

/// Where a request is seen by those whom it concerns.
pub(super) fn link(console: &str, notice: &Notice) -> String {
    format!("{}/access/requests/{}", console.trim_end_matches('/'), notice.request)
}

/// The event's bytes.
pub(super) fn event(notice: &Notice, source: &str, console: &str) -> Vec<u8> {
    let event = Event {
        specversion: "1.0",
        id: &notice.id,
        source,
        kind: format!("clover.request.{}", notice.kind.word()),
        time: notice.at.rfc3339(),
        datacontenttype: "application/json",
        data: Data {
            says: notice.kind.sentence(),
            request: notice.request.as_str(),
            procedure: notice.procedure.as_str(),
            ground: notice.ground.word(),
            act: notice.act.map(access::Act::word),
            step: notice.step.map(|(step, _)| step),
            steps: notice.step.map(|(_, steps)| steps),
            deadline: notice.deadline.map(UnixSeconds::rfc3339),
            link: link(console, notice),
        },
    };
    // Texts and numbers are always JSON.
    serde_json::to_vec(&event).unwrap_or_default()
}

impl Webhook {
    pub(super) fn new(
        url: &str,
        secret: Secret,
        tls: Arc<ClientConfig>,
        source: String,
        console: String,
    ) -> Result<Self, WrongSetting> {
        let http = Http::new(tls, true).waiting(PATIENCE);
        Ok(Self { url: allowed(url)?, secret, http, source, console })
    }

    pub(super) async fn deliver(&self, notice: &Notice, now: UnixSeconds) -> Result<(), Undelivered> {
        let body = event(notice, &self.source, &self.console);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/cloudevents+json")
            .header(USER_AGENT, "clover")
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", now.0)
            .header("webhook-signature", self.secret.sign(&notice.id, now, &body))
            .body(body)
            .map_err(|_| Undelivered::Ask(NotAsked(AskError::Address)))?;
        let status = self.http.tell(request).await.map_err(|e| Undelivered::Ask(NotAsked(e)))?;
        match status {
            s if s.is_success() => Ok(()),
            s if s.is_redirection() => Err(Undelivered::Redirect(s.as_u16())),
            s => Err(Undelivered::Status(s.as_u16())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of the reference libraries of Standard Webhooks; computed again with OpenSSL.
    #[test]
    fn a_signature_is_that_of_the_reference_libraries() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", UnixSeconds(1_614_265_330));
        let signed = secret.sign(id, at, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_ne!(signed, secret.sign(id, UnixSeconds(at.0 + 1), br#"{"test": 2432232314}"#));
    }

    #[test]
    fn a_secret_has_its_prefix_and_enough_bytes() {
        for wrong in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64"]
        {
            assert!(matches!(Secret::parse(wrong), Err(WrongSetting::Secret)), "{wrong}");
        }
        let long = format!("whsec_{}", BASE64.encode(&[7; 65]));
        assert!(Secret::parse(&long).is_err());
        assert!(Secret::parse(&format!("whsec_{}", BASE64.encode(&[7; 64]))).is_ok());
    }

    #[test]
    fn nothing_is_told_in_the_clear_beyond_loopback() {
        for good in ["https://chat.example/hooks/1?room=2", "http://127.0.0.1:9/x", "http://[::1]:9/"] {
            assert!(allowed(good).is_ok(), "{good}");
        }
        for clear in ["http://chat.example/", "http://localhost:9/", "http://192.0.2.1/"] {
            assert!(matches!(allowed(clear), Err(WrongSetting::Clear)), "{clear}");
        }
        for wrong in ["", "/hooks", "ftp://127.0.0.1/", "https://name:secret@chat.example/", "chat.example"] {
            assert!(matches!(allowed(wrong), Err(WrongSetting::Url)), "{wrong}");
        }
    }
}
