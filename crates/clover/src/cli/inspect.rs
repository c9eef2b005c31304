//! `clover inspect`: the scanner for everybody, over files.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::inspect::{Confidence, Finding, Rule, Scanner};
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::data::bar;
use super::file;
use super::output::Output;

/// Findings of one SARIF report.
const SARIF_MAX: usize = 100_000;

/// Find personal data in files: what it is and where, never the value.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How they are written; told by the name without it.
    #[arg(long = "as", value_name = "FORM")]
    form: Option<Form>,
    /// Print one SARIF 2.1.0 report.
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// JSON, a JSON document a line, or the rows of a Parquet file.
    Json,
    /// Cells parted by commas, semicolons, tabs or bars.
    Csv,
    /// Anything else.
    Text,
}

impl Form {
    fn of(path: &Path) -> Self {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "json" | "ndjson" | "jsonl" | "parquet" => Self::Json,
            "csv" | "tsv" => Self::Csv,
            _ => Self::Text,
        }
    }
}

/// One finding and its place.
struct Place {
    /// From 1.
    line: usize,
    /// In bytes of the line.
    within: Range<usize>,
    finding: Finding,
}

impl Inspect {
    /// 0 when nothing was found, 1 when something was.
    pub(super) fn run(&self, output: &Output) -> Result<ExitCode> {
        let (mut scanner, mut total) = (Scanner::new(), 0usize);
        let mut results = Vec::new();
        let bar = bar(output, self.files.len() as u64, "reading");
        for (n, path) in (1..).zip(&self.files) {
            let bytes = file::whole(path)?;
            let mut found = Vec::new();
            match self.form.unwrap_or_else(|| Form::of(path)) {
                Form::Json => scanner.json(&bytes, &mut found),
                Form::Csv => scanner.csv(&bytes, &mut found),
                Form::Text => scanner.text(&bytes, &mut found),
            }
            total += found.len();
            for place in places(&bytes, &found) {
                if self.sarif {
                    if results.len() < SARIF_MAX {
                        results.push(result(path, &place));
                    }
                } else {
                    bar.suspend(|| print(output, path, &place));
                }
            }
            bar.set_position(n);
        }
        bar.finish_and_clear();
        if self.sarif {
            let report = report(&results);
            // A closed pipe is the reader's choice.
            let _ = writeln!(std::io::stdout().lock(), "{report:#}");
        } else if !output.json {
            let _ = writeln!(std::io::stderr().lock(), "{total} found in {} files", self.files.len());
        }
        Ok(if total == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// The places of findings, which are in order.
fn places<'a>(bytes: &'a [u8], found: &'a [Finding]) -> impl Iterator<Item = Place> + 'a {
    let (mut line, mut begin) = (1, 0);
    found.iter().map(move |finding| {
        let skipped = bytes.get(begin..finding.start).unwrap_or_default();
        for (n, _) in skipped.iter().enumerate().filter(|(_, b)| **b == b'\n') {
            line += 1;
            begin = begin.max(finding.start - skipped.len() + n + 1);
        }
        Place { line, within: finding.start - begin..finding.end - begin, finding: *finding }
    })
}

const fn word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    }
}

fn print(output: &Output, file: &Path, place: &Place) {
    let Place { line, within, finding } = place;
    let (file, kind, rule) = (file.display().to_string(), finding.kind.name(), finding.rule.id());
    let country = finding.country.map(|c| c.to_string());
    let text = format!(
        "{file}:{line}:{}-{}: {kind}{} ({rule}, {})",
        within.start,
        within.end,
        country.as_ref().map_or(String::new(), |c| format!(" of {c}")),
        word(finding.confidence)
    );
    let told = json!({
        "file": file, "line": line, "start": within.start, "end": within.end, "kind": kind,
        "country": country, "confidence": word(finding.confidence), "rule": rule,
    });
    output.data(&text, &told);
}

/// One result of a SARIF report. Its columns count bytes, from 1, as `columnKind` of the report cannot say.
fn result(file: &Path, place: &Place) -> Value {
    let Place { line, within, finding } = place;
    let level = if finding.confidence == Confidence::High { "error" } else { "warning" };
    json!({
        "ruleId": finding.rule.id(),
        "level": level,
        "message": { "text": format!("{} ({} confidence)", finding.kind.name(), word(finding.confidence)) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": file.display().to_string() },
            "region": { "startLine": line, "byteOffset": finding.start, "byteLength": finding.end - finding.start,
                        "startColumn": within.start + 1, "endColumn": within.end + 1 },
        } }],
    })
}

fn report(results: &[Value]) -> Value {
    let rules: Vec<Value> = Rule::all()
        .map(|rule| {
            json!({ "id": rule.id(), "shortDescription": { "text": rule.kind().name() },
                    "help": { "text": rule.reference() } })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "clover inspect", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_with_its_line_and_the_bytes_within_it() {
        let text = "first\nmail ann@example.org and bob@example.org\n\nand +47 22 12 34 56";
        let mut found = Vec::new();
        ::inspect::scan_text(text.as_bytes(), &mut found);
        let told: Vec<_> = places(text.as_bytes(), &found).map(|p| (p.line, p.within)).collect();
        assert_eq!(told, [(2, 5..20), (2, 25..40), (4, 4..19)]);
        for (line, within) in told {
            let line = text.lines().nth(line - 1).unwrap();
            assert!(line.get(within).is_some_and(|t| t.contains(['@', '+'])));
        }
    }

    #[test]
    fn the_form_is_told_by_the_name() {
        for (name, form) in [
            ("a.json", Form::Json),
            ("a.JSONL", Form::Json),
            ("b.csv", Form::Csv),
            ("c", Form::Text),
            ("d.parquet", Form::Json),
        ] {
            assert_eq!(Form::of(Path::new(name)), form);
        }
    }
}
