//! A world for one test, callers of it, and what the tests read from its ledger.

pub(crate) mod raw;
pub(crate) mod secure;
pub(crate) mod service;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clover::layout::Layout;
use ledger::tile::split_bundle;
use ledger::{Draft, Entry};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::client::{Answer, Client};
use xtask::story;
use xtask::world::{World, at, clover, programs};

/// The seed of every sample.
pub(crate) const SEED: u64 = 7;
/// What the log may say loudly: faults that tests make.
const PROVOKED: &[&str] = &[
    "the ledger cannot be written: the border is closed",
    "the ledger is written again: the border is open",
    "it will be tried again",
    "the log's last frame was not written whole",
    "a witness was not asked",
    "a witness did not sign",
    "BORDER OVERRIDE",
    "BREAK-GLASS",
    "a border override does not count",
    "SUSPENDED",
    "a suspension is lifted",
    "an order does not count",
    "people who are laid down are not taken",
    "a demand of an authority is on the record",
    "the site log has no round for this second",
    "no answer of the ledger's database",
    "the control store was not read",
    "what ended long ago stays in the control store for now",
    "a request for access was not served",
    "streams were left open and are closed",
    "a sign-in is refused",
    "another rulebook is in force",
    "the identity provider does not say what it is",
    // A Java client says so on its way out.
    "TLS alert warning received: AlertMessagePayload { level: Warning, description: UserCanceled }",
];
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// A world in a folder that goes away with it.
pub(crate) struct Stage {
    // The order matters: the enclave ends before its folder goes.
    pub(crate) world: World,
    folder: TempDir,
}

impl Stage {
    /// An enclave with these people, a grant for ana and a case for mei about the first of them.
    pub(crate) async fn new(people: u64) -> Self {
        let (folder, layout) = Self::folder(people);
        let world = World::open(layout.root(), people, SEED, |_| {}).await.unwrap();
        story::approvals(&world).await.unwrap();
        Self { world, folder }
    }

    /// A world that was opened otherwise, and its folder.
    pub(crate) fn of(world: World, folder: TempDir) -> Self {
        Self { world, folder }
    }

    /// A prepared enclave that does not run.
    pub(crate) fn folder(people: u64) -> (TempDir, Layout) {
        let folder = TempDir::with_prefix("clover-it-").unwrap();
        let enclave = folder.path().join("enclave");
        copy(&prepared(people), &enclave);
        (folder, Layout::new(&enclave))
    }

    /// A folder of the test's own beside the enclave's.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// The support agent in Dublin, who holds the grant `G-1`.
    pub(crate) fn ana(&self) -> Client {
        self.world.caller("employee", "ana", Some("IE"), at::DUBLIN).unwrap()
    }

    /// The engineer in Singapore, who works on the case `C-1`.
    pub(crate) fn mei(&self) -> Client {
        self.world.caller("employee", "mei", Some("SG"), at::SINGAPORE).unwrap()
    }

    /// The engineer in Beijing, who holds nothing.
    pub(crate) fn li(&self) -> Client {
        self.world.caller("employee", "li", Some("CN"), at::BEIJING).unwrap()
    }

    /// The service that may send moderation signals out.
    pub(crate) fn safety(&self) -> Client {
        self.world.caller("service", "trust-and-safety", Some("IE"), at::DUBLIN).unwrap()
    }

    /// Entries that are durable.
    pub(crate) fn size(&self) -> u64 {
        self.world.status().unwrap()["entries"].as_u64().unwrap()
    }

    /// A query for a person's e-mail address.
    pub(crate) fn email_of(&self, n: usize) -> Value {
        json!({ "dataset": "export", "subject": self.world.subject(n).unwrap(), "fields": ["profile.emailAddress"] })
    }

    /// Whether a text holds anything that belongs to a person of the sample.
    pub(crate) fn names_anybody(&self, text: &str) -> Option<String> {
        self.world.people.iter().flat_map(|(_, p)| secrets(p)).find(|s| text.contains(s.as_str()))
    }

    /// Checks a released answer: the grant's person, the field asked for, on the ledger.
    pub(crate) fn is_email(&self, answer: &Answer, n: usize) -> bool {
        let wanted = self.world.person(n).unwrap().email.as_str();
        answer.json().pointer("/0/profile/emailAddress").and_then(Value::as_str) == Some(wanted)
            && answer.receipt().is_some()
    }

