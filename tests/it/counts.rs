//! Counts that leave with noise have a budget that ends, outlives the process and is told; a guard knows who is gone.

use http::StatusCode;
use serde_json::{Value, json};
use xtask::client::{Answer, Client};
use xtask::world::{clover, clover_raw};

use crate::support::{Stage, change_rule, entries};

const RESEARCH: [(&str, &str); 1] = [("clover-purpose", "research")];

/// Fields of the profile: as many questions as the budget of an employer has halves of an epsilon, and one more.
const FIELDS: [&str; 9] = [
    "profileVideo",
    "userName",
    "bioDescription",
    "profilePhoto",
    "likesReceived",
    "accountRegion",
    "birthDate",
    "emailAddress",
    "telephoneNumber",
];

async fn count(client: &Client, field: &str) -> Answer {
    let by = json!({ "dataset": "export", "by": format!("profile.{field}") });
    client.post("/v1/count", &RESEARCH, &by).await.unwrap()
}

fn budget(stage: &Stage, arguments: &[&str]) -> Value {
    let told = clover(&stage.world.layout, &[&["--json", "budget"], arguments].concat()).unwrap();
    serde_json::from_str(&told).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_is_refused_on_the_record_and_the_same_question_is_free_across_a_restart() {
    let mut stage = Stage::new(60).await;
    let (ana, day) = (stage.ana(), clover::now().day());
    let first = count(&ana, FIELDS[0]).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    assert_eq!(first.json()["noise"]["epsilon"], "0.5");
    for field in &FIELDS[1..8] {
        assert_eq!(count(&ana, field).await.status, StatusCode::OK, "{field}");
    }
    let last = count(&ana, FIELDS[8]).await;
    let told = last.json();
    assert_eq!((last.status, &told["refused"]), (StatusCode::FORBIDDEN, &json!("privacy")));
    assert_eq!(
        (&told["code"], &told["left"], &told["epsilon"]),
        (&json!("CLV-0408"), &json!("0"), &json!("0.5"))
    );
    let back = told["back"].as_str().unwrap().to_owned();
    assert!(back.ends_with("T00:00:00Z"), "{back}");
    assert_eq!(count(&stage.li(), "accountRegion").await.status, StatusCode::OK, "another employer");

    stage.world.published().unwrap();
    stage.world.stop().unwrap();
    stage.world.start().unwrap();
    let again = count(&ana, FIELDS[0]).await;
    if clover::now().day() != day {
        // Midnight in between: it was another question.
        return;
    }
    assert_eq!(again.json(), first.json());
    let of_ana = budget(&stage, &["--recipient", "acme-eu", "--dataset", "export"]);
    let line = &of_ana["budgets"][0];
    assert_eq!((&line["spent"], &line["left"], &line["ever"]), (&json!("4"), &json!("0"), &json!("4")));
    assert_eq!(line["next_back"].as_str(), Some(back.as_str()));
    let all = budget(&stage, &[]);
    let all = all["budgets"].as_array().unwrap().iter().find(|b| b["recipient"].is_null()).unwrap();
    assert_eq!((&all["spent"], &all["left"]), (&json!("4.5"), &json!("3.5")));
    let unknown = clover_raw(&stage.world.layout, &["budget", "--dataset", "nothing"]).unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no noise for counts of `nothing`"));

    stage.world.published().unwrap();
    let all = entries(&stage.world.ledger());
    let refused = &all[usize::try_from(last.receipt().unwrap()).unwrap()];
    assert_eq!((refused.reason, refused.bytes), (model::Reason::Privacy, 0));
    let spent = |answer: &Answer| {
        let facts = &all[usize::try_from(answer.receipt().unwrap()).unwrap()].facts;
        ledger::facts::spent(facts).unwrap().unwrap().epsilon_micro
    };
    assert_eq!((spent(&first), spent(&again)), (500_000, 0));

    // With a guard in place of the noise: sixty people have no video, then fifty-nine.
    change_rule(&stage.world.layout, "lanes.toml", |lanes| {
        lanes.replace("privacy = \"noise\"\nepsilon = \"1/2\"", "privacy = \"guard\"")
    });
    let exact = count(&ana, FIELDS[0]).await;
    assert_eq!(exact.json()["groups"], json!([{ "value": "None", "people": 60 }]), "{}", exact.text());
    assert_eq!(count(&ana, FIELDS[0]).await.json(), exact.json());
    let handle = stage.world.subject(5).unwrap().to_owned();
    let erase = ["subject", "erase", "--subject", &handle, "--confirm", &handle];
    clover(&stage.world.layout, &erase).unwrap();
    let fewer = count(&ana, FIELDS[0]).await;
    assert_eq!((fewer.status, &fewer.json()["refused"]), (StatusCode::FORBIDDEN, &json!("difference")));
    assert_eq!(
        count(&stage.li(), FIELDS[0]).await.json()["groups"][0]["people"],
        59,
        "who was told nothing before"
    );
    stage.must_audit_clean();
}
