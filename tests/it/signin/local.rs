//! Local accounts: no identity provider, no default password.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use http::Method;
use serde_json::Value;
use xtask::accounts;
use xtask::client::{Answer, Client};
use xtask::world::{at, clover, programs};

use crate::support::Stage;

const PASSPHRASE: &str = "correct horse & battery=staple";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("accept", "application/json");

fn code(secret: &str, steps: i64) -> String {
    accounts::code(secret, steps).unwrap()
}

fn enrolment(stage: &Stage, id: &str) -> String {
    let line = ["--json", "actor", "enrol", id, "--at", "SG", "--attested-device"];
    let told: Value = serde_json::from_str(&clover(&stage.world.layout, &line).unwrap()).unwrap();
    told["code"].as_str().unwrap().to_owned()
}

fn person(stage: &Stage) -> Command {
    let mut command = Command::new(programs().unwrap().join("clover"));
    command.arg("--dir").arg(stage.world.layout.root()).arg("--json");
    command.env("XDG_CONFIG_HOME", stage.beside("home"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn post(client: &Client, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    client.send(Method::POST, path, &[&[FORM], headers].concat(), form.to_owned()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_account_is_taken_by_a_one_time_code_and_needs_both_factors() {
    let stage = Stage::new(8).await;
    // Nobody has an account that nobody gave them, and services have none.
    let refused = |line: &[&str]| clover(&stage.world.layout, line).unwrap_err().to_string();
    assert!(refused(&["actor", "enrol", "nobody"]).contains("CLV-0401"));
    assert!(refused(&["actor", "enrol", "us-partner"]).contains("CLV-0601"));
    let given = enrolment(&stage, "mei");
    let mut taking = person(&stage).args(["signin", "--actor", "mei", "--enrol"]).spawn().unwrap();
    let mut says = taking.stdin.take().unwrap();
    let mut hears = BufReader::new(taking.stdout.take().unwrap());
    writeln!(says, "{given}\n{PASSPHRASE}").unwrap();
    let mut line = String::new();
    hears.read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let secret = told["secret"].as_str().unwrap().to_owned();
    assert!(told["address"].as_str().unwrap().starts_with("otpauth://totp/"));
    writeln!(says, "{}", code(&secret, -1)).unwrap();
    let out = taking.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let shown = person(&stage).arg("session").output().unwrap();
    let who: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(who["id"] == "mei" && who["strong"] == true && who["country"] == "SG", "{who}");
    // From a page: wrong in either factor is refused in the same words; a code that was used is wrong.
    let ca = stage.world.layout.tls().join("ca.pem");
    let client = Client::new(stage.world.console, at::SINGAPORE, &ca, None).unwrap();
    let encoded = PASSPHRASE.replace('&', "%26").replace('=', "%3D").replace(' ', "+");
    let form = |actor: &str, passphrase: &str, code: &str| {
        format!("actor={actor}&passphrase={passphrase}&code={code}")
    };
    let (now, before) = (code(&secret, 0), code(&secret, -1));
    let mut words = Vec::new();
    for wrong in
        [form("mei", &encoded, &before), form("nobody", &encoded, &now), form("mei", "wrong", "000000")]
    {
        let answer = post(&client, "/signin/local", &[JSON], &wrong).await;
        assert_eq!(answer.status, 403);
        words.push(answer.text());
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    let right = form("mei", &encoded, &now);
    let elsewhere = [("origin", "https://evil.example")];
    assert_eq!(post(&client, "/signin/local", &elsewhere, &right).await.status, 403, "a page from elsewhere");
    let answer = post(&client, "/signin/local", &[], &right).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(answer.headers["set-cookie"].to_str().unwrap().starts_with("__Host-clover-session="));
    assert_eq!(post(&client, "/signin/local", &[], &right).await.status, 403, "the code again");
    // The code for enrolment is used up; a new one replaces the account.
    let again = format!("actor=mei&enrolment={given}&passphrase={encoded}");
    assert_eq!(post(&client, "/signin/local/enrol", &[JSON], &again).await.status, 403);
    enrolment(&stage, "mei");
    let next = form("mei", &encoded, &code(&secret, 1));
    assert_eq!(post(&client, "/signin/local", &[], &next).await.status, 403, "the old account is gone");
    let told = std::fs::read_to_string(stage.world.layout.root().join("serve.log")).unwrap();
    let words = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|w| w == "mei");
    let naming: Vec<&str> = told.lines().filter(|l| words(l) || l.contains(PASSPHRASE)).collect();
    assert!(naming.is_empty(), "{naming:?}");
}
