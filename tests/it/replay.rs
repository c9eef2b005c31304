//! A proposed rulebook over a ledger that real crossings wrote: what would open, what would close, and what nobody
//! can say; beside an enclave that goes on.

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use xtask::world::clover_raw;

use crate::support::{SUPPORT, Stage, copy};

/// A copy of the rulebook in force with some words of one file replaced.
fn candidate(stage: &Stage, name: &str, file: &str, from: &str, to: &str) -> String {
    let folder = stage.beside(name);
    copy(&stage.world.layout.rulebook(), &folder);
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "`{file}` has no `{from}` any more");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    folder.display().to_string()
}

fn run(stage: &Stage, arguments: &[&str]) -> Output {
    clover_raw(&stage.world.layout, arguments).unwrap()
}

fn replay(stage: &Stage, candidate: &str) -> (i32, Value) {
    let output = run(stage, &["rulebook", "replay", "--candidate", candidate, "--json"]);
    let told = serde_json::from_slice(&output.stdout);
    let told = told.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), told)
}

/// Entries: two releases of restricted data inside, a refusal by policy abroad, one for want of a ground.
async fn busy(stage: &Stage) {
    let ana = stage.ana();
    for _ in 0..2 {
        let answer = ana.post("/v1/read", &SUPPORT, &stage.email_of(0)).await.unwrap();
        assert!(stage.is_email(&answer, 0), "{}", answer.text());
    }
    let purpose = [("clover-purpose", "support")];
    let refused = stage.mei().post("/v1/read", &purpose, &stage.email_of(0)).await.unwrap();
    assert_eq!(refused.status.as_u16(), 403, "{}", refused.text());
    let unknown = [("clover-purpose", "support"), ("clover-grant", "nothing")];
    let early = ana.post("/v1/read", &unknown, &stage.email_of(0)).await.unwrap();
    assert_eq!(early.status.as_u16(), 403, "{}", early.text());
    stage.world.published().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_tells_what_a_candidate_opens_closes_and_leaves() {
    let mut stage = Stage::new(12).await;
    busy(&stage).await;
    let folder = stage.world.layout.rulebook().display().to_string();
    let (code, same) = replay(&stage, &folder);
    assert_eq!((code, same["outcome"].as_str()), (0, Some("same")), "{same}");
    assert!(same["decided_again"].as_u64().unwrap() >= 3 && same["other_rulebooks"][0].is_null(), "{same}");
    let early = same["no_decision"].as_array().unwrap();
    assert!(early.iter().any(|n| n["what"].as_str().unwrap().contains("no facts")), "{same}");

    let closes = candidate(
        &stage,
        "closes",
        "20-permits.cedar",
        "principal.location in resource.region && principal.trained &&",
        "principal.location in resource.region && !principal.trained &&",
    );
    let (code, told) = replay(&stage, &closes);
    assert_eq!((code, told["outcome"].as_str()), (3, Some("closes")), "{told}");
    let row = &told["closes"]["rows"][0];
    assert_eq!((row["actor"].as_str(), row["place"].as_str()), (Some("employee"), Some("IE")), "{told}");
    assert_eq!((row["from"].as_str(), row["to"].as_str()), (Some("plain"), Some("refused")), "{told}");
    assert_eq!((row["groups"].as_u64(), row["examples"].as_array().unwrap().len()), (Some(2), 2), "{told}");

    let opens = candidate(&stage, "opens", "20-permits.cedar", "", "");
    let mut permits = std::fs::read_to_string(Path::new(&opens).join("20-permits.cedar")).unwrap();
    permits.push_str("@id(\"ALL\") permit (principal, action, resource);\n");
    std::fs::write(Path::new(&opens).join("20-permits.cedar"), permits).unwrap();
    let guardrails = Path::new(&opens).join("10-guardrails.cedar");
    let none = "@id(\"G\") forbid (principal, action, resource) when { context has mfa && !context.mfa };\n";
    std::fs::write(guardrails, none).unwrap();
    let (code, told) = replay(&stage, &opens);
    assert_eq!((code, told["outcome"].as_str()), (1, Some("opens")), "{told}");
    let row = told["opens"]["rows"].as_array().unwrap().iter().find(|r| r["place"] == "SG").unwrap();
    assert_eq!((row["from"].as_str(), row["to"].as_str()), (Some("refused"), Some("plain")), "{told}");

    let schema = candidate(&stage, "split", "catalogue.toml", "class = \"restricted\"", "class = \"public\"");
    let (code, told) = replay(&stage, &schema);
    let why = told["undecided"][0]["why"].as_str().unwrap_or_default();
    assert!(code == 2 && why.contains("catalogue"), "{code}: {told}");

    // People read the same, and read nobody's name or tag.
    let output = run(&stage, &["rulebook", "replay", "--candidate", &opens]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("would OPEN") && text.contains("employee in SG, restricted, support: refused -> plain"),
        "{text}"
    );
    assert_eq!(stage.names_anybody(&text), None);
    stage.must_audit_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_says_which_decisions_another_rulebook_made() {
    let mut stage = Stage::new(12).await;
    busy(&stage).await;
    stage.world.stop().unwrap();
    let layout = stage.world.layout.clone();
    let permits = layout.rulebook().join("20-permits.cedar");
    let text = std::fs::read_to_string(&permits).unwrap();
    std::fs::write(&permits, format!("{text}\n// nothing new\n")).unwrap();
    for role in ["operator", "auditor"] {
        xtask::world::clover(&layout, &["rulebook", "sign", "--as", role]).unwrap();
    }
    xtask::world::clover(&layout, &["rulebook", "activate"]).unwrap();
    let (code, told) = replay(&stage, &layout.rulebook().display().to_string());
    assert_eq!(code, 0, "{told}");
    let before = told["other_rulebooks"][0]["entries"].as_u64().unwrap();
    assert_eq!(before, told["decided_again"].as_u64().unwrap(), "{told}");
    // Without its public copy nobody knows what the facts of an entry mean, and that is no "unchanged".
    let old = told["other_rulebooks"][0]["rulebook"].as_str().unwrap();
    std::fs::remove_dir_all(layout.published_rulebook(old)).unwrap();
    let (code, told) = replay(&stage, &layout.rulebook().display().to_string());
    assert_eq!((code, told["undecided"][0]["entries"].as_u64()), (2, Some(before)), "{told}");
    assert_eq!(told["unchanged"]["groups"], 0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diff_shows_what_changes_and_proves_whether_more_is_permitted() {
    let (_folder, layout) = Stage::folder(12);
    let diff = |folder: &Path, more: &[&str]| {
        let folder = folder.display().to_string();
        let arguments =
            [&["rulebook", "diff", "--candidate", &folder, "--requests", "60", "--json"], more].concat();
        let output = clover_raw(&layout, &arguments).unwrap();
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), told)
    };
    let (code, same) = diff(&layout.rulebook(), &[]);
    assert_eq!((code, same["wider"]["outcome"].as_str()), (0, Some("proved")), "{same}");
    assert_eq!(same["differences"].as_array().unwrap().len(), 0, "{same}");

    let proposal = tempfile::tempdir().unwrap();
    copy(&layout.rulebook(), proposal.path());
    let change = |file: &str, from: &str, to: &str| {
        let path = proposal.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{file}` has no `{from}` any more");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    change("10-guardrails.cedar", "context.k >= 50", "context.k >= 49");
    let (code, told) = diff(proposal.path(), &[]);
    let difference = &told["differences"][0];
    assert_eq!((difference["part"].as_str(), difference["how"].as_str()), (Some("policy"), Some("changed")));
    assert_eq!(difference["name"], "G9-smallest-group", "{told}");
    assert_eq!((code, told["wider"]["outcome"].as_str()), (1, Some("false")), "{told}");
    assert_eq!(told["wider"]["widening"]["findings"][0]["verdict"], "false", "{told}");

    change("catalogue.toml", "class = \"restricted\"", "class = \"allowable\"");
    change("programme.toml", "\"SG\", \"US\"]", "\"SG\", \"US\", \"AQ\"]");
    change("lanes.toml", "active = true", "active = false");
    let (_, told) = diff(proposal.path(), &[]);
    let parts: Vec<_> = told["differences"].as_array().unwrap().iter().map(|d| d["part"].as_str()).collect();
    assert_eq!(parts, [Some("policy"), Some("field"), Some("country"), Some("flow")], "{told}");

    // No solver, and a change that the small world does not show: not proved, and never "not wider".
    copy(&layout.rulebook(), proposal.path());
    change("10-guardrails.cedar", "duration(\"30d\")", "duration(\"31d\")");
    let (code, told) = diff(proposal.path(), &["--solver", "/nowhere/cvc5"]);
    assert_eq!((code, told["wider"]["outcome"].as_str()), (2, Some("not_proved")), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_is_seen_in_status_and_metrics_and_nowhere_else() {
    let mut stage = Stage::new(12).await;
    let folder = candidate(
        &stage,
        "shadow",
        "20-permits.cedar",
        "",
        "@id(\"X\") forbid (principal, action, resource);\n",
    );
    stage.world.reconfigure(|text| format!("{text}\n[rulebook]\nshadow = \"{folder}\"\n")).unwrap();
    busy(&stage).await;
    let status = stage.world.status().unwrap();
    let shadow = &status["shadow"];
    let narrower = shadow["narrower"].as_u64().unwrap();
    assert!(narrower >= 2 && shadow["wider"] == 0 && shadow["errors"] == 0, "{status}");
    assert_ne!(shadow["rulebook"], status["rulebook"]);
    let text = xtask::world::clover(&stage.world.layout, &["status"]).unwrap();
    assert!(text.contains(&format!("{narrower} narrower")), "{text}");
    stage.must_audit_clean();
}
