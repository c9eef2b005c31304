//! PostgreSQL's clients through the SQL gateway: what a grant shows, what is on the ledger, and what is refused.

use serde_json::json;
use xtask::story::{case_wanted, granted};
use xtask::tables::{Desk, Tables, VIDEOS};
use xtask::world::at;

use crate::support::{Stage, entries};

/// A grant on all people's videos.
fn videos(id: &str, people: u64) -> serde_json::Value {
    json!({
        "id": id, "ground": "grant", "purpose": "support", "case": "T-4713", "dataset": "video", "seconds": 7200,
        "amount": { "rows": 1_000, "bytes": 1_000_000, "subjects": people },
    })
}

async fn stage() -> (Stage, Tables) {
    let mut stage = Stage::new(60).await;
    let tables = Tables::join(&mut stage.world).unwrap();
    (stage, tables)
}

fn rows(desk: &Desk, statement: &str) -> Vec<String> {
    desk.ask("video", statement).unwrap().unwrap_or_else(|said| panic!("{statement}: {said}"))
}

fn said(desk: &Desk, statement: &str) -> String {
    desk.ask("video", statement).unwrap().expect_err(statement)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_shows_what_its_grant_shows_and_is_on_the_ledger_with_those_whom_it_names() {
    let (mut stage, tables) = stage().await;
    let world = &stage.world;
    let aoife = world.colleague("aoife", "IE", at::DUBLIN).unwrap();
    let ana = world.colleague("ana", "IE", at::DUBLIN).unwrap();
    let mei = world.colleague("mei", "SG", at::SINGAPORE).unwrap();
    granted(&ana, &videos("G-V", 100), &[&aoife]).await.unwrap();
    granted(&mei, &videos("G-S", 100), &[&aoife]).await.unwrap();
    granted(&mei, &case_wanted("C-9", world.subject(0).unwrap(), 7200), &[&aoife]).await.unwrap();
    let inside = tables.desk("ana", "IE", at::DUBLIN, "G-V").await.unwrap();
    let outside = tables.desk("mei", "SG", at::SINGAPORE, "G-S").await.unwrap();
    let case = tables.desk("mei", "SG", at::SINGAPORE, "C-9").await.unwrap();

    let plain = rows(
        &inside,
        "select video_id, review_state, reason, owner from video_status where video_id = 1000000",
    );
    let fields: Vec<_> = plain[0].split('|').collect();
    assert_eq!(fields[..3], ["1000000", "held", "a reviewer looks at it"]);
    assert!(fields[3].starts_with("t1."), "whose it is is never told: {plain:?}");
    let token = rows(
        &outside,
        "select video_id, review_state, owner from video_status where review_state = 'held' limit 1",
    );
    let fields: Vec<_> = token[0].split('|').collect();
    assert!(fields[0].starts_with("t1.") && fields[1] == "held", "{token:?}");
    assert_eq!(rows(&case, "select count(*) from video_status"), [VIDEOS.to_string()], "one person's");
    assert_eq!(rows(&inside, "select count(*) from video_status"), [(60 * VIDEOS).to_string()]);
    assert!(said(&inside, "select uploader_ip from video_status").contains("does not exist"));
    assert!(
        said(&inside, "select * from app.video_status").contains("42501")
            || said(&inside, "select * from app.video_status").contains("denied")
    );
    assert!(said(&inside, "explain select * from video_status").contains("EXPLAIN is not possible"));
    assert!(rows(&inside, "show clover.last_receipt")[0].contains("nothing was released"));

    let before = world.published().unwrap();
    let desk = tables.desk("ana", "IE", at::DUBLIN, "G-V").await.unwrap();
    let two = desk
        .psql(
            "video",
            &[
                "-qAt",
                "-c",
                "select owner, video_id from video_status where video_id in (1000010, 1000020)",
                "-c",
                "show clover.last_receipt",
                "-c",
                "show clover.budget",
            ],
        )
        .unwrap();
    let told = String::from_utf8(two.stdout).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told} {}", String::from_utf8_lossy(&two.stderr));
    assert!(lines[2].starts_with("entry ") && lines[3].contains(" of 1000,"), "{told}");
    let number: u64 = lines[2].split(' ').nth(1).unwrap().parse().unwrap();
    world.published().unwrap();
    let all = entries(&world.ledger());
    let entry = &all[usize::try_from(number).unwrap()];
    assert!(number >= before);
    assert_eq!(entry.rows, 2);
    assert!(
        matches!(&entry.subjects, ledger::Subjects::Tags(tags) if tags.len() == 2),
        "{:?}",
        entry.subjects
    );
    stage.must_audit_clean();
}
