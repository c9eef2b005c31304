//! What every key service owes a region, as claims that run against each.

use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use ledger::SecretKey;
use testkit::Dice;
use vault::KeyService;
use vault::keys::{Clock, KeyError, RegionKeys, Terms, Version};

/// Where regions can be made.
pub(crate) trait World {
    /// A region of its own, whose key is made.
    fn region(&self) -> Box<dyn Region + '_>;
    /// The service goes away.
    fn stop(&self);
    /// And comes back.
    fn start(&self);
    /// Whether keys that are in use need the service at all.
    fn serves_alone(&self) -> bool;
}

/// The key of one region.
pub(crate) trait Region {
    /// Opens it as a process does.
    fn open(&self) -> Result<Arc<dyn RegionKeys>, KeyError>;
    /// Opens it with a wrong passphrase, PIN or token, and gives that too.
    fn open_with_a_wrong_secret(&self) -> (Result<Arc<dyn RegionKeys>, KeyError>, String);
    /// Makes it once more.
    fn create_again(&self) -> Result<(), KeyError>;
}

type Claim = fn(&dyn World);

/// Every claim by its name.
const CLAIMS: &[(&str, Claim)] = &[
    ("a wrapped key opens with its own context and no other", own_context),
    ("what another region wrapped does not open", another_region),
    ("changed, cut off and unknown keys are refused for what they are", changed),
    ("rotation keeps older keys readable, and retirement makes them noise", rotation),
    ("a region's key is never replaced", never_replaced),
    ("many at once get what they wrapped", many),
    ("a wrong secret is told from damage, and is not named", wrong_secret),
    ("opened keys serve until their lease ends while the service is away", lease),
    ("a service that was away serves again without a restart", back_again),
];

/// Runs them all.
pub(crate) fn conformance(world: &dyn World) {
    for (name, claim) in CLAIMS {
        println!("claim: {name}");
        claim(world);
    }
}

fn key(byte: u8) -> SecretKey {
    SecretKey::new([byte; 32])
}

fn own_context(world: &dyn World) {
    let region = world.region();
    let keys = region.open().unwrap();
    let wrapped = keys.wrap(b"one", &key(7)).unwrap();
    assert_eq!(keys.open(b"one", &wrapped).unwrap(), key(7));
    assert_eq!(region.open().unwrap().open(b"one", &wrapped).unwrap(), key(7), "in another process");
    for other in [&b"two"[..], b"", b"one\0", b"on"] {
        assert!(matches!(keys.open(other, &wrapped), Err(KeyError::Wrapped)));
    }
    assert_ne!(wrapped, keys.wrap(b"one", &key(7)).unwrap(), "a key is not sealed twice in one way");
    assert!(!wrapped.windows(32).any(|w| w == [7; 32]));
}

fn another_region(world: &dyn World) {
    let [one, two] = [world.region(), world.region()];
    let wrapped = one.open().unwrap().wrap(b"a", &key(7)).unwrap();
    assert!(matches!(two.open().unwrap().open(b"a", &wrapped), Err(KeyError::Wrapped)));
}

fn changed(world: &dyn World) {
    let region = world.region();
    let keys = region.open().unwrap();
    let wrapped = keys.wrap(b"a", &key(7)).unwrap();
    let mut dice = Dice::new(20_261_126);
    for _ in 0..12 {
        let mut bad = wrapped.clone();
        // Behind form and version: nonce, ciphertext, tag.
        bad[5 + dice.below(wrapped.len() - 5)] ^= 1 << dice.below(8);
        let error = keys.open(b"a", &bad).unwrap_err();
        assert!(matches!(error, KeyError::Wrapped), "{error}");
    }
    for bad in [&wrapped[..wrapped.len() - 1], &wrapped[..5], &[], &[&wrapped[..], &[0]].concat()] {
        assert!(matches!(keys.open(b"a", bad), Err(KeyError::Wrapped)));
    }
    let mut bad = wrapped.clone();
    bad[4] = 9;
    let error = keys.open(b"a", &bad).unwrap_err();
    assert!(matches!(error, KeyError::Version(9)), "{error}");
    bad[0] = 2;
    assert!(matches!(keys.open(b"a", &bad), Err(KeyError::Wrapped)), "another form");
    assert_eq!(keys.open(b"a", &wrapped).unwrap(), key(7), "and the service goes on");
}

fn rotation(world: &dyn World) {
    let region = world.region();
    let keys = region.open().unwrap();
    let [first, second, third] = [1, 2, 3].map(|n| Version::new(n).unwrap());
    let old = keys.wrap(b"a", &key(1)).unwrap();
    assert!(matches!(keys.retire(first), Err(KeyError::Newest(1))), "the newest cannot be retired");
    assert_eq!(keys.rotate().unwrap(), second);
    let new = keys.wrap(b"a", &key(2)).unwrap();
    assert_eq!([Version::of(&old).unwrap(), Version::of(&new).unwrap()], [first, second]);
    assert_eq!(keys.rotate().unwrap(), third);
    assert_eq!(keys.versions().unwrap(), [first, second, third]);
    assert_eq!([keys.open(b"a", &old).unwrap(), keys.open(b"a", &new).unwrap()], [key(1), key(2)]);
    // A version of one region is none of another's, and a changed version opens nothing.
    let mut renamed = old.clone();
    renamed[4] = 2;
    assert!(matches!(keys.open(b"a", &renamed), Err(KeyError::Wrapped)));
    keys.retire(second).unwrap();
    for keys in [keys, region.open().unwrap()] {
        assert_eq!(keys.versions().unwrap(), [third]);
        assert!(matches!(keys.open(b"a", &old), Err(KeyError::Version(1))));
        assert!(matches!(keys.open(b"a", &new), Err(KeyError::Version(2))));
        let wrapped = keys.wrap(b"a", &key(3)).unwrap();
        assert_eq!(Version::of(&wrapped).unwrap(), third);
        assert_eq!(keys.open(b"a", &wrapped).unwrap(), key(3));
    }
}

