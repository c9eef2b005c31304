use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::canary::{Canaries, Kind};
use crate::pack::{self, PACKINGS};

fn scanner() -> Scanner {
    Scanner::new(Canaries::derive(&[21; 32], 9, "mail.example")).unwrap()
}

#[derive(Debug, Default)]
struct Seen {
    hits: Vec<(String, u32, Kind)>,
    blind: Vec<(String, String)>,
    searched: u64,
}

impl Sink for Seen {
    fn hit(&mut self, inside: &str, hit: Hit) {
        self.hits.push((inside.to_owned(), hit.canary, hit.kind));
    }
    fn blind(&mut self, inside: &str, why: &str) {
        self.blind.push((inside.to_owned(), why.to_owned()));
    }
    fn searched(&mut self, bytes: u64) {
        self.searched += bytes;
    }
}

fn seen_within(bytes: &[u8], bounds: Bounds) -> Seen {
    let mut seen = Seen::default();
    look(&scanner(), bounds, &mut &*bytes, &mut seen);
    seen
}

fn seen(bytes: &[u8]) -> Seen {
    seen_within(bytes, Bounds::default())
}

/// Text that no packing leaves readable, with one canary in it.
fn text() -> Vec<u8> {
    let value = scanner().canaries().value(3, Kind::Email).unwrap().to_owned();
    let words = |n: usize| (0..n).map(|i| format!("word{} ", i * i % 977)).collect::<String>();
    format!("{}{value}{}{value}", words(3000), words(500)).into_bytes()
}

#[test]
fn every_packing_is_opened() {
    for packing in PACKINGS {
        let seen = seen(&(packing.pack)(&text()).unwrap());
        assert!(seen.hits.iter().any(|h| (h.1, h.2) == (3, Kind::Email)), "{}: {seen:?}", packing.name);
        assert_eq!(seen.blind, vec![], "{}", packing.name);
    }
}

#[test]
fn what_is_cut_short_is_told_and_searched_as_far_as_it_goes() {
    for packing in PACKINGS.iter().skip(1) {
        let whole = (packing.pack)(&text()).unwrap();
        // The first half of an archive that is not packed ends in the middle of its member.
        let seen = seen(&whole[..whole.len() / 2]);
        assert!(!seen.blind.is_empty(), "{}: {seen:?}", packing.name);
    }
}