    /// Stops the enclave, looks for warnings that no test provokes, and has the auditor check its ledger.
    pub(crate) fn must_audit_clean(&mut self) {
        if self.world.pid().is_some() {
            self.world.published().unwrap();
            // An enclave that is stopped in the middle of things leaves its mirror behind.
            let _ = self.world.witnessed().unwrap();
            self.world.stop().unwrap();
        }
        let log = std::fs::read_to_string(self.world.layout.root().join("serve.log")).unwrap();
        let loud =
            log.lines().filter(|l| l.contains(" WARN ") || l.contains("ERROR") || l.contains("panicked"));
        let unexpected: Vec<_> = loud.filter(|l| !PROVOKED.iter().any(|p| l.contains(p))).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
        let (code, said) = self.world.audit(&self.world.ledger()).unwrap();
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = self.world.audit_site().unwrap();
        assert_eq!(code, Some(0), "{said}");
    }
}

/// A prepared enclave of this build's program: made once and copied by every test that wants as many people.
fn prepared(people: u64) -> PathBuf {
    let program =
        std::fs::metadata(programs().unwrap().join("clover")).expect("build it: `cargo build --workspace`");
    let built = program.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let store = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ready = store.join(format!("enclave-{people}-{built}"));
    let lock = File::create(store.join(format!("enclave-{people}.lock"))).unwrap();
    lock.lock().unwrap();
    if !ready.exists() {
        // Those of older programs are of no more use.
        let old = |name: &str| name.starts_with(&format!("enclave-{people}-"));
        for entry in std::fs::read_dir(store).unwrap().map(Result::unwrap) {
            if old(&entry.file_name().to_string_lossy()) {
                std::fs::remove_dir_all(entry.path()).unwrap();
            }
        }
        let making = TempDir::with_prefix_in("making-", store).unwrap();
        World::prepare(&making.path().join("enclave"), people, SEED, |_| {}).unwrap();
        std::fs::rename(making.path().join("enclave"), &ready).unwrap();
    }
    ready
}

/// Changes a file of the rulebook of an enclave that does not run, and has both sign and activate it.
pub(crate) fn change_rule(layout: &Layout, file: &str, change: impl FnOnce(&str) -> String) {
    let path = layout.rulebook().join(file);
    let before = std::fs::read_to_string(&path).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "{file}");
    std::fs::write(&path, after).unwrap();
    for role in ["operator", "auditor"] {
        clover(layout, &["rulebook", "sign", "--as", role]).unwrap();
    }
    clover(layout, &["rulebook", "activate"]).unwrap();
}

/// Whether the other side closes a connection in time.
pub(crate) async fn closes(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> bool {
    let mut byte = [0];
    let read =
        tokio::time::timeout(Duration::from_secs(30), tokio::io::AsyncReadExt::read(stream, &mut byte)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Headers of ana's requests.
pub(crate) const SUPPORT: [(&str, &str); 2] = [("clover-purpose", "support"), ("clover-grant", "G-1")];

/// What of a person must never be seen where it was not released. What is too
/// short to be told from chance is left out.
pub(crate) fn secrets(person: &clover::sample::Person) -> Vec<String> {
    let name = format!("{} {}", person.given_name, person.family_name);
    let mut all = vec![
        person.user_name.clone(),
        person.email.clone(),
        person.phone.clone(),
        person.phone_national.clone(),
        person.iban.clone(),
        name,
    ];
    all.extend(person.national_id.iter().map(|n| n.value.clone()));
    all.extend([&person.device.imei, &person.device.idfa, &person.device.idfv].map(Clone::clone));
    all.retain(|s| s.len() >= 6);
    all
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every published entry, read from the public files.
pub(crate) fn entries(ledger: &Path) -> Vec<Draft> {
    let note = std::fs::read_to_string(ledger.join("checkpoint")).unwrap();
    let size: usize = note.lines().nth(1).unwrap().parse().unwrap();
    let mut all = Vec::new();
    for bundle in 0..size.div_ceil(256) {
        let width = (size - bundle * 256).min(256);
        let full = ledger.join(format!("tile/entries/{bundle:03}"));
        let bytes = std::fs::read(&full)
            .or_else(|_| std::fs::read(ledger.join(format!("tile/entries/{bundle:03}.p/{width}"))));
        let bytes = bytes.unwrap();
        let held = if full.exists() { 256 } else { width };
        let leaves = split_bundle(&bytes, u16::try_from(held).unwrap()).unwrap();
        all.extend(leaves.into_iter().take(width).map(|leaf| Entry::decode(leaf).unwrap().draft));
    }
    assert_eq!(all.len(), size);
    all
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}
