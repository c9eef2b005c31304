//! The scanner beside peers: the same chunks, what each finds, and what it costs.
//!
//! `inspect-bench quality FOLDER OUT [--hits FILE NAME] [--examples N]` and `inspect-bench speed FOLDER OUT ROUNDS [ENGINE]`.

mod bound;
mod check;
mod corpus;
mod hyperscan;
mod ours;
mod patterns;
mod quality;
mod speed;

use std::path::Path;

use corpus::{Corpus, Format, Hit};

/// What is measured. `scan` appends what it found in one chunk, with places in the chunk.
trait Engine {
    fn name(&self) -> &'static str;
    fn scan(&mut self, chunk: &[u8], format: Format) -> usize;
    /// What the last `scan` found.
    fn hits(&self, chunk: &[u8], out: &mut Vec<Hit>);
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["quality", folder, out, ref options @ ..] => {
            quality::run(&Corpus::read(Path::new(folder)), out, options)
        }
        ["speed", folder, out, rounds, ref only @ ..] => {
            speed::run(&Corpus::read(Path::new(folder)), out, rounds.parse().unwrap(), only)
        }
        _ => {
            eprintln!(
                "inspect-bench quality FOLDER OUT [--hits FILE NAME] [--examples N] | speed FOLDER OUT ROUNDS [ENGINE]"
            );
            std::process::exit(64);
        }
    }
}
