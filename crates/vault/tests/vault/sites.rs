//! Four sites with a server each lose one, and then another is cut off from the rest: no acknowledged write is lost.
//!
//! `CLOVER_SEED` is printed; `CLOVER_SITES_SEEDS=20` (`scripts/sites soak 20`) plays so many, one after another, on one
//! cluster. Where the machine gives no network namespaces (it needs root), nothing is cut, and that is said.

mod client;
pub(crate) mod cluster;
mod history;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::Dice;
use vault::control::store::PostgresStore;

use self::client::{Clients, Journalist};
use self::cluster::{Cluster, until};
use self::history::contradictions;
use super::control::keys;

/// Nothing is said of how fast it must be: this is the end of patience.
const GAP_MAX: Duration = Duration::from_secs(120);
/// Answers between two events, at the least.
const ENOUGH: usize = 60;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn losing_a_site_loses_no_acknowledged_write() {
    let (first, seeds) = (number("CLOVER_SEED", 20_261_126), number("CLOVER_SITES_SEEDS", 1));
    println!("CLOVER_SEED={first} CLOVER_SITES_SEEDS={seeds}");
    let start = Instant::now();
    let cluster = Cluster::up();
    println!("up after {:.1} s", start.elapsed().as_secs_f64());
    PostgresStore::migrate(&cluster.database(None)).unwrap();
    PostgresStore::create(&cluster.database(None), &keys()).unwrap();
    strangers_are_refused(&cluster);
    for seed in first..first + seeds {
        play(&cluster, seed);
    }
}

/// One seed: a site is killed and comes back, the next leader is cut off and comes back, all under load.
fn play(cluster: &Cluster, seed: u64) {
    let mut dice = Dice::new(seed);
    let (clients, journalist, stop) = (Clients::new(seed), Journalist::new(seed), AtomicBool::new(false));
    journalist.create(cluster);
    std::thread::scope(|s| {
        // Also when something fails here, or they would be waited for without end.
        let _stop = Stop(&stop);
        for client in 1..=4 {
            let (clients, stop) = (&clients, &stop);
            s.spawn(move || clients.work(client, &cluster.database(None), stop));
        }
        s.spawn(|| journalist.work(cluster, &stop));
        clients.more(ENOUGH + dice.below(200));

        let lost = cluster.leader(None, None);
        let kill = clients.now();
        cluster.must(&["kill", &lost]);
        let dead = clients.now();
        for site in cluster.others(&lost) {
            let read = cluster.read(&site, "select count(*) from clover_control_row");
            assert!(read.as_ref().is_ok_and(|n| n != "0"), "{site} serves no reads: {read:?}");
        }
        let reads = (clients.now() - dead) / 3;
        clients.more(ENOUGH + dice.below(200));
        journalist.more();
        let gap = clients.gap_behind(kill);
        assert!(gap < GAP_MAX, "no writes for {gap:?}");
        cluster.must(&["start", &lost]);
        cluster.complete();
        println!(
            "seed {seed}: {lost} killed, a read at each other site takes {reads:.1?}, no writes for {gap:.1?}"
        );

        if cluster.links {
            cut_the_leader(cluster, &clients, &journalist, seed);
        } else {
            println!("seed {seed}: nothing is cut: there are no network namespaces without root");
        }
    });
    clients.judge(cluster, seed);
    journalist.judge(cluster, seed);
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The leader loses the others, and a client goes on to reach it.
fn cut_the_leader(cluster: &Cluster, clients: &Clients, journalist: &Journalist, seed: u64) {
    let cut_off = cluster.leader(None, None);
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let _stop = Stop(&stop);
        let holder = s.spawn(|| clients.work(9, &cluster.database(Some(&cut_off)), &stop));
        until("an answer to the one who holds on", || clients.answers_of(9).last().map(|_| ()));
        let cut = clients.now();
        cluster.must(&["cut", &cut_off]);
        let witness = cluster.others(&cut_off).remove(0);
        let new = cluster.leader(Some(&witness), Some(&cut_off));
        let elected = clients.now();
        clients.more(ENOUGH);
        journalist.more();
        let gap = clients.gap_behind(cut);
        assert!(gap < GAP_MAX, "no writes for {gap:?}");
        // The one who holds on still reaches what it held, and gets a read or a refusal, never a confirmation.
        let reached = cluster.read(&cut_off, "select pg_is_in_recovery()");
        stop.store(true, Ordering::SeqCst);
        holder.join().unwrap();
        assert_eq!(reached.as_deref(), Ok("t"), "the old leader has stepped down, and its clients reach it");
        let late: Vec<_> = clients.answers_of(9).into_iter().filter(|at| *at > elected).collect();
        assert!(late.is_empty(), "{cut_off} acknowledged at {late:?}, and {new} was elected at {elected:?}");
        let last = clients.answers_of(9).last().copied().unwrap();
        cluster.must(&["heal", &cut_off]);
        cluster.complete();
        println!(
            "seed {seed}: {cut_off} cut off at {cut:.1?}, its last answer at {last:.1?}, {new} leads by {elected:.1?}, \
             no writes for {gap:.1?}"
        );
    });
}

