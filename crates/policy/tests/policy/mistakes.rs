//! Each small mistake in the starter's policies, made alone: a story or the matrix notices, or it stands on record.
//! What only a property notices, or what changes no answer, is for the prover to say: `docs/proofs.md`.

use std::collections::BTreeSet;

use model::rulebook::{Files, PROPERTIES};
use policy::mutants::{Mutant, mutants};
use policy::stories::Stories;
use policy::{Engine, Texts};

use crate::cast::{files, folder, parse};
use crate::matrix::table;

/// What neither notices. `UPDATE_GOLDEN=1 CLOVER_MISTAKES=all` writes the file anew.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mistakes.txt");
/// Without `CLOVER_MISTAKES=all` one of so many is made, so that it takes seconds.
const EVERY: usize = 12;

fn mistaken(mutant: &Mutant, texts: &Texts) -> Files {
    let mut files = files();
    files.retain(|name, _| !name.ends_with(".cedar") || name == PROPERTIES);
    files.insert("10-mistaken.cedar".to_owned(), mutant.text(&texts.policies));
    files
}

fn stories() -> Vec<Stories> {
    let entries = std::fs::read_dir(folder().join("tests")).unwrap().map(Result::unwrap);
    entries.map(|e| Stories::parse("x.toml", &std::fs::read_to_string(e.path()).unwrap()).unwrap()).collect()
}

#[test]
fn a_mistake_in_the_starter_is_noticed_or_stands_on_record() {
    let texts = Texts::read(&parse(&files())).unwrap();
    let all = std::env::var("CLOVER_MISTAKES").is_ok_and(|v| v == "all");
    let every = if all { 1 } else { EVERY };
    let (stories, right) = (stories(), table(&Engine::new(&parse(&files())).unwrap()));
    let (mut made, mut unnoticed) = (BTreeSet::new(), BTreeSet::new());
    for mutant in mutants(&texts.policies).iter().step_by(every) {
        made.insert(mutant.to_string());
        let Ok(engine) = Engine::new(&parse(&mistaken(mutant, &texts))) else { continue };
        let told = stories.iter().all(|s| s.tell(&engine).iter().all(policy::stories::Told::is_right));
        if told && table(&engine) == right {
            unnoticed.insert(mutant.to_string());
        }
    }
    if all && std::env::var_os("UPDATE_GOLDEN").is_some() {
        let lines: Vec<_> = unnoticed.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(GOLDEN, lines.concat()).unwrap();
    }
    let recorded = std::fs::read_to_string(GOLDEN).unwrap();
    let recorded: BTreeSet<String> = recorded.lines().map(str::to_owned).collect();
    let expected: BTreeSet<String> = recorded.intersection(&made).cloned().collect();
    assert!(made.len() > 15, "only {} mistakes were made", made.len());
    assert_eq!(unnoticed, expected, "of {} mistakes", made.len());
}
