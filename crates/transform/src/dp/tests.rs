//! Noise against its distribution, attackers against their odds, costs against OpenDP's own.

use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::{make_gaussian, make_laplace};
use opendp::measures::{MaxDivergence, ZeroConcentratedDivergence};
use opendp::metrics::{L1Distance, L2Distance};
use proptest::prelude::*;

use super::measure::{count, mean, quantile, sum};
use super::noise::Noise;
use super::*;
use crate::dp::groups::{histogram, private_groups, threshold_of};

const DRAWS: usize = 20_000;
/// Bins on each side of zero; with zero and two tails, thirteen, and twelve degrees of freedom.
const SIDE: i64 = 5;
/// A chi-square with twelve degrees of freedom is above this with a chance of 3.2e-10. There is room for what the smallest
/// bins, of about 36, add to that: a false alarm in any of the three that are drawn here has a chance far below 1e-6.
const CHI_SQUARE_MAX: f64 = 70.0;

fn epsilon(micro: u32) -> Epsilon {
    Epsilon::micro(micro).unwrap()
}

fn rho(nano: u64) -> Privacy {
    Privacy::Concentrated(Rho::nano(nano).unwrap())
}

fn number(noised: Noised) -> i64 {
    let Answer::Number(n) = noised.into_answer() else { panic!("no number") };
    n
}

fn ones(people: u32) -> Bounded {
    Bounded::new((0..people).map(|p| (p, 1)), Bounds::new(1, 0, 1).unwrap()).unwrap()
}

/// How far draws are from a distribution that is given by its weights. Bins are `step` wide, so that each has enough.
fn chi_square(drawn: &[i64], step: i64, weight: impl Fn(i64) -> f64) -> f64 {
    let bin = |x: i64| x.div_euclid(step).clamp(-SIDE - 1, SIDE + 1);
    let all = |f: &mut dyn FnMut(i64, f64)| (-3_000..=3_000).for_each(|x| f(x, weight(x)));
    let mut expected = [0.0; 2 * SIDE as usize + 3];
    let at = |x: i64| usize::try_from(bin(x) + SIDE + 1).unwrap();
    all(&mut |x, w| expected[at(x)] += w);
    let sum: f64 = expected.iter().sum();
    let mut seen = [0.0; 2 * SIDE as usize + 3];
    drawn.iter().for_each(|x| seen[at(*x)] += 1.0);
    let n = drawn.len() as f64;
    assert!(expected.iter().all(|e| e / sum * n > 20.0), "bins with too few to compare: {expected:?}");
    expected.iter().zip(seen).map(|(e, s)| (s - e / sum * n).powi(2) / (e / sum * n)).sum()
}

fn draws(noise: Noise) -> Vec<i64> {
    (0..DRAWS).map(|_| noise.add(0).unwrap()).collect()
}

fn laplace_weight(scale: f64) -> impl Fn(i64) -> f64 {
    move |x| (-(x.abs() as f64) / scale).exp()
}

fn gaussian_weight(width: f64) -> impl Fn(i64) -> f64 {
    move |x| (-(x as f64).powi(2) / (2.0 * width * width)).exp()
}

#[test]
fn noise_has_the_distribution_that_its_scale_says() {
    let narrow = draws(Noise::laplace(1, epsilon(1_000_000)));
    assert!(chi_square(&narrow, 1, laplace_weight(1.0)) < CHI_SQUARE_MAX);
    let wide = draws(Noise::laplace(3, epsilon(500_000)));
    assert!(chi_square(&wide, 4, laplace_weight(6.0)) < CHI_SQUARE_MAX);
    let gaussian = draws(Noise::of(rho(10_000_000), 2));
    assert!(chi_square(&gaussian, 4, gaussian_weight(10.0)) < CHI_SQUARE_MAX);
    // The same measure sees what is a fifth too narrow, and one distribution in place of the other.
    assert!(chi_square(&narrow, 1, laplace_weight(1.2)) > CHI_SQUARE_MAX);
    assert!(chi_square(&gaussian, 4, gaussian_weight(12.0)) > CHI_SQUARE_MAX);
    assert!(chi_square(&wide, 4, gaussian_weight(8.5)) > CHI_SQUARE_MAX);
}

