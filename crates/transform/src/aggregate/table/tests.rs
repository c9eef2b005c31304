use proptest::prelude::*;

use super::*;

fn k(k: u64) -> Rules {
    Rules::new(NonZeroU64::new(k).unwrap())
}

/// A table with so many people in its cells, all different.
fn people(cells: &[&[u64]]) -> Table<(usize, usize, u64)> {
    let mut table = Table::new(cells.len(), cells[0].len()).unwrap();
    for (r, row) in cells.iter().enumerate() {
        for (c, count) in row.iter().enumerate() {
            (0..*count).for_each(|p| table.add(r, c, (r, c, p), 1).unwrap());
        }
    }
    table
}

/// As text: rows with margins, a dot for what is withheld.
fn text(shown: &Shown) -> Vec<String> {
    let cell = |c: &Option<u64>| c.map_or_else(|| ".".to_owned(), |v| v.to_string());
    shown
        .cells
        .chunks(shown.columns + 1)
        .map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The unknowns that the table's equations determine: by elimination over fractions modulo a large prime, without a thought
/// for networks.
fn determined(shown: &Shown) -> Vec<usize> {
    const P: i128 = (1 << 61) - 1;
    let (rows, columns) = (shown.rows + 1, shown.columns + 1);
    let unknown: Vec<usize> = (0..shown.cells.len()).filter(|at| shown.cells[*at].is_none()).collect();
    let mut equations: Vec<Vec<i128>> = Vec::new();
    for r in 0..rows {
        equations.push(
            unknown
                .iter()
                .map(|at| {
                    if at / columns != r {
                        0
                    } else if at % columns == columns - 1 {
                        P - 1
                    } else {
                        1
                    }
                })
                .collect(),
        );
    }
    for c in 0..columns {
        equations.push(
            unknown
                .iter()
                .map(|at| {
                    if at % columns != c {
                        0
                    } else if at / columns == rows - 1 {
                        P - 1
                    } else {
                        1
                    }
                })
                .collect(),
        );
    }
    let power = |mut base: i128, mut e: i128| {
        let mut result = 1;
        while e > 0 {
            if e & 1 == 1 {
                result = result * base % P;
            }
            base = base * base % P;
            e >>= 1;
        }
        result
    };
    let mut done = 0;
    for column in 0..unknown.len() {
        let Some(found) = (done..equations.len()).find(|n| equations[*n][column] != 0) else { continue };
        equations.swap(done, found);
        let factor = power(equations[done][column], P - 2);
        equations[done].iter_mut().for_each(|x| *x = *x * factor % P);
        for n in (0..equations.len()).filter(|n| *n != done) {
            let factor = equations[n][column];
            let done = equations[done].clone();
            equations[n].iter_mut().zip(done).for_each(|(x, d)| *x = (*x + (P - factor) * d) % P);
        }
        done += 1;
    }
    // Determined is an unknown that stands alone in its equation.
    let alone = equations.iter().filter(|e| e.iter().filter(|x| **x != 0).count() == 1);
    alone.map(|e| unknown[e.iter().position(|x| *x != 0).unwrap()]).collect()
}

/// For each cell, margins included, all values that it has in tables that look like this one, with up to `most` in each inner
/// cell: tried one by one.
fn possible(shown: &Shown, most: u64) -> Vec<BTreeSet<u64>> {
    let (rows, columns) = (shown.rows, shown.columns);
    let inner = || (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c)));
    let hidden: Vec<(usize, usize)> = inner().filter(|(r, c)| shown.cell(*r, *c).is_none()).collect();
    let mut found = vec![BTreeSet::new(); shown.cells.len()];
    for code in 0..(most + 1).pow(hidden.len() as u32) {
        let tried = |n: usize| code / (most + 1).pow(n as u32) % (most + 1);
        let mut table = vec![0; shown.cells.len()];
        for (r, c) in inner() {
            let tried = || tried(hidden.iter().position(|h| *h == (r, c)).unwrap());
            let value = shown.cell(r, c).unwrap_or_else(tried);
            for (row, column) in [(r, c), (r, columns), (rows, c), (rows, columns)] {
                table[row * (columns + 1) + column] += value;
            }
        }
        if table.iter().zip(&shown.cells).all(|(value, told)| told.is_none_or(|t| t == *value)) {
            found.iter_mut().zip(table).for_each(|(all, value)| all.extend([value]));
        }
    }
    found
}

/// Whether every small count, margins included, can be nobody and can be enough; none where no table is shown.
fn stays_open(cells: &[&[u64]], least: u64, most: u64) -> Option<bool> {
    let shown = people(cells).release(Measure::People, &k(least)).ok()?;
    let sum = |rows: &[&[u64]], c: usize| rows.iter().map(|r| r[c]).sum::<u64>();
    let columns = cells[0].len();
    let mut truth: Vec<u64> = cells.iter().flat_map(|r| r.iter().copied().chain([r.iter().sum()])).collect();
    truth.extend((0..columns).map(|c| sum(cells, c)));
    truth.push(truth[truth.len() - columns..].iter().sum());
    let possible = possible(&shown, most);
    let open = |p: &BTreeSet<u64>| p.contains(&0) && p.iter().any(|v| *v >= least);
    Some(possible.iter().zip(truth).filter(|(_, value)| *value < least).all(|(p, _)| open(p)))
}

