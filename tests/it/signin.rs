//! People sign in: through a certified provider, on a device, with a local account; and who does not.
//!
//! The provider is `oidc-provider` from npm, run by node (`tests/provider`). Each test has its own.

mod browser;
mod local;
mod provider;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clover::layout::Layout;
use crossing::credential::spiffe;
use http::Method;
use model::Country;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask::client::{Answer, Client};
use xtask::story;
use xtask::world::{World, at, clover, programs};

use self::browser::{Browser, console, hidden};
use self::provider::Provider;
use crate::support::{SEED, Stage};

const SESSION: &str = "__Host-clover-session";
const MARK: (&str, &str) = ("clover-request", "1");

/// An enclave whose console knows a provider.
struct Scene {
    // The order matters: what runs ends before the folder goes.
    stage: Stage,
    provider: Provider,
    ca: PathBuf,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| String::new()).await
    }

    /// The same with something prepared in its folder, and with more in `enclave.toml`.
    async fn with(prepare: impl FnOnce(&Layout) -> String) -> Self {
        let (folder, layout): (TempDir, Layout) = Stage::folder(8);
        let provider = Provider::start(&layout);
        std::fs::write(layout.root().join("client.secret"), "a-secret-of-the-test-alone-0123456789\n")
            .unwrap();
        let signin = format!(
            "\n[signin]\nissuer = \"https://localhost:{}\"\nclient_id = \"clover\"\n\
             client_secret_file = \"client.secret\"\nca_file = \"tls/ca.pem\"\nredirect_host = \"127.0.0.1:8447\"\n\n\
             [signin.claims]\ncountry = \"country\"\ndevice = \"device\"\ndevice_country = \"device_country\"\n\n\
             [signin.strong]\namr = [\"mfa\"]\n",
            provider.port
        );
        let text = std::fs::read_to_string(layout.config()).unwrap() + &signin + &prepare(&layout);
        std::fs::write(layout.config(), text).unwrap();
        for (id, employer) in [("torn", "acme-apac"), ("bare", "acme-apac")] {
            let kind = ["--kind", "employee", "--employer", employer, "--qualified"];
            clover(&layout, &[&["actor", "add", "--id", id], &kind[..]].concat()).unwrap();
        }
        let world = World::open(layout.root(), 8, SEED, |_| {}).await.unwrap();
        story::approvals(&world).await.unwrap();
        provider.tell(&format!("redirect?to=https://{}/signin/callback", world.console)).await;
        let ca = layout.tls().join("ca.pem");
        Self { stage: Stage::of(world, folder), provider, ca }
    }

    fn world(&self) -> &World {
        &self.stage.world
    }

    fn browser(&self, from: IpAddr) -> Browser {
        let (console, provider) =
            (self.world().console.to_string(), format!("localhost:{}", self.provider.port));
        Browser::new(&console, &provider, from, &self.ca)
    }

    /// A caller of the gateway with no certificate.
    fn caller(&self, from: IpAddr) -> Client {
        self.world().stranger(from).unwrap()
    }

    /// Reads the status of the case's person at the gateway, as mei may from Singapore.
    async fn look(&self, token: &str, from: IpAddr) -> Answer {
        let (bearer, subject) = (format!("Bearer {token}"), self.world().subject(0).unwrap());
        let headers = [
            ("authorization", bearer.as_str()),
            ("clover-purpose", "support"),
            ("clover-case", "C-1"),
            ("clover-subject", subject),
        ];
        self.caller(from).get("/lanes/video-status", &headers).await.unwrap()
    }

    /// Runs `clover` for a person whose configuration lies in a folder of their own.
    fn person(&self, home: &str) -> Command {
        let mut command = Command::new(programs().unwrap().join("clover"));
        command.arg("--dir").arg(self.world().layout.root());
        command.env("XDG_CONFIG_HOME", self.stage.beside(home));
        command
    }
}

async fn session(browser: &mut Browser) -> Answer {
    browser.get(&console("/session")).await
}

