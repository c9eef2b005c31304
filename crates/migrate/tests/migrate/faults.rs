//! Kill -9 of the tool and of both servers, at random moments, under somebody who writes.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

/// Rounds of kills; more by `CLOVER_MIGRATE_KILLS`.
const KILLS: u64 = 12;

fn tool(world: &World, command: &str) -> Child {
    let plan = world.folder.path().join("migration.toml");
    std::fs::write(&plan, world.plan_text()).unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_clover-migrate"));
    tool.arg("--plan")
        .arg(plan)
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    tool.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_when_every_row_is_there_once_in_the_end() {
    let kills = std::env::var("CLOVER_MIGRATE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(11);
    let mut dice = Dice::new(seed);
    let mut world = World::new();
    world.fill(1, 3_000);
    let writer = Writer::start(world.source.address(), seed);
    let mut killed = 0;
    for _ in 0..kills {
        let mut running = tool(&world, if dice.below(3) == 0 { "follow" } else { "copy" });
        std::thread::sleep(Duration::from_millis(dice.roll() % 250 + 10));
        match dice.below(6) {
            0 => world.target.crash().unwrap(),
            1 => world.source.crash().unwrap(),
            _ => {}
        }
        running.kill().unwrap();
        killed += u64::from(running.wait().unwrap().signal() == Some(9));
    }
    assert!(killed * 3 > kills, "seed {seed}: {killed} of {kills} were at work when they were killed");
    let migration = world.open().await;
    assert!(migration.state().await.unwrap().is_some(), "seed {seed}: nothing was begun");
    copy(&migration).await;
    let served = migration.cut_over().await.unwrap();
    let written = writer.stop();
    assert!(written.done > 50, "seed {seed}: {written:?}");
    assert_eq!(served.comparison.differences, [], "seed {seed}");
    let [source, target] = world.both();
    assert_eq!(source, target, "seed {seed}");
}

/// Lets files of a server become no longer than so many bytes, by whoever connects from now on: writing fails then, as on a full disk.
fn limit_files(server: &Postgres, bytes: &str) {
    let main = server.sql("select split_part(pg_read_file('postmaster.pid'), e'\\n', 1)").unwrap().concat();
    // As the server's own user: what is another's only a more powerful one may.
    let owner = std::fs::metadata(server.socket()).unwrap();
    let mut set = Command::new("prlimit");
    set.args(["--pid", &main, &format!("--fsize={bytes}:unlimited")]).uid(owner.uid()).gid(owner.gid());
    let set = set.status();
    assert!(set.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_target_stops_the_copy_and_space_lets_it_go_on() {
    let world = World::new();
    world.fill(1, 400);
    // Text that does not get smaller: 20 MB of the region's people.
    world
        .source
        .sql("update app.users u set about = (select string_agg(md5((n + u.id)::text), '') from generate_series(1, 3200) n)")
        .unwrap();
    let migration = world.open().await;
    limit_files(&world.target, "17825792");
    let refused = migration.copy(Arc::new(AtomicU64::new(0))).await.unwrap_err().to_string();
    assert!(refused.contains("target: could not extend file"), "{refused}");
    let parts = migration.progress().await.unwrap();
    assert!(parts[0].parts.0 < parts[0].parts.1, "{parts:?}");
    limit_files(&world.target, "unlimited");
    copy(&migration).await;
    assert_eq!(migration.cut_over().await.unwrap().comparison.differences, []);
    let [source, target] = world.both();
    assert_eq!((source.len(), source == target), (400, true));
}

/// Something between the tool and a server that can be cut off.
struct Wire {
    folder: tempfile::TempDir,
    cut: Arc<tokio::sync::watch::Sender<u64>>,
    bytes: Arc<AtomicU64>,
}

impl Wire {
    fn to(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (cut, bytes) = (Arc::new(tokio::sync::watch::Sender::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let (cutting, counting) = (Arc::clone(&cut), Arc::clone(&bytes));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = tokio::net::UnixStream::connect(&server).await.unwrap();
                let (mut limit, bytes) = (cutting.subscribe(), Arc::clone(&counting));
                tokio::spawn(async move {
                    let (mut there, mut back) = (vec![0; 8192], vec![0; 8192]);
                    loop {
                        use tokio::io::{AsyncReadExt, AsyncWriteExt};
                        let moved = tokio::select! {
                            n = near.read(&mut there) => match n { Ok(n @ 1..) => far.write_all(&there[..n]).await.map(|()| n), _ => return },
                            n = far.read(&mut back) => match n { Ok(n @ 1..) => near.write_all(&back[..n]).await.map(|()| n), _ => return },
                        };
                        let Ok(moved) = moved else { return };
                        let all = bytes.fetch_add(moved as u64, Ordering::Relaxed) + moved as u64;
                        if all > *limit.borrow_and_update() {
                            return;
                        }
                    }
                });
            }
        });
        Self { folder, cut, bytes }
    }

    /// After so many bytes more every connection breaks.
    fn cut_after(&self, bytes: u64) {
        let all = self.bytes.load(Ordering::Relaxed);
        self.cut.send_replace(all.saturating_add(bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_anywhere_loses_and_doubles_nothing() {
    let world = World::new();
    world.fill(1, 2_000);
    let wires = [Wire::to(world.source.socket()), Wire::to(world.target.socket())];
    let mut plan = world.plan_text();
    for (wire, server) in wires.iter().zip([&world.source, &world.target]) {
        let host = |folder: &std::path::Path| format!("host={} ", folder.display());
        plan = plan.replace(&host(server.socket().parent().unwrap()), &host(wire.folder.path()));
    }
    let open = async || Migration::open(Plan::parse(&plan).unwrap()).await;
    let (mut dice, mut broken) = (Dice::new(3), 0);
    for round in 0..20_u64 {
        let wire = &wires[usize::from(dice.below(2) == 0)];
        wire.cut_after(2_000 + dice.roll() % 60_000 * (1 + round / 5));
        let done = async {
            let migration = open().await?;
            migration.copy(Arc::new(AtomicU64::new(0))).await?;
            migration.catch_up().await
        };
        broken += u64::from(done.await.is_err());
        wire.cut_after(u64::MAX);
        world
            .source
            .sql(&format!("insert into app.videos (owner, title) values ({}, 'while it was cut')", round + 1))
            .unwrap();
    }
    assert!(broken > 5, "{broken} of 20 were cut");
    let migration = open().await.unwrap();
    copy(&migration).await;
    assert_eq!(migration.cut_over().await.unwrap().comparison.differences, []);
    let [source, target] = world.both();
    assert_eq!(source, target);
}
