//! An auditor on another machine: their mirror asks the site over TLS, and the site asks their mirror over TLS. Each
//! trusts the authority that it was given and no other.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use clover::layout::Layout;
use xtask::story;
use xtask::world::{World, at, clover, clover_raw, programs};

use crate::faults::serve_in_vain;
use crate::support::secure::Authority;
use crate::support::{SEED, SUPPORT, Stage, until};

const PEOPLE: u64 = 8;
const NAME: &str = "auditor.example/mirror";

fn audit(arguments: &[&str]) -> Output {
    let mut command = Command::new(programs().unwrap().join("clover-audit"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The auditor's mirror, in a folder of its own and under an authority of its own.
struct Mirror {
    folder: PathBuf,
    port: u16,
    vkey: String,
    process: Option<Child>,
}

impl Mirror {
    fn new(folder: PathBuf) -> Self {
        let authority = Authority::new();
        authority.file(folder.join("ca.pem"));
        Authority::new().file(folder.join("other-ca.pem"));
        authority.issue("localhost").files(&folder.join("mirror"));
        let seed = folder.join("mirror.seed").display().to_string();
        let made = audit(&["keygen", "--kind", "mirror", "--name", NAME, "--out", &seed]);
        let vkey = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port, vkey, process: None }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Follows a site at a base URL with a file of whom to trust.
    fn configure(&self, layout: &Layout, base: &str, ca: &Path) -> String {
        let trust = |name: &str| layout.trust().join(format!("{name}.vkey")).display().to_string();
        let text = format!(
            "listen = \"127.0.0.1:{}\"\nfolder = \"state\"\n\n\
             [tls]\ncertificate_file = \"mirror.pem\"\nkey_file = \"mirror.key\"\n\n\
             [keys]\nmirror = {{ seed = \"mirror.seed\", name = \"{NAME}\" }}\n\n\
             [[site]]\nbase = \"{base}\"\nca_file = \"{}\"\nsite_vkey = \"{}\"\noperator_vkey = \"{}\"\n\
             auditor_vkey = \"{}\"\n",
            self.port,
            ca.display(),
            trust("site"),
            trust("operator"),
            trust("auditor"),
        );
        let path = self.folder.join("mirror.toml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn start(&mut self, layout: &Layout, base: &str, ca: &Path) {
        self.end();
        let config = self.configure(layout, base, ca);
        let mut command = Command::new(programs().unwrap().join("clover-audit"));
        command.args(["mirror", "--config", &config]).stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(command.spawn().unwrap());
    }

    /// Its status as it tells those who trust a file.
    fn status(&self, ca: &str) -> Output {
        audit(&["status", "--mirror", &self.url(), "--ca", &self.file(ca), "--json"])
    }

    fn says(&self, word: &str) -> bool {
        String::from_utf8_lossy(&self.status("ca.pem").stdout).contains(word)
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.end();
    }
}

/// Issues the certificate of the logs' listener for a name.
fn listener(layout: &Layout, name: &str) {
    let stem = layout.tls().join("logs").display().to_string();
    clover(layout, &["credential", "listener", "--host", name, "--out", &stem]).unwrap();
}

/// Makes the auditor's mirror the only witness, and offers the logs over TLS only, under another name at first.
fn only_the_auditor(layout: &Layout, mirror: &Mirror) {
    let policy = std::fs::read_to_string(layout.policy()).unwrap();
    let log = policy.lines().find(|l| l.starts_with("log ")).unwrap();
    let witness = format!("witness auditor {} {}", mirror.vkey, mirror.url());
    std::fs::write(layout.policy(), format!("{log}\n{witness}\nquorum auditor\n")).unwrap();
    listener(layout, "elsewhere.example");
    let config = std::fs::read_to_string(layout.config()).unwrap();
    let (config, rest) = config.split_once("[mirror]\nlisten = \"127.0.0.1:8446\"\n").unwrap();
    let tls =
        "tls_listen = \"127.0.0.1:8445\"\ncertificate_file = \"tls/logs.pem\"\nkey_file = \"tls/logs.key\"";
    let config = config.replace("listen = \"127.0.0.1:8445\"", tls);
    std::fs::write(layout.config(), format!("{config}{rest}")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_elsewhere_follows_over_tls_and_its_signature_opens_the_border() {
    let (folder, layout) = Stage::folder(PEOPLE);
    let beside = folder.path().join("auditor");
    std::fs::create_dir_all(&beside).unwrap();
    let mut mirror = Mirror::new(beside);
    only_the_auditor(&layout, &mirror);
    // Nobody signs yet, and the enclave trusts its own authority only: it serves behind a red border.
    let mut world = World::open(layout.root(), PEOPLE, SEED, |_| {}).await.unwrap();
    story::approvals(&world).await.unwrap();
    let border = |world: &World| world.status().unwrap()["border"].as_str().unwrap().to_owned();
    assert_eq!(border(&world), "closed");
    let (base, ca) = (format!("https://localhost:{}", world.logs.port()), layout.tls().join("ca.pem"));

    // The mirror follows only the site whose authority and name are right.
    mirror.start(&layout, &base, &mirror.folder.join("other-ca.pem"));
    until("the mirror tells of another authority", || mirror.says("UnknownIssuer")).await;
    mirror.start(&layout, &base, &ca);
    until("the mirror tells of another name", || mirror.says("not valid for name")).await;

    // The site asks only the witness whose authority it was told.
    let log = || std::fs::read_to_string(layout.root().join("serve.log")).unwrap();
    until("the site tells of another authority", || {
        log().lines().any(|l| l.contains("a witness was not asked") && l.contains("UnknownIssuer"))
    })
    .await;
    assert_eq!(border(&world), "closed");
    let trusted = format!("\n[witnesses]\nca_file = \"{}\"\n", mirror.file("ca.pem"));
    listener(&layout, "localhost");
    world.reconfigure(|text| text + &trusted).unwrap();
    until("the border opens", || border(&world) == "open").await;

    let mut stage = Stage::of(world, folder);
    let read = stage.ana().post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&read, 0), "{}", read.text());
    let status = stage.world.status().unwrap();
    assert_eq!(status["witnesses"], "auditor", "it is independently witnessed");
    let person =
        stage.world.caller("subject", stage.world.subject(0).unwrap(), Some("IE"), at::DUBLIN).unwrap();
    let own = person.get("/v1/me/crossings", &[]).await.unwrap();
    assert_eq!(own.json()["witnesses"], "auditor", "{}", own.text());

    // Who does not trust the mirror's authority hears nothing of it.
    let stranger = mirror.status("other-ca.pem");
    let said = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert!(!stranger.status.success() && said.contains("UnknownIssuer"), "{said}");
    until("the mirror is green", || mirror.status("ca.pem").status.success()).await;
    stage.world.published().unwrap();
    // A site that is stopped in the middle of things leaves its mirror behind.
    let _ = stage.world.witnessed().unwrap();
    stage.world.stop().unwrap();
    mirror.end();
    let (code, said) = stage.world.audit(&stage.world.ledger()).unwrap();
    assert_eq!(code, Some(0), "{said}");
    let held = mirror.file("state");
    let line = ["verify", "--mirror", &held, "--site-vkey", "site", "--operator-vkey", "operator"];
    let (code, said) = stage.world.audit_with(&[&line[..], &["--auditor-vkey", "auditor"]].concat()).unwrap();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn nobody_is_asked_in_the_clear_over_a_network() {
    let (folder, layout) = Stage::folder(PEOPLE);
    let policy = std::fs::read_to_string(layout.policy()).unwrap();
    std::fs::write(layout.policy(), policy.replace("http://127.0.0.1:8446", "http://192.0.2.1:8446"))
        .unwrap();
    let (code, said) = serve_in_vain(&layout);
    assert!(code != Some(0) && said.contains("CLV-0606") && said.contains("use `https`"), "{code:?} {said}");
    let checked = clover_raw(&layout, &["config", "check"]).unwrap();
    assert!(!checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let beside = folder.path().join("auditor");
    std::fs::create_dir_all(&beside).unwrap();
    let mirror = Mirror::new(beside);
    let config = mirror.configure(&layout, "http://192.0.2.1:8445", &layout.tls().join("ca.pem"));
    let started = audit(&["mirror", "--config", &config]);
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success() && said.contains("for this machine only"), "{said}");
}
