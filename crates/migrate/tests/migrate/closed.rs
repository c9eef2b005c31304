//! Claims about what is certified when the source is gone.

use migrate::{Closed, Migration, Plan, Swept};

use crate::World;
use crate::closure::{Closing, places, why};

const TAPES: &str = "[[copy]]\nwhat = \"tapes\"\nfolder = \"FOLDER/tapes\"\n";
const OPEN: &str =
    "[[open]]\nwhat = \"tapes\"\nowner = \"Vault Co.\"\ndue = \"2030-12-31\"\nplace = \"FOLDER/tapes\"\n";
const SLOT: &str = "[[open]]\nwhat = \"slot\"\nowner = \"Example Ltd.\"\ndue = \"2030-11-30\"\nplace = \"singapore slot old\"\n";

/// A migration whose source is gone, under a plan with this more.
async fn closed(world: &World, more: &str) -> Closed {
    Closed::open(Plan::parse(&Closing::plan(world, more)).unwrap()).await.unwrap()
}

/// The text of the certificate, and its SHA-256.
async fn certified(closed: &Closed) -> (String, String) {
    let (swept, certificate) = closed.certify().await.unwrap();
    assert!(certificate.is_some(), "{}", places(&swept));
    let certificate = certificate.unwrap();
    (std::fs::read_to_string(&certificate.file).unwrap(), certificate.sha256)
}

async fn refused(closed: &Closed) -> Swept {
    let (swept, certificate) = closed.certify().await.unwrap();
    assert!(certificate.is_none());
    swept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_source_is_gone_copies_are_certified_anew_and_what_was_seen_of_it_is_repeated() {
    let both = format!("{TAPES}{OPEN}");
    let closing = Closing::finished(&both).await;
    closing.destroyed().await;
    let first = closing.migration.certify().await.unwrap().1.unwrap();
    assert_eq!(first.open, 1);
    let Closing { mut world, migration, .. } = closing;
    drop(migration);
    let answers = Closed::open(Plan::parse(&Closing::plan(&world, &both)).unwrap()).await.err().unwrap();
    assert!(why(&answers).contains("the source still answers"), "{answers}");
    world.source.kill();
    assert!(Migration::open(Plan::parse(&Closing::plan(&world, TAPES)).unwrap()).await.is_err());
    // Taken out of the plan, and not dealt with.
    let left = places(&refused(&closed(&world, TAPES).await).await);
    assert!(left.contains("no such folder"), "{left}");
    let tapes = world.folder.path().join("tapes");
    std::fs::create_dir(&tapes).unwrap();
    std::fs::write(tapes.join("1.tar"), "4\tDE\tu4@example.org\n").unwrap();
    let left = places(&refused(&closed(&world, TAPES).await).await);
    assert!(left.contains("1.tar: 1 identifiers"), "{left}");
    // And a copy that the manifest knows is not forgotten by leaving it out.
    let left = places(&refused(&closed(&world, "").await).await);
    assert!(left.contains("tapes: it stands in the manifest as a copy"), "{left}");
    std::fs::remove_file(tapes.join("1.tar")).unwrap();
    let later = closed(&world, TAPES).await;
    let (text, second) = certified(&later).await;
    let said = std::fs::read_to_string(&first.file).unwrap();
    let time = said.lines().last().unwrap();
    let seen = format!("source seen by {} {time}\n", first.sha256);
    assert!(text.contains(&seen) && !text.contains("\nopen "), "{seen}: {text}");
    let of_source = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("looked into source ")).map(str::to_owned).collect()
    };
    assert_eq!((of_source(&said).len(), of_source(&said)), (2, of_source(&text)));
    for line in
        ["destroyed app.users rows 200", "looked for app.users identifiers 200", "looked into \"tapes\""]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    // Whoever repeats what was repeated names the one that saw.
    let (again, _) = certified(&later).await;
    assert!(again.contains(&seen) && !again.contains(&second), "{again}");
    later.write_records().await.unwrap();
    let names: Vec<_> = std::fs::read_dir(world.folder.path().join("records"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-destroyed.txt"))
        .collect();
    assert_eq!(names.len(), 6, "of two sets, three times: {names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_open_at_the_source_itself_stays_open_when_it_is_gone() {
    let closing = Closing::finished(SLOT).await;
    closing.world.source.sql("select pg_create_physical_replication_slot('old')").unwrap();
    closing.destroyed().await;
    assert_eq!(closing.migration.certify().await.unwrap().1.unwrap().open, 1);
    let Closing { mut world, migration, .. } = closing;
    drop(migration);
    world.source.kill();
    let left = places(&refused(&closed(&world, "").await).await);
    assert!(left.contains("singapore slot old"), "{left}");
    let later = closed(&world, SLOT).await;
    let (text, _) = certified(&later).await;
    assert!(text.contains("known source \"singapore slot old"), "{text}");
    assert!(text.contains("open \"slot\" owner \"Example Ltd.\" due 2030-11-30"), "{text}");
    // Also in whatever repeats that.
    drop(later);
    let later = closed(&world, SLOT).await;
    let (text, digest) = certified(&later).await;
    assert!(text.contains("known source \"singapore slot old"), "{text}");
    let file = world.folder.path().join(format!("records/video-{}.certificate", &digest[..16]));
    std::fs::write(file, text.replace("rows 200", "rows 201")).unwrap();
    let error = why(&later.certify().await.unwrap_err());
    assert!(error.contains("changed after it was issued"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_certified_of_a_source_that_went_before_anybody_looked() {
    let closing = Closing::finished("").await;
    let open = |world: &World| Closed::open(Plan::parse(&Closing::plan(world, "")).unwrap());
    let Closing { world, migration, operator, auditor } = closing;
    drop(migration);
    let early = why(&open(&world).await.err().unwrap());
    assert!(early.contains("nothing was destroyed"), "{early}");
    let migration = Migration::open(Plan::parse(&Closing::plan(&world, "")).unwrap()).await.unwrap();
    let closing = Closing { world, migration, operator, auditor };
    closing.destroyed().await;
    let Closing { mut world, migration, .. } = closing;
    drop(migration);
    world.source.kill();
    let none = why(&closed(&world, "").await.certify().await.unwrap_err());
    assert!(none.contains("no earlier certificate"), "{none}");
    // Nor under another target.
    let other = World::new();
    let plan = Closing::plan(&world, "").replace(&world.target.address(), &other.target.address());
    assert!(Closed::open(Plan::parse(&plan).unwrap()).await.is_err());
}
