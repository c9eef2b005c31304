use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use model::Ground;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

use super::mail::{Book as Addresses, Mailbox, Server};
use super::notice::tests::{NOW, approve, asked, rules, staff};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a receiver answers.
#[derive(Clone, Copy)]
enum Answer {
    Takes,
    Says(u16),
    SendsTo(u16),
    IsSilent,
}

/// What a receiver was sent, and what it answers next; at the end of the list it takes everything.
#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<(HeaderMap, Bytes)>>,
    answers: Mutex<VecDeque<Answer>>,
}

impl Seen {
    fn bodies(&self) -> Vec<serde_json::Value> {
        self.asked.lock().unwrap().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn ids(&self) -> Vec<String> {
        let id = |(head, _): &(HeaderMap, Bytes)| head["webhook-id"].to_str().unwrap().to_owned();
        self.asked.lock().unwrap().iter().map(id).collect()
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// A receiver over HTTP at this port, or at any free one.
async fn receiver(port: u16, answers: &[Answer]) -> (u16, Arc<Seen>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen { answers: Mutex::new(answers.iter().copied().collect()), ..Seen::default() });
    let kept = Arc::clone(&seen);
    let taken = move |head: HeaderMap, body: Bytes| async move {
        kept.asked.lock().unwrap().push((head, body));
        let answer = kept.answers.lock().unwrap().pop_front().unwrap_or(Answer::Takes);
        answered(answer).await
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(taken))).await });
    (port, seen)
}

async fn answered(answer: Answer) -> Response {
    match answer {
        Answer::Takes => StatusCode::NO_CONTENT.into_response(),
        Answer::Says(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::SendsTo(port) => {
            let elsewhere = format!("http://127.0.0.1:{port}/hook");
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, elsewhere)]).into_response()
        }
        Answer::IsSilent => std::future::pending().await,
    }
}

/// A port on which nobody listens.
async fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn hook(name: &str, port: u16) -> Hook {
    Hook {
        name: Name::parse(name).unwrap(),
        url: format!("http://127.0.0.1:{port}/hook"),
        secret: Secret::parse(SECRET).unwrap(),
        kinds: Kind::ALL.into(),
    }
}

fn quick() -> Limits {
    let pause = Duration::from_millis(5);
    Limits { pause, pause_max: pause, ..Limits::default() }
}

/// A place where a desk keeps up to when all is done, as a disk would.
type Kept = Arc<Mutex<UpTo>>;

fn settings(hooks: Vec<Hook>, kept: &Kept) -> Settings {
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let (done, keeps) = (kept.lock().unwrap().clone(), Arc::clone(kept));
    Settings {
        source: "clover:programme/site".into(),
        console: "https://console.example".into(),
        tls: Arc::new(tls),
        hooks,
        mail: None,
        limits: quick(),
        done,
        keep: Box::new(move |done| *keeps.lock().unwrap() = done.clone()),
        clock: || NOW,
    }
}

fn desk(settings: Settings) -> (Arc<Desk>, Registry) {
    let mut registry = Registry::default();
    (Desk::new(settings, &mut registry).unwrap(), registry)
}

fn known(requests: Vec<Arc<Request>>) -> Known {
    Known {
        requests: Box::new(move || requests.clone()),
        procedures: Box::new(rules),
        actor: Box::new(|id| staff().get(id).cloned().map(Arc::new)),
    }
}

