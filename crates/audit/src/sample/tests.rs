use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use super::{detail::tests::record, *};
use crate::{
    cosign::KeyKind,
    testsite::{ORIGINS, SITE, TestSite, small_logs, vkey},
};

const KEY: [u8; 32] = [5; 32];

fn payload(index: usize) -> Vec<u8> {
    format!("{{\"video\":\"v{index}\",\"likes\":3}}").into_bytes()
}

/// A site whose entries of the first gateway all have details.
fn site(change: &dyn Fn(usize, Vec<u8>) -> Vec<u8>) -> (TestSite, Vec<Vec<u8>>) {
    let mut logs = small_logs();
    let mut details = Vec::new();
    for (index, small) in logs[0].iter_mut().enumerate() {
        let payload = change(index, payload(index));
        let actor = json!({"actor": "a1", "content": blake3::hash(&payload).to_hex().as_str()});
        let detail = record(&small.flow, &KEY, actor.to_string().as_bytes(), (index % 3) as u32);
        small.detail = sha256(&detail);
        small.bytes = payload.len() as u64;
        details.push(detail);
    }
    let site = TestSite::new(logs);
    site.publish_site(&[]);
    (site, details)
}

fn opened(site: &TestSite) -> (Request, MirroredLog) {
    let mirror = Site::open(site.folder.path(), &vkey(SITE)).unwrap();
    let state = mirror.state().unwrap();
    let log = mirror.open_log(state.gateway(ORIGINS[0]).unwrap()).unwrap();
    let request = Request::new(&mirror, &state, &log, 20).unwrap().unwrap();
    (request, log)
}

fn lines(request: &Request, details: &[Vec<u8>], change: &dyn Fn(usize, Vec<u8>) -> Vec<u8>) -> Vec<Value> {
    let line = |index: u64| {
        let place = index as usize;
        json!({"index": index, "detail": BASE64.encode(&details[place]), "entry_key": BASE64.encode(&KEY),
            "payload": BASE64.encode(&change(place, payload(place)))})
    };
    request.choice().into_iter().map(line).collect()
}

fn answer(lines: &[Value]) -> Vec<u8> {
    lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}

fn same(_: usize, payload: Vec<u8>) -> Vec<u8> {
    payload
}

#[test]
fn an_honest_answer_is_opened_and_checked_to_the_last_byte() {
    let (site, details) = site(&same);
    let (request, log) = opened(&site);
    let report = request.check(&log, &answer(&lines(&request, &details, &same))).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    let chosen = request.choice().len() as u64;
    assert!(chosen > 15);
    assert_eq!((report.chosen, report.opened, report.payloads_checked), (chosen, chosen, chosen));
}

#[test]
fn every_lie_of_an_answer_is_a_finding() {
    let (site, details) = site(&same);
    let (request, log) = opened(&site);
    let honest = lines(&request, &details, &same);
    let lie = |name: &str, change: &dyn Fn(&mut Vec<Value>)| {
        let mut lines = honest.clone();
        change(&mut lines);
        let report = request.check(&log, &answer(&lines)).unwrap();
        assert!(!report.findings.is_empty(), "{name}");
        report
    };
    lie("left out", &|lines| {
        lines.remove(3);
    });
    lie("twice", &|lines| {
        let line = lines[3].clone();
        lines.push(line);
    });
    lie("not asked for", &|lines| lines[3]["index"] = 899.into());
    lie("another detail", &|lines| lines[3]["detail"] = lines[4]["detail"].clone());
    lie("another key", &|lines| lines[3]["entry_key"] = BASE64.encode(&[6; 32]).into());
    lie("another payload", &|lines| lines[3]["payload"] = BASE64.encode(b"{}").into());
    lie("no detail", &|lines| {
        lines[3].as_object_mut().unwrap().remove("detail");
    });
    lie("an unknown member", &|lines| lines[3]["more"] = 1.into());
    let mut lines = honest.clone();
    lines[3].as_object_mut().unwrap().remove("payload");
    let report = request.check(&log, &answer(&lines)).unwrap();
    assert_eq!((report.not_held, report.findings.len()), (1, 0));
}

#[test]
fn restricted_data_in_a_payload_is_found_and_not_repeated() {
    let leak = |_: usize, _: Vec<u8>| br#"{"name":"ann@example.ie"}"#.to_vec();
    let (site, details) = site(&leak);
    let (request, log) = opened(&site);
    let report = request.check(&log, &answer(&lines(&request, &details, &leak))).unwrap();
    assert_eq!(report.findings.len() as u64, report.chosen);
    assert!(report.findings[0].contains("mail addresses 1") && !report.findings[0].contains("ann"));
}

#[test]
fn another_checkpoint_chooses_other_entries() {
    let (site, _) = site(&same);
    let (mut request, _) = opened(&site);
    let first = request.choice();
    assert!(first.iter().all(|index| *index < request.to));
    request.root[0] ^= 1;
    assert_ne!(first, request.choice());
}

#[test]
fn the_site_is_asked_with_a_note_that_the_auditor_signed() {
    let (site, details) = site(&same);
    let (request, _) = opened(&site);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let body = answer(&lines(&request, &details, &same));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !String::from_utf8_lossy(&asked).contains("— auditor.t ") || !asked.ends_with(b"\n") {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap();
            asked.extend(&buffer[..count]);
            if count == 0 {
                break;
            }
        }
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(&body).unwrap();
        String::from_utf8(asked).unwrap()
    });
    let auditor = SigningKey::from_seed("auditor.t", KeyKind::Auditor, &[8; 32]).unwrap();
    let options = SampleOptions {
        mirror: site.folder.path().into(),
        base,
        certificates: None,
        site: vkey(SITE),
        gateway: Some(ORIGINS[0].into()),
        count: 20,
    };
    let reports = run_sample(&options, &auditor).unwrap();
    assert_eq!((reports.len(), reports[0].findings.len()), (1, 0));
    let asked = server.join().unwrap();
    assert!(asked.starts_with("POST /samples HTTP/1.1\r\n"), "{asked}");
    let (_, note) = asked.split_once("\r\n\r\n").unwrap();
    let key = VerifierKey::parse(&auditor.vkey()).unwrap();
    assert_eq!(crate::note::open(note.as_bytes(), &[&key]).unwrap(), request.text());
}