/// An attacker who knows everybody else, and whether a person is in: the best that anybody can do at an epsilon of one is to
/// be right in e/(1+e) = 73.1 % of cases. The bounds are five and a half standard deviations of so many trials away: a false
/// alarm has a chance of less than 1e-7.
#[test]
fn who_knows_everybody_else_is_right_about_the_last_person_no_more_often_than_promised() {
    let (without, with) = (ones(500), ones(501));
    let right = (0..DRAWS).filter(|trial| {
        let inside = trial % 2 == 0;
        let told = number(count(if inside { &with } else { &without }, epsilon(1_000_000)).unwrap());
        (told >= 501) == inside
    });
    let rate = right.count() as f64 / DRAWS as f64;
    let best = std::f64::consts::E / (1.0 + std::f64::consts::E);
    let spread = (best * (1.0 - best) / DRAWS as f64).sqrt();
    assert!((rate - best).abs() < 5.5 * spread, "{rate} where {best} was promised");
}

#[test]
fn opendp_says_that_noise_costs_what_we_charge_or_less() {
    for (most, micro) in [(1_u64, 1_000_000_u32), (3, 250_000), (1_000, 7)] {
        let Noise::Laplace(n, d) = Noise::laplace(most, epsilon(micro)) else { panic!("not Laplace") };
        let space = (VectorDomain::new(AtomDomain::<i64>::default()), L1Distance::<f64>::default());
        let theirs =
            make_laplace::<_, _, MaxDivergence>(space.0, space.1, n as f64 / d as f64, None).unwrap();
        let cost = theirs.map(&(most as f64)).unwrap();
        assert!((cost * 1e6 - f64::from(micro)).abs() < 1e-3, "{cost} for {micro}");
    }
    for (numbers, nano) in [(1_u32, 10_000_000_u64), (50, 11_408_447), (1_000, 3)] {
        let Noise::Gaussian(width) = Noise::of(rho(nano), numbers) else { panic!("not Gaussian") };
        let space = (VectorDomain::new(AtomDomain::<i64>::default()), L2Distance::<f64>::default());
        let theirs =
            make_gaussian::<_, _, ZeroConcentratedDivergence>(space.0, space.1, width as f64 / 1e3, None);
        let cost = theirs.unwrap().map(&f64::from(numbers).sqrt()).unwrap() * 1e9;
        assert!(cost <= nano as f64 * (1.0 + 1e-9) && cost > nano as f64 * 0.999, "{cost} for {nano}");
    }
    for (numbers, most, nano) in [(1_u32, 5_000_u64, 10_000_000_u64), (50, 1 << 40, 11_408_447)] {
        let Noise::Gaussian(width) = Noise::wide(rho(nano), numbers, most) else { panic!("not Gaussian") };
        let space = (VectorDomain::new(AtomDomain::<i64>::default()), L2Distance::<f64>::default());
        let theirs =
            make_gaussian::<_, _, ZeroConcentratedDivergence>(space.0, space.1, width as f64 / 1e3, None);
        let far = f64::from(numbers).sqrt() * most as f64;
        let cost = theirs.unwrap().map(&far).unwrap() * 1e9;
        assert!(cost <= nano as f64 * (1.0 + 1e-9) && cost > nano as f64 * 0.999, "{cost} for {nano}");
    }
    let Noise::Laplace(n, d) = Noise::wide(Privacy::Pure(epsilon(250_000)), 3, 70) else {
        panic!("not Laplace")
    };
    assert_eq!((n, d), (210_000_000, 250_000), "three groups, seventy each");
}

#[test]
fn a_group_of_one_shows_no_more_often_than_delta_says() {
    let delta = Delta::atto(100_000_000).unwrap();
    for (groups, micro) in [(1_u32, 1_000_000_u32), (5, 1_000_000), (20, 300_000)] {
        let least = threshold_of(Privacy::Pure(epsilon(micro)), groups, delta).unwrap();
        let a = (-f64::from(micro) / 1e6 / f64::from(groups)).exp();
        let chance = |m: i64| a.powi((m - 1) as i32) / (1.0 + a) * f64::from(groups);
        assert!(chance(least) <= 1e-10 && chance(least) > 1e-11, "{least}: {}", chance(least));
    }
    for (groups, nano) in [(50_u32, 11_408_447_u64), (200, 2_000_000)] {
        let least = threshold_of(rho(nano), groups, delta).unwrap();
        let weight = gaussian_weight((f64::from(groups) / (2.0 * nano as f64 * 1e-9)).sqrt());
        let all: f64 = (-5_000..=5_000).map(&weight).sum();
        let chance = (least - 1..=5_000).map(&weight).sum::<f64>() / all * f64::from(groups);
        assert!(chance <= 1e-10 && chance > 1e-13, "{least}: {chance}");
    }
}

