//! What no client would send.

use std::sync::Arc;

use gateway::sql::wire::back::Place;
use gateway::sql::wire::front::ALPN;
use postgres_protocol::authentication::sasl::ChannelBinding;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::raw::{Raw, connector, field, frame, query, short, startup, tcp};
use super::world::{Authority, Options, World, server};

const ALICE: &[(&str, &str)] = &[("user", "alice@case-1"), ("database", "clover")];
const V3: u32 = 196_608;

/// What comes back in the clear, to the end.
async fn clear(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = tcp(world).await;
    stream.write_all(bytes).await.unwrap();
    let _ = stream.shutdown().await;
    let mut told = Vec::new();
    let _ = stream.read_to_end(&mut told).await;
    told
}

fn nowhere() -> World {
    World::behind(Place::Unix("/nowhere".into()), None, Options::default())
}

#[test]
fn in_the_clear_a_client_learns_only_that_it_must_not_be() {
    let world = nowhere();
    world.runtime.block_on(async {
        let told = clear(&world, &startup(V3, ALICE)).await;
        assert_eq!((told[0], field(&told[5..], b'C')), (b'E', "28000".to_owned()));
        assert!(field(&told[5..], b'M').contains("TLS"), "{told:?}");
        for half in [&b"\0"[..], b"\0\0\0\x20\0\x03\0\0user\0al", b"\x16\x03\x01"] {
            assert_eq!(clear(&world, half).await, b"", "{half:?}");
        }
        for bad in
            [b"\0\0\0\x04\0\0\0\0", b"\x7f\xff\xff\xff\0\x03\0\0", b"GET / HT", b"\0\0\0\x08\0\x02\0\0"]
        {
            let told = clear(&world, bad).await;
            assert_eq!(field(&told[5..], b'C'), "08P01", "{bad:?}");
        }
        // GSSAPI first, then TLS; what is sent along before the handshake is no part of it.
        let mut stream = tcp(&world).await;
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 48]).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
        let told = clear(&world, &[&[0, 0, 0, 8, 4, 210, 22, 47][..], &startup(V3, ALICE)].concat()).await;
        assert_eq!(told.first(), Some(&b'S'));
        assert!(!told[1..].windows(5).any(|w| w == b"28000"), "it was read as a startup");
    });
}

#[test]
fn a_startup_that_asks_for_more_is_refused_before_any_password() {
    let world = nowhere();
    world.runtime.block_on(async {
        for (parameters, part) in [
            (&[("user", "alice")][..], "alice@case-4711"),
            (&[("database", "clover")], "alice@case-4711"),
            (&[("user", "alice@case-1"), ("replication", "database")], "replication"),
            (&[("user", "alice@case-1"), ("options", "-c role=postgres")], "options"),
            (&[("user", "alice@case-1"), ("client_encoding", "SJIS")], "UTF8"),
            (&[("user", "alice@case-1"), ("session_preload_libraries", "x")], "can be set here"),
        ] {
            let mut raw = Raw::tls(&world, false).await;
            raw.send(&startup(V3, parameters)).await;
            let told = raw.rest().await;
            assert_eq!(short(&told), "E:28000", "{parameters:?}");
            assert!(field(&told[0].1, b'M').contains(part), "{parameters:?}");
        }
        // A newer version than ours is spoken as ours, and options that are not known are named.
        let mut raw = Raw::tls(&world, false).await;
        raw.send(&startup(V3 + 9, &[("user", "alice@case-1"), ("_pq_.x", "1")])).await;
        let (tag, told) = raw.next().await.unwrap();
        assert_eq!((tag, told.as_slice()), (b'v', &b"\0\x03\0\x02\0\0\0\x01_pq_.x\0"[..]));
    });
}

