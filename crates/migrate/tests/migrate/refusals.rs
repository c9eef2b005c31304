//! What is refused, with its reason, before anything moves or is lost.

use super::*;

async fn refused(world: &World, plan: &str) -> String {
    match Migration::open(Plan::parse(plan).unwrap()).await {
        Ok(migration) => migration.copy(Arc::new(AtomicU64::new(0))).await.unwrap_err().to_string(),
        Err(error) => {
            assert_eq!(world.target.sql("select count(*) from app.users").unwrap(), ["0"]);
            error.to_string()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_planned_is_refused_before_anything_moves() {
    let world = World::new();
    world.fill(1, 8);
    let plan = world.plan_text();
    for (change, back, told) in [
        (
            "alter table app.users add nickname text",
            "alter table app.users drop nickname",
            "its column `nickname` is not in the plan",
        ),
        (
            "alter table app.videos drop constraint videos_pkey",
            "alter table app.videos add primary key (id)",
            "no primary key",
        ),
        (
            "alter table app.videos replica identity nothing",
            "alter table app.videos replica identity default",
            "replica identity",
        ),
        (
            "update app.users set country = null where id = 3",
            "update app.users set country = 'US' where id = 3",
            "of 1 people nobody knows",
        ),
    ] {
        world.source.sql(change).unwrap();
        let error = refused(&world, &plan).await;
        assert!(error.contains(told), "{change}: {error}");
        world.source.sql(back).unwrap();
    }
    for (change, back, told) in [
        (
            "alter table app.users alter born type text",
            "alter table app.users alter born type date using born::date",
            "`born` is date at the source and text at the target",
        ),
        (
            "insert into app.users (country, email) values ('DE', 'here@example.org')",
            "truncate app.users cascade",
            "is not empty",
        ),
    ] {
        world.target.sql(change).unwrap();
        let error = match Migration::open(Plan::parse(&plan).unwrap()).await {
            Ok(migration) => migration.copy(Arc::new(AtomicU64::new(0))).await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(told), "{change}: {error}");
        world.target.sql(back).unwrap();
    }
    let gone = plan.replacen("app.videos", "app.films", 1);
    assert!(refused(&world, &gone).await.contains("there is no such table"));
    let nowhere = plan.replacen(&world.source.address(), "host=/nowhere user=clover dbname=clover", 1);
    assert!(refused(&world, &nowhere).await.starts_with("source: "));
    let away = plan.replacen(&world.target.address(), "host=db.example user=clover dbname=clover", 1);
    assert!(refused(&world, &away).await.contains("no certificates to trust"));
    let slots = world.source.sql("select count(*) from pg_replication_slots").unwrap();
    assert_eq!(slots, ["0"], "nothing is left behind");
    copy(&world.open().await).await;
    let [source, target] = world.both();
    assert_eq!(source, target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_changes_under_way_stops_the_migration_and_nothing_is_lost_silently() {
    let world = World::new();
    world.fill(1, 8);
    let migration = world.open().await;
    copy(&migration).await;
    world.source.sql("alter table app.users add nickname text; update app.users set nickname = 'a', email = 'late@example.org' where id = 4").unwrap();
    let error = migration.follow().await.unwrap_err().to_string();
    assert!(error.contains("app.users has changed under way") && error.contains("nickname"), "{error}");
    assert!(migration.cut_over().await.is_err() && !world.pointer().exists());
    // As it was again, it goes on from where it stood.
    world.source.sql("alter table app.users drop nickname").unwrap();
    assert!(migration.follow().await.is_err(), "the change that was made meanwhile has the column");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_lost_stops_the_migration_with_its_reason() {
    let world = World::new();
    world.fill(1, 8);
    let migration = world.open().await;
    copy(&migration).await;
    world.source.sql("select pg_drop_replication_slot('clover_migrate_video'); update app.users set email = 'lost@example.org' where id = 4").unwrap();
    let error = migration.follow().await.unwrap_err().to_string();
    assert!(error.contains("replication slot \"clover_migrate_video\" does not exist"), "{error}");
    assert!(migration.cut_over().await.is_err() && !world.pointer().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_does_not_let_go_keeps_the_source_as_it_is() {
    let world = World::new();
    world.fill(1, 8);
    let plan = world.plan_text().replacen("[limits]", "[limits]\npause_ms = 400", 1);
    let migration = Migration::open(Plan::parse(&plan).unwrap()).await.unwrap();
    copy(&migration).await;
    let (client, connection) = tokio_postgres::connect(&world.source.address(), NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client
        .batch_execute("begin; update app.users set email = 'held@example.org' where id = 4")
        .await
        .unwrap();
    let error = migration.cut_over().await.unwrap_err().to_string();
    assert!(error.contains("lock timeout"), "{error}");
    client.batch_execute("commit").await.unwrap();
    assert!(!world.pointer().exists());
    driver.abort();
    migration.cut_over().await.unwrap();
    let [source, target] = world.both();
    assert_eq!(source, target);
    assert!(target.iter().any(|row| row.contains("held@example.org")));
}
