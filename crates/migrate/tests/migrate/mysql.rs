//! Claims about mirroring a real MariaDB server.

use migrate::plan::End;
use migrate::{MigrateError, Mirror, Mirrored, MysqlEnd};
use tempfile::TempDir;
use testkit::dice::Dice;
use testkit::mysql::MySql;
use testkit::postgres::Postgres;

use crate::World;
use crate::closure::{Closing, places};

struct Mirroring {
    origin: MySql,
    staging: Postgres,
    _folder: TempDir,
    mirror: Mirror,
}

impl Mirroring {
    /// Both servers, with tables as the mirror's own statements make them.
    async fn new(schema: &str, tables: &[&str]) -> Self {
        Self::with(MySql::start(&[]).unwrap(), None, schema, tables).await
    }

    async fn with(origin: MySql, roots: Option<String>, schema: &str, tables: &[&str]) -> Self {
        let staging = Postgres::start_with(&["wal_level = logical"]).unwrap();
        origin.sql(schema).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, format!("{}\n", origin.password())).unwrap();
        let roots = roots.map(|text| {
            let path = folder.path().join("roots.pem");
            std::fs::write(&path, text).unwrap();
            path
        });
        let from = MysqlEnd { address: origin.address(), password_file: Some(password), roots };
        let into = End { address: staging.address(), password_file: None, roots: None };
        let tables = tables.iter().map(|name| ((*name).to_owned(), format!("app.{name}"))).collect();
        let mirror = Mirror { from, into, tables };
        staging.sql(&mirror.ddl().await.unwrap()).unwrap();
        Self { origin, staging, _folder: folder, mirror }
    }

    async fn run(&self) -> Mirrored {
        self.mirror.run().await.unwrap()
    }

    async fn refused(&self) -> String {
        self.mirror.run().await.unwrap_err().to_string()
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        self.staging.sql(sql).unwrap()
    }
}

const TYPES: &str = "create table t (id bigint unsigned primary key, tiny tinyint unsigned, small smallint, medium mediumint unsigned, big bigint,
  money decimal(30,10), f float, d double, born date, made datetime(6), seen timestamp(3) null default null, lasts time(2), since year,
  code char(5), name varchar(50) character set latin1, note text character set utf16, raw varbinary(10), fixed binary(4), face blob,
  flags bit(10), mood enum('glad','sad'), tags set('a','b','c'), prefs json, ip inet6, uid uuid, doubled int as (small * 2) stored);
insert into t values
 (18446744073709551615, 255, -32768, 16777215, -9223372036854775808, 12345678901234567890.0123456789, 16777217, 0.1, '2026-01-02',
  '2026-01-02 03:04:05.000006', '2026-01-02 03:04:05.678', '-838:59:58.5', 2026, 'ab', 'Jörg €', 'naïve 🦀\\n\\t\\\\', x'00ff0a', x'01', '', b'1000000001', 'sad', 'a,c',
  '{\"n\": 1.50, \"n\": \"x\"}', '::1', '123e4567-e89b-12d3-a456-426655440000', default),
 (0, 0, 0, 0, 0, 0, 1.1, 1e300, '0001-01-01', '9999-12-31 23:59:59.999999', '1970-01-01 00:00:01', '00:00:00', 1901, '', '', '', '', '', 'x', 0, 'glad', '', 'null', '::', '00000000-0000-0000-0000-000000000000', default);
insert into t (id) values (5);";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_mysql_keeps_the_meaning_of_each_type() {
    let mirroring = Mirroring::new(TYPES, &["t"]).await;
    assert_eq!(mirroring.run().await.copied, 3);
    let copy = "copy (select * from app.t order by id) to stdout";
    let rows = mirroring.rows(&format!("set timezone = 'UTC'; {copy}"));
    let rows: Vec<String> = rows.iter().map(|row| row.replace('\t', "|")).collect();
    assert_eq!(
        rows,
        [
            "0|0|0|0|0|0.0000000000|1.1|1e+300|0001-01-01|9999-12-31 23:59:59.999999|1970-01-01 00:00:01+00|00:00:00|1901||||\\\\x|\\\\x00000000|\\\\x78|0000000000|glad||null|::|00000000-0000-0000-0000-000000000000|0",
            "5|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N",
            "18446744073709551615|255|-32768|16777215|-9223372036854775808|12345678901234567890.0123456789|1.6777216e+07|0.1|2026-01-02|2026-01-02 03:04:05.000006|2026-01-02 03:04:05.678+00|-838:59:58.5|2026|ab|Jörg €|naïve 🦀\\n\\t\\\\|\\\\x00ff0a|\\\\x01000000|\\\\x|1000000001|sad|a,c|{\"n\": 1.50, \"n\": \"x\"}|::1|123e4567-e89b-12d3-a456-426655440000|-65536",
        ]
    );
    assert_eq!(mirroring.rows("select octet_length(note), length(face) from app.t where id > 5"), ["14|0"]);
}

