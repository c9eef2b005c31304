//! The mirror signs what it holds and has checked, and nothing else.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on shall fail")]

#[path = "mirror/world.rs"]
#[expect(unreachable_pub, reason = "a module of this test only")]
mod world;
#[path = "audit/writer.rs"]
#[expect(unreachable_pub, dead_code, reason = "a module of another test too")]
mod writer;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ciborium::{Value, cbor};
use world::{
    GATEWAYS, Home, SITE, Server, TestSite, ask, body, consistency, files_in, fill, hex_of, http,
    is_cosigned, is_green, reasons, request, signed, status, stranger, tile, until,
};
use writer::{leaf, root};

const STRANGER: &str = "[[log]]\nvkey = \"stranger.vkey\"\n";

fn green(address: SocketAddr) {
    until("green", || is_green(address));
}

/// Adds a second of the site's life.
fn live(site: &mut TestSite, server: &Server) {
    site.round();
    server.set(site.publish());
}

#[test]
fn a_site_is_held_and_cosigned_and_verify_reads_what_is_held() {
    let mut site = TestSite::new(600);
    let server = Server::start(site.publish());
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    green(mirror.address());
    let answer = ask(mirror.address(), &site.ask(0));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(is_cosigned(&answer.body, &home.mirror_vkey, &site.site.note(2)));
    // Everything grows, over the borders of bundles, and the next checkpoint is asked for at once.
    for log in &mut site.logs[1..] {
        fill(log, 800);
    }
    live(&mut site, &server);
    let answer = ask(mirror.address(), &site.ask(2));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(is_cosigned(&answer.body, &home.mirror_vkey, &site.site.note(3)));
    let held = |address| status(address)["sites"][0]["logs"][1]["held"].clone();
    // The status is of where the follower is between two looks.
    until("all is held", || held(mirror.address()) == 800);
    let cosigned = http(mirror.address(), "GET", &format!("/{}/checkpoint", hex_of(SITE)), b"").unwrap();
    assert_eq!((cosigned.status, cosigned.body.ends_with(&answer.body)), (200, true));
    drop(mirror);
    for (log, prefix) in [("a", "gw/a"), ("b", "gw/b")] {
        let check = Command::new(env!("CARGO_BIN_EXE_clover-audit"))
            .current_dir(home.folder.path())
            .args([
                "verify",
                "--no-redecide",
                "--operator-vkey",
                "operator.vkey",
                "--auditor-vkey",
                "auditor.vkey",
            ])
            .args(["--ledger", &format!("state/{prefix}"), "--log-vkey", &format!("{log}.vkey")])
            .output()
            .unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    }
    // What is held is the start of the next run: nothing is fetched twice.
    server.with(|shelf| shelf.hits.clear());
    let mirror = home.start();
    until("the book", || held(mirror.address()) == 800);
    until("a look", || server.shelf.lock().unwrap().hits.contains_key("gw/b/checkpoint"));
    let bundles = server.shelf.lock().unwrap().hits.keys().filter(|path| path.contains("tile")).count();
    assert_eq!(bundles, 0);
}

