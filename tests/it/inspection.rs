//! `clover inspect` and `clover risk`: what anybody may ask of a file, without an enclave.

use std::path::Path;

use clover::layout::Layout;
use serde_json::Value;
use tempfile::TempDir;
use xtask::world::clover_raw;

const MAIL: &str = "ann.larsen@example.org";
const HETU: &str = "131052-308T";

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = clover_raw(&Layout::new(&folder.join("none")), arguments).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn what_is_found_in_files_is_told_by_line_and_byte_and_never_shown() {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let events = written(
        folder.path(),
        "events.ndjson",
        &format!("{{\"n\":1}}\n{{\"note\":\"write to {MAIL}\",\"hetu\":\"{HETU}\"}}\n"),
    );
    let table = written(folder.path(), "table.csv", "name,bsn\nx,123456782\n");
    let clean = written(folder.path(), "clean.txt", "nothing of anybody, 42 times\n");
    let (code, told, _) = run(folder.path(), &["--json", "inspect", &events, &table, &clean]);
    assert_eq!(code, Some(1));
    let found: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let brief: Vec<_> = found
        .iter()
        .map(|f| (f["line"].as_u64().unwrap(), f["start"].as_u64().unwrap(), f["rule"].as_str().unwrap()))
        .collect();
    assert!(brief.contains(&(2, 18, "email")), "{brief:?}");
    assert!(brief.iter().any(|(line, _, rule)| (*line, *rule) == (2, "fi.hetu")), "{brief:?}");
    assert!(found.iter().any(|f| f["rule"] == "nl.bsn" && f["country"] == "NL"), "{brief:?}");
    assert!([MAIL, HETU, "123456782"].iter().all(|value| !told.contains(value)));
    let (_, words, count) = run(folder.path(), &["inspect", &events]);
    assert!(words.contains("events.ndjson:2:18-40: e-mail address"), "{words}");
    assert!(count.contains("2 found in 1 files") && !words.contains(MAIL), "{count}");
    assert_eq!(run(folder.path(), &["inspect", &clean]).0, Some(0));
    let (code, report, _) = run(folder.path(), &["inspect", "--sarif", &table]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((code, &report["version"]), (Some(1), &Value::from("2.1.0")));
    let result = &report["runs"][0]["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["locations"][0]["physicalLocation"]["region"]["startLine"]),
        (&Value::from("nl.bsn"), &Value::from(2))
    );
    let missing = folder.path().join("missing").display().to_string();
    let (code, _, said) = run(folder.path(), &["inspect", &missing]);
    assert!(code == Some(1) && said.contains("CLV-"), "{said}");
}

#[test]
fn a_release_whose_pseudonyms_can_be_undone_counts_as_plain() {
    let folder = TempDir::with_prefix("clover-it-").unwrap();
    let rows = |salt: u32, link: &str| {
        let row = |n: u32| {
            format!(
                "{{\"who\":\"t1.1.{:026}\",\"country\":\"IE\",\"link\":\"{}\"}}\n",
                n * salt,
                link.replace('#', &n.to_string())
            )
        };
        (0..40).map(row).collect::<String>()
    };
    let bad = written(folder.path(), "bad.ndjson", &rows(1, "https://example.org/@user#"));
    let ask = |file: &str, more: &[&str]| {
        let arguments = ["--json", "risk", file, "--quasi", "country", "--token", "who", "--content", "link"];
        let (code, told, said) = run(folder.path(), &[&arguments[..], more].concat());
        (code, serde_json::from_str::<Value>(&told).unwrap_or_else(|_| panic!("{told}{said}")))
    };
    let (code, told) = ask(&bad, &[]);
    assert_eq!((code, &told["verdict"]), (Some(1), &Value::from("plain")), "{told}");
    assert!(
        told["findings"].as_array().unwrap().contains(&Value::from("risk-token-beside-content")),
        "{told}"
    );
    let good = written(folder.path(), "good.ndjson", &rows(7, "t1.1.masked"));
    let (code, told) = ask(&good, &[]);
    assert_eq!((code, &told["verdict"]), (Some(0), &Value::from("holds")), "{told}");
    let (code, told) = ask(&good, &["--against", &good]);
    assert_eq!((code, &told["against"]["verdict"]), (Some(1), &Value::from("plain")), "{told}");
    let table = written(folder.path(), "alone.csv", "year,place\n1960,a\n1961,a\n1962,b\n");
    let (code, told, _) = run(folder.path(), &["--json", "risk", &table, "--quasi", "year,place"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("risk-unique"), "{told}");
    let broken = written(folder.path(), "broken.ndjson", "{\"who\":1}\n{\"who\":");
    let (code, _, said) = run(folder.path(), &["risk", &broken, "--token", "who"]);
    assert!(code == Some(1) && said.contains("cannot be read"), "{said}");
    let (code, _, said) = run(folder.path(), &["risk", &broken]);
    assert!(code == Some(64) && said.contains("name at least one column"), "{said}");
}

#[test]
fn rows_of_parquet_are_read_and_what_is_not_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let given = |name: &str| format!("{}/../crates/table/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    let (code, said, _) = run(dir.path(), &["inspect", &given("people.parquet")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("people.parquet:1:19-34: e-mail address"), "{said}");
    let (code, said, _) = run(dir.path(), &["risk", &given("people.parquet"), "--quasi", "born"]);
    assert!(code == Some(1) && said.contains("2 rows"), "{said}");
    let (code, _, complaint) = run(dir.path(), &["inspect", &given("people-gzip.parquet")]);
    assert!(code == Some(1) && complaint.contains("write it with Snappy"), "{complaint}");
    let whole = std::fs::read(given("people.parquet")).unwrap();
    let cut = dir.path().join("cut.parquet");
    std::fs::write(&cut, &whole[..900]).unwrap();
    let (code, _, complaint) = run(dir.path(), &["risk", cut.to_str().unwrap(), "--quasi", "born"]);
    assert!(code == Some(1) && complaint.contains("no whole Parquet file"), "{complaint}");
}
