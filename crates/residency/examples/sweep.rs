//! Sweeps a path for canaries of a fixed key and prints what it did: for `bench/residency/run`, and nothing else.

use std::path::Path;

use residency::canary::Canaries;
use residency::scan::Scanner;
use residency::sweep::{self, Options, Progress};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let canaries = Canaries::derive(&[77; 32], 100, "mail.example");
    let Some(root) = arguments.get(1) else {
        // Without a path: one canary a line, for the peer's patterns and to be planted.
        for index in 0..canaries.count() {
            let values = residency::canary::Kind::ALL
                .map(|kind| canaries.value(index, kind).unwrap_or_default().to_owned());
            print(&values.join("\t"));
        }
        return;
    };
    let threads = arguments.get(2).and_then(|n| n.parse().ok()).unwrap_or(1);
    let Some(scanner) = Scanner::new(canaries) else { return };
    let options = Options { threads, ..Options::default() };
    let report = sweep::path(&scanner, Path::new(root), options, &Progress::default());
    print(&format!("{} {} {} {}", report.places, report.bytes, report.finds.len(), report.blind.len()));
}

fn print(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
