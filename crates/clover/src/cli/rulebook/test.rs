//! `clover rulebook test`: the stories of a folder against the policies of a rulebook.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use model::Problems;
use policy::stories::{Stories, Told};
use serde_json::json;

use super::Output;
use crate::error::CommandError;
use crate::{assemble, layout::Layout};

/// No file of stories comes near it.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Exit code when a story ends otherwise than it should.
const FAILED: u8 = 1;

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The rulebook's folder; the enclave's own if not given.
    folder: Option<PathBuf>,
    /// The folder of stories, `*.toml`; `tests` beside the rulebook's folder if not given.
    #[arg(long, value_name = "DIR")]
    tests: Option<PathBuf>,
}

impl Test {
    pub(super) fn run(&self, layout: &Layout, output: &Output) -> Result<ExitCode> {
        let folder = self.folder.clone().unwrap_or_else(|| layout.rulebook());
        let book = crossing::rulebook::check(&assemble::read_files(&folder)?)?;
        let engine = policy::Engine::new(&book)?;
        let tests = self.tests.clone().unwrap_or_else(|| beside(&folder));
        let mut text = String::new();
        let (mut count, mut failures) = (0, Vec::new());
        for stories in read(&tests)? {
            let told = stories.tell(&engine);
            let right = told.iter().filter(|t| t.is_right()).count();
            let _ = writeln!(text, "{}: {right} of {}", stories.file, told.len());
            count += told.len();
            for wrong in told.into_iter().filter(|t| !t.is_right()) {
                failure(&mut text, &wrong);
                failures.push(json!({
                    "file": stories.file,
                    "name": wrong.name,
                    "expected": { "outcome": wrong.expected.outcome, "by": wrong.expected.by },
                    "got": { "outcome": wrong.got.outcome, "by": wrong.got.by },
                    "errors": wrong.errors,
                }));
            }
        }
        let verdict = match failures.len() {
            0 => format!("all {count} stories end as told"),
            wrong => format!("{wrong} of {count} stories end otherwise than told"),
        };
        text.push_str(&verdict);
        output.data(&text, &json!({ "stories": count, "failures": failures }));
        Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

pub(super) fn beside(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).with_file_name("tests")
}

fn failure(text: &mut String, told: &Told) {
    let _ = writeln!(text, "  {}", told.name);
    let _ = writeln!(text, "    expected {}", told.expected);
    let error = if told.errors { ", and something could not be evaluated" } else { "" };
    let _ = writeln!(text, "    got      {}{error}", told.got);
}

/// The stories of every file of a folder, in the order of names.
fn read(folder: &Path) -> Result<Vec<Stories>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(CommandError::file(folder))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut all, mut problems) = (Vec::new(), Problems::default());
    if paths.is_empty() {
        problems.add(folder.display().to_string(), "there is no story", "see docs/formats/stories.md");
    }
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if std::fs::metadata(&path).map_err(CommandError::file(&path))?.len() > FILE_BYTES_MAX {
            problems.add(name, format!("it has more than {FILE_BYTES_MAX} bytes"), "split it");
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
        match Stories::parse(&name, &text) {
            Ok(stories) => all.push(stories),
            Err(found) => problems.extend(found),
        }
    }
    Ok(problems.or(all)?)
}
