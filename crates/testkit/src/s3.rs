//! A server that speaks S3, of a test's own, over TLS on a port of the loopback address, with one empty bucket.

use std::fs::File;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(90);
/// What the server is started by.
const PROGRAM: &str = "import sys; sys.path.insert(0, sys.argv.pop(1)); from moto.server import main; main()";

/// Where an object is there already, the server asks for a signature, and not whose it is.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=name/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A running server. Ends with the value.
pub struct S3 {
    folder: TempDir,
    port: u16,
    server: Child,
}

impl S3 {
    /// The name of its bucket.
    pub const BUCKET: &str = "media";

    /// Starts a server whose certificate, for `localhost`, and key are these PEM texts.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(certificate: &str, key: &str) -> Result<Self> {
        let library = library()?;
        let folder = tempfile::Builder::new().prefix("clover-s3-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let [pem, secret] = ["server.pem", "server.key"].map(|name| folder.path().join(name));
        std::fs::write(&pem, certificate)?;
        std::fs::write(&secret, key)?;
        let log = File::create(folder.path().join("log"))?;
        // The system's own Python: what the server needs besides comes from Debian.
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", PROGRAM]).arg(library).args(["-H", "127.0.0.1", "-p", &port.to_string(), "-s"]);
        command.arg("-c").arg(pem).arg("-k").arg(secret);
        let server = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let s3 = Self { folder, port, server };
        let deadline = Instant::now() + PATIENCE;
        while let Err(e) = s3.ask("PUT", Self::BUCKET) {
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(s3.folder.path().join("log"))?;
                return Err(Error::other(format!("the server does not start: {e}\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(s3)
    }

    /// `https://localhost:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// What the bucket holds, as the server lists it.
    ///
    /// # Errors
    /// What the server says.
    pub fn listed(&self) -> Result<String> {
        self.ask("GET", Self::BUCKET)
    }

    /// Puts an object into the bucket.
    ///
    /// # Errors
    /// What the server says.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let body = self.folder.path().join("body");
        std::fs::write(&body, bytes)?;
        let body = format!("@{}", body.display());
        self.told(
            "PUT",
            &format!("{}/{name}", Self::BUCKET),
            &[
                "-H",
                SIGNED,
                "-H",
                "Content-Type: application/octet-stream",
                "-H",
                "Expect:",
                "--data-binary",
                &body,
            ],
        )
        .map(drop)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// What the server says.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.told("DELETE", &format!("{}/{name}", Self::BUCKET), &["-H", SIGNED]).map(drop)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String> {
        self.told(method, path, &[])
    }

    fn told(&self, method: &str, path: &str, more: &[&str]) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "--noproxy", "*", "--max-time", "30", "-X", method, "--cacert"]);
        curl.arg(self.folder.path().join("server.pem"));
        let asked = curl.args(more).arg(format!("{}/{path}", self.address())).output()?;
        if asked.status.success() {
            return Ok(String::from_utf8_lossy(&asked.stdout).into_owned());
        }
        Err(Error::other(format!("{method} {path}: {}", String::from_utf8_lossy(&asked.stderr))))
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where `scripts/test` installs the server.
fn library() -> Result<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/s3"));
    if path.join("requirements.txt").exists() {
        return Ok(path);
    }
    Err(Error::other("no server of S3 is installed: `scripts/test --tools` puts it into target/s3"))
}
