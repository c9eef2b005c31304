//! Claims about files as a source.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use migrate::{Load, Loaded, MigrateError, Origin, plan::End};
use tempfile::TempDir;
use testkit::postgres::Postgres;

const TABLE: &str = "create schema app; create table app.users (id bigint primary key, country text, name text, balance numeric(12,2), seen timestamptz,
  tags text[], prefs jsonb, double bigint generated always as (id * 2) stored)";

struct Staging {
    server: Postgres,
    folder: TempDir,
}

impl Staging {
    fn new(schema: &str) -> Self {
        let server = Postgres::start_with(&["wal_level = logical"]).unwrap();
        server.sql(schema).unwrap();
        Self { server, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn load(&self, file: &Path) -> Result<Loaded, MigrateError> {
        let into = End { address: self.server.address(), password_file: None, roots: None };
        let (table, encoding) = ("app.users".to_owned(), "UTF8".to_owned());
        Load { into, table, from: Origin::File(file.to_owned()), delimiter: ',', encoding }.run().await
    }

    fn rows(&self) -> Vec<String> {
        let sql = "select concat_ws('|', id, coalesce(country, '-'), replace(coalesce(name, '-'), e'\\n', ' '), balance, seen at time zone 'UTC', tags, prefs, double) from app.users order by id";
        self.server.sql(sql).unwrap()
    }
}

const CSV: &str = "\u{feff}id,\"country\",balance,name,tags,prefs,seen\r\n1,DE,3.10,\"O'Hara, \"\"Ann\"\"\",\"{a,b}\",\"{\"\"n\"\": 1.50}\",2026-01-01 00:00:00+01\n2,,0.00,\"\",{},null,2026-01-01 00:00:00Z\n";
const LINES: &str = r#"{"id": 3, "country": "FR", "name": "Jörg\nB", "balance": 12345678.90, "seen": "2026-01-02T03:04:05+00:00", "tags": ["x", "y z"], "prefs": {"a": [1, 2]}}
{"seen": null, "prefs": null, "tags": null, "balance": "7", "name": "", "country": null, "id": 4}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_loaded_with_the_meaning_of_their_values_packed_or_not_and_once() {
    let staging = Staging::new(TABLE);
    let csv = staging.load(&staging.file("users.csv", CSV)).await.unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(LINES.as_bytes()).unwrap();
    let packed = staging.file("more.ndjson.gz", packed.finish().unwrap());
    let lines = staging.load(&packed).await.unwrap();
    assert_eq!((csv.rows, lines.rows), (2, 2));
    let bytes = std::fs::read(&packed).unwrap();
    assert_eq!((lines.bytes, lines.sha256.len()), (bytes.len() as u64, 64));
    assert_eq!(
        staging.rows(),
        [
            "1|DE|O'Hara, \"Ann\"|3.10|2025-12-31 23:00:00|{a,b}|{\"n\": 1.50}|2",
            "2|-||0.00|2026-01-01 00:00:00|{}|null|4",
            "3|FR|Jörg B|12345678.90|2026-01-02 03:04:05|{x,\"y z\"}|{\"a\": [1, 2]}|6",
            "4|-||7.00|8",
        ]
    );
    staging.server.sql("delete from app.users").unwrap();
    let again = staging.load(&packed).await.unwrap_err().to_string();
    assert!(again.contains("was loaded before"), "{again}");
    assert!(staging.rows().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_with_its_line_and_nothing_of_it_is_there() {
    let staging = Staging::new(TABLE);
    let head = "id,country,name,balance,seen,tags,prefs\n";
    let good = "1,DE,a,1,,,\n";
    let mut cut = GzEncoder::new(Vec::new(), Compression::fast());
    cut.write_all(format!("{head}{good}").as_bytes()).unwrap();
    let mut cut = cut.finish().unwrap();
    cut.truncate(cut.len() - 6);
    let line = |id: &str, more: &str| {
        format!(
            "{{\"id\": {id}, \"country\": null, \"name\": \"secret-value\", \"balance\": 1, \"seen\": null, \"tags\": null, \"prefs\": null{more}}}\n"
        )
    };
    for (name, bytes, told) in [
        ("ragged.csv", format!("{head}{good}2,DE\n").into_bytes(), "COPY users, line 2"),
        (
            "value.csv",
            format!("{head}{good}secret-value,DE,a,1,,,\n").into_bytes(),
            "COPY users, line 2, column id",
        ),
        ("nul.csv", format!("{head}1,DE,a\0b,1,,,\n").into_bytes(), "COPY users, line 1"),
        ("latin.csv", [head.as_bytes(), b"1,DE,J\xf6rg,1,,,\n"].concat(), "COPY users, line 1"),
        (
            "more.csv",
            b"id,country,name,balance,seen,tags,prefs,iban\n".to_vec(),
            "its column 8 is none of the table's",
        ),
        ("less.csv", b"id,country,name,balance,seen,tags\n".to_vec(), "it has no column `prefs`"),
        (
            "computed.csv",
            b"id,country,name,balance,seen,tags,prefs,double\n".to_vec(),
            "its column 8 is none",
        ),
        ("cut.csv.gz", cut, "unexpected end of file"),
        ("empty.csv", Vec::new(), "its column 1 is none of the table's, which are id"),
        ("values.csv", b"secret-value,DE\n".to_vec(), "its column 1 is none"),
        ("end.csv", format!("{head}{good}\\.\n2,DE,a,1,,,\n").into_bytes(), "which servers take for the end"),
        ("last.csv", format!("{head}{good}\\.").into_bytes(), "which servers take for the end"),
        ("key.ndjson", (line("1", "") + &line("1", "")).into_bytes(), "line 2"),
        (
            "value.ndjson",
            (line("1", "") + &line("\"secret-value\"", "") + &line("3", "")).into_bytes(),
            "line 2",
        ),
        ("twice.ndjson", line("1", ", \"id\": 2").into_bytes(), "line 1: "),
        ("more.ndjson", line("1", ", \"secret-key\": 2").into_bytes(), "its column 8 is none"),
        ("broken.ndjson", b"{\"id\": 1,\n".to_vec(), "line 1 is no object of JSON"),
        ("array.jsonl", b"[1]\n".to_vec(), "line 1 is no object of JSON"),
        ("lies.parquet", b"PAR1 and nothing else PAR1".to_vec(), "Parquet"),
        ("what.txt", Vec::new(), "neither .csv"),
    ] {
        let error = staging.load(&staging.file(name, bytes)).await.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains(name), "{name}: {error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(staging.rows().is_empty(), "{name}");
    }
    let deep = format!("{{\"id\": {}1{}}}\n", "[".repeat(10_000), "]".repeat(10_000));
    assert!(staging.load(&staging.file("deep.ndjson", deep)).await.is_err());
    let binary =
        Staging::new("create schema app; create table app.users (id bigint primary key, face bytea)");
    let error = binary.load(&binary.file("a.ndjson", "{}\n")).await.unwrap_err().to_string();
    assert!(error.contains("`face` is bytea"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_parquet_file_are_loaded_like_any_other() {
    let schema = "create schema app; create table app.users (\"user\" bigint primary key, email text, born date, seen timestamptz, paid numeric(6,2), tags text[], photo text)";
    let staging = Staging::new(schema);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../table/testdata/people.parquet");
    assert_eq!(staging.load(&file).await.unwrap().rows, 2);
    assert_eq!(
        staging.server.sql("select \"user\", born, paid, tags, photo from app.users where seen is not null or email is null order by 1").unwrap(),
        ["7|1980-12-31|12.30|{a,b}|AP8=", "8|2001-02-03|-0.05|{}|"]
    );
}
