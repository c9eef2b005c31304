//! The three key services, each on the real thing: a file, tokens of SoftHSM, a server of OpenBao.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::SecretKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use testkit::{OpenBao, SoftHsm};
use vault::keys::sealed::{Cost, make_passphrase};
use vault::keys::{KeyError, RegionKeys, Sealed, SecretFile, Token, Transit, token, transit};

use super::keys_claims::{Region, World, conformance};

type Opened = Result<Arc<dyn RegionKeys>, KeyError>;

fn secret(folder: &Path, what: &'static str, text: &str) -> SecretFile {
    let path = folder.join(format!("{what}-{}", text.len()));
    let _ = std::fs::remove_file(&path);
    vault::keys::write_secret(&path, text).unwrap();
    SecretFile { what, path }
}

/// Sealed files.
struct Files;

struct OneFile(TempDir, SecretFile);

impl World for Files {
    fn region(&self) -> Box<dyn Region> {
        let folder = tempfile::tempdir().unwrap();
        let secret = SecretFile { what: "passphrase", path: folder.path().join("passphrase") };
        make_passphrase(&secret.path).unwrap();
        Sealed::create(folder.path(), &secret, Cost::RANDOM).unwrap();
        Box::new(OneFile(folder, secret))
    }
    fn stop(&self) {}
    fn start(&self) {}
    fn serves_alone(&self) -> bool {
        true
    }
}

impl Region for OneFile {
    fn open(&self) -> Opened {
        Ok(Arc::new(Sealed::open(self.0.path(), self.1.clone())?))
    }
    fn open_with_a_wrong_secret(&self) -> (Opened, String) {
        let wrong = secret(self.0.path(), "passphrase", "correct horse\n");
        let opened = Sealed::open(self.0.path(), wrong);
        (opened.map(|keys| Arc::new(keys) as _), "correct horse".to_owned())
    }
    fn create_again(&self) -> Result<(), KeyError> {
        Sealed::create(self.0.path(), &self.1, Cost::RANDOM)
    }
}

#[test]
fn a_sealed_file_keeps_every_claim_of_a_key_service() {
    conformance(&Files);
}

const PIN: &str = "43215678";

/// Tokens of this process, the child of a test.
struct Tokens {
    folder: PathBuf,
    pin: SecretFile,
    made: Cell<u32>,
}

struct OneToken<'a>(&'a Tokens, token::Settings);

impl Tokens {
    /// `None` in the parent, which has the test run again as a child and waits for it.
    fn of(test: &str) -> Option<Self> {
        if let Some(folder) = SoftHsm::child() {
            let pin = secret(&folder, "PIN", PIN);
            return Some(Self { folder, pin, made: Cell::new(0) });
        }
        let hsm = SoftHsm::new().unwrap();
        hsm.token("clover", PIN).unwrap();
        hsm.in_child(test).unwrap();
        None
    }

    fn settings(&self) -> token::Settings {
        self.made.set(self.made.get() + 1);
        let key = format!("region-{}", self.made.get());
        let module = testkit::hsm::module().unwrap();
        token::Settings { module, token: "clover".to_owned(), key, pin: self.pin.clone() }
    }
}

impl World for Tokens {
    fn region(&self) -> Box<dyn Region + '_> {
        let settings = self.settings();
        Token::create(&settings).unwrap();
        Box::new(OneToken(self, settings))
    }
    /// The token is taken out.
    fn stop(&self) {
        std::fs::rename(self.folder.join("tokens"), self.folder.join("elsewhere")).unwrap();
    }
    fn start(&self) {
        std::fs::rename(self.folder.join("elsewhere"), self.folder.join("tokens")).unwrap();
    }
    fn serves_alone(&self) -> bool {
        false
    }
}

impl Region for OneToken<'_> {
    fn open(&self) -> Opened {
        Ok(Arc::new(Token::open(self.1.clone())?))
    }
    fn open_with_a_wrong_secret(&self) -> (Opened, String) {
        let pin = secret(&self.0.folder, "PIN", "99999\n");
        let opened = Token::open(token::Settings { pin, ..self.1.clone() });
        (opened.map(|keys| Arc::new(keys) as _), "99999".to_owned())
    }
    fn create_again(&self) -> Result<(), KeyError> {
        Token::create(&self.1)
    }
}

