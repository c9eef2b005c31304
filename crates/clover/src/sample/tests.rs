use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

fn document(index: u64) -> Value {
    serde_json::from_slice(&bytes(42, index).unwrap()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let (first, again, other) = (tempdir("same-a"), tempdir("same-b"), bytes(43, 3).unwrap());
    let options = |out: &Path| Options { people: 12, seed: 42, out: out.to_path_buf() };
    let mut seen = Vec::new();
    let made = write(&options(&first), |index| seen.push(index)).unwrap();
    assert_eq!(made, write(&options(&again), |_| {}).unwrap());
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
    for index in 1..=12 {
        let file_bytes = fs::read(file(&first, index)).unwrap();
        assert_eq!(file_bytes, fs::read(file(&again, index)).unwrap());
        assert_eq!(file_bytes, bytes(42, index).unwrap());
    }
    assert_ne!(bytes(42, 3).unwrap(), other);
    fs::remove_dir_all(first).unwrap();
    fs::remove_dir_all(again).unwrap();
}

#[test]
fn the_bytes_of_a_person_never_change_by_accident() {
    // A sample is named by its seed in instructions and measurements: a change here changes those.
    let sum = |index| {
        bytes(42, index).unwrap().iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
    };
    let known = [17_633_295_805_327_186_156, 13_657_877_418_099_564_807, 9_594_805_415_003_304_247];
    assert_eq!([sum(1), sum(2), sum(1_000_000)], known);
}

#[test]
fn a_thousand_people_parse_and_look_like_a_population() {
    let mut countries: BTreeMap<String, u32> = BTreeMap::new();
    let mut names = BTreeSet::new();
    let (mut sizes, mut audiences, mut older) = (Vec::new(), BTreeSet::new(), 0);
    for index in 1..=1000 {
        let (bytes, person) = (bytes(42, index).unwrap(), person(42, index));
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let map =
            ["/Profile And Settings/Profile Info/ProfileMap", "/Profile/Profile Information/ProfileMap"]
                .iter()
                .find_map(|pointer| value.pointer(pointer))
                .unwrap();
        assert_eq!(map["userName"], person.user_name);
        assert_eq!(map["accountRegion"], person.country);
        assert!(names.insert(person.user_name.clone()), "two people share a user name");
        *countries.entry(person.country.to_owned()).or_default() += 1;
        audiences.extend(person.videos.iter().map(|video| video.audience.word()));
        older += u32::from(person.older_names);
        sizes.push(bytes.len());
    }
    assert_eq!(countries.len(), 32);
    assert!(countries.values().any(|people| *people < 10));
    assert_eq!(audiences.len(), 3);
    assert!((60..140).contains(&older), "{older} with the older names");
    sizes.sort_unstable();
    let usual = sizes.iter().filter(|size| (5_000..30_000).contains(*size)).count();
    assert!(usual > 800, "{usual} of usual size, median {}", sizes[500]);
    assert!((100_000..500_000).contains(sizes.last().unwrap()), "largest {}", sizes[999]);
}

#[test]
fn what_a_person_gives_away_is_in_the_file() {
    for index in 1..=200 {
        let (person, text) = (person(42, index), String::from_utf8(bytes(42, index).unwrap()).unwrap());
        for disclosure in &person.disclosures {
            let value = match disclosure {
                Disclosure::NationalIdInMessage
                | Disclosure::NationalIdInOrder
                | Disclosure::NationalIdInUnit => &person.national_id.as_ref().unwrap().value,
                Disclosure::IbanInMessage => &person.iban,
                Disclosure::PhoneInMessage | Disclosure::PhoneInComment => &person.phone_national,
                Disclosure::EmailInMessage | Disclosure::EmailInBio | Disclosure::EmailInTitle => {
                    &person.email
                }
                Disclosure::ImeiInMessage => &person.device.imei,
                Disclosure::AddressInMessage => &person.address.street,
            };
            assert!(text.contains(value), "person {index}: {disclosure:?}");
        }
    }
}

#[test]
fn both_spellings_hold_the_same_sections() {
    let newer = (1..).find(|index| !person(42, *index).older_names).unwrap();
    let older = (1..).find(|index| person(42, *index).older_names).unwrap();
    for (index, pointers) in [
        (newer, ["/Your Activity/Watch History/VideoList", "/Post/Posts/VideoList/0/WhoCanView"]),
        (older, ["/Activity/Video Browsing History/VideoList", "/Video/Videos/VideoList/0/WhoCanView"]),
    ] {
        let value = document(index);
        assert!(pointers.iter().all(|pointer| value.pointer(pointer).is_some()), "person {index}");
    }
}

#[test]
fn nothing_is_later_than_the_download_and_numbers_carry_their_time() {
    for index in 1..=50 {
        for video in person(42, index).videos {
            assert!(video.created < person::DOWNLOADED);
            let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
            assert_eq!(i64::try_from(video.id >> 32).unwrap(), video.created.duration_since(epoch).as_secs());
        }
    }
}

#[test]
fn debug_shows_no_personal_data() {
    let person = person(42, 5);
    let text = format!("{person:?} {:?} {:?} {:?}", person.address, person.device, person.videos);
    for secret in [&person.user_name, &person.email, &person.address.street, &person.device.imei] {
        assert!(!text.contains(secret.as_str()));
    }
}

#[test]
fn too_many_people_are_refused_before_anything_is_written() {
    let out = std::env::temp_dir().join("clover-sample-never");
    let error = write(&Options { people: PEOPLE_MAX + 1, seed: 1, out: out.clone() }, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "`10000000` people are more than a sample holds, at most `9999999`");
    assert!(!out.exists());
}

fn tempdir(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("clover-sample-{name}-{}", std::process::id()))
}
