//! The console's pages as browsers ask for them: who sees what, what a form must show, and what ends in time.
//!
//! What needs a real browser is in `browser`: Chromium, driven by `tests/browser`.

mod browser;

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::accounts::{self, Account};
use xtask::client::{Answer, Client};
use xtask::story;
use xtask::world::{at, clover};

use crate::support::Stage;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const OWN: (&str, &str) = ("origin", "https://localhost");
/// Longest wait for what must end within a second; machines here are shared.
const SOON: Duration = Duration::from_secs(5);

/// A browser of somebody who is signed in, as far as pages go without script.
struct Reader {
    client: Client,
    cookie: String,
}

impl Reader {
    fn new(stage: &Stage, account: &Account, from: std::net::IpAddr) -> Self {
        let ca = stage.world.layout.tls().join("ca.pem");
        let client = Client::new(stage.world.console, from, &ca, None).unwrap();
        Self { client, cookie: format!("__Host-clover-session={}", account.session) }
    }

    async fn get(&self, path: &str) -> Answer {
        self.client.get(path, &[("cookie", &self.cookie)]).await.unwrap()
    }

    /// The field that forms of a page show.
    async fn field(&self, path: &str) -> String {
        field(&self.get(path).await.text())
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
        let headers = [&[("cookie", self.cookie.as_str()), FORM], headers].concat();
        self.client.send(Method::POST, path, &headers, form.to_owned()).await.unwrap()
    }

    /// Sends a form as a page of the console does.
    async fn submit(&self, on: &str, to: &str, form: &str) -> Answer {
        let field = self.field(on).await;
        self.send(to, &[OWN], &format!("csrf={field}&{form}")).await
    }
}

fn field(page: &str) -> String {
    let rest = page.split("name=\"csrf\" value=\"").nth(1).expect("a form with its field");
    rest.split('"').next().unwrap().to_owned()
}

fn location(answer: &Answer) -> &str {
    answer.headers.get("location").and_then(|v| v.to_str().ok()).unwrap_or_default()
}

struct Cast {
    oona: Reader,
    ana: Reader,
    aoife: Reader,
    mei: Reader,
    person: Reader,
    other: Reader,
    stranger: Client,
}

async fn cast(stage: &Stage) -> Cast {
    let world = &stage.world;
    let dublin = async |id| {
        let account = accounts::employee(world, id, "IE", at::DUBLIN).await.unwrap();
        Reader::new(stage, &account, at::DUBLIN)
    };
    let mei = accounts::employee(world, "mei", "SG", at::SINGAPORE).await.unwrap();
    let person = async |n| Reader::new(stage, &accounts::person(world, n).await.unwrap(), at::DUBLIN);
    Cast {
        oona: dublin("oona").await,
        ana: dublin("ana").await,
        aoife: dublin("aoife").await,
        mei: Reader::new(stage, &mei, at::SINGAPORE),
        person: person(0).await,
        other: person(1).await,
        stranger: world.stranger(at::DUBLIN).unwrap().to(world.console),
    }
}

