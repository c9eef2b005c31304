//! Media of people: what holds wherever they lie, in files and in a bucket of a real server.

use std::path::Path;
use std::sync::Arc;

use model::UnixSeconds;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use testkit::S3;
use vault::keys::{PersonKeys, SecretFile};
use vault::media::{self, Media, MediaError, Medium, MediumId, Of, PART_MAX, PARTS_MAX};
use vault::records::{Person, RecordError};

use super::records::{Enclave, admit, create, enclave, handle};

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

/// People, and where their media lie.
struct Scene {
    enclave: Enclave,
    media: Media,
    folder: TempDir,
}

impl Scene {
    fn new(open: impl FnOnce(&Path) -> Media) -> Self {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path());
        let enclave = enclave(folder.path());
        (1..=2).for_each(|number| admit(&enclave, number));
        let media = open(folder.path());
        Self { enclave, media, folder }
    }

    fn of<T>(&self, number: u64, run: impl FnOnce(Of<'_>) -> T) -> T {
        let (person, keys) = self.person(number);
        run(Of { records: &self.enclave.records, person: &person, keys: &keys })
    }

    fn person(&self, number: u64) -> (Person, PersonKeys) {
        let records = &self.enclave.records;
        let subject = handle(&self.enclave.keys, number);
        let person = records.person(&subject).unwrap().unwrap();
        let keys = records.keys_of(&self.enclave.keys, &person).unwrap();
        (person, keys)
    }

    /// A medium of these parts.
    fn bring(&self, number: u64, parts: &[&[u8]]) -> MediumId {
        let id = MediumId::fresh().unwrap();
        self.of(number, |of| {
            for (n, bytes) in (0..).zip(parts) {
                self.media.put(of, id, n, bytes).unwrap();
            }
            self.media.finish(of, id, NOW, &medium(parts)).unwrap();
        });
        id
    }
}

fn medium(parts: &[&[u8]]) -> Medium {
    let bytes = parts.iter().map(|p| p.len() as u64).sum();
    Medium { kind: "video/mp4".to_owned(), bytes, parts: u32::try_from(parts.len()).unwrap() }
}

fn what_holds_wherever_they_lie(scene: &Scene) {
    let long = vec![7; PART_MAX];
    let parts: [&[u8]; 3] = [&long, b"middle", b"end"];
    let id = scene.bring(1, &parts);
    scene.of(1, |of| {
        for (n, bytes) in (0..).zip(parts) {
            assert_eq!(scene.media.part(of, id, n).unwrap(), bytes);
        }
        assert_eq!(scene.media.list(of, None).unwrap(), [(id, medium(&parts))]);
        let whole = scene.media.put(of, id, 1, b"another");
        assert!(matches!(whole, Err(MediaError::Whole)), "one that is whole never changes: {whole:?}");
        assert!(matches!(scene.media.finish(of, id, NOW, &medium(&parts)), Err(MediaError::Whole)));
        assert!(matches!(scene.media.part(of, id, 3), Err(MediaError::Missing)));
    });
    // Nobody else has it, under their own key or without it.
    scene.of(2, |of| {
        assert!(matches!(scene.media.part(of, id, 0), Err(MediaError::Missing)));
        assert!(scene.media.list(of, None).unwrap().is_empty());
    });
    // What is not whole is not there, and what says that it is whole must be right.
    let half = MediumId::fresh().unwrap();
    scene.of(1, |of| {
        scene.media.put(of, half, 0, b"twice").unwrap();
        scene.media.put(of, half, 0, b"twice").unwrap();
        let other = scene.media.put(of, half, 0, b"other");
        assert!(matches!(other, Err(MediaError::Whole)), "no part is written over: {other:?}");
        assert!(matches!(scene.media.part(of, half, 0), Err(MediaError::Missing)));
        for (bytes, count) in [(5, 2), (4, 1), (0, 1), (5, 0), (5, PARTS_MAX + 1)] {
            let wrong = Medium { kind: "image/png".to_owned(), bytes, parts: count };
            let done = scene.media.finish(of, half, NOW, &wrong);
            assert!(matches!(done, Err(MediaError::Missing | MediaError::Form)), "{bytes} {count}: {done:?}");
        }
        for kind in ["x".repeat(101), "a\nb".to_owned(), "é".to_owned()] {
            let wrong = Medium { kind, bytes: 5, parts: 1 };
            assert!(matches!(scene.media.finish(of, half, NOW, &wrong), Err(MediaError::Form)));
        }
        let right = Medium { kind: String::new(), bytes: 5, parts: 1 };
        scene.media.finish(of, half, NOW, &right).unwrap();
        assert_eq!(scene.media.part(of, half, 0).unwrap(), b"twice");
        for (part, bytes) in [(0, &[][..]), (PARTS_MAX, b"x"), (0, &vec![0; PART_MAX + 1])] {
            let fresh = MediumId::fresh().unwrap();
            assert!(matches!(scene.media.put(of, fresh, part, bytes), Err(MediaError::Form)));
        }
    });
    // A hold keeps it; removed is removed.
    let (person, keys) = scene.person(1);
    scene.enclave.records.hold(&person, &keys, "court").unwrap();
    scene.of(1, |of| {
        let held = scene.media.remove(of, half, NOW);
        assert!(matches!(held, Err(MediaError::Records(RecordError::Held))), "{held:?}");
        assert_eq!(scene.media.part(of, half, 0).unwrap(), b"twice");
    });
    let (person, keys) = scene.person(1);
    scene.enclave.records.lift(&person, &keys, "court").unwrap();
    scene.of(1, |of| {
        scene.media.remove(of, half, NOW).unwrap();
        assert!(matches!(scene.media.remove(of, half, NOW), Err(MediaError::Missing)));
        assert_eq!(scene.media.list(of, None).unwrap().len(), 1);
        let begun = MediumId::fresh().unwrap();
        scene.media.put(of, begun, 7, b"half").unwrap();
        scene.media.remove(of, begun, NOW).unwrap();
        assert!(
            matches!(scene.media.remove(of, begun, NOW), Err(MediaError::Missing)),
            "also what never was whole"
        );
    });
    // Who is erased leaves noise, and nothing once it was cleared; others keep theirs.
    let other = scene.bring(2, &[b"hers"]);
    let (person, keys) = scene.person(1);
    assert_eq!(scene.media.clear(person.internal()).unwrap(), 3);
    scene.of(1, |of| assert!(matches!(scene.media.part(of, id, 0), Err(MediaError::Missing))));
    scene.of(2, |of| assert_eq!(scene.media.part(of, other, 0).unwrap(), b"hers"));
    drop(keys);
}

