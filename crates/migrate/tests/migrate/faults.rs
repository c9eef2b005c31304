//! Kill -9 of the tool and of both servers, at random moments, under somebody who writes.

use std::os::unix::process::ExitStatusExt;
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
