//! A site of small logs, an HTTP server that can lie about it, and a client.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ciborium::{Value, cbor};
use data_encoding::{BASE64, HEXLOWER};
use tempfile::TempDir;

use crate::writer::{Files, Log, START, Signer, auditor, encode, leaf, operator, root, sha};

pub const SITE: &str = "site.test/one";
pub const GATEWAYS: [&str; 2] = ["ledger.test/one/a", "ledger.test/one/b"];
pub const KEYS: &str = "keys.test/one";

/// One log, and how it is published.
pub struct TestLog {
    pub origin: &'static str,
    pub prefix: &'static str,
    pub leaves: Vec<Vec<u8>>,
    pub extras: Files,
    pub seed: u8,
}

impl TestLog {
    pub fn new(origin: &'static str, prefix: &'static str, seed: u8) -> Self {
        Self { origin, prefix, leaves: Vec::new(), extras: Files::new(), seed }
    }

    pub fn signer(&self) -> Signer {
        Signer::new(self.origin, self.seed)
    }

    pub fn hashes(&self, size: usize) -> Vec<[u8; 32]> {
        self.leaves[..size].iter().map(|bytes| leaf(bytes)).collect()
    }

    pub fn root(&self, size: usize) -> [u8; 32] {
        root(&self.hashes(size))
    }

    /// The signed checkpoint of a size.
    pub fn note(&self, size: usize) -> String {
        signed(self.origin, size, &self.root(size), &self.signer())
    }

    /// Everything that is published of the log when it has `size` entries.
    pub fn publish(&self, size: usize) -> Files {
        let mut files = Files::new();
        let at = |path: &str| format!("{}/{path}", self.prefix);
        files.insert(at("checkpoint"), self.note(size).into_bytes());
        for (index, chunk) in self.leaves[..size].chunks(256).enumerate() {
            let framed = chunk.iter().map(|leaf| [&(leaf.len() as u16).to_be_bytes()[..], leaf].concat());
            files.insert(at(&tile("entries", index, chunk.len())), framed.collect::<Vec<_>>().concat());
        }
        self.extras.iter().for_each(|(path, bytes)| drop(files.insert(at(path), bytes.clone())));
        files
    }
}

pub fn tile(level: &str, index: usize, width: usize) -> String {
    let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
    let place = if index < 1000 {
        format!("{index:03}")
    } else {
        format!("x{:03}/{:03}", index / 1000, index % 1000)
    };
    format!("tile/{level}/{place}{partial}")
}

pub fn signed(origin: &str, size: usize, root: &[u8; 32], signer: &Signer) -> String {
    let text = format!("{origin}\n{size}\n{}\n", BASE64.encode(root));
    format!("{text}\n{}", signer.line(&text))
}

/// A site with two gateways and a key service.
pub struct TestSite {
    pub site: TestLog,
    pub logs: Vec<TestLog>,
}

impl TestSite {
    pub fn new(entries: usize) -> Self {
        let mut logs = Vec::new();
        for (origin, prefix, seed) in
            [(KEYS, "keys", 20), (GATEWAYS[0], "gw/a", 21), (GATEWAYS[1], "gw/b", 22)]
        {
            let mut log = TestLog::new(origin, prefix, seed);
            if prefix == "keys" {
                log.leaves = (0..entries.min(9)).map(release).collect();
            } else {
                fill(&mut log, entries);
            }
            logs.push(log);
        }
        let mut site = Self { site: TestLog::new(SITE, "site", 19), logs };
        site.enrol();
        site.round();
        site
    }

    pub fn add(&mut self, kind: u8, body: &Value) {
        let index = self.site.leaves.len() as u64;
        let mut bytes = b"CLVS\x01".to_vec();
        bytes.extend([kind, 0, 0]);
        bytes.extend(&sha(SITE.as_bytes())[..8]);
        bytes.extend(index.to_be_bytes());
        bytes.extend((START + 1_000_000 + index).to_be_bytes());
        bytes.extend(encode(body));
        self.site.leaves.push(bytes);
    }

    pub fn enrol(&mut self) {
        let list = self.logs.iter().map(|log| {
            let role = if log.prefix == "keys" { 2 } else { 1 };
            cbor!([log.origin, log.signer().vkey(), role, log.prefix]).unwrap()
        });
        let list: Vec<_> = list.collect();
        self.add(2, &cbor!({ 0 => list }).unwrap());
    }

