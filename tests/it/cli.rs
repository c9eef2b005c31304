//! The command line: exit codes, what operators are told, and what becomes of bad files.

use std::path::{Path, PathBuf};
use std::process::Output;

use clover::layout::Layout;
use serde_json::Value;
use xtask::world::clover_raw;

use crate::support::{SEED, Stage, files, secrets};

/// What operators are told when something is wrong. `CLOVER_BLESS=1` writes the file anew.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/golden/messages.txt");

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs a line of arguments.
fn run(layout: &Layout, line: &str) -> Output {
    clover_raw(layout, &words(line)).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Changes one file of an enclave for as long as something runs.
fn changed<T>(path: &Path, change: impl FnOnce(&str) -> String, run: impl FnOnce() -> T) -> T {
    let original = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, change(&original)).unwrap();
    let result = run();
    std::fs::write(path, original).unwrap();
    result
}

/// One message with its command and exit code, without what differs from run to run.
fn told(layout: &Layout, what: &str, line: &str, output: &Output) -> String {
    let root = layout.root().display().to_string();
    let text = stderr(output).replace(&root, "<dir>");
    format!(
        "# {what}\n$ clover {}\n{}-> {}\n\n",
        line.replace(&root, "<dir>"),
        text,
        output.status.code().unwrap()
    )
}

/// Lines that cannot be carried out, each with a label.
fn wrong_lines() -> Vec<(&'static str, String)> {
    vec![
        ("a folder that is in use", "init".to_owned()),
        ("an unknown command", "frobnicate".to_owned()),
        ("a missing value", "credential issue --kind employee --id ana".to_owned()),
        ("a name that is none", "actor add --id A*B --kind employee --employer acme-eu".to_owned()),
        ("an unknown employer", "actor add --id bo --kind employee --employer acme-xx".to_owned()),
        (
            "an unknown ground",
            "access request --ground favour --purpose support --case c --dataset export".to_owned(),
        ),
        (
            "a deputy who cannot be",
            "actor add --id bo --kind employee --employer acme-eu --deputy A*B".to_owned(),
        ),
        (
            "a place where nothing can be written",
            "credential issue --kind employee --id ana --out /proc/none/ana".to_owned(),
        ),
        ("no enclave runs", "status".to_owned()),
        ("a file that is not there", "import <dir>/nothing.json".to_owned()),
        ("a dataset that is not there", "import --dataset exprot <dir>/sample".to_owned()),
    ]
}

/// What is told when files of the enclave are wrong.
fn wrong_files(layout: &Layout) -> String {
    let mut all = String::new();
    let check = |what: &str, line: &str| told(layout, what, line, &run(layout, line));
    let (config, rulebook) = (layout.config(), layout.rulebook());
    all.push_str(&changed(
        &config,
        |t| t.replace("127.0.0.1:8443", "here").replace("127.0.0.1:9", "0.0.0.0:9"),
        || check("two addresses that cannot be", "config check"),
    ));
    all.push_str(&changed(
        &config,
        |t| t.replace("# cleartext_listen = \"127.0.0.1:8080\"", "cleartext_listen = \"0.0.0.0:8080\""),
        || check("a cleartext listener for everybody", "config check") + &check("the same", "serve"),
    ));
    all.push_str(&changed(
        &config,
        |t| format!("{t}\n[gatway]\n"),
        || check("an unknown section", "config check"),
    ));
    all.push_str(&changed(
        &config,
        |t| t.replace("dublin-1", "dublin-2").replace("video-service", "vidoe-service"),
        || check("a site and a service that do not fit", "config check") + &check("the same", "serve"),
    ));
    all.push_str(&changed(
        &rulebook.join("programme.toml"),
        |t| format!("{t}\n"),
        || check("a changed rulebook", "serve") + &check("the same", "rulebook show"),
    ));
    all.push_str(&changed(
        &rulebook.join("20-permits.cedar"),
        |t| format!("{t}permit("),
        || {
            check("a policy that cannot be read", "rulebook check")
                + &check("the same", "rulebook sign --as operator")
        },
    ));
    all.push_str(&changed(
        &rulebook.join("manifest.note"),
        |_| "no note".to_owned(),
        || check("no manifest", "config check"),
    ));
    all.push_str(&changed(
        &layout.trust().join("log.vkey"),
        |_| std::fs::read_to_string(layout.trust().join("operator.vkey")).unwrap(),
        || check("another log's key", "serve"),
    ));
    let other = Layout::new(&layout.root().join("none"));
    for line in ["config check", "serve", "status", "rulebook check", "subject id --user-name x"] {
        all.push_str(&told(&other, "no enclave here", line, &run(&other, line)).replace("<dir>", "<none>"));
    }
    all
}

