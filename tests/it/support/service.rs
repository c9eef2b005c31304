//! A service behind the gateway that misbehaves on demand, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it does with the next request.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// Sends these bytes and keeps the connection.
    Reply(Vec<u8>),
    /// Sends these bytes and closes.
    Last(Vec<u8>),
    /// Says nothing for longer than anybody waits.
    Hang,
}

/// The service.
#[derive(Clone)]
pub(crate) struct Fiend {
    mood: Arc<Mutex<Mood>>,
    pub(crate) address: SocketAddr,
}

impl Fiend {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fiend = Self { mood: Arc::new(Mutex::new(Mood::Hang)), address };
        let shared = fiend.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().serve(stream));
            }
        });
        fiend
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut part).await {
            request.extend_from_slice(&part[..n]);
            // The gateway's requests to it have no body.
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            request.clear();
            let mood = self.mood.lock().unwrap().clone();
            match mood {
                Mood::Reply(bytes) => drop(stream.write_all(&bytes).await),
                Mood::Last(bytes) => return drop(stream.write_all(&bytes).await),
                Mood::Hang => return tokio::time::sleep(Duration::from_secs(600)).await,
            }
        }
    }
}

/// An answer with a status line, header lines and a body, and no length but what is given.
pub(crate) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// The same with the body's true length.
pub(crate) fn whole(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    answer(status, &[headers, &[length.as_str()]].concat(), body)
}
