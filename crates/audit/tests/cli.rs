//! `clover-audit watch` and `clover-audit report` as people call them: what they print and write, and their exit codes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on shall fail")]

#[path = "lies/site.rs"]
#[expect(unreachable_pub, dead_code, reason = "a module of another test too")]
mod site;
#[path = "audit/writer.rs"]
#[expect(unreachable_pub, dead_code, reason = "a module of several tests")]
mod writer;

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use serde_json::Value;
use site::World;
use tempfile::TempDir;
use writer::{auditor, operator};

/// A mirror's folder with keys and a configuration beside it.
struct Home(TempDir);

/// Exit code, standard output and standard error of a run.
struct Ran {
    code: i32,
    out: String,
    error: String,
}

impl Home {
    fn new(world: &World) -> Self {
        let home = Self(TempDir::new().unwrap());
        site::write(&world.publish(), &home.path("mirror"));
        let keys = [("site", site::site_key()), ("operator", operator()), ("auditor", auditor())];
        for (name, signer) in keys {
            fs::write(home.path(&format!("{name}.vkey")), signer.vkey()).unwrap();
        }
        let kept = [
            "keygen",
            "--kind",
            "auditor",
            "--name",
            "watch.test",
            "--out",
            "watch.seed",
            "--vkey",
            "watch.vkey",
        ];
        assert_eq!(home.run(&kept).code, 0);
        let party = |name: &str, company: &str, file: &str| {
            let vkey = fs::read_to_string(home.path(file)).unwrap();
            format!("[[party]]\nname = \"{name}\"\ncompany = \"{company}\"\nvkey = \"{}\"\n", vkey.trim())
        };
        let parties =
            party("operator", "Example Ltd", "operator.vkey") + &party("auditor", "Checks Ltd", "watch.vkey");
        fs::write(home.path("parties.toml"), parties).unwrap();
        // The night without rounds of these worlds is none to tell of.
        home.configure("site_gap_seconds = 90000\n");
        home
    }

    fn configure(&self, limits: &str) {
        let text = format!(
            "folder = \"own\"\noperator_vkey = \"operator.vkey\"\nauditor_vkey = \"auditor.vkey\"\n\
             [incidents]\nseed = \"watch.seed\"\nname = \"watch.test\"\nparties = \"parties.toml\"\n[limits]\n{limits}"
        );
        fs::write(self.path("watch.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clover-audit"));
        let output = command.current_dir(self.0.path()).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), error: text(output.stderr) }
    }

    fn watch(&self, more: &[&str]) -> Ran {
        let usual =
            ["watch", "--once", "--mirror", "mirror", "--site-vkey", "site.vkey", "--config", "watch.toml"];
        self.run(&[&usual, more].concat())
    }

    fn report(&self, more: &[&str]) -> Ran {
        let usual = ["report", "--mirror", "mirror", "--site-vkey", "site.vkey", "--out", "out"];
        self.run(&[&usual, more].concat())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("out/report.json")).unwrap()).unwrap()
    }

    fn html(&self) -> String {
        fs::read_to_string(self.path("out/report.html")).unwrap()
    }
}

const DAYS: [&str; 4] = ["--from", "2030-03-17", "--to", "2030-03-18"];
const SIGNERS: [&str; 4] = ["--operator-vkey", "operator.vkey", "--auditor-vkey", "auditor.vkey"];

/// A site whose key service released keys that no entry speaks of, and whose border was lifted.
fn grave() -> World {
    let mut world = World::honest();
    let mut release = world.keys[0].clone();
    release.flow = [0xab; 16];
    world.keys.push(release);
    world.write_site();
    world.add_override(1, 60, &[1, 2]);
    world
}

