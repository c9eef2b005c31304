//! Nothing goes out that was not released, whatever happens to windows, sessions and servers.

use std::time::{Duration, Instant};

use super::raw::{Raw, SYNC, extended, frame, query, short};
use super::world::{Options, Windows, World, server};

#[test]
fn nothing_of_a_window_goes_out_before_it_is_released() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        world.control.windows.send_replace(Windows::Hold);
        raw.send(&query("select email from customers where id < 3")).await;
        // When the window is there, everything that the server said is: and nothing of it has come.
        let mut waits = 0;
        while world.control.seen().is_empty() {
            assert!(raw.is_silent_during(tokio::task::yield_now()).await);
            waits += 1;
            assert!(waits < 1_000_000);
        }
        // Neither does what follows overtake it.
        raw.send(&query("begin")).await;
        assert!(raw.is_silent_during(tokio::time::sleep(Duration::from_millis(50))).await);
        world.control.windows.send_replace(Windows::Pass);
        assert_eq!(short(&raw.until_ready().await), "T D D C:SELECT 2 Z:I");
        assert_eq!(short(&raw.until_ready().await), "C:BEGIN Z:T");
    });
}

#[test]
fn a_window_that_is_refused_ends_the_session_and_releases_nothing() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        world.control.windows.send_replace(Windows::Refuse);
        for (text, number) in [("select email from customers", 1), ("select 1/0", 2)] {
            raw.send(&query(text)).await;
            let told = raw.rest().await;
            assert_eq!(short(&told), "E:42501", "{text}");
            assert_eq!(world.control.seen().len(), number);
            world.control.windows.send_replace(Windows::Pass);
            raw = Raw::signed_in(&world).await;
            world.control.windows.send_replace(Windows::Refuse);
        }
    });
    assert!(world.next_end().contains("Refused"));
}

#[test]
fn a_statement_that_is_refused_fails_as_one_of_the_servers_would() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        let refused = extended("explain select 1");
        let mut ask = async |bytes: &[u8]| raw.ask(bytes).await;
        assert_eq!(ask(&query("explain select 1")).await, "E:42501 Z:I");
        assert_eq!(ask(&query("begin")).await, "C:BEGIN Z:T");
        assert_eq!(ask(&query("set role x")).await, "E:42501 Z:E", "the transaction has failed there too");
        assert_eq!(ask(&query("select 1")).await, "E:25P02 Z:E");
        assert_eq!(ask(&query("commit")).await, "C:ROLLBACK Z:I");
        // What stands before it in a batch is done, what follows is skipped.
        let batch =
            [extended("select 1"), refused.clone(), extended("select 2"), SYNC.to_vec(), query("select 3")]
                .concat();
        assert_eq!(ask(&batch).await, "1 2 T D C:SELECT 1 E:42501 Z:I");
        assert_eq!(ask(&[]).await, "T D C:SELECT 1 Z:I");
        // One error in a batch is told, as the server does.
        let batch = [extended("select 1/0"), refused, SYNC.to_vec()].concat();
        assert_eq!(ask(&batch).await, "1 E:22012 Z:I");
        // By names that are not there, functions, and texts that are none.
        let unknown = [frame(b'B', b"\0nothing\0\0\0\0\0\0\0"), SYNC.to_vec()].concat();
        assert_eq!(ask(&unknown).await, "E:26000 Z:I");
        let unknown = [frame(b'E', b"nothing\0\0\0\0\0"), SYNC.to_vec()].concat();
        assert_eq!(ask(&unknown).await, "E:34000 Z:I");
        assert_eq!(ask(&frame(b'F', &[0; 10])).await, "E:42501 Z:I");
        assert_eq!(ask(&frame(b'Q', b"select '\xff'\0")).await, "E:22021 Z:I");
        // And when the budget is used up.
        world.control.refuse_begin.send_replace(true);
        assert_eq!(ask(&query("select 1")).await, "T E:42501 Z:I");
        world.control.refuse_begin.send_replace(false);
        assert_eq!(ask(&query("select 1")).await, "T D C:SELECT 1 Z:I");
    });
    assert_eq!(server.sql("select count(*) from orders").unwrap(), ["0"]);
}

