//! `clover-audit serve`: what its pages show, what they never hold, and whom they do not answer.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on shall fail")]

#[path = "lies/site.rs"]
#[expect(unreachable_pub, dead_code, reason = "a module of another test too")]
mod site;
#[path = "audit/writer.rs"]
#[expect(unreachable_pub, dead_code, reason = "a module of several tests")]
mod writer;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use audit::{
    Clock, Incidents, KeyKind, Opening, Parties, Reference, Serve, ServeError, ServeOptions, Severity,
    SigningKey, VerifierKey, keygen,
};
use serde_json::{Value, json};
use site::{LATER, World};
use tempfile::TempDir;
use writer::{Signer, auditor, operator};

const PAGES: [&str; 8] =
    ["/", "/findings", "/incidents", "/samples", "/compare", "/watch", "/report", "/incidents/fire-1"];
const DAYS: &str = "from=2030-03-17&to=2030-03-18";

/// A mirror's folder and a watch's, with an incident that was opened under this clock.
struct Home(TempDir);

/// Status, head and body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn now() -> u64 {
    LATER + 5
}

fn much_later() -> u64 {
    LATER + 5 + 80 * 3600
}

impl Home {
    fn new(world: &World) -> Self {
        let home = Self(TempDir::new().unwrap());
        site::write(&world.publish(), &home.path("mirror"));
        let seed = home.path("watch.seed");
        let watch = keygen("watch.test", KeyKind::Auditor, &seed).unwrap();
        let party = |name: &str, company: &str, vkey: &str| {
            format!("[[party]]\nname = \"{name}\"\ncompany = \"{company}\"\nvkey = \"{}\"\n", vkey.trim())
        };
        let list = party("operator", "<b>Example</b> & Co", &operator().vkey())
            + &party("auditor", "Checks Ltd", &watch.vkey());
        fs::write(home.path("parties.toml"), list).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn parties(&self) -> Parties {
        Parties::read(&self.path("parties.toml")).unwrap()
    }

    /// Opens an incident whose text means mischief, and does nothing more.
    fn incident(&self, id: &str) {
        let key = SigningKey::read("watch.test", KeyKind::Auditor, &self.path("watch.seed")).unwrap();
        let opening = Opening {
            rule: "WATCH-09".into(),
            severity: Severity::Grave,
            cause: "operator".into(),
            about: "\"><img src=x>".into(),
            clock_seconds: 72 * 3600,
            references: vec![Reference { origin: "ledger.test/s/a".into(), index: 3 }],
            text: "<script>alert('x')</script> crossed `over`".into(),
        };
        let clock = Clock { wall: now() - 3600, ledger: 0, running: 0 };
        Incidents::at(&self.path("own"), self.parties()).unwrap().open(id, &opening, &key, clock).unwrap();
    }

    fn options(&self) -> ServeOptions {
        let key = |signer: Signer| VerifierKey::parse(&signer.vkey()).unwrap();
        ServeOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            names: Vec::new(),
            mirror: self.path("mirror"),
            site: key(site::site_key()),
            operator: key(operator()),
            auditor: key(auditor()),
            watch: Some((self.path("own"), self.parties())),
            numbers: None,
            work: None,
            every: Duration::from_secs(300),
            thorough: true,
            clock: now,
        }
    }

    /// Starts, and waits for the first whole check.
    fn start(&self) -> Serve {
        checked(Serve::start(self.options()).unwrap())
    }
}

#[track_caller]
fn checked(serve: Serve) -> Serve {
    until(|| {
        let check = &status(&serve)["check"];
        check["running_since"].is_null() && (!check["ended"].is_null() || !check["failure"].is_null())
    });
    serve
}

#[track_caller]
fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "it did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

