//! The corpus of the fuzz target, without a fuzzer.

#[path = "../../../../fuzz/src/sql.rs"]
#[expect(unreachable_pub, reason = "the fuzz target uses it too")]
mod sql;

#[test]
fn no_file_of_the_corpus_panics() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/sql");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        sql::inputs(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 5);
}