/// Paths and what each reader is answered: nobody, oona (operates), ana (asks), aoife (approves), a person.
const SEEN: &[(&str, [u16; 5])] = &[
    ("/", [200, 303, 303, 303, 303]),
    ("/public", [200, 200, 200, 200, 200]),
    ("/public/numbers.json", [200, 200, 200, 200, 200]),
    ("/overview", [401, 200, 403, 200, 403]),
    ("/overview/live", [401, 200, 403, 200, 403]),
    ("/rulebook", [401, 200, 403, 200, 403]),
    ("/rulebook/candidate", [401, 404, 403, 404, 403]),
    ("/requests", [401, 200, 200, 200, 403]),
    ("/requests/new", [401, 200, 200, 200, 403]),
    ("/requests/G-1", [401, 404, 200, 200, 403]),
    ("/requests/C-1", [401, 404, 404, 200, 403]),
    ("/requests/C-1/view", [401, 404, 404, 404, 403]),
    ("/requests/C-1/view/stream", [401, 404, 404, 404, 403]),
    ("/requests/C-2", [401, 404, 404, 200, 403]),
    ("/requests/nothing", [401, 404, 404, 404, 403]),
    ("/ledger", [401, 200, 200, 200, 403]),
    ("/ledger?kind=%3Cscript%3E", [401, 400, 400, 400, 403]),
    ("/ledger/gw-1/0", [401, 200, 200, 200, 403]),
    ("/ledger/gw-1/0/proof", [401, 200, 200, 200, 403]),
    ("/ledger/gw-1/999999", [401, 404, 404, 404, 403]),
    ("/ledger/keys/0", [401, 404, 404, 404, 403]),
    ("/my-data", [401, 403, 403, 403, 200]),
    ("/my-data/crossings", [401, 403, 403, 403, 200]),
    ("/my-data/export", [401, 403, 403, 403, 200]),
    ("/my-data/history", [401, 403, 403, 403, 200]),
    ("/nothing", [404, 404, 404, 404, 404]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reader_sees_what_is_theirs_and_no_page_can_be_framed() {
    let mut stage = Stage::new(8).await;
    let cast = cast(&stage).await;
    for (path, expected) in SEEN {
        let answers = [
            cast.stranger.get(path, &[]).await.unwrap(),
            begun(&cast.oona, path).await,
            begun(&cast.ana, path).await,
            begun(&cast.aoife, path).await,
            begun(&cast.person, path).await,
        ];
        for (n, (answer, status)) in answers.into_iter().zip(expected).enumerate() {
            assert_eq!(answer.status, *status, "{path} for reader {n}: {}", answer.text());
            let head =
                |name: &str| answer.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let policy = head("content-security-policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                "{path}"
            );
            assert!(!policy.contains("unsafe") && head("x-frame-options") == "DENY", "{path}");
            assert_eq!(head("cache-control"), "no-store", "{path}");
        }
    }
    // Between people: each has their own list and export, and nothing of the other's.
    let (one, two) =
        (stage.world.person(0).unwrap().email.clone(), stage.world.person(1).unwrap().email.clone());
    let (mine, theirs) = (cast.person.get("/my-data/export").await, cast.other.get("/my-data/export").await);
    assert!(mine.text().contains(&one) && !mine.text().contains(&two), "an export is of one person");
    assert!(theirs.text().contains(&two) && !theirs.text().contains(&one), "an export is of one person");
    // A link on another page makes nobody's browser ask for what is a crossing.
    for path in ["/my-data/crossings", "/my-data/export", "/my-data/usage.json"] {
        let led = [("cookie", cast.person.cookie.as_str()), ("sec-fetch-site", "cross-site")];
        let answer = cast.person.client.get(path, &led).await.unwrap();
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    // The same session means nothing as another's: a token's name is in its signature.
    let forged = cast.person.cookie.replace("session=", "session=x");
    let answer = cast.person.client.get("/my-data", &[("cookie", &forged)]).await.unwrap();
    assert_eq!(answer.status, 401);
    stage.must_audit_clean();
}

/// An answer whose head is enough: streams do not end.
async fn begun(reader: &Reader, path: &str) -> Answer {
    if !(path.ends_with("/stream") || path.ends_with("/live")) {
        return reader.get(path).await;
    }
    let mut open = reader.client.connect().await.unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n", reader.cookie);
    open.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(open.read_u8().await.unwrap());
    }
    let text = String::from_utf8(head).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = http::HeaderMap::new();
    for (name, value) in text.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        headers.insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Answer { status, headers, body: bytes::Bytes::new() }
}

/// What somebody types who asks for a support case about a person.
fn wanted(subject: &str, hours: &str) -> String {
    format!(
        "ground=case&purpose=support&case=T-9&kind=videoNotShown&dataset=video&fields=video-status&subject={subject}&hours={hours}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_counts_from_a_page_of_its_session_only_and_shows_words_as_words() {
    let mut stage = Stage::new(8).await;
    let cast = cast(&stage).await;
    let subject = stage.world.subject(0).unwrap().to_owned();
    let asked = cast.mei.submit("/requests/new", "/requests/new", &wanted(&subject, "2")).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text());
    let at = location(&asked).split('?').next().unwrap().to_owned();
    let approve = format!("{at}/approve");
    // Approved by nobody who does not mean it.
    let (own, others) = (cast.aoife.field("/requests").await, cast.mei.field("/requests").await);
    assert_ne!(own, others);
    let right = format!("csrf={own}");
    for (headers, form) in [
        (&[OWN][..], String::new()),
        (&[OWN], format!("csrf={others}")),
        (&[OWN], format!("csrf={own}&csrf={own}")),
        (&[], right.clone()),
        (&[("origin", "https://evil.example")], right.clone()),
        (&[("origin", "null")], right.clone()),
        (&[OWN, ("sec-fetch-site", "cross-site")], right.clone()),
    ] {
        let answer = cast.aoife.send(&approve, headers, &form).await;
        assert_eq!(answer.status, 403, "{headers:?} {form}: {}", answer.text());
    }
    let page = cast.aoife.get(&at).await.text();
    assert!(page.contains("class=\"badge waiting\""), "{page}");
    // What people type is shown as they typed it, and is no markup. Nor is what their browser says of itself.
    let script = "%3Cscript%3Ealert(1)%3C/script%3E%22%27%3Cimg+src%3Dx+onerror%3Dalert(1)%3E";
    let agent = ("user-agent", "<script>alert(1)</script>");
    let answer = cast.aoife.send(&approve, &[OWN, agent], &format!("{right}&because={script}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    for reader in [&cast.aoife, &cast.mei] {
        let page = reader.get(&at).await.text();
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(!page.contains("<script>alert") && !page.contains("<img src=x"), "{page}");
    }
    let typed = wanted(&format!("{script}&case=%22%3E{script}"), "2").replacen("case=T-9&", "", 1);
    let answer = cast.mei.submit("/requests/new", "/requests/new", &typed).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(!answer.text().contains("<script>alert"), "what was typed stays in its field");
    let done = cast.mei.get("/requests?done=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!done.text().contains("alert(1)"), "nothing of an address is shown");
    // A language is chosen and leads back to a page of the console alone.
    for (back, to) in [("/requests", "/requests"), ("https://evil.example", "/"), ("//evil.example", "/")] {
        let answer = cast.mei.get(&format!("/language?to=fr&back={back}")).await;
        assert_eq!((answer.status, location(&answer)), (StatusCode::SEE_OTHER, to), "{back}");
    }
    let chosen = format!("{}; clover-language=fr", cast.mei.cookie);
    let french = cast.mei.client.get("/requests", &[("cookie", &chosen)]).await.unwrap();
    assert!(french.text().contains("lang=\"fr\""));
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvals_at_the_same_moment_count_once_each_and_nobody_approves_their_own() {
    let mut stage = Stage::new(8).await;
    let cast = cast(&stage).await;
    // A research grant needs two of the stewards; aoife is the only one.
    let form = "ground=grant&purpose=research&case=R-1&dataset=export&fields=&subject=&hours=1&rows=10";
    let asked = cast.ana.submit("/requests/new", "/requests/new", form).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text());
    let at = location(&asked).split('?').next().unwrap().to_owned();
    let approve = format!("{at}/approve");
    let field = cast.aoife.field("/requests").await;
    let form = format!("csrf={field}&because=");
    let both =
        tokio::join!(cast.aoife.send(&approve, &[OWN], &form), cast.aoife.send(&approve, &[OWN], &form));
    let mut codes = [both.0.status.as_u16(), both.1.status.as_u16()];
    codes.sort_unstable();
    assert_eq!(codes, [303, 409], "one counts");
    let page = cast.ana.get(&at).await.text();
    assert!(
        page.contains("badge waiting") && page.matches("<strong>approved</strong>").count() == 1,
        "{page}"
    );
    let own = cast.ana.submit(&at, &approve, "because=").await;
    assert_eq!(own.status, 409, "{}", own.text());
    assert!(own.text().contains("Nobody approves their own request"), "{}", own.text());
    // Whose it is not learns nothing of it.
    let other = cast.mei.submit("/requests/new", &approve, "because=").await;
    assert_eq!(other.status, 404);
    stage.must_audit_clean();
}

/// Reads a stream of events until one of a name, and how long that took.
async fn until(open: &mut (impl AsyncReadExt + Unpin), event: &str) -> (String, Duration) {
    let (started, mut seen, mut buffer) = (Instant::now(), Vec::new(), [0; 4096]);
    loop {
        let n = tokio::time::timeout(Duration::from_secs(30), open.read(&mut buffer)).await;
        let n = n.expect("an event in time").unwrap();
        seen.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if text.contains(&format!("event: {event}\n")) || n == 0 {
            return (text, started.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_one_crossing_and_ends_with_its_case_and_with_the_session() {
    let mut stage = Stage::new(8).await;
    let cast = cast(&stage).await;
    let subject = stage.world.subject(0).unwrap().to_owned();
    for how in ["revoked", "signed out"] {
        let asked = cast.mei.submit("/requests/new", "/requests/new", &wanted(&subject, "2")).await;
        let at = location(&asked).split('?').next().unwrap().to_owned();
        let approved = cast.aoife.submit("/requests", &format!("{at}/approve"), "because=ticket").await;
        assert_eq!(approved.status, StatusCode::SEE_OTHER, "{}", approved.text());
        let page = cast.mei.get(&format!("{at}/view")).await.text();
        assert!(!page.contains("review_state"), "the page itself holds nothing: {page}");
        let before = stage.size();
        let mut open = cast.mei.client.connect().await.unwrap();
        let ask = format!(
            "GET {at}/view/stream HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n",
            cast.mei.cookie
        );
        open.write_all(ask.as_bytes()).await.unwrap();
        let (shown, _) = until(&mut open, "whole").await;
        assert!(shown.contains("review_state") && shown.contains("held"), "{shown}");
        assert!(!shown.contains("assignee"), "what no lane binds is not shown: {shown}");
        assert_eq!(stage.size(), before + 1, "one crossing");
        if how == "revoked" {
            let revoked = cast.aoife.submit(&at, &format!("{at}/revoke"), "because=done").await;
            assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.text());
        } else {
            let out = cast.mei.submit("/requests", "/signout", "").await;
            assert_eq!((out.status, location(&out)), (StatusCode::SEE_OTHER, "/?done=out"));
            assert!(out.headers["clear-site-data"].to_str().unwrap().contains("cache"));
        }
        let (_, took) = until(&mut open, "end").await;
        assert!(took < SOON, "{how}: {took:?}");
        let again = cast.mei.get(&format!("{at}/view")).await;
        assert_eq!(again.status, if how == "revoked" { 410 } else { 401 }, "{how}");
    }
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_takes_an_account_and_their_wish_to_be_erased_is_kept_until_it_is_done() {
    let mut stage = Stage::new(8).await;
    let world = &stage.world;
    let account = accounts::person(world, 2).await.unwrap();
    let person = Reader::new(&stage, &account, at::DUBLIN);
    let handle = world.subject(2).unwrap().to_owned();
    // A sign-in begins a session of its own, whatever cookie a browser was led to have.
    let ca = world.layout.tls().join("ca.pem");
    let client = Client::new(world.console, at::DUBLIN, &ca, None).unwrap();
    let form = |code: &str| format!("actor={}&passphrase={}&code={code}", account.name, accounts::PASSPHRASE);
    let fixed = [FORM, ("cookie", "__Host-clover-session=fixed-by-somebody-else")];
    let right = form(&accounts::code(&account.secret, 0).unwrap());
    let answer = client.send(Method::POST, "/signin/person", &fixed, right.clone()).await.unwrap();
    assert_eq!((answer.status, location(&answer)), (StatusCode::SEE_OTHER, "/"), "{}", answer.text());
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(
        set.starts_with("__Host-clover-session=")
            && !set.contains("fixed")
            && !set.contains(&account.session)
    );
    // Neither kind of account opens the other's door, and an employee's door does not know a person.
    let again = client.send(Method::POST, "/signin/local", &[FORM], right).await.unwrap();
    assert_eq!(again.status, 403);
    // The wish, once, with its date.
    let unsure = person.send("/my-data/erasure", &[OWN], "sure=yes").await;
    assert_eq!(unsure.status, 403, "without the field of the form");
    for _ in 0..2 {
        let field = field(&person.get("/my-data").await.text());
        let asked = person.send("/my-data/erasure", &[OWN], &format!("csrf={field}&sure=yes")).await;
        assert_eq!((asked.status, location(&asked)), (StatusCode::SEE_OTHER, "/my-data?done=erasure"));
    }
    let page = person.get("/my-data").await.text();
    assert!(page.contains("You asked for erasure on") && page.contains("delayed"), "{page}");
    let told: Value =
        serde_json::from_str(&clover(&world.layout, &["--json", "subject", "asked"]).unwrap()).unwrap();
    assert_eq!(
        (told["asked"].as_array().unwrap().len(), &told["asked"][0]["subject"]),
        (1, &Value::from(handle.clone()))
    );
    clover(&world.layout, &["subject", "erase", "--subject", &handle, "--confirm", &handle]).unwrap();
    let told = clover(&world.layout, &["--json", "subject", "asked"]).unwrap();
    assert!(told.contains("\"asked\": []") || told.contains("\"asked\":[]"), "{told}");
    assert_eq!(person.get("/my-data").await.status, 403, "the session is nobody's any more");
    let people = world.layout.control().join("people").join(format!("{handle}.sealed"));
    assert!(!people.exists(), "whoever has the name later is not looked at with the old account");
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_numbers_are_those_that_an_auditor_counts_from_the_ledger() {
    let mut stage = Stage::new(60).await;
    story::play(&stage.world, |_| {}).await.unwrap();
    stage.world.published().unwrap();
    let stranger = stage.world.stranger(at::DUBLIN).unwrap().to(stage.world.console);
    let numbers = async || stranger.get("/public/numbers.json", &[]).await.unwrap().json();
    let started = Instant::now();
    let mut told = numbers().await;
    while told["counted"] != told["published"] && started.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        told = numbers().await;
    }
    let page = stranger.get("/public", &[]).await.unwrap();
    assert!(page.status == 200 && page.text().contains("clover-audit report"));
    for bad in ["?from=yesterday", "?from=2026-02-02&to=2026-02-01", "?from=%3Cscript%3E"] {
        let answer = stranger.get(&format!("/public/numbers.json{bad}"), &[]).await.unwrap();
        assert_eq!(answer.status, 400, "{bad}");
    }
    let _ = stage.world.witnessed().unwrap();
    let (from, to) = (told["from"].as_str().unwrap().to_owned(), told["to"].as_str().unwrap().to_owned());
    // A mirror that goes on changes under whoever reads it.
    stage.world.stop().unwrap();
    let (held, out) = (stage.world.layout.mirror().join("held"), stage.beside("report"));
    let [held, shown] = [&held, &out].map(|p| p.display().to_string());
    let keys = ["--site-vkey", "site", "--operator-vkey", "operator", "--auditor-vkey", "auditor"];
    let line = ["report", "--mirror", &held, "--from", &from, "--to", &to, "--out", &shown];
    let (code, said) = stage.world.audit_with(&[&line[..], &keys].concat()).unwrap();
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let crossings = &report["crossings"];
    assert_eq!(told["crossings"], crossings["total"]["crossings"]);
    assert_eq!(
        told["refusals"].as_u64(),
        report["refusals"].as_object().map(|r| r.values().filter_map(Value::as_u64).sum())
    );
    for key in ["by_country", "by_purpose", "by_class", "by_treatment"] {
        let theirs = crossings[key].as_object().unwrap();
        let mine = told[key].as_object().unwrap();
        assert_eq!(
            mine.len(),
            theirs.values().filter(|v| v["crossings"] != 0).count(),
            "{key}: {mine:?} {theirs:?}"
        );
        for (word, n) in mine {
            // The report says the treatment's long name.
            let word = if word == "dp" { "differentially private" } else { word };
            assert_eq!(*n, theirs[word]["crossings"], "{key} {word}");
        }
    }
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_console_that_takes_nobody_touches_no_gateway() {
    let mut stage = Stage::new(8).await;
    stage
        .world
        .reconfigure(|text| {
            text.replace("local_accounts = true", "local_accounts = true\nconnections_max = 2")
        })
        .unwrap();
    let stranger = stage.world.stranger(at::DUBLIN).unwrap().to(stage.world.console);
    let held = [stranger.connect().await.unwrap(), stranger.connect().await.unwrap()];
    assert!(stranger.get("/public", &[]).await.is_err(), "the console takes nobody more");
    let granted = [("clover-purpose", "support"), ("clover-grant", "G-1")];
    let answer = stage.ana().post("/v1/read", &granted, &stage.email_of(0)).await.unwrap();
    assert!(stage.is_email(&answer, 0), "the gateway goes on");
    drop(held);
    stage.must_audit_clean();
}
