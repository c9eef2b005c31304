//! What can be computed from sums over groups: linear algebra over the sets of people that no group tells apart.

/// Numbers are counted in a field of this prime, 2^61 - 1. What has an integer combination with factors under it is found.
const PRIME: u64 = (1 << 61) - 1;

/// Whether some combination of the rows stands for at least one and fewer than `k` people. Rows are groups, and columns the
/// sets of people who are in the same groups, of which `people` says how many they are.
///
/// After elimination each row is a combination, and one that stands for one set alone is among them. A combination for
/// several sets is the sum of the rows that lead with one of them: those of two are tried.
pub(super) fn tells_of_few(mut rows: Vec<Vec<u64>>, people: &[u64], k: u64) -> bool {
    eliminate(&mut rows);
    let few = |told: &mut dyn Iterator<Item = bool>| {
        let sum: u64 = told.zip(people).filter(|(told, _)| *told).map(|(_, people)| people).sum();
        (1..k).contains(&sum)
    };
    if rows.iter().any(|row| few(&mut row.iter().map(|x| *x != 0))) {
        return true;
    }
    // Only a row that leads with few can be part of a combination for few.
    let leads_with_few =
        |row: &&Vec<u64>| row.iter().zip(people).find(|(x, _)| **x != 0).is_some_and(|(_, p)| *p < k);
    let candidates: Vec<_> = rows.iter().filter(leads_with_few).collect();
    candidates.iter().enumerate().any(|(n, one)| {
        let others = candidates.iter().take(n);
        others.into_iter().any(|other| {
            let sum = || one.iter().zip(*other).map(|(a, b)| plus(*a, *b) != 0);
            let difference = || one.iter().zip(*other).map(|(a, b)| a != b);
            few(&mut sum()) || few(&mut difference())
        })
    })
}

/// Brings rows into the form in which each leads with a one that stands alone in its column; empty rows are dropped.
fn eliminate(rows: &mut Vec<Vec<u64>>) {
    let columns = rows.first().map_or(0, Vec::len);
    let at = |row: &[u64], column: usize| row.get(column).copied().unwrap_or(0);
    let mut done = 0;
    for column in 0..columns {
        let Some(found) = rows.iter().skip(done).position(|row| at(row, column) != 0) else { continue };
        rows.swap(done, done + found);
        let Some(lead) = rows.get_mut(done) else { break };
        let factor = inverse(at(lead, column));
        lead.iter_mut().for_each(|x| *x = times(*x, factor));
        let lead = lead.clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(n, _)| *n != done) {
            let factor = at(row, column);
            if factor != 0 {
                row.iter_mut().zip(&lead).for_each(|(x, l)| *x = minus(*x, times(*l, factor)));
            }
        }
        done += 1;
    }
    rows.truncate(done);
}

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    u64::try_from(product % u128::from(PRIME)).unwrap_or(0)
}

const fn plus(a: u64, b: u64) -> u64 {
    (a + b) % PRIME
}

const fn minus(a: u64, b: u64) -> u64 {
    (a + PRIME - b) % PRIME
}

/// a^(p-2), by Fermat.
fn inverse(a: u64) -> u64 {
    let (mut result, mut base, mut left) = (1, a, PRIME - 2);
    while left > 0 {
        if left & 1 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        left >>= 1;
    }
    result
}