/// With one group a person and an epsilon of one the threshold is 25: a group of 80 is under it with a chance of e^-55.
#[test]
fn large_groups_show_and_small_ones_do_not() {
    let rows = (0..80).map(|p| (p, "large")).chain((100..103).map(|p| (p, "small")));
    let rows = Grouped::new(rows, 1).unwrap();
    let delta = Delta::atto(100_000_000).unwrap();
    let noised = private_groups(&rows, 10, Privacy::Pure(epsilon(1_000_000)), delta).unwrap();
    assert_eq!(
        (noised.cost().total_epsilon_micro(), noised.cost().total_delta_atto()),
        (1_000_000, 100_000_000)
    );
    let Answer::Groups(shown) = noised.into_answer() else { panic!("no groups") };
    // The small one would have to draw 22 or more: 2.8e-10.
    assert_eq!(shown.iter().map(|(g, _)| g.as_str()).collect::<Vec<_>>(), ["large"]);
    let asked = private_groups(&rows, 200, Privacy::Pure(epsilon(1_000_000)), delta).unwrap();
    assert_eq!(asked.into_answer(), Answer::Groups(vec![]));
}

#[test]
fn a_histogram_has_all_groups_that_were_named_and_no_other() {
    let rows = Grouped::new([(1, "there"), (1, "there"), (2, "there"), (1, "unnamed")], 3).unwrap();
    let noised = histogram(&rows, &["nobody", "there"], rho(10_000_000)).unwrap();
    assert_eq!(noised.cost().rho_nano(), 10_000_000);
    let Answer::Groups(groups) = noised.into_answer() else { panic!("no groups") };
    assert_eq!(groups.iter().map(|(g, _)| g.as_str()).collect::<Vec<_>>(), ["nobody", "there"]);
    for wrong in [&[][..], &["twice", "twice"]] {
        assert_eq!(histogram(&rows, wrong, rho(1)).unwrap_err(), DpError::Parameter("groups"));
    }
}

/// Noise of scale 100 x 1 / 1: beyond 2,500 with a chance of e^-25 each way.
#[test]
fn numbers_are_near_the_truth_where_there_are_many_people() {
    let rows = (0..10_000).flat_map(|p| [(p, p % 100), (p, 500)]);
    let rows = Bounded::new(rows, Bounds::new(1, 0, 100).unwrap()).unwrap();
    let one = epsilon(1_000_000);
    assert!((number(count(&rows, one).unwrap()) - 10_000).abs() < 30);
    assert!((number(sum(&rows, one).unwrap()) - 495_000).abs() < 2_500);
    let candidates: Vec<i64> = (0..=100).collect();
    let median = number(quantile(&rows, (1, 2), candidates.clone(), one).unwrap());
    assert!((48..=51).contains(&median), "{median}");
    let high = number(quantile(&rows, (9, 10), candidates, one).unwrap());
    assert!((88..=91).contains(&high), "{high}");
    let Answer::Mean { count, mean, .. } = mean(&rows, 1_000, 10, one).unwrap().into_answer() else {
        panic!("no mean")
    };
    let mean = mean.unwrap();
    assert!((count - 10_000).abs() < 60 && (mean - 49_500).abs() < 400, "{mean} of {count}");
}

#[test]
fn a_mean_of_too_few_is_not_said() {
    let noised = mean(&ones(3), 100, 200, epsilon(1_000_000)).unwrap();
    assert_eq!(noised.cost().total_epsilon_micro(), 1_000_000);
    assert!(matches!(noised.into_answer(), Answer::Mean { mean: None, .. }));
}

#[test]
fn one_person_with_a_thousand_rows_counts_as_the_bounds_say() {
    let rows = (0..1_000).map(|_| ("loud", 1_000_000)).chain([("quiet", -7)]);
    let bounded = Bounded::new(rows, Bounds::new(2, 0, 10).unwrap()).unwrap();
    assert_eq!(bounded.values, [0, 10, 10]);
    let groups = (0..1_000).map(|n| ("loud", format!("g{n}"))).chain([("quiet", "g0".to_owned())]);
    let grouped = Grouped::new(groups, 2).unwrap();
    assert_eq!(
        grouped.counts.iter().map(|(g, n)| (g.as_str(), *n)).collect::<Vec<_>>(),
        [("g0", 2), ("g1", 1)]
    );
}

