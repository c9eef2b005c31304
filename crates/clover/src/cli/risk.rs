//! `clover risk`: what a release would give away, measured before it leaves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use transform::csv;
use transform::json::{self, Bindings, FieldIndex, Form, NameVerdict, Scalar, Stop, Verdict, Visitor};
use transform::risk::{self, Columns, Linkage, Measurer, RiskError, Role};

use super::file::{self, FILE_MAX};
use super::output::Output;
use crate::error::CommandError;

/// Measure what a release would give away: who is alone in it, what it tells of groups, whether its pseudonyms can be undone,
/// and whether it can be joined with another one. Columns that are not named are read as harmless.
#[derive(Debug, Args)]
pub(super) struct Risk {
    /// The release: JSON, a JSON object a line, or CSV.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Columns that are known from elsewhere and, with others, point at somebody.
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    quasi: Vec<String>,
    /// Columns that somebody would want to learn.
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    sensitive: Vec<String>,
    /// Columns with pseudonyms.
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    token: Vec<String>,
    /// Columns whose content can be found elsewhere: links, handles, titles, texts.
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    content: Vec<String>,
    /// The column that says whose a row is. Without it each row is a person.
    #[arg(long, value_name = "COLUMN")]
    person: Option<String>,
    /// The smallest group that is asked for.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Another recipient's release with the same columns: can the two be joined?
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

impl Risk {
    /// 0 when nothing speaks against the release, 1 when something does.
    pub(super) fn run(&self, output: &Output) -> Result<ExitCode> {
        let columns = self.columns()?;
        let names: Vec<&str> = self.roles().map(|(name, _)| name).collect();
        let mut measurer = Measurer::new(columns.clone(), self.k, risk::Limits::default())?;
        rows(&self.file, &names, |row| measurer.push(row))?;
        let report = measurer.finish();
        let (mut text, mut verdicts) = (report.to_string(), vec![report.verdict()]);
        let mut told = told(report.verdict(), &report.findings(), &report.facts());
        if let Some(other) = &self.against {
            let mut linkage = Linkage::new(columns.clone(), columns, risk::Limits::default());
            rows(&self.file, &names, |row| linkage.push_first(row))?;
            rows(other, &names, |row| linkage.push_second(row))?;
            let linked = linkage.finish();
            text.push_str(&format!("\n{linked}"));
            verdicts.push(linked.verdict());
            if let Some(told) = told.as_object_mut() {
                let joined = self::told(linked.verdict(), &linked.findings(), &linked.facts());
                told.insert("against".to_owned(), joined);
            }
        }
        output.data(&text, &told);
        let holds = verdicts.iter().all(|v| *v == risk::Verdict::Holds);
        Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn roles(&self) -> impl Iterator<Item = (&str, Role)> {
        let all = [
            (&self.quasi, Role::Quasi),
            (&self.sensitive, Role::Sensitive),
            (&self.token, Role::Token),
            (&self.content, Role::Content),
        ];
        let named = all.into_iter().flat_map(|(names, role)| names.iter().map(move |n| (n.as_str(), role)));
        named.chain(self.person.iter().map(|n| (n.as_str(), Role::Person)))
    }

    fn columns(&self) -> Result<Columns> {
        if self.roles().next().is_none() {
            bail!(CommandError::Rule("name at least one column: --quasi, --sensitive, --token or --content"));
        }
        Ok(Columns::new(self.roles())?)
    }
}

fn told(verdict: risk::Verdict, findings: &[risk::Finding], facts: &[(risk::Fact, u64)]) -> Value {
    let facts = facts.iter().map(|(fact, n)| (fact.number().to_string(), Value::from(*n)));
    json!({
        "verdict": verdict.code(),
        "findings": findings.iter().map(|f| f.code()).collect::<Vec<_>>(),
        "facts": facts.collect::<serde_json::Map<_, _>>(),
    })
}

/// Reads the rows of a release, the named columns in this order. A row without one of them has an empty value there.
fn rows(path: &Path, names: &[&str], push: impl FnMut(&[&str]) -> Result<(), RiskError>) -> Result<()> {
    let bytes = file::whole(path)?;
    let limits = json::Limits { bytes: FILE_MAX, records: u64::MAX, ..json::Limits::default() };
    let begins = bytes.iter().find(|b| !b.is_ascii_whitespace()).copied();
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    let under = if begins == Some(b'[') { "/*/" } else { "/" };
    let pointers: Vec<String> = names.iter().map(|name| format!("{under}{}", escaped(name))).collect();
    let bound = pointers.iter().zip(0..).map(|(pointer, n)| (pointer.as_str(), FieldIndex(n)));
    let bindings = Bindings::compile(bound).context("a column's name")?;
    let mut walk = Walk { row: vec![String::new(); names.len()], scratch: Vec::new(), push, wrong: None };
    // What is written is of no use here.
    let mut out = Vec::new();
    let read = match begins {
        Some(b'[') => json::rewrite(&bytes, Form::Json, &bindings, &limits, &mut walk, &mut out)
            .map(drop)
            .map_err(Into::into),
        Some(b'{') => json::rewrite(&bytes, Form::Ndjson, &bindings, &limits, &mut walk, &mut out)
            .map(drop)
            .map_err(Into::into),
        _ => csv::rewrite(&bytes, &bindings, &limits, &mut walk, &mut out)
            .map(drop)
            .map_err(anyhow::Error::from),
    };
    match walk.wrong {
        Some(wrong) => Err(wrong.into()),
        None => read.with_context(|| {
            format!("`{}` cannot be read as JSON, lines of JSON, CSV or Parquet", path.display())
        }),
    }
}

/// Collects the values of a row.
struct Walk<P> {
    row: Vec<String>,
    scratch: Vec<u8>,
    push: P,
    wrong: Option<RiskError>,
}

impl<P: FnMut(&[&str]) -> Result<(), RiskError>> Visitor for Walk<P> {
    fn scalar(&mut self, field: FieldIndex, value: Scalar<'_>, _: &mut Vec<u8>) -> Result<Verdict, Stop> {
        let text = match value {
            Scalar::Number(digits) => digits,
            Scalar::Bool(true) => b"true",
            Scalar::Bool(false) => b"false",
            Scalar::Null => b"",
            Scalar::String { .. } => value.text(&mut self.scratch).unwrap_or_default(),
        };
        if let Some(place) = self.row.get_mut(usize::from(field.0)) {
            place.clear();
            place.push_str(&String::from_utf8_lossy(text));
        }
        Ok(Verdict::Keep)
    }

    fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
        Ok(NameVerdict::Drop)
    }

    fn enter_record(&mut self, _: u64) -> Result<(), Stop> {
        self.row.iter_mut().for_each(String::clear);
        Ok(())
    }

    fn leave_record(&mut self, _: u64) -> Result<(), Stop> {
        let row: Vec<&str> = self.row.iter().map(String::as_str).collect();
        (self.push)(&row).map_err(|e| {
            self.wrong = Some(e);
            Stop(0)
        })
    }
}
