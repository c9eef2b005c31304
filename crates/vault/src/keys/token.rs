//! The region's key in hardware, over PKCS#11: made inside the token, and never outside of it.
//!
//! INVARIANT: a key that the token would give away is refused, whoever made it. All calls that are not safe lie in the
//! crate `cryptoki`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use ledger::SecretKey;
use zeroize::Zeroizing;

use super::files::SecretFile;
use super::region::{RegionKeys, Version, Wrapped, bound};
use super::{KeyError, random};

const SERVICE: &str = "pkcs11";
/// Sessions at a time: more callers wait for one another.
const SESSIONS: usize = 4;
const TAG_BITS: u64 = 128;

/// Held by every call, and alone by whoever starts the library anew: a process has it once. Counts how often that was.
static CALLS: RwLock<u64> = RwLock::new(0);

/// Which token holds the region's key, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The library of the token's maker.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The label of the region's key in it.
    pub key: String,
    /// The PIN of its user.
    pub pin: SecretFile,
}

/// A token with the region's key.
pub struct Token {
    settings: Settings,
    module: Pkcs11,
    sessions: [Mutex<Option<Open>>; SESSIONS],
    turn: AtomicUsize,
    /// The newest version that was met: all sessions wrap by it.
    newest: AtomicU32,
    /// A wrong PIN is shown once and never again: after a few the token locks itself.
    wrong_pin: AtomicBool,
}

/// A session that is logged in, and the key's versions as it knows them.
struct Open {
    session: Session,
    keys: BTreeMap<Version, ObjectHandle>,
}

/// What came of a call: an answer of ours, or an error of the token's.
type Called<T> = Result<Result<T, KeyError>, Error>;

impl Token {
    /// Makes the region's key in a token that has none of this label. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`KeyError::Exists`] when it has one; others when the token refuses or is not there.
    pub fn create(settings: &Settings) -> Result<(), KeyError> {
        let token = Self::reach(settings.clone())?;
        token.with(|open| {
            if !open.keys.is_empty() {
                return Ok(Err(KeyError::Exists(SERVICE)));
            }
            generate(&open.session, &token.settings.key, Version::FIRST)?;
            find(&open.session, &token.settings.key).map(|found| found.map(|_| ()))
        })
    }

    /// Reaches the token and checks that it has the region's key.
    ///
    /// # Errors
    /// [`KeyError::Secret`] when the PIN is wrong, [`KeyError::Down`] when there is no such library or token.
    pub fn open(settings: Settings) -> Result<Self, KeyError> {
        let token = Self::reach(settings)?;
        token.versions()?;
        Ok(token)
    }

    fn reach(settings: Settings) -> Result<Self, KeyError> {
        let module = Pkcs11::new(&settings.module).map_err(down)?;
        initialize(&module)?;
        Ok(Self {
            settings,
            module,
            sessions: Default::default(),
            turn: AtomicUsize::new(0),
            newest: AtomicU32::new(0),
            wrong_pin: AtomicBool::new(false),
        })
    }

    /// A session that is logged in.
    fn session(&self) -> Result<Open, KeyError> {
        if self.wrong_pin.load(Ordering::Acquire) {
            return Err(self.settings.pin.wrong());
        }
        let mut found = None;
        for slot in self.module.get_slots_with_token().map_err(down)? {
            let info = self.module.get_token_info(slot);
            if info.is_ok_and(|info| info.token_initialized() && info.label() == self.settings.token) {
                if found.is_some() {
                    return Err(refused("two tokens have the label under [keys]"));
                }
                found = Some(slot);
            }
        }
        let slot = found.ok_or_else(|| KeyError::Down {
            service: SERVICE,
            source: format!("no token with the label `{}` is there", self.settings.token).into(),
        })?;
        let session = self.module.open_rw_session(slot).map_err(down)?;
        let pin = AuthPin::from(self.settings.pin.read()?.to_string());
        match session.login(UserType::User, Some(&pin)) {
            // For the whole process, whichever session came first.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                self.wrong_pin.store(true, Ordering::Release);
                return Err(self.settings.pin.wrong());
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => return Err(refused("the PIN is locked")),
            Err(Error::Pkcs11(RvError::PinExpired, _)) => return Err(refused("the PIN has expired")),
            Err(e) => return Err(down(e)),
        }
        let keys = find(&session, &self.settings.key).map_err(down)??;
        Ok(Open { session, keys })
    }

