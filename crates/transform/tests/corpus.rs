//! The corpora of the fuzz targets `border` and `formats`, without a fuzzer: whatever once found a way goes it again.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{fs, path::Path};

#[path = "../../../fuzz/src/border.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it too")]
mod border;
#[path = "../../../fuzz/src/formats.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it too")]
mod formats;

fn run(corpus: &str, inputs: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(corpus);
    let mut files = 0;
    for found in fs::read_dir(folder).unwrap() {
        inputs(&fs::read(found.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus is empty");
}

#[test]
fn no_file_of_the_corpus_panics() {
    run("border", border::inputs);
}

#[test]
fn no_file_of_the_other_formats_panics() {
    run("formats", formats::inputs);
}

#[test]
fn damaged_files_of_the_other_formats_hold_their_claims_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/formats");
    for found in fs::read_dir(folder).unwrap() {
        let file = fs::read(found.unwrap().path()).unwrap();
        for at in 1..file.len() {
            formats::inputs(&file[..at]);
            for byte in *b"\r\n,\"=&%;-b\0\xFF" {
                let mut damaged = file.clone();
                damaged[at] = byte;
                formats::inputs(&damaged);
            }
        }
    }
}