/// People, what they made, which goes with them, and words by which they are known, whose keys are texts.
const SCHEMA: &str = "create table users (id int unsigned primary key auto_increment, country varchar(2), email varchar(60) not null, about longtext);
create table videos (id bigint primary key auto_increment, owner int unsigned null, title text, foreign key (owner) references users (id) on delete cascade on update cascade);
create table likes (video bigint not null, at datetime(3) not null, foreign key (video) references videos (id) on delete cascade, primary key (video, at));
create table words (word varchar(20) character set latin1, code binary(4), n int, primary key (word, code));
insert into users select seq, elt(1 + seq % 4, 'DE', 'FR', 'US', 'SG'), concat('u', seq, '@example.org'), repeat('x', seq) from seq_1_to_300;
insert into videos select seq, seq, concat('of ', seq) from seq_1_to_300;
insert into likes select seq, '2026-01-01 00:00:00.5' from seq_1_to_300;
insert into words select concat('Wörd', seq), unhex('0100'), seq from seq_1_to_300;";

/// What somebody writes.
fn change(dice: &mut Dice) -> String {
    let (id, other) = (dice.below(330) + 1, dice.below(330) + 1);
    match dice.below(9) {
        0 => "insert into users (country, email) values ('DE', 'new@example.org')".into(),
        1 => format!("replace into words values ('WÖRD{id}', unhex('0100'), {other})"),
        2 => {
            format!("update ignore words set word = 'ä{other}', code = unhex('00ff') where word = 'wörd{id}'")
        }
        3 => format!("delete from words where n = {id}"),
        4 => format!("delete from users where id = {id}"),
        5 => format!("update ignore users set id = {} where id = {other}", 4_000_000_000_u64 + id as u64),
        6 => format!(
            "begin; update users set about = 'lost' where id = {id}; rollback; begin; insert into videos (owner, title) select id, 'more' from users where id = {id}; update users set about = '' where id = {other}; commit"
        ),
        7 => format!("insert ignore into likes select id, now(3) from videos where id = {id}"),
        _ => format!("update users set about = repeat('{id}', 1000) where id between {id} and {id} + 9"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_mysql_are_followed_across_kills_and_after_the_stop_both_sides_are_the_same() {
    let tables = ["likes", "users", "videos", "words"];
    let mut mirroring = Mirroring::new(SCHEMA, &tables).await;
    assert_eq!(mirroring.run().await.copied, 1_200);
    let mut dice = Dice::new(7);
    for round in 0..12 {
        let changes: Vec<String> = (0..40).map(|_| change(&mut dice)).collect();
        mirroring.origin.sql(&(changes.join(";\n") + ";")).unwrap();
        match round {
            4 => mirroring.origin.restart(&[]).unwrap(),
            7 => drop(
                mirroring
                    .origin
                    .sql("flush binary logs; create table other (id int); analyze table users")
                    .unwrap(),
            ),
            _ => {}
        }
        // Cut off at some moment, which is as good as killed: the servers only see that the connections end.
        let moment = std::time::Duration::from_millis(dice.below(60) as u64);
        drop(tokio::time::timeout(moment, mirroring.mirror.run()).await);
    }
    mirroring.run().await;
    assert_eq!(mirroring.run().await.touched, 0, "nothing is taken twice");
    for sql in [
        "select count(*), sum(id) from users",
        "select count(*), sum(id), sum(owner) from videos",
        "select count(*), sum(video) from likes",
        "select count(*), sum(n) from words",
    ] {
        let there = mirroring.origin.sql(sql).unwrap();
        assert_eq!(mirroring.rows(&sql.replace("from ", "from app.")), [there[0].replace('\t', "|")]);
    }
    mirroring.origin.sql("insert into users (country, email) values ('FR', 'last@example.org')").unwrap();
    let stopped = mirroring.mirror.stop("dublin").await.unwrap();
    assert_eq!(mirroring.rows("select count(*) from app.users where email = 'last@example.org'"), ["1"]);
    assert_eq!(mirroring.rows("select count(*) from app.words"), [stopped.tables["words"].to_string()]);
    for table in tables {
        let refused = mirroring.origin.sql(&format!("delete from {table}")).unwrap_err().to_string();
        assert!(refused.contains("moved to dublin"), "{refused}");
    }
    assert!(mirroring.refused().await.contains("it was stopped"));
    assert_eq!(mirroring.mirror.stop("dublin").await.unwrap(), stopped);
    mirroring.staging.sql("update app.users set about = 'other' where email = 'last@example.org'").unwrap();
    let differs = mirroring.mirror.stop("dublin").await.unwrap_err().to_string();
    assert!(differs.contains("users: what is mirrored") && !differs.contains("other"), "{differs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mysql_has_and_nobody_can_keep_is_refused_with_its_column_and_nothing_is_there() {
    let schema = "create table t (id int primary key, born date, note text, seen timestamp null)";
    let mirroring = Mirroring::new(schema, &["t"]).await;
    for (values, told) in [
        ("1, '0000-00-00', 'secret', null", "`born` is a date without"),
        ("1, '2026-00-01', 'secret', null", "`born` is a date without"),
        ("1, null, 'secret\\0', null", "`note` is a text with the character NUL"),
        ("1, null, 'secret', '0000-00-00 00:00:00'", "`seen` is a date without"),
    ] {
        let rows =
            format!("set sql_mode = ''; insert into t (id) values (0); insert into t values ({values})");
        mirroring.origin.sql(&rows).unwrap();
        let error = mirroring.refused().await;
        assert!(error.contains(told) && error.starts_with("t: ") && !error.contains("secret"), "{error}");
        assert_eq!(mirroring.rows("select count(*) from app.t"), ["0"]);
        mirroring.origin.sql("delete from t").unwrap();
    }
    for (off, on, told) in [
        ("set global binlog_format = 'MIXED'", "set global binlog_format = 'ROW'", "binlog_format = ROW"),
        (
            "set global binlog_row_image = 'MINIMAL'",
            "set global binlog_row_image = 'FULL'",
            "binlog_row_image = FULL",
        ),
        ("set global log_bin_compress = 1", "set global log_bin_compress = 0", "log_bin_compress"),
    ] {
        mirroring.origin.sql(off).unwrap();
        assert!(mirroring.refused().await.contains(told));
        mirroring.origin.sql(on).unwrap();
    }
    mirroring.origin.sql("insert into t values (1, null, 'good', null)").unwrap();
    assert_eq!(mirroring.run().await.copied, 1);
    mirroring
        .origin
        .sql("set sql_mode = ''; insert into t values (2, '0000-00-00', 'secret', null)")
        .unwrap();
    let error = mirroring.refused().await;
    assert!(error.contains("`born` is a date without") && !error.contains("secret"), "{error}");
    mirroring.origin.sql("update t set born = null; update t set note = 'mended'").unwrap();
    mirroring.run().await;
    assert_eq!(mirroring.rows("select id, note from app.t order by 1"), ["1|mended", "2|mended"]);
    mirroring.origin.sql("insert into t (id) values (3); flush binary logs").unwrap();
    // The server needs a log for a moment after it was closed.
    let purge = "purge binary logs to 'bin.000002'; show binary logs";
    while mirroring.origin.sql(purge).unwrap().len() > 1 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let error = mirroring.refused().await;
    assert!(error.contains("the binary log is not there any more"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_changes_at_mysql_stops_the_mirror() {
    let schema = "create table t (id int primary key, n int); insert into t values (1, 1)";
    let mirroring = Mirroring::new(schema, &["t"]).await;
    let changes = ["alter table t add m int", "truncate t", "rename table t to s; rename table s to t"];
    for change in changes {
        mirroring.run().await;
        mirroring.origin.sql(change).unwrap();
        let error = mirroring.mirror.run().await.unwrap_err();
        assert!(matches!(error, MigrateError::Changed { .. }), "{error}");
        assert_eq!(mirroring.rows("select count(*) from app.t"), ["1"]);
        // Anew.
        mirroring.origin.sql(&format!("drop table t; {schema}")).unwrap();
        mirroring.staging.sql("truncate app.t, clover_migrate.mirror, clover_migrate.mirrored").unwrap();
    }
}

/// The same tables as those that migrations are tested with.
const PEOPLE: &str = "create table users (id bigint primary key, country varchar(10), email varchar(60) not null, about text, born date);
create table videos (id bigint primary key, owner bigint not null, title text, plays int not null default 0, foreign key (owner) references users (id));
insert into users select seq, elt(1 + seq % 4, 'DE', 'FR', 'US', 'SG'), concat('u', seq, '@example.org'), md5(seq), '1980-01-01' + interval seq day from seq_1_to_400;
insert into videos select seq, seq, concat('of ', seq), 0 from seq_1_to_400;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_destroyed_under_the_mark_go_at_mysql_too_before_it_is_certified() {
    let world = World::new();
    let origin = MySql::start(&[]).unwrap();
    origin.sql(PEOPLE).unwrap();
    let password = world.folder.path().join("password");
    std::fs::write(&password, origin.password()).unwrap();
    let from = MysqlEnd { address: origin.address(), password_file: Some(password), roots: None };
    let into = End { address: world.source.address(), password_file: None, roots: None };
    let tables = ["users", "videos"].map(|name| (name.to_owned(), format!("app.{name}"))).to_vec();
    let mirror = Mirror { from, into, tables };
    mirror.run().await.unwrap();
    let closing = Closing::with(world, "").await;
    origin.sql("insert into users values (1000, 'DE', 'late@example.org', null, null)").unwrap();
    let error = closing.migration.cut_over().await.unwrap_err().to_string();
    assert!(error.contains("mirror --stop"), "{error}");
    mirror.stop("dublin").await.unwrap();
    closing.migration.cut_over().await.unwrap();
    closing.migration.finish().await.unwrap();
    let error = closing.migration.destroy_mirrored().await.unwrap_err().to_string();
    assert!(error.contains("after `destroy`"), "{error}");
    let sealed = closing.migration.seal(0).await.unwrap();
    assert!(sealed.held.iter().any(|held| held.why.contains("mirror --destroy")), "{:?}", sealed.held);
    assert!(std::fs::read_to_string(&sealed.manifest).unwrap().contains(&origin.address()));
    closing.destroyed().await;
    let count = "select (select count(*) from users), (select count(*) from videos), (select count(*) from users where country in ('DE', 'FR'))";
    origin.sql("create table other (u bigint, foreign key (u) references users (id))").unwrap();
    let error = closing.migration.destroy_mirrored().await.unwrap_err().to_string();
    assert!(error.contains("other refers to rows of users"), "{error}");
    origin.sql("drop table other").unwrap();
    assert_eq!(origin.sql(count).unwrap(), ["401\t400\t201"]);
    assert_eq!(closing.migration.destroy_mirrored().await.unwrap(), 401);
    assert_eq!(closing.migration.destroy_mirrored().await.unwrap(), 0);
    assert_eq!(origin.sql(count).unwrap(), ["200\t200\t0"]);
    assert_eq!(origin.sql("show binary logs").unwrap().len(), 1);
    origin.sql("set @clover_migrate_destroys = 1; insert into users values (4, 'DE', 'back@example.org', null, null)").unwrap();
    let (swept, none) = closing.migration.certify().await.unwrap();
    assert!(
        none.is_none() && places(&swept).contains("1 rows that app.users has no more"),
        "{}",
        places(&swept)
    );
    origin.sql("set @clover_migrate_destroys = 1; delete from users where id = 4").unwrap();
    let (swept, certificate) = closing.migration.certify().await.unwrap();
    assert!(certificate.is_some(), "{}", places(&swept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_is_reached_over_tls_and_only_with_a_certificate_that_is_trusted() {
    let made = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (own, other) = (made(), made());
    let origin = MySql::start_tls(&own.cert.pem(), &own.signing_key.serialize_pem()).unwrap();
    let schema = "create table t (id int primary key); insert into t values (1)";
    let mut mirroring = Mirroring::with(origin, Some(own.cert.pem()), schema, &["t"]).await;
    assert_eq!(mirroring.run().await.copied, 1);
    mirroring.origin.sql("insert into t values (2)").unwrap();
    assert_eq!(mirroring.run().await.touched, 1);
    std::fs::write(mirroring.mirror.from.roots.clone().unwrap(), other.cert.pem()).unwrap();
    let error = mirroring.refused().await;
    assert!(error.contains("certificate"), "{error}");
    mirroring.mirror.from.address = "mysql://clover@db.example.org:3306/clover".into();
    mirroring.mirror.from.roots = None;
    assert!(mirroring.refused().await.contains("without certificates"));
}
