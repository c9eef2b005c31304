//! People's records over both engines, beside pgbench on the same server in the same run: `cargo bench -p clover-vault
//! --bench records [SECONDS]`. Records of 1 KiB, sealed; the peer's rows hold as many random bytes in the clear.
//! `CLOVER_BENCH_SITES=DIR` takes the cluster that `scripts/sites --dir DIR up` made, with its quorum and its certificates.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench that cannot be set up has nothing to measure, and prints what it has"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledger::Submission;
use ledger::note::Signer;
use model::{Country, UnixSeconds};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use testkit::{Dice, MemoryIndex, Postgres};
use vault::keys::PersonKeys;
use vault::log::{Database, Hooks, Identity, Options};
use vault::records::{Coming, Home, HomeEvidence, Person, Precondition, RecordId, Records, Write};
use vault::{Folder, KeyService, Log};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
const PEOPLE: usize = 100;
const RECORDS: usize = 500;
const ORIGIN: &str = "gateway.bench/log";

struct Bench {
    keys: KeyService,
    log: Log,
    people: Vec<(Person, PersonKeys)>,
}

fn json(dice: &mut Dice) -> Vec<u8> {
    let text: String = (0..1000).map(|_| char::from(b'a' + u8::try_from(dice.below(26)).unwrap())).collect();
    format!("{{\"text\":\"{text}\"}}").into_bytes()
}

impl Bench {
    fn new(folder: &Path) -> Self {
        KeyService::create(folder).unwrap();
        let keys = KeyService::open(folder, "set").unwrap();
        let disk = Arc::new(Folder::open(&folder.join("log")).unwrap());
        let identity =
            || Identity { origin: ORIGIN.to_owned(), signer: Signer::from_seed(ORIGIN, &[7; 32]).unwrap() };
        Log::create(disk.as_ref(), &identity()).unwrap();
        let hooks =
            Hooks { reopening: None, index: Arc::new(MemoryIndex::default()), fatal: Box::new(|_| ()) };
        let log = Log::open(disk, identity(), Options::default(), hooks).unwrap();
        Self { keys, log, people: Vec::new() }
    }

    /// Imports everybody; the seconds that it took, for how many bytes.
    fn import(&mut self, records: &Records) -> (f64, usize) {
        let (mut dice, mut bytes) = (Dice::new(7), 0);
        let texts: Vec<Vec<u8>> = (0..64).map(|_| json(&mut dice)).collect();
        let began = Instant::now();
        let mut arrived = Vec::new();
        for n in 0..PEOPLE {
            let mut arrival = records.arrival(&self.keys, NOW).unwrap();
            for place in 0..RECORDS {
                let text = &texts[(n + place) % texts.len()];
                bytes += text.len();
                arrival.put("notes", text).unwrap();
            }
            let home =
                Home { country: Country::parse("IE").unwrap(), from: NOW, evidence: HomeEvidence::Account };
            let subject = self.keys.subject_id(&format!("person-{n}"));
            arrived.push(arrival.finish(Coming { subject, home, lookups: Vec::new() }).unwrap());
        }
        let submission = Submission::leaf(vec![7; 256]);
        let digest = submission.entry();
        let receipt = self.log.submit_and_wait(submission).unwrap();
        records.admit(&arrived, &digest, &receipt).unwrap();
        let took = began.elapsed().as_secs_f64();
        self.people = (0..PEOPLE)
            .map(|n| {
                let person = records.person(&self.keys.subject_id(&format!("person-{n}"))).unwrap().unwrap();
                let keys = records.keys_of(&self.keys, &person).unwrap();
                (person, keys)
            })
            .collect();
        (took, bytes)
    }
}

