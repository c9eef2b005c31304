//! The story that the demo tells: who asks for what from where, what should happen, and what did.

use anyhow::{Context, Result};
use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::world::{World, at, clover};

/// One crossing of the story.
#[derive(Debug, serde::Serialize)]
pub struct Crossing {
    /// What somebody tries.
    pub what: &'static str,
    /// What should happen.
    pub expected: &'static str,
    /// What did.
    pub happened: String,
    /// The HTTP status.
    pub status: u16,
    /// The entry that records it, if anybody was there to record.
    pub entry: Option<u64>,
    /// Whether the two agree.
    pub as_expected: bool,
}

/// Everybody who asks.
struct Cast {
    ana: Client,
    ana_abroad: Client,
    mei: Client,
    li: Client,
    partner: Client,
    safety: Client,
    person: Client,
    stranger: Client,
}

const SUPPORT: (&str, &str) = ("clover-purpose", "support");
const RESEARCH: (&str, &str) = ("clover-purpose", "research");
const INTEROP: (&str, &str) = ("clover-purpose", "interoperability");

fn judge(
    what: &'static str,
    expected: &'static str,
    answer: &Answer,
    status: StatusCode,
    check: impl Fn(&Value) -> Result<String, String>,
) -> Crossing {
    let outcome = if answer.status == status {
        check(&answer.json())
    } else {
        Err(format!("{} {}", answer.status.as_u16(), answer.text()))
    };
    let as_expected = outcome.is_ok();
    let happened = outcome.unwrap_or_else(|e| e);
    let status = answer.status.as_u16();
    Crossing { what, expected, happened, status, entry: answer.receipt(), as_expected }
}

fn refused(reason: &'static str) -> impl Fn(&Value) -> Result<String, String> {
    move |body| match body.get("refused").and_then(Value::as_str) {
        Some(r) if r == reason => Ok(format!("refused: {reason}")),
        other => Err(format!("refused for {other:?} instead of {reason}")),
    }
}

fn must(condition: bool, told: impl Into<String>, otherwise: &str) -> Result<String, String> {
    if condition { Ok(told.into()) } else { Err(otherwise.to_owned()) }
}

