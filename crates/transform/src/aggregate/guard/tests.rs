use proptest::prelude::*;

use super::*;

fn k(k: u64) -> NonZeroU64 {
    NonZeroU64::new(k).unwrap()
}

fn group(people: impl IntoIterator<Item = u16>) -> BTreeSet<Member> {
    people.into_iter().map(|p| Member(u64::from(p) << 20)).collect()
}

#[test]
fn all_of_a_company_and_all_but_one_cannot_both_be_asked_for() {
    let mut guard = Guard::default();
    guard.release(&[group(0..200)], k(10)).unwrap();
    let before = guard.clone();
    assert_eq!(guard.release(&[group(1..200)], k(10)), Err(Unsafe::Difference));
    assert_eq!(guard.release(&[group(0..209)], k(10)), Err(Unsafe::Difference));
    assert_eq!(guard.release(&[group(5..205)], k(20)), Err(Unsafe::Difference));
    assert_eq!(guard.release(&[group(0..9)], k(10)), Err(Unsafe::Few));
    assert_eq!(guard, before);
    guard.release(&[group(0..210)], k(10)).unwrap();
    assert_eq!(guard.groups(), 2);
}

#[test]
fn what_was_released_before_may_be_released_again() {
    let mut guard = Guard::default();
    for _ in 0..300 {
        guard.release(&[group(0..50), group(50..100)], k(10)).unwrap();
    }
    assert_eq!(guard.groups(), 2);
}

#[test]
fn a_person_cannot_be_had_by_way_of_a_third_group() {
    // Everybody; men and anna; women and anna: the sum of the last two is one more than the first.
    let mut guard = Guard::default();
    guard.release(&[group(0..100), group(0..50)], k(10)).unwrap();
    assert_eq!(guard.release(&[group(49..100)], k(10)), Err(Unsafe::Combination));
    // A tracker: department, department or in Rome, department or not in Rome and not anna.
    let mut guard = Guard::default();
    let (rome, department) = (200..300, 0..40);
    guard.release(&[group(department.clone().chain(rome.clone()))], k(10)).unwrap();
    guard.release(&[group(rome)], k(10)).unwrap();
    assert_eq!(guard.release(&[group(1..40)], k(10)), Err(Unsafe::Combination));
    guard.release(&[group(department)], k(10)).unwrap();
}

#[test]
fn groups_that_are_released_together_are_compared_with_each_other() {
    let mut guard = Guard::default();
    assert_eq!(guard.release(&[group(0..50), group(0..49)], k(10)), Err(Unsafe::Difference));
    assert_eq!(guard.groups(), 0);
    let margins = [group(0..30), group(30..60), group(60..65), group(0..65)];
    assert_eq!(guard.release(&margins, k(10)), Err(Unsafe::Few));
    assert_eq!(guard.release(&[group(0..30), group(30..60), group(0..65)], k(10)), Err(Unsafe::Combination));
    guard.release(&[group(0..30), group(30..60), group(0..75)], k(10)).unwrap();
}

#[test]
fn a_dataset_that_grew_by_one_is_not_counted_again() {
    let mut guard = Guard::default();
    guard.release(&[group(0..500)], k(10)).unwrap();
    assert_eq!(guard.release(&[group(0..501)], k(10)), Err(Unsafe::Difference));
    guard.release(&[group(0..512)], k(10)).unwrap();
}

#[test]
fn a_guard_that_is_full_refuses() {
    let mut guard = Guard::default();
    for n in 0..GROUPS_MAX as u16 {
        guard.release(&[group(n * 20..n * 20 + 20)], k(10)).unwrap();
    }
    assert_eq!(guard.release(&[group(5_000..5_100)], k(10)), Err(Unsafe::Full));
    guard.release(&[group(0..20)], k(10)).unwrap();
}

#[test]
fn a_guard_reads_back_as_it_was_and_nothing_else_does() {
    let mut guard = Guard::default();
    guard.release(&[group(0..50), group(25..100)], k(10)).unwrap();
    let text = serde_json::to_string(&guard).unwrap();
    assert_eq!(serde_json::from_str::<Guard>(&text).unwrap(), guard);
    for wrong in [
        r#"{"groups":1,"people":{"2":"AAAAAAAAAAE"}}"#,
        r#"{"groups":1,"people":{"0":"AAAAAAAAAAE"}}"#,
        r#"{"groups":1,"people":{"1":"AAAAAAAAAA"}}"#,
        r#"{"groups":2,"people":{"1":"AAAAAAAAAAE","2":"AAAAAAAAAAE"}}"#,
        r#"{"groups":129,"people":{}}"#,
        r#"{"groups":1,"people":{},"more":1}"#,
    ] {
        assert!(serde_json::from_str::<Guard>(wrong).is_err(), "{wrong}");
    }
    let most = Guard { groups: 128, people: [(Member(1), 1 << 127)].into() };
    let text = serde_json::to_string(&most).unwrap();
    assert_eq!(serde_json::from_str::<Guard>(&text).unwrap(), most);
    assert!(!format!("{guard:?}").contains("Member"));
}

/// Every integer combination with factors from -2 to 2, tried one by one.
fn told(groups: &[BTreeSet<Member>], k: u64) -> bool {
    let all: BTreeSet<Member> = groups.iter().flatten().copied().collect();
    (1..5_u32.pow(groups.len() as u32)).any(|code| {
        let factor = |n: usize| i64::from(code / 5_u32.pow(n as u32) % 5) - 2;
        let sums = all.iter().map(|m| {
            groups.iter().enumerate().filter(|(_, g)| g.contains(m)).map(|(n, _)| factor(n)).sum::<i64>()
        });
        // The same number for each of few people, and none for everybody else.
        let parts: Vec<i64> = sums.filter(|s| *s != 0).collect();
        (1..k).contains(&(parts.len() as u64)) && parts.windows(2).all(|w| w[0] == w[1])
    })
}

proptest! {
    /// Compared with an attacker who tries everything with small factors. Of atoms of three people that no two groups split
    /// into more than two parts nothing may be missed.
    #[test]
    fn nothing_that_an_attacker_computes_with_small_factors_is_about_one_atom(
        masks in prop::collection::vec(1_u16..256, 1..5)
    ) {
        // Eight atoms of three people each, k of four: fewer than k is one atom.
        let of = |mask: u16| group((0..24).filter(move |p| mask >> (p / 3) & 1 == 1));
        let (mut guard, mut released) = (Guard::default(), Vec::new());
        for mask in masks {
            if guard.release(&[of(mask)], k(4)).is_ok() {
                released.push(of(mask));
            }
        }
        prop_assert!(!told(&released, 4), "{released:?}");
    }

    #[test]
    fn the_order_of_groups_within_one_release_does_not_matter(masks in prop::collection::vec(1_u16..64, 1..5)) {
        let of = |mask: &u16| group((0..36).filter(move |p| mask >> (p / 6) & 1 == 1));
        let mut groups: Vec<_> = masks.iter().map(of).collect();
        let one = Guard::default().release(&groups, k(7)).is_ok();
        groups.reverse();
        prop_assert_eq!(one, Guard::default().release(&groups, k(7)).is_ok());
    }
}