#[test]
fn a_witness_answers_with_the_codes_of_the_protocol() {
    let log = stranger();
    let home = Home::new(None, STRANGER);
    let mirror = home.start();
    let at = mirror.address();
    let code = |body: &str| ask(at, body).status;
    // 400: malformed, or the old size is greater than the new.
    for malformed in ["", "old 0\n", "old x\n\n", "old 0\nAAAA\n\nx\n"] {
        assert_eq!(code(malformed), 400, "{malformed}");
    }
    assert_eq!(code(&request(&log, 0, 9).replace("old 0", "old 10")), 400);
    assert_eq!(code(&"x".repeat(70_000)), 400);
    // 404: unknown; 403: no signature of its key.
    let other = world::TestLog { origin: "other.test/log", ..stranger() };
    assert_eq!(code(&request(&other, 0, 9)), 404);
    let note = signed(log.origin, 9, &log.root(9), &writer::Signer::new(log.origin, 99));
    assert_eq!(code(&body(0, &[], &note)), 403);
    let forged = request(&log, 0, 9).replace("\n9\n", "\n8\n");
    assert_eq!(code(&forged), 403);
    // 422: a proof where there is none.
    assert_eq!(code(&body(0, &[[1; 32]], &log.note(9))), 422);
    // 404 as long as nothing is cosigned; 200 with the witness's line.
    let monitor = format!("/{}/checkpoint", hex_of(log.origin));
    assert_eq!(http(at, "GET", &monitor, b"").unwrap().status, 404);
    let answer = ask(at, &request(&log, 0, 9));
    assert_eq!(answer.status, 200);
    assert!(is_cosigned(&answer.body, &home.witness_vkey, &log.note(9)));
    // 409 with the size, in its own type.
    let conflict = ask(at, &request(&log, 0, 20));
    assert_eq!(
        (conflict.status, conflict.body.as_str(), conflict.kind.as_str()),
        (409, "9\n", "text/x.tlog.size")
    );
    assert_eq!(code(&request(&log, 8, 9)), 409);
    // 422: a wrong proof; then the right one.
    let mut proof = consistency(9, &log.hashes(20), true);
    proof[0][0] ^= 1;
    assert_eq!(code(&body(9, &proof, &log.note(20))), 422);
    assert_eq!(code(&body(9, &[], &log.note(20))), 422);
    assert!(is_green(at), "anybody can send a wrong proof, and it proves nothing: {}", reasons(at));
    assert_eq!(code(&request(&log, 9, 20)), 200);
    // The same again is a newer time for the same tree.
    assert_eq!(code(&request(&log, 20, 20)), 200);
    let cosigned = http(at, "GET", &monitor, b"").unwrap();
    assert!(cosigned.body.starts_with(&log.note(20)));
    // An empty tree has one root only.
    assert_eq!(code(&body(0, &[], &signed(log.origin, 0, &[1; 32], &log.signer()))), 409);
    // Other ways and methods.
    assert_eq!(http(at, "GET", "/add-checkpoint", b"").unwrap().status, 405);
    for path in ["/", "/x/checkpoint", "/../checkpoint", "/status/x", "/add-checkpoint/"] {
        assert_eq!(http(at, "GET", path, b"").unwrap().status, 404, "{path}");
    }
}

#[test]
fn a_second_tree_of_the_same_size_is_refused_kept_and_red() {
    let log = stranger();
    let home = Home::new(None, STRANGER);
    let mirror = home.start();
    assert_eq!(ask(mirror.address(), &request(&log, 0, 9)).status, 200);
    let fork = signed(log.origin, 9, &[7; 32], &log.signer());
    assert_eq!(ask(mirror.address(), &body(9, &[], &fork)).status, 422);
    assert!(!is_green(mirror.address()));
    let evidence = files_in(&home.path("state/evidence"));
    assert_eq!(evidence.iter().filter(|name| name.starts_with("fork-")).count(), 1, "{evidence:?}");
    drop(mirror);
    let mirror = home.start();
    assert!(reasons(mirror.address()).contains("two trees of 9 entries"), "it stays red over a restart");
}

#[test]
fn of_two_requests_from_the_same_size_exactly_one_wins() {
    let log = stranger();
    let home = Home::new(None, STRANGER);
    let mirror = home.start();
    let at = mirror.address();
    let mut old = 0;
    for round in 0..8_usize {
        let sizes = [4 * round + 2, 4 * round + 4];
        let start = Barrier::new(2);
        let answers: Vec<_> = thread::scope(|scope| {
            let asked = sizes.map(|new| {
                let (log, start) = (&log, &start);
                scope.spawn(move || {
                    let body = request(log, old, new);
                    start.wait();
                    (new, ask(at, &body))
                })
            });
            asked.map(|thread| thread.join().unwrap()).into_iter().collect()
        });
        let won: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 200).collect();
        let lost: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 409).collect();
        assert_eq!((won.len(), lost.len()), (1, 1));
        old = won[0].0;
        assert_eq!(lost[0].1.body, format!("{old}\n"));
    }
}

