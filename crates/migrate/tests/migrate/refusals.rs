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

async fn what_the_target_has_is_in_the_way(world: &World, plan: &str) {
    for (change, back, told) in [
        (
            "alter table app.users alter born type text",
            "alter table app.users alter born type date using born::date",
            "`born` is date at the source and text at the target",
        ),
        (
            "create unique index mails on app.users (email)",
            "drop index app.mails",
            "drop `mails` at the target",
        ),
        (
            "insert into app.users (country, email) values ('DE', 'here@example.org')",
            "truncate app.users cascade",
            "is not empty",
        ),
    ] {
        world.target.sql(change).unwrap();
        let error = match Migration::open(Plan::parse(plan).unwrap()).await {
            Ok(migration) => migration.copy(Arc::new(AtomicU64::new(0))).await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(told), "{change}: {error}");
        world.target.sql(back).unwrap();
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
            "alter table app.users alter country type char(2)",
            "alter table app.users alter country type text",
            "a home of type character(2) cannot be told apart",
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
    what_the_target_has_is_in_the_way(&world, &plan).await;
    let gone = plan.replacen("app.videos", "app.films", 1);
    assert!(refused(&world, &gone).await.contains("there is no such table"));
    let nowhere = plan.replacen(&world.source.address(), "host=/nowhere user=clover dbname=clover", 1);
    assert!(refused(&world, &nowhere).await.starts_with("source: "));
    let away = plan.replacen(&world.target.address(), "host=db.example user=clover dbname=clover", 1);
    assert!(refused(&world, &away).await.contains("no certificates to trust"));
    world.source.sql("create table app.films (id int primary key) partition by list (id)").unwrap();
    world.target.sql("create table app.films (id int primary key)").unwrap();
    assert!(refused(&world, &gone).await.contains("no plain table"));
    world
        .source
        .sql("select pg_create_logical_replication_slot('clover_migrate_video', 'pgoutput')")
        .unwrap();
    assert!(refused(&world, &plan).await.contains("another migration is called so"));
    world.source.sql("select pg_drop_replication_slot('clover_migrate_video')").unwrap();
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
    // The change that was made meanwhile has the column for ever.
    world.source.sql("alter table app.users drop nickname").unwrap();
    assert!(migration.follow().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_changes_under_way_is_told_and_no_value_is_cut() {
    let world = World::with(&SCHEMA.replace("title text", "title varchar(10)"));
    world.fill(1, 8);
    let migration = world.open().await;
    copy(&migration).await;
    world.source.sql("alter table app.videos alter title type varchar(50); update app.videos set title = 'longer than ten characters' where id = 4").unwrap();
    let error = migration.follow().await.unwrap_err().to_string();
    assert!(error.contains("app.videos has changed under way"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_stands_in_an_error() {
    let world = World::new();
    world.fill(1, 8);
    let migration = world.open().await;
    copy(&migration).await;
    world
        .target
        .sql("alter table app.users add constraint short check (length(email) < 20) not valid")
        .unwrap();
    world.source.sql("update app.users set email = 'a-very-long-secret@example.org' where id = 4").unwrap();
    let error = migration.follow().await.unwrap_err().to_string();
    assert!(error.contains("a value is refused (23514) users short") && !error.contains("secret"), "{error}");
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
    world
        .source
        .sql("select pg_create_logical_replication_slot('clover_migrate_video', 'pgoutput')")
        .unwrap();
    let error = migration.follow().await.unwrap_err().to_string();
    assert!(error.contains("has gone on without this migration"), "{error}");
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
    assert!(error.contains("longer than 400 ms"), "{error}");
    client.batch_execute("commit").await.unwrap();
    assert!(!world.pointer().exists());
    driver.abort();
    migration.cut_over().await.unwrap();
    let [source, target] = world.both();
    assert_eq!(source, target);
    assert!(target.iter().any(|row| row.contains("held@example.org")));
}
