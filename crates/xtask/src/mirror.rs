//! The end of the demo: what an outsider proves from the mirror alone, and what a person is given.

use anyhow::Result;
use xtask::story::Crossing;
use xtask::world::{World, clover};

use crate::lines;

/// Checks on the mirror's folder, with no access to the site.
pub(crate) fn checks(world: &World) -> Result<Vec<Crossing>> {
    let held = world.layout.mirror().join("held").display().to_string();
    let policy = world.layout.policy().display().to_string();
    let keys = ["--operator-vkey", "operator", "--auditor-vkey", "auditor"];
    let site = ["--mirror", &held, "--site-vkey", "site"];
    let one = |what, expected, arguments: &[&str], telling: &[&str]| -> Result<Crossing> {
        let (code, said) = world.audit_with(arguments)?;
        let happened = lines(&said, |l| telling.iter().any(|t| l.starts_with(t)));
        Ok(Crossing { what, expected, happened, status: 0, entry: None, as_expected: code == Some(0) })
    };
    Ok(vec![
        one(
            "all logs are checked, and what they say of one another: rounds, uses of keys, day maps, cosignatures",
            "no finding",
            &[&["verify"], &site[..], &keys, &["--policy", &policy]].concat(),
            &["rounds", "releases", "cosigners", "finding["],
        )?,
        one(
            "every decision is made again from the recorded facts, under the rulebook that its entry names",
            "the same decisions",
            &[&["replay"], &site[..], &keys].concat(),
            &["decisions", "distinct", "findings", "finding["],
        )?,
        one(
            "the map from people's tags to entries is built again",
            "the map on record",
            &[&["map"], &site[..]].concat(),
            &["20", "findings", "finding["],
        )?,
    ])
}

/// Two people's histories: one who was looked at, and one who was not.
pub(crate) fn histories(world: &World) -> Result<Vec<Crossing>> {
    let policy = world.layout.policy().display().to_string();
    let one = |what, expected, person: usize, wanted: &dyn Fn(&str) -> bool| -> Result<Crossing> {
        let file = world.layout.root().join(format!("history-{person}.json")).display().to_string();
        let subject = world.subject(person)?;
        clover(&world.layout, &["subject", "history", "--subject", subject, "--out", &file])?;
        let check = ["verify-history", "--history", &file, "--site-vkey", "site", "--policy", &policy];
        let (code, said) = world.audit_with(&check)?;
        let happened = lines(&said, |l| l.starts_with("with") || l.starts_with("finding"));
        let as_expected = code == Some(0) && wanted(&said);
        Ok(Crossing { what, expected, happened, status: 0, entry: None, as_expected })
    };
    Ok(vec![
        one("the person of the story gets a file and checks it", "every crossing proved", 0, &|said| {
            said.contains("answer for support") && said.contains("import")
        })?,
        one("somebody whom nobody looked at gets one too", "the import, and nothing else", 40, &|said| {
            said.contains("1 entries in all")
        })?,
    ])
}
