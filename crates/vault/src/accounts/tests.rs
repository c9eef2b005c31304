use totp_rs::{Algorithm, Builder, Secret};

use super::state::{ATTEMPTS_MAX, SHUT_SECONDS};
use super::*;

const PASSPHRASE: &str = "correct horse battery";
const NOW: UnixSeconds = UnixSeconds(1_790_000_010);

struct Bench {
    _folder: tempfile::TempDir,
    accounts: Accounts,
    mei: ActorId,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    KeyService::create(folder.path()).unwrap();
    let keys = KeyService::open(folder.path(), "demo").unwrap();
    let accounts = Accounts::new(folder.path(), &keys, "demo");
    Bench { accounts, mei: ActorId::parse("mei").unwrap(), _folder: folder }
}

/// The code of an authenticator that was given this secret.
fn code(base32: &str, at: u64) -> String {
    let bytes = BASE32_NOPAD.decode(base32.as_bytes()).unwrap();
    let secret = Secret::new_stack(bytes.try_into().unwrap());
    Builder::new().with_secret(secret).build().unwrap().generate(at).to_string()
}

fn refused<T>(outcome: Result<T, AccountError>) -> Option<Refused> {
    match outcome {
        Err(AccountError::Refused(why)) => Some(why),
        _ => None,
    }
}

/// An account that serves; its last used code is that of the step before [`NOW`].
fn active(b: &Bench) -> String {
    let attested = Attested { country: Some("SG".to_owned()), device: true };
    let enrolment = b.accounts.enrol(&b.mei, attested, NOW).unwrap();
    let secret = b.accounts.begin(&b.mei, &enrolment, PASSPHRASE, NOW).unwrap().base32;
    let first = code(&secret, NOW.0 - 30);
    assert_eq!(refused(b.accounts.confirm(&b.mei, "wrong", &first, NOW)), Some(Refused::Code));
    let attested = b.accounts.confirm(&b.mei, &enrolment, &first, NOW).unwrap();
    assert_eq!(attested.country.as_deref(), Some("SG"));
    assert_eq!(
        refused(b.accounts.begin(&b.mei, &enrolment, PASSPHRASE, NOW)),
        Some(Refused::Step),
        "used up"
    );
    secret
}

#[test]
fn codes_are_those_of_rfc_6238() {
    // Appendix B, the rows of SHA-1: eight digits.
    let totp = Builder::new()
        .with_secret(Secret::new_stack(*b"12345678901234567890"))
        .with_algorithm(Algorithm::SHA1)
        .with_digits(8)
        .build()
        .unwrap();
    for (time, expected) in [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ] {
        assert_eq!(totp.generate(time).to_string(), expected, "{time}");
        // What an authenticator with six digits shows are the last six.
        assert_eq!(code(&BASE32_NOPAD.encode(b"12345678901234567890"), time), expected[2..], "{time}");
    }
}

#[test]
fn a_code_serves_once_and_no_older_one_serves_after_it() {
    let b = bench();
    let secret = active(&b);
    let (now, next) = (code(&secret, NOW.0), code(&secret, NOW.0 + 30));
    let before = code(&secret, NOW.0 - 30);
    assert_eq!(refused(b.accounts.sign_in(&b.mei, PASSPHRASE, &before, NOW)), Some(Refused::Wrong), "used");
    assert!(b.accounts.sign_in(&b.mei, PASSPHRASE, &next, NOW).is_ok(), "a clock half a minute ahead");
    for replayed in [&next, &now] {
        assert_eq!(refused(b.accounts.sign_in(&b.mei, PASSPHRASE, replayed, NOW)), Some(Refused::Wrong));
    }
    let later = UnixSeconds(NOW.0 + 60);
    assert!(b.accounts.sign_in(&b.mei, PASSPHRASE, &code(&secret, later.0), later).is_ok());
}

#[test]
fn too_many_wrong_attempts_shut_an_account_for_a_while() {
    let b = bench();
    let secret = active(&b);
    let right = code(&secret, NOW.0);
    for wrong in 0..ATTEMPTS_MAX {
        let outcome = b.accounts.sign_in(&b.mei, "wrong wrong wrong", &right, NOW);
        assert_eq!(refused(outcome), Some(Refused::Wrong), "{wrong}");
    }
    let at = |seconds: u64| UnixSeconds(NOW.0 + seconds);
    let attempt = |t: UnixSeconds| b.accounts.sign_in(&b.mei, PASSPHRASE, &code(&secret, t.0), t);
    assert_eq!(refused(attempt(at(SHUT_SECONDS - 1))), Some(Refused::Shut), "right, and too early");
    assert!(attempt(at(SHUT_SECONDS)).is_ok());
}

#[test]
fn nobody_has_an_account_before_they_were_enrolled_and_chose_a_passphrase() {
    let b = bench();
    assert!(matches!(b.accounts.sign_in(&b.mei, "", "000000", NOW), Err(AccountError::Missing)));
    let enrolment = b.accounts.enrol(&b.mei, Attested::default(), NOW).unwrap();
    assert_eq!(refused(b.accounts.sign_in(&b.mei, "", "000000", NOW)), Some(Refused::Step));
    let begin = |code: &str, passphrase: &str, now| b.accounts.begin(&b.mei, code, passphrase, now);
    assert_eq!(refused(begin(&enrolment, "short", NOW)), Some(Refused::Passphrase));
    let late = NOW.plus(ENROLMENT_SECONDS);
    assert_eq!(refused(begin(&enrolment, PASSPHRASE, late)), Some(Refused::Code), "a day later");
    assert!(begin(&enrolment.to_uppercase(), PASSPHRASE, NOW).is_ok());
}

#[test]
fn an_account_is_of_no_use_under_another_name_or_to_another_region() {
    let b = bench();
    active(&b);
    let file = b.accounts.path(&b.mei);
    let ana = ActorId::parse("ana").unwrap();
    std::fs::copy(&file, b.accounts.path(&ana)).unwrap();
    assert!(matches!(b.accounts.sign_in(&ana, PASSPHRASE, "000000", NOW), Err(AccountError::Keys(_))));
    // Long words of the plaintext: two letters would turn up in a sealed text by chance.
    let sealed = BASE64.decode(std::fs::read(&file).unwrap().trim_ascii()).unwrap();
    let plain = serde_json::to_vec(&b.accounts.read(&b.mei).unwrap().unwrap()).unwrap();
    let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    for word in [b"\"country\":".as_slice(), b"\"passphrase\":".as_slice()] {
        assert!(holds(&plain, word), "what is sealed has it");
        assert!(!holds(&sealed, word), "sealed");
    }
}
