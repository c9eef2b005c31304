//! Prints what stands in a file, a line for each finding: rule, first byte, byte after the last.
//! `find json|csv|text FILE`

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, form, file] = arguments.as_slice() else {
        return Err(io::Error::other("find json|csv|text FILE"));
    };
    let bytes = std::fs::read(file)?;
    let mut found = Vec::new();
    match form.as_str() {
        "json" => inspect::scan_json(&bytes, &mut found),
        "csv" => inspect::scan_csv(&bytes, &mut found),
        _ => inspect::scan_text(&bytes, &mut found),
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    for finding in found {
        writeln!(out, "{} {} {}", finding.rule, finding.start, finding.end)?;
    }
    out.flush()
}