/// Replication and application belong to certificates: a name alone opens nothing.
fn strangers_are_refused(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let leader = cluster.leader(None, None);
    let [_, front, back] = cluster.sites.iter().find(|[name, ..]| *name == leader).unwrap();
    let ca = cluster.path().join("pki/sites.pem");
    let shown = |stem: &str| {
        let (certificate, key) = cluster.shown(stem, folder.path());
        format!(
            "sslmode=verify-full sslrootcert={} sslcert={} sslkey={}",
            ca.display(),
            certificate.display(),
            key.display()
        )
    };
    let standby = cluster.others(&leader).remove(0);
    let other = cluster.others(&leader).remove(1);
    let role = |site: &str| format!("site_{}", site.replace('-', "_"));
    let (own, client, foreign) =
        (shown(&format!("{standby}/site")), shown("pki/clover"), shown(&format!("{other}/site")));
    let nothing = format!("sslmode=require sslcert={0}/none sslkey={0}/none", folder.path().display());
    let replicate = |user: &str, shown: &str, address: &str| {
        let to = format!(
            "host={leader} hostaddr={address} user={user} dbname=postgres replication=true {shown} \
             application_name={standby} connect_timeout=5"
        );
        cluster.within(&standby, &["psql", "-Xc", "IDENTIFY_SYSTEM", &to])
    };
    replicate(&role(&standby), &own, back).unwrap_or_else(|e| panic!("a site with its certificate: {e}"));
    for (what, told) in [
        ("a client's certificate", replicate(&role(&standby), &client, back)),
        ("no certificate", replicate(&role(&standby), &nothing, back)),
        ("another site's certificate", replicate(&role(&standby), &foreign, back)),
        ("the role of another site", replicate(&role(&other), &own, back)),
        ("the application, over replication", replicate("clover", &client, back)),
        ("a site as superuser of another", replicate("postgres", &own, back)),
    ] {
        let refused = told.expect_err(what);
        assert!(refused.contains("FATAL"), "{what}: {refused}");
    }
    let apply = |shown: &str| {
        let to =
            format!("host={leader} hostaddr={front} user=clover dbname=clover connect_timeout=5 {shown}");
        let told = std::process::Command::new("psql").args(["-XqAtc", "select 1", &to]).output().unwrap();
        if told.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&told.stderr).into_owned()) }
    };
    assert_eq!(apply(&client), Ok(()));
    for (what, shown) in [("none", nothing.as_str()), ("a site's", &own), ("in the clear", "sslmode=disable")]
    {
        assert!(apply(shown).is_err_and(|e| e.contains("FATAL")), "the application with {what}");
    }
    doors_are_closed(cluster, &standby, back, folder.path());
}

/// What is asked of etcd and Patroni needs a site's certificate.
fn doors_are_closed(cluster: &Cluster, from: &str, leader: &str, folder: &std::path::Path) {
    let ca = cluster.path().join("pki/sites.pem").display().to_string();
    let etcd = &cluster.sites[0][2];
    for url in [format!("https://{leader}:8008/cluster"), format!("https://{etcd}:2379/version")] {
        let ask = |stem: &str| {
            let (certificate, key) = cluster.shown(stem, folder);
            let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
            let shown = ["--cert", &certificate, "--key", &key, &url];
            cluster.within(from, &[&["curl", "-sSfm5", "--cacert", &ca][..], &shown].concat())
        };
        assert!(ask(&format!("{from}/site")).is_ok(), "{url}");
        assert!(ask("pki/clover").is_err(), "{url} took a client's certificate");
        let bare = cluster.within(from, &["curl", "-sSfm5", "--cacert", &ca, &url]);
        assert!(bare.is_err(), "{url} took no certificate");
    }
}
