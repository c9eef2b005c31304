use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::{
    daymap::{DAY_SECONDS, Work},
    fetch::Fetcher,
    mirror::{evidence::Evidence, extras::Signers},
    testsite::{DAY, SITE, TestSite, small_logs, vkey},
};

/// A mirror that holds all of a site already, and checks its site log as far as it is told.
struct World {
    site: Arc<Site>,
    runtime: Runtime,
    _test: TestSite,
    _drafts: TempDir,
}

impl World {
    /// Entries of two days; the site log has an enrolment, a round, and the final maps of both days.
    fn new(change: impl FnOnce(&mut TestSite)) -> Self {
        let mut test = TestSite::new(small_logs().map(|mut log| {
            log.retain(|small| small.time / DAY_SECONDS < DAY + 2);
            log
        }));
        change(&mut test);
        test.publish_site(&[]);
        let drafts = TempDir::new().unwrap();
        let (folder, temporary) = (test.folder.path().to_owned(), drafts.path().to_owned());
        let evidence = Evidence::open(&drafts.path().join("evidence"), &temporary).unwrap();
        let around = Surroundings {
            folder,
            temporary,
            fetcher: Arc::new(Fetcher::new("http://127.0.0.1:1", None, false).unwrap()),
            signers: Arc::new(Signers { operator: vkey("operator.t"), auditor: vkey("auditor.t") }),
            evidence: Arc::new(evidence),
        };
        let site = Arc::new(Site::open(around, "http://127.0.0.1:1", vkey(SITE), true).unwrap());
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        Self { site, runtime, _test: test, _drafts: drafts }
    }

    fn check_to(&self, size: u64) {
        assert_eq!(self.runtime.block_on(self.site.check_to(size)).unwrap(), None);
    }

    fn read_ahead(&self) {
        while self.runtime.block_on(self.site.read_some_ahead()).unwrap() {}
    }

    fn work(&self) -> Work {
        self.site.ahead.as_ref().unwrap().lock().unwrap().work()
    }
}

#[test]
fn a_final_map_that_was_read_ahead_is_checked_without_reading_its_day_again() {
    let world = World::new(|_| ());
    world.check_to(2);
    assert_eq!(world.work(), Work::default(), "a round needs no map");
    world.read_ahead();
    let before = world.work();
    assert!(before.entries > 1000 && before.pairs > 0, "{before:?}");
    world.check_to(3);
    assert_eq!(world.work(), before, "the map of the first day was done");
    world.read_ahead();
    world.check_to(4);
    assert_eq!(world.work().entries, before.entries, "the second day was read with the first");
    assert_eq!(world.site.log.problems(), Vec::<String>::new());
}

#[test]
fn a_final_map_is_checked_from_its_entries_if_nothing_was_read_ahead() {
    let world = World::new(|_| ());
    world.check_to(4);
    assert_eq!(world.site.log.problems(), Vec::<String>::new());
}

#[test]
fn a_final_map_that_lies_is_a_problem_though_its_day_was_read_ahead() {
    // Byte 64 stands within the map's root.
    let world = World::new(|site| site.leaves[2][64] ^= 1);
    world.check_to(2);
    world.read_ahead();
    world.check_to(4);
    let problems = world.site.log.problems();
    assert!(problems[0].contains(&format!("the map of day `{DAY}` has another root")), "{problems:?}");
}
