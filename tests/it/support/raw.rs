//! An attacker's client: bytes over TLS, exactly as written.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::client::Client;

/// How long to wait for a first byte of an answer, and for more after some came.
const FIRST: Duration = Duration::from_secs(8);
const MORE: Duration = Duration::from_millis(250);
/// Most bytes of an answer that are kept.
const KEPT: usize = 1 << 20;

/// Everything that came back until the connection was closed or fell silent.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) closed: bool,
}

impl Heard {
    /// The status lines of all answers.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let starts = self.text.match_indices("HTTP/1.1 ").map(|(at, lead)| &self.text[at + lead.len()..]);
        starts.filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
    }

    /// The entries that the answers name.
    pub(crate) fn receipts(&self) -> Vec<u64> {
        let lines = self.text.lines().filter_map(|l| l.strip_prefix("clover-receipt: "));
        lines.map(|n| n.trim().parse().unwrap()).collect()
    }
}

/// Sends bytes on a connection of their own and listens.
pub(crate) async fn say(client: &Client, bytes: &[u8]) -> Heard {
    let mut stream = client.connect().await.unwrap();
    // The gateway may close before it has read everything, which is its right.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let (mut heard, mut part) = (Vec::new(), vec![0; 16 << 10]);
    let closed = loop {
        let patience = if heard.is_empty() { FIRST } else { MORE };
        match tokio::time::timeout(patience, stream.read(&mut part)).await {
            Ok(Ok(n)) if n > 0 && heard.len() < KEPT => heard.extend_from_slice(&part[..n]),
            Ok(_) => break true,
            Err(_) => break false,
        }
    };
    Heard { text: String::from_utf8_lossy(&heard).into_owned(), closed }
}

/// A request's bytes from its first line, header lines and body.
pub(crate) fn request(line: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{line}\r\n");
    for header in headers {
        text.push_str(&format!("{header}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}
