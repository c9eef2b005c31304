//! The demo of the SQL gateway: three people with `psql`, and the list of the person whose rows were seen.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xtask::story::{Crossing, case_wanted, granted};
use xtask::tables::{Desk, Tables};
use xtask::world::{World, at};

use super::Demo;
use super::show::Show;

const DATASET: &str = "video";

/// What a statement should come to: lines that are right, or words of a refusal.
type Right<'a> = &'a dyn Fn(&Result<Vec<String>, String>) -> bool;

struct Dialogue<'a> {
    show: &'a Show,
    crossings: Vec<Crossing>,
}

impl Dialogue<'_> {
    /// Somebody asks a statement, as they see it, and its receipt behind it.
    fn ask(
        &mut self,
        desk: &Desk,
        statement: &str,
        what: &'static str,
        expected: &'static str,
        right: Right<'_>,
    ) -> Result<()> {
        let seen = desk.psql(DATASET, &["-P", "pager=off", "-c", statement])?;
        let texts = [&seen.stdout, &seen.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        self.show.dialogue(&desk.user, statement, texts.concat().trim_end());
        let both = desk.psql(DATASET, &["-qAt", "-c", statement, "-c", "show clover.last_receipt"])?;
        let told = String::from_utf8(both.stdout)?;
        let mut lines: Vec<String> = told.lines().map(str::to_owned).collect();
        let said = String::from_utf8_lossy(&both.stderr).into_owned();
        let receipt = if seen.status.success() { lines.pop() } else { None };
        let entry =
            receipt.as_deref().and_then(|r| r.strip_prefix("entry ")?.split(' ').next()?.parse().ok());
        // A refusal says its entry itself.
        let entry = entry.or_else(|| said.rsplit_once("(entry ")?.1.split(')').next()?.parse().ok());
        let answer = if seen.status.success() { Ok(lines) } else { Err(said) };
        let as_expected = right(&answer);
        let happened = match answer {
            Ok(lines) => format!("{} rows", lines.len()),
            Err(said) => said.lines().next().unwrap_or_default().to_owned(),
        };
        let crossing = Crossing { what, expected, happened, status: 0, entry, as_expected };
        self.show.crossing(&crossing);
        self.crossings.push(crossing);
        Ok(())
    }
}

/// Plays it. Whether all was as expected.
pub(super) async fn play(demo: &Demo, folder: &Path, show: &Show) -> Result<bool> {
    let mut world = World::create(folder, demo.people, 7, |step| show.step(step)).await?;
    show.step("a service's own tables in PostgreSQL, prepared once with `clover sql setup`, and a SQL gateway before them");
    let tables = Tables::join(&mut world)?;
    let (first, second) = (world.subject(0)?.to_owned(), world.subject(1)?.to_owned());
    let aoife = world.colleague("aoife", "IE", at::DUBLIN)?;
    let ana = world.colleague("ana", "IE", at::DUBLIN)?;
    let mei = world.colleague("mei", "SG", at::SINGAPORE)?;
    world.colleague("gro", "US", at::OREGON)?;
    let grant = json!({
        "id": "G-7", "ground": "grant", "purpose": "support", "case": "T-7", "dataset": DATASET, "seconds": 7200,
        "amount": { "rows": 500, "bytes": 1_000_000, "subjects": 100 },
    });
    granted(&ana, &grant, &[&aoife]).await?;
    granted(&mei, &case_wanted("C-7", &first, 7200), &[&aoife]).await?;
    let mut dialogue = Dialogue { show, crossings: Vec::new() };
    dialogue.agent(&tables.desk("ana", "IE", at::DUBLIN, "G-7").await?)?;
    dialogue.engineer(&tables.desk("mei", "SG", at::SINGAPORE, "C-7").await?)?;
    dialogue.analyst(&tables.desk("gro", "US", at::OREGON, "research").await?)?;
    show.chapter("The person's own list");
    let both = [
        ("the person of the case", &first, true),
        ("somebody of whom only all together were asked", &second, false),
    ];
    for (whose, handle, names) in both {
        let crossing = listed(&world, whose, handle, names).await?;
        show.crossing(&crossing);
        dialogue.crossings.push(crossing);
    }
    let crossings = dialogue.crossings;
    world.published()?;
    world.stop()?;
    let copy = folder.join("for-the-auditor");
    super::copy_tree(&world.ledger(), &copy)?;
    let checked = super::honest(&world, &copy)?;
    show.chapter("The auditor checks the written ledger from its files alone");
    show.crossing(&checked);
    let right = checked.as_expected && crossings.iter().all(|c| c.as_expected);
    show.summary(&crossings, &world);
    Ok(right)
}

