use super::*;

fn key(name: &str, seed: u8) -> Signer {
    Signer::from_seed(name, &[seed; 32]).unwrap()
}

struct Bench {
    operator: Signer,
    sessions: Signer,
    ended: Arc<Ended>,
    tokens: Tokens,
}

fn bench() -> Bench {
    let (operator, sessions) = (key("demo/operator", 1), key("demo/sessions", 2));
    let ended = Arc::new(Ended::default());
    let keys = (operator.verifier().clone(), sessions.verifier().clone());
    let tokens = Tokens::new("demo", keys.0, keys.1, Arc::clone(&ended));
    Bench { operator, sessions, ended, tokens }
}

fn session() -> Session {
    spiffe::read("demo", "spiffe://demo/service/feed/at/IE").unwrap()
}

fn signed_in(n: u8, since: u64) -> SignedIn {
    SignedIn { id: SessionId::new([n; 16]), since: UnixSeconds(since) }
}

#[test]
fn a_token_ends_on_time_and_is_worth_nothing_when_changed() {
    let Bench { operator, tokens, .. } = bench();
    let token = issue("demo", &session(), UnixSeconds(100), &operator).unwrap();
    assert_eq!(tokens.session(&token, UnixSeconds(99)).unwrap(), session());
    assert_eq!(tokens.session(&token, UnixSeconds(100)), Err(BadToken));
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(changed == token || tokens.session(&changed, UnixSeconds(1)).is_err(), "byte {at}");
    }
    let forged = issue("demo", &session(), UnixSeconds(100), &key("demo/operator", 9)).unwrap();
    assert!(tokens.session(&forged, UnixSeconds(1)).is_err());
}

#[test]
fn a_session_is_over_when_it_was_ended_or_has_expired() {
    let Bench { sessions, ended, tokens, .. } = bench();
    let issue = |n| issue_session("demo", &session(), signed_in(n, 10), UnixSeconds(100), &sessions).unwrap();
    let (one, other) = (issue(1), issue(2));
    assert_eq!(tokens.shown(&one, UnixSeconds(50)).unwrap().signed_in, Some(signed_in(1, 10)));
    // Remembered by now, and still refused from the moment it is ended.
    ended.end(signed_in(1, 10).id, UnixSeconds(100), UnixSeconds(50));
    assert_eq!(tokens.shown(&one, UnixSeconds(50)), Err(BadToken));
    assert!(tokens.shown(&other, UnixSeconds(99)).is_ok());
    assert_eq!(tokens.shown(&other, UnixSeconds(100)), Err(BadToken));
    ended.end_before(UnixSeconds(11));
    assert_eq!(tokens.shown(&other, UnixSeconds(60)), Err(BadToken));
}

#[test]
fn each_key_signs_its_own_kind_of_token_only() {
    let Bench { operator, sessions, tokens, .. } = bench();
    let by_sessions = issue("demo", &session(), UnixSeconds(100), &sessions).unwrap();
    assert!(tokens.shown(&by_sessions, UnixSeconds(1)).is_err(), "no session, by the session key");
    let by_operator =
        issue_session("demo", &session(), signed_in(1, 10), UnixSeconds(100), &operator).unwrap();
    assert!(tokens.shown(&by_operator, UnixSeconds(11)).is_err(), "a session, by the operator");
}

#[test]
fn no_session_lives_longer_than_twelve_hours() {
    let Bench { sessions, tokens, .. } = bench();
    let until = |seconds| UnixSeconds(10 + seconds);
    let issued = |at| issue_session("demo", &session(), signed_in(1, 10), until(at), &sessions);
    assert!(issued(SESSION_SECONDS_MAX).is_ok());
    assert_eq!(issued(SESSION_SECONDS_MAX + 1), Err(BadToken));
    let long =
        format!("{}session {}\nsince 10\n", text("demo", &session(), until(50_000)), signed_in(1, 10).id);
    assert!(tokens.shown(&sign(&long, &sessions).unwrap(), UnixSeconds(11)).is_err(), "signed all the same");
}

#[test]
fn a_token_of_another_programme_or_of_another_form_is_refused() {
    let Bench { sessions, operator, tokens, .. } = bench();
    let other = issue("other", &session(), UnixSeconds(100), &operator).unwrap();
    assert!(tokens.shown(&other, UnixSeconds(1)).is_err());
    let id = signed_in(1, 10).id;
    let base = text("demo", &session(), UnixSeconds(100));
    for bad in [
        format!("{base}session {id}\n"),
        format!("{base}since 10\nsession {id}\n"),
        format!("{base}session {id}\nsince 10\nmore 1\n"),
        format!("{base}session {id}\nsince -1\n"),
        format!("{base}session short\nsince 10\n"),
        format!("{base}\n"),
        base.replace("v1", "v2"),
    ] {
        for key in [&sessions, &operator] {
            let token = sign(&bad, key).unwrap_or_default();
            assert!(tokens.shown(&token, UnixSeconds(11)).is_err(), "{bad:?}");
        }
    }
    for garbage in ["", "A", "....", &"A".repeat(5000)] {
        assert!(tokens.shown(garbage, UnixSeconds(1)).is_err());
    }
}
