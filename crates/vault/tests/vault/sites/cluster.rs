//! The four sites, as `scripts/sites` runs them on this machine.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use vault::log::{Database, Timeouts};

/// Longest wait for anything that the sites do by themselves.
const LONG: Duration = Duration::from_secs(120);

/// A running cluster, which ends with the value.
pub(crate) struct Cluster {
    folder: Option<TempDir>,
    /// What clients are told (`client.env`).
    told: BTreeMap<String, String>,
    /// Names, addresses for clients, addresses for the other sites.
    pub(crate) sites: Vec<[String; 3]>,
    /// Whether sites have links of their own, which can be cut.
    pub(crate) links: bool,
}

impl Cluster {
    pub(crate) fn up() -> Self {
        let folder = tempfile::Builder::new().prefix("clover-sites-").tempdir_in("/tmp").unwrap();
        // The servers run as another user when this test runs as root.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut new = Self { folder: Some(folder), told: BTreeMap::new(), sites: Vec::new(), links: false };
        new.must(&["up"]);
        let text = std::fs::read_to_string(new.path().join("client.env")).unwrap();
        let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        new.told = text.lines().filter_map(pair).collect();
        let line =
            |line: &str| <[String; 3]>::try_from(line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        new.sites = new.must(&["addresses"]).lines().map(|l| line(l).unwrap()).collect();
        new.links = std::fs::read_to_string(new.path().join("net")).unwrap().contains("MODE=netns");
        new
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    fn script(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/sites");
        Command::new(script).arg("--dir").arg(self.path()).args(arguments).output().unwrap()
    }

    /// Runs a command of the script that must succeed.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let told = self.script(arguments);
        let why = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(told.status.success(), "scripts/sites {arguments:?}: {why}");
        String::from_utf8(told.stdout).unwrap()
    }

    /// What a command in a site's network says, if it succeeds; else its complaint.
    pub(crate) fn within(&self, site: &str, command: &[&str]) -> Result<String, String> {
        let told = self.script(&[&["exec", site], command].concat());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if told.status.success() { Ok(text(told.stdout)) } else { Err(text(told.stderr)) }
    }

    /// Who leads, as a site sees it, once it is not `past`.
    pub(crate) fn leader(&self, seen_by: Option<&str>, past: Option<&str>) -> String {
        let ask = || {
            let told = self.script(&[&["leader"], seen_by.as_slice()].concat());
            let name = String::from_utf8_lossy(&told.stdout).trim().to_owned();
            (told.status.success() && !name.is_empty() && Some(name.as_str()) != past).then_some(name)
        };
        until("a leader", ask)
    }

    /// Waits until all sites are members and a quorum confirms.
    pub(crate) fn complete(&self) {
        until("all members", || self.script(&["status"]).status.success().then_some(()));
    }

    pub(crate) fn others(&self, site: &str) -> Vec<String> {
        self.sites.iter().map(|[name, ..]| name.clone()).filter(|name| name != site).collect()
    }

    /// How the application reaches all sites, or only some.
    pub(crate) fn database(&self, only: Option<&str>) -> Database {
        let sites = || self.sites.iter().filter(|[name, ..]| only.is_none_or(|only| name == only));
        let list = |place: usize| sites().map(|s| s[place].as_str()).collect::<Vec<_>>().join(",");
        let address = format!("host={} hostaddr={} user=clover dbname=clover", list(0), list(1));
        let timeouts = Timeouts { connect: Duration::from_secs(2), statement: Duration::from_secs(8) };
        Database { address, tls: Some(self.tls()), timeouts, quorum: 2, ..Database::default() }
    }

    fn tls(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.told["PGSSLROOTCERT"]).unwrap()).unwrap();
        let certificate = CertificateDer::from_pem_file(&self.told["PGSSLCERT"]).unwrap();
        let key = PrivateKeyDer::from_pem_file(&self.told["PGSSLKEY"]).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        Arc::new(builder.with_client_auth_cert(vec![certificate], key).unwrap())
    }

    /// What a site answers to a statement that only reads.
    pub(crate) fn read(&self, site: &str, statement: &str) -> Result<String, String> {
        let [name, address, _] = self.sites.iter().find(|[name, ..]| name == site).unwrap();
        let told = Command::new("psql")
            .args(["-XqAt", "-c", statement])
            .envs(&self.told)
            .envs([("PGHOST", name), ("PGHOSTADDR", address)])
            .env("PGTARGETSESSIONATTRS", "any")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if told.status.success() { Ok(text(told.stdout)) } else { Err(text(told.stderr)) }
    }

    /// Copies of a certificate and its key that whoever runs this test may show.
    pub(crate) fn shown(&self, stem: &str, folder: &Path) -> (PathBuf, PathBuf) {
        let copy = |end: &str| {
            let to = folder.join(format!("{}.{end}", stem.replace('/', "-")));
            std::fs::write(&to, std::fs::read(self.path().join(format!("{stem}.{end}"))).unwrap()).unwrap();
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
            to
        };
        (copy("pem"), copy("key"))
    }
}

/// Waits for an answer.
pub(crate) fn until<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not come about in {LONG:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.script(&["down"]);
        if std::thread::panicking() {
            let kept = self.folder.take().map(TempDir::keep);
            println!("the logs of the sites: {}", kept.unwrap_or_default().display());
        }
    }
}