type Answer = Result<Vec<String>, String>;

/// Right if it is refused with these words.
fn against(words: &'static str) -> impl Fn(&Answer) -> bool {
    move |answer| answer.as_ref().is_err_and(|said| said.contains(words))
}

/// Right if there are so many rows, each of which begins so.
fn each(count: usize, begin: &'static str) -> impl Fn(&Answer) -> bool {
    move |answer| {
        answer.as_ref().is_ok_and(|rows| rows.len() == count && rows.iter().all(|row| row.starts_with(begin)))
    }
}

impl Dialogue<'_> {
    fn agent(&mut self, desk: &Desk) -> Result<()> {
        self.show.chapter("An agent in Dublin, with a grant on videos");
        self.ask(
            desk,
            "select video_id, review_state, reason, owner from video_status where video_id = 1000000",
            "one video, row by row, with the person's column",
            "in plain, but for whose it is; the person is named on the ledger",
            &each(1, "1000000|held|a reviewer looks at it|t1."),
        )?;
        self.ask(
            desk,
            "select uploader_ip from video_status",
            "a column that the rulebook does not declare",
            "it does not exist",
            &against("does not exist"),
        )?;
        self.ask(
            desk,
            "explain analyze select * from video_status",
            "a plan, which would count rows that are hidden",
            "refused, and on the ledger",
            &against("EXPLAIN is not possible"),
        )
    }

    fn engineer(&mut self, desk: &Desk) -> Result<()> {
        self.show.chapter("An engineer in Singapore, with a case about one person");
        self.ask(
            desk,
            "select video_id, review_state, visibility from video_status order by 1",
            "that person's videos",
            "three rows, and nobody else's",
            &each(3, "100000"),
        )?;
        self.ask(
            desk,
            "select count(*) from video_status where owner is null or video_id > 1000002",
            "whether there are others",
            "none that the case shows",
            &each(1, "0"),
        )
    }

    fn analyst(&mut self, desk: &Desk) -> Result<()> {
        self.show.chapter("An analyst in the United States, without a grant: numbers, and no rows");
        let states = "select review_state, count(distinct owner) from video_status group by review_state";
        self.ask(
            desk,
            states,
            "how many people have a video in which state",
            "numbers with noise",
            &Answer::is_ok,
        )?;
        self.ask(desk, states, "the same question again", "the same answer, free of charge", &Answer::is_ok)?;
        let rows = "select owner, review_state from video_status";
        self.ask(desk, rows, "rows", "refused, with what is possible", &against("possible is"))?;
        for statement in [
            "select count(distinct owner) from video_status where visibility = 'everyone'",
            "select count(*) from video_status",
            "select visibility, count(*) from video_status group by visibility",
        ] {
            self.ask(desk, statement, "another question", "numbers with noise", &Answer::is_ok)?;
        }
        self.ask(
            desk,
            "select count(distinct owner) from video_status where review_state = 'removed'",
            "a fifth question",
            "refused: the budget of thirty days is spent",
            &against("no more may be learned"),
        )
    }
}

/// What somebody reads of themselves: whether rows of the SQL gateway are in it.
async fn listed(world: &World, whose: &'static str, handle: &str, names: bool) -> Result<Crossing> {
    let person = world.caller("subject", handle, Some("IE"), at::DUBLIN)?;
    world.published()?;
    let answer = person.get("/v1/me/crossings", &[]).await?;
    let list = answer.json();
    let all = list.get("crossings").and_then(Value::as_array).context("no list")?;
    let rows = all.iter().filter(|c| c.to_string().contains("\"video\"")).count();
    let as_expected = (rows > 0) == names;
    let expected = if names { "the rows that were seen" } else { "nothing of it" };
    let happened = format!("{} crossings, {rows} of them of videos", all.len());
    Ok(Crossing { what: whose, expected, happened, status: 0, entry: answer.receipt(), as_expected })
}