fn place(answer: &Answer) -> Option<String> {
    answer.json()["place"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_with_a_browser_and_out_everywhere_at_once() {
    let mut scene = Scene::new().await;
    let mut browser = scene.browser(at::SINGAPORE);
    assert_eq!(session(&mut browser).await.status, 401);
    let answer = browser.sign_in("mei").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let set = browser.set.iter().find(|s| s.starts_with(SESSION)).unwrap();
    for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(set.split("; ").any(|p| p == part), "{set}");
    }
    assert!(!set.contains("Domain"));
    let page = browser.get(&console("/signin/done")).await;
    assert!(page.status == 200 && page.text().contains("Signed in"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    let who = session(&mut browser).await.json();
    for (key, value) in [("id", json!("mei")), ("place", json!("SG")), ("strong", json!(true))] {
        assert_eq!(who[key], value, "{who}");
    }
    // The same token is worth as much at the gateway: road, case and place decide as for a certificate.
    let token = browser.cookie(SESSION).unwrap().to_owned();
    let seen = scene.look(&token, at::SINGAPORE).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    // A connection that stays open behind an answer.
    let mut open = scene.caller(at::SINGAPORE).speaking(&["http/1.1"]).connect().await.unwrap();
    let request =
        format!("GET /nowhere HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    open.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'H');
    let early = tokio::time::timeout(Duration::from_millis(500), open.read_to_end(&mut Vec::new())).await;
    assert!(early.is_err(), "it stays open");
    // Out: no page from elsewhere can do it, the person can, and it counts at once and for good.
    let mut copy = browser.moved(at::SINGAPORE, &scene.ca);
    let out = console("/signout");
    let own = format!("https://{}", scene.world().console);
    for bad in [&[][..], &[MARK], &[("origin", own.as_str())], &[("origin", "https://evil.example"), MARK]] {
        assert_eq!(browser.send(Method::POST, &out, bad, "").await.status, 403, "{bad:?}");
    }
    assert_eq!(session(&mut copy).await.status, 200);
    let answer = browser.send(Method::POST, &out, &[("origin", &own), MARK], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Sooner than it would end for being idle, which takes ten seconds.
    let cut = tokio::time::timeout(Duration::from_secs(6), open.read_to_end(&mut Vec::new())).await;
    assert!(cut.is_ok(), "the open connection is cut");
    assert!(browser.cookie(SESSION).is_none());
    assert_eq!(session(&mut copy).await.status, 401, "the cookie, kept by somebody");
    assert_eq!(scene.look(&token, at::SINGAPORE).await.status, 401, "the token, at the gateway");
    scene.stage.world.stop().unwrap();
    scene.stage.world.start().unwrap();
    assert_eq!(scene.look(&token, at::SINGAPORE).await.status, 401, "after a restart");
    scene.stage.must_audit_clean();
}

/// What the provider can be told to send that must not count.
const FORGERIES: &[&str] = &[
    "expired",
    "issued-long-ago",
    "issued-tomorrow",
    "wrong-audience",
    "more-audiences",
    "wrong-party",
    "wrong-issuer",
    "wrong-nonce",
    "no-nonce",
    "alg-none",
    "alg-none-signed",
    "hs256-public-key",
    "hs256-client-secret",
    "unknown-key",
    "another-key",
    "changed",
    "no-signature",
    "garbage",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_forged_id_token_signs_anybody_in() {
    let scene = Scene::new().await;
    for forgery in FORGERIES {
        scene.provider.tell(&format!("mode?is={forgery}")).await;
        let mut browser = scene.browser(at::SINGAPORE);
        let answer = browser.sign_in("mei").await;
        assert_eq!(answer.status, 403, "{forgery}: {}", answer.text());
        assert!(browser.cookie(SESSION).is_none(), "{forgery}");
        assert!(!answer.text().contains("mei"), "{forgery}");
    }
    let told = std::fs::read_to_string(scene.world().layout.root().join("serve.log")).unwrap();
    for why in [
        "it has expired",
        "it is for another client",
        "it is of another issuer",
        "its nonce is another",
        "its algorithm does not count",
        "its key is not known",
        "its signature does not hold",
    ] {
        assert!(told.contains(why), "the operator is not told: {why}");
    }
    // The same way with an honest token, and with a clock that is 20 seconds behind, leads in.
    for honest in ["honest", "just-expired"] {
        scene.provider.tell(&format!("mode?is={honest}")).await;
        let mut browser = scene.browser(at::SINGAPORE);
        assert_eq!(browser.sign_in("mei").await.status, 303, "{honest}");
        assert!(browser.cookie(SESSION).is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_or_state_serves_once_and_only_in_the_browser_that_began() {
    let scene = Scene::new().await;
    let mut browser = scene.browser(at::SINGAPORE);
    let back = browser.until_callback("mei").await;
    let mut other = scene.browser(at::SINGAPORE);
    let begun = other.until_callback("aoife").await;
    // One browser cannot finish the sign-in of another: nobody is signed in as somebody else by a link.
    assert_eq!(browser.get(&begun).await.status, 400);
    assert!(browser.cookie(SESSION).is_none());
    assert_eq!(other.get(&begun).await.status, 400, "the attempt used it up");
    let answer = browser.get(&back).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    // Replayed, and the same code under a state of its own.
    browser.forget();
    assert_eq!(browser.get(&back).await.status, 400);
    let fresh = browser.until_callback("mei").await;
    let part = |path: &str, name: &str| {
        let (_, query) = path.split_once('?').unwrap();
        query.split('&').find_map(|p| p.strip_prefix(&format!("{name}="))).unwrap().to_owned()
    };
    let replayed = fresh.path.replace(&part(&fresh.path, "code"), &part(&back.path, "code"));
    assert_eq!(browser.get(&console(&replayed)).await.status, 403);
    // A code from a provider that is another one (RFC 9207), a refusal, and nothing at all.
    let fresh = browser.until_callback("mei").await;
    let mixed = fresh.path.replace(&part(&fresh.path, "iss"), "https%3A%2F%2Fid.example");
    assert_eq!(browser.get(&console(&mixed)).await.status, 403);
    let fresh = browser.until_callback("mei").await;
    let refused = format!("/signin/callback?state={}&error=access_denied", part(&fresh.path, "state"));
    assert_eq!(browser.get(&console(&refused)).await.status, 403);
    for nothing in ["/signin/callback", "/signin/callback?state=x&code=y"] {
        assert_eq!(browser.get(&console(nothing)).await.status, 400);
    }
    assert!(browser.cookie(SESSION).is_none());
    // Who is not on record as an employee has no business here, whatever the provider says.
    for nobody in ["stranger", "us-partner"] {
        let mut browser = scene.browser(at::DUBLIN);
        let answer = browser.sign_in(nobody).await;
        assert_eq!((answer.status.as_u16(), browser.cookie(SESSION)), (403, None), "{nobody}");
        assert!(answer.text().contains("not on record"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_needs_token_device_and_network_and_is_asked_anew_at_each_request() {
    let table = [(IpAddr::from([127, 0, 99, 0]), 24, Country::parse("SG").unwrap())];
    let prepare = |layout: &Layout| {
        std::fs::write(layout.root().join("made-up.mmdb"), testkit::mmdb::table(&table)).unwrap();
        "\n[location]\nmmdb_file = \"made-up.mmdb\"\n".to_owned()
    };
    let scene = Scene::with(prepare).await;
    let mut browser = scene.browser(at::SINGAPORE);
    assert_eq!(browser.sign_in("mei").await.status, 303);
    let token = browser.cookie(SESSION).unwrap().to_owned();
    assert_eq!(place(&session(&mut browser).await).as_deref(), Some("SG"));
    assert_eq!(scene.look(&token, at::SINGAPORE).await.status, 200);
    // The same session from another country: the next request is decided anew, here and at the gateway.
    for elsewhere in [at::DUBLIN, at::BEIJING] {
        let mut moved = browser.moved(elsewhere, &scene.ca);
        assert_eq!(place(&session(&mut moved).await), None);
        assert_eq!(scene.look(&token, elsewhere).await.status, 403);
    }
    assert_eq!(scene.look(&token, at::SINGAPORE).await.status, 200, "back again");
    // An address that the programme does not declare is looked up in the operator's table; what is in neither is unknown.
    let mut moved = browser.moved(at::NOWHERE, &scene.ca);
    assert_eq!(place(&session(&mut moved).await).as_deref(), Some("SG"));
    assert_eq!(scene.look(&token, at::NOWHERE).await.status, 200);
    let mut moved = browser.moved(IpAddr::from([127, 0, 98, 1]), &scene.ca);
    assert_eq!(place(&session(&mut moved).await), None);
    // A device that says another country than the token, and a token that says none.
    for who in ["torn", "bare"] {
        for from in [at::SINGAPORE, at::DUBLIN] {
            let mut browser = scene.browser(from);
            assert_eq!(browser.sign_in(who).await.status, 303);
            let shown = session(&mut browser).await;
            assert_eq!(place(&shown), None, "{who}: {}", shown.text());
        }
    }
    let mut bare = scene.browser(at::SINGAPORE);
    bare.sign_in("bare").await;
    let shown = session(&mut bare).await.json();
    assert!(shown["strong"] == false && shown["device_managed"] == false, "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_may_change_and_a_provider_that_is_gone_ends_no_session() {
    let mut scene = Scene::new().await;
    let mut first = scene.browser(at::SINGAPORE);
    assert_eq!(first.sign_in("mei").await.status, 303);
    scene.provider.tell("rotate").await;
    let before = scene.provider.tell("count").await["keys"].as_u64().unwrap();
    let mut second = scene.browser(at::SINGAPORE);
    let answer = second.sign_in("mei").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    // Tokens with key ids that nobody knows do not make us ask for keys each time.
    scene.provider.tell("mode?is=unknown-key").await;
    for _ in 0..5 {
        assert_eq!(scene.browser(at::SINGAPORE).sign_in("mei").await.status, 403);
    }
    let after = scene.provider.tell("count").await["keys"].as_u64().unwrap();
    assert!(after > before && after <= before + 2, "{before} {after}");
    scene.provider.kill();
    let token = first.cookie(SESSION).unwrap().to_owned();
    assert_eq!(session(&mut first).await.status, 200);
    assert_eq!(scene.look(&token, at::SINGAPORE).await.status, 200);
    // What it said of itself is remembered, so a browser is sent on; it comes back with nothing that could count. On a
    // device it is told at once.
    let told = scene.person("ben").args(["signin"]).output().unwrap();
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        !told.status.success() && said.contains("CLV-0706") && said.contains("cannot be used now"),
        "{said}"
    );
    let mut browser = scene.browser(at::SINGAPORE);
    let begun = browser.get(&console("/signin")).await;
    let state = begun.headers["location"].to_str().unwrap().to_owned();
    let (_, state) = state.split_once("state=").unwrap();
    let state = state.split('&').next().unwrap();
    let answer = browser.get(&console(&format!("/signin/callback?code=x&state={state}"))).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(browser.cookie(SESSION).is_none());
}

/// Ends when its owner does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_signs_in_on_a_device_and_holds_the_session_for_its_owner_only() {
    let scene = Scene::new().await;
    let mut command = scene.person("mei");
    command.args(["--json", "signin"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut told = std::io::BufReader::new(running.0.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut told, &mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let code = line()["code"].as_str().unwrap().to_owned();
    // In a browser, somewhere.
    let mut browser = scene.browser(at::SINGAPORE);
    let page = browser::provider(&format!("/device?user_code={code}"));
    let shown = browser.get(&page).await;
    let xsrf = hidden(&shown.text(), "xsrf").unwrap_or_else(|| panic!("{}", shown.text()));
    let form = format!("xsrf={xsrf}&user_code={code}&confirm=yes");
    let device = browser::provider("/device");
    let answer = browser.submit(&device, &form).await;
    let (at_login, _) = browser.follow(device, answer).await;
    let (end, answer) = browser.log_in(&at_login, "mei").await;
    assert_eq!(answer.unwrap().status, 200, "{end:?}");
    let done = line();
    let file = PathBuf::from(done["file"].as_str().unwrap());
    assert!(running.0.wait().unwrap().success());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let show = || scene.person("mei").args(["--json", "session"]).output().unwrap();
    let who: Value = serde_json::from_slice(&show().stdout).unwrap();
    assert!(who["id"] == "mei" && who["signed_in"] == true && who["country"] == "SG", "{who}");
    let held: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let out = scene.person("mei").arg("signout").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!file.exists());
    let again = show();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("CLV-0706"));
    let token = held["token"].as_str().unwrap();
    assert_eq!(scene.look(token, at::SINGAPORE).await.status, 401, "kept by somebody");
    // A name that nobody was given waits for nobody.
    let client = Client::new(scene.world().console, at::SINGAPORE, &scene.ca, None).unwrap();
    let kind = [("content-type", "application/json")];
    for (body, status) in [(json!({ "signin": "guessed" }), 404), (json!({ "signin": "x", "MARK": 1 }), 422)]
    {
        let answer = client.post("/signin/device/token", &kind, &body).await.unwrap();
        assert!(answer.status == status && !answer.text().contains("MARK"), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_trust_domain_or_with_two_names_is_refused() {
    let stage = Stage::new(8).await;
    let world = &stage.world;
    let issue = |domain: &str, name: &str| {
        let session = spiffe::read(domain, &format!("spiffe://{domain}/{name}")).unwrap();
        let stem = stage.beside("foreign").join(domain);
        clover::authority::credential(&world.layout, domain, &session, 1, &stem).unwrap();
        stem
    };
    let programme = clover::assemble::rulebook(&world.layout).unwrap().rulebook.programme.name.to_string();
    let ca = world.layout.tls().join("ca.pem");
    let name = "employee/mei/at/SG/device/managed-attested/auth/mfa";
    for (domain, status) in [(programme.as_str(), 200), ("other.example", 401), ("other", 401)] {
        let stem = issue(domain, name);
        let console = Client::new(world.console, at::SINGAPORE, &ca, Some(&stem)).unwrap();
        assert_eq!(console.get("/session", &[]).await.unwrap().status, status, "{domain}");
        let gateway = Client::new(world.gateway, at::SINGAPORE, &ca, Some(&stem)).unwrap();
        let answer = gateway.get("/v1/me/crossings", &[]).await.unwrap();
        assert_eq!(answer.status == 401, status == 401, "{domain}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_keeps_its_limits_and_its_name() {
    let stage = Stage::new(8).await;
    let ca = stage.world.layout.tls().join("ca.pem");
    let client = Client::new(stage.world.console, at::DUBLIN, &ca, None).unwrap();
    let long = "x".repeat(100_000);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = client.send(Method::POST, "/signin/local", &form, long).await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(client.get("/session", &[("host", "evil.example")]).await.unwrap().status, 421);
    assert_eq!(client.get("/nothing", &[]).await.unwrap().status, 404);
    let answer = client.get("/signin", &[]).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["location"]),
        (303, &"/signin/local".parse().unwrap())
    );
    for page in ["/signin/local", "/signin/local/enrol"] {
        let answer = client.speaking(&["h2"]).get(page, &[]).await.unwrap();
        assert!(answer.status == 200 && answer.headers["x-content-type-options"] == "nosniff");
        assert!(!answer.text().contains("<script"));
    }
}
