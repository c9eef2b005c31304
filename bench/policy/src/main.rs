//! Decisions beside a peer: the same requests, the same policies in two languages, in turns on one core.
//!
//! The peer is regorus, an engine for Rego: compiled, and on its own virtual machine. Both look the field up by name
//! among 10,000. Every verdict is compared before anything is measured.

mod ours;
mod peer;

use std::hint::black_box;
use std::time::Duration;

use ours::{Clover, Request};
use peer::Rego;

/// As the product has it, for both.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Policies in all; the starter has fewer, the rest are permits of teams.
const POLICIES: usize = 200;
/// Fields of the catalogue.
const FIELDS: usize = 10_000;
const COLUMNS: usize = 50;
/// Decisions of a round.
const CALLS: u32 = 500;

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(9);
    let clover = Clover::new(POLICIES, FIELDS);
    let mut rego = Rego::new(POLICIES - clover.starter, FIELDS);
    println!(
        "policies {}, of them {} for teams; fields {FIELDS}; rounds {rounds}",
        POLICIES,
        POLICIES - clover.starter
    );
    println!("microseconds of CPU time, median of rounds (least, most); ratio: peer by Clover, paired");
    for request in ours::requests() {
        let verdict = clover.decide(&request);
        assert_eq!(verdict, clover.decide_first(&request), "{}", request.name);
        assert_eq!(verdict, rego.decide(&request), "{}", request.name);
        assert_eq!(verdict, rego.decide_vm(&request), "{}", request.name);
        let times = in_turns(
            rounds,
            CALLS,
            &mut [
                &mut || keep(clover.decide_first(&request)),
                &mut || keep(clover.decide(&request)),
                &mut || keep(rego.decide(&request)),
            ],
        );
        let vm = in_turns(rounds, CALLS, &mut [&mut || keep(rego.decide_vm(&request))]);
        let allowed = if verdict { "allowed" } else { "refused" };
        let name = format!("{} ({allowed})", request.name);
        row(&name, &times[0], &[("compiled", &times[2]), ("vm", &vm[0])]);
        row("  by a caller who asked before", &times[1], &[("compiled", &times[2]), ("vm", &vm[0])]);
    }
    let columns = ours::columns();
    assert_eq!(clover.decide_columns(&columns), rego.decide_columns(&columns, COLUMNS));
    let times = in_turns(
        rounds,
        40,
        &mut [&mut || keep(clover.decide_columns(&columns)), &mut || {
            keep(rego.decide_columns(&columns, COLUMNS))
        }],
    );
    row(&format!("{COLUMNS} columns"), &times[0], &[("compiled", &times[1])]);
    let road = ours::Kept::new();
    let times = in_turns(rounds, 20_000, &mut [&mut || road.decide()]);
    row("the road, remembered", &times[0], &[]);
}

/// Microseconds a call, for each of some things, a round of each in turn.
fn in_turns(rounds: usize, calls: u32, work: &mut [&mut dyn FnMut()]) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::with_capacity(rounds); work.len()];
    for round in 0..=rounds {
        for (work, times) in work.iter_mut().zip(&mut times) {
            let before = cpu();
            (0..calls).for_each(|_| work());
            let each = (cpu() - before).as_secs_f64() * 1e6 / f64::from(calls);
            // The first round warms up.
            if round > 0 {
                times.push(each);
            }
        }
    }
    times
}

/// Nothing of a result is looked at, and none is left out.
fn keep<T>(result: T) {
    black_box(result);
}

fn row(name: &str, ours: &[f64], peers: &[(&str, &Vec<f64>)]) {
    let [least, median, most] = three(ours);
    let mut line = format!("{name:<58} {median:>8.2} ({least:.2}-{most:.2})");
    for (peer, times) in peers {
        let ratios: Vec<f64> = times.iter().zip(ours).map(|(p, o)| p / o).collect();
        let ([_, theirs, _], [low, ratio, high]) = (three(times), three(&ratios));
        line += &format!("   {peer} {theirs:.1}, ratio {ratio:.1} ({low:.1}-{high:.1})");
    }
    println!("{line}");
}

fn three(times: &[f64]) -> [f64; 3] {
    let mut all = times.to_vec();
    all.sort_by(f64::total_cmp);
    [all[0], all[all.len() / 2], all[all.len() - 1]]
}

/// CPU time of this thread so far; there is no other.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Request {
    fn released(action: &str) -> model::Treatment {
        match action {
            "releasePlain" => model::Treatment::Plain,
            "releasePseudonymised" => model::Treatment::Pseudonymised,
            _ => model::Treatment::Masked,
        }
    }
}
