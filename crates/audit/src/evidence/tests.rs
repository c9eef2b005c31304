use std::sync::LazyLock;

use proptest::prelude::*;

use super::{
    zip::{Files, read, write},
    *,
};
use crate::{
    cosign::{KeyKind, SigningKey},
    testsite::{DAY, ORIGINS, SITE, TestSite, key, small_logs, vkey},
    tree::hex_of,
};

fn auditor() -> SigningKey {
    SigningKey::from_seed("auditor.t", KeyKind::Auditor, &[8; 32]).unwrap()
}

fn operator() -> SigningKey {
    SigningKey::from_seed("operator.t", KeyKind::Auditor, &[7; 32]).unwrap()
}

fn of(key: &SigningKey) -> VerifierKey {
    VerifierKey::parse(&key.vkey()).unwrap()
}

/// A site with a rulebook that some entries name.
fn site() -> TestSite {
    let text = format!("clover-rulebook/v1\n{} a.toml\n", hex_of(&crate::hash::sha256(b"a = 1\n")));
    let digest = crate::hash::sha256(text.as_bytes());
    let mut logs = small_logs();
    logs[0][5].rulebook = digest;
    let site = TestSite::new(logs);
    let folder = site.folder.path().join("gateway/0/rulebook").join(hex_of(&digest));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.toml"), "a = 1\n").unwrap();
    let note = format!("{text}\n{}{}", operator().line(&text, 0), auditor().line(&text, 0));
    std::fs::write(folder.join("manifest.note"), note).unwrap();
    site
}

fn collect(site: &TestSite, selection: Selection) -> Result<Vec<u8>, EvidenceError> {
    let options = EvidenceOptions {
        mirror: site.folder.path().into(),
        site: vkey(SITE),
        selection,
        attachments: vec![("note.txt".into(), b"what happened".to_vec())],
    };
    collect_evidence(&options, &auditor(), 1_900_000_000)
}

fn three() -> Selection {
    Selection::Entries(vec![(ORIGINS[0].into(), 5), (ORIGINS[1].into(), 699), (ORIGINS[0].into(), 0)])
}

fn trust() -> EvidenceTrust {
    EvidenceTrust {
        site: Some(vkey(SITE)),
        auditor: Some(of(&auditor())),
        operator: Some(of(&operator())),
        policy: None,
    }
}

static PACK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let site = site();
    site.publish_site(&[]);
    collect(&site, three()).unwrap()
});

#[test]
fn an_honest_pack_shows_its_entries_to_a_stranger() {
    let report = verify_evidence(&PACK, &trust()).unwrap();
    assert_eq!((report.entries(), report.rulebooks), (3, 1));
    assert!(report.to_string().contains("not independently witnessed"));
    let report = verify_evidence(&PACK, &EvidenceTrust::default()).unwrap();
    assert!(report.to_string().contains("the pack's own word"), "{report}");
}

#[test]
fn a_pack_of_a_day_has_all_its_entries_and_its_map() {
    let site = site();
    site.publish_site(&[]);
    let report = verify_evidence(&collect(&site, Selection::Day(DAY)).unwrap(), &trust()).unwrap();
    let of_day =
        |log: &Vec<crate::testsite::Small>| log.iter().filter(|small| small.time / 86_400 == DAY).count();
    assert_eq!(report.entries(), site.logs.iter().map(of_day).sum::<usize>());
    assert_eq!(report.day_maps, [crate::history::date(DAY)]);
    assert!(matches!(collect(&site, Selection::Day(DAY + 9)), Err(EvidenceError::Count(0))));
}

#[test]
fn the_quorum_of_a_policy_must_have_cosigned() {
    let witness = SigningKey::from_seed("w.t", KeyKind::Cosigner, &[1; 32]).unwrap();
    let policy = Some(format!("log {}\nwitness w {}\nquorum w\n", key(SITE).vkey(), witness.vkey()));
    assert!(verify_evidence(&PACK, &EvidenceTrust { policy: policy.clone(), ..trust() }).is_err());
    let site = site();
    site.publish_site(&[&witness]);
    let pack = collect(&site, three()).unwrap();
    let report = verify_evidence(&pack, &EvidenceTrust { policy, ..trust() }).unwrap();
    assert!(report.to_string().contains("w.t at"), "{report}");
}