    /// The lines of an honest round.
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.logs.iter().map(|log| {
            let size = log.leaves.len();
            cbor!([log.origin, size, Value::Bytes(log.root(size).to_vec())]).unwrap()
        });
        lines.collect()
    }

    pub fn round(&mut self) {
        let lines = self.lines();
        self.add(1, &cbor!({ 0 => lines }).unwrap());
    }

    pub fn publish(&self) -> Files {
        let mut files = self.site.publish(self.site.leaves.len());
        for log in &self.logs {
            files.extend(log.publish(log.leaves.len()));
        }
        files
    }

    /// The request to cosign the site log, from the size that was cosigned last.
    pub fn ask(&self, old: usize) -> String {
        request(&self.site, old, self.site.leaves.len())
    }
}

/// Adds honest entries of every kind to a gateway's log.
pub fn fill(log: &mut TestLog, count: usize) {
    let mut honest = Log::honest(count);
    for entry in &mut honest.entries {
        entry.gateway = sha(log.origin.as_bytes())[..8].try_into().unwrap();
    }
    log.leaves = honest.entries.iter().map(|entry| entry.encode()).collect();
    log.extras = honest.publish();
    log.extras.retain(|path, _| path.starts_with("tags/") || path.starts_with("rulebook/"));
}

pub fn release(index: usize) -> Vec<u8> {
    let mut leaf = vec![0; 160];
    leaf[..8].copy_from_slice(b"CLVK\x01\x01\x01\x01");
    leaf[8..16].copy_from_slice(&sha(KEYS.as_bytes())[..8]);
    leaf[16..24].copy_from_slice(&(index as u64).to_be_bytes());
    leaf[24..32].copy_from_slice(&START.to_be_bytes());
    leaf[32] = index as u8;
    (leaf[81], leaf[87], leaf[88]) = (1, 1, 9);
    leaf
}

/// The body of an honest request.
pub fn request(log: &TestLog, old: usize, new: usize) -> String {
    body(old, &consistency(old, &log.hashes(new), true), &log.note(new))
}

pub fn body(old: usize, proof: &[[u8; 32]], note: &str) -> String {
    let lines: String = proof.iter().map(|hash| format!("{}\n", BASE64.encode(hash))).collect();
    format!("old {old}\n{lines}\n{note}")
}

/// RFC 6962 §2.1.2.
pub fn consistency(old: usize, hashes: &[[u8; 32]], whole: bool) -> Vec<[u8; 32]> {
    if old == 0 || old == hashes.len() {
        return if whole { Vec::new() } else { vec![root(hashes)] };
    }
    let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
    if old <= left.len() {
        let mut proof = consistency(old, left, whole);
        proof.push(root(right));
        return proof;
    }
    let mut proof = consistency(old - left.len(), right, false);
    proof.push(root(left));
    proof
}

/// What the server has.
#[derive(Default)]
pub struct Shelf {
    pub files: Files,
    /// Prefixes of paths that are answered with 503.
    pub cut: Vec<String>,
    /// Prefixes of paths that are never answered.
    pub hung: Vec<String>,
    pub hits: BTreeMap<String, usize>,
}

/// An HTTP server of files, as long as the test runs.
pub struct Server {
    pub shelf: Arc<Mutex<Shelf>>,
    address: SocketAddr,
}

impl Server {
    pub fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shelf = Arc::new(Mutex::new(Shelf { files, ..Shelf::default() }));
        let shared = Arc::clone(&shelf);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&shared);
                thread::spawn(move || drop(answer(stream, &shelf)));
            }
        });
        Self { shelf, address }
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, files: Files) {
        self.shelf.lock().unwrap().files = files;
    }

    pub fn with(&self, change: impl FnOnce(&mut Shelf)) {
        change(&mut self.shelf.lock().unwrap());
    }
}

fn answer(stream: TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        let (status, body) = {
            let mut shelf = shelf.lock().unwrap();
            *shelf.hits.entry(path.clone()).or_default() += 1;
            if shelf.hung.iter().any(|hung| path.starts_with(hung)) {
                drop(shelf);
                thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
            if shelf.cut.iter().any(|cut| path.starts_with(cut)) {
                (503, b"cut".to_vec())
            } else {
                shelf.files.get(&path).map_or((404, Vec::new()), |bytes| (200, bytes.clone()))
            }
        };
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
        writer.write_all(&[head.as_bytes(), &body].concat())?;
    }
}