/// A mirror in a process of its own, that can be killed.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(home: &Home) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_clover-audit"))
            .args(["mirror", "--config"])
            .arg(home.path("mirror.toml"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().parse().unwrap();
        Self { child, address }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn killed_at_any_moment_it_never_signs_an_older_or_another_tree() {
    let log = stranger();
    let home = Home::new(None, STRANGER);
    let (mut acknowledged, mut sizes) = (0, 0);
    for delay in [0, 1, 3, 7, 12, 20] {
        let process = Process::start(&home);
        let at = process.address;
        // Where it stands now is at least what it acknowledged.
        let held: usize = if acknowledged == 0 {
            0
        } else {
            let conflict = ask(at, &request(&log, 0, 1));
            assert_eq!(conflict.status, 409);
            conflict.body.trim().parse().unwrap()
        };
        assert!(held >= acknowledged, "{held} < {acknowledged}");
        assert!(acknowledged == 0 || ask(at, &request(&log, held - 1, held)).status == 409);
        let progress = Arc::new(AtomicUsize::new(held));
        let asker = thread::spawn({
            let (log, progress) = (stranger(), Arc::clone(&progress));
            move || {
                let mut last = held;
                for new in held + 1..log.leaves.len() {
                    match http(at, "POST", "/add-checkpoint", request(&log, last, new).as_bytes()) {
                        Ok(answer) if answer.status == 200 => last = new,
                        _ => break,
                    }
                    progress.store(last, Ordering::Relaxed);
                }
                last
            }
        });
        // Into the next signature, earlier or later.
        until("a signature", || delay == 0 || progress.load(Ordering::Relaxed) > held);
        thread::sleep(Duration::from_millis(delay));
        drop(process);
        acknowledged = asker.join().unwrap();
        sizes += usize::from(acknowledged > held);
    }
    assert!(sizes > 1, "the process was never killed while it signed");
    // Another tree of a size that may or may not have been signed is refused, whatever the crash left.
    let process = Process::start(&home);
    let monitor = http(process.address, "GET", &format!("/{}/checkpoint", hex_of(log.origin)), b"").unwrap();
    let size: usize = monitor.body.lines().nth(1).unwrap().parse().unwrap();
    assert!(size >= acknowledged);
    let fork = signed(log.origin, size, &[7; 32], &log.signer());
    assert_eq!(ask(process.address, &body(size, &[], &fork)).status, 422);
}

#[test]
fn two_mirrors_never_share_a_folder() {
    let home = Home::new(None, STRANGER);
    let mirror = home.start();
    let config = audit::MirrorConfig::read(&home.path("mirror.toml")).unwrap();
    assert!(matches!(audit::Mirror::start(config), Err(audit::StartError::Locked(_))));
    drop(mirror);
    drop(home.start());
}

#[test]
fn a_record_of_signatures_that_somebody_else_wrote_is_no_memory() {
    let log = stranger();
    let home = Home::new(None, STRANGER);
    drop(home.start());
    fs::write(home.path("state/signed").join(hex_of(log.origin)), log.note(3)).unwrap();
    let mirror = home.start();
    assert_eq!(ask(mirror.address(), &request(&log, 3, 9)).status, 503);
    assert!(!is_green(mirror.address()));
}

#[test]
fn an_asker_cannot_put_a_signature_into_our_mouth() {
    let log = stranger();
    let home = Home::new(None, STRANGER);
    let mirror = home.start();
    let lie = "— auditor.test/witness AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    assert_eq!(ask(mirror.address(), &(request(&log, 0, 9) + lie)).status, 200);
    drop(mirror);
    let mirror = home.start();
    assert_eq!(ask(mirror.address(), &request(&log, 9, 12)).status, 200);
}

/// Starts from an honest site, publishes a lie, and expects that it is not cosigned, is red, and why.
#[track_caller]
fn lie(change: impl FnOnce(&mut TestSite, &Server), why: &str) -> (Home, audit::Mirror, Server, TestSite) {
    let mut site = TestSite::new(300);
    let server = Server::start(site.publish());
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    green(mirror.address());
    let size = site.site.leaves.len();
    assert_eq!(ask(mirror.address(), &site.ask(0)).status, 200);
    change(&mut site, &server);
    let answer = ask(mirror.address(), &site.ask(size));
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains(why), "{}", answer.body);
    until("red", || !is_green(mirror.address()));
    (home, mirror, server, site)
}

#[test]
fn a_gateway_that_is_left_out_of_rounds_is_red_for_good() {
    let (home, mirror, server, mut site) = lie(
        |site, server| {
            let mut lines = site.lines();
            lines.remove(1);
            site.add(1, &cbor!({ 0 => lines }).unwrap());
            server.set(site.publish());
        },
        "names other logs than those enrolled",
    );
    live(&mut site, &server);
    assert_eq!(ask(mirror.address(), &site.ask(2)).status, 503);
    drop(mirror);
    let mirror = home.start();
    assert_eq!(ask(mirror.address(), &site.ask(2)).status, 503);
    assert!(reasons(mirror.address()).contains("names other logs"));
}

/// Takes the last gateway off the list.
fn retire(site: &mut TestSite) {
    let line = site.lines().pop().unwrap().into_array().unwrap();
    let body = (0..).zip(line).map(|(key, value): (u64, Value)| (key.into(), value)).collect();
    site.add(7, &Value::Map(body));
    round_without(site);
}

fn round_without(site: &mut TestSite) {
    let mut lines = site.lines();
    lines.pop();
    site.add(1, &cbor!({ 0 => lines }).unwrap());
}

#[test]
fn a_retired_gateway_is_followed_and_must_not_grow() {
    let mut site = TestSite::new(300);
    let server = Server::start(site.publish());
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    green(mirror.address());
    retire(&mut site);
    server.set(site.publish());
    let answer = ask(mirror.address(), &site.ask(0));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let size = site.site.leaves.len();
    // It goes on writing.
    fill(site.logs.last_mut().unwrap(), 310);
    until("red", || {
        round_without(&mut site);
        server.set(site.publish());
        reasons(mirror.address()).contains("was retired with 300 entries, and it has more")
    });
    assert_eq!(ask(mirror.address(), &site.ask(size)).status, 503);
}

#[test]
fn a_gateway_that_leaves_the_list_without_a_retirement_is_not_cosigned() {
    lie(
        |site, server| {
            let gone = site.logs.pop().unwrap();
            site.enrol();
            site.logs.push(gone);
            round_without(site);
            server.set(site.publish());
        },
        "leaves out `ledger.test/one/b`, which was not retired",
    );
}

#[test]
fn a_gateway_that_comes_back_after_its_retirement_is_not_cosigned() {
    lie(
        |site, server| {
            retire(site);
            site.enrol();
            site.round();
            server.set(site.publish());
        },
        "which was retired",
    );
}

#[test]
fn a_round_with_a_wrong_root_is_not_cosigned() {
    lie(
        |site, server| {
            let mut lines = site.lines();
            lines[1].as_array_mut().unwrap()[2] = Value::Bytes(vec![7; 32]);
            site.add(1, &cbor!({ 0 => lines }).unwrap());
            server.set(site.publish());
        },
        "is not that of its entries",
    );
}

#[test]
fn a_size_that_falls_is_not_cosigned() {
    lie(
        |site, server| {
            let mut lines = site.lines();
            let shorter = site.logs[1].root(299);
            *lines[1].as_array_mut().unwrap() =
                vec![Value::from(site.logs[1].origin), Value::from(299), Value::Bytes(shorter.to_vec())];
            site.add(1, &cbor!({ 0 => lines }).unwrap());
            server.set(site.publish());
        },
        "lets the size",
    );
}

#[test]
fn a_forged_bundle_is_not_held() {
    let (home, mirror, ..) = lie(
        |site, server| {
            fill(&mut site.logs[1], 400);
            site.round();
            let mut files = site.publish();
            let bundle = format!("gw/a/{}", tile("entries", 1, 144));
            files.get_mut(&bundle).unwrap()[20_000] ^= 1;
            server.set(files);
        },
        "do not lead to the signed root",
    );
    assert_eq!(status(mirror.address())["sites"][0]["logs"][1]["held"], 300);
    let held = fs::read_to_string(home.path("state/gw/a/checkpoint")).unwrap();
    assert_eq!(held.lines().nth(1), Some("300"));
}

#[test]
fn a_dropped_entry_is_not_held() {
    lie(
        |site, server| {
            fill(&mut site.logs[1], 400);
            site.round();
            let mut files = site.publish();
            // The log has signed 400 entries, and shows the first 350 and then others.
            site.logs[1].leaves.remove(350);
            let rest = site.logs[1].leaves[399 - 1].clone();
            site.logs[1].leaves.push(rest);
            let shown = site.logs[1].publish(400);
            let bundle = format!("gw/a/{}", tile("entries", 1, 144));
            files.insert(bundle.clone(), shown[&bundle].clone());
            server.set(files);
            fill(&mut site.logs[1], 400);
        },
        "do not lead to the signed root",
    );
}

#[test]
fn a_held_entry_that_changes_is_a_fork() {
    let (_home, mirror, ..) = lie(
        |site, server| {
            // Another history of the same size, signed by the log itself.
            site.logs[1].leaves[7][40] ^= 1;
            server.set(site.publish());
            site.round();
            server.set(site.publish());
        },
        "300",
    );
    until("the fork", || reasons(mirror.address()).contains("another tree of 300 entries"));
}

#[test]
fn a_malformed_entry_is_held_and_red() {
    let (_home, mirror, ..) = lie(
        |site, server| {
            site.logs[1].leaves.push(vec![0; 256]);
            site.round();
            server.set(site.publish());
        },
        "entry 300",
    );
    assert_eq!(status(mirror.address())["sites"][0]["logs"][1]["held"], 301);
}

#[test]
fn a_tag_list_that_does_not_hash_is_not_held_until_it_does() {
    let mut site = TestSite::new(300);
    let honest = site.publish();
    let mut files = honest.clone();
    let list = files.keys().find(|path| path.starts_with("gw/a/tags/")).unwrap().clone();
    files.get_mut(&list).unwrap()[0] ^= 1;
    let server = Server::start(files);
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    until("red", || reasons(mirror.address()).contains("does not hash to its root"));
    assert_eq!(ask(mirror.address(), &site.ask(0)).status, 503);
    server.set(honest);
    until("all of it", || status(mirror.address())["sites"][0]["logs"][1]["held"] == 300);
    live(&mut site, &server);
    green(mirror.address());
    assert_eq!(ask(mirror.address(), &site.ask(0)).status, 200);
}

#[test]
fn a_rulebook_that_was_altered_is_not_held() {
    let site = TestSite::new(300);
    let mut files = site.publish();
    // Whichever of them the entries name.
    let of_b = |path: &str| path.starts_with("gw/b/rulebook/") && path.ends_with("lanes.toml");
    files.iter_mut().filter(|(path, _)| of_b(path)).for_each(|(_, file)| file.push(b'\n'));
    let server = Server::start(files);
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    until("red", || reasons(mirror.address()).contains("not the signed file"));
    assert_eq!(ask(mirror.address(), &site.ask(0)).status, 503);
    assert_eq!(files_in(&home.path("state/gw/b/rulebook")).len(), 0);
}

/// The map of a day without people: two sentinels.
fn empty_map() -> [u8; 32] {
    let sentinel = |byte: u8| [&[byte; 16][..], &[0; 4], &writer::sha(&[])].concat();
    root(&[leaf(&sentinel(0)), leaf(&sentinel(0xff))])
}

fn day_map(site: &TestSite, map: [u8; 32]) -> Value {
    let inputs = site.logs[1..].iter().map(|log| {
        let size = log.leaves.len();
        cbor!([log.origin, 0, size, Value::Bytes(log.root(size).to_vec())]).unwrap()
    });
    let inputs: Vec<_> = inputs.collect();
    // A day after all entries.
    cbor!({
        0 => ((writer::START / 86_400) + 1), 1 => false, 2 => Value::Bytes(map.to_vec()), 3 => 0, 4 => 0,
        5 => inputs, 6 => Value::Bytes(writer::sha(&[]).to_vec()), 7 => 0,
    })
    .unwrap()
}

#[test]
fn a_day_map_is_built_again_before_it_is_cosigned() {
    let (_home, mirror, server, mut site) = {
        let mut site = TestSite::new(300);
        let map = day_map(&site, empty_map());
        site.add(3, &map);
        let server = Server::start(site.publish());
        let home = Home::new(Some(&server.base()), "");
        let mirror = home.start();
        let answer = ask(mirror.address(), &site.ask(0));
        assert_eq!(answer.status, 200, "{}", answer.body);
        (home, mirror, server, site)
    };
    let size = site.site.leaves.len();
    let map = day_map(&site, [7; 32]);
    site.add(3, &map);
    live(&mut site, &server);
    let answer = ask(mirror.address(), &site.ask(size));
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("map of day"), "{}", answer.body);
}