fn happened(request: &Request) -> Happened {
    Happened { request: Arc::new(request.clone()), number: request.done.len() - 1 }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

#[tokio::test]
async fn a_notice_reaches_its_receiver_as_a_signed_cloud_event() {
    let (port, seen) = receiver(0, &[]).await;
    let (desk, registry) = desk(settings(vec![hook("chat", port)], &Kept::default()));
    let working = desk.start(known(Vec::new()));
    desk.told(&happened(&asked("R-1", Ground::Grant, NOW)));
    until("delivered", || desk.shown().delivered == 1).await;
    let (head, body) = seen.asked.lock().unwrap()[0].clone();
    assert_eq!(head["content-type"], "application/cloudevents+json");
    let (id, at) = (head["webhook-id"].to_str().unwrap(), head["webhook-timestamp"].to_str().unwrap());
    let text = [format!("{id}.{at}.").as_bytes(), &body].concat();
    let key = data_encoding::BASE64.decode(SECRET.trim_start_matches("whsec_").as_bytes()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let signature = head["webhook-signature"].to_str().unwrap().strip_prefix("v1,").unwrap();
    let signature = data_encoding::BASE64.decode(signature.as_bytes()).unwrap();
    aws_lc_rs::hmac::verify(&key, &text, &signature).unwrap();
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((event["specversion"].as_str(), event["id"].as_str()), (Some("1.0"), Some(id)));
    assert_eq!(event["type"], "clover.request.waits");
    assert_eq!(event["source"], "clover:programme/site");
    assert_eq!(event["data"]["link"], "https://console.example/access/requests/R-1");
    let metrics = shown(&registry);
    let counted = "clover_notices_total{receiver=\"chat\",outcome=\"delivered\"} 1";
    assert!(
        metrics.contains(counted) && metrics.contains("clover_notices_waiting{receiver=\"chat\"} 0"),
        "{metrics}"
    );
    working.end().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_whoever_refuses_is_asked_again() {
    let (other, elsewhere) = receiver(0, &[]).await;
    let answers = [Answer::SendsTo(other), Answer::Says(500), Answer::Says(404)];
    let (port, seen) = receiver(0, &answers).await;
    let (desk, registry) = desk(settings(vec![hook("chat", port)], &Kept::default()));
    let working = desk.start(known(Vec::new()));
    desk.told(&happened(&asked("R-1", Ground::Grant, NOW)));
    until("delivered", || desk.shown().delivered == 1).await;
    assert_eq!((seen.count(), elsewhere.count()), (4, 0));
    let ids = seen.ids();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same notice under the same id");
    assert!(shown(&registry).contains("outcome=\"failed\"} 3"), "{}", shown(&registry));
    working.end().await;
}

#[tokio::test]
async fn a_receiver_that_is_dead_or_silent_holds_up_neither_acts_nor_other_receivers() {
    let (dead, (silent, asked_in_vain)) = (closed().await, receiver(0, &[Answer::IsSilent; 9]).await);
    let (port, seen) = receiver(0, &[]).await;
    let hooks = vec![hook("dead", dead), hook("silent", silent), hook("chat", port)];
    let (desk, _registry) = desk(settings(hooks, &Kept::default()));
    let working = desk.start(known(Vec::new()));
    for n in 0..50 {
        desk.told(&happened(&asked(&format!("R-{n}"), Ground::Grant, NOW)));
    }
    until("the living one has all", || desk.shown().delivered == 50).await;
    until("the silent one was asked", || asked_in_vain.count() == 1).await;
    until("it is told", || desk.shown().failing == ["dead"]).await;
    assert_eq!((seen.count(), desk.shown().waiting), (50, 100));
    // Where it comes to life it gets all, in order.
    let (_, risen) = receiver(dead, &[]).await;
    until("it has all", || risen.count() == 50).await;
    until("nothing fails", || desk.shown().failing.is_empty()).await;
    assert_eq!(risen.ids(), seen.ids());
    let ended = Instant::now();
    working.end().await;
    assert!(ended.elapsed() < PATIENCE, "the silent one does not hold up the end");
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_has_room_for_what_is_urgent() {
    let (port, seen) = receiver(0, &[Answer::IsSilent]).await;
    let limits = Limits { queue: 3, ..quick() };
    let (desk, _registry) = desk(Settings { limits, ..settings(vec![hook("chat", port)], &Kept::default()) });
    let working = desk.start(known(Vec::new()));
    for n in 0..5 {
        desk.told(&happened(&asked(&format!("R-{n}"), Ground::Grant, NOW)));
    }
    until("full", || desk.shown().undelivered == 2).await;
    assert_eq!(desk.shown().waiting, 3);
    desk.told(&happened(&asked("B-1", Ground::BreakGlass, NOW)));
    until("one gave way", || desk.shown().undelivered == 3).await;
    assert_eq!((desk.shown().waiting, desk.shown().delivered), (3, 0));
    assert_eq!(seen.count(), 1);
    working.end().await;
}

#[tokio::test]
async fn what_is_urgent_goes_first() {
    let (desk, _registry) = desk(settings(vec![hook("chat", closed().await)], &Kept::default()));
    for (id, ground) in [("R-1", Ground::Grant), ("R-2", Ground::Grant), ("B-1", Ground::BreakGlass)] {
        desk.told(&happened(&asked(id, ground, NOW)));
    }
    assert!(desk.lines[0].next().is_none(), "nothing before a round");
    desk.round(&known(Vec::new()), false);
    assert_eq!(desk.lines[0].next().unwrap().notice.request.as_str(), "B-1");
}

#[tokio::test]
async fn what_is_never_taken_is_given_up_and_counted_and_the_next_is_tried() {
    let (port, seen) = receiver(0, &[Answer::Says(503); 2]).await;
    let limits = Limits { give_up: Duration::ZERO, ..quick() };
    let (desk, registry) = desk(Settings { limits, ..settings(vec![hook("chat", port)], &Kept::default()) });
    let working = desk.start(known(Vec::new()));
    for n in 0..3 {
        desk.told(&happened(&asked(&format!("R-{n}"), Ground::Grant, NOW)));
    }
    until("the third is taken", || desk.shown().delivered == 1).await;
    assert_eq!((desk.shown().undelivered, seen.count()), (2, 3));
    assert!(shown(&registry).contains("outcome=\"given-up\"} 2"), "{}", shown(&registry));
    working.end().await;
}

#[tokio::test]
async fn what_was_not_delivered_is_after_a_restart_and_what_was_is_not_told_again() {
    let (port, kept) = (closed().await, Kept::default());
    let mut r = asked("R-1", Ground::Grant, NOW);
    let (first, _registry) = desk(settings(vec![hook("chat", port)], &kept));
    let working = first.start(known(Vec::new()));
    first.told(&happened(&r));
    until("it was tried", || first.shown().failing == ["chat"]).await;
    working.end().await;
    assert_eq!(kept.lock().unwrap()["chat"], NOW, "not further than what waits");
    let (_, seen) = receiver(port, &[]).await;
    let (second, _registry) = desk(settings(vec![hook("chat", port)], &kept));
    let working = second.start(known(vec![Arc::new(r.clone())]));
    until("told from the store", || second.shown().delivered == 1).await;
    working.end().await;
    assert_eq!(kept.lock().unwrap()["chat"], NOW.plus(1));
    // Something else happens later: the third process tells that and nothing else.
    approve(&mut r, "lea-secret", NOW.plus(1));
    let later = Settings { clock: || NOW.plus(2), ..settings(vec![hook("chat", port)], &kept) };
    let (third, _registry) = desk(later);
    let working = third.start(known(vec![Arc::new(r)]));
    until("the act is told", || third.shown().delivered == 2).await;
    let types: Vec<_> = seen.bodies().iter().map(|b| b["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["clover.request.waits", "clover.request.approved", "clover.request.waits"]);
    working.end().await;
}

#[tokio::test]
async fn after_a_crash_what_happened_in_the_last_minute_is_told_again_under_the_same_id() {
    let ((port, seen), kept) = (receiver(0, &[]).await, Kept::default());
    let before = asked("R-1", Ground::Grant, NOW);
    *kept.lock().unwrap() = UpTo::from([("chat".to_owned(), UnixSeconds(NOW.0 - 60))]);
    for restart in 1..=2 {
        let (desk, _registry) =
            desk(Settings { clock: || NOW.plus(1), ..settings(vec![hook("chat", port)], &kept) });
        let working = desk.start(known(vec![Arc::new(before.clone())]));
        until("told", || seen.count() == restart).await;
        // No end of ours: the process is gone.
        drop(working);
    }
    assert!(
        kept.lock().unwrap()["chat"].0 <= NOW.0 - 59,
        "what is younger than a minute is not taken for done"
    );
    let ids = seen.ids();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_receiver_that_is_new_is_not_told_what_is_long_over() {
    let ((port, seen), kept) = (receiver(0, &[]).await, Kept::default());
    let old = asked("R-1", Ground::Grant, UnixSeconds(NOW.0 - 1));
    let (desk, _registry) = desk(settings(vec![hook("chat", port)], &kept));
    let working = desk.start(known(vec![Arc::new(old)]));
    desk.told(&happened(&asked("R-2", Ground::Grant, NOW)));
    until("delivered", || desk.shown().delivered == 1).await;
    assert_eq!(seen.bodies()[0]["data"]["request"], "R-2");
    working.end().await;
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

#[test]
fn mail_goes_to_the_people_of_sets_by_team_or_name_and_never_to_who_asked() {
    let id = |text: &str| ActorId::parse(text).unwrap();
    let people = ["ana-secret", "lea-secret", "sam-secret", "gone-secret"];
    let book = Addresses {
        accounts: people.iter().map(|who| (id(who), mailbox(&format!("{who}@example.org")))).collect(),
        sets: [(Name::parse("leads").unwrap(), mailbox("leads@example.org"))].into(),
        auditor: Some(mailbox("auditor@example.org")),
        pager: Some(mailbox("pager@example.org")),
    };
    let of = |to: &Audience| -> Vec<Mailbox> {
        let on_record = |who: &ActorId| staff().get(who).cloned().map(Arc::new);
        book.of(to, &rules(), on_record).into_iter().cloned().collect()
    };
    let sets = |names: &[&str]| names.iter().map(|n| Name::parse(n).unwrap()).collect::<Vec<_>>();
    let to = Audience { sets: sets(&["leads"]), except: vec![id("ana-secret")], ..Audience::default() };
    assert_eq!(of(&to), [mailbox("lea-secret@example.org"), mailbox("leads@example.org")]);
    let to = Audience { sets: sets(&["security"]), ..Audience::default() };
    assert_eq!(of(&to), [mailbox("sam-secret@example.org")]);
    let to = Audience { sets: sets(&["leads"]), except: vec![id("lea-secret")], ..Audience::default() };
    assert_eq!(of(&to), [mailbox("leads@example.org")]);
    let to = Audience { accounts: vec![id("ana-secret"), id("gone-secret")], ..Audience::default() };
    assert_eq!(of(&to), [mailbox("ana-secret@example.org")], "who has left is told nothing");
    let to = Audience { auditor: true, pager: true, ..Audience::default() };
    assert_eq!(of(&to), [mailbox("auditor@example.org"), mailbox("pager@example.org")]);
}

#[test]
fn mail_is_handed_over_encrypted_or_on_this_machine() {
    for good in
        ["smtps://mail.example", "smtp+starttls://mail.example:26", "smtp://127.0.0.1:25", "smtp://[::1]"]
    {
        assert!(Server::parse(good).is_ok(), "{good}");
    }
    for clear in ["smtp://mail.example", "smtp://localhost:25", "smtp://192.0.2.1"] {
        assert_eq!(Server::parse(clear), Err(WrongSetting::Clear), "{clear}");
    }
    for wrong in
        ["mail.example", "https://mail.example", "smtps://me:secret@mail.example", "smtps://m/?tls=no", ""]
    {
        assert_eq!(Server::parse(wrong), Err(WrongSetting::Url), "{wrong}");
    }
    for wrong in [
        "lea",
        "lea@",
        "Lea <lea@example.org>",
        "lea@example.org\r\nBcc: x@y.z",
        "\"a b\"@example.org",
        "é@example.org",
    ] {
        assert_eq!(Mailbox::parse(wrong), Err(WrongSetting::Address), "{wrong}");
    }
    assert_eq!(format!("{:?}", mailbox("lea@example.org")), "Mailbox");
}

/// A mail server that answers each recipient with the next of these lines, and then takes what comes. It repeats addresses,
/// as real ones do.
async fn mail_server(answers: &[&str]) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut answers: VecDeque<String> = answers.iter().map(|a| (*a).to_owned()).collect();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // How one conversation ends is its client's affair.
            let _ = conversation(stream, &mut answers, &kept).await;
        }
    });
    (port, taken)
}

async fn conversation(
    stream: tokio::net::TcpStream,
    answers: &mut VecDeque<String>,
    taken: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read).lines();
    write.write_all(b"220 mail.test\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.get(..4).unwrap_or_default() {
            "RCPT" => answers.pop_front().unwrap_or_else(|| "250 taken".into()),
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    text.push_str(&line);
                    text.push('\n');
                }
                taken.lock().unwrap().push(text);
                "250 taken".into()
            }
            "QUIT" => "221 bye".into(),
            _ => "250 mail.test".into(),
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

fn mail_settings(port: u16) -> mail::Settings {
    mail::Settings {
        server: Server::parse(&format!("smtp://127.0.0.1:{port}")).unwrap(),
        login: None,
        roots: Vec::new(),
        from: mailbox("clover@example.org"),
        book: Addresses {
            sets: [(Name::parse("leads").unwrap(), mailbox("leads@example.org"))].into(),
            ..Addresses::default()
        },
    }
}

#[tokio::test]
async fn a_mail_server_that_refuses_is_asked_again_until_it_takes_the_mail() {
    let refusals = ["451 <leads@example.org> not now", "550 <leads@example.org> no such user"];
    let (port, taken) = mail_server(&refusals).await;
    let settings = Settings { mail: Some(mail_settings(port)), ..settings(Vec::new(), &Kept::default()) };
    let (desk, registry) = desk(settings);
    let working = desk.start(known(Vec::new()));
    desk.told(&happened(&asked("R-1", Ground::Grant, NOW)));
    until("taken", || desk.shown().delivered == 1).await;
    let mails = taken.lock().unwrap().clone();
    assert!(mails.len() == 1 && mails[0].contains("Subject: a request waits for approval: R-1"), "{mails:?}");
    assert!(shown(&registry).contains("receiver=\"mail\",outcome=\"failed\"} 2"), "{}", shown(&registry));
    // Nobody has an address to whom this one would go.
    let mut r = asked("R-2", Ground::Grant, NOW);
    approve(&mut r, "lea-secret", NOW);
    desk.told(&happened(&r));
    until("counted", || shown(&registry).contains("outcome=\"unaddressed\"} 2")).await;
    working.end().await;
}

#[tokio::test]
async fn what_a_mail_server_says_is_repeated_nowhere() {
    let (port, _) = mail_server(&["550 <leads@example.org> no such user"]).await;
    let mail = Mail::new(mail_settings(port), "https://console.example".into()).unwrap();
    let rules = rules();
    let teller = Teller { source: "clover:programme/site", rules: &rules };
    let (notice, _) = teller.of_act(&asked("R-1", Ground::Grant, NOW), 0).remove(0);
    let refused = mail.deliver(&notice, &mailbox("leads@example.org")).await.unwrap_err();
    assert_eq!(refused.line(), "it answered 550");
    let gone = Mail::new(mail_settings(closed().await), "https://console.example".into()).unwrap();
    let unreached = gone.deliver(&notice, &mailbox("leads@example.org")).await.unwrap_err();
    assert_eq!(unreached.line(), "the mail server could not be used: no connection");
}

#[tokio::test]
async fn a_mail_server_that_takes_a_connection_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut mail = Mail::new(mail_settings(port), "https://console.example".into()).unwrap();
    mail.patience = Duration::from_millis(300);
    let rules = rules();
    let teller = Teller { source: "clover:programme/site", rules: &rules };
    let (notice, _) = teller.of_act(&asked("R-1", Ground::Grant, NOW), 0).remove(0);
    let began = Instant::now();
    let given_up = mail.deliver(&notice, &mailbox("leads@example.org")).await.unwrap_err();
    assert!(began.elapsed() <= PATIENCE, "{:?}", began.elapsed());
    assert_eq!(given_up.line(), "the mail server could not be used: too slow");
}
