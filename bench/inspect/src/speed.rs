//! What it costs: every engine on the same chunks, in turns, by the thread's processor time.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Engine;
use crate::bound::Parse;
use crate::corpus::{Corpus, File};
use crate::hyperscan::{Hyperscan, Work};
use crate::ours::Ours;

/// `only` is the start of the name of the engines to measure, if not all.
pub(crate) fn run(corpus: &Corpus, out: &str, rounds: usize, only: &[&str]) {
    let wanted = |name: &str| only.iter().all(|start| name.starts_with(start));
    let mut engines: Vec<Box<dyn Engine>> = Vec::new();
    if wanted("clover") {
        engines.push(Box::<Ours>::default());
    }
    if wanted("hyperscan") {
        engines.extend(
            [Work::Validated, Work::Starts, Work::Ends]
                .map(|work| Box::new(Hyperscan::new(work)) as Box<dyn Engine>),
        );
    }
    if wanted("serde_json") {
        engines.push(Box::new(Parse));
    }
    let sets: [(&str, &[&str]); 4] = [
        ("all events", &["user", "clean"]),
        ("events of users", &["user"]),
        ("clean events", &["clean"]),
        ("tables (CSV)", &["table"]),
    ];
    let before = load();
    let mut rows = Vec::new();
    for (name, starts) in sets {
        let files: Vec<&File> = starts.iter().flat_map(|start| corpus.named(start)).collect();
        let mut passes: Vec<Vec<Pass>> = engines.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for i in 0..engines.len() {
                // The order changes from round to round.
                let turn = (i + round) % engines.len();
                let pass = pass(engines[turn].as_mut(), &files);
                passes[turn].push(pass);
            }
        }
        for (engine, passes) in engines.iter().zip(&passes) {
            // Of a table the yardstick only counts lines.
            if name.starts_with("tables") && engine.name().starts_with("serde") {
                continue;
            }
            rows.push(row(name, engine.name(), passes));
            println!("{}", rows.last().unwrap());
        }
    }
    let report = json!({ "rounds": rounds, "load_before": before, "load_after": load(), "rows": rows });
    fs::write(out, serde_json::to_string_pretty(&report).unwrap()).expect("the report");
}

struct Pass {
    bytes: usize,
    hits: usize,
    cpu: f64,
    wall: f64,
}

fn pass(engine: &mut dyn Engine, files: &[&File]) -> Pass {
    let chunks: Vec<(&File, &[u8])> =
        files.iter().flat_map(|f| f.chunks().into_iter().map(move |(_, chunk)| (*f, chunk))).collect();
    let (cpu, wall) = (thread_seconds(), Instant::now());
    let hits = chunks.iter().map(|(file, chunk)| engine.scan(black_box(chunk), file.format)).sum();
    Pass {
        bytes: chunks.iter().map(|(_, c)| c.len()).sum(),
        hits,
        cpu: thread_seconds() - cpu,
        wall: wall.elapsed().as_secs_f64(),
    }
}

fn thread_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn row(set: &str, engine: &str, passes: &[Pass]) -> Value {
    let rates = |seconds: fn(&Pass) -> f64| {
        let mut rates: Vec<f64> = passes.iter().map(|p| p.bytes as f64 / 1e6 / seconds(p)).collect();
        rates.sort_by(f64::total_cmp);
        let round = |v: f64| (v * 10.0).round() / 10.0;
        json!({ "median": round(rates[rates.len() / 2]), "least": round(rates[0]), "most": round(rates[rates.len() - 1]) })
    };
    json!({ "set": set, "engine": engine, "bytes": passes[0].bytes, "hits": passes[0].hits, "cpu_mb_s": rates(|p| p.cpu), "wall_mb_s": rates(|p| p.wall) })
}

fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