#[test]
fn prepared_statements_portals_and_cursors_are_known_by_what_the_server_confirmed() {
    let server = server();
    let world = World::new(&server, Options::default());
    let parse = |name: &str, text: &str| frame(b'P', format!("{name}\0{text}\0\0\0").as_bytes());
    let bind = |portal: &str, name: &str| frame(b'B', format!("{portal}\0{name}\0\0\0\0\0\0\0").as_bytes());
    let run = |portal: &str, rows: u8| frame(b'E', &[portal.as_bytes(), &[0, 0, 0, 0, rows]].concat());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        let one = [parse("s", "select id from customers order by id"), frame(b'D', b"Ss\0"), SYNC.to_vec()]
            .concat();
        assert_eq!(raw.ask(&one).await, "1 t T Z:I");
        assert_eq!(raw.ask(&query("begin")).await, "C:BEGIN Z:T");
        // A portal that is suspended and goes on; nobody asked for its columns, and we know them.
        let two = [bind("p", "s"), run("p", 2), run("p", 1), SYNC.to_vec()].concat();
        assert_eq!(raw.ask(&two).await, "2 D D s D s Z:T");
        assert!(world.control.seen().iter().rev().take(2).all(|s| s.columns == 1));
        // What is fetched from a portal or a cursor by SQL is told with its statement.
        assert_eq!(raw.ask(&query("fetch 1 from p")).await, "T D C:FETCH 1 Z:T");
        assert_eq!(
            world.control.began().last().unwrap().cursor.as_deref(),
            Some("select id from customers order by id")
        );
        let declare = "declare c cursor for select count(*) from customers";
        assert_eq!(raw.ask(&query(declare)).await, "C:DECLARE CURSOR Z:T");
        let three = [extended("fetch all from c"), SYNC.to_vec()].concat();
        assert_eq!(raw.ask(&three).await, "1 2 T D C:FETCH 1 Z:T");
        assert!(!world.control.began().last().unwrap().row_wise);
        // A declaration that fails changes nothing, also when everything was sent at once.
        let all = [
            query("savepoint a"),
            query("declare c cursor for select id from customers"),
            query("rollback to a"),
            query("fetch all from c"),
        ];
        raw.send(&all.concat()).await;
        for answer in ["C:SAVEPOINT Z:T", "E:42P03 Z:E", "C:ROLLBACK Z:T", "T C:FETCH 0 Z:T"] {
            assert_eq!(short(&raw.until_ready().await), answer);
        }
        assert_eq!(world.control.began().last().unwrap().cursor.as_deref(), Some(declare));
        assert_eq!(raw.ask(&[run("c", 0), SYNC.to_vec()].concat()).await, "C:SELECT 0 Z:T");
        let closed = [frame(b'C', b"Pp\0"), run("p", 0), SYNC.to_vec()].concat();
        assert_eq!(raw.ask(&closed).await, "3 E:34000 Z:E");
        assert_eq!(raw.ask(&query("rollback")).await, "C:ROLLBACK Z:I");
        assert_eq!(raw.ask(&query("deallocate s")).await, "C:DEALLOCATE Z:I");
        assert_eq!(raw.ask(&[bind("", "s"), SYNC.to_vec()].concat()).await, "E:26000 Z:I");
        // What we answer ourselves, in a pipeline, is in its place.
        let own =
            [extended("select 1"), extended("show clover.budget"), extended(" "), SYNC.to_vec()].concat();
        assert_eq!(raw.ask(&own).await, "1 2 T D C:SELECT 1 1 2 T D C:SHOW 1 2 n I Z:I");
        let one =
            [extended("show clover.grant")[..].strip_suffix(b"\0\0\0\0").unwrap(), &[0, 0, 0, 1], &SYNC]
                .concat();
        assert_eq!(raw.ask(&one).await, "1 2 T D C:SHOW Z:I");
        // Without an end, a flush brings what is there.
        raw.send(&[extended("select 1"), frame(b'H', &[])].concat()).await;
        for tag in [b'1', b'2', b'T', b'D', b'C'] {
            assert_eq!(raw.next().await.unwrap().0, tag);
        }
    });
}

#[test]
fn a_long_pipeline_is_answered_whole_and_in_order() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        let many: Vec<u8> = (0..2000).flat_map(|i| extended(&format!("select {i}"))).chain(SYNC).collect();
        let told = raw.ask(&many).await;
        assert_eq!(told.matches("1 2 T D C:SELECT 1").count(), 2000);
        assert!(told.ends_with("Z:I"));
    });
    assert_eq!(world.control.began().len(), 2000);
}

#[test]
fn a_revoked_session_ends_at_once_and_its_statement_with_it() {
    let server = server();
    server.sql("grant execute on function pg_sleep to reader").unwrap();
    let world = World::new(&server, Options::default());
    let running = "select count(*) from pg_stat_activity where usename = 'reader' and state = 'active'";
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        raw.send(&query("select pg_sleep(600)")).await;
        while server.sql(running).unwrap() != ["1"] {}
        let began = Instant::now();
        world.control.ended.send_replace(true);
        let told = raw.rest().await;
        let took = began.elapsed();
        assert_eq!(short(&told), "E:42501");
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
    assert!(world.next_end().contains("Ended"));
    assert_eq!(server.sql(running).unwrap(), ["0"], "the server goes on with it");
}

