//! The certified provider of `tests/provider`, run by node over TLS on loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clover::layout::Layout;
use serde_json::Value;
use xtask::client::Client;
use xtask::world::{at, clover};

/// Longest wait for its first line.
const START_MAX: Duration = Duration::from_secs(60);

pub(super) struct Provider {
    process: Child,
    pub(super) port: u16,
    client: Client,
}

/// Where `scripts/test` installs what the provider needs.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/provider");
    assert!(
        folder.join("node_modules/oidc-provider").is_dir(),
        "the provider is not installed: run `scripts/test --provider`"
    );
    folder
}

/// A started provider and what it says of itself, if it says anything in time.
fn listening(files: &[String; 2]) -> Option<(Child, Value)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("provider/provider.mjs");
    let mut process = Command::new("node")
        .arg(script)
        .arg(installed())
        .args(files)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("node is needed: run `scripts/test --provider`");
    let out = process.stdout.take().unwrap();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(out).read_line(&mut line);
        let _ = tell.send(line);
    });
    let line = told.recv_timeout(START_MAX).unwrap_or_default();
    match serde_json::from_str(&line) {
        Ok(told) => Some((process, told)),
        Err(_) => {
            let _ = process.kill();
            let _ = process.wait();
            None
        }
    }
}

impl Provider {
    /// Starts it with a certificate of the enclave's authority.
    pub(super) fn start(layout: &Layout) -> Self {
        let stem = layout.root().join("provider");
        let out = stem.display().to_string();
        clover(layout, &["credential", "listener", "--host", "localhost", "--out", &out]).unwrap();
        let files = [format!("{out}.pem"), format!("{out}.key")];
        let (process, told) = listening(&files).expect("the provider does not start");
        let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
        let address = ([127, 0, 0, 1], port).into();
        let client = Client::new(address, at::DUBLIN, &layout.tls().join("ca.pem"), None).unwrap();
        Self { process, port, client }
    }

    /// What it is asked beside the protocol; the answer is what it has counted.
    pub(super) async fn tell(&self, what: &str) -> Value {
        self.client.get(&format!("/_test/{what}"), &[]).await.unwrap().json()
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