#[test]
fn media_in_files_are_whole_or_not_there_and_sealed_for_their_person() {
    let scene = Scene::new(|folder| Media::local(&folder.join("media")).unwrap());
    what_holds_wherever_they_lie(&scene);
}

#[test]
fn media_in_a_bucket_are_whole_or_not_there_and_sealed_for_their_person() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = S3::start(&certificate, &key).unwrap();
    let settings = |certificate: &str, folder: &Path, endpoint: String| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        let secret = |what, text: &str| {
            let path = folder.join(what);
            vault::keys::write_secret(&path, text.as_bytes()).unwrap();
            SecretFile { what, path }
        };
        media::S3 {
            endpoint,
            bucket: S3::BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            access_key: secret("access", "name"),
            secret_key: secret("secret", "key"),
            tls: Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()),
        }
    };
    let scene = Scene::new(|folder| Media::s3(&settings(&certificate, folder, server.address())).unwrap());
    what_holds_wherever_they_lie(&scene);
    let internal = data_encoding::HEXLOWER.encode(scene.person(2).0.internal());
    assert!(server.listed().unwrap().contains(&internal), "it is the bucket that has them");
    // All of it, part by part, for whoever looks what the bucket holds.
    let folder = tempfile::tempdir().unwrap();
    let bucket = media::Bucket::open(&settings(&certificate, folder.path(), server.address())).unwrap();
    let all = bucket.list(None).unwrap();
    assert!(all.iter().any(|(name, _)| name.contains(&internal)), "{all:?}");
    let (name, length) = all.iter().max_by_key(|(_, length)| *length).unwrap();
    assert_eq!(bucket.read(name, 5, 100).unwrap().len() as u64, (length - 5).min(100));
    assert_eq!(bucket.list(all.last().map(|(name, _)| name.as_str())).unwrap(), []);
    // And one of them as it was when it was looked at, or not at all.
    server.put("export.csv", b"0123456789").unwrap();
    let object = bucket.object("export.csv").unwrap().unwrap();
    assert_eq!((object.length, bucket.part(&object, 7, 100).unwrap()), (10, b"789".to_vec()));
    server.put("export.csv", b"abcdefghij").unwrap();
    assert!(bucket.part(&object, 7, 100).is_err() && bucket.object("none.csv").unwrap().is_none());
    // Nobody is asked in the clear, and nobody under another's certificate.
    let other = tempfile::tempdir().unwrap();
    let clear = Media::s3(&settings(&certificate, other.path(), "http://localhost:1".to_owned()));
    assert!(matches!(clear.err(), Some(MediaError::Settings(_))));
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let other = tempfile::tempdir().unwrap();
    let stranger = Media::s3(&settings(&stranger, other.path(), server.address())).unwrap();
    scene.of(2, |of| {
        let refused = stranger.put(of, MediumId::fresh().unwrap(), 0, b"x");
        assert!(matches!(refused, Err(MediaError::Store(_) | MediaError::Late)), "{refused:?}");
    });
    // A server that is gone is an error, and what was there is there when it is back: that is the server's affair.
    drop(server);
    scene.of(2, |of| {
        let gone = scene.media.put(of, MediumId::fresh().unwrap(), 0, b"x");
        assert!(matches!(gone, Err(MediaError::Store(_) | MediaError::Late)), "{gone:?}");
    });
}

#[test]
fn a_part_that_is_swapped_cut_or_anothers_does_not_open() {
    let scene = Scene::new(|folder| Media::local(&folder.join("media")).unwrap());
    let (one, two) = (scene.bring(1, &[b"first", b"other"]), scene.bring(1, &[b"third"]));
    let hers = scene.bring(2, &[b"fifth"]);
    let file = |number: u64, id: MediumId, part: u32| {
        let internal = data_encoding::HEXLOWER.encode(scene.person(number).0.internal());
        let folder = scene.folder.path().join("media").join(&internal[..2]).join(&internal);
        folder.join(id.to_string()).join(format!("{part:05}"))
    };
    let good = std::fs::read(file(1, one, 0)).unwrap();
    assert!(!good.windows(5).any(|w| w == b"first"));
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let read = |path| std::fs::read(path).unwrap();
    let replaced = [
        flipped,
        good[..good.len() - 1].to_vec(),
        vec![],
        read(file(1, one, 1)),
        read(file(1, two, 0)),
        read(file(2, hers, 0)),
    ];
    for bytes in replaced {
        std::fs::write(file(1, one, 0), bytes).unwrap();
        let opened = scene.of(1, |of| scene.media.part(of, one, 0));
        assert!(matches!(opened, Err(MediaError::Keys(_))), "{opened:?}");
    }
    std::fs::write(file(1, one, 0), good).unwrap();
    assert_eq!(scene.of(1, |of| scene.media.part(of, one, 0)).unwrap(), b"first");
}