/// A folder with a mirror's keys and configuration.
pub struct Home {
    pub folder: TempDir,
    pub mirror_vkey: String,
    pub witness_vkey: String,
}

impl Home {
    /// `more` is added to the configuration; the site is followed if a base is given.
    pub fn new(base: Option<&str>, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let key = |name: &str| {
            audit::keygen(
                &format!("auditor.test/{name}"),
                audit::KeyKind::Cosigner,
                &at(&format!("{name}.seed")),
            )
        };
        let (mirror, witness) = (key("mirror").unwrap(), key("witness").unwrap());
        fs::write(at("site.vkey"), TestLog::new(SITE, "site", 19).signer().vkey()).unwrap();
        fs::write(at("operator.vkey"), operator().vkey()).unwrap();
        fs::write(at("auditor.vkey"), auditor().vkey()).unwrap();
        fs::write(at("stranger.vkey"), stranger().signer().vkey()).unwrap();
        for log in [KEYS, GATEWAYS[0], GATEWAYS[1]] {
            let seed =
                [KEYS, GATEWAYS[0], GATEWAYS[1]].iter().position(|one| *one == log).unwrap() as u8 + 20;
            let name = format!("{}.vkey", log.rsplit('/').next().unwrap());
            fs::write(at(&name), Signer::new(log, seed).vkey()).unwrap();
        }
        let mut config = String::from(
            "listen = \"127.0.0.1:0\"\nfolder = \"state\"\n[keys]\n\
             mirror = { seed = \"mirror.seed\", name = \"auditor.test/mirror\" }\n\
             witness = { seed = \"witness.seed\", name = \"auditor.test/witness\" }\n",
        );
        if let Some(base) = base {
            config += &format!(
                "[[site]]\nbase = \"{base}\"\nsite_vkey = \"site.vkey\"\noperator_vkey = \"operator.vkey\"\n\
                 auditor_vkey = \"auditor.vkey\"\n"
            );
        }
        fs::write(at("mirror.toml"), config + more).unwrap();
        Self { folder, mirror_vkey: mirror.vkey(), witness_vkey: witness.vkey() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn start(&self) -> audit::Mirror {
        audit::Mirror::start(audit::MirrorConfig::read(&self.path("mirror.toml")).unwrap()).unwrap()
    }
}

/// A log that is only witnessed.
pub fn stranger() -> TestLog {
    let mut log = TestLog::new("stranger.test/log", "stranger", 33);
    log.leaves = (0..200_u8).map(|byte| vec![byte; 7]).collect();
    log
}

/// Status, content type and body of an answer.
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub body: String,
}

pub fn http(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let broken = || std::io::Error::other("no answer");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    Ok(Answer { status, kind: kind.to_owned(), body: body.to_owned() })
}

pub fn ask(address: SocketAddr, body: &str) -> Answer {
    http(address, "POST", "/add-checkpoint", body.as_bytes()).unwrap()
}

pub fn status(address: SocketAddr) -> serde_json::Value {
    serde_json::from_str(&http(address, "GET", "/status", b"").unwrap().body).unwrap()
}

pub fn is_green(address: SocketAddr) -> bool {
    status(address)["coverage"] == "green"
}

/// Why it is red, in one text.
pub fn reasons(address: SocketAddr) -> String {
    status(address)["reasons"].to_string()
}

/// Waits for a condition, and fails the test if it does not come.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Whether `line` is a cosignature of `vkey` over the text of `note`.
pub fn is_cosigned(line: &str, vkey: &str, note: &str) -> bool {
    let (name, rest) = vkey.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    let Some(blob) = line.strip_prefix(&format!("— {name} ")).and_then(|blob| blob.strip_suffix('\n'))
    else {
        return false;
    };
    let blob = BASE64.decode(blob.as_bytes()).unwrap();
    let time = u64::from_be_bytes(blob[4..12].try_into().unwrap());
    let text = &note[..note.find("\n\n").unwrap() + 1];
    let message = format!("cosignature/v1\ntime {time}\n{text}");
    let key = BASE64.decode(key.as_bytes()).unwrap();
    HEXLOWER.encode(&blob[..4]) == id
        && key[0] == 4
        && UnparsedPublicKey::new(&ED25519, &key[1..]).verify(message.as_bytes(), &blob[12..]).is_ok()
}

pub fn hex_of(origin: &str) -> String {
    HEXLOWER.encode(&sha(origin.as_bytes()))
}

pub fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|item| item.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
