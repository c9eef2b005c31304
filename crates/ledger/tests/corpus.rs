//! The corpus of the fuzz targets, without a fuzzer: whatever once found a way goes it again.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

#[path = "../../../fuzz/src/writer.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it too")]
mod writer;

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
        ("writer_texts", writer::texts as fn(&[u8])),
        ("writer_files", writer::files),
        ("both_texts/taken", writer::texts),
        ("both_texts/refused", writer::texts),
        ("both_leaves/taken", writer::leaves),
        ("both_leaves/refused", writer::leaves),
        // What the auditor's parsers met, the writer's meet too.
        ("auditor_texts", writer::texts),
        ("auditor_files", writer::files),
    ] {
        corpus(name).iter().for_each(|(_, data)| parse(data));
    }
}

// The auditor's own test reads the same folders: so both sides agree, and no crate knows the other.
#[test]
fn the_writer_takes_what_the_auditor_takes_and_nothing_else() {
    for (folder, taken) in [("both_leaves/taken", true), ("both_leaves/refused", false)] {
        for (path, data) in corpus(folder) {
            assert_eq!(writer::takes(&data), Some(taken), "`{}`", path.display());
        }
    }
    for (folder, taken) in [("both_texts/taken", true), ("both_texts/refused", false)] {
        for (path, data) in corpus(folder) {
            assert_eq!(writer::takes_text(&data), Some(taken), "`{}`", path.display());
        }
    }
}
