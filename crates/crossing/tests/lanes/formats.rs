//! Formats and codings.

use proptest::prelude::*;
use transform::coding::Coding;

use super::*;

const MAIL: &str = "ann@example.org";

fn world() -> &'static World {
    static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
    WORLD.get_or_init(|| World::new(""))
}

fn parts(boundary: &str, parts: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    format!("{}--{boundary}--\r\n", parts.iter().map(part).collect::<String>())
}

#[test]
fn each_format_is_released_as_it_came_without_what_nobody_declared_or_may_have() {
    let flow = "08".repeat(16);
    let sent = parts("ann.larsen", &[("email", MAIL), ("state", &format!("open, write to {MAIL}"))]);
    let left = parts(&flow, &[("state", "open, write to ***")]);
    let multipart = "multipart/form-data; boundary=ann.larsen";
    for (content_type, body, released) in [
        (
            "application/json",
            r#"[{"email":"a@b.org","state":"write to ann@example.org","shoe":43}]"#,
            r#"[{"state":"write to ***"}]"#,
        ),
        (
            "application/x-ndjson; charset=\"UTF-8\"",
            "{\"email\":\"a@b.org\",\"state\":\"open\"}\n{\"state\":\"ann@example.org\",\"shoe\":43}\n",
            "{\"state\":\"open\"}\n{\"state\":\"***\"}\n",
        ),
        (
            "Text/CSV;header=present",
            "email,state,shoe\r\na@b.org,\"open, ann@example.org\",43\r\n",
            // What may not cross leaves its column, and nothing in it.
            "email,state\r\n,\"open, ***\"\r\n",
        ),
        (
            "application/x-www-form-urlencoded",
            "email=a%40b.org&state=to+ann%40example.org&shoe=43",
            "state=to+***",
        ),
        (multipart, &sent, &left),
    ] {
        let treated = world().run(
            By::Flow,
            NOW,
            Said { content_type: Some(content_type), coding: None },
            body.as_bytes(),
        );
        let treated = treated.unwrap_or_else(|refused| panic!("{content_type}: {:?}", refused.reason()));
        assert_eq!(treated.findings(), 1, "{content_type}");
        let media_type = treated.media_type();
        assert_eq!(media_type.split(';').next(), content_type.to_ascii_lowercase().split(';').next());
        assert!(!media_type.contains("ann"), "the boundary that came says what it likes: {media_type}");
        assert_eq!(payload_of(treated), released, "{content_type}");
    }
}