#[test]
fn a_pack_under_other_keys_is_refused() {
    for other in [
        EvidenceTrust { site: Some(vkey(ORIGINS[0])), ..trust() },
        EvidenceTrust { auditor: Some(of(&operator())), ..trust() },
        EvidenceTrust { operator: Some(vkey(SITE)), ..trust() },
    ] {
        assert!(verify_evidence(&PACK, &other).is_err());
    }
}

/// Signs a changed pack anew, as an auditor who lies would.
fn resigned(change: &dyn Fn(&mut Files)) -> Result<EvidenceReport, EvidenceError> {
    let mut files = read(&PACK).unwrap();
    change(&mut files);
    let mut manifest: Manifest = serde_json::from_slice(&files[MANIFEST]).unwrap();
    let others = files.iter().filter(|(name, _)| ![MANIFEST, MANIFEST_NOTE].contains(&name.as_str()));
    manifest.files = others.map(|(name, file)| (name.clone(), hex_of(&crate::hash::sha256(file)))).collect();
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let text = format!("{MANIFEST_FIRST_LINE}\n{}\n", hex_of(&crate::hash::sha256(&manifest)));
    files.insert(MANIFEST.into(), manifest);
    files.insert(MANIFEST_NOTE.into(), format!("{text}\n{}", auditor().line(&text, 0)).into_bytes());
    verify_evidence(&write(&files).unwrap(), &trust())
}

#[test]
fn an_auditor_who_signs_a_lie_is_caught_by_the_proofs() {
    assert!(resigned(&|_| ()).is_ok());
    let names: Vec<String> = read(&PACK).unwrap().into_keys().collect();
    for name in names.iter().filter(|name| ![MANIFEST, MANIFEST_NOTE, README].contains(&name.as_str())) {
        if name.starts_with("incident/") {
            continue;
        }
        assert!(
            resigned(&|files| {
                files.remove(name);
            })
            .is_err(),
            "{name} removed"
        );
        let changed = resigned(&|files| {
            let file = files.get_mut(name).unwrap();
            let middle = file.len() / 2;
            file[middle] ^= 1;
        });
        assert!(changed.is_err(), "{name} changed");
    }
    for name in ["more.txt", "site/9.proof", "logs/7/log.vkey", "rulebook/x/y"] {
        assert!(
            resigned(&|files| {
                files.insert(name.into(), Vec::new());
            })
            .is_err(),
            "{name} added"
        );
    }
}

#[test]
fn files_that_the_manifest_does_not_name_or_that_are_missing_are_refused() {
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = read(&PACK).unwrap();
        change(&mut files);
        verify_evidence(&write(&files).unwrap(), &trust())
    };
    assert!(with(&|_| ()).is_ok());
    for name in read(&PACK).unwrap().into_keys() {
        assert!(
            with(&|files| {
                files.remove(&name);
            })
            .is_err(),
            "{name} removed"
        );
        assert!(with(&|files| files.get_mut(&name).unwrap().push(b'\n')).is_err(), "{name} changed");
    }
    assert!(
        with(&|files| {
            files.insert("incident/more".into(), Vec::new());
        })
        .is_err()
    );
}

#[test]
fn what_is_not_held_or_not_counted_makes_no_pack() {
    let site = site();
    site.publish_site(&[]);
    let one = |origin: &str, index| collect(&site, Selection::Entries(vec![(origin.into(), index)]));
    assert!(matches!(one(ORIGINS[0], 900), Err(EvidenceError::Folder(FolderError::NotCounted { .. }))));
    assert!(matches!(one("ledger.t/s/c", 0), Err(EvidenceError::Folder(FolderError::NotEnrolled(_)))));
    assert!(matches!(collect(&site, Selection::Entries(Vec::new())), Err(EvidenceError::Count(0))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_changed_byte_passes(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut changed = PACK.clone();
        let place = place.index(changed.len());
        changed[place] ^= 1 << bit;
        prop_assert!(verify_evidence(&changed, &trust()).is_err());
    }
}