/// How often a second so many threads do something, for so long.
fn rate(threads: u64, time: Duration, one: impl Fn(&mut Dice, u64) + Sync) -> f64 {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|s| {
        for thread in 0..threads {
            let (stop, done, one) = (&stop, &done, &one);
            s.spawn(move || {
                let mut dice = Dice::new(thread);
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    one(&mut dice, thread << 40 | n);
                    n += 1;
                }
                done.fetch_add(n, Ordering::Relaxed);
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    let (done, seconds) = (u32::try_from(done.into_inner()).unwrap(), began.elapsed().as_secs_f64());
    f64::from(done) / seconds
}

fn gets(bench: &Bench, records: &Records, threads: u64, time: Duration) -> f64 {
    rate(threads, time, |dice, _| {
        let (person, keys) = &bench.people[dice.below(PEOPLE)];
        let id = RecordId::imported(u32::try_from(dice.below(RECORDS)).unwrap());
        assert!(records.get(person, keys, "notes", &id).unwrap().is_some());
    })
}

fn puts(bench: &Bench, records: &Records, threads: u64, time: Duration, round: u64) -> f64 {
    let text = json(&mut Dice::new(1));
    rate(threads, time, |dice, n| {
        let (person, keys) = &bench.people[dice.below(PEOPLE)];
        let id = RecordId::parse(&format!("new-{round}-{n}")).unwrap();
        let write = Write { collection: "notes", id: &id, expect: Precondition::New, json: Some(&text) };
        records.change(person, keys, NOW, &[write]).unwrap();
    })
}

fn embedded(time: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(folder.path());
    let records = Records::open(&folder.path().join("records")).unwrap();
    let (took, bytes) = bench.import(&records);
    let count = f64::from(u32::try_from(PEOPLE * RECORDS).unwrap());
    println!(
        "embedded  import          {:>9.0} records/s, {:.0} MB/s",
        count / took,
        bytes as f64 / took / 1e6
    );
    for round in 0..3 {
        println!("embedded  get, 2 threads  {:>9.0}/s", gets(&bench, &records, 2, time));
        println!("embedded  put, 32 writers {:>9.0}/s", puts(&bench, &records, 32, time, round));
        println!("embedded  put, 1 writer   {:>9.0}/s", puts(&bench, &records, 1, time, 100 + round));
    }
}

/// The server of both.
struct Server {
    database: Database,
    programs: PathBuf,
    /// How libpq reaches it.
    told: Vec<(String, String)>,
    _own: Option<Postgres>,
}

impl Server {
    fn own() -> Self {
        let server = Postgres::start().unwrap();
        let socket = server.socket().parent().unwrap().display().to_string();
        let told = [("PGHOST", socket.as_str()), ("PGUSER", "clover"), ("PGDATABASE", "clover")];
        let told = told.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let database = Database { address: server.address(), ..Database::default() };
        Self { database, programs: server.programs().to_owned(), told, _own: Some(server) }
    }

    /// The four sites of a folder.
    fn sites(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("client.env")).unwrap();
        let told: Vec<(String, String)> = text
            .lines()
            .filter_map(|l| l.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let of = |name: &str| told.iter().find(|(k, _)| k == name).unwrap().1.clone();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(of("PGSSLROOTCERT")).unwrap()).unwrap();
        let certificate = CertificateDer::from_pem_file(of("PGSSLCERT")).unwrap();
        let key = PrivateKeyDer::from_pem_file(of("PGSSLKEY")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .unwrap();
        let address =
            format!("host={} hostaddr={} user=clover dbname=clover", of("PGHOST"), of("PGHOSTADDR"));
        let database = Database { address, tls: Some(Arc::new(tls)), quorum: 2, ..Database::default() };
        let programs =
            std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|d| d.path().join("bin"));
        Self { database, programs: programs.max().unwrap(), told, _own: None }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(self.programs.join(program))
            .args(arguments)
            .envs(self.told.iter().cloned())
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn sql(&self, statements: &str) {
        self.run("psql", &["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statements]);
    }

    /// What pgbench says of a script, in transactions a second.
    fn pgbench(&self, script: &str, clients: u64, time: Duration, folder: &Path) -> f64 {
        let file = folder.join("script.sql");
        std::fs::write(&file, script).unwrap();
        let (clients, seconds) = (clients.to_string(), time.as_secs().max(1).to_string());
        let file = file.to_str().unwrap();
        let said = self
            .run("pgbench", &["-n", "-M", "prepared", "-j", "2", "-c", &clients, "-T", &seconds, "-f", file]);
        let line = said.lines().find(|l| l.starts_with("tps = "));
        let line = line.unwrap_or_else(|| panic!("pgbench: {said}"));
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    }
}

fn postgres(server: &Server, called: &str, time: Duration) {
    let folder = tempfile::tempdir().unwrap();
    Records::create_in(&server.database).unwrap();
    let mut bench = Bench::new(folder.path());
    let records = Records::open_in(&server.database, None, &folder.path().join("records"), NOW).unwrap();
    server.sql(
        "drop table if exists peer; drop sequence if exists peers; \
         create table peer (id bigint primary key, value bytea not null); \
         alter table peer alter value set storage external; create sequence peers",
    );
    let rows = PEOPLE * RECORDS;
    let file = folder.path().join("peer.copy");
    let text = (0..rows).map(|n| format!("{n}\t\\\\x{}\n", "a5".repeat(1060))).collect::<String>();
    std::fs::write(&file, text).unwrap();
    let (took, bytes) = bench.import(&records);
    let began = Instant::now();
    server.sql(&format!("\\copy peer from '{}'", file.display()));
    let peer = began.elapsed().as_secs_f64();
    println!(
        "{called}  import          {:>9.0} records/s, {:.0} MB/s",
        rows as f64 / took,
        bytes as f64 / took / 1e6
    );
    println!("{called}  plain COPY      {:>9.0} rows/s; ratio {:.2}", rows as f64 / peer, peer / took);
    server.sql(&format!("analyze peer; select setval('peers', {rows})"));
    let get = format!("\\set id random(0, {})\nselect value from peer where id = :id;\n", rows - 1);
    let put = "insert into peer values (nextval('peers'), decode(repeat('a5', 1060), 'hex'));\n";
    let ratio = |what: &str, clients: u64, peer: &dyn Fn() -> f64, ours: &dyn Fn() -> f64| {
        let (peer, ours) = (peer(), ours());
        println!(
            "{called}  {what}, {clients} clients  {ours:>9.0}/s, pgbench {peer:.0}/s; ratio {:.2}",
            ours / peer
        );
    };
    for round in 0..3 {
        for clients in [1, 8] {
            let peer = |script: &str| server.pgbench(script, clients, time, folder.path());
            ratio("get", clients, &|| peer(&get), &|| gets(&bench, &records, clients, time));
            let ours = || puts(&bench, &records, clients, time, round * 10 + clients);
            ratio("put", clients, &|| peer(put), &ours);
        }
    }
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(3);
    let time = Duration::from_secs(seconds);
    match std::env::var_os("CLOVER_BENCH_SITES") {
        Some(folder) => postgres(&Server::sites(Path::new(&folder)), "sites", time),
        None => {
            embedded(time);
            postgres(&Server::own(), "postgres", time);
        }
    }
}