fn check(cells: &[&[u64]], rules: Rules, golden: &[&str]) {
    let shown = people(cells).release(Measure::People, &rules).unwrap();
    assert_eq!(text(&shown), golden, "{cells:?}");
    assert_eq!(determined(&shown), Vec::<usize>::new(), "{cells:?}");
}

#[test]
fn small_cells_are_withheld_with_what_would_tell_of_them() {
    check(&[&[20, 30], &[40, 50]], k(10), &["20 30 50", "40 50 90", "60 80 140"]);
    check(&[&[3, 40], &[30, 60]], k(10), &[". . 43", ". . 90", "33 100 133"]);
    check(&[&[3, 40, 50], &[30, 60, 20]], k(10), &[". 40 . 93", ". 60 . 110", "33 100 70 203"]);
    // Two small ones in a row hide each other there, and not in their columns.
    check(&[&[4, 8, 50], &[30, 60, 20]], k(10), &[". . 50 62", ". . 20 110", "34 68 70 172"]);
    // Empty cells: that nobody is there is about everybody who could be. The choice is cheap, and not the cheapest.
    check(
        &[&[0, 40, 30], &[30, 0, 20], &[15, 16, 17]],
        k(10),
        &[". 40 . 70", "30 . . 50", ". . . 48", "45 56 67 168"],
    );
}

#[test]
fn a_row_that_is_small_as_a_whole_is_withheld_with_its_margin() {
    check(&[&[2, 3], &[40, 50], &[60, 70]], k(10), &[". . .", ". . .", "60 70 130", "102 123 225"]);
}

#[test]
fn a_table_of_one_row_is_a_list() {
    check(&[&[3, 40, 50, 12]], k(10), &[". 40 50 . 105", ". 40 50 . 105"]);
}

#[test]
fn a_table_that_is_too_thin_is_not_shown() {
    let thin = people(&[&[3]]).release(Measure::People, &k(10));
    assert_eq!(thin.unwrap_err(), TableError::Thin);
}

/// Of all tables that look like this one some have nobody in the cell of 3, and some sixteen.
#[test]
fn nobody_can_rule_out_that_a_small_cell_is_empty_or_large_enough() {
    let shown = people(&[&[3, 14], &[13, 20]]).release(Measure::People, &k(10)).unwrap();
    assert_eq!(text(&shown), [". . 17", ". . 33", "16 34 50"]);
    assert_eq!(possible(&shown, 34)[0], (0..=16).collect());
}

#[test]
fn a_sum_that_one_makes_up_is_withheld() {
    let table = |parts: &[u64]| {
        let mut table = Table::new(2, 2).unwrap();
        for (cell, person) in (0..4).flat_map(|c| (0..12).map(move |p| (c, p))) {
            table.add(cell / 2, cell % 2, (cell, person), 100).unwrap();
        }
        parts.iter().enumerate().for_each(|(p, value)| table.add(0, 0, (9, p as u64), *value).unwrap());
        table
    };
    let shows = |parts: &[u64]| {
        let shown = table(parts).release(Measure::Sum, &k(10)).unwrap();
        assert_eq!(determined(&shown), Vec::<usize>::new());
        shown.cell(0, 0)
    };
    assert_eq!(shows(&[]), Some(1_200));
    // 6,800 of 8,000 is 85 %, one more is over it; two giants who know each other are told apart by the p-percent rule.
    assert_eq!(shows(&[6_800]), Some(8_000));
    assert_eq!(shows(&[6_801]), None);
    assert_eq!(shows(&[11_000, 10_999]), Some(23_199));
    assert_eq!(shows(&[12_001, 12_001]), None);
    assert!(k(10).percentages(0, 1).is_err() && k(10).percentages(1, 101).is_err());
    let loose = k(10).percentages(100, 1).unwrap();
    assert_eq!(table(&[6_801]).release(Measure::Sum, &loose).unwrap().cell(0, 0), Some(8_001));
}

#[test]
fn a_person_with_many_rows_is_one_person() {
    let mut table = Table::new(2, 2).unwrap();
    for (cell, person) in (0..4).flat_map(|c| (0..50).map(move |p| (c, p))) {
        let person = if cell == 0 { (cell, person % 9) } else { (cell, person) };
        table.add(cell / 2, cell % 2, person, 10).unwrap();
    }
    assert_eq!(table.people(Some(0), Some(0)).len(), 9);
    assert_eq!(table.people(None, Some(0)).len(), 59);
    for measure in [Measure::People, Measure::Sum] {
        let shown = table.release(measure, &k(10)).unwrap();
        assert_eq!((shown.cell(0, 0), shown.withheld, shown.unsafe_by_rule), (None, 4, 1));
    }
}