#[test]
fn a_pkcs11_token_keeps_every_claim_of_a_key_service() {
    if let Some(tokens) = Tokens::of("keys::a_pkcs11_token_keeps_every_claim_of_a_key_service") {
        conformance(&tokens);
    }
}

/// One server of OpenBao.
struct Server {
    bao: RefCell<OpenBao>,
    folder: TempDir,
    tls: Arc<ClientConfig>,
    made: Cell<u32>,
}

struct OneTransit<'a>(&'a Server, transit::Settings);

impl Server {
    fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let bao = RefCell::new(OpenBao::start(&certificate, &key).unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        let tls = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        Self { bao, folder: tempfile::tempdir().unwrap(), tls, made: Cell::new(0) }
    }

    fn settings(&self, token: &str) -> transit::Settings {
        self.made.set(self.made.get() + 1);
        transit::Settings {
            address: self.bao.borrow().address(),
            mount: "transit".to_owned(),
            key: format!("region-{}", self.made.get()),
            token: secret(self.folder.path(), "token", token),
            tls: Arc::clone(&self.tls),
            timeout: Duration::from_secs(5),
        }
    }
}

/// What a token needs, as docs/keys.md has it.
const POLICY: &str = "path \"transit/encrypt/*\" { capabilities = [\"update\"] }\n\
                      path \"transit/decrypt/*\" { capabilities = [\"update\"] }\n\
                      path \"transit/keys/*\" { capabilities = [\"create\", \"read\", \"update\"] }\n";

impl World for Server {
    fn region(&self) -> Box<dyn Region + '_> {
        let token = self.bao.borrow().token(POLICY).unwrap();
        let settings = self.settings(&token);
        Transit::create(&settings).unwrap();
        Box::new(OneTransit(self, settings))
    }
    fn stop(&self) {
        self.bao.borrow_mut().kill();
    }
    fn start(&self) {
        self.bao.borrow_mut().restart().unwrap();
    }
    fn serves_alone(&self) -> bool {
        false
    }
}

impl Region for OneTransit<'_> {
    fn open(&self) -> Opened {
        Ok(Arc::new(Transit::open(&self.1)?))
    }
    fn open_with_a_wrong_secret(&self) -> (Opened, String) {
        let token = secret(self.0.folder.path(), "token", "s.WRONGwrongWRONGwrong\n");
        let opened = Transit::open(&transit::Settings { token, ..self.1.clone() });
        (opened.map(|keys| Arc::new(keys) as _), "s.WRONG".to_owned())
    }
    fn create_again(&self) -> Result<(), KeyError> {
        Transit::create(&self.1)
    }
}

#[test]
fn openbao_keeps_every_claim_of_a_key_service() {
    conformance(&Server::start());
}

#[test]
fn openbao_is_asked_under_its_own_certificate_only_and_tells_what_is_wrong() {
    let server = Server::start();
    let token = server.bao.borrow().token(POLICY).unwrap();
    let settings = server.settings(&token);
    Transit::create(&settings).unwrap();
    // In the clear, under another name, with other roots.
    let clear = transit::Settings { address: settings.address.replace("https", "http"), ..settings.clone() };
    assert!(matches!(Transit::open(&clear).err(), Some(KeyError::Refused { .. })));
    let renamed = settings.address.replace("localhost", "127.0.0.1");
    let renamed = transit::Settings { address: renamed, ..settings.clone() };
    assert!(matches!(Transit::open(&renamed).err(), Some(KeyError::Down { .. })));
    let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let strange = transit::Settings { tls: Arc::new(tls), ..settings.clone() };
    assert!(matches!(Transit::open(&strange).err(), Some(KeyError::Down { .. })));
    // A key that can be taken out, and none.
    let (bao, mut other) = (server.bao.borrow(), server.settings(&token));
    assert!(matches!(Transit::open(&other).err(), Some(KeyError::Refused { .. })), "no such key");
    let exportable = r#"{"type":"aes256-gcm96","exportable":true}"#;
    bao.root("POST", &format!("transit/keys/{}", other.key), exportable).unwrap();
    let error = Transit::open(&other).err().unwrap();
    assert!(error.to_string().contains("exported"), "{error}");
    other.key = settings.key.clone();
    // A sealed server answers and does nothing.
    let keys = Transit::open(&other).unwrap();
    bao.seal().unwrap();
    assert!(matches!(keys.wrap(b"a", &SecretKey::new([7; 32])), Err(KeyError::Down { .. })));
    bao.unseal().unwrap();
    keys.wrap(b"a", &SecretKey::new([7; 32])).unwrap();
    // A token that was revoked, and another put into its file.
    bao.root("POST", "auth/token/revoke", &format!("{{\"token\":\"{token}\"}}")).unwrap();
    assert!(matches!(keys.wrap(b"a", &SecretKey::new([7; 32])), Err(KeyError::Secret { .. })));
    std::fs::write(&other.token.path, bao.token(POLICY).unwrap()).unwrap();
    keys.wrap(b"a", &SecretKey::new([7; 32])).unwrap();
}

