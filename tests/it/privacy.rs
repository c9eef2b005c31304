//! Who was seen and who looked is nowhere but where it belongs: not in logs, metrics, status, messages, nor in
//! what is published.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;
use xtask::client::Client;
use xtask::story;
use xtask::world::{World, at, clover, clover_raw};

use crate::support::{SEED, SUPPORT, Stage, change_rule, files, secrets};

/// An actor whose name stands nowhere by chance.
const LONG_NAME: &str = "zebediah.quuxworth";

/// Everything about anybody that must not be seen: sample people, addresses of the network from their files, the
/// actor, and the handle of the person who was read.
fn needles(stage: &Stage) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = stage.world.people.iter().flat_map(|(_, p)| secrets(p)).collect();
    for file in files(&stage.world.layout.root().join("sample")) {
        let text = std::fs::read_to_string(file).unwrap();
        for key in ["\"IP\":\"", "\"userName\":\""] {
            let values = text.split(key).skip(1).filter_map(|rest| rest.split('"').next());
            all.extend(values.filter(|v| v.len() >= 6).map(str::to_owned));
        }
    }
    all.insert(LONG_NAME.to_owned());
    all.extend(["127.0.1.10", "127.0.33.10", "127.0.44.10", "127.0.55.10"].map(str::to_owned));
    all.extend((0..2).map(|n| stage.world.subject(n).unwrap().to_owned()));
    all
}

/// How many first bytes of a needle are looked up; no needle is shorter.
const LEAD: usize = 6;

/// Looks for needles, all in one pass.
struct Search {
    leads: HashMap<[u8; LEAD], Vec<String>>,
    found: BTreeSet<String>,
}

impl Search {
    fn new(needles: BTreeSet<String>) -> Self {
        let mut leads: HashMap<_, Vec<String>> = HashMap::new();
        for needle in needles {
            leads.entry(*needle.as_bytes().first_chunk().unwrap()).or_default().push(needle);
        }
        Self { leads, found: BTreeSet::new() }
    }

    fn look(&mut self, what: &str, bytes: &[u8]) {
        // Segments are filled with zeros in advance.
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
        for (at, window) in bytes[..end].windows(LEAD).enumerate() {
            for needle in self.leads.get(window).into_iter().flatten() {
                if bytes[at..].starts_with(needle.as_bytes()) {
                    self.found.insert(format!("{what}: {needle}"));
                }
            }
        }
    }
}

fn control(world: &World, path: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(world.control).unwrap();
    let mut bytes = Vec::new();
    std::io::Write::write_all(&mut stream, format!("GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").as_bytes())
        .unwrap();
    std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
    bytes
}