fn ask(address: SocketAddr, method: &str, path: &str, host: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\n{host}connection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn get(serve: &Serve, path: &str) -> Answer {
    ask(serve.address(), "GET", path, &format!("host: {}\r\n", serve.address()))
}

fn status(serve: &Serve) -> Value {
    serde_json::from_str(&get(serve, "/status.json").body).unwrap()
}

/// What must hold for every page, whatever it says.
#[track_caller]
fn is_sound(answer: &Answer) {
    let Answer { head, body, .. } = answer;
    for line in [
        "content-security-policy: default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(line), "`{line}` is missing in\n{head}");
    }
    assert!(body.starts_with("<!doctype html>\n<html lang=\"en\">"), "{body}");
    for inline in ["<script", "<style", " style=", " onclick", "javascript:", "http://", "https://", "<img"] {
        assert!(!body.contains(inline), "`{inline}` is in\n{body}");
    }
    let count = |what: &str| body.matches(what).count();
    for once in
        ["<h1>", "<main ", "<footer>", "class=\"skip\"", "<link rel=\"stylesheet\" href=\"/style.css\">"]
    {
        assert_eq!(count(once), 1, "{once}");
    }
    assert_eq!(count("<table"), count("<caption"), "every table has a caption");
    assert!(!body.contains("<th>"), "every heading of a table has its scope");
}

/// A server of one answer, as long as the test runs.
fn operator_says(body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let found = head[..length].starts_with(b"GET /public/numbers.json ");
            let status = if found { "200 ok" } else { "404 no" };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    base
}

#[test]
fn every_page_answers_with_its_headers_and_without_inline_style_or_script() {
    let home = Home::new(&World::honest());
    home.incident("fire-1");
    let serve = home.start();
    for path in PAGES {
        let answer = get(&serve, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        is_sound(&answer);
    }
    let style = get(&serve, "/style.css");
    assert!(style.status == 200 && style.head.contains("text/css") && !style.body.contains("url("));
    assert_eq!(get(&serve, "/icon.svg").status, 200);
    assert_eq!((get(&serve, "/healthz").status, get(&serve, "/healthz").body.as_str()), (200, "ok\n"));
    let head = ask(serve.address(), "HEAD", "/", &format!("host: {}\r\n", serve.address()));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let status = status(&serve);
    assert_eq!((&status["coverage"], &status["findings"]), (&"green".into(), &0.into()), "{status}");
    assert_eq!(status["incidents_open"], 1);
}

#[test]
fn an_honest_site_is_green_in_words() {
    let home = Home::new(&World::honest());
    fs::create_dir(home.path("own")).unwrap();
    let serve = home.start();
    let page = get(&serve, "/").body;
    assert!(
        page.contains("Green: everything is covered") && page.contains("Everything that was checked holds"),
        "{page}"
    );
    assert!(page.contains("<svg role=\"img\" aria-label=\"Crossings per day from "), "{page}");
    assert!(page.contains("No incident waits for anybody."), "{page}");
    assert!(get(&serve, "/samples").body.contains("To open now"));
    assert_eq!(fs::read_dir(home.path("own")).unwrap().count(), 0, "a page makes no file");
}

#[test]
fn a_flipped_byte_of_the_mirror_is_on_the_overview_with_its_code() {
    let home = Home::new(&World::honest());
    let folder = home.path("mirror/a/tile/entries/000.p");
    let path = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, bytes).unwrap();
    let serve = home.start();
    let page = get(&serve, "/");
    is_sound(&page);
    assert!(page.body.contains("Red: not everything is covered"), "{}", page.body);
    assert!(page.body.contains("AUD-06") || page.body.contains("AUD-05"), "{}", page.body);
    assert!(page.body.contains("do not lead to the signed root"), "its entries count nowhere: {}", page.body);
    let findings = get(&serve, "/findings");
    is_sound(&findings);
    assert!(findings.body.contains("What must hold"), "{}", findings.body);
    assert_eq!(get(&serve, "/findings?code=AUD-99").status, 200);
    assert_eq!(status(&serve)["coverage"], "red");
}

#[test]
fn what_lies_beyond_a_checkpoint_does_not_count_and_a_stray_file_does() {
    let home = Home::new(&World::honest());
    let entries = home.path("mirror/a/tile/0/000.p");
    fs::write(entries.join("200"), vec![7; 200 * 32]).unwrap();
    let serve = home.start();
    assert_eq!(status(&serve)["findings"], 0, "{}", get(&serve, "/findings").body);
    fs::write(home.path("mirror/a/stray<b>"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", home.path("mirror/b/tags")).unwrap();
    let serve = home.start();
    assert_eq!(status(&serve)["findings"], 2, "{}", get(&serve, "/findings").body);
    let page = get(&serve, "/findings");
    is_sound(&page);
    assert!(page.body.contains("AUD-03") && page.body.contains("stray&lt;b&gt;"), "{}", page.body);
}

#[test]
fn a_mirror_that_is_not_there_is_said_on_every_page_and_ends_nothing() {
    let home = Home::new(&World::honest());
    fs::remove_dir_all(home.path("mirror")).unwrap();
    let serve = home.start();
    let page = get(&serve, "/");
    is_sound(&page);
    assert!(page.body.contains("The mirror cannot be read"), "{}", page.body);
    for path in PAGES.iter().take(7) {
        is_sound(&get(&serve, path));
    }
    let report = get(&serve, &format!("/report?{DAYS}"));
    assert!(report.body.contains("cannot read"), "{}", report.body);
    assert_eq!(get(&serve, &format!("/report.json?{DAYS}")).status, 202);
}

#[test]
fn what_an_incident_says_is_escaped_and_its_clock_is_in_words() {
    let home = Home::new(&World::honest());
    home.incident("fire-1");
    let serve = home.start();
    for path in ["/", "/incidents", "/incidents/fire-1"] {
        let page = get(&serve, path);
        is_sound(&page);
        assert!(
            page.body.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; crossed <code>over</code>"),
            "{}",
            page.body
        );
        assert!(page.body.contains("2 days 23 hours left"), "{path}: {}", page.body);
    }
    let page = get(&serve, "/incidents/fire-1").body;
    assert!(page.contains("2 days 23 hours left") && page.contains("Deadline"), "{page}");
    assert!(page.contains("auditor of Checks Ltd") && page.contains("&quot;&gt;&lt;img src=x&gt;"), "{page}");
    let late = ServeOptions { clock: much_later, ..home.options() };
    let late = checked(Serve::start(late).unwrap());
    assert!(
        get(&late, "/incidents").body.contains("overdue by 9 hours"),
        "{}",
        get(&late, "/incidents").body
    );
    assert!(!home.path("own/incidents/clock.json").exists(), "a page keeps no clock");
}

#[test]
fn an_incident_that_is_not_there_is_a_page_of_404() {
    let home = Home::new(&World::honest());
    home.incident("fire-1");
    let serve = home.start();
    for path in [
        "/incidents/fire-2",
        "/incidents/",
        "/incidents/..",
        "/incidents/tmp",
        "/incidents/%3Cscript%3E",
        "/nothing",
    ] {
        let answer = get(&serve, path);
        assert_eq!(answer.status, 404, "{path}");
        is_sound(&answer);
    }
    assert!(get(&serve, "/incidents/fire-2").body.contains("There is no such incident"));
}

#[test]
fn only_get_and_head_and_only_our_own_names_are_answered() {
    let home = Home::new(&World::honest());
    let serve = Serve::start(ServeOptions { names: vec!["Audit.Example".into()], ..home.options() }).unwrap();
    let address = serve.address();
    let ours = format!("host: {address}\r\n");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = ask(address, method, "/", &ours);
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: GET, HEAD"), "{}", answer.head);
        is_sound(&answer);
    }
    for host in [
        "host: evil.example\r\n",
        "host: \r\n",
        "",
        "host: 127.0.0.2\r\n",
        "host: localhost\r\nhost: localhost\r\n",
    ] {
        let answer = ask(address, "GET", "/", host);
        assert_eq!(answer.status, 421, "{host}");
        assert!(!answer.body.contains(site::SITE), "a stranger learns nothing");
    }
    assert_eq!(ask(address, "GET", "http://evil.example/healthz", &ours).status, 421);
    for host in ["localhost:1", "127.0.0.1", "[::1]:8450", "audit.example", "AUDIT.EXAMPLE:8450"] {
        assert_eq!(ask(address, "GET", "/healthz", &format!("host: {host}\r\n")).status, 200, "{host}");
    }
}

#[test]
fn nothing_is_answered_in_the_clear_beyond_this_machine() {
    let home = Home::new(&World::honest());
    let far = ServeOptions { listen: "0.0.0.0:0".parse().unwrap(), ..home.options() };
    assert!(matches!(Serve::start(far), Err(ServeError::Cleartext(_))));
    let signed = rcgen::generate_simple_self_signed(vec!["audit.example".to_owned()]).unwrap();
    fs::write(home.path("tls.pem"), signed.cert.pem()).unwrap();
    fs::write(home.path("tls.key"), signed.signing_key.serialize_pem()).unwrap();
    let secure = || ServeOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        tls: Some((home.path("tls.pem"), home.path("tls.key"))),
        ..home.options()
    };
    assert!(matches!(Serve::start(secure()), Err(ServeError::Nameless(_))));
    let named = Serve::start(ServeOptions { names: vec!["audit.example".into()], ..secure() }).unwrap();
    assert!(named.is_secure());
    let bad = ServeOptions { names: vec!["a/b".into()], ..home.options() };
    assert!(matches!(Serve::start(bad), Err(ServeError::Name(_))));
    let same = ServeOptions { auditor: home.options().operator, ..home.options() };
    assert!(matches!(Serve::start(same), Err(ServeError::SameKey)));
    let far = ServeOptions { numbers: Some(("http://operator.example".into(), None)), ..home.options() };
    assert!(matches!(Serve::start(far), Err(ServeError::Operator(..))));
}

#[test]
fn bad_addresses_get_a_clear_error() {
    let home = Home::new(&World::honest());
    let serve = home.start();
    for (path, status, why) in [
        ("/?page=0", 400, "A page is a number from 1 on."),
        ("/?page=9", 404, "The list has no such page"),
        ("/findings?page=2", 404, "The list has no such page"),
        ("/findings?code=%3Cb%3E", 400, "letters, digits"),
        ("/findings?code=WATCH-01", 400, "A code looks like AUD-05."),
        ("/incidents?page=x", 400, "A page is a number"),
        ("/samples?page=1&page=1", 400, "twice"),
        ("/report?from=2030-03-18&to=2030-03-17", 400, "The first day is after the last day."),
        ("/report?from=2030-02-30&to=2030-03-17", 400, "The first day is not a date"),
        ("/report?to=2030-03-17", 400, "A period needs its first day"),
        ("/report.json", 400, "A period needs its first day"),
    ] {
        let answer = get(&serve, path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(why), "{path}: {}", answer.body);
        if !path.contains(".json") {
            is_sound(&answer);
        }
    }
    assert_eq!(get(&serve, &format!("/{}", "a".repeat(300))).status, 414);
    assert_eq!(get(&serve, &format!("/?{}", "a".repeat(600))).status, 414);
}

#[test]
fn the_report_on_a_period_is_that_of_the_command() {
    let home = Home::new(&World::honest());
    home.incident("fire-1");
    let serve = home.start();
    until(|| get(&serve, &format!("/report.json?{DAYS}")).status == 200);
    let json: Value = serde_json::from_str(&get(&serve, &format!("/report.json?{DAYS}")).body).unwrap();
    assert_eq!(
        (&json["format"], &json["coverage"]["findings"]),
        (&"clover period report v1".into(), &0.into())
    );
    assert!(json["coverage"]["decisions_again"].as_u64().unwrap() > 10, "{json}");
    assert_eq!(json["incidents"].as_array().unwrap().len(), 1);
    let page = get(&serve, &format!("/report?{DAYS}"));
    is_sound(&page);
    let total = json["crossings"]["total"]["crossings"].as_u64().unwrap();
    assert!(page.body.contains(&format!("<dt>crossings</dt><dd>{total}</dd>")), "{}", page.body);
    assert!(page.body.contains("everything checked holds"), "{}", page.body);
}

#[test]
fn the_operators_numbers_are_compared_and_what_differs_is_said_in_words() {
    let home = Home::new(&World::honest());
    let serve = home.start();
    assert!(get(&serve, "/compare").body.contains("no operator was given"));
    until(|| get(&serve, &format!("/report.json?{DAYS}")).status == 200);
    let report: Value = serde_json::from_str(&get(&serve, &format!("/report.json?{DAYS}")).body).unwrap();
    let crossings = &report["crossings"];
    let counts = |map: &Value| {
        let map = map.as_object().unwrap().iter();
        Value::Object(map.map(|(word, volume)| (word.clone(), volume["crossings"].clone())).collect())
    };
    let refusals: u64 = report["refusals"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let entries: usize = World::honest().gateways.iter().map(|log| log.entries.len()).sum();
    let mut numbers = json!({
        "from": "2030-03-17", "to": "2030-03-18", "entries": entries, "refusals": refusals, "new member": [1],
        "crossings": crossings["total"]["crossings"], "by_country": counts(&crossings["by_country"]),
        "by_purpose": counts(&crossings["by_purpose"]), "by_class": counts(&crossings["by_class"]),
        "by_treatment": counts(&crossings["by_treatment"]),
    });
    let page = |numbers: &str| {
        let base = operator_says(numbers.to_owned());
        let with = ServeOptions { numbers: Some((base.clone(), None)), ..home.options() };
        let mut page = get(&checked(Serve::start(with).unwrap()), "/compare");
        // The address of the operator is the one that a page may name.
        page.body = page.body.replace(&base, "");
        page
    };
    let same = page(&numbers.to_string());
    is_sound(&same);
    assert!(same.body.contains("numbers are the same") && !same.body.contains("differs:"), "{}", same.body);
    let said = numbers["crossings"].as_u64().unwrap();
    numbers["crossings"] = (said - 2).into();
    numbers["by_country"]["<b>XX</b>"] = 1.into();
    numbers.as_object_mut().unwrap().remove("refusals");
    let other = page(&numbers.to_string());
    is_sound(&other);
    for text in [
        "differs: 2 fewer than the mirror holds",
        "differs: 1 more than the mirror holds",
        "not said by the operator",
        "&lt;b&gt;XX&lt;/b&gt;",
        "3 of ",
    ] {
        assert!(other.body.contains(text), "`{text}`: {}", other.body);
    }
    for unclear in ["", "{}", "[1]", "{\"from\":\"2030-03-18\",\"to\":\"2030-03-17\"}"] {
        assert!(page(unclear).body.contains("answer cannot be used"), "{unclear}");
    }
}

#[test]
fn an_operator_who_does_not_answer_is_no_agreement() {
    let home = Home::new(&World::honest());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let with = ServeOptions { numbers: Some((format!("http://{free}"), None)), ..home.options() };
    let serve = Serve::start(with).unwrap();
    let page = get(&serve, "/compare").body;
    assert!(page.contains("The operator does not answer") && !page.contains("the same"), "{page}");
}

#[test]
fn the_command_says_why_it_does_not_start() {
    let home = Home::new(&World::honest());
    for (name, signer) in [("site", site::site_key()), ("operator", operator()), ("auditor", auditor())] {
        fs::write(home.path(&format!("{name}.vkey")), signer.vkey()).unwrap();
    }
    let run = |more: &[&str]| {
        let usual = [
            "serve",
            "--attached",
            "--mirror",
            "mirror",
            "--site-vkey",
            "site.vkey",
            "--operator-vkey",
            "operator.vkey",
            "--auditor-vkey",
            "auditor.vkey",
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_clover-audit"));
        let output =
            command.current_dir(home.0.path()).args(usual).args(more).stdin(std::process::Stdio::null());
        let output = output.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, error) = run(&["--listen", "127.0.0.1:0"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.starts_with("pages are on http://127.0.0.1:"), "{out}");
    for (more, wanted, why) in [
        (&["--listen", "0.0.0.0:8450"][..], 64, "is not a loopback address"),
        (&["--listen", "127.0.0.1:0", "--every", "0"], 64, "--every"),
        (&["--listen", "127.0.0.1:0", "--watch", "own"], 64, "--parties"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", "a.pem"], 64, "--tls-key"),
        (&["--listen", "127.0.0.1:0", "--operator", "ftp://x"], 64, "neither `http` nor `https`"),
        (
            &["--listen", "127.0.0.1:0", "--tls-cert", "a.pem", "--tls-key", "b.pem"],
            78,
            "cannot use the certificate",
        ),
    ] {
        let (code, out, error) = run(more);
        assert_eq!(code, wanted, "{more:?}: {error}");
        assert!(error.contains(why) && out.is_empty(), "`{why}`: {error}");
    }
}