fn never_replaced(world: &dyn World) {
    let region = world.region();
    let wrapped = region.open().unwrap().wrap(b"a", &key(7)).unwrap();
    assert!(region.create_again().is_err());
    assert_eq!(region.open().unwrap().open(b"a", &wrapped).unwrap(), key(7));
}

fn many(world: &dyn World) {
    let region = world.region();
    let (keys, start) = (region.open().unwrap(), Barrier::new(8));
    std::thread::scope(|scope| {
        for n in 0..8u8 {
            let (keys, start) = (&keys, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..20u8 {
                    let wrapped = keys.wrap(&[n, round], &key(n)).unwrap();
                    assert_eq!(keys.open(&[n, round], &wrapped).unwrap(), key(n));
                    if n == 0 && round == 9 {
                        keys.rotate().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(keys.versions().unwrap().len(), 2);
}

fn wrong_secret(world: &dyn World) {
    let region = world.region();
    let (opened, shown) = region.open_with_a_wrong_secret();
    let error = opened.err().expect("a wrong secret opens nothing");
    assert!(matches!(error, KeyError::Secret { .. }), "{error:?}");
    for said in [format!("{error}"), format!("{error:?}")] {
        assert!(!said.contains(&shown), "{said}");
    }
    region.open().unwrap().wrap(b"a", &key(7)).unwrap();
}

/// A clock that a test sets.
fn hand() -> (Arc<Mutex<Duration>>, Clock) {
    let time = Arc::new(Mutex::new(Duration::ZERO));
    let told = Arc::clone(&time);
    (time, Arc::new(move || *told.lock().unwrap()))
}

/// The keys of a region by a clock that a test sets.
fn service(region: &dyn Region, folder: &std::path::Path, clock: Clock) -> KeyService {
    let keys = region.open().unwrap();
    KeyService::create_with(keys.as_ref(), folder).unwrap();
    KeyService::open_with(keys, folder, "set", Terms::default(), clock).unwrap()
}

fn lease(world: &dyn World) {
    let (region, folder, (time, clock)) = (world.region(), tempfile::tempdir().unwrap(), hand());
    let keys = service(region.as_ref(), folder.path(), clock);
    let [(one, wrapped), (two, other)] = [1, 2].map(|n| keys.new_person(&[n; 16]).unwrap());
    assert_eq!(keys.open_person(&[1; 16], &wrapped).unwrap(), one);
    world.stop();
    let tick = |seconds| *time.lock().unwrap() = Duration::from_secs(seconds);
    tick(59);
    assert_eq!(keys.open_person(&[1; 16], &wrapped).unwrap(), one, "until the lease ends");
    assert!(keys.open_person(&[1; 16], &other).is_err(), "and for the wrapped form that was opened alone");
    if world.serves_alone() {
        assert_eq!(keys.open_person(&[2; 16], &other).unwrap(), two);
    } else {
        let refused = |n: u8, wrapped: &[u8]| match keys.open_person(&[n; 16], wrapped) {
            Err(KeyError::Down { .. }) => {}
            other => panic!("{other:?}"),
        };
        refused(2, &other);
        assert!(keys.standing().down.is_some());
        tick(60);
        refused(1, &wrapped);
        assert!(matches!(keys.new_person(&[3; 16]), Err(KeyError::Down { .. })));
    }
    world.start();
    tick(62);
    assert_eq!(keys.open_person(&[2; 16], &other).unwrap(), two);
    assert_eq!(keys.standing().down, None);
    assert_eq!(keys.open_person(&[1; 16], &wrapped).unwrap(), one);
    keys.forget(&[1; 16]);
    if !world.serves_alone() {
        world.stop();
        assert!(keys.open_person(&[1; 16], &wrapped).is_err(), "what is forgotten is not held");
        assert_eq!(keys.open_person(&[2; 16], &other).unwrap(), two, "what is not, is");
        world.start();
    }
}

fn back_again(world: &dyn World) {
    let region = world.region();
    let keys = region.open().unwrap();
    let wrapped = keys.wrap(b"a", &key(7)).unwrap();
    world.stop();
    if !world.serves_alone() {
        let error = keys.open(b"a", &wrapped).unwrap_err();
        assert!(matches!(error, KeyError::Down { .. }), "{error:?}");
        assert!(matches!(keys.wrap(b"a", &key(7)), Err(KeyError::Down { .. })));
        assert!(matches!(keys.rotate(), Err(KeyError::Down { .. })));
        assert!(matches!(region.open().err(), Some(KeyError::Down { .. })), "a start needs it");
    }
    world.start();
    assert_eq!(keys.open(b"a", &wrapped).unwrap(), key(7));
    assert_eq!(keys.versions().unwrap(), [Version::FIRST]);
    assert_eq!(region.open().unwrap().open(b"a", &wrapped).unwrap(), key(7));
}