/// The story, and what goes wrong beside it: by an actor with a name, for a person, with errors.
async fn busy(stage: &Stage) {
    xtask::story::play(&stage.world, |_| {}).await.unwrap();
    let layout = &stage.world.layout;
    let add =
        ["actor", "add", "--id", LONG_NAME, "--kind", "employee", "--employer", "acme-eu", "--qualified"];
    clover(layout, &add).unwrap();
    let asker = stage.world.colleague(LONG_NAME, "IE", at::DUBLIN).unwrap();
    let aoife = stage.world.colleague("aoife", "IE", at::DUBLIN).unwrap();
    let wanted = story::grant_wanted("G-7", stage.world.subject(1).unwrap());
    story::granted(&asker, &wanted, &[&aoife]).await.unwrap();
    let named = stage.world.caller("employee", LONG_NAME, Some("IE"), at::DUBLIN).unwrap();
    let headers = [SUPPORT[0], ("clover-grant", "G-7")];
    let read = named.post("/v1/read", &headers, &stage.email_of(1)).await.unwrap();
    assert!(stage.is_email(&read, 1), "{}", read.text());
    let other = named.post("/v1/read", &headers, &stage.email_of(0)).await.unwrap();
    assert_eq!(other.status.as_u16(), 403);
    let person = stage.world.person(0).unwrap();
    for path in [
        format!("/v1/{}", person.email),
        format!("/lanes/{}?x={}", person.user_name, person.phone.trim_start_matches('+')),
    ] {
        let answer = named
            .get(&path, &[("clover-purpose", &person.user_name), ("clover-grant", &person.email)])
            .await
            .unwrap();
        assert_eq!(answer.status.as_u16(), 404);
        assert_eq!(stage.names_anybody(&answer.text()), None, "an answer repeats its question");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_named_in_logs_metrics_status_messages_or_the_ledger() {
    let mut stage = Stage::new(60).await;
    // The most talkative log there is.
    stage.world.stop().unwrap();
    stage.world.start_under(&["env", "CLOVER_LOG=trace"]).unwrap();
    busy(&stage).await;
    stage.world.published().unwrap();
    let needles = needles(&stage);
    assert!(needles.len() > 400, "{}", needles.len());
    let mut search = Search::new(needles);
    // It finds what is there.
    let person = stage.world.person(0).unwrap();
    search.look("probe", format!("{} {}\0", person.email, person.phone).as_bytes());
    assert_eq!(std::mem::take(&mut search.found).len(), 2);
    for path in ["/status", "/metrics", "/healthz"] {
        search.look(path, &control(&stage.world, path));
    }
    let metrics = String::from_utf8(control(&stage.world, "/metrics")).unwrap();
    assert!(
        metrics.contains("clover_crossings_total{") && metrics.contains("outcome=\"refused\""),
        "{metrics}"
    );
    // What the command line says about things that are there, or not.
    let root = stage.world.layout.root().to_owned();
    let sample = root.join("sample").display().to_string();
    let commands: [&[&str]; 4] = [&["import", &sample], &["status"], &["serve"], &["rulebook", "show"]];
    for arguments in commands {
        let output = clover_raw(&stage.world.layout, arguments).unwrap();
        search.look(arguments[0], &[output.stdout, output.stderr].concat());
    }
    let log = std::fs::read(root.join("serve.log")).unwrap();
    assert!(!log.is_empty());
    search.look("serve.log", &log);
    stage.must_audit_clean();
    for folder in ["ledger", "details", "wal", "vault"] {
        for file in files(&root.join(folder)) {
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            search.look(&name, &std::fs::read(&file).unwrap());
        }
    }
    // The store finds a person by their handle; the rest of what it holds is sealed.
    let handles: Vec<_> = (0..2).map(|n| stage.world.subject(n).unwrap().to_owned()).collect();
    search.found.retain(|f| !f.starts_with("vault/") || !handles.iter().any(|h| f.ends_with(h.as_str())));
    assert!(search.found.is_empty(), "{:#?}", search.found);
}

/// The tokens of authors in an answer about public videos.
async fn authors(client: &Client, purpose: &str) -> BTreeSet<String> {
    let answer = client.get("/lanes/public-videos", &[("clover-purpose", purpose)]).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let rows = answer.json();
    let of = |row: &Value| row["author"].as_str().unwrap().to_owned();
    let all: BTreeSet<String> = rows.as_array().unwrap().iter().map(of).collect();
    assert!(all.len() > 3 && all.iter().all(|a| a.starts_with("t1.")), "{all:?}");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_recipients_cannot_compare_pseudonyms() {
    // In a country whose assessment names this form of public data.
    let (folder, layout) = Stage::folder(60);
    let china = "measures = [\"counts of at least 50 people\"]";
    change_rule(&layout, "assessments.toml", |text| {
        let (before, after) = text.split_once(china).unwrap();
        format!("{before}{china}{}", after.replacen("\"aggregate\"", "\"pseudonymised\"", 1))
    });
    // What a service inside has to find again opens there.
    change_rule(&layout, "lanes.toml", |text| {
        let (before, after) = text.split_once("path = \"/v1/public\"\n").unwrap();
        format!(
            "{before}path = \"/v1/public\"\nreversible = {{ \"video.public.video_id\" = \"token\" }}\n{after}{TOKENS}"
        )
    });
    let world = World::open(layout.root(), 60, SEED, |_| {}).await.unwrap();
    let stage = Stage::of(world, folder);
    // Somebody of another company, in the same place.
    let add = ["actor", "add", "--id", "otto", "--kind", "employee", "--employer", "acme-eu", "--qualified"];
    clover(&stage.world.layout, &add).unwrap();
    let otto = stage.world.caller("employee", "otto", Some("CN"), at::BEIJING).unwrap();
    let li = stage.li();
    let (first, again) = (authors(&li, "research").await, authors(&li, "research").await);
    assert_eq!(first, again, "one recipient can follow an author");
    assert!(first.is_disjoint(&authors(&otto, "research").await), "two recipients can join what they hold");
    assert!(first.is_disjoint(&authors(&li, "support").await), "two purposes can be joined");
    opened_inside_only(stage).await;
}

/// A registered use of a service inside.
const TOKENS: &str = r#"
[[inside]]
name = "video-tokens"
service = "account-service"
dataset = "video"
collections = ["public"]
acts = ["detokenise"]
purpose = "operation"
active = true
"#;

/// Tokens that a lane made so are opened by the service that is registered for it, for whom they were made, and counted.
async fn opened_inside_only(mut stage: Stage) {
    let li = stage.li();
    let videos = li.get("/lanes/public-videos", &[("clover-purpose", "research")]).await.unwrap().json();
    let token = videos[0]["video_id"].as_str().unwrap().to_owned();
    assert!(token.starts_with("s1.1."), "{token}");
    let wanted = |employer: &str, field: &str| {
        serde_json::json!({
            "lane": "public-videos", "field": field, "recipient": { "employer": employer },
            "purpose": "research", "tokens": [token, "s1.1.aaaa"],
        })
    };
    let headers = [("clover-use", "video-tokens")];
    let path = "/v1/records/detokenise";
    let inside = stage.world.caller("service", "account-service", Some("IE"), at::DUBLIN).unwrap();
    let opened =
        inside.post(path, &headers, &wanted("acme-cn", "video.public.video_id")).await.unwrap().json();
    let value = opened["values"][0].as_str().unwrap_or_default();
    assert!(value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty(), "{opened}");
    assert_eq!(opened["values"][1], Value::Null);
    let others =
        inside.post(path, &headers, &wanted("acme-eu", "video.public.video_id")).await.unwrap().json();
    assert_eq!(others["values"][0], Value::Null, "made for somebody else: {others}");
    let before = stage.size();
    let undeclared = inside.post(path, &headers, &wanted("acme-cn", "video.public.author")).await.unwrap();
    let outside = li.post(path, &headers, &wanted("acme-cn", "video.public.video_id")).await.unwrap();
    assert_eq!((undeclared.status.as_u16(), outside.status.as_u16()), (403, 403), "{}", outside.text());
    assert_eq!(stage.size(), before + 2, "both are on the record");
    stage.must_audit_clean();
    let sums: Vec<_> = crate::support::entries(&stage.world.ledger());

    let inside = |e: &ledger::Draft| e.kind == ledger::EntryKind::Inside;
    assert!(sums.iter().any(|e| inside(e) && e.bytes > 0), "what was opened is summed up");
}

#[test]
fn secret_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, layout) = Stage::folder(8);
    let secret = |p: &Path| p.extension().is_some_and(|e| ["seed", "key", "b64"].iter().any(|s| e == *s));
    let all: Vec<_> = files(layout.root()).into_iter().filter(|p| secret(p)).collect();
    assert!(all.len() >= 6, "{all:?}");
    for path in all {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}
