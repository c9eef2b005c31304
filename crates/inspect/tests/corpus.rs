//! The corpus of the fuzz target `inspection`, without a fuzzer: whatever once found a way goes it again.

use std::{fs, path::Path};

#[path = "../../../fuzz/src/inspection.rs"]
#[expect(unreachable_pub, reason = "the fuzz target uses it too")]
mod inspection;

#[test]
fn no_file_of_the_corpus_panics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/inspection");
    let mut files = 0;
    for found in fs::read_dir(folder).unwrap() {
        inspection::inputs(&fs::read(found.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus is empty");
}
