//! Claims about buckets: files that are loaded from them, and copies that lie in them.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use migrate::{Bucket, Load, Loaded, MigrateError, Migration, Origin, Plan, plan::End};
use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::s3::S3;

use crate::closure::{Closing, places};

/// A store with a bucket, and the files by which it is asked.
struct Store {
    server: S3,
    folder: TempDir,
}

impl Store {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let store =
            Self { server: S3::start(&certificate, &key).unwrap(), folder: tempfile::tempdir().unwrap() };
        std::fs::write(store.folder.path().join("ca"), certificate).unwrap();
        for (name, text) in [("access", "name"), ("secret", "key")] {
            vault::keys::write_secret(&store.folder.path().join(name), text.as_bytes()).unwrap();
        }
        store
    }

    /// The bucket as a plan names it.
    fn plan(&self) -> String {
        let (folder, endpoint) = (self.folder.path().display(), self.server.address());
        format!(
            "[copy.bucket]\nendpoint = \"{endpoint}\"\nname = \"{}\"\naccess_key_file = \"{folder}/access\"\nsecret_key_file = \"{folder}/secret\"\nroots = \"{folder}/ca\"\n",
            S3::BUCKET
        )
    }

    fn bucket(&self) -> Bucket {
        let file = |name: &str| self.folder.path().join(name);
        Bucket {
            endpoint: self.server.address(),
            name: S3::BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            access_key_file: file("access"),
            secret_key_file: file("secret"),
            roots: file("ca"),
        }
    }

    /// As a report names an object.
    fn place(&self, name: &str) -> String {
        let address = self.server.address();
        format!("s3://{}/{}/{name}", address.trim_start_matches("https://"), S3::BUCKET)
    }

    async fn load(&self, into: &Postgres, table: &str, name: &str) -> Result<Loaded, MigrateError> {
        let into = End { address: into.address(), password_file: None, roots: None };
        let from = Origin::Object(self.bucket(), name.to_owned());
        let encoding = "UTF8".to_owned();
        Load { into, table: table.to_owned(), from, delimiter: ',', encoding }.run().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_loaded_like_files_and_what_is_taken_down_names_the_bucket() {
    let store = Store::new();
    let server = Postgres::start().unwrap();
    server.sql("create schema app; create table app.users (id bigint primary key, name text)").unwrap();
    // Of several parts, whose borders lie in the middle of lines.
    let mut long = "id,name\n".to_owned();
    for id in 0..200_000 {
        long += &format!("{id},{id:0>90}\n");
    }
    store.server.put("2026/users.csv", long.as_bytes()).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"{\"id\": 900000, \"name\": \"of lines\"}\n").unwrap();
    store.server.put("2026/more.ndjson.gz", &packed.finish().unwrap()).unwrap();
    let loaded = store.load(&server, "app.users", "2026/users.csv").await.unwrap();
    let digest = data_encoding::HEXLOWER.encode(ledger::sha256(long.as_bytes()).bytes());
    assert_eq!(
        (loaded.rows, loaded.bytes, loaded.sha256, loaded.path),
        (200_000, long.len() as u64, digest, store.place("2026/users.csv"))
    );
    assert_eq!(store.load(&server, "app.users", "2026/more.ndjson.gz").await.unwrap().rows, 1);
    let sums = server.sql("select count(*), sum(length(name)) from app.users").unwrap();
    assert_eq!(sums, [format!("200001|{}", 200_000 * 90 + 8)]);
    server.sql("delete from app.users").unwrap();
    for (name, told) in
        [("2026/users.csv", "loaded before"), ("none.csv", "not found"), ("what.txt", "neither")]
    {
        let error = store.load(&server, "app.users", name).await.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains(&store.place(name)), "{error}");
    }
    assert_eq!(server.sql("select count(*) from app.users").unwrap(), ["0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_was_loaded_and_a_bucket_with_copies_hold_the_certificate_up_until_they_are_gone() {
    let store = Store::new();
    let copies = format!("[[copy]]\nwhat = \"exports\"\n{}", store.plan());
    let Closing { world, migration, operator, auditor } = Closing::new("").await;
    let users = "id,country,email,about,born\n7000,DE,object@example.org,,\n";
    store.server.put("users.csv", users.as_bytes()).unwrap();
    store.load(&world.source, "app.users", "users.csv").await.unwrap();
    migration.cut_over().await.unwrap();
    migration.finish().await.unwrap();
    // As long as the plan does not name its bucket, nobody can look.
    let held = migration.seal(0).await.unwrap().held;
    assert!(held.iter().any(|h| h.why.contains("name its bucket as a `[[copy]]`")), "{held:?}");
    drop(migration);
    let plan = Plan::parse(&Closing::plan(&world, &copies)).unwrap();
    let closing = Closing { migration: Migration::open(plan).await.unwrap(), world, operator, auditor };
    let sealed = closing.migration.seal(0).await.unwrap();
    let manifest = std::fs::read_to_string(&sealed.manifest).unwrap();
    assert!(manifest.contains(&store.place("users.csv")) && sealed.rows == 401, "{manifest}");
    closing.sign(&[&closing.operator, &closing.auditor]).await;
    closing.migration.destroy(0).await.unwrap();
    store.server.put("dumps/old.sql", b"4\tDE\tu4@example.org\n").unwrap();
    let (swept, none) = closing.migration.certify().await.unwrap();
    let left = places(&swept);
    for told in [
        format!("{}: 1 rows of app.users were loaded from it\n", store.place("users.csv")),
        format!("{}: 1 identifiers of the region's people\n", store.place("dumps/old.sql")),
        format!("{}: 1 identifiers", store.place("users.csv")),
    ] {
        assert!(none.is_none() && left.contains(&told), "{told}: {left}");
    }
    for name in ["users.csv", "dumps/old.sql"] {
        store.server.delete(name).unwrap();
    }
    let (swept, certificate) = closing.migration.certify().await.unwrap();
    assert_eq!(places(&swept), "");
    let text = std::fs::read_to_string(certificate.unwrap().file).unwrap();
    assert!(text.contains("looked into \"exports\" places 0 bytes 0"), "{text}");
    // A bucket that nobody can look into any more is as good as full.
    std::fs::remove_file(store.folder.path().join("secret")).unwrap();
    let left = places(&closing.migration.certify().await.unwrap().0);
    assert!(left.contains("it was not looked whether it is there") && left.contains("not seen"), "{left}");
}
