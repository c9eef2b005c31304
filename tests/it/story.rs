//! The story of the demo, and the auditor's word on it.

use crate::support::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_of_the_demo_comes_out_as_told() {
    // Enough people for one country of fifty or more, beside smaller ones.
    let mut stage = Stage::new(600).await;
    let crossings = xtask::story::play(&stage.world, |_| {}).await.unwrap();
    let wrong: Vec<_> = crossings.iter().filter(|c| !c.as_expected).collect();
    assert!(crossings.len() >= 14 && wrong.is_empty(), "{wrong:#?}");
    let strangers = crossings.iter().filter(|c| c.entry.is_none()).count();
    assert_eq!(strangers, 1, "everything but what a stranger tried is on the ledger");
    stage.must_audit_clean();
    // One byte of a copy, anywhere in what was published, is found.
    let copy = stage.beside("copy");
    for name in ["checkpoint", "entries", "tile/0"] {
        crate::support::copy(&stage.world.ledger(), &copy);
        let all = crate::support::files(&copy);
        let file = all.iter().find(|p| p.to_string_lossy().contains(name)).unwrap();
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(file, bytes).unwrap();
        let (code, said) = stage.world.audit(&copy).unwrap();
        assert_ne!(code, Some(0), "{}: {said}", file.display());
        assert_eq!(stage.names_anybody(&said), None);
    }
}
