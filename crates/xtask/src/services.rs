//! The neighbours: an ordinary video service inside, and a safety desk outside the region.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use bytes::Bytes;
use clover::authority;
use clover::layout::Layout;
use clover::sample::{Audience, Person};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::SubjectId;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The people of the sample, as the video service knows them.
pub type People = Arc<Vec<(SubjectId, Person)>>;

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
}

fn link(person: &Person, id: u64) -> String {
    format!("https://www.tiktok.com/@{}/video/{id}/", person.user_name)
}

/// One person's videos with their review state. `assignee` is declared nowhere.
fn status(person: &Person) -> Value {
    let one = |(n, v): (usize, &clover::sample::Video)| {
        let (state, reason) = if n == 0 { ("held", "music rights under review") } else { ("approved", "") };
        json!({
            "video_id": v.id.to_string(),
            "review_state": state,
            "visibility": format!("{:?}", v.audience),
            "reason": reason,
            "updated_at": "2026-11-21T09:30:00Z",
            "assignee": "moderator 4711",
        })
    };
    Value::Array(person.videos.iter().take(20).enumerate().map(one).collect())
}

fn public(people: &[(SubjectId, Person)]) -> Value {
    let of = |p: &Person| {
        let shown = p.videos.iter().filter(|v| matches!(v.audience, Audience::Public)).take(2);
        let rows = shown.map(|v| {
            json!({
                "video_id": v.id.to_string(),
                "link": link(p, v.id),
                "title": v.title,
                "author": format!("@{}", p.user_name),
                "likes": v.likes,
                "published_at": "2026-11-20T18:04:05Z",
            })
        });
        rows.collect::<Vec<_>>()
    };
    Value::Array(people.iter().take(25).flat_map(|(_, p)| of(p)).collect())
}

/// What a partner's system fetches. Two things in it must not leave: a field that nobody declared, and an
/// e-mail address that somebody typed into a harmless note.
fn feed(people: &[(SubjectId, Person)]) -> Value {
    let row = |(n, (subject, p)): (usize, &(SubjectId, Person))| {
        let note =
            if n == 1 { format!("call me or write to {} please", p.email) } else { "no remarks".to_owned() };
        json!({
            "user_id": subject.as_str(),
            "handle": format!("@{}", p.user_name),
            "account_region": p.country,
            "link": link(p, p.videos.first().map_or(1, |v| v.id)),
            "app_version": "41.2.0",
            "note": note,
            "inferred_age_band": "25-34",
        })
    };
    Value::Array(people.iter().take(12).enumerate().map(row).collect())
}

fn video(people: &People, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/v1/status" => {
            let asked = request.headers().get("clover-subject").and_then(|v| v.to_str().ok());
            let found = people.iter().find(|(s, _)| Some(s.as_str()) == asked);
            found.map_or_else(
                || answer(StatusCode::NOT_FOUND, &json!({})),
                |(_, p)| answer(StatusCode::OK, &status(p)),
            )
        }
        "/v1/public" => answer(StatusCode::OK, &public(people)),
        "/v1/feed" => answer(StatusCode::OK, &feed(people)),
        _ => answer(StatusCode::NOT_FOUND, &json!({})),
    }
}

/// Starts the video service on loopback.
///
/// # Errors
/// When it cannot listen.
pub async fn video_service(people: People) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let people = Arc::clone(&people);
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = video(&people, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok(address)
}

/// What arrived at a destination outside.
pub type Arrived = Arc<Mutex<Vec<Bytes>>>;

/// Starts the safety desk, a destination outside the region, over TLS with its own certificate.
///
/// # Errors
/// When it cannot listen or has no certificate.
pub async fn safety_desk(layout: &Layout, stem: PathBuf) -> Result<(SocketAddr, Arrived)> {
    authority::listener(layout, &stem, &["us-safety-desk.example"])?;
    let acceptor = TlsAcceptor::from(authority::server_config(layout, &stem)?);
    let listener = TcpListener::bind("127.0.55.20:0").await?;
    let address = listener.local_addr()?;
    let arrived = Arrived::default();
    let store = Arc::clone(&arrived);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, store) = (acceptor.clone(), Arc::clone(&store));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let store = Arc::clone(&store);
                    async move {
                        let body =
                            request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
                        if let Ok(mut store) = store.lock() {
                            store.push(body);
                        }
                        Ok::<_, Infallible>(answer(StatusCode::ACCEPTED, &json!({})))
                    }
                });
                // How a connection ends is the caller's affair.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok((address, arrived))
}