    /// Runs calls in a session. When the token is gone, the library is started anew: only so do some find a token that came
    /// back.
    fn with<T>(&self, run: impl Fn(&mut Open) -> Called<T>) -> Result<T, KeyError> {
        let begun = {
            let started = CALLS.read().unwrap_or_else(PoisonError::into_inner);
            match self.attempt(&run) {
                Err(KeyError::Down { .. }) => *started,
                answer => return answer,
            }
        };
        self.start_anew(begun)?;
        let _calls = CALLS.read().unwrap_or_else(PoisonError::into_inner);
        self.attempt(&run)
    }

    /// Starts the library anew, unless somebody did since it was `begun`.
    fn start_anew(&self, begun: u64) -> Result<(), KeyError> {
        // INVARIANT: nobody is inside the library while it is finalized.
        let mut started = CALLS.write().unwrap_or_else(PoisonError::into_inner);
        if *started != begun {
            return Ok(());
        }
        *started = started.wrapping_add(1);
        self.drop_sessions();
        // What cannot be ended may never have begun.
        let _ = self.module.clone().finalize();
        initialize(&self.module)
    }

    fn drop_sessions(&self) {
        for place in &self.sessions {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A session that met an error is given up, and the calls are made in a new one: what fails there again, while the
    /// token answers otherwise, is refused for what it is.
    fn attempt<T>(&self, run: &impl Fn(&mut Open) -> Called<T>) -> Result<T, KeyError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % SESSIONS;
        let place = self.sessions.get(turn).ok_or(KeyError::Random)?;
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = place.as_mut()
            && let Ok(answer) = run(open)
        {
            return answer;
        }
        *place = None;
        let mut fresh = self.session()?;
        match run(&mut fresh) {
            Ok(answer) => {
                *place = Some(fresh);
                answer
            }
            Err(e) if is_gone(&e) => Err(down(e)),
            Err(e) => Err(refused(&e.to_string())),
        }
    }

    /// As [`Token::with`], for a version that another process may have made or retired meanwhile.
    fn with_key<T>(
        &self,
        version: Version,
        run: impl Fn(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, KeyError> {
        self.with(|open| {
            if !open.keys.contains_key(&version) {
                match find(&open.session, &self.settings.key)? {
                    Ok(keys) => open.keys = keys,
                    Err(e) => return Ok(Err(e)),
                }
            }
            match open.keys.get(&version) {
                Some(key) => run(&open.session, *key).map(Ok),
                None => Ok(Err(KeyError::Version(version.number()))),
            }
        })
    }

    fn newest(&self) -> Result<Version, KeyError> {
        match Version::new(self.newest.load(Ordering::Acquire)) {
            Some(newest) => Ok(newest),
            None => self.versions()?.pop().ok_or(KeyError::Version(0)),
        }
    }
}

impl RegionKeys for Token {
    fn service(&self) -> &'static str {
        SERVICE
    }

    fn waits(&self) -> bool {
        true
    }

    fn versions(&self) -> Result<Vec<Version>, KeyError> {
        let keys = self.with(|open| {
            let found = find(&open.session, &self.settings.key)?;
            Ok(found.inspect(|keys| open.keys.clone_from(keys)))
        })?;
        let newest = keys.last_key_value().map(|(version, _)| *version);
        let newest = newest.ok_or_else(|| refused("the token has no key of this label"))?;
        self.newest.store(newest.number(), Ordering::Release);
        Ok(keys.into_keys().collect())
    }

    fn wrap(&self, context: &[u8], key: &SecretKey) -> Result<Vec<u8>, KeyError> {
        let (version, bound) = (self.newest()?, bound(context));
        let mut nonce = [0; 12];
        random(&mut nonce)?;
        let text = self.with_key(version, |session, region| {
            let mut nonce = nonce;
            let params = GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?;
            session.encrypt(&Mechanism::AesGcm(params), region, key.bytes())
        })?;
        let body = [&nonce[..], &text].concat();
        Wrapped::write(version, &body).ok_or_else(|| refused("what it sealed has another length"))
    }

    fn open(&self, context: &[u8], wrapped: &[u8]) -> Result<SecretKey, KeyError> {
        let (wrapped, bound) = (Wrapped::read(wrapped)?, bound(context));
        let (nonce, text) = wrapped.body.split_first_chunk::<12>().ok_or(KeyError::Wrapped)?;
        let opened = self.with_key(wrapped.version, |session, region| {
            let mut nonce = *nonce;
            let params = GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?;
            session.decrypt(&Mechanism::AesGcm(params), region, text)
        });
        match opened {
            Ok(key) => {
                let key = Zeroizing::new(key);
                key.as_slice().try_into().map(SecretKey::new).map_err(|_| KeyError::Wrapped)
            }
            // Tokens have many words for a seal that does not open. This one answers, and has the key.
            Err(KeyError::Refused { .. }) => Err(KeyError::Wrapped),
            Err(e) => Err(e),
        }
    }

    fn rotate(&self) -> Result<Version, KeyError> {
        let newest = self.versions()?.pop().ok_or(KeyError::Version(0))?;
        let next = newest.next().ok_or_else(|| refused("there is no version after this one"))?;
        self.with(|open| {
            // Made already, when this is the second attempt.
            if !open.keys.contains_key(&next) {
                generate(&open.session, &self.settings.key, next)?;
            }
            Ok(find(&open.session, &self.settings.key)?.map(|keys| open.keys = keys))
        })?;
        self.newest.store(next.number(), Ordering::Release);
        Ok(next)
    }

    fn retire(&self, through: Version) -> Result<(), KeyError> {
        let newest = self.versions()?.pop();
        if newest.is_none_or(|newest| newest <= through) {
            return Err(KeyError::Newest(through.number()));
        }
        self.with(|open| {
            let keys = match find(&open.session, &self.settings.key)? {
                Ok(keys) => keys,
                Err(e) => return Ok(Err(e)),
            };
            for (_, key) in keys.range(..=through) {
                open.session.destroy_object(*key)?;
            }
            Ok(Ok(()))
        })?;
        self.drop_sessions();
        Ok(())
    }
}

/// Once in a process, whoever comes first.
fn initialize(library: &Pkcs11) -> Result<(), KeyError> {
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(e) => Err(down(e)),
    }
}

fn generate(session: &Session, label: &str, version: Version) -> Result<(), Error> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(version.number().to_be_bytes().to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).map(|_| ())
}