fn findings(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_watch_over_an_honest_site_prints_nothing_and_ends_with_0() {
    let home = Home::new(&World::honest());
    let ran = home.watch(&[]);
    assert_eq!((ran.code, ran.out.as_str(), ran.error.as_str()), (0, "", ""));
    assert_eq!(fs::read_to_string(home.path("own/findings.ndjson")).unwrap_or_default(), "");
}

#[test]
fn a_watch_prints_and_keeps_what_it_finds_once_and_opens_incidents() {
    let home = Home::new(&grave());
    let ran = home.watch(&[]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.error);
    assert_eq!(fs::read_to_string(home.path("own/findings.ndjson")).unwrap(), ran.out);
    let found = findings(&ran.out);
    let rules: BTreeSet<_> = found.iter().map(|one| one["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, BTreeSet::from(["WATCH-07", "WATCH-09"]), "{}", ran.out);
    assert!(found.iter().all(|one| one["severity"] == "grave" && one["incident"].is_string()), "{}", ran.out);
    // What was found is known: the next run finds nothing new.
    let again = home.watch(&[]);
    assert_eq!((again.code, again.out.as_str()), (0, ""), "{}", again.error);
    let list = home.run(&["incident", "list", "--folder", "own", "--parties", "parties.toml", "--json"]);
    assert_eq!(list.code, 1, "an incident is open: {}", list.error);
    let open: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(open.as_array().unwrap().len(), 2, "{}", list.out);
}

#[test]
fn a_limit_of_the_configuration_counts() {
    let home = Home::new(&World::honest());
    home.configure("site_gap_seconds = 60\n");
    let ran = home.watch(&[]);
    let rules: Vec<_> =
        findings(&ran.out).iter().map(|one| one["rule"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ran.code, rules), (1, vec!["WATCH-10".to_owned()]), "{}", ran.out);
}

#[test]
fn a_watch_that_cannot_work_says_why_with_its_exit_code() {
    let home = Home::new(&World::honest());
    let expect = |ran: Ran, code: i32, why: &str| {
        assert_eq!(ran.code, code, "{}", ran.error);
        assert!(ran.error.contains(why) && ran.out.is_empty(), "`{why}`: {}", ran.error);
    };
    expect(home.run(&["watch", "--once"]), 64, "--mirror");
    expect(home.watch(&["--what"]), 64, "--what");
    let with = |mirror: &str, key: &str, config: &str| {
        home.run(&["watch", "--once", "--mirror", mirror, "--site-vkey", key, "--config", config])
    };
    expect(with("nowhere", "site.vkey", "watch.toml"), 66, "nowhere/site/checkpoint");
    expect(with("mirror", "nokey", "watch.toml"), 66, "cannot read `nokey`");
    expect(with("mirror", "parties.toml", "watch.toml"), 78, "cannot use the key in `parties.toml`");
    expect(with("mirror", "operator.vkey", "watch.toml"), 66, "the checkpoint of `operator.test` is refused");
    expect(with("mirror", "site.vkey", "nofile"), 78, "cannot read `nofile`");
    home.configure("site_gap_seconds = 0\n");
    expect(home.watch(&[]), 78, "`site_gap_seconds` must not be 0");
    home.configure("gap = 1\n");
    expect(home.watch(&[]), 78, "unknown field `gap`");
    home.configure("");
    fs::create_dir_all(home.path("own/watch")).unwrap();
    fs::write(home.path("own/watch/state.json"), "{").unwrap();
    expect(home.watch(&[]), 78, "state.json");
}

#[test]
fn a_report_on_an_honest_site_has_its_numbers_as_json_and_as_a_page() {
    let home = Home::new(&World::honest());
    let ran = home.report(&[&DAYS[..], &SIGNERS].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.error);
    let report = home.json();
    assert_eq!(report["format"], "clover period report v1");
    assert_eq!(
        (&report["site"], &report["from"], &report["to"]),
        (&"site.test/s".into(), &DAYS[1].into(), &DAYS[3].into())
    );
    // Of the first log two rounds of answers and the stream; of the other the first two answers.
    let total = report["crossings"]["total"]["crossings"].as_u64().unwrap();
    let released = World::honest()
        .gateways
        .iter()
        .flat_map(|log| &log.entries)
        .filter(|entry| matches!(entry.kind, 1 | 6))
        .count();
    assert_eq!(total, released as u64);
    assert_eq!(ran.out, format!("crossings   {total}\nfindings    0\n"));
    let coverage = &report["coverage"];
    assert_eq!((&coverage["findings"], &coverage["maps_rebuilt"]), (&0.into(), &1.into()), "{coverage}");
    assert!(coverage["decisions_again"].as_u64().unwrap() > 10, "{coverage}");
    assert_eq!(coverage["entries_in_period"], coverage["entries_held"], "all is of these days: {coverage}");
    let page = home.html();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(
        page.contains("<h1>2030-03-17 <span>to</span> 2030-03-18</h1>")
            && page.contains("everything checked holds")
    );
    assert!(page.contains(&format!("<dt>crossings</dt><dd>{total}</dd>")), "{page}");
    assert!(!page.contains("<script") && !page.contains("http"), "nothing runs and nothing is fetched");
}

#[test]
fn a_report_without_keys_says_that_nothing_was_looked_for() {
    let home = Home::new(&grave());
    let ran = home.report(&DAYS);
    assert_eq!(ran.code, 0, "{}", ran.error);
    assert!(ran.out.ends_with("findings    not looked for\n"), "{}", ran.out);
    let report = home.json();
    assert!(report["coverage"]["findings"].is_null() && report["incidents"].is_null());
    assert!(!report["not_checked"].as_array().unwrap().is_empty());
    assert!(home.html().contains("Nothing was verified"));
}

#[test]
fn a_report_on_a_site_that_lies_ends_with_1_and_lists_findings_and_incidents() {
    let home = Home::new(&grave());
    assert_eq!(home.watch(&[]).code, 1);
    let more = [&DAYS[..], &SIGNERS, &["--watch", "own", "--parties", "parties.toml", "--quick"]].concat();
    let ran = home.report(&more);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.error);
    let report = home.json();
    let listed = report["coverage"]["findings_listed"].to_string();
    assert!(
        listed.contains("AUD-") && listed.contains("no entry that names people has its flow id"),
        "{listed}"
    );
    assert_eq!(report["coverage"]["maps_rebuilt"], 0, "`--quick` builds none");
    assert_eq!(report["overrides"].as_array().unwrap().len(), 1);
    let incidents = report["incidents"].as_array().unwrap();
    let rules: BTreeSet<_> = incidents.iter().map(|one| one["opening"]["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, BTreeSet::from(["WATCH-07", "WATCH-09"]));
    let page = home.html();
    assert!(incidents.iter().all(|one| page.contains(one["id"].as_str().unwrap())), "{page}");
}

#[test]
fn a_report_that_cannot_be_made_says_why_with_its_exit_code() {
    let home = Home::new(&World::honest());
    let expect = |ran: Ran, code: i32, why: &str| {
        assert_eq!(ran.code, code, "{}", ran.error);
        assert!(ran.error.contains(why) && ran.out.is_empty(), "`{why}`: {}", ran.error);
        assert!(!home.path("out").exists(), "nothing is written");
    };
    expect(home.report(&[]), 64, "--from");
    expect(home.report(&["--from", "2030-03-18", "--to", "2030-03-17"]), 64, "`--from` is after `--to`");
    for bad in ["2030-3-17", "2030-02-30", "yesterday"] {
        expect(home.report(&["--from", bad, "--to", "2030-03-17"]), 64, "`--from` is not of the form");
    }
    let half = [&DAYS[..], &["--operator-vkey", "operator.vkey"]].concat();
    expect(home.report(&half), 64, "--auditor-vkey");
    expect(home.report(&[&DAYS[..], &["--watch", "own"]].concat()), 64, "--parties");
    let elsewhere = ["report", "--mirror", "nowhere", "--site-vkey", "site.vkey", "--out", "out"];
    expect(home.run(&[&elsewhere, &DAYS[..]].concat()), 66, "nowhere/site/checkpoint");
    let parties = [&DAYS[..], &["--watch", "own", "--parties", "nofile"]].concat();
    expect(home.report(&parties), 78, "nofile");
    let file = ["report", "--mirror", "mirror", "--site-vkey", "site.vkey", "--out", "site.vkey"];
    expect(home.run(&[&file, &DAYS[..]].concat()), 73, "cannot write into `site.vkey`");
}
