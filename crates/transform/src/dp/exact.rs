//! Roots, logarithms and the telling of rho as epsilon, in integers and rounded up.

/// Bits after the point of the numbers whose logarithm is taken.
const POINT: u32 = 61;
const ONE: u128 = 1 << POINT;
/// Bits after the point of a logarithm.
const BITS: u32 = 30;
/// ln 2 in units of 10^-9, rounded up.
const LN_2_NANO: u128 = 693_147_181;
/// Units of delta in one.
const ATTO: u128 = 1_000_000_000_000_000_000;
/// No rho that anybody may spend is as large: it would tell more than sixteen of epsilon.
const RHO_NANO_MAX: u64 = 16_000_000_000;

/// The smallest number whose square is no less.
pub(super) const fn root_up(n: u128) -> u128 {
    let root = n.isqrt();
    if root * root == n { root } else { root + 1 }
}

/// At least ln(n/d) in millionths, and at most a few of them more, for 0 < d <= n.
pub(super) fn ln_micro(n: u128, d: u128) -> u128 {
    let (n, d) = (n.max(1), d.max(1));
    // Both as numbers of POINT + 1 bits, n rounded up and d down.
    let fit = |v: u128, up: bool| {
        let bits = 128 - v.leading_zeros();
        let shift = bits.saturating_sub(POINT + 1);
        let kept = v >> shift;
        let lost = up && (kept << shift) != v;
        ((kept + u128::from(lost)) << (POINT + 1).saturating_sub(bits), bits)
    };
    let ((n, n_bits), (d, d_bits)) = (fit(n, true), fit(d, false));
    let mut y = (n << POINT).div_ceil(d);
    let mut whole = i64::from(n_bits) - i64::from(d_bits);
    if y < ONE {
        (y, whole) = (y * 2, whole - 1);
    }
    if y >= 2 * ONE {
        (y, whole) = (y.div_ceil(2), whole + 1);
    }
    // The bits of log2 y, each by squaring: rounding up keeps it an upper bound.
    let mut part = 0_u128;
    for _ in 0..BITS {
        y = (y * y).div_ceil(ONE);
        part <<= 1;
        if y >= 2 * ONE {
            y = y.div_ceil(2);
            part |= 1;
        }
    }
    let log2 = (u128::try_from(whole).unwrap_or(0) << BITS) + part + 2;
    (log2 * LN_2_NANO).div_ceil(1_000 << BITS)
}

/// What rho (in 10^-9) tells as millionths of epsilon at this delta (in 10^-18), by Bun and Steinke 2016, proposition 1.3:
/// rho + 2 sqrt(rho ln(1/delta)).
pub(super) fn epsilon_of(rho_nano: u64, delta_atto: u64) -> u64 {
    let rho = u128::from(rho_nano);
    let ln = ln_micro(ATTO, u128::from(delta_atto));
    // (2 sqrt(rho 10^-9 ln 10^-6) 10^6)^2 = 4 rho ln / 1000
    let root = root_up((4 * rho * ln).div_ceil(1_000));
    u64::try_from(rho.div_ceil(1_000) + root).unwrap_or(u64::MAX)
}

/// The largest rho (in 10^-9) that tells no more than so many millionths of epsilon; 0 where there is none.
pub(super) fn rho_within(epsilon_micro: u64, delta_atto: u64) -> u64 {
    let (mut fits, mut not) = (0_u64, RHO_NANO_MAX);
    while not - fits > 1 {
        let middle = fits.midpoint(not);
        if epsilon_of(middle, delta_atto) <= epsilon_micro { fits = middle } else { not = middle }
    }
    fits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_logarithm_is_never_too_small_and_hardly_too_large(n in 1_u64.., d in 1_u64..) {
            let (n, d) = (n.max(d), n.min(d));
            let real = (n as f64 / d as f64).ln() * 1e6;
            let ours = ln_micro(u128::from(n), u128::from(d)) as f64;
            prop_assert!(ours >= real - 1e-3 && ours <= real + 3.0, "{ours} for {real}");
        }

        #[test]
        fn a_root_is_the_smallest_that_is_enough(n in 0_u128..1 << 100) {
            let root = root_up(n);
            prop_assert!(root * root >= n && (root == 0 || (root - 1) * (root - 1) < n));
        }

        #[test]
        fn what_rho_tells_is_the_formula_rounded_up(rho in 1_u64..1_000_000_000, delta in 1_u64..1_000_000_000) {
            let (r, d) = (rho as f64 * 1e-9, delta as f64 * 1e-18);
            let real = (r + 2.0 * (r * (1.0 / d).ln()).sqrt()) * 1e6;
            let ours = epsilon_of(rho, delta) as f64;
            prop_assert!(ours >= real - 1e-3 && ours <= real + 4.0, "{ours} for {real}");
        }

        #[test]
        fn the_most_rho_that_fits_fits_and_one_more_does_not(epsilon in 1_u64..4_000_000) {
            let rho = rho_within(epsilon, 500_000_000);
            prop_assert!(rho == 0 || epsilon_of(rho, 500_000_000) <= epsilon);
            prop_assert!(epsilon_of(rho + 1, 500_000_000) > epsilon);
        }
    }

    #[test]
    fn an_epsilon_of_one_is_this_rho() {
        // By hand: sqrt(rho) = sqrt(ln(2e9) + 1) - sqrt(ln(2e9)), rho = 0.0114084...
        assert_eq!(rho_within(1_000_000, 500_000_000), 11_408_447);
    }
}