#[test]
fn a_key_that_the_token_would_give_away_is_refused() {
    let Some(tokens) = Tokens::of("keys::a_key_that_the_token_would_give_away_is_refused") else { return };
    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
    use cryptoki::mechanism::Mechanism;
    use cryptoki::object::Attribute;
    use cryptoki::session::UserType;
    let settings = tokens.settings();
    let library = Pkcs11::new(&settings.module).unwrap();
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = library.get_slots_with_initialized_token().unwrap()[0];
    let session = library.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&PIN.to_owned().into())).unwrap();
    let template = |extractable, id: u32| {
        let label = settings.key.as_bytes().to_vec();
        [
            Attribute::ValueLen(32.into()),
            Attribute::Token(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(extractable),
            Attribute::Label(label),
            Attribute::Id(id.to_be_bytes().to_vec()),
        ]
    };
    let away = session.generate_key(&Mechanism::AesKeyGen, &template(true, 1)).unwrap();
    let error = Token::open(settings.clone()).err().unwrap();
    assert!(error.to_string().contains("give the region's key away"), "{error}");
    session.destroy_object(away).unwrap();
    for _ in 0..2 {
        session.generate_key(&Mechanism::AesKeyGen, &template(false, 1)).unwrap();
    }
    let error = Token::open(settings.clone()).err().unwrap();
    assert!(error.to_string().contains("two keys of this label"), "{error}");
}

/// Not a claim: how many a second, for BENCHMARKING.md. It runs when `CLOVER_KEYS_RATE` is set, and asserts nothing of speed.
#[test]
fn the_rates_of_the_three_services_are_told() {
    if std::env::var_os("CLOVER_KEYS_RATE").is_none() {
        return;
    }
    let test = "keys::the_rates_of_the_three_services_are_told";
    if SoftHsm::child().is_none() {
        rate("file", &Files);
        rate("openbao", &Server::start());
        let hsm = SoftHsm::new().unwrap();
        hsm.token("clover", PIN).unwrap();
        println!("{}", hsm.in_child(test).unwrap());
    } else if let Some(tokens) = Tokens::of(test) {
        rate("pkcs11", &tokens);
    }
}

fn rate(name: &str, world: &dyn World) {
    let region = world.region();
    let keys = region.open().unwrap();
    let wrapped = keys.wrap(b"a", &SecretKey::new([7; 32])).unwrap();
    let per_second = |run: &(dyn Fn() + Sync), threads: usize| {
        let (start, until) = (Instant::now(), Instant::now() + Duration::from_secs(4));
        let count = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while Instant::now() < until {
                        run();
                        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        f64::from(u32::try_from(count.into_inner()).unwrap()) / start.elapsed().as_secs_f64()
    };
    for threads in [1, 8] {
        let wraps = per_second(&|| drop(keys.wrap(b"a", &SecretKey::new([7; 32])).unwrap()), threads);
        let opens = per_second(&|| drop(keys.open(b"a", &wrapped).unwrap()), threads);
        println!("{name}, {threads} callers: {wraps:.0} wraps/s, {opens:.0} unwraps/s");
    }
}