#[test]
fn a_statement_is_cancelled_by_its_own_sessions_key_only() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let (mut raw, other) = (Raw::signed_in(&world).await, Raw::signed_in(&world).await);
        let cancel = |id: u32, secret: &[u8]| {
            let body = [&80_877_102_u32.to_be_bytes()[..], &id.to_be_bytes(), secret].concat();
            [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
        };
        raw.send(&query("select pg_sleep(600)")).await;
        let running = "select count(*) from pg_stat_activity where usename = 'reader' and state = 'active'";
        while server.sql(running).unwrap() != ["1"] {}
        let ask = async |message: Vec<u8>| {
            let mut stream = super::raw::tcp(&world).await;
            tokio::io::AsyncWriteExt::write_all(&mut stream, &message).await.unwrap();
            // No answer, whoever asks.
            let mut rest = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
            assert!(rest.is_empty());
        };
        ask(cancel(raw.key.0, &other.key.1)).await;
        ask(cancel(other.key.0, &other.key.1)).await;
        ask(cancel(1, b"0000")).await;
        assert_eq!(server.sql(running).unwrap(), ["1"]);
        ask(cancel(raw.key.0, &raw.key.1)).await;
        assert_eq!(short(&raw.until_ready().await), "T E:57014 Z:I");
        // Nobody learns the server's own key.
        let pids = server.sql("select pid from pg_stat_activity where usename = 'reader'").unwrap();
        assert!(!pids.contains(&raw.key.0.to_string()));
        // One who leaves leaves nothing behind.
        raw.send(&query("select pg_sleep(600)")).await;
        while server.sql(running).unwrap() != ["1"] {}
        drop(raw);
        while server.sql(running).unwrap() != ["0"] {}
    });
}

#[test]
fn a_server_that_dies_mid_row_is_told_and_closes_the_session() {
    let mut server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        raw.send(&query("select repeat('x', 1000), generate_series(1, 100000000)")).await;
        assert_eq!(raw.next().await.unwrap().0, b'T');
        server.kill();
        let mut last = (b'T', vec![]);
        while let Some(message) = raw.next().await {
            last = message;
        }
        assert!(matches!(short(&[last]).as_str(), "E:08006" | "E:57P01" | "E:57P02"));
    });
    let world = World::new(&server, Options::default());
    assert!(world.ask(&server, "select 1").contains("the database is not there"));
}

#[test]
fn a_name_that_the_server_would_cut_is_refused_in_every_message() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        let long = "n".repeat(64);
        let named = |parts: &[&[u8]]| parts.concat();
        let messages = [
            frame(b'P', &named(&[long.as_bytes(), b"\0select 1\0\0\0"])),
            frame(b'B', &named(&[long.as_bytes(), b"\0\0\0\0\0\0\0\0"])),
            frame(b'B', &named(&[b"\0", long.as_bytes(), b"\0\0\0\0\0\0\0"])),
            frame(b'D', &named(&[b"S", long.as_bytes(), b"\0"])),
            frame(b'E', &named(&[long.as_bytes(), b"\0\0\0\0\0"])),
            frame(b'C', &named(&[b"P", long.as_bytes(), b"\0"])),
        ];
        for message in messages {
            let kind = char::from(message[0]);
            assert_eq!(raw.ask(&[message, SYNC.to_vec()].concat()).await, "E:42622 Z:I", "{kind}");
        }
        assert_eq!(raw.ask(&query("select 1")).await, "T D C:SELECT 1 Z:I");
    });
}

#[test]
fn what_a_cursor_reads_is_known_or_nothing_is_fetched_from_it() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        assert_eq!(raw.ask(&query("begin")).await, "C:BEGIN Z:T");
        assert_eq!(
            raw.ask(&query("declare b cursor for select email from customers")).await,
            "C:DECLARE CURSOR Z:T"
        );
        // A FETCH under a name of its own would be fetched from in turn, or go on with another cursor of that name.
        let bound =
            [frame(b'P', b"f\0fetch all from b\0\0\0"), frame(b'B', b"a\0f\0\0\0\0\0\0\0"), SYNC.to_vec()];
        assert_eq!(raw.ask(&bound.concat()).await, "1 E:0A000 Z:E");
        assert_eq!(raw.ask(&query("rollback")).await, "C:ROLLBACK Z:I");
        assert_eq!(raw.ask(&query("begin")).await, "C:BEGIN Z:T");
        assert_eq!(raw.ask(&query("fetch all from nothing")).await, "E:34000 Z:E");
        assert_eq!(raw.ask(&query("rollback")).await, "C:ROLLBACK Z:I");
    });
}

#[test]
fn a_portal_of_the_same_name_is_described_anew_before_it_is_run() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        let mut raw = Raw::signed_in(&world).await;
        assert_eq!(raw.ask(&query("begin")).await, "C:BEGIN Z:T");
        let batch = [
            frame(b'P', b"one\0select email, id from customers\0\0\0"),
            frame(b'B', b"a\0one\0\0\0\0\0\0\0"),
            frame(b'D', b"Pa\0"),
            frame(b'C', b"Pa\0"),
            frame(b'P', b"two\0declare a cursor for select 'x'::text from customers\0\0\0"),
            frame(b'B', b"\0two\0\0\0\0\0\0\0"),
            frame(b'E', b"\0\0\0\0\0"),
            frame(b'E', b"a\0\0\0\0\x01"),
            SYNC.to_vec(),
        ];
        let told = raw.ask(&batch.concat()).await;
        assert!(told.starts_with("1 2 T 3 1 2 C:DECLARE CURSOR D "), "{told}");
        let seen = world.control.seen();
        assert_eq!(seen.iter().rev().find(|window| window.rows > 0).map(|window| window.columns), Some(1));
    });
}
