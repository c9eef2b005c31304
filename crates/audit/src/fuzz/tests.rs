//! The corpus of the fuzz targets, without a fuzzer: whatever once found a way goes it again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{files, leaves, takes, takes_text, texts};

/// Every file of a corpus, with its path.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let paths = fs::read_dir(&folder).unwrap().map(|found| found.unwrap().path());
    let files: Vec<_> = paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    assert!(!files.is_empty(), "`{}` is empty", folder.display());
    files
}

#[test]
fn no_file_of_the_corpus_panics() {
    for (name, parse) in [
        ("auditor_texts", texts as fn(&[u8])),
        ("auditor_files", files),
        ("both_texts/taken", texts),
        ("both_texts/refused", texts),
        ("both_leaves/taken", leaves),
        ("both_leaves/refused", leaves),
        // What the writer's parsers met, the auditor's meet too.
        ("writer_texts", texts),
        ("writer_files", files),
    ] {
        corpus(name).iter().for_each(|(_, data)| parse(data));
    }
}

// The writer's own test reads the same folders: so both sides agree, and no crate knows the other.
#[test]
fn the_auditor_takes_what_the_writer_takes_and_nothing_else() {
    for (folder, taken) in [("both_leaves/taken", true), ("both_leaves/refused", false)] {
        for (path, data) in corpus(folder) {
            assert_eq!(takes(&data), Some(taken), "`{}`", path.display());
        }
    }
    for (folder, taken) in [("both_texts/taken", true), ("both_texts/refused", false)] {
        for (path, data) in corpus(folder) {
            assert_eq!(takes_text(&data), Some(taken), "`{}`", path.display());
        }
    }
}
