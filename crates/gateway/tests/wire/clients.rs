//! Programs of PostgreSQL's that know nothing of us.

use gateway::sql::wire::own::Wording;

use super::world::{Options, Windows, World, server};

#[test]
fn psql_reads_browses_copies_and_fetches_through_the_relay() {
    let server = server();
    let world = World::new(&server, Options::default());
    for (statement, answer) in [
        ("select count(*) from customers", "1000"),
        ("select email from customers where id = 7;", "user7@corp.example"),
        ("table customers limit 0", ""),
        ("values (1, 'a'), (2, null)", "1|a\n2|"),
        ("show timezone", "Etc/UTC"),
        ("show clover.grant", "of clover.grant"),
        ("show clover.last_receipt", "of clover.last_receipt"),
        ("set timezone to 'Europe/Dublin'", ""),
        ("copy (select id from customers order by id limit 3) to stdout", "1\n2\n3"),
        ("copy orders to stdout csv header", "id,customer"),
        ("select '{1,2}'::int[], '{\"a\": null}'::jsonb, null", "{1,2}|{\"a\": null}|"),
        (" ", ""),
        ("", ""),
    ] {
        let told = world.ask(&server, statement);
        let answer = if statement == "show timezone" { told.as_str() } else { answer };
        assert_eq!(told, answer, "{statement}");
    }
    for (statement, part) in [
        ("insert into orders values (1, 1)", "this grant reads only"),
        ("select 1; select 2", "one statement at a time"),
        ("explain select 1", "EXPLAIN is not possible"),
        ("select nothing from customers", "column \"nothing\" does not exist"),
        ("select * from pg_authid", "permission denied"),
        ("set role postgres", "can be set here"),
        ("select cast(email as int) from customers", "invalid input syntax for type integer"),
        ("copy customers to '/tmp/x'", "COPY goes to the client only"),
    ] {
        let told = world.ask(&server, statement);
        assert!(told.contains("ERROR") && told.contains(part), "{statement}: {told}");
        assert!(!told.contains("HINT") && !told.contains("DETAIL") && !told.contains("CONTEXT"), "{told}");
    }
    // As people use it: catalogue, transactions, cursors of psql's own.
    let script = "\\d customers\n\\dt\nbegin;\ndeclare c cursor for select id from customers order by id;\nfetch 2 from c;\n\
                  move 1 in c;\nfetch 1 in c;\nselect 1/0;\nselect 1;\nrollback;\n\\set FETCH_COUNT 300\nselect id from customers;\n";
    let told = world.psql(&server, &["-v", "VERBOSITY=sqlstate", "-f", "/dev/null"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let script_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script_file.path(), script).unwrap();
    let told = world.psql(&server, &["-v", "VERBOSITY=sqlstate", "-f", script_file.path().to_str().unwrap()]);
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(out.contains("email|text||") && out.contains("public|orders|table|clover"), "{out}{err}");
    assert!(out.contains("\n1\n2\nMOVE") || out.contains("\n1\n2\n4\n"), "{out}{err}");
    assert!(err.contains("22012") && err.contains("25P02"), "{out}{err}");
    assert!(out.ends_with("\n998\n999\n1000\n"), "{err}");
    let began = world.control.began();
    let fetches: Vec<_> = began.iter().filter(|b| b.normalised.starts_with("fetch")).collect();
    assert!(fetches.len() >= 5 && fetches.iter().all(|f| f.row_wise && f.cursor.is_some()), "{fetches:?}");
}

#[test]
fn outside_an_error_says_its_code_and_nothing_of_the_servers() {
    let server = server();
    let world = World::new(&server, Options { wording: Wording::Outside, ..Options::default() });
    let told = world.ask(&server, "select cast(email as int) from customers");
    assert_eq!(told, "ERROR:  a value does not fit what the statement does with it");
    let seen = world.control.seen();
    assert_eq!(seen.last().unwrap().error.as_deref(), Some("22P02"));
}

#[test]
fn a_long_result_goes_through_in_windows_and_in_little_memory() {
    let server = server();
    let world = World::new(&server, Options::default());
    let told = world.psql(
        &server,
        &["-c", "copy (select i, repeat('x', 100) from generate_series(1, 200000) i) to stdout"],
    );
    assert_eq!(told.stdout.iter().filter(|b| **b == b'\n').count(), 200_000);
    let told = world.psql(&server, &["-c", "select i, repeat('x', 100) from generate_series(1, 100000) i"]);
    assert_eq!(told.stdout.iter().filter(|b| **b == b'\n').count(), 100_000);
    let seen = world.control.seen();
    assert_eq!(seen.iter().map(|s| s.rows).sum::<u64>(), 300_000);
    let window = gateway::sql::wire::relay::Limits::default().window;
    assert!(seen.len() > 20 && seen.iter().all(|s| s.bytes <= window), "{}", seen.len());
    let most = world.control.waiting_most.load(std::sync::atomic::Ordering::SeqCst);
    assert!(most <= 2 * window, "{most}");
    for run in seen.chunk_by(|a, _| !a.last) {
        assert!(run.iter().all(|s| s.statement == run[0].statement) && run.last().unwrap().last);
    }
    // One row that is more than a window is one all the same.
    let told = world.psql(&server, &["-c", "select repeat('x', 5000000)"]);
    assert_eq!(told.stdout.len(), 5_000_001);
    assert_eq!(*world.control.windows.borrow(), Windows::Pass);
}

#[test]
fn pgbench_runs_in_every_mode() {
    let server = server();
    let pgbench = server.programs().join("pgbench");
    let socket = server.socket();
    let folder = socket.parent().unwrap();
    let made = std::process::Command::new(&pgbench)
        .args(["-q", "-i", "-s", "1", "-h", folder.to_str().unwrap(), "-U", "clover", "clover"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    server
        .sql("grant select on pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history to reader")
        .unwrap();
    let world = World::new(&server, Options::default());
    for mode in ["simple", "extended", "prepared"] {
        let before = world.control.seen().len();
        let told =
            world.client(&pgbench).args(["-n", "-S", "-c", "4", "-t", "50", "-M", mode]).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        assert!(told.status.success() && out.contains("200/200"), "{mode}: {out}{err}");
        let windows = world.control.seen().len() - before;
        assert!((200..220).contains(&windows), "{mode}: {windows}");
    }
    let began = world.control.began();
    let last = began.last().unwrap();
    assert_eq!(last.normalised, "select abalance from pgbench_accounts where aid = ?");
    assert!(last.row_wise && last.parameters > 0);
}
