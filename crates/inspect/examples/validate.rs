//! Reads lines of a rule's id, a tab and a text, and answers each with `1` if the rule takes the text with its
//! check digits, `0` if not. `bench/inspect/oracle.py` compares the answers with those of others.

use std::io::{self, BufRead, Write};

use inspect::{Rule, identifier_valid};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (id, text) = line.split_once('\t').unwrap_or((&line, ""));
        let right = Rule::named(id).is_some_and(|rule| identifier_valid(rule, text.as_bytes()));
        writeln!(out, "{}", u8::from(right))?;
    }
    out.flush()
}
