//! Generalised values, epochs of pseudonyms, tokens that are opened inside, prose, and what a release gives away.

use crossing::inside::{Opening, Recipient};
use ledger::facts::{Risk, RiskVerdict, risk};

use super::*;

const JSON: &str = "application/json";

#[test]
fn a_value_leaves_as_its_class_where_policy_and_lane_say_generalised() {
    let world = World::new(
        r#"treatments = ["generalised"]
        [lane.generalise]
        "shop.order.born" = "years:10"
        "shop.order.address" = "network"
        "shop.order.place" = "cell:2"
        "shop.order.program" = "agent""#,
    );
    let body = r#"[{"born":"1987-05-06","address":"192.0.2.77","place":"48.137154, 11.576124","program":"Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126.0.6478.71","handle":"ann"},
        {"born":"ask Ann","address":7,"place":null,"program":"my own","handle":"bob"}]"#;
    let released = world.released(By::Grant("acme-apac"), JSON, body).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&released).unwrap();
    assert_eq!(
        rows[0],
        serde_json::json!({"born":"1980-1989","address":"192.0.2.0/24","place":"48.13,11.57","program":"Chrome Android"}),
        "what policy lets nobody have generalised stays"
    );
    assert_eq!(
        rows[1],
        serde_json::json!({"born":"***","address":"***","place":null,"program":"Other Other"})
    );
}

