//! A real OpenBao server of a test's own, over TLS on a port of the loopback address, with a transit engine.

use std::fs::File;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running server. Ends with the value.
pub struct OpenBao {
    folder: TempDir,
    program: PathBuf,
    port: u16,
    server: Option<Child>,
    unseal: String,
    root: String,
}

impl OpenBao {
    /// Makes a server whose certificate, for `localhost`, and key are these PEM texts, and starts it.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(certificate: &str, key: &str) -> Result<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("clover-bao-").tempdir()?;
        let (port, cluster) = (free_port()?, free_port()?);
        let path = folder.path();
        std::fs::create_dir(path.join("data"))?;
        std::fs::write(path.join("server.pem"), certificate)?;
        std::fs::write(path.join("server.key"), key)?;
        let dir = path.display();
        let config = format!(
            "storage \"raft\" {{\n  path = \"{dir}/data\"\n  node_id = \"one\"\n}}\n\
             listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  cluster_address = \"127.0.0.1:{cluster}\"\n  \
             tls_cert_file = \"{dir}/server.pem\"\n  tls_key_file = \"{dir}/server.key\"\n}}\n\
             api_addr = \"https://127.0.0.1:{port}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\n"
        );
        std::fs::write(path.join("server.hcl"), config)?;
        let mut bao =
            Self { folder, program, port, server: None, unseal: String::new(), root: String::new() };
        bao.spawn()?;
        let made =
            bao.until(|bao| bao.call("PUT", "sys/init", "", r#"{"secret_shares":1,"secret_threshold":1}"#))?;
        bao.unseal = member(&made, "keys_base64")?;
        bao.root = member(&made, "root_token")?;
        bao.unseal()?;
        bao.root("POST", "sys/mounts/transit", r#"{"type":"transit"}"#)?;
        Ok(bao)
    }

    /// `https://localhost:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// A token that may do this, as a policy of OpenBao says it.
    ///
    /// # Errors
    /// What the server says.
    pub fn token(&self, policy: &str) -> Result<String> {
        let name = format!("p{}", policy.len());
        let quoted = policy.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        self.root("PUT", &format!("sys/policies/acl/{name}"), &format!("{{\"policy\":\"{quoted}\"}}"))?;
        let body = format!("{{\"policies\":[\"{name}\"],\"ttl\":\"1h\",\"no_parent\":true}}");
        member(&self.root("POST", "auth/token/create", &body)?, "client_token")
    }

    /// Asks as the one who may do everything, and gives the answer's text.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn root(&self, method: &str, path: &str, body: &str) -> Result<String> {
        self.call(method, path, &self.root, body)
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts a server again that was killed, on the same port, and unseals it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.spawn()?;
        self.unseal()
    }

    /// Seals it: it answers, and does nothing.
    ///
    /// # Errors
    /// When the server does not do it.
    pub fn seal(&self) -> Result<()> {
        self.root("PUT", "sys/seal", "{}").map(|_| ())
    }

    /// Unseals it, and waits until it works.
    ///
    /// # Errors
    /// When it does not.
    pub fn unseal(&self) -> Result<()> {
        let body = format!("{{\"key\":\"{}\"}}", self.unseal);
        self.until(|bao| bao.call("PUT", "sys/unseal", "", &body))?;
        // Only a server that leads does what it is asked.
        self.until(|bao| bao.call("GET", "sys/health", "", "")).map(|_| ())
    }

    fn spawn(&mut self) -> Result<()> {
        let out = File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut command = Command::new(&self.program);
        command.arg("server").arg(format!("-config={}/server.hcl", self.folder.path().display()));
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        self.server = Some(command.spawn()?);
        Ok(())
    }

    fn until(&self, ask: impl Fn(&Self) -> Result<String>) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match ask(self) {
                Err(e) if Instant::now() > deadline => {
                    let log = std::fs::read_to_string(self.folder.path().join("log"))?;
                    return Err(Error::other(format!("OpenBao does not start: {e}\n{log}")));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
                answer => return answer,
            }
        }
    }

    fn call(&self, method: &str, path: &str, token: &str, body: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "--noproxy", "*", "--max-time", "30", "--cacert"]);
        curl.arg(self.folder.path().join("server.pem")).args(["-X", method]);
        curl.args(["-H", &format!("X-Vault-Token: {token}")]);
        if !body.is_empty() {
            curl.args(["-d", body]);
        }
        let asked = curl.arg(format!("{}/v1/{path}", self.address())).output()?;
        if asked.status.success() {
            return Ok(String::from_utf8_lossy(&asked.stdout).into_owned());
        }
        Err(Error::other(format!("{method} {path}: {}", String::from_utf8_lossy(&asked.stderr))))
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The first string behind a name in a JSON text.
fn member(json: &str, name: &str) -> Result<String> {
    let after = json.split_once(&format!("\"{name}\":")).map(|(_, after)| after);
    let text = after.and_then(|a| a.split('"').nth(1)).filter(|t| !t.is_empty());
    text.map(str::to_owned).ok_or_else(|| Error::other(format!("the answer has no `{name}`")))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Where `scripts/test` installs the server.
fn program() -> Result<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/openbao/bao"));
    if path.exists() {
        return Ok(path);
    }
    Err(Error::other("OpenBao is not installed: `scripts/test --tools` puts it into target/openbao"))
}
