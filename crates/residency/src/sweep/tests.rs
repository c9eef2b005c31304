use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::canary::Canaries;
use crate::pack;

fn scanner() -> Scanner {
    Scanner::new(Canaries::derive(&[41; 32], 9, "mail.example")).unwrap()
}

fn value(kind: Kind) -> String {
    scanner().canaries().value(5, kind).unwrap().to_owned()
}

fn swept(root: &Path, threads: usize) -> Report {
    path(&scanner(), root, Options { threads, ..Options::default() }, &Progress::default())
}

#[test]
fn a_planted_canary_is_found_within_one_sweep_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("cn/backup/2026");
    std::fs::create_dir_all(&deep).unwrap();
    for n in 0..300 {
        std::fs::write(deep.join(format!("{n}.log")), format!("line {n}\n").repeat(n)).unwrap();
    }
    std::fs::write(deep.join("chat.json"), format!("{{\"to\":\"{}\"}}", value(Kind::Email))).unwrap();
    std::fs::write(
        deep.join("old.tgz"),
        pack::gzip(&pack::tar(&[("a", value(Kind::Phone).as_bytes())])).unwrap(),
    )
    .unwrap();
    for threads in [1, 4] {
        let report = swept(dir.path(), threads);
        let found: Vec<_> =
            report.finds.iter().map(|f| (f.place.rsplit('/').next().unwrap(), f.kind, f.canary)).collect();
        assert_eq!(found, [("chat.json", Kind::Email, 5), ("old.tgz", Kind::Phone, 5)]);
        assert_eq!(report.finds[1].inside, "gzip");
        assert_eq!((report.places, report.is_whole()), (302, true));
    }
}

#[test]
fn names_of_files_and_targets_of_links_are_searched() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(format!("{}.jpg", value(Kind::UserName))), "").unwrap();
    std::fs::create_dir(dir.path().join(value(Kind::DisplayName))).unwrap();
    std::os::unix::fs::symlink(value(Kind::Email), dir.path().join("link")).unwrap();
    let kinds: std::collections::BTreeSet<Kind> = swept(dir.path(), 1).finds.iter().map(|f| f.kind).collect();
    assert_eq!(kinds.len(), 3);
}

#[test]
fn links_are_not_followed_and_special_files_are_passed_by_and_counted() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(other.path().join("file"), value(Kind::Email)).unwrap();
    std::os::unix::fs::symlink(other.path(), dir.path().join("out")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let report = swept(dir.path(), 1);
    assert_eq!(report.finds, vec![]);
    let passed: Vec<_> = report.passed.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    assert_eq!(passed, [("links", 1), ("pipes", 1), ("sockets", 1)]);
    assert!(report.is_whole());
}

#[test]
fn what_cannot_be_read_is_told_and_never_called_clean() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(swept(&dir.path().join("nowhere"), 1).blind.len(), 1);
    std::fs::write(
        dir.path().join("cut.gz"),
        &pack::gzip(value(Kind::Email).repeat(900).as_bytes()).unwrap()[..30],
    )
    .unwrap();
    assert!(!swept(dir.path(), 1).is_whole());
    // Root reads everything, so that this shows nothing to it.
    if !rustix::process::geteuid().is_root() {
        let closed = dir.path().join("closed");
        std::fs::write(&closed, "x").unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        assert!(swept(dir.path(), 1).blind.iter().any(|b| b.place.ends_with("closed")));
    }
}

#[test]
fn the_kernels_file_systems_are_passed_by() {
    let report = swept(Path::new("/proc/self"), 1);
    assert!(report.passed.contains_key("links") || report.passed.contains_key("proc"), "{report:?}");
    assert_eq!(swept(Path::new("/proc"), 1).passed.keys().collect::<Vec<_>>(), ["proc"]);
}

#[test]
fn more_finds_than_a_report_holds_are_counted() {
    let mut report = Report::default();
    for n in 0..LINES_MAX as u64 + 5 {
        let hit = Hit { offset: n, canary: 1, kind: Kind::Email, form: Form::Plain };
        report.find(&format!("place {n}"), "", hit);
    }
    assert_eq!((report.finds.len(), report.beyond, report.is_whole()), (LINES_MAX, 5, false));
}

/// A bucket of these objects, of which reads of one fail behind so many bytes.
struct Bucket {
    objects: Vec<(&'static str, Vec<u8>)>,
    breaks: Option<(&'static str, u64)>,
    in_order: bool,
}

impl objects::Objects for Bucket {
    fn list(&self, after: Option<&str>) -> Result<Vec<(String, u64)>, String> {
        let all = self.objects.iter().filter(|(name, _)| !self.in_order || after.is_none_or(|a| *name > a));
        Ok(all.take(2).map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64)).collect())
    }
    fn read(&self, name: &str, from: u64, most: usize) -> Result<Vec<u8>, String> {
        let (_, bytes) = self.objects.iter().find(|(n, _)| *n == name).ok_or("gone")?;
        if self.breaks.is_some_and(|(broken, at)| broken == name && from >= at) {
            return Err("broke off".to_owned());
        }
        let from = usize::try_from(from).unwrap();
        Ok(bytes[from..bytes.len().min(from + most)].to_vec())
    }
}

#[test]
fn objects_are_searched_across_parts_and_what_breaks_off_or_lists_in_no_order_is_told() {
    let mut long = vec![b'.'; (8 << 20) - 3];
    long.extend_from_slice(value(Kind::Email).as_bytes());
    let packed = pack::gzip(&pack::tar(&[("a", value(Kind::Phone).as_bytes())])).unwrap();
    let objects = vec![("a/long", long), ("b.tgz", packed), ("c", b"nothing".to_vec()), ("d", Vec::new())];
    let swept = |bucket: &Bucket| {
        super::objects(
            &scanner(),
            bucket,
            "s3://x",
            Options { threads: 2, ..Options::default() },
            &Progress::default(),
        )
    };
    let mut bucket = Bucket { objects, breaks: None, in_order: true };
    let report = swept(&bucket);
    let found: Vec<_> = report.finds.iter().map(|f| (f.place.as_str(), f.kind)).collect();
    assert_eq!(found, [("s3://x/a/long", Kind::Email), ("s3://x/b.tgz", Kind::Phone)]);
    assert_eq!((report.places, report.is_whole()), (4, true));
    bucket.breaks = Some(("a/long", 8 << 20));
    let report = swept(&bucket);
    assert!(!report.is_whole() && report.blind[0].why.contains("broke off"), "{:?}", report.blind);
    bucket.objects.swap(0, 1);
    let report = swept(&bucket);
    assert!(report.blind.iter().any(|b| b.why.contains("no order")), "within a page: {:?}", report.blind);
    bucket.objects.swap(0, 1);
    bucket.in_order = false;
    let report = swept(&bucket);
    assert!(report.blind.iter().any(|b| b.why.contains("no order")), "{:?}", report.blind);
}