#[test]
fn the_rows_of_a_table_are_treated_and_leave_as_lines() {
    const PARQUET: &str = "application/vnd.apache.parquet";
    let of_tables = World::changed("", |lane| {
        lane.replace(r#"form = ["json", "ndjson", "csv", "form", "multipart"]"#, r#"form = "parquet""#)
    });
    let mut zipped = Vec::new();
    Coding::Zstd.encode(b"a table", &mut zipped).unwrap();
    for (content_type, coding, body) in [
        (Some(PARQUET), None, &b"a table"[..]),
        (None, None, b"a table"),
        (Some(PARQUET), Some("zstd"), &zipped),
    ] {
        let treated = of_tables.run(By::Flow, NOW, Said { content_type, coding }, body).unwrap();
        assert_eq!(treated.media_type(), "application/x-ndjson");
        assert_eq!(payload_of(treated), "{\"state\":\"write to ***\"}\n");
    }
    for (lane, content_type, body) in [
        (&of_tables, PARQUET, "none"),
        (&of_tables, "application/vnd.apache.parquet; charset=latin1", "a table"),
        (&of_tables, "application/x-ndjson", "{}\n"),
        (world(), PARQUET, "a table"),
    ] {
        assert_eq!(
            lane.released(By::Flow, content_type, body),
            Err(Reason::Malformed),
            "{content_type} {body}"
        );
    }
}

#[test]
fn what_the_lane_does_not_declare_or_the_body_is_not_is_refused_with_its_reason() {
    let reason = |lane: &World, content_type: Option<&str>, coding: Option<&str>, body: &[u8]| {
        lane.run(By::Flow, NOW, Said { content_type, coding }, body).map(drop).map_err(|r| r.reason())
    };
    let json = br#"[{"state":"open"}]"#;
    let only = World::changed("", |lane| {
        lane.replace(r#"form = ["json", "ndjson", "csv", "form", "multipart"]"#, "")
            .replace(r#"codings = ["gzip", "br", "zstd"]"#, "")
    });
    assert_eq!(reason(&only, None, None, json), Ok(()), "the rulebook says what it is");
    assert_eq!(reason(world(), None, None, json), Err(Reason::Malformed), "it may be five things");
    let zipped = |coding: Coding| {
        let mut out = Vec::new();
        coding.encode(json, &mut out).unwrap();
        out
    };
    for (lane, content_type, coding, body) in [
        (&only, "text/csv", None, &b"state\nopen\n"[..]),
        (&only, "application/json", Some("zstd"), &zipped(Coding::Zstd)),
        (&only, "application/json", Some("br"), b"\x0b\x02\x80{}\x03"),
        (world(), "text/html", None, b"<p>"),
        (world(), "application/json; charset=iso-8859-1", None, json),
        (world(), "application/json; profile=x", None, json),
        (world(), "text/csv; header=absent", None, b"state\nopen\n"),
        (world(), "text/csv", None, json),
        (world(), "application/json", None, b"state\nopen\n"),
        (world(), "application/x-www-form-urlencoded", None, json),
        (world(), "multipart/form-data", None, json),
        (world(), "multipart/form-data; boundary=b", None, json),
        (world(), "application/json", Some("deflate"), json),
        (world(), "application/json", Some("gzip, gzip"), &zipped(Coding::Gzip)),
        (world(), "application/json", Some("gzip"), json),
        (world(), "application/json", Some("zstd"), &zipped(Coding::Gzip)),
        (world(), "application/json", None, &zipped(Coding::Gzip)),
        (world(), "text/csv", None, b"state\n\xe9t\xe9\n"),
    ] {
        let told = reason(lane, Some(content_type), coding, body);
        assert_eq!(told, Err(Reason::Malformed), "{content_type} {coding:?} {}", body.len());
    }
    // A bomb by its size, and one by its ratio.
    for (coding, size) in [(Coding::Gzip, 200_000), (Coding::Zstd, 90_000), (Coding::Zstd, 200_000)] {
        let mut bomb = Vec::new();
        coding.encode(&vec![b' '; size], &mut bomb).unwrap();
        assert_eq!(
            reason(world(), Some("application/json"), Some(coding.word()), &bomb),
            Err(Reason::Limit),
            "{coding:?} {size}"
        );
    }
    for coding in [Coding::Gzip, Coding::Zstd] {
        assert_eq!(reason(world(), Some("application/json"), Some(coding.word()), &zipped(coding)), Ok(()));
    }
}

/// A value as its format spells it, in a row that has a restricted mail address and the value in a harmless field.
fn spelled(format: usize, value: &str) -> (&'static str, String) {
    let json = serde_json::json!({ "email": MAIL, "state": value });
    let quoted = value.replace('"', "\"\"");
    match format {
        0 => ("application/json", format!("[{json}]")),
        1 => ("application/x-ndjson", format!("{json}\n{json}\n")),
        2 => ("text/csv", format!("email,state\n{MAIL},\"{quoted}\"\n")),
        3 => {
            let hex = |b: u8| format!("%{b:02X}");
            (
                "application/x-www-form-urlencoded",
                format!("state={}", value.bytes().map(hex).collect::<String>()),
            )
        }
        _ => ("multipart/form-data; boundary=xyz", parts("xyz", &[("email", MAIL), ("state", value)])),
    }
}

/// Disguises of a mail address that a harmless field may carry.
fn disguised(kind: usize) -> String {
    use data_encoding::{BASE64, HEXLOWER};
    match kind {
        0 => MAIL.to_owned(),
        1 => MAIL.bytes().map(|b| format!("%{b:02x}")).collect(),
        2 => BASE64.encode(MAIL.as_bytes()),
        3 => HEXLOWER.encode(MAIL.as_bytes()),
        4 => MAIL.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        5 => MAIL.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
        6 => MAIL.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c)).collect(),
        _ => MAIL.chars().flat_map(|c| [c, '\u{200b}']).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_masked_value_survives_a_lane_in_any_disguise_and_the_output_parses(
        // Of letters that make no trace by chance.
        format in 0..5usize, kind in 0..8usize, before in "[b-m]{0,6}", after in "[b-m]{0,6}", decoy in any::<bool>(),
    ) {
        let hidden = disguised(kind);
        // One that is found at once must not keep another from being looked for.
        let decoy = if decoy { "b@c.org " } else { "" };
        let (content_type, body) = spelled(format, &format!("{decoy}{before} {hidden} {after}"));
        let released = world().released(By::Flow, content_type, &body).unwrap();
        for trace in [hidden.as_str(), MAIL, "example", "ann"] {
            prop_assert!(!released.contains(trace), "{content_type} {kind}: {released}");
        }
        prop_assert!(released.contains("***"), "{content_type}: {released}");
        let again = match format {
            4 => "multipart/form-data; boundary=08080808080808080808080808080808",
            _ => content_type,
        };
        let twice = world().released(By::Flow, again, &released);
        prop_assert_eq!(twice.as_deref(), Ok(released.as_str()), "what is released is of its format");
    }

    #[test]
    fn no_head_and_no_body_make_opening_panic(
        kind in prop::sample::select(vec!["application/json", "text/csv", "multipart/form-data", "x"]),
        more in "[ -~]{0,30}|; ?(boundary|charset|header)=\"?[ -~]{0,20}", coding in "[a-z, ]{0,8}|gzip|br|zstd",
        body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let content_type = format!("{kind}{more}");
        let said = Said { content_type: Some(&content_type), coding: Some(&coding) };
        let _ = world().run(By::Flow, NOW, said, &body).map(payload_of);
    }

    #[test]
    fn a_body_is_released_only_if_it_parses_and_then_parses_again(
        format in 0..5usize, text in "[ -~]{0,40}", cut in any::<prop::sample::Index>(),
    ) {
        let (content_type, body) = spelled(format, &text);
        let whole = world().released(By::Flow, content_type, &body);
        prop_assert!(whole.is_ok(), "{content_type}: {body}");
        if let Some(torn) = body.get(..cut.index(body.len())) {
            let again = match format {
                4 => "multipart/form-data; boundary=08080808080808080808080808080808",
                _ => content_type,
            };
            if let Ok(released) = world().released(By::Flow, content_type, torn) {
                prop_assert!(world().released(By::Flow, again, &released).is_ok(), "{content_type}: {released}");
            }
        }
    }
}

#[test]
fn a_table_has_the_same_pseudonyms_as_a_document() {
    let by = By::Grant("acme-apac");
    let token = |text: &str| text.split(['"', '\n', ',']).find(|t| t.starts_with("t1.")).map(str::to_owned);
    let json = world().released(by, "application/json", r#"[{"handle":"@Ann"}]"#).unwrap();
    let csv = world().released(by, "text/csv", "handle,shoe\nann,43\n").unwrap();
    assert!(token(&json).is_some() && !csv.contains("ann"), "{json} {csv}");
    assert_eq!(token(&json), token(&csv));
}
