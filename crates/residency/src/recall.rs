//! Measures what the sweep finds: canaries of every kind in every form are planted in stores that are made for it, and
//! found by the same sweep as anywhere. The table says what is found of what was planted, also where that is nothing.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::canary::{Canaries, Kind};
use crate::error::ResidencyError;
use crate::forms::{WRITINGS, Writing};
use crate::pack::{PACKINGS, Packing};
use crate::scan::Scanner;
use crate::sweep::{self, Options, Progress};

/// Canaries in one store.
const PLANTED: u32 = 20;
/// About so many bytes of other text stand between two.
const BETWEEN: usize = 700;

/// One form in one packing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// How values were written.
    pub form: &'static str,
    /// How the store was packed.
    pub packing: &'static str,
    /// Whether the sweep claims to see this.
    pub claimed: bool,
    /// Values that were planted: of each canary one of each kind.
    pub planted: u32,
    /// Those that the sweep found, with the right canary and kind.
    pub found: u32,
    /// Finds of what was not planted there.
    pub wrong: u32,
}

/// Plants canaries in stores in a new folder, and sweeps them.
///
/// # Errors
/// When a store cannot be written.
pub fn measure(canaries: &Canaries, folder: &Path) -> Result<Vec<Line>, ResidencyError> {
    let Some(scanner) = Scanner::new(canaries.clone()) else { return Ok(vec![]) };
    let mut lines = Vec::new();
    for packing in PACKINGS {
        for writing in WRITINGS {
            let path = folder.join("store");
            let (store, planted) = store(canaries, writing);
            let packed = (packing.pack)(&store).map_err(ResidencyError::file(&path))?;
            std::fs::write(&path, packed).map_err(ResidencyError::file(&path))?;
            let report = sweep::path(&scanner, &path, Options::default(), &Progress::default());
            let found: BTreeSet<(u32, Kind)> = report.finds.iter().map(|f| (f.canary, f.kind)).collect();
            lines.push(line(writing, packing, &planted, &found));
            std::fs::remove_file(&path).map_err(ResidencyError::file(&path))?;
        }
    }
    Ok(lines)
}

fn line(
    writing: &Writing,
    packing: &Packing,
    planted: &BTreeSet<(u32, Kind)>,
    found: &BTreeSet<(u32, Kind)>,
) -> Line {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Line {
        form: writing.name,
        packing: packing.name,
        claimed: writing.claimed,
        planted: count(planted.len()),
        found: count(planted.intersection(found).count()),
        wrong: count(found.difference(planted).count()),
    }
}

/// Text with values in it, at places that follow from nothing but their number. Every second canary is left out, so
/// that a find of one of those is seen to be wrong.
fn store(canaries: &Canaries, writing: &Writing) -> (Vec<u8>, BTreeSet<(u32, Kind)>) {
    let (mut store, mut planted) = (Vec::new(), BTreeSet::new());
    let mut number = 0usize;
    for canary in (0..canaries.count()).step_by(2).take(PLANTED as usize) {
        for kind in Kind::ALL {
            let Some(value) = canaries.value(canary, kind) else { continue };
            number += 1;
            filler(&mut store, number, BETWEEN + number * 37 % 211);
            store.extend((writing.write)(value, number));
            store.extend(b" \n");
            planted.insert((canary, kind));
        }
    }
    filler(&mut store, number, BETWEEN);
    (store, planted)
}

/// Lines as logs and exports have them.
fn filler(store: &mut Vec<u8>, seed: usize, length: usize) {
    let until = store.len() + length;
    let mut n = seed.wrapping_mul(2_654_435_761);
    while store.len() < until {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let line = format!(
            "2026-11-{:02}T{:02}:14:07Z INFO user={} \"GET /v1/item/{} HTTP/1.1\" 200 q=caf%C3%A9 {{\"n\":\"\\u00e9\"}}\n",
            1 + n % 28,
            n / 64 % 24,
            n >> 40,
            n >> 33
        );
        store.extend(line.bytes());
    }
    store.truncate(until);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_claimed_is_found_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let lines = measure(&Canaries::derive(&[31; 32], 40, "mail.example"), dir.path()).unwrap();
        assert_eq!(lines.len(), WRITINGS.len() * PACKINGS.len());
        for line in lines {
            assert_eq!(line.planted, 100, "{line:?}");
            // Some of what is not claimed is found all the same: a number has no capitals.
            assert_eq!(line.found == line.planted, line.claimed, "{line:?}");
            assert_eq!(line.wrong, 0, "{line:?}");
        }
    }
}
