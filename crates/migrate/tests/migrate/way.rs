//! The way from copying to being served, and back.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_move_while_they_are_written_to_and_every_row_is_there_once() {
    let world = World::new();
    world.fill(1, 3_000);
    let writer = Writer::start(world.source.address(), 7);
    let migration = world.open().await;
    copy(&migration).await;
    let live = migration.compare().await.unwrap();
    assert_eq!(live.differences, [], "also while it is written to");
    assert!(live.rows > 2_000);
    let served = migration.cut_over().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let written = writer.stop();
    assert!(written.done > 50 && written.refused > 0, "{written:?}");
    assert!(served.pause < std::time::Duration::from_secs(10), "{:?}", served.pause);
    assert_eq!(served.comparison.differences, []);
    let [source, target] = world.both();
    assert_eq!(source, target);
    let pointer: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.pointer()).unwrap()).unwrap();
    assert_eq!((&pointer["site"], &pointer["sets"][1]), (&"dublin".into(), &"app.videos".into()));
    // The region's own writes go on where the source's ended.
    let next = "insert into app.users (country, email) values ('DE', 'next@example.org') returning id";
    let next: u64 = world.target.sql(next).unwrap()[0].parse().unwrap();
    assert!(
        next > source
            .iter()
            .filter(|row| row.starts_with('u'))
            .filter_map(|row| row.split('|').nth(1)?.parse().ok())
            .max()
            .unwrap_or(0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_moves_takes_all_their_rows_along_and_others_stay() {
    let world = World::new();
    world.fill(1, 40);
    let migration = world.open().await;
    migration.copy(Arc::new(AtomicU64::new(0))).await.unwrap();
    // 4 is in Germany, 2 in the United States.
    world.source.sql("update app.users set country = 'FR' where id = 2; update app.users set country = 'SG' where id = 4").unwrap();
    world.source.sql("update app.videos set owner = 8 where id = 3; insert into app.videos (owner, title) values (3, 'stays'), (5, 'comes')").unwrap();
    migration.cut_over().await.unwrap();
    let [source, target] = world.both();
    assert_eq!(source, target);
    let videos = world
        .target
        .sql("select owner, count(*) from app.videos where owner in (2, 3, 4, 5, 8) group by 1 order by 1")
        .unwrap();
    assert_eq!(videos, ["2|1", "5|2", "8|2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_over_is_rehearsed_and_undone_and_loses_nothing_unless_told() {
    let world = World::new();
    world.fill(1, 40);
    let migration = world.open().await;
    copy(&migration).await;
    let steps = migration.rehearse().await.unwrap();
    let told: Vec<&str> = steps.iter().map(|step| step.what.as_str()).collect();
    assert!(
        told.iter().any(|what| what.contains("rows are refused by the trigger"))
            && told.iter().any(|what| what.contains("sequence of `id`")),
        "{told:?}"
    );
    assert!(
        world.source.sql("update app.users set email = 'still@example.org' where id = 4").is_ok()
            && !world.pointer().exists()
    );
    migration.cut_over().await.unwrap();
    for write in ["insert into app.videos (owner) values (4)", "delete from app.users", "truncate app.videos"]
    {
        let refused = world.source.sql(write).unwrap_err().to_string();
        assert!(refused.contains("served from dublin now"), "{refused}");
    }
    // Others' rows are not the region's, and go on.
    world.source.sql("update app.users set email = 'other@example.org' where id = 2; delete from app.videos where owner = 2").unwrap();
    let moves = world.source.sql("update app.users set country = 'FR' where id = 2").unwrap_err().to_string();
    assert!(moves.contains("served from dublin now"), "{moves}");
    assert!(migration.repair(&[]).await.is_err(), "it would undo what the region writes");
    assert_eq!(
        migration.cut_over().await.unwrap().comparison.differences,
        [],
        "the pointer may be written once more"
    );
    world.target.sql("update app.users set email = 'newer@example.org' where id = 4").unwrap();
    let lost = migration.undo(false).await.unwrap_err().to_string();
    assert!(lost.contains("1 rows were written in the region since"), "{lost}");
    assert_eq!(migration.undo(true).await.unwrap(), 1);
    assert!(std::fs::read_to_string(world.pointer()).unwrap().contains("singapore"));
    world.source.sql("update app.users set email = 'back@example.org' where id = 4").unwrap();
    migration.cut_over().await.unwrap();
    let [source, target] = world.both();
    assert_eq!(source, target);
    assert!(target.iter().any(|row| row.contains("back@example.org")));
    migration.finish().await.unwrap();
    assert_eq!(world.source.sql("select count(*) from pg_replication_slots").unwrap(), ["0"]);
    assert!(world.source.sql("delete from app.videos").is_err() && migration.undo(true).await.is_err());
    assert_eq!(migration.compare().await.unwrap().differences, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_changes_without_a_record_of_it_is_found_and_keeps_the_border_where_it_is() {
    let world = World::new();
    world.fill(1, 3_000);
    let migration = world.open().await;
    copy(&migration).await;
    // The source does not tell of these.
    world.source.sql("alter publication clover_migrate_video drop table app.videos; update app.videos set title = 'lie' where id = 1004; delete from app.videos where id = 2004").unwrap();
    world.source.sql("alter publication clover_migrate_video add table app.videos").unwrap();
    let found = migration.compare().await.unwrap().differences;
    let told: Vec<_> = found.iter().map(|d| (d.key[0].as_str(), d.what)).collect();
    assert_eq!(told, [("1004", "it is another at the target"), ("2004", "it is at the target only")]);
    let refused = migration.cut_over().await.unwrap_err().to_string();
    assert!(refused.contains("2 rows or more differ") && !world.pointer().exists(), "{refused}");
    world.source.sql("update app.videos set plays = 1 where id = 8").unwrap();
    migration.repair(&found).await.unwrap();
    assert_eq!(migration.cut_over().await.unwrap().comparison.differences, []);
    let [source, target] = world.both();
    assert_eq!(source, target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_proposed_that_does_after_a_person_has_filled_it_in() {
    let world = World::new();
    world.fill(1, 40);
    world.source.sql("insert into app.users (country, email) values (null, 'who@example.org'), ('Europe', 'where@example.org'); create table app.settings (name text primary key)").unwrap();
    let end = migrate::plan::End { address: world.source.address(), password_file: None, roots: None };
    let proposal = migrate::propose("video", "SG", &end).await.unwrap();
    assert_eq!(
        (proposal.homes.values().sum::<u64>(), proposal.others.values().sum::<u64>(), proposal.unknown),
        (20, 20, 2)
    );
    assert_eq!(proposal.unmapped, ["app.users.country", "app.users.about", "app.videos.title"]);
    assert_eq!(proposal.left[0].0, "app.settings");
    let told = Plan::parse(&proposal.plan).unwrap_err().to_string();
    assert!(told.contains("`country` is unmapped") && told.contains("owner"), "{told}");
    let edited = proposal
        .plan
        .replace("unmapped", "restricted")
        .replace("\"stop\"", "\"stay\"")
        .replace("owner = \"\"", "owner = \"Example\"")
        .replacen("site = \"\"", "site = \"singapore\"", 1)
        .replacen("site = \"\"", "site = \"dublin\"", 1)
        .replacen("country = \"\"", "country = \"IE\"", 1)
        .replace("address = \"\"", &format!("address = \"{}\"", world.target.address()))
        .replace("[cutover]\n", "[cutover]\ngateway = \"https://gateway.example\"\n")
        .replace("pointer = \"\"", &format!("pointer = \"{}\"", world.pointer().display()));
    let migration = Migration::open(Plan::parse(&edited).unwrap()).await.unwrap();
    migration.copy(Arc::new(AtomicU64::new(0))).await.unwrap();
    assert_eq!(migration.cut_over().await.unwrap().comparison.differences, []);
    assert_eq!(world.target.sql("select count(*) from app.users").unwrap(), ["20"]);
    let pointer = std::fs::read_to_string(world.pointer()).unwrap();
    assert!(pointer.contains(r#""outside":"https://gateway.example""#), "{pointer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_comes_after_their_rows_or_whose_home_nobody_knows_is_not_left_behind_silently() {
    let world = World::with(&SCHEMA.replace(" references app.users", ""));
    world.fill(1, 40);
    let migration = world.open().await;
    copy(&migration).await;
    world.source.sql("insert into app.videos (id, owner, title) values (900, 400, 'first')").unwrap();
    world
        .source
        .sql("insert into app.users (id, country, email) values (400, 'DE', 'late@example.org')")
        .unwrap();
    world.source.sql("delete from app.users where id = 8").unwrap();
    migration.catch_up().await.unwrap();
    let [source, target] = world.both();
    assert_eq!(source, target);
    world
        .source
        .sql("insert into app.users (id, country, email) values (401, null, 'where@example.org')")
        .unwrap();
    let error = migration.cut_over().await.unwrap_err().to_string();
    assert!(error.contains("of 1 people nobody knows") && !world.pointer().exists(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_that_are_always_generated_are_followed_also_where_long_values_stay() {
    let schema = SCHEMA
        .replace("generated by default as identity", "generated always as identity")
        .replace("about text", "about text, born_at timestamptz");
    let world = World::with(&schema.replace(", born_at timestamptz", ""));
    world.source.sql("insert into app.users (country, email, about) select 'DE', 'u', string_agg(md5(n::text), '') from generate_series(1, 400) n").unwrap();
    let migration = world.open().await;
    copy(&migration).await;
    world.source.sql("update app.users set email = 'new@example.org'").unwrap();
    migration.catch_up().await.unwrap();
    let [source, target] = world.both();
    assert_eq!((source.len(), source), (1, target));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_copied_beyond_the_hours_of_the_plan() {
    let world = World::new();
    world.fill(1, 40);
    let hour = world.source.sql("select extract(hour from now() at time zone 'UTC')::int").unwrap().concat();
    let hour: u64 = hour.parse().unwrap();
    let plan = |from: u64, to: u64| {
        let hours = format!("[limits]\nhours = \"{:02}:00-{:02}:00\"", from % 24, to % 24);
        Plan::parse(&world.plan_text().replace("[limits]", &hours)).unwrap()
    };
    let closed = Migration::open(plan(hour + 2, hour + 4)).await.unwrap();
    let late = std::time::Duration::from_secs(2);
    assert!(tokio::time::timeout(late, closed.copy(Arc::new(AtomicU64::new(0)))).await.is_err());
    assert_eq!(world.target.sql("select count(*) from app.users").unwrap(), ["0"]);
    drop(closed);
    let open = Migration::open(plan(hour + 23, hour + 2)).await.unwrap();
    open.copy(Arc::new(AtomicU64::new(0))).await.unwrap();
    assert_eq!(world.target.sql("select count(*) from app.users").unwrap(), ["20"]);
}
