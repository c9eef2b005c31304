use super::*;
use crate::testsite::{DAY, ORIGINS, SITE, Small, TestSite, small_logs, tag, vkey};

fn check(site: &TestSite, day: Option<u64>) -> Result<MapReport, FolderError> {
    site.publish_site(&[]);
    check_maps(&MapOptions { mirror: site.folder.path().into(), site: vkey(SITE), day })
}

#[test]
fn honest_maps_are_the_ones_that_the_entries_give() {
    let site = TestSite::new(small_logs());
    let report = check(&site, None).unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.maps.iter().map(|map| map.is_final).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(check(&site, Some(DAY + 1)).unwrap().maps.len(), 1);
}

#[test]
fn a_map_of_other_entries_is_found() {
    let mut site = TestSite::new(small_logs());
    // The map of the first day again, now with a person whom no entry names.
    site.leaves.truncate(2);
    site.records.clear();
    let honest = site.logs[0][7].tags.clone();
    site.logs[0][7].tags = vec![tag(200)];
    let map = site.page_map(DAY);
    site.logs[0][7].tags = honest;
    site.push_map(DAY, true);
    let leaf = site.leaves.pop().unwrap();
    let honest_root = site.page_map(DAY).root();
    let place = leaf.windows(32).position(|window| window == honest_root).unwrap();
    let mut lie = leaf;
    lie[place..place + 32].copy_from_slice(&map.root());
    site.leaves.push(lie);
    let report = check(&site, None).unwrap();
    assert_eq!(report.maps[0].rule, Some(Rule::DayMap), "{report}");
}

#[test]
fn a_late_entry_is_found_however_late_it_stands() {
    let mut logs = small_logs();
    logs[0].push(Small { time: DAY * DAY_SECONDS + 5, tags: vec![tag(9)], ..Small::default() });
    let mut site = TestSite::new(logs);
    // The maps as they were before the late entry.
    let late = site.logs[0].pop().unwrap();
    site.leaves.truncate(2);
    site.records.clear();
    site.push_map(DAY, true);
    site.logs[0].push(late);
    let report = check(&site, None).unwrap();
    assert!(
        report.findings[0].contains(Rule::DayMapLate.code()) && report.findings[0].contains("entry 900"),
        "{report}"
    );
}

#[test]
fn a_gateway_left_out_of_a_map_is_found() {
    let mut site = TestSite::new(small_logs());
    site.leaves.truncate(2);
    site.records.clear();
    site.push_map(DAY, true);
    let body = crate::testsite::enrolment_of(&ORIGINS[..1]);
    site.leaves[0] = crate::testsite::site_leaf(2, 0, DAY * DAY_SECONDS, &body);
    let report = check(&site, None).unwrap();
    assert_eq!(report.maps[0].rule, Some(Rule::DayMap), "{report}");
}

#[test]
fn entries_that_are_not_those_of_the_checkpoint_are_no_basis() {
    let site = TestSite::new(small_logs());
    let path = site.folder.path().join("gateway/1/tile/entries/001");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[300] ^= 1;
    std::fs::write(path, bytes).unwrap();
    assert!(matches!(check(&site, None), Err(FolderError::Root(_))));
    std::fs::remove_file(site.folder.path().join("gateway/0/tile/entries/000")).unwrap();
    assert!(matches!(check(&site, None), Err(FolderError::Tile(_))));
}