#[test]
fn what_is_shown_is_rounded_where_that_is_declared() {
    let rules = k(10).rounded_to(NonZeroU64::new(10).unwrap());
    let shown = people(&[&[24, 36], &[45, 51]]).release(Measure::People, &rules).unwrap();
    assert_eq!(text(&shown), ["20 40 60", "50 50 100", "70 90 160"]);
}

#[test]
fn sizes_are_limited() {
    assert_eq!(Table::<u8>::new(0, 1).unwrap_err(), TableError::Size);
    assert_eq!(Table::<u8>::new(64, 63).unwrap_err(), TableError::Size);
    assert_eq!(Table::<u8>::new(usize::MAX, usize::MAX).unwrap_err(), TableError::Size);
    let mut table = Table::new(63, 63).unwrap();
    assert_eq!(table.add(63, 0, 1, 1), Err(TableError::NoCell));
    assert_eq!(table.add(0, 0, 1, VALUE_MAX + 1), Err(TableError::TooMany));
    (0..3).for_each(|_| table.add(0, 0, 1, VALUE_MAX).unwrap());
    assert!(!format!("{table:?}").contains("1099"));
}

#[test]
fn a_large_table_with_many_small_cells_is_protected() {
    let mut table = Table::new(60, 60).unwrap();
    for (r, c) in (0..60_usize).flat_map(|r| (0..60_usize).map(move |c| (r, c))) {
        let count = (r * 7 + c * 13 + r * c) % 37;
        (0..count).for_each(|p| table.add(r, c, (r, c, p), 1).unwrap());
    }
    let shown = table.release(Measure::People, &k(10)).unwrap();
    assert!(
        shown.unsafe_by_rule > 500 && shown.withheld < 2_000,
        "{} {}",
        shown.unsafe_by_rule,
        shown.withheld
    );
}

proptest! {
    /// Whatever the table: what is shown is true and large enough, and the equations determine nothing that is withheld.
    #[test]
    fn nothing_withheld_follows_from_what_is_shown(
        cells in prop::collection::vec(prop::collection::vec(0_u64..40, 4), 2..5), least in 2_u64..15,
    ) {
        let rows: Vec<&[u64]> = cells.iter().map(Vec::as_slice).collect();
        let Ok(shown) = people(&rows).release(Measure::People, &k(least)) else { return Ok(()) };
        prop_assert_eq!(determined(&shown), Vec::<usize>::new());
        for (r, row) in cells.iter().enumerate() {
            for (c, value) in row.iter().enumerate() {
                prop_assert!(shown.cell(r, c).is_none_or(|v| v == *value && v >= least));
            }
        }
    }

    /// Sums: the equations determine nothing either, and no cell is shown that one person dominates.
    #[test]
    fn no_sum_that_is_withheld_follows_from_what_is_shown(
        parts in prop::collection::vec((0_usize..3, 0_usize..3, 0_u8..30, 1_u64..1_000), 20..200)
    ) {
        let mut table = Table::new(3, 3).unwrap();
        for (r, c, person, value) in parts {
            table.add(r, c, person, value * value).unwrap();
        }
        let Ok(shown) = table.release(Measure::Sum, &k(3)) else { return Ok(()) };
        prop_assert_eq!(determined(&shown), Vec::<usize>::new());
        for (r, c) in (0..3).flat_map(|r| (0..3).map(move |c| (r, c))) {
            let parts = table.contributors(Some(r), Some(c));
            let largest = parts.values().max().copied().unwrap_or(0);
            prop_assert!(shown.cell(r, c).is_none_or(|sum| parts.len() >= 3 && largest * 100 <= sum * 85));
        }
    }
}

proptest! {
    // Each case tries up to a hundred thousand tables.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The same against an attacker who knows that no number is under zero, by trying all tables.
    #[test]
    fn small_cells_stay_open_from_nobody_to_enough(cells in prop::collection::vec(0_u64..8, 4), least in 2_u64..5) {
        prop_assert_ne!(stays_open(&[&cells[..2], &cells[2..]], least, 12), Some(false));
    }

    #[test]
    fn small_margins_stay_open_from_nobody_to_enough(cells in prop::collection::vec(0_u64..4, 6), least in 2_u64..4) {
        prop_assert_ne!(stays_open(&[&cells[..2], &cells[2..4], &cells[4..]], least, 6), Some(false));
    }
}

/// Otherwise the properties would hold of nothing.
#[test]
fn most_tables_are_shown_in_part() {
    let mut state = 7_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut shows = |rows: usize, columns: usize, below: u64, least: u64| {
        let cells: Vec<Vec<u64>> = (0..rows).map(|_| (0..columns).map(|_| next(below)).collect()).collect();
        people(&cells.iter().map(Vec::as_slice).collect::<Vec<_>>())
            .release(Measure::People, &k(least))
            .is_ok()
    };
    assert_eq!((0..200).filter(|_| shows(4, 4, 40, 10)).count(), 200);
    assert!((0..200).filter(|_| shows(2, 2, 8, 3)).count() > 100);
    assert!((0..200).filter(|_| shows(3, 2, 4, 3)).count() > 100);
}