#[test]
fn a_password_is_taken_only_as_it_was_offered() {
    let server = server();
    let world = World::new(&server, Options::default());
    let free = || ChannelBinding::unsupported();
    world.runtime.block_on(async {
        let mut told = Vec::new();
        for (user, password, mechanism, binding) in [
            ("alice@case-1", "pencils", "SCRAM-SHA-256", free()),
            ("mallory@case-1", "pencil", "SCRAM-SHA-256", free()),
            ("alice@case-1", "pencil", "SCRAM-SHA-256", ChannelBinding::unrequested()),
            (
                "alice@case-1",
                "pencil",
                "SCRAM-SHA-256-PLUS",
                ChannelBinding::tls_server_end_point(b"other".to_vec()),
            ),
            ("alice@case-1", "pencil", "PLAIN", free()),
        ] {
            let mut raw = Raw::tls(&world, false).await;
            raw.send(&startup(V3, &[("user", user)])).await;
            let mut messages = raw.scram(password.as_bytes(), mechanism, binding).await;
            messages.extend(raw.rest().await);
            told.push(short(&messages));
        }
        // Nobody learns whether it was the name or the password.
        assert_eq!(told, ["E:28P01", "E:28P01", "E:28000", "E:28000", "E:28P01"]);
        // Something else than a password, and a message that is too long for one.
        for message in [query("select 1"), frame(b'p', &[b'x'; 9000]), b"p\x40\0\0\0".to_vec()] {
            let mut raw = Raw::tls(&world, false).await;
            raw.send(&startup(V3, ALICE)).await;
            raw.next().await.unwrap();
            raw.send(&message).await;
            assert_eq!(short(&raw.rest().await), "E:08P01");
        }
        // A certificate will do, for whom it is.
        let mut raw = Raw::tls(&world, true).await;
        raw.send(&startup(V3 + 2, &[("user", "service@flow"), ("database", "clover")])).await;
        assert!(short(&raw.until_ready().await).starts_with("R S"));
        assert_eq!(raw.key.1.len(), 32);
        let mut raw = Raw::tls(&world, true).await;
        raw.send(&startup(V3, ALICE)).await;
        assert_eq!(raw.scram(b"pencil", "SCRAM-SHA-256", free()).await, []);
    });
    let strict = World::new(&server, Options { binding_demanded: true, ..Options::default() });
    strict.runtime.block_on(async {
        let mut raw = Raw::tls(&strict, false).await;
        raw.send(&startup(V3, ALICE)).await;
        let mut messages = raw.scram(b"pencil", "SCRAM-SHA-256", ChannelBinding::unsupported()).await;
        messages.extend(raw.rest().await);
        assert_eq!(short(&messages), "E:28000");
    });
    assert_eq!(strict.ask(&server, "select 1"), "1", "psql ties its password to the connection");
}

#[test]
fn tls_may_come_at_once_if_it_says_for_what() {
    let server = server();
    let world = World::new(&server, Options { waiting_max: 1, ..Options::default() });
    world.runtime.block_on(async {
        let name = || ServerName::try_from("localhost").unwrap();
        let mut stream =
            connector(&world, false, Some(ALPN)).connect(name(), tcp(&world).await).await.unwrap();
        stream.write_all(&startup(V3, ALICE)).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'R');
        // One who has not signed in takes the only place.
        let told = clear(&world, b"").await;
        assert_eq!(field(&told[5..], b'C'), "53300");
        drop(stream);
    });
    assert!(world.next_end().contains("too many"));
    world.next_end();
    world.runtime.block_on(async {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector(&world, false, None).connect(name, tcp(&world).await).await.unwrap();
        let _ = stream.write_all(&startup(V3, ALICE)).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "it said not what it is for");
    });
}

#[test]
fn a_session_ends_at_the_first_message_that_has_no_place_in_it() {
    let server = server();
    let world = World::new(&server, Options::default());
    world.runtime.block_on(async {
        for (what, bytes) in [
            ("a length of a gigabyte", b"Q\x40\0\0\0".to_vec()),
            ("no length", b"Q\0\0\0\0".to_vec()),
            ("an unknown message", frame(b'!', b"")),
            ("rows to copy in", frame(b'd', b"1\n")),
            ("an end of such", frame(b'c', b"")),
            ("another password", frame(b'p', b"x\0")),
            ("a text without end", frame(b'Q', b"select 1")),
            ("more than a text", frame(b'Q', b"select 1\0\0")),
            ("a parse cut short", frame(b'P', b"\0select 1\0\0\x05")),
            ("a description of nothing", frame(b'D', b"X\0")),
            ("an execute cut short", frame(b'E', b"\0\0")),
            ("TLS within TLS", vec![0, 0, 0, 8, 4, 210, 22, 47]),
        ] {
            let mut raw = Raw::signed_in(&world).await;
            raw.send(&bytes).await;
            assert_eq!(short(&raw.rest().await), "E:08P01", "{what}");
        }
        // A message that stops in its middle ends when the client does.
        let mut raw = Raw::signed_in(&world).await;
        raw.send(&query("select 1")[..8]).await;
        drop(raw);
    });
    let sessions = "select count(*) from pg_stat_activity where usename = 'reader'";
    while server.sql(sessions).unwrap() != ["0"] {}
}

#[test]
fn behind_tls_only_the_right_server_with_the_right_password_is_used() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost");
    let server = testkit::Postgres::start_tls(&testkit::Tls {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        clients: None,
        password: "right".to_owned(),
    })
    .unwrap();
    server.sql("create role reader login password 'secret'").unwrap();
    let address = server.address_tls("localhost");
    let port = address.split("port=").nth(1).and_then(|p| p.split(' ').next()).unwrap().parse().unwrap();
    let tls = |authority: &Authority| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        Some(Arc::new(config))
    };
    let place = |tls| Place::Tcp { host: "localhost".to_owned(), port, tls };
    let good = World::behind(place(tls(&authority)), Some("secret"), Options::default());
    assert_eq!(good.ask(&server, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"), "t");
    let stranger = Authority::new();
    for (place, password) in [
        (place(tls(&authority)), Some("wrong")),
        (place(tls(&authority)), None),
        (place(tls(&stranger)), Some("secret")),
        (place(None), Some("secret")),
    ] {
        let world = World::behind(place, password, Options::default());
        assert!(world.ask(&server, "select 1").contains("the database is not there"));
        assert!(world.next_end().starts_with("back: "));
    }
}