#[test]
fn a_log_that_grows_while_it_is_fetched_is_held_to_its_checkpoint() {
    let mut site = TestSite::new(300);
    let mut files = site.publish();
    // The partial bundle of the checkpoint is gone already; only the full one is there.
    let grown = {
        let mut log = world::TestLog::new(GATEWAYS[0], "gw/a", 21);
        fill(&mut log, 700);
        log.publish(700)
    };
    files.remove(&format!("gw/a/{}", tile("entries", 1, 44))).unwrap();
    let full = format!("gw/a/{}", tile("entries", 1, 256));
    files.insert(full.clone(), grown[&full].clone());
    let server = Server::start(files);
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    until("300 entries", || status(mirror.address())["sites"][0]["logs"][1]["held"] == 300);
    fill(&mut site.logs[1], 700);
    live(&mut site, &server);
    until("700 entries", || status(mirror.address())["sites"][0]["logs"][1]["held"] == 700);
    assert_eq!(ask(mirror.address(), &site.ask(0)).status, 200);
}

/// The site lives on in the background until it is dropped.
fn heartbeat<T>(site: &mut TestSite, server: &Server, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let (began, mut beat) = (Instant::now(), Instant::now());
    loop {
        if let Some(found) = look() {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it did not come");
        if beat.elapsed() > Duration::from_secs(1) {
            beat = Instant::now();
            live(site, server);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn switching_off_one_gateways_feed_turns_the_status_red_within_ten_seconds() {
    let mut site = TestSite::new(300);
    let server = Server::start(site.publish());
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    let at = mirror.address();
    green(at);
    server.with(|shelf| shelf.cut.push("gw/b/".into()));
    let (_, took) = heartbeat(&mut site, &server, || (!is_green(at)).then_some(()));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(reasons(at).contains(GATEWAYS[1]) && !reasons(at).contains(GATEWAYS[0]), "{}", reasons(at));
    server.with(|shelf| shelf.cut.clear());
    heartbeat(&mut site, &server, || is_green(at).then_some(()));
    // A feed that hangs is as bad, and does not hold up the others.
    server.with(|shelf| shelf.hung.push("gw/b/".into()));
    let (_, took) = heartbeat(&mut site, &server, || (!is_green(at)).then_some(()));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(reasons(at).contains(GATEWAYS[1]) && !reasons(at).contains(GATEWAYS[0]), "{}", reasons(at));
}

#[test]
fn a_site_that_falls_silent_or_replays_an_old_checkpoint_turns_red() {
    let mut site = TestSite::new(300);
    let old = site.publish();
    live(&mut site, &Server::start(old.clone()));
    let server = Server::start(site.publish());
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    let at = mirror.address();
    green(at);
    server.set(old);
    let old = "an old checkpoint of 2 entries is offered, and 3 are held";
    let took = until("red", || reasons(at).contains(old));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(reasons(at).contains("no new round"));
}

#[test]
fn many_entries_are_held_in_little_time() {
    let count = if cfg!(debug_assertions) { 30_000 } else { 300_000 };
    let mut site = TestSite::new(12);
    // The same entry over and over, but for its number: this is about the mirror.
    let template = site.logs[1].leaves[3].clone();
    for index in 12..count as u64 {
        let mut leaf = template.clone();
        leaf[16..24].copy_from_slice(&index.to_be_bytes());
        site.logs[1].leaves.push(leaf);
    }
    site.round();
    let server = Server::start(site.publish());
    let home = Home::new(Some(&server.base()), "");
    let began = Instant::now();
    let mirror = home.start();
    until("all of them", || status(mirror.address())["sites"][0]["logs"][1]["held"] == count);
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} entries/s");
    assert_eq!(ask(mirror.address(), &site.ask(0)).status, 200);
    assert!(rate > if cfg!(debug_assertions) { 3_000.0 } else { 50_000.0 }, "{rate:.0} entries/s");
}

#[test]
fn tiles_that_are_held_are_served_and_no_other_file() {
    let site = TestSite::new(300);
    let server = Server::start(site.publish());
    let home = Home::new(Some(&server.base()), "");
    let mirror = home.start();
    green(mirror.address());
    let hex = hex_of(GATEWAYS[0]);
    let code = |path: &str| http(mirror.address(), "GET", &format!("/{hex}/{path}"), b"").unwrap().status;
    for good in
        ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44", "tile/entries/000"]
    {
        assert_eq!(code(good), 200, "{good}");
    }
    for bad in
        ["tile/0/001", "tile/0/001.p/45", "tile/0/../checkpoint", "tags/", "tile/entries/002", "rulebook"]
    {
        assert_eq!(code(bad), 404, "{bad}");
    }
}

#[test]
fn a_log_cannot_be_enrolled_in_the_place_of_the_mirrors_or_the_watchs_own_files() {
    for prefix in ["watch/a", "findings.ndjson", "signed"] {
        let mut site = TestSite::new(12);
        site.logs[1].prefix = prefix;
        site.site.leaves.clear();
        site.enrol();
        site.round();
        let server = Server::start(site.publish());
        let home = Home::new(Some(&server.base()), "");
        let mirror = home.start();
        let taken = format!("its prefix `{prefix}` is taken");
        until("red", || reasons(mirror.address()).contains(&taken));
        assert!(!home.path("state").join(prefix).join("checkpoint").exists(), "{prefix}");
    }
}

#[test]
fn a_site_cannot_have_the_name_of_the_mirrors_or_the_watchs_own_files() {
    let home = Home::new(Some("http://127.0.0.1:1"), "");
    let path = home.path("mirror.toml");
    let text = fs::read_to_string(&path).unwrap();
    let ours = ["watch", "incidents", "signed", "evidence", "tmp", "site"].map(|name| (name, false));
    for (name, good) in [("dublin", true)].into_iter().chain(ours) {
        fs::write(&path, text.replace("[[site]]", &format!("[[site]]\nname = \"{name}\""))).unwrap();
        assert_eq!(audit::MirrorConfig::read(&path).is_ok(), good, "{name}");
    }
}

#[test]
fn an_address_that_others_can_reach_must_be_said_twice() {
    let home = Home::new(None, STRANGER);
    let path = home.path("mirror.toml");
    let text = fs::read_to_string(&path).unwrap().replace("127.0.0.1:0", "0.0.0.0:0");
    fs::write(&path, &text).unwrap();
    assert!(matches!(audit::MirrorConfig::read(&path), Err(audit::ConfigError::Cleartext(_))));
    fs::write(&path, format!("cleartext = true\n{text}")).unwrap();
    assert!(audit::MirrorConfig::read(&path).is_ok());
    // Over TLS anybody may reach it.
    let home = Home::new(None, &format!("{STRANGER}{TLS}"));
    shown(&home, "localhost");
    let path = home.path("mirror.toml");
    let text = fs::read_to_string(&path).unwrap().replace("127.0.0.1:0", "0.0.0.0:0");
    fs::write(&path, &text).unwrap();
    assert!(audit::MirrorConfig::read(&path).is_ok());
    fs::remove_file(home.path("shown.key")).unwrap();
    assert!(matches!(audit::MirrorConfig::read(&path), Err(audit::ConfigError::Certificate(..))));
}

const TLS: &str = "[tls]\ncertificate_file = \"shown.pem\"\nkey_file = \"shown.key\"\n";

/// Gives the mirror a certificate for a name, and those who ask it its authority in `ca.pem`.
fn shown(home: &Home, name: &str) {
    let (key, mut params) = (rcgen::KeyPair::generate().unwrap(), rcgen::CertificateParams::default());
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // Two authorities of one name would be told apart by their signatures only.
    let authority = format!("authority {:?}", key.public_key_raw());
    params.distinguished_name.push(rcgen::DnType::CommonName, authority);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(authority.der(), &key).unwrap();
    let own = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&own, &issuer).unwrap();
    fs::write(home.path("ca.pem"), authority.pem()).unwrap();
    fs::write(home.path("shown.pem"), certificate.pem()).unwrap();
    fs::write(home.path("shown.key"), own.serialize_pem()).unwrap();
}

#[test]
fn over_tls_only_the_mirror_with_the_right_name_and_authority_is_heard() {
    let (home, other) = (Home::new(None, &format!("{STRANGER}{TLS}")), Home::new(None, STRANGER));
    shown(&home, "localhost");
    shown(&other, "localhost");
    let mirror = home.start();
    assert!(mirror.is_secure());
    let port = mirror.address().port();
    let ask = |base: &str, ca: Option<&std::path::Path>| {
        audit::mirror_status(&format!("{base}:{port}"), ca).map(|_| ()).map_err(|error| error.to_string())
    };
    let ca = home.path("ca.pem");
    ask("https://localhost", Some(&ca)).unwrap();
    for (what, base, ca, why) in [
        ("another authority", "https://localhost", Some(other.path("ca.pem")), "UnknownIssuer"),
        ("another name", "https://127.0.0.1", Some(ca.clone()), "not valid for name"),
        ("nobody to trust", "https://localhost", None, "needs a file of certificates"),
        ("no certificate in the file", "https://localhost", Some(home.path("shown.key")), "no certificate"),
        ("in the clear", "http://localhost", Some(ca.clone()), "broke off"),
        ("in the clear, elsewhere", "http://192.0.2.1", Some(ca.clone()), "for this machine only"),
    ] {
        let said = ask(base, ca.as_deref()).unwrap_err();
        assert!(said.contains(why), "{what}: {said}");
    }
}