#[test]
fn an_archive_beside_what_it_claims_to_be_is_searched_all_the_same() {
    for magic in
        [b"\x1f\x8b\x08\0".as_slice(), b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PGDMP", b"x\x9c", b"BZh9"]
    {
        let seen = seen(&[magic, &text()].concat());
        assert_eq!(seen.hits.len(), 2, "{magic:?}: {seen:?}");
    }
}

#[test]
fn an_expansion_beyond_the_bound_is_told_and_stops() {
    let bomb = pack::gzip(&vec![0; 40 << 20]).unwrap();
    let within = |bytes: &[u8]| seen_within(bytes, Bounds { depth: 6, expansion: 1 << 20 });
    let double = pack::gzip(&pack::tar(&[("bomb", &pack::gzip(&vec![0; 40 << 20]).unwrap())])).unwrap();
    let long = pack::gzip(&pack::tar(&[("long", &vec![0; 40 << 20])])).unwrap();
    let members: Vec<(&str, &[u8])> = (0..30).map(|_| ("m.gz", bomb.as_slice())).collect();
    for bytes in [&bomb, &double, &long, &pack::zip(&members, true).unwrap(), &pack::tar(&members)] {
        let seen = within(bytes);
        assert!(seen.blind.iter().any(|b| b.1.contains("beyond the bound")), "{:?}", seen.blind);
        assert!(seen.searched < 8 << 20, "{}", seen.searched);
    }
}

#[test]
fn containers_deeper_than_the_bound_are_told() {
    let mut bytes = text();
    for _ in 0..9 {
        bytes = pack::gzip(&bytes).unwrap();
    }
    let seen = seen(&bytes);
    assert!(seen.blind.iter().any(|b| b.1.contains("beyond the bound are not opened")), "{seen:?}");
    assert_eq!(seen.hits, vec![]);
}

#[test]
fn what_is_not_opened_is_told() {
    for magic in [b"BZh91AY".as_slice(), b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"age-encryption.org/v1"] {
        assert_eq!(seen(magic).blind.len(), 1);
    }
    let mut encrypted = pack::zip(&[("a", b"bytes")], false).unwrap();
    encrypted[6] |= 1;
    assert!(seen(&encrypted).blind.iter().any(|b| b.1 == "it is encrypted"));
}

#[test]
fn canaries_in_what_other_programs_pack_are_found() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("export.txt"), text()).unwrap();
    let script = "import zipfile, tarfile, gzip, io, sys\n\
        z = zipfile.ZipFile('a.zip', 'w', zipfile.ZIP_DEFLATED); z.write('export.txt'); z.writestr('sub/b.txt', 'x' * 9000); z.close()\n\
        s = zipfile.ZipFile(open('b.zip', 'wb'), 'w'); s.write('a.zip'); s.close()\n\
        t = tarfile.open('c.tgz', 'w:gz', format=tarfile.PAX_FORMAT); t.add('a.zip', arcname='\u{e9}' * 120 + '.zip'); t.add('export.txt'); t.close()\n\
        open('d.gz', 'wb').write(gzip.compress(b'first') + gzip.compress(open('export.txt', 'rb').read()))\n";
    let made = Command::new("python3")
        .args(["-c", script])
        .current_dir(dir.path())
        .stderr(Stdio::inherit())
        .status();
    assert!(made.unwrap().success());
    for name in ["a.zip", "b.zip", "c.tgz", "d.gz"] {
        let seen = seen(&std::fs::read(dir.path().join(name)).unwrap());
        assert!(seen.hits.len() >= 2, "{name}: {seen:?}");
        assert_eq!(seen.blind, vec![], "{name}");
    }
}

#[test]
fn canaries_in_each_format_of_pg_dump_are_found() {
    let server = testkit::postgres::Postgres::start().unwrap();
    let value = scanner().canaries().value(3, Kind::Email).unwrap().to_owned();
    let rows = "create table person (id int primary key, mail text, noise text); insert into person select n, md5(n::text), \
                repeat(md5(n::text), 20) from generate_series(1, 3000) n";
    server.sql(rows).unwrap();
    server
        .sql(&format!(
            "update person set mail = '{value}' where id = 1500; select lo_from_bytea(0, '{value}')"
        ))
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (format, found) in [("-Fp", 2), ("-Fc", 2), ("-Ft", 2), ("-Fd", 2), ("-Fc -Z0", 2)] {
        let out = dir.path().join(format.replace(' ', ""));
        let done = Command::new("pg_dump")
            .args(format.split(' '))
            .args(["-b", "-d", &server.address(), "-f"])
            .arg(&out)
            .status();
        assert!(done.unwrap().success(), "{format}");
        let files: Vec<_> = match std::fs::read_dir(&out) {
            Ok(folder) => folder.map(|e| e.unwrap().path()).collect(),
            Err(_) => vec![out],
        };
        let all: Vec<Seen> = files.iter().map(|f| seen(&std::fs::read(f).unwrap())).collect();
        let hits: usize = all.iter().map(|s| s.hits.len()).sum();
        assert!(hits >= found, "{format}: {all:?}");
        assert!(all.iter().all(|s| s.blind.is_empty()), "{format}: {all:?}");
    }
}

proptest! {
    #[test]
    fn damaged_containers_cause_no_panic_and_no_endless_work(
        packing in 0..PACKINGS.len(), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = (PACKINGS[packing].pack)(&text()).unwrap();
        let place = at.index(bytes.len());
        bytes[place] = to;
        bytes.truncate(cut.index(bytes.len()).max(place));
        seen(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_head_cause_no_panic(head in 0usize..6, bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let heads: [&[u8]; 6] =
            [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PGDMP\x01\x0e\x00\x04\x08\x01", b"x\x9c", b"\x50\x2a\x4d\x18"];
        seen(&[heads[head], &bytes].concat());
    }
}