/// The versions of the region's key in a token.
fn find(session: &Session, label: &str) -> Called<BTreeMap<Version, ObjectHandle>> {
    let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(label.as_bytes().to_vec())];
    let mut keys = BTreeMap::new();
    for key in session.find_objects(&template)? {
        let wanted = [AttributeType::Id, AttributeType::Sensitive, AttributeType::Extractable];
        let (mut id, mut safe) = (Vec::new(), 0);
        for attribute in session.get_attributes(key, &wanted)? {
            match attribute {
                Attribute::Id(bytes) => id = bytes,
                Attribute::Sensitive(true) | Attribute::Extractable(false) => safe += 1,
                _ => {}
            }
        }
        if safe != 2 {
            return Ok(Err(refused("the token would give the region's key away: it must be made inside")));
        }
        let version = id.try_into().ok().and_then(|id| Version::new(u32::from_be_bytes(id)));
        let Some(version) = version else {
            return Ok(Err(refused("a key of this label has an id that is no version")));
        };
        if keys.insert(version, key).is_some() {
            return Ok(Err(refused("two keys of this label have one version")));
        }
    }
    Ok(Ok(keys))
}

/// Whether the token, or the way to it, is gone.
fn is_gone(error: &Error) -> bool {
    match error {
        Error::Pkcs11(rv, _) => matches!(
            rv,
            RvError::DeviceError
                | RvError::DeviceMemory
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::SlotIdInvalid
                | RvError::SessionClosed
                | RvError::SessionHandleInvalid
                | RvError::CryptokiNotInitialized
                | RvError::UserNotLoggedIn
        ),
        _ => true,
    }
}

fn down(error: Error) -> KeyError {
    KeyError::Down { service: SERVICE, source: Box::new(error) }
}

fn refused(why: &str) -> KeyError {
    KeyError::Refused { service: SERVICE, why: why.to_owned() }
}