#[test]
fn parameters_outside_of_their_limits_are_refused() {
    assert!(Epsilon::micro(0).is_err() && Epsilon::micro(1_000_001).is_err());
    assert!(Delta::atto(0).is_err() && Delta::atto(1_000_000_001).is_err());
    assert!(Rho::nano(0).is_err() && Rho::nano(11_408_448).is_err() && Rho::nano(11_408_447).is_ok());
    for (rows, low, high) in
        [(0, 0, 1), (10_001, 0, 1), (1, 1, 1), (1, 2, 1), (1, 0, i64::MAX), (1, i64::MIN, 0)]
    {
        assert!(Bounds::new(rows, low, high).is_err());
    }
    assert!(Grouped::new([(1, "a")], 0).is_err() && Grouped::new([(1, "a")], 1_001).is_err());
    let (rows, one) = (ones(3), epsilon(1_000_000));
    assert!(
        mean(&rows, 0, 1, one).is_err()
            && mean(&rows, 1, 0, one).is_err()
            && mean(&rows, 1, 1, epsilon(1)).is_err()
    );
    for (part, candidates) in [((1, 2), vec![]), ((1, 2), vec![1, 1]), ((3, 2), vec![1]), ((0, 0), vec![1])] {
        assert!(quantile(&rows, part, candidates, one).is_err());
    }
}

#[test]
fn gaussian_noise_is_less_from_twenty_two_groups_a_person_on() {
    let one = epsilon(1_000_000);
    assert_eq!(Privacy::least_noise(one, 21).unwrap(), Privacy::Pure(one));
    assert_eq!(Privacy::least_noise(one, 22).unwrap(), rho(11_408_447));
    let spread = |privacy| {
        let drawn: Vec<_> = (0..2_000).map(|_| Noise::of(privacy, 100).add(0).unwrap() as f64).collect();
        (drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64).sqrt()
    };
    // 141 and 66: the estimates are within a twentieth or so.
    assert!(spread(Privacy::least_noise(one, 100).unwrap()) < 0.6 * spread(Privacy::Pure(one)));
}

#[test]
fn a_number_at_the_end_of_sixty_four_bits_stays_there() {
    let noise = Noise::laplace(1, epsilon(1_000_000));
    assert_eq!(noise.add(i128::from(i64::MAX) + 1_000).unwrap(), i64::MAX);
    assert_eq!(noise.add(i128::from(i64::MIN) - 1_000).unwrap(), i64::MIN);
}

#[test]
fn what_holds_peoples_values_prints_none() {
    let rows = Bounded::new([("anna", 4_711)], Bounds::new(1, 0, 5_000).unwrap()).unwrap();
    let groups = Grouped::new([("anna", "ward 4711")], 1).unwrap();
    let printed = format!("{rows:?} {groups:?} {:?}", count(&rows, epsilon(1)).unwrap());
    assert!(
        !printed.contains("4711") && !printed.contains("4_711") && !printed.contains("anna"),
        "{printed}"
    );
}

proptest! {
    /// The bound is what noise is made for: whoever is added changes numbers by no more than that.
    #[test]
    fn nobody_changes_what_is_measured_by_more_than_the_bounds(
        rows in prop::collection::vec((0..6_u8, -50..50_i64), 0..60), per in 1..4_u32, who in 0..6_u8,
    ) {
        let bounds = Bounds::new(per, -10, 20).unwrap();
        let all = Bounded::new(rows.clone(), bounds).unwrap();
        let others = Bounded::new(rows.iter().copied().filter(|(p, _)| *p != who), bounds).unwrap();
        prop_assert!(all.values.len() - others.values.len() <= per as usize);
        let total = |b: &Bounded| b.values.iter().sum::<i64>();
        prop_assert!(total(&all).abs_diff(total(&others)) <= u64::from(per) * 20);

        let names = rows.iter().map(|(p, v)| (*p, format!("g{}", v % 7)));
        let all = Grouped::new(names.clone(), per).unwrap();
        let others = Grouped::new(names.filter(|(p, _)| *p != who), per).unwrap();
        let changed = all.counts.iter().map(|(g, n)| n - others.counts.get(g).copied().unwrap_or(0));
        let changed: Vec<u64> = changed.filter(|c| *c > 0).collect();
        prop_assert!(changed.len() <= per as usize && changed.iter().all(|c| *c == 1));
    }

    #[test]
    fn costs_add_up_and_are_told_rounded_up(parts in prop::collection::vec((0..1_000_u64, 0..1_000_000_u64), 0..20)) {
        let costs = parts.iter().map(|(epsilon, rho)| Cost { epsilon: *epsilon, rho: *rho, delta: 1 });
        let all = costs.clone().fold(Cost::default(), Cost::plus);
        let alone: u64 = costs.map(|c| c.total_epsilon_micro()).sum();
        // Concentrated costs together tell less than one by one: that is why they are counted as rho.
        prop_assert!(all.total_epsilon_micro() <= alone);
        prop_assert!(all.total_epsilon_micro() >= parts.iter().map(|(e, _)| e).sum());
        prop_assert_eq!(all.delta, parts.len() as u64);
    }
}
