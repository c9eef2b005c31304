//! `bare FILE RECORD GROUP SECONDS`: group commits with nothing around them, as one line of JSON.
//!
//! Overwrites a file of 256 MiB that was written before, a group of records with one write and one fdatasync. No entry is
//! made, placed, hashed, checked or handed over. `rustc -C opt-level=3 bare.rs` builds it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

const BYTES: u64 = 256 << 20;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, record, group, seconds] = args.as_slice() else { panic!("bare FILE RECORD GROUP SECONDS") };
    let (record, group): (usize, usize) = (record.parse().unwrap(), group.parse().unwrap());
    let file = OpenOptions::new().create(true).write(true).truncate(true).open(path).unwrap();
    let zeros = vec![0; 1 << 20];
    for at in 0..BYTES >> 20 {
        file.write_all_at(&zeros, at << 20).unwrap();
    }
    file.sync_all().unwrap();
    let frame = vec![b'x'; record * group];
    let time = Duration::from_secs_f64(seconds.parse().unwrap());
    let (begin, mut latencies, mut offset) = (Instant::now(), Vec::new(), 0);
    while begin.elapsed() < time {
        let at = Instant::now();
        if offset + frame.len() as u64 > BYTES {
            offset = 0;
        }
        file.write_all_at(&frame, offset).unwrap();
        file.sync_data().unwrap();
        offset += frame.len() as u64;
        latencies.push(at.elapsed());
    }
    let elapsed = begin.elapsed().as_secs_f64();
    latencies.sort();
    let at = |q: usize| latencies[(latencies.len() - 1) * q / 1000].as_micros();
    println!(
        "{{\"kind\":\"bare\",\"group\":{group},\"record\":{record},\"recs_s\":{:.0},\"p50_us\":{},\"p99_us\":{},\"p999_us\":{},\"max_us\":{}}}",
        (latencies.len() * group) as f64 / elapsed,
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    std::fs::remove_file(path).unwrap();
}