#[test]
fn a_lane_that_accepts_a_form_is_not_thereby_permitted_it() {
    let world = World::new(r#"treatments = ["generalised", "masked"]"#);
    let refused = world.released(By::Flow, JSON, r#"[{"handle":"ann","state":"open"}]"#).unwrap_err();
    assert_eq!(refused, Reason::Policy, "a flow's fields cross plain or pseudonymised, or not");
}

fn token(text: &str) -> String {
    text.split('"').find(|t| t.starts_with("t1.") || t.starts_with("s1.")).unwrap().to_owned()
}

fn handle_at(world: &World, by: By, days: u64) -> String {
    let said = Said { content_type: Some(JSON), coding: None };
    let now = UnixSeconds(NOW.0 + days * 86_400);
    token(&payload_of(world.run(by, now, said, br#"[{"handle":"@Ann"}]"#).unwrap()))
}

#[test]
fn tokens_are_of_the_epoch_of_their_entry_and_of_one_recipient() {
    let world = World::new("");
    let apac = By::Grant("acme-apac");
    let of = |days| handle_at(&world, apac, days);
    assert!(of(0).starts_with("t1.1.") && of(90).starts_with("t1.2."), "the first began with the enclave");
    assert_eq!(of(0), of(89), "within an epoch one recipient joins its own");
    assert_ne!(of(0).rsplit_once('.'), of(90).rsplit_once('.'), "not across epochs");
    assert!(of(90 * 7).starts_with("t1.8."));
    let other = handle_at(&world, By::Grant("acme-cn"), 0);
    assert_ne!(of(0).rsplit_once('.').unwrap().1, other.rsplit_once('.').unwrap().1);
}

fn opening(field: &str, employer: &str, tokens: &[String]) -> Opening {
    Opening {
        lane: name("orders"),
        field: format!("shop.order.{field}"),
        recipient: Recipient::Employer(name(employer)),
        purpose: Purpose::Support,
        epoch: None,
        tokens: tokens.to_vec(),
    }
}

#[test]
fn a_token_that_a_lane_declares_opens_inside_for_its_own_recipient_until_its_epoch_ends() {
    let world = World::new(
        r#"[lane.reversible]
        "shop.order.handle" = "token"
        "shop.order.account" = "luhn""#,
    );
    let by = By::Grant("acme-apac");
    let body = r#"[{"handle":"@Ann","account":"4111 1111 1111 1111"},{"handle":"bob","account":"12 34"}]"#;
    let released = world.released(by, JSON, body).unwrap();
    let rows: serde_json::Value = serde_json::from_str(&released).unwrap();
    let text = |row: usize, key: &str| rows[row][key].as_str().unwrap().to_owned();
    let (ann, number) = (text(0, "handle"), text(0, "account"));
    assert!(ann.starts_with("s1.1.") && number.len() == 19 && number != "4111 1111 1111 1111", "{released}");
    assert!(text(1, "account").starts_with("t1."), "what has not the form gets a token that nobody opens");
    let open = |field: &str, employer: &str, token: &String, now: UnixSeconds| {
        world.road.open_tokens(&opening(field, employer, std::slice::from_ref(token)), now).remove(0)
    };
    assert_eq!(
        open("handle", "acme-apac", &ann, NOW).as_deref(),
        Some("ann"),
        "in the spelling that tokens are made of"
    );
    assert_eq!(open("account", "acme-apac", &number, NOW), None, "a number does not tell of its epoch");
    let of_epoch = |epoch, employer| {
        let asked = opening("account", employer, std::slice::from_ref(&number));
        world.road.open_tokens(&Opening { epoch: Some(epoch), ..asked }, NOW).remove(0)
    };
    assert_eq!(of_epoch(1, "acme-apac").as_deref(), Some("4111 1111 1111 1111"));
    assert_eq!(of_epoch(99_000, "acme-apac"), None, "an epoch that is far ahead");
    let other = of_epoch(1, "acme-cn");
    assert!(
        other.is_some_and(|other| other != "4111 1111 1111 1111"),
        "it authenticates nothing, as the docs say"
    );
    assert_eq!(open("handle", "acme-cn", &ann, NOW), None, "another recipient's");
    assert_eq!(open("account", "acme-apac", &ann, NOW), None, "another field's");
    assert_eq!(open("state", "acme-apac", &ann, NOW), None, "no lane declares it");
    let later = |days: u64| UnixSeconds(NOW.0 + days * 86_400);
    assert!(open("handle", "acme-apac", &ann, later(90 * 5 - 1)).is_some(), "four epochs are kept");
    assert_eq!(open("handle", "acme-apac", &ann, later(90 * 5)), None, "and no fifth");
}

#[test]
fn prose_stays_inside_unless_its_lane_says_so_and_then_takes_the_slow_lane() {
    let note = "[{\"note\":\"Please call Anna Kowalska or write to ann@example.org\",\"state\":\"open\"}]";
    let closed = World::new("");
    assert_eq!(closed.released(By::Flow, JSON, note).unwrap(), "[{\"note\":\"***\",\"state\":\"open\"}]");
    let open = World::new("free_text = { value_bytes_max = 80, minute_bytes_max = 100 }");
    let released = open.released(By::Flow, JSON, note).unwrap();
    assert!(released.contains("call ***") && released.contains("write to ***"), "{released}");
    assert!(["Anna", "Kowalska", "example"].iter().all(|name| !released.contains(name)), "{released}");
    assert_eq!(open.released(By::Flow, JSON, note), Err(Reason::Limit), "enough for this minute");
    let long = format!("[{{\"note\":\"{}\"}}]", "word ".repeat(20));
    assert_eq!(
        open.released(By::Flow, JSON, &long).unwrap(),
        "[{\"note\":\"***\"}]",
        "too long to be let through"
    );
    let strict =
        World::new("free_text = { value_bytes_max = 80, minute_bytes_max = 100, findings = \"refuse\" }");
    assert_eq!(strict.released(By::Flow, JSON, note), Err(Reason::Finding));
    assert_eq!(
        strict.released(By::Flow, JSON, "[{\"note\":\"no remarks\"}]").unwrap(),
        "[{\"note\":\"no remarks\"}]"
    );
}

#[test]
fn what_fields_or_elements_make_together_is_masked_in_each_of_them() {
    let world = World::new("");
    let cut = r#"[{"state":"open","line1":"ann@exa","line2":"mple.org","handle":"h"},{"line1":"ann@exa"},{"line2":"mple.org"}]"#;
    let masked = r#"[{"state":"open","line1":"***","line2":"***","handle":"h"},{"line1":"ann@exa"},{"line2":"mple.org"}]"#;
    assert_eq!(world.released(By::Flow, JSON, cut).unwrap(), masked, "of one row only");
    let table = world.released(By::Flow, "text/csv", "line1,line2,state\nann@exa,mple.org,open\n").unwrap();
    assert_eq!(table, "line1,line2,state\n***,***,open\n");
    let arrays = World::changed("", |lane| {
        lane.replace("/*/state\"", "/*/states/*\"")
            .replace(r#"["json", "ndjson", "csv", "form", "multipart"]"#, r#""json""#)
    });
    let cut = r#"[{"states":["new","DE8937040","0440532","013000","open"]},{"states":["4111","1111","1111","1111",7]}]"#;
    let masked = r#"[{"states":["new","***","***","***","open"]},{"states":["***","***","***","***",7]}]"#;
    assert_eq!(arrays.released(By::Flow, JSON, cut).unwrap(), masked);
    let beside = r#"[{"states":["DE89370400440532","013000 ask a@b.org"]}]"#;
    assert_eq!(
        arrays.released(By::Flow, JSON, beside).unwrap(),
        r#"[{"states":["***","***"]}]"#,
        "also beside another"
    );
    let strict = World::new("findings = \"refuse\"");
    let refused = strict.released(By::Flow, JSON, r#"[{"line1":"+47 22 12","line2":" 34 56"}]"#);
    assert_eq!(refused, Err(Reason::Finding));
    assert!(strict.released(By::Flow, JSON, r#"[{"line1":"22 12","line2":" 34 56"}]"#).is_ok());
}

#[test]
fn a_release_whose_pseudonyms_can_be_undone_is_refused_where_plain_was_not_permitted() {
    let world = World::new(
        r#"treatments = ["plain", "pseudonymised"]
        [lane.risk]
        k = 5
        [lane.risk.roles]
        "shop.order.handle" = "token"
        "shop.order.place" = "content"
        "shop.order.program" = "quasi""#,
    );
    let rows = |place: &dyn Fn(usize) -> String| {
        let row = |n: usize| format!(r#"{{"handle":"user{n}","place":"{}","program":"a"}}"#, place(n));
        format!("[{}]", (0..20).map(row).collect::<Vec<_>>().join(","))
    };
    let by = By::Grant("acme-apac");
    let alike = world.released(by, JSON, &rows(&|_| "https://example.org/all".to_owned()));
    assert!(alike.is_ok(), "{alike:?}");
    let own = world.released(by, JSON, &rows(&|n| format!("https://example.org/of/user{n}/{n}")));
    assert_eq!(own, Err(Reason::Finding), "each token stands beside a link of its own");
    let said = Said { content_type: Some(JSON), coding: None };
    let told = |body: String| risk(&facts_of(world.run(by, NOW, said, body.as_bytes()))).unwrap().unwrap();
    let verdict = RiskVerdict::Holds;
    let good = Risk { verdict, asked: 5, k: 20, l: 0, unique_micro: 0, linkable: false };
    assert_eq!(told(rows(&|_| "https://example.org/all".to_owned())), good, "the entry says it");
    let bad = Risk { verdict: RiskVerdict::Plain, linkable: true, ..good };
    assert_eq!(told(rows(&|n| format!("https://example.org/of/user{n}/{n}"))), bad, "and why it was refused");
    let alone = told(r#"[{"program":"a"},{"program":"a"},{"program":"b"}]"#.to_owned());
    assert_eq!((alone.verdict, alone.k, alone.unique_micro), (RiskVerdict::Weak, 1, 333_334));
}