#[test]
fn operators_are_told_what_is_wrong_and_what_to_do() {
    let (_folder, layout) = Stage::folder(8);
    // Nobody listens on the port of discard in any test environment.
    let toml = layout.config();
    let text = std::fs::read_to_string(&toml).unwrap().replace("127.0.0.1:8444", "127.0.0.1:9");
    std::fs::write(&toml, text).unwrap();
    let mut all =
        String::from("What `clover` tells operators when something is wrong. Written by the test `cli`.\n\n");
    for (what, line) in wrong_lines() {
        let line = line.replace("<dir>", &layout.root().display().to_string());
        all.push_str(&told(&layout, what, &line, &run(&layout, &line)));
    }
    all.push_str(&wrong_files(&layout));
    // What clap says about a line that is none has neither; what became of each file is a result.
    for block in all.split("\n# ").skip(1).filter(|b| !b.contains("--help") && !b.contains("nothing.json")) {
        assert!(block.contains("error[CLV-") && block.contains("  fix: "), "no code or no fix:\n{block}");
    }
    if std::env::var_os("CLOVER_BLESS").is_some() {
        std::fs::create_dir_all(Path::new(GOLDEN).parent().unwrap()).unwrap();
        std::fs::write(GOLDEN, &all).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    for (now, before) in all.lines().zip(golden.lines()) {
        assert_eq!(now, before, "if this is meant: CLOVER_BLESS=1, and read the difference");
    }
    assert_eq!(all.lines().count(), golden.lines().count(), "if this is meant: CLOVER_BLESS=1");
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    let (_folder, layout) = Stage::folder(8);
    for usage in [
        "",
        "frobnicate",
        "init --frob",
        "access request --purpose support",
        "actor add --id A*B --kind employee --employer acme-eu",
        "sample --people many --out x",
    ] {
        assert_eq!(run(&layout, usage).status.code(), Some(64), "{usage}");
    }
    let none = Layout::new(&layout.root().join("none"));
    for configuration in ["config check", "serve", "import x", "status"] {
        assert_eq!(run(&none, configuration).status.code(), Some(78), "{configuration}");
    }
    for fine in ["--help", "--version", "config check", "rulebook check", "serve --help"] {
        let output = run(&layout, fine);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{fine}");
    }
}

#[test]
fn every_command_that_prints_data_prints_json_when_asked() {
    let (folder, layout) = Stage::folder(8);
    let out = folder.path().join("out").display().to_string();
    let commands = [
        format!("sample --people 2 --seed 9 --out {out}"),
        format!("import {out}"),
        "subject id --user-name somebody".to_owned(),
        "actor add --id bo --kind employee --employer acme-eu".to_owned(),
        "credential issue --kind employee --id bo --token".to_owned(),
        format!("credential issue --kind employee --id bo --out {out}/bo"),
        format!("credential listener --host x.example --out {out}/x"),
        "rulebook check".to_owned(),
        "rulebook show".to_owned(),
        "rulebook test".to_owned(),
        "rulebook sign --as operator".to_owned(),
        "rulebook activate".to_owned(),
        "config check".to_owned(),
    ];
    for line in commands {
        let output = run(&layout, &format!("--json {line}"));
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(value.as_object().is_some_and(|o| !o.is_empty()), "{line}: {value}");
        let lines = output.stdout.iter().filter(|b| **b == b'\n').count();
        assert_eq!(lines, 1, "{line}: one object, one line");
    }
    let made = Layout::new(&folder.path().join("new"));
    let value: Value = serde_json::from_slice(&run(&made, "--json init").stdout).unwrap();
    assert_eq!(value["programme"], "clover-demo");
}

#[test]
fn stories_and_proofs_run_from_the_command_line_and_fail_by_exit_code() {
    let (_folder, layout) = Stage::folder(8);
    let output = run(&layout, "rulebook test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.ends_with("stories end as told\n"), "{text}{}", stderr(&output));
    let story = layout.stories().join("grants.toml");
    let other =
        |t: &str| t.replace("outcome = \"pseudonymised\", by = [\"P1", "outcome = \"plain\", by = [\"P1");
    let output = changed(&story, other, || run(&layout, "rulebook test"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("expected plain by P1-") && text.contains("got      pseudonymised by P1-"),
        "{text}"
    );
    let output = changed(&story, |t| t.replace("who = ", "whom = "), || run(&layout, "rulebook test"));
    assert!(
        output.status.code() == Some(78) && stderr(&output).contains("grants.toml"),
        "{}",
        stderr(&output)
    );
    let output = run(&layout, "rulebook prove --solver /nowhere/cvc5");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "nothing is proved without a solver: {}", stderr(&output));
    assert!(text.contains("T19-no-standing-access") && text.contains("NOT PROVED"), "{text}");
}

#[test]
fn completions_and_the_manual_page_are_written() {
    let nowhere = Layout::new(Path::new("none"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&nowhere, &format!("completions {shell}"));
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(output.status.success() && text.contains("clover") && text.contains("rulebook"), "{shell}");
    }
    let page = String::from_utf8(run(&nowhere, "man").stdout).unwrap();
    assert!(page.contains(".TH clover 1") && page.contains("import"), "{page}");
}

/// A file of the sample with a change, under a name of its own.
struct Bad {
    what: &'static str,
    bytes: Vec<u8>,
}

fn bad_files(good: &str) -> Vec<Bad> {
    let bad = |what, bytes: Vec<u8>| Bad { what, bytes };
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut latin = good.as_bytes().to_vec();
    latin.insert(good.find("\"bioDescription\":\"").unwrap() + 20, 0xe9);
    let region = good.find("\"accountRegion\":\"").unwrap() + "\"accountRegion\":\"".len();
    let at = |country: &str| format!("{}{country}{}", &good[..region], &good[region + 2..]).into_bytes();
    let bio = good.find("\"bioDescription\":\"").unwrap() + "\"bioDescription\":\"".len();
    let long = format!("{}{}{}", &good[..bio], "a".repeat(64 << 20), &good[bio..]);
    let user = good.find("\"userName\":\"").unwrap() + "\"userName\":\"".len();
    let end = user + good[user..].find('"').unwrap();
    let nobody = format!("{}{}", &good[..user], &good[end..]);
    let twice = format!(
        "{}\"userName\":\"somebody\",{}",
        &good[..user - "\"userName\":\"".len()],
        &good[user - "\"userName\":\"".len()..]
    );
    vec![
        bad("empty", Vec::new()),
        bad("cut in the middle", good.as_bytes()[..good.len() / 2].to_vec()),
        bad("cut at the end", good.as_bytes()[..good.trim_end().len() - 1].to_vec()),
        bad("utf-16", [&[0xff, 0xfe][..], &utf16].concat()),
        bad("utf-16 without a mark", utf16),
        bad("a byte order mark", [&[0xef, 0xbb, 0xbf][..], good.as_bytes()].concat()),
        bad("latin-1", latin),
        bad("a long text", long.into_bytes()),
        bad("a country outside", at("US")),
        bad("a country that is none", at("XX")),
        bad("a country in small letters", at("de")),
        bad("no name", nobody.into_bytes()),
        bad("a name twice", twice.into_bytes()),
        bad("something behind", format!("{good}{{}}").into_bytes()),
        bad("a list", format!("[{good}]").into_bytes()),
        bad("deep", format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes()),
        bad("no json", b"<html><body>please sign in</body></html>".to_vec()),
        bad("zeros", vec![0; 4096]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_gets_one_clear_line_and_nobody_is_half_imported() {
    let (folder, layout) = Stage::folder(8);
    let fresh = folder.path().join("fresh");
    run(&layout, &format!("sample --people 12 --seed {} --out {}", SEED + 1, fresh.display()));
    // Some files use older names for the same things.
    let newer = |p: &PathBuf| {
        let text = std::fs::read_to_string(p).unwrap();
        ["\"accountRegion\":\"", "\"bioDescription\":\"", "\"userName\":\""]
            .iter()
            .all(|key| text.contains(key))
    };
    let mut of_use = files(&fresh);
    of_use.sort();
    of_use.retain(newer);
    let (whole, one) = (of_use[0].clone(), of_use[1].clone());
    let good = std::fs::read_to_string(&whole).unwrap();
    let folder_of_bad = folder.path().join("bad");
    std::fs::create_dir_all(&folder_of_bad).unwrap();
    let bad = bad_files(&good);
    let mut paths: Vec<PathBuf> = Vec::new();
    for (n, one) in bad.iter().enumerate() {
        let path = folder_of_bad.join(format!("{n:02}.json"));
        std::fs::write(&path, &one.bytes).unwrap();
        paths.push(path);
    }
    // The one that is whole comes last, twice, and once more under another name.
    let two = folder_of_bad.join("same.json");
    std::fs::copy(&one, &two).unwrap();
    paths.extend([
        fresh.join("nothing.json"),
        one.clone(),
        two,
        layout.root().join("sample/person-0000001.json"),
    ]);
    let arguments: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    let all: Vec<&str> = std::iter::once("import").chain(arguments.iter().map(String::as_str)).collect();
    let output = clover_raw(&layout, &all).unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}{}", stderr(&output));
    let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("refused: ")).collect();
    // One line each: the bad ones, the missing one, the two who are there already.
    assert_eq!(lines.len(), bad.len() + 3, "{text}");
    assert!(text.starts_with("1 people, "), "{text}");
    for (line, one) in lines.iter().zip(&bad) {
        println!("{}: {}", one.what, line.rsplit(".json: ").next().unwrap_or(line));
        assert!(line.len() < 300 && line.contains(": "), "{}: {line}", one.what);
    }
    // Nothing of a person in any line, on either stream; nothing of a file's content at all.
    let said = text + &stderr(&output);
    for n in 1..=12 {
        for seed in [SEED, SEED + 1] {
            let person = clover::sample::person(seed, n);
            assert_eq!(secrets(&person).iter().find(|s| said.contains(s.as_str())), None);
        }
    }
    assert!(!said.contains("please sign in") && !said.contains("panicked"), "{said}");

    // Whoever was refused is not there at all: the good file is taken afterwards, as one entry with one person.
    let again = run(&layout, &format!("--json import {}", whole.display()));
    let summary: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        (summary["people"].as_u64(), summary["refused"].as_array().map(Vec::len)),
        (Some(1), Some(0)),
        "{summary}"
    );
    let world = xtask::world::World::open(layout.root(), 8, SEED, |_| {}).await.unwrap();
    assert_eq!(world.status().unwrap()["people"], 10);
}