fn rows(body: &Value) -> &[Value] {
    body.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Cast {
    fn gather(world: &World) -> Result<Self> {
        let employee = |id, country, from| world.caller("employee", id, Some(country), from);
        let service = |id, country, from| world.caller("service", id, Some(country), from);
        Ok(Self {
            ana: employee("ana", "IE", at::DUBLIN)?,
            // The same certificate, shown from an address in another country.
            ana_abroad: employee("ana", "IE", at::BEIJING)?,
            mei: employee("mei", "SG", at::SINGAPORE)?,
            li: employee("li", "CN", at::BEIJING)?,
            partner: service("us-partner", "US", at::OREGON)?,
            safety: service("trust-and-safety", "IE", at::DUBLIN)?,
            person: world.caller("subject", world.subject(0)?, Some("IE"), at::DUBLIN)?,
            stranger: world.stranger(at::NOWHERE)?,
        })
    }
}

/// Has somebody ask for access, and others approve it, each from where they sit.
///
/// # Errors
/// When it is not asked for, or an approval is refused.
pub async fn granted(asker: &Client, wanted: &Value, approvers: &[&Client]) -> Result<()> {
    let asked = asker.post("/access/requests", &[], wanted).await?;
    anyhow::ensure!(asked.status == StatusCode::CREATED, "not asked for: {}", asked.text());
    let id = asked.json().get("id").and_then(Value::as_str).context("a request without a name")?.to_owned();
    for approver in approvers {
        let approved = approver.post(&format!("/access/requests/{id}/approve"), &[], &json!({})).await?;
        anyhow::ensure!(approved.status == StatusCode::OK, "not approved: {}", approved.text());
    }
    Ok(())
}

/// A request for a grant on somebody's whole export for two hours.
#[must_use]
pub fn grant_wanted(id: &str, subject: &str) -> Value {
    json!({
        "id": id, "ground": "grant", "purpose": "support", "case": "T-4711", "dataset": "export", "subject": subject,
        "seconds": 7200, "amount": { "rows": 10_000, "bytes": 10_000_000, "subjects": 1 },
    })
}

/// A request for a support case about somebody's video.
#[must_use]
pub fn case_wanted(id: &str, subject: &str, seconds: u64) -> Value {
    json!({
        "id": id, "ground": "case", "kind": "videoNotShown", "purpose": "support", "case": "T-4712", "dataset": "video",
        "fields": "video-status", "subject": subject, "seconds": seconds,
        "amount": { "rows": 200, "bytes": 1_000_000, "subjects": 1 },
    })
}

/// Has the grant and the cases of the story asked for and approved: `G-1` of ana and `C-1` of mei, both about the first
/// person, and `C-2`, which is over when this returns.
///
/// # Errors
/// When one is not approved.
pub async fn approvals(world: &World) -> Result<()> {
    let subject = world.subject(0)?;
    let aoife = world.colleague("aoife", "IE", at::DUBLIN)?;
    let ana = world.colleague("ana", "IE", at::DUBLIN)?;
    let mei = world.colleague("mei", "SG", at::SINGAPORE)?;
    granted(&ana, &grant_wanted("G-1", subject), &[&aoife]).await?;
    granted(&mei, &case_wanted("C-1", subject, 7200), &[&aoife]).await?;
    granted(&mei, &case_wanted("C-2", subject, 1), &[&aoife]).await?;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while mei.get("/access/requests/C-2", &[]).await?.json().get("state") != Some(&json!("over")) {
        anyhow::ensure!(std::time::Instant::now() < until, "a case of one second is not over after thirty");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Plays the story, once its [`approvals`] are there. `tell` is given each crossing as it happens.
///
/// # Errors
/// When something other than a crossing fails: a process, a file, a connection.
pub async fn play(world: &World, tell: impl FnMut(&Crossing)) -> Result<Vec<Crossing>> {
    play_around(world, tell, || Ok(None)).await
}

/// The same, with something that happens in the middle, and may be told as a crossing is.
///
/// # Errors
/// As [`play`]; what it returns.
pub async fn play_around(
    world: &World,
    mut tell: impl FnMut(&Crossing),
    between: impl FnOnce() -> Result<Option<Crossing>>,
) -> Result<Vec<Crossing>> {
    let cast = Cast::gather(world)?;
    let mut all = Vec::new();
    let mut told = |mut crossings: Vec<Crossing>| {
        crossings.iter().for_each(&mut tell);
        all.append(&mut crossings);
    };
    told(staff(world, &cast).await?);
    told(china(world, &cast).await?);
    told(between()?.into_iter().collect());
    // Connections of before may have ended in between.
    let cast = Cast::gather(world)?;
    told(services(world, &cast).await?);
    told(outsiders(world, &cast).await?);
    told(own(world, &cast).await?);
    Ok(all)
}

async fn staff(world: &World, cast: &Cast) -> Result<Vec<Crossing>> {
    let (subject, other) = (world.subject(0)?, world.subject(1)?);
    let email = world.person(0)?.email.clone();
    let read =
        |subject: &str, fields: &[&str]| json!({ "dataset": "export", "subject": subject, "fields": fields });
    let one = cast
        .ana
        .post("/v1/read", &[SUPPORT, ("clover-grant", "G-1")], &read(subject, &["profile.emailAddress"]))
        .await?;
    let two = cast
        .ana
        .post("/v1/read", &[SUPPORT, ("clover-grant", "G-1")], &read(other, &["profile.emailAddress"]))
        .await?;
    let status = |case, subject| [SUPPORT, ("clover-case", case), ("clover-subject", subject)];
    let three = cast.mei.get("/lanes/video-status", &status("C-1", subject)).await?;
    let four = cast.mei.get("/lanes/video-status", &status("C-1", other)).await?;
    let five = cast.mei.get("/lanes/video-status", &status("C-2", subject)).await?;
    let plain_status = |body: &Value| {
        let first = rows(body).first().ok_or("no video")?;
        let ok = text(first, "review_state") == "held" && first.get("assignee").is_none();
        must(
            ok,
            format!("{} videos; first: held, {}", rows(body).len(), text(first, "reason")),
            "not the status in plain",
        )
    };
    Ok(vec![
        judge(
            "support agent in Dublin, with a grant, reads one person's e-mail",
            "released in plain",
            &one,
            StatusCode::OK,
            |body| {
                let got = rows(body)
                    .first()
                    .and_then(|r| r.pointer("/profile/emailAddress"))
                    .and_then(Value::as_str);
                must(got == Some(email.as_str()), "the e-mail address, in plain", "not that person's e-mail")
            },
        ),
        judge(
            "the same agent tries another person",
            "refused",
            &two,
            StatusCode::FORBIDDEN,
            refused("policy"),
        ),
        judge(
            "engineer in Singapore, on a case, reads that user's video status",
            "released in plain",
            &three,
            StatusCode::OK,
            plain_status,
        ),
        judge(
            "the same engineer tries another user",
            "refused",
            &four,
            StatusCode::FORBIDDEN,
            refused("policy"),
        ),
        judge(
            "the same engineer, after the case's time",
            "refused",
            &five,
            StatusCode::FORBIDDEN,
            refused("evidence"),
        ),
    ])
}

async fn china(world: &World, cast: &Cast) -> Result<Vec<Crossing>> {
    let phone =
        json!({ "dataset": "export", "subject": world.subject(0)?, "fields": ["profile.telephoneNumber"] });
    let one = cast.li.post("/v1/read", &[SUPPORT], &phone).await?;
    let two = cast.li.get("/lanes/public-videos", &[RESEARCH]).await?;
    let three = cast
        .li
        .post("/v1/count", &[RESEARCH], &json!({ "dataset": "export", "by": "profile.accountRegion" }))
        .await?;
    let left = budget(world)?;
    Ok(vec![
        judge(
            "engineer in China asks for a phone number",
            "refused",
            &one,
            StatusCode::FORBIDDEN,
            refused("policy"),
        ),
        judge(
            "engineer in China asks for public videos",
            "refused: the assessment of China names counts only",
            &two,
            StatusCode::FORBIDDEN,
            refused("assessment"),
        ),
        judge(
            "engineer in China asks for users per country",
            "released as an aggregate, with noise that is charged for",
            &three,
            StatusCode::OK,
            |body| {
                let groups = body.get("groups").and_then(Value::as_array).ok_or("no groups")?;
                let large =
                    groups.iter().all(|g| g.get("people").and_then(Value::as_u64).is_some_and(|n| n >= 50));
                let told =
                    format!("{} countries of about 50 people or more; budget of all {left}", groups.len());
                let noisy =
                    body.pointer("/noise/epsilon") == Some(&json!("0.5")) && left == "0.5 spent, 7.5 left";
                must(large && noisy && !groups.is_empty(), told, "a small group, no noise or no charge")
            },
        ),
    ])
}

/// What all recipients have learned of the exports, as `clover budget` tells it.
fn budget(world: &World) -> Result<String> {
    let told: Value =
        serde_json::from_str(&clover(&world.layout, &["--json", "budget", "--dataset", "export"])?)?;
    let budgets = told.get("budgets").and_then(Value::as_array).context("no budgets")?;
    let all =
        budgets.iter().find(|b| b.get("recipient").is_none_or(Value::is_null)).context("no budget of all")?;
    Ok(format!("{} spent, {} left", text(all, "spent"), text(all, "left")))
}

async fn services(world: &World, cast: &Cast) -> Result<Vec<Crossing>> {
    let one = cast.partner.get("/lanes/interop-feed", &[INTEROP]).await?;
    let two = cast.partner.get("/lanes/interop-feed", &[RESEARCH]).await?;
    let signals = json!([{
        "content_id": "7300000000000000001", "category": "spam", "action": "removed",
        "decided_at": "2026-11-21T10:00:00Z", "reporter_email": "someone@example.org",
    }]);
    let three = cast.safety.post("/out/moderation-signals", &[], &signals).await?;
    let hidden = world.person(1)?.email.clone();
    let arrived = world.arrived.lock().map(|a| a.last().cloned()).ok().flatten();
    Ok(vec![
        judge(
            "service in the United States pulls the interoperability feed",
            "listed fields only, findings withheld",
            &one,
            StatusCode::OK,
            |body| {
                let gone = rows(body)
                    .iter()
                    .all(|r| r.get("inferred_age_band").is_none() && r.get("user_id").is_none());
                let note = rows(body).get(1).map(|r| text(r, "note")).unwrap_or_default();
                let clean = !body.to_string().contains(&hidden) && note.contains("***");
                must(
                    gone && clean,
                    format!("{} rows; a hidden e-mail address withheld: `{note}`", rows(body).len()),
                    "something undeclared left",
                )
            },
        ),
        judge(
            "the same service gives another purpose than its flow's",
            "refused",
            &two,
            StatusCode::FORBIDDEN,
            refused("evidence"),
        ),
        judge(
            "service in Dublin sends moderation signals to the United States",
            "delivered, listed fields only",
            &three,
            StatusCode::ACCEPTED,
            |_| {
                let got: Value =
                    arrived.as_deref().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or_default();
                let first = rows(&got).first().ok_or("nothing arrived")?;
                let ok = text(first, "action") == "removed" && first.get("reporter_email").is_none();
                must(
                    ok,
                    "one signal arrived, without the field that nobody declared",
                    "something undeclared left",
                )
            },
        ),
    ])
}

async fn outsiders(world: &World, cast: &Cast) -> Result<Vec<Crossing>> {
    let email =
        json!({ "dataset": "export", "subject": world.subject(0)?, "fields": ["profile.emailAddress"] });
    let one = cast.ana_abroad.post("/v1/read", &[SUPPORT, ("clover-grant", "G-1")], &email).await?;
    let two = cast.li.get("/admin/users", &[RESEARCH]).await?;
    let three = cast.stranger.post("/v1/read", &[SUPPORT], &email).await?;
    Ok(vec![
        judge(
            "the Dublin agent uses grant and certificate from an address in China",
            "refused",
            &one,
            StatusCode::FORBIDDEN,
            refused("policy"),
        ),
        judge(
            "somebody tries a path that no lane has",
            "refused",
            &two,
            StatusCode::NOT_FOUND,
            refused("unknown"),
        ),
        judge(
            "somebody without a credential tries",
            "turned away",
            &three,
            StatusCode::UNAUTHORIZED,
            refused("stranger"),
        ),
    ])
}

/// The person asks what was seen of them; one of the proofs is checked by the auditor's program.
async fn own(world: &World, cast: &Cast) -> Result<Vec<Crossing>> {
    world.published()?;
    let answer = cast.person.get("/v1/me/crossings", &[]).await?;
    let body = answer.json();
    let list = body.get("crossings").and_then(Value::as_array).cloned().unwrap_or_default();
    let email = list.iter().find(|c| {
        c.pointer("/seen/fields/0").and_then(Value::as_str) == Some("export.profile.emailAddress")
            && text(c, "what") == "released"
    });
    let proven = match email {
        Some(crossing) => prove(world, crossing)?,
        None => false,
    };
    let told =
        format!("{} crossings, from the import on; the proof of the e-mail's reading holds", list.len());
    Ok(vec![judge(
        "the person asks what was seen of them",
        "a list with proofs",
        &answer,
        StatusCode::OK,
        |_| must(proven && list.len() >= 5, told.clone(), "the list is short or a proof does not hold"),
    )])
}

/// Checks one proof of a person's list with nothing but the auditor's program and the log's public key.
///
/// # Errors
/// When files or the program cannot be used.
pub fn prove(world: &World, crossing: &Value) -> Result<bool> {
    let folder = world.layout.root().join("proof");
    std::fs::create_dir_all(&folder)?;
    let leaf =
        data_encoding::BASE64.decode(text(crossing, "leaf").as_bytes()).context("the leaf is no base64")?;
    std::fs::write(folder.join("leaf"), leaf)?;
    std::fs::write(folder.join("proof"), text(crossing, "proof"))?;
    let mut command = std::process::Command::new(crate::world::programs()?.join("clover-audit"));
    command
        .arg("verify-proof")
        .arg("--leaf")
        .arg(folder.join("leaf"))
        .arg("--proof")
        .arg(folder.join("proof"));
    command.arg("--log-vkey").arg(world.layout.trust().join("log.vkey"));
    Ok(command.output().context("cannot run `clover-audit`")?.status.success())
}
